"""HTTP/1.1 over TLS on asyncio: the server side of every HTTPS door of Podium (API server, node agent).

A protocol per connection: httptools parses, the handler decides, the answer is one `transport.write`. Requests of one connection are
handled one after another, in order. The handler answers with a `Response`, or takes the connection over: `start_stream` for a chunked
response of open length (watches, logs), `accept_websocket` for exec.

Bounds: HEADER_BYTES_MAX (431), BODY_BYTES_MAX, or what the server says (413), FRAMING_MAX times that with all framing (400),
PIPELINED_REQUESTS_MAX (the socket is not read beyond it), REQUEST_TIMEOUT_S (a request that is not received whole in time ends its
connection), what `tls_transport` bounds, IDLE_TIMEOUT_S, STALL_TIMEOUT_S (a peer that takes nothing of its answer for so long is cut off),
CONNECTIONS_MAX (one more costs the connection that has been idle longest; when none is idle, it is closed itself).

Source: RFC 9112; RFC 6455 for the upgrade.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote

import httptools

from podium.world.http_messages import Headers, HttpRequest, Peer, Response, frame, head_of, keep_alive, peer_of
from podium.world.raw_stream import RawStream
from podium.world.tls_transport import TlsAcceptor

if TYPE_CHECKING:
    from podium.world.websocket import WebSocket

HEADER_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 3 * 1024 * 1024
PIPELINED_REQUESTS_MAX = 16
FRAMING_MAX = 8
"""A message with all framing has so many times the bytes that a body may have."""
REQUEST_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 120.0
CONNECTIONS_MAX = 20_000
SHED_LOOKS_MAX = 256
IDLE_TIMEOUT_S = 180.0
SWEEP_PERIOD_S = 5.0
WRITE_HIGH_BYTES = 256 * 1024
LARGE_BODY_BYTES = 512 * 1024
SLICE_BYTES = 128 * 1024

Handler = Callable[[HttpRequest, "Connection"], "Response | Awaitable[Response | None]"]
_NO_QUERY: dict[str, list[str]] = {}


class Stream:
    """A chunked response of open length."""

    __slots__ = ("_connection",)

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    @property
    def closed(self) -> bool:
        return self._connection.closed

    @property
    def buffered_bytes(self) -> int:
        """What the peer has not taken yet: for those who cut slow readers off."""
        return self._connection.buffered_bytes

    def write(self, data: bytes) -> None:
        if data and not self.closed:
            self._connection.write(frame(data))

    def write_framed(self, chunk: bytes) -> None:
        if not self.closed:
            self._connection.write(chunk)

    async def drain(self) -> None:
        """Waits until the peer has taken most of what was written; returns at once when the connection is gone."""
        await self._connection.drain()

    async def wait_closed(self) -> None:
        await self._connection.wait_closed()

    def push(self, chunk: bytes, buffered_bytes_max: int) -> bool:
        """`write_framed`, unless the stream is closed or the peer lags by more than that: then False."""
        return self._connection.push(chunk, buffered_bytes_max)

    def detach(self, on_lost: Callable[[], None]) -> None:
        """The stream outlives its handler, which returns None next: nothing waits for it. `end` ends it; `on_lost` hears when the peer does."""
        self._connection.detach(on_lost)

    def end(self) -> None:
        if not self.closed:
            self._connection.write(b"0\r\n\r\n")
            self._connection.reattach()

    def abort(self) -> None:
        self._connection.abort()


@dataclass(slots=True)
class _Head:
    """The request being read."""

    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0
    bytes_received: int = 0
    headers_complete: bool = False
    body: bytearray | None = None
    too_large: bool = False


_NOTHING = _Head()
_NOBODY: list[asyncio.Future[None]] = []
"""Shared, never changed."""


def _tell(waiting: list[asyncio.Future[None]]) -> list[asyncio.Future[None]]:
    for future in waiting:
        if not future.done():
            future.set_result(None)
    return _NOBODY


class Connection(asyncio.Protocol):
    """One client's connection. Thousands are open at once (watches), so what only some need is made when they need it."""

    __slots__ = (
        "_at_end", "_busy", "_can_write", "_drained", "_ended", "_gone", "_keep_alive", "_on_lost", "_parser", "_reading", "_receiving_since_s",
        "_refusal", "_server", "_stalled_since_s", "_task", "_transport", "_waiting", "_websocket", "active_s", "peer",
    )  # fmt: skip

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._parser: httptools.HttpRequestParser | None = None
        self._transport: asyncio.Transport | None = None
        self._reading = _NOTHING
        self._waiting: deque[tuple[HttpRequest, bool]] | None = None
        self._busy = False
        self._refusal: Response | None = None
        self._websocket: WebSocket | RawStream | None = None
        self._can_write = True
        self._gone = False
        self._drained: list[asyncio.Future[None]] = _NOBODY
        self._ended: list[asyncio.Future[None]] = _NOBODY
        self._on_lost: Callable[[], None] | None = None
        self._at_end: Callable[[], None] | None = None
        self._keep_alive = True
        self._stalled_since_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._receiving_since_s: float | None = None
        self.peer: Peer | None = None
        self.active_s = server.time()

    @property
    def remote_address(self) -> str:
        """The IP address of the client's end; empty when it has gone."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if name else ""

    # -- transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        transport = self._transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        self.peer = peer_of(transport)
        self._server.admit(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.pop(self, None)
        self._gone = True
        self.resume_writing()
        self._ended = _tell(self._ended)
        if self._websocket is not None:
            self._websocket.connection_lost()
        if self._task is not None and not self._task.done():
            self._task.cancel()
        if (on_lost := self._on_lost) is not None:
            self._on_lost = None
            on_lost()
            self._end()

    def data_received(self, data: bytes) -> None:
        self.active_s = self._server.time()
        if self._websocket is not None:
            self._websocket.data_received(data)
            return
        if self._refusal is not None:
            return
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if rest and self._websocket is not None:
                self._websocket.data_received(rest)
        except httptools.HttpParserError:
            self._refuse(Response(400, b"malformed HTTP request\n", ((b"content-type", b"text/plain"),)))
        if self._receiving_since_s is not None:
            self._count_bytes(len(data))

    def _count_bytes(self, count: int) -> None:
        """The parser gathers a header before it tells of it, so what it has been fed is counted too."""
        reading = self._reading
        reading.bytes_received += count
        if not reading.headers_complete and reading.bytes_received > HEADER_BYTES_MAX + SLICE_BYTES:
            self._refuse(Response(431, b"request header fields too large\n", ((b"content-type", b"text/plain"),)))
        elif reading.bytes_received > FRAMING_MAX * self._server.body_bytes_max:
            self._refuse(Response(400, b"malformed HTTP request\n", ((b"content-type", b"text/plain"),)))

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._can_write = False
        self._stalled_since_s = self._server.time()

    def resume_writing(self) -> None:
        self._can_write = True
        self._stalled_since_s = None
        self._drained = _tell(self._drained)

    # -- parser callbacks

    def on_message_begin(self) -> None:
        self._reading = _Head()
        self._receiving_since_s = self._server.time()

    def on_url(self, url: bytes) -> None:
        self._reading.url += url
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header_bytes(len(name) + len(value))
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers = self._reading.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def _count_header_bytes(self, count: int) -> None:
        self._reading.header_bytes += count
        if self._reading.header_bytes > HEADER_BYTES_MAX:
            self._refuse(Response(431, b"request header fields too large\n", ((b"content-type", b"text/plain"),)))

    def on_headers_complete(self) -> None:
        headers = self._reading.headers
        self._reading.headers_complete = True
        if int(headers.get("content-length", "0") or "0") > self._server.body_bytes_max:
            self._reading.too_large = True
            self._refuse(self._server.too_large())
        elif headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        reading = self._reading
        if reading.too_large:
            return
        if reading.body is None:
            reading.body = bytearray()
        reading.body += body
        if len(reading.body) > self._server.body_bytes_max:
            reading.too_large = True
            reading.body = None
            self._refuse(self._server.too_large())

    def on_message_complete(self) -> None:
        self._receiving_since_s = None
        if self._refusal is not None:
            return
        request = self._request()
        self._reading = _NOTHING
        assert self._parser is not None
        keep_alive = self._parser.should_keep_alive()
        if self._busy:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append((request, keep_alive))
            if len(self._waiting) >= PIPELINED_REQUESTS_MAX and self._transport is not None:
                self._transport.pause_reading()
            return
        self._handle(request, keep_alive)

    # -- one request

    def _request(self) -> HttpRequest:
        reading, parser = self._reading, self._parser
        assert parser is not None
        target = reading.url.decode("latin-1")
        path, question, query = target.partition("?")
        return HttpRequest(
            method=parser.get_method().decode("latin-1"),
            path=unquote(path) if "%" in path else path,
            target=target,
            query=parse_qs(query, keep_blank_values=True) if question else _NO_QUERY,
            headers=reading.headers,
            body=bytes(reading.body) if reading.body is not None else b"",
            peer=self.peer,
        )

    def _handle(self, request: HttpRequest, keep_alive: bool) -> None:
        self._busy = True
        try:
            answer = self._server.handler(request, self)
        except Exception as error:
            answer = self._server.crashed(request, error)
        if isinstance(answer, Response):
            self._answer(answer, keep_alive, head_only=request.method == "HEAD")
        else:
            self._task = self._server.spawn(self._run(request, answer, keep_alive))

    async def _run(self, request: HttpRequest, answer: Awaitable[Response | None], keep_alive: bool) -> None:
        try:
            response = await answer
        except Exception as error:
            response = self._server.crashed(request, error)
        if self._on_lost is not None:  # detached: the answer goes on
            self._task, self._keep_alive = None, keep_alive
            if self._reading is _NOTHING:
                self._parser = None  # made again for the next request
            return
        if response is not None and len(response.body) > LARGE_BODY_BYTES and request.method != "HEAD":
            await self._send_large(response, keep_alive)
            response = None
        self._answer(response, keep_alive, head_only=request.method == "HEAD")

    async def _send_large(self, response: Response, keep_alive: bool) -> None:
        """In slices, as fast as the peer takes them: encrypting a large body at once would hold it several times."""
        head = head_of(response.status, response.headers)
        head += b"content-length: %d\r\n" % len(response.body)
        self.write(head + (b"\r\n" if keep_alive else b"connection: close\r\n\r\n"))
        body = memoryview(response.body)
        for start in range(0, len(body), SLICE_BYTES):
            self.write(body[start : start + SLICE_BYTES])
            await self.drain()
            if self.closed:
                return

    def _answer(self, response: Response | None, keep_alive: bool, *, head_only: bool = False) -> None:
        if response is not None:
            self._send(response, keep_alive, head_only=head_only)
        self._task = None
        self._busy = False
        if self._websocket is not None:
            return
        if not keep_alive:
            self.close()
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._waiting:
            if self._transport is not None:
                self._transport.resume_reading()
            self._handle(*self._waiting.popleft())

    def _send(self, response: Response, keep_alive: bool, *, head_only: bool = False) -> None:
        head = head_of(response.status, response.headers)
        head += b"content-length: %d\r\n" % len(response.body)
        head += b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        if not head_only:
            head += response.body
        self.write(head)

    def _refuse(self, response: Response) -> None:
        """Answers (after what is being handled) and closes: the rest of the input cannot be trusted."""
        first = self._refusal is None
        self._refusal = response
        if self._busy or self._transport is None:
            return
        if first or not self._transport.is_closing():
            self._send(response, keep_alive=False)
            self.close()

    # -- for handlers

    @property
    def closed(self) -> bool:
        return self._gone or self._transport is None or self._transport.is_closing()

    @property
    def buffered_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._transport is not None and not self._gone:
            self._transport.write(data)

    def push(self, data: bytes, buffered_bytes_max: int) -> bool:
        transport = self._transport
        if transport is None or self._gone or transport.is_closing() or transport.get_write_buffer_size() > buffered_bytes_max:
            return False
        transport.write(data)
        return True

    @property
    def detached(self) -> bool:
        return self._on_lost is not None

    def detach(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def at_end(self, call: Callable[[], None]) -> None:
        """Once, when the detached answer has ended, either way."""
        self._at_end = call

    def reattach(self) -> None:
        """The detached answer is complete: the next request is served. No effect on others."""
        if self._on_lost is None:
            return
        self._on_lost = None
        if self._task is None:
            self._end()
            self._answer(None, self._keep_alive)

    def _end(self) -> None:
        if (at_end := self._at_end) is not None:
            self._at_end = None
            at_end()

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    async def drain(self) -> None:
        while not self._can_write:
            await self._wait("_drained")

    async def wait_closed(self) -> None:
        while not self._gone:
            await self._wait("_ended")

    async def _wait(self, waiters: str) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        setattr(self, waiters, [*getattr(self, waiters), future])
        await future

    def overdue(self, now_s: float) -> bool:
        """Nobody waits for it: a request that does not arrive, an answer that is not taken, a connection that nobody uses."""
        if self._websocket is not None:
            return False
        if self._stalled_since_s is not None and now_s - self._stalled_since_s > STALL_TIMEOUT_S:
            return True
        if self._busy:
            return False
        if self._receiving_since_s is not None:
            return now_s - self._receiving_since_s > REQUEST_TIMEOUT_S
        return now_s - self.active_s > IDLE_TIMEOUT_S

    @property
    def idle(self) -> bool:
        return not self._busy and self._websocket is None and self._receiving_since_s is None

    def close(self) -> None:
        """Closes after what is buffered has gone out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once: what is buffered is lost."""
        if self._transport is not None:
            with contextlib.suppress(
                AttributeError
            ):  # CPython up to 3.11.2: a TLS transport that was closed twice knows no protocol any more
                self._transport.abort()

    def start_stream(self, status: int, headers: Headers) -> Stream:
        head = head_of(status, headers)
        head += b"transfer-encoding: chunked\r\n\r\n"
        self.write(head)
        return Stream(self)

    async def accept_websocket(self, request: HttpRequest, protocol: str = "") -> "WebSocket":
        """Answers 101 with `protocol` as the agreed subprotocol. Raises ValueError when the request is not a WebSocket handshake."""
        from podium.world.websocket import WebSocket, accept_head  # most connections never become one

        self.write(accept_head(request.headers, protocol))
        socket = self._websocket = WebSocket(self, client=False)
        return socket

    def switch_protocols(self, headers: Headers) -> RawStream:
        """Answers 101; from then on the connection is the caller's, who closes it."""
        self.write(head_of(101, headers) + b"\r\n")
        raw = self._websocket = RawStream(self)
        return raw


class HttpServer:
    """Listens and owns its connections and their tasks.

    `handler` must not raise for bad input; what it raises becomes `on_crash(request, error)`.
    """

    def __init__(
        self,
        handler: Handler,
        tls: ssl.SSLContext | None = None,
        *,
        on_crash: Callable[[HttpRequest, Exception], Response] | None = None,
        on_too_large: Callable[[], Response] | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self.handler, self.body_bytes_max = handler, body_bytes_max
        self.connections: dict[Connection, None] = {}
        self._on_crash = on_crash
        self._on_too_large = on_too_large
        self._servers: list[asyncio.Server] = []
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._loop = asyncio.get_running_loop()
        self._tls = TlsAcceptor(tls, self._connection, self.time) if tls is not None else None
        self._sweep: asyncio.TimerHandle | None = None

    def _connection(self) -> Connection:
        return Connection(self)

    def time(self) -> float:
        return self._loop.time()

    def admit(self, connection: Connection) -> None:
        """One more; beyond the limit somebody has to go."""
        if len(self.connections) >= CONNECTIONS_MAX:
            oldest = next((c for c in islice(self.connections, SHED_LOOKS_MAX) if c.idle), connection)
            self.connections.pop(oldest, None)
            oldest.abort()
            if oldest is connection:
                return
        self.connections[connection] = None

    async def listen(self, host: str, port: int) -> int:
        """Starts to listen; returns the port (useful for port 0). Raises OSError when it is taken."""
        server = await self._loop.create_server(self._tls or self._connection, host, port, backlog=1024)
        self._servers.append(server)
        keep_alive(server.sockets)
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_PERIOD_S, self._close_idle)
        return int(server.sockets[0].getsockname()[1])

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks[task] = None
        task.add_done_callback(lambda t: self._tasks.pop(t, None))
        return task

    def crashed(self, request: HttpRequest, error: Exception) -> Response:
        if self._on_crash is not None:
            return self._on_crash(request, error)
        return Response(500, b"internal error\n", ((b"content-type", b"text/plain"),))

    def too_large(self) -> Response:
        return (
            self._on_too_large() if self._on_too_large else Response(413, b"request body too large\n", ((b"content-type", b"text/plain"),))
        )

    def _close_idle(self) -> None:
        now = self.time()
        for connection in list(self.connections):
            if connection.overdue(now):
                connection.abort()
        if self._tls is not None:
            self._tls.sweep()
        self._sweep = self._loop.call_later(SWEEP_PERIOD_S, self._close_idle)

    async def close(self, grace_s: float = 0.5) -> None:
        """Stops listening, cancels what runs, closes every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for connection in list(self.connections):
            connection.close()
        await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.abort()
        if self._tls is not None:
            self._tls.abort()
