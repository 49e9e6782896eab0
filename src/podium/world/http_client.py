"""HTTP/1.1 over TLS on asyncio: the client side, to one server, with kept-alive connections, streams and WebSockets.

Bounds: `connections_max` at once for plain requests (further ones wait), RESPONSE_BYTES_MAX, HEAD_BYTES_MAX, `timeout_s` a request;
a stream has a connection of its own and stops reading the socket while its consumer lags by `STREAM_BUFFER_BYTES_MAX`.
Every failure of the connection is a ConnectionError; the caller decides whether to try again.
"""

import asyncio
import base64
import os
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import httptools

from podium.world.http_tunnel import Tunnel, open_tunnel
from podium.world.raw_stream import RawStream

if TYPE_CHECKING:
    from podium.world.websocket import WebSocket

RESPONSE_BYTES_MAX = 512 * 1024 * 1024
STREAM_BUFFER_BYTES_MAX = 4 * 1024 * 1024
HEAD_BYTES_MAX = 256 * 1024
CONNECT_TIMEOUT_S = 10.0
IDLE_MAX = 64


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Exchange(asyncio.Protocol):
    """One connection; at most one exchange at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._head: asyncio.Future[None] | None = None
        self._arrived = asyncio.Event()
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self.websocket: WebSocket | None = None
        self.raw: RawStream | None = None
        self.wants_raw = False
        self.transport: asyncio.Transport | None = None
        self._keep_alive = False
        self._until_close = False
        self._head_bytes = 0
        self.closed = False
        self.complete = False
        self.status = 0
        self.headers: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if error is None and self._until_close:  # a body without a length ends with its connection
            self.complete = True
        if error is None and self._is_delimited_by_close():
            self.complete = True
        self._can_write.set()
        if self.websocket is not None:
            self.websocket.connection_lost()
        if self.raw is not None:
            self.raw.connection_lost()
        if self._head is not None and not self._head.done():
            self._head.set_exception(ConnectionResetError(f"the server closed the connection: {error or 'end of stream'}"))
        self._arrived.set()

    def _is_delimited_by_close(self) -> bool:
        """RFC 9112, section 6.3: a body without a length, as HTTP/1.0 servers send it."""
        has_head = self._head is not None and self._head.done() and not self._head.cancelled() and self._head.exception() is None
        return has_head and self.status >= 200 and "content-length" not in self.headers and "transfer-encoding" not in self.headers

    def data_received(self, data: bytes) -> None:
        if (taken_over := self.raw or self.websocket) is not None:
            taken_over.data_received(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(f"malformed HTTP response: {error}")
        if self._head is not None and not self._head.done():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(f"the head of the response is larger than {HEAD_BYTES_MAX} bytes")

    def _refuse(self, why: str) -> None:
        if self._head is not None and not self._head.done():
            self._head.set_exception(ConnectionResetError(why))
        self.close()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # -- parser callbacks

    def on_message_begin(self) -> None:
        self.headers = {}
        self.complete = False
        self._until_close = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            return
        self.status = status
        self._until_close = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        self._arrived.set()
        if self._buffered > STREAM_BUFFER_BYTES_MAX and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 100:
            self.complete = True
            self._keep_alive = self._parser.should_keep_alive()
            self._arrived.set()

    # -- use

    async def send(self, data: bytes) -> None:
        """Writes a request and waits for the head of its response."""
        if self.closed or self.transport is None:
            raise ConnectionResetError("the connection is closed")
        self._head = self._loop.create_future()
        self._head_bytes = 0
        self._chunks.clear()
        self._buffered = 0
        self.complete = False
        self.transport.write(data)
        await self._head

    async def chunk(self) -> bytes | None:
        """What has arrived of the body, all of it; None at its end. Raises ConnectionResetError when it was cut off."""
        while not self._chunks:
            if self.complete:
                return None
            if self.closed:
                raise ConnectionResetError("the server closed the connection within a response")
            self._arrived.clear()
            await self._arrived.wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused and self.transport is not None and not self.closed:
            self._paused = False
            self.transport.resume_reading()
        return data

    def _upgraded(self, rest: bytes) -> None:
        if self.wants_raw:
            self.raw = RawStream(self)
            if rest:
                self.raw.data_received(rest)
            return
        from podium.world.websocket import WebSocket

        self.websocket = WebSocket(self, client=True, protocol=self.headers.get("sec-websocket-protocol", ""))
        if rest:
            self.websocket.data_received(rest)

    # -- ByteTransport, for the WebSocket

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.closed:
            self.transport.write(data)

    def pause_reading(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    async def drain(self) -> None:
        await self._can_write.wait()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    @property
    def reusable(self) -> bool:
        return not self.closed and self.complete and self._keep_alive and not self._paused


class ResponseStream:
    """A response whose body is read as it comes. Close it, or use `async with`: read to its end, its connection is used again."""

    def __init__(self, exchange: _Exchange, release: Callable[[_Exchange], None]) -> None:
        self._exchange = exchange
        self._release = release
        self.status = exchange.status
        self.headers = exchange.headers

    async def __aenter__(self) -> "ResponseStream":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        while (data := await self._exchange.chunk()) is not None:
            yield data

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([data async for data in self])

    async def lines(self) -> AsyncIterator[bytes]:
        """The body line by line, without the newline."""
        rest = b""
        async for data in self:
            *lines, rest = (rest + data).split(b"\n") if rest else data.split(b"\n")
            for line in lines:
                yield line
        if rest:
            yield rest

    def close(self) -> None:
        self._release(self._exchange)


class HttpClient:
    """Requests to one server."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        *,
        server_hostname: str = "",
        connections_max: int = 64,
        timeout_s: float = 60.0,
        tunnel: Tunnel | None = None,
    ) -> None:
        """`tunnel`: connections go through that proxy (CONNECT)."""
        self.host, self.port = host, port
        self._tunnel = tunnel
        self._tls = tls
        self._server_hostname = server_hostname or host
        self._timeout_s = timeout_s
        self._idle: list[_Exchange] = []
        self._slots = asyncio.Semaphore(connections_max)
        self._open: dict[_Exchange, None] = {}
        self._host_header = f"host: {f'[{host}]' if ':' in host else host}:{port}\r\n"

    async def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None, *, timeout_s: float | None = None
    ) -> HttpResponse:
        """Raises ConnectionError (also when `timeout_s` ran out: TimeoutError is an OSError, not a ConnectionError, so it is told apart)."""
        data = self._encode(method, target, body, headers)
        async with self._slots, asyncio.timeout(timeout_s or self._timeout_s):
            exchange = await self._connection()
            try:
                await exchange.send(data)
                chunks = []
                size = 0
                while (chunk := await exchange.chunk()) is not None:
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > RESPONSE_BYTES_MAX:
                        raise ConnectionResetError(f"the response is larger than {RESPONSE_BYTES_MAX} bytes")
            except BaseException:
                self._drop(exchange)
                raise
            response = HttpResponse(exchange.status, exchange.headers, b"".join(chunks))
            self._release(exchange)
            return response

    async def stream(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> ResponseStream:
        """The response from its head on; the body comes as it is sent."""
        data = self._encode(method, target, body, headers)
        exchange = await self._connection()
        try:
            async with asyncio.timeout(self._timeout_s):
                await exchange.send(data)
        except BaseException:
            self._drop(exchange)
            raise
        return ResponseStream(exchange, self._release)

    async def websocket(
        self, target: str, protocols: tuple[str, ...] = (), headers: dict[str, str] | None = None
    ) -> "WebSocket | HttpResponse":
        """An open WebSocket, or the server's refusal."""
        key = base64.b64encode(os.urandom(16)).decode()
        handshake = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13", "sec-websocket-key": key}
        if protocols:
            handshake["sec-websocket-protocol"] = ", ".join(protocols)
        exchange = await self._connect()
        try:
            async with asyncio.timeout(self._timeout_s):
                await exchange.send(self._encode("GET", target, b"", {**(headers or {}), **handshake}))
                if exchange.status != 101:
                    body = await ResponseStream(exchange, self._drop).read()
                    self._drop(exchange)
                    return HttpResponse(exchange.status, exchange.headers, body)
                while exchange.websocket is None:
                    await asyncio.sleep(0)
        except BaseException:
            self._drop(exchange)
            raise
        from podium.world.websocket import accept_key

        if exchange.headers.get("sec-websocket-accept") != accept_key(key):
            self._drop(exchange)
            raise ConnectionResetError("the server's WebSocket handshake is wrong")
        return exchange.websocket

    async def upgrade(self, method: str, target: str, headers: dict[str, str]) -> tuple[dict[str, str], RawStream] | HttpResponse:
        """Passes an upgrade on: the headers of the 101 and the bytes from then on, or the server's refusal."""
        exchange = await self._connect()
        exchange.wants_raw = True
        try:
            async with asyncio.timeout(self._timeout_s):
                await exchange.send(self._encode(method, target, b"", headers))
                if exchange.status != 101:
                    body = await ResponseStream(exchange, self._drop).read()
                    self._drop(exchange)
                    return HttpResponse(exchange.status, exchange.headers, body)
                while exchange.raw is None:
                    await asyncio.sleep(0)
        except BaseException:
            self._drop(exchange)
            raise
        return exchange.headers, exchange.raw

    def _encode(self, method: str, target: str, body: bytes, headers: dict[str, str] | None) -> bytes:
        lines = [f"{method} {target} HTTP/1.1\r\n"]
        if headers is None or "host" not in headers:
            lines.append(self._host_header)
        for name, value in (headers or {}).items():
            lines.append(f"{name}: {value}\r\n")
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1") + body

    async def _connection(self) -> _Exchange:
        while self._idle:
            exchange = self._idle.pop()
            if not exchange.closed and exchange.transport is not None and not exchange.transport.is_closing():
                return exchange
            self._open.pop(exchange, None)
        return await self._connect()

    async def _connect(self) -> _Exchange:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if self._tunnel is not None:
                    exchange = _Exchange()
                    await open_tunnel(self._tunnel, self.host, self.port, exchange, self._tls, self._server_hostname)
                else:
                    _, exchange = await loop.create_connection(
                        _Exchange, self.host, self.port, ssl=self._tls, server_hostname=self._server_hostname if self._tls else None
                    )
        except ssl.SSLError as error:
            raise ConnectionAbortedError(f"TLS with {self.host}:{self.port} failed: {error}") from error
        except TimeoutError as error:
            raise ConnectionAbortedError(f"no connection to {self.host}:{self.port} within {CONNECT_TIMEOUT_S:g} s") from error
        except OSError as error:
            # The loop says nothing more than the class of an error when the other end closes within the handshake.
            why = error.strerror or str(error) or ("the server ended the TLS handshake" if self._tls else type(error).__name__)
            raise ConnectionRefusedError(f"no connection to {self.host}:{self.port}: {why}") from error
        self._open[exchange] = None
        return exchange

    def _release(self, exchange: _Exchange) -> None:
        """Kept for the next request when its answer was read to the end."""
        if exchange.reusable and exchange in self._open and len(self._idle) < IDLE_MAX:
            if exchange not in self._idle:
                self._idle.append(exchange)
        else:
            self._drop(exchange)

    def _drop(self, exchange: _Exchange) -> None:
        self._open.pop(exchange, None)
        exchange.close()

    def close_idle(self) -> None:
        """Closes the connections that nobody uses; those in use are closed by whoever reads them."""
        for exchange in self._idle:
            self._drop(exchange)
        self._idle.clear()

    async def aclose(self) -> None:
        for exchange in list(self._open):
            self._drop(exchange)
        self._idle.clear()
