"""The streams of a process container's own process, as a session.

The shim keeps both ends of the process's streams. A client gets two FIFOs, which the shim opens for writing and then unlinks, and from then
on copies output into; input goes into the container's `stdin` FIFO, straight to the process, or through the shim to its terminal.

Invariants: letting go of a session never ends the container. With `stdinOnce` the process's input ends when the session's does.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from podium.node.runtime.command_session import CommandSession
from podium.node.runtime.interface import RuntimeFailure

OUTPUT_BYTES_MAX = 1 << 20
"""What a slow client may be behind; more is dropped. The kernel's limit for ordinary users."""

POLL_S = 0.002
ANSWER_S_MAX = 5.0


class AttachSession(CommandSession):
    """`tell` gives the shim a command; false when it is gone. Not for use before `opened`."""

    def __init__(self, directory: Path, name: str, tell: Callable[[str], bool], *, tty: bool, stdin: bool, once: bool) -> None:
        self._tty, self._tell, self._once = tty, tell, once and stdin
        self._paths = [directory / f"{name}.{number}" for number in (1, 2)]
        self._readable = asyncio.Event()
        self._sources = {}
        self._input = -1
        self._name = name
        try:
            for stream, path in enumerate(self._paths, 1):
                os.mkfifo(path, 0o600)
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                self._sources[descriptor] = stream
                _enlarge(descriptor)
            if stdin:
                self._input = os.open(directory / "stdin", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            self._let_go()
            raise RuntimeFailure(f"the container cannot be attached to: {error.strerror}") from error

    async def opened(self) -> "AttachSession":
        """Returns when the shim has the other ends. Raises RuntimeFailure."""
        told, waited_s = self._tell(f"attach {self._name}"), 0.0
        while told and any(path.exists() for path in self._paths) and waited_s < ANSWER_S_MAX:
            await asyncio.sleep(POLL_S)
            waited_s += POLL_S
        if not told or any(path.exists() for path in self._paths):
            self._let_go()
            raise RuntimeFailure("the container is not running")
        for descriptor in self._sources:
            asyncio.get_running_loop().add_reader(descriptor, self._readable.set)
        return self

    async def close_stdin(self) -> None:
        if self._input < 0:
            return
        if self._once and self._tty:
            await self.write(b"\x04")
        os.close(self._input)
        self._input = -1
        if self._once:
            self._tell("end-stdin")

    async def resize(self, columns: int, rows: int) -> None:
        if self._tty:
            self._tell(f"resize {columns} {rows}")

    async def wait(self) -> int:
        return 0

    async def kill(self) -> None:
        await self.close_stdin()
        for descriptor in list(self._sources):
            self._close_source(descriptor)
        self._readable.set()

    def _let_go(self) -> None:
        for descriptor in [*self._sources, *([self._input] if self._input >= 0 else [])]:
            os.close(descriptor)
        self._sources, self._input = {}, -1
        for path in self._paths:
            path.unlink(missing_ok=True)


def _enlarge(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, OUTPUT_BYTES_MAX)
    except OSError:
        return  # this user has used up what the kernel grants; the usual 64 KiB will do
