"""What a hostile or broken client can do to a server: no more than its bounds allow. Over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from podium.world import http_server
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response


async def answer(http: HttpRequest, connection: Connection) -> Response | None:
    return Response(200, b"x" * (4 * 1024 * 1024) if http.path == "/large" else b"ok")


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    for name, value in (("SWEEP_PERIOD_S", 0.02), ("REQUEST_TIMEOUT_S", 0.1), ("IDLE_TIMEOUT_S", 0.2), ("STALL_TIMEOUT_S", 0.1)):
        monkeypatch.setattr(http_server, name, value)
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 20)
    server = HttpServer(answer)
    yield await server.listen("127.0.0.1", 0)
    await server.close()


async def said(port: int, send: bytes, then: Callable[[int], bytes] | None = None) -> bytes:
    """What the server says to `send` and then ever more of `then(i)`, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(send)

    async def more() -> None:
        for i in range(10_000):
            assert then is not None
            writer.write(then(i))
            await writer.drain()
            await asyncio.sleep(0)

    task = asyncio.ensure_future(more()) if then is not None else None
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        if task is not None:
            task.cancel()
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("send", "then", "status"),
    [
        (HEAD, lambda i: b"x-%d: %b\r\n" % (i, b"v" * 1000), b"431"),
        (HEAD + b"x: ", lambda i: b"v" * 10_000, b"431"),
        (b"GET /", lambda i: b"v" * 10_000, b"431"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", lambda i: b"2710\r\n" + b"v" * 10_000 + b"\r\n", b"413"),
        (HEAD + b"content-length: 99999999999\r\n\r\n", None, b"413"),
        (HEAD + b"content-length: -1\r\n\r\n", None, b"400"),
        (HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc", None, b"400"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", lambda i: b"v" * 100_000, b"400"),
        (b"\x16\x03\x01\x00\xa5\x01", None, b"400"),
        (b"\x00" * 100, None, b"400"),
    ],
    ids=["headers", "a header", "a path", "chunks", "a length", "less than nothing", "two lengths", "a trailer", "TLS", "zeros"],
)
async def test_endless_and_broken_input_is_refused(port: int, send: bytes, then: Callable[[int], bytes] | None, status: bytes) -> None:
    heard = await said(port, send, then)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 " + status), heard[:100]
    if then is None:
        assert heard


@pytest.mark.parametrize(
    "send", [b"", b"GET", HEAD, HEAD + b"content-length: 5\r\n\r\nab"], ids=["nothing", "a word", "a head", "half a body"]
)
async def test_what_does_not_come_whole_is_cut_off(port: int, send: bytes) -> None:
    assert await said(port, send) == b""


async def test_one_byte_at_a_time_does_not_keep_a_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in b"GET / HTTP/1.1\r\nhost: x" + b"x" * 100:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.005)
        if reader.at_eof():
            break
    try:
        assert await reader.read() == b""
    except ConnectionError:
        pass  # a byte that came after the end is answered with a reset: cut off as well
    writer.close()


async def test_an_answer_that_nobody_takes_is_not_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.sleep(0.5)
    received = 0
    try:
        while data := await reader.read(65536):
            received += len(data)
    except ConnectionError:
        pass
    assert received < 4 * 1024 * 1024
    writer.close()


async def test_one_connection_too_many_costs_the_one_that_is_idle_longest(port: int) -> None:
    first_reader, first = await asyncio.open_connection("127.0.0.1", port)
    first.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await first_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    assert await first_reader.read() == b""
    reader, writer = others[-1]
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    for _, other in [(None, first), *others]:
        other.close()


async def test_when_all_are_busy_a_further_connection_is_closed(port: int) -> None:
    busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    for _, writer in busy:
        writer.write(b"GET / HTTP")
    await asyncio.sleep(0.02)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert await reader.read() == b""
    except ConnectionError:
        pass
    for _, other in [*busy, (None, writer)]:
        other.close()
