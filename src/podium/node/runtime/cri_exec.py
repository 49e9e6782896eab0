"""A streaming exec through the URL that CRI's Exec gives: the runtime's own streaming server, remote-command channels over WebSocket.

Channels: 0 stdin, 1 stdout, 2 stderr, 3 the end as a Status in JSON, 4 the terminal's size; v5 adds 255, which closes another channel.
containerd 1 speaks v4, in which standard input cannot be closed on its own: on a terminal the end-of-file character does it, and a command
that reads its input without a terminal is run by containerd's `ctr` instead, which can (`open_ctr`). With neither, `close_stdin` raises.
Source: k8s.io/apimachinery pkg/util/remotecommand, k8s.io/kubelet pkg/cri/streaming.
"""

import json
import shutil
import signal
from urllib.parse import urlsplit

from podium.node.runtime.command_session import CommandSession
from podium.node.runtime.interface import RuntimeFailure
from podium.world.http_client import HttpClient, HttpResponse
from podium.world.websocket import WebSocket

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STATUS, RESIZE, CLOSE = 0, 3, 4, 255
CHUNK_BYTES = 32768


class StdinCannotClose(RuntimeFailure):
    """This runtime's exec protocol has no end of input."""


class CriExec:
    """An ExecSession."""

    def __init__(self, client: HttpClient, socket: WebSocket, tty: bool) -> None:
        self._client, self._socket, self._tty = client, socket, tty
        self._exit: int | None = None

    async def read(self) -> tuple[int, bytes]:
        while self._exit is None:
            message = await self._socket.receive()
            if message is None:
                self._exit = 128 + 9  # cut off: the command, or the runtime, was killed
                break
            data = message[1]
            if not data:
                continue
            if data[0] == STATUS:
                self._exit = exit_code(data[1:])
            elif data[0] in (1, 2) and len(data) > 1:
                return data[0], data[1:]
        return 0, b""

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_BYTES):
            self._socket.send(bytes([STDIN]) + data[start : start + CHUNK_BYTES])
            await self._socket.drain()

    async def close_stdin(self) -> None:
        if self._socket.protocol == PROTOCOLS[0]:
            self._socket.send(bytes([CLOSE, STDIN]))
        elif self._tty:
            self._socket.send(bytes([STDIN, 4]))
        else:
            raise StdinCannotClose(
                "this container runtime cannot close a command's standard input (exec protocol v4); use -t, or a newer containerd"
            )
        await self._socket.drain()

    async def resize(self, columns: int, rows: int) -> None:
        if self._tty:
            self._socket.send(bytes([RESIZE]) + json.dumps({"Width": columns, "Height": rows}).encode())
            await self._socket.drain()

    async def wait(self) -> int:
        """Reads on, and drops, what was not read."""
        while self._exit is None:
            await self.read()
        return self._exit

    async def kill(self) -> None:
        """The runtime ends the command when its streams are closed."""
        await self._socket.close()
        await self._client.aclose()


async def open_session(url: str, tty: bool) -> CriExec:
    parts = urlsplit(url)
    client = HttpClient(parts.hostname or "127.0.0.1", parts.port or 80)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        socket = await client.websocket(target, PROTOCOLS)
    except OSError as error:
        await client.aclose()
        raise RuntimeFailure(f"the container runtime's streaming server does not answer: {error}") from error
    if isinstance(socket, HttpResponse):
        await client.aclose()
        raise RuntimeFailure(f"the container runtime refused the exec stream: {socket.status} {socket.body[:200].decode(errors='replace')}")
    return CriExec(client, socket, tty)


def open_ctr(socket: str, container_id: str, command: tuple[str, ...], exec_id: str) -> CommandSession | None:
    """None when there is no ctr. `exec_id` must be new."""
    ctr = shutil.which("ctr")
    if ctr is None:
        return None
    arguments = ["--address", socket.removeprefix("unix://"), "--namespace", "k8s.io", "tasks", "exec", "--exec-id", exec_id, container_id]
    return CommandSession([ctr, *arguments, *command], tty=False, stdin=True, end_signal=signal.SIGTERM)


def exit_code(status: bytes) -> int:
    """Of the Status that ends a stream. A failure that is not the command's own counts as 126."""
    value = json.loads(status)
    if value.get("status") == "Success":
        return 0
    causes = value.get("details", {}).get("causes", [])
    codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
    return codes[0] if codes else 126
