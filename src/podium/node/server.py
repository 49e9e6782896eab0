"""The node's HTTPS server: logs, exec and attach for the API server, metrics, and health. Upstream's kubelet paths.

Only the API server's client certificate is let in (403 otherwise; no anonymous reads), except to /healthz and, for those who may `get`
nodes/metrics or nodes/stats (access.py), to metrics. Several nodes of one process (a fleet) share a server: pods are found by namespace and name.

Source: kubelet/server/server.go (getContainerLogs, getExec), kubelet.go GetKubeletContainerLogs and validateContainerLogStatus (wording).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from podium.instrument.log import logger
from podium.node import exec_stream
from podium.node.access import Denied, NodeAccess
from podium.node.kubelet_metrics import KubeletMetrics, UnknownNode
from podium.node.logs import Formatter, LogOptions, read_log
from podium.node.pod_spec import epoch_s
from podium.node.pod_worker import PodWorker
from podium.node.pod_workers import PodWorkers
from podium.node.runtime.interface import ContainerState, ContainerStatus, ExecSession, RuntimeFailure
from podium.objects.values import name_of
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from podium.world.supervisor import Supervisor
from podium.world.websocket import is_handshake, offered_protocols

log = logger("node.server")

FindPod = Callable[[str, str], tuple[PodWorkers, PodWorker] | None]
TEXT = ((b"content-type", b"text/plain"),)
OUTPUT_ITEMS_MAX = 64
"""Pieces of an attached container's output that may wait for a slow client; its log is not read on meanwhile."""


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NodeServer:
    def __init__(
        self,
        find: FindPod,
        client_common_name: str,
        tls: ssl.SSLContext | None,
        *,
        metrics: KubeletMetrics | None = None,
        access: NodeAccess | None = None,
    ) -> None:
        self._find = find
        self._metrics = metrics
        self._access = access
        self._client_common_name = client_common_name
        self._tls = tls
        self._http: HttpServer | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port. Raises OSError when it is taken."""
        self._http = HttpServer(self._handle, self._tls)
        return await self._http.listen(host, port)

    async def run(self) -> None:
        """Serves until it is cancelled, then closes."""
        try:
            await asyncio.Event().wait()
        finally:
            if self._http is not None:
                await self._http.close()

    async def _handle(self, request: HttpRequest, connection: Connection) -> Response | None:
        if request.path == "/healthz":
            return Response(200, b"ok", TEXT)
        trusted = self._tls is None or (request.peer is not None and request.peer.common_name == self._client_common_name)
        if self._metrics is not None:
            self._metrics.count_request(request)
            if self._metrics.served(request.path):
                return await self._serve_metrics(self._metrics, request, trusted)
        if not trusted:
            return Response(403, b"only the API server may ask this node\n", TEXT)
        try:
            return await self._route(request, connection)
        except Refused as refused:
            return Response(refused.status, refused.message.encode(), TEXT)
        except RuntimeFailure as failure:
            return Response(500, str(failure).encode(), TEXT)

    async def _serve_metrics(self, metrics: KubeletMetrics, request: HttpRequest, trusted: bool) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"method not allowed\n", TEXT)
        try:
            if not trusted:
                if self._access is None:
                    raise Denied(403, "only the API server may ask this node\n")
                await self._access.check(request, metrics.node_asked(request))
            return await metrics.respond(request)
        except Denied as denied:
            return Response(denied.status, denied.message.encode(), TEXT)
        except UnknownNode as error:
            return Response(404, f'node "{error}" is not of this server\n'.encode(), TEXT)

    async def _route(self, request: HttpRequest, connection: Connection) -> Response | None:
        parts = request.path.strip("/").split("/")
        if len(parts) != 4 or parts[0] not in ("containerLogs", "exec", "attach"):
            raise Refused(404, "404 page not found")
        what, namespace, name, container = parts
        found = self._find(namespace, name)
        if found is None:
            raise Refused(404, f'pod "{name}" not found')
        workers, worker = found
        if worker.container_spec(container) is None:
            raise Refused(404, f'container "{container}" not found in pod "{name}"')
        if what == "containerLogs":
            return await self._logs(workers, worker, container, request, connection)
        if not is_handshake(request.headers):
            raise Refused(400, "a WebSocket handshake is needed")
        offered = offered_protocols(request.headers)
        protocol = next((p for p in exec_stream.PROTOCOLS if p in offered), None)
        if protocol is None:
            raise Refused(400, f"this node speaks {', '.join(exec_stream.PROTOCOLS)}")
        websocket = await connection.accept_websocket(request, protocol)
        stdin = flag(request, "stdin")
        try:
            session = await self._session(what, workers, worker, container, request)
        except (Refused, RuntimeFailure) as failure:
            await exec_stream.refuse(websocket, str(failure))
            return None
        stderr = flag(request, "stderr") and not flag(request, "tty")
        await exec_stream.serve(websocket, session, stdin=stdin, stdout=flag(request, "stdout"), stderr=stderr)
        return None

    async def _session(self, what: str, workers: PodWorkers, worker: PodWorker, container: str, request: HttpRequest) -> ExecSession:
        """Raises Refused, RuntimeFailure."""
        status = running(worker, container)
        if what == "attach":
            attach = getattr(workers.runtime, "attach", None)
            if attach is None:
                return LogSession(workers, worker, status)
            session: ExecSession = await attach(status.id, tty=flag(request, "tty"), stdin=flag(request, "stdin"))
            return session
        command = tuple(request.query.get("command", ()))
        if not command:
            raise Refused(400, "you must specify at least 1 command for the container")
        return await workers.runtime.exec(status.id, command, tty=flag(request, "tty"), stdin=flag(request, "stdin"))

    async def _logs(
        self, workers: PodWorkers, worker: PodWorker, container: str, request: HttpRequest, connection: Connection
    ) -> Response | None:
        options = log_options(request, workers.now_s)
        status = logged(worker, container, flag(request, "previous"))
        pieces = log_pieces(workers, worker, status, options)
        stream = connection.start_stream(200, TEXT)
        async for piece in pieces:
            stream.write(piece)
            await stream.drain()
            if stream.closed:
                return None
        stream.end()
        return None


async def log_pieces(workers: PodWorkers, worker: PodWorker, status: ContainerStatus, options: LogOptions) -> AsyncIterator[bytes]:
    """The log of one container, from its file, or from a runtime that makes it up."""
    text = getattr(workers.runtime, "log_text", None)
    if text is not None:
        yield Formatter(options).feed(text(status.id))
        while options.follow and not is_over(worker, status):
            await asyncio.sleep(0.5)
        return
    async for piece in read_log(Path(status.log_path), options, lambda: is_over(worker, status)):
        yield piece


def is_over(worker: PodWorker, status: ContainerStatus) -> bool:
    """Whether that very container has ended."""
    now = next((c for c in worker.view.containers if c.id == status.id), None)
    return now is None or now.state is ContainerState.EXITED


def running(worker: PodWorker, container: str) -> ContainerStatus:
    newest = worker.view.newest(container)
    if newest is None or newest.state is not ContainerState.RUNNING:
        raise Refused(500, f'container not found ("{container}")')
    return newest


def logged(worker: PodWorker, container: str, previous: bool) -> ContainerStatus:
    """The container whose log is meant."""
    history = [c for c in worker.view.of(container) if c.started_ns or c.log_path]
    pod = name_of(worker.pod)
    if previous:
        ended = [c for c in history if c.state is ContainerState.EXITED]
        # A container that waits to be restarted is itself the previous one.
        waiting = bool(history) and history[0].state is ContainerState.EXITED and any(h.name == container for h in worker.held)
        candidates = ended if waiting else [c for c in ended if c is not history[0]]
        if not candidates:
            raise Refused(400, f'previous terminated container "{container}" in pod "{pod}" not found')
        return candidates[0]
    if not history:
        known = worker.memory.waiting.get(container)
        reason = known.reason if known else ("PodInitializing" if worker.pod["spec"].get("initContainers") else "ContainerCreating")
        if known and reason in ("ErrImagePull", "ImagePullBackOff"):
            raise Refused(400, f'container "{container}" in pod "{pod}" is waiting to start: image can\'t be pulled')
        raise Refused(400, f'container "{container}" in pod "{pod}" is waiting to start: {reason}')
    return history[0]


class LogSession:
    """The output of a running container as a session: for attach where the runtime has none; its input is dropped. Begins with what
    comes next."""

    def __init__(self, workers: PodWorkers, worker: PodWorker, status: ContainerStatus) -> None:
        self._items: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(OUTPUT_ITEMS_MAX)
        self._supervisor = Supervisor("attach")
        self._open = 2
        for stream, name in ((1, "stdout"), (2, "stderr")):
            pieces = log_pieces(workers, worker, status, LogOptions(follow=True, tail_lines=0, stream=name))
            self._supervisor.start(name, self._follow(stream, pieces))

    async def read(self) -> tuple[int, bytes]:
        return await self._items.get()

    async def write(self, data: bytes) -> None:
        return

    async def close_stdin(self) -> None:
        return

    async def resize(self, columns: int, rows: int) -> None:
        return

    async def wait(self) -> int:
        """How the container ended is told by the pod's status; that there is no more to see is no failure."""
        return 0

    async def kill(self) -> None:
        """Only the watching ends; the container goes on."""
        await self._supervisor.stop()

    async def _follow(self, stream: int, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            await self._items.put((stream, piece))
        self._open -= 1
        if not self._open:
            await self._items.put((0, b""))


def flag(request: HttpRequest, name: str) -> bool:
    return request.query.get(name, [""])[-1] in ("true", "1", "True")


def log_options(request: HttpRequest, now_s: Callable[[], float]) -> LogOptions:
    """Raises Refused."""
    query = {name: values[-1] for name, values in request.query.items() if values[-1] != ""}
    since: float | None = None
    try:
        if "sinceSeconds" in query:
            since = now_s() - _at_least(query, "sinceSeconds", 1)
        elif "sinceTime" in query:
            since = epoch_s(query["sinceTime"])
        stream = query.get("stream", "All")
        return LogOptions(
            follow=flag(request, "follow"),
            timestamps=flag(request, "timestamps"),
            tail_lines=_at_least(query, "tailLines", 0) if "tailLines" in query else None,
            since=since,
            limit_bytes=_at_least(query, "limitBytes", 1) if "limitBytes" in query else None,
            stream={"Stdout": "stdout", "Stderr": "stderr"}.get(stream, ""),
        )
    except ValueError as error:
        raise Refused(400, str(error)) from error


def _at_least(query: dict[str, str], name: str, least: int) -> int:
    value = int(query[name])
    if value < least:
        raise ValueError(f"{name} must be {least} or more")
    return value
