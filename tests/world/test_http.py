"""The HTTP protocols, client against server, over plain loopback TCP."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from podium.world import http_server
from podium.world.http_client import HttpClient, HttpResponse
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from podium.world.websocket import WebSocket

PLAIN = ((b"content-type", b"text/plain"),)


def _handler(request: HttpRequest, connection: Connection) -> object:
    async def serve() -> Response | None:
        match request.path:
            case "/echo":
                return Response(200, request.body, PLAIN)
            case "/query":
                return Response(200, repr(sorted(request.query.items())).encode(), PLAIN)
            case "/boom":
                raise RuntimeError("a bug")
            case "/lines":
                stream = connection.start_stream(200, PLAIN)
                for i in range(3):
                    stream.write(b"line %d\n" % i)
                    await stream.drain()
                stream.end()
                return None
            case "/cut":
                stream = connection.start_stream(200, PLAIN)
                stream.write(b"half")
                connection.abort()
                return None
            case "/socket":
                socket = await connection.accept_websocket(request, "v5")
                while (message := await socket.receive()) is not None:
                    socket.send(message[1][::-1])
                return None
        return Response(404, b"no", PLAIN)

    return Response(200, b"at once", PLAIN) if request.path == "/sync" else serve()


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    server = HttpServer(_handler)  # type: ignore[arg-type]
    client = HttpClient("127.0.0.1", await server.listen("127.0.0.1", 0))
    yield client
    await client.aclose()
    await server.close()
    assert not server.connections


async def test_requests_share_a_connection(client: HttpClient) -> None:
    for body in (b"", b"x", b"y" * 100_000):
        response = await client.request("POST", "/echo", body)
        assert (response.status, response.body) == (200, body)
    assert (await client.request("GET", "/sync")).body == b"at once"
    assert len(client._open) == 1


async def test_the_query_is_decoded(client: HttpClient) -> None:
    response = await client.request("GET", "/query?a=1&b=x%20y&a=2&empty=")
    assert response.body == b"[('a', ['1', '2']), ('b', ['x y']), ('empty', [''])]"


@pytest.mark.parametrize(("size", "status"), [(http_server.BODY_BYTES_MAX, 200), (http_server.BODY_BYTES_MAX + 1, 413)])
async def test_a_body_beyond_the_limit_is_refused(client: HttpClient, size: int, status: int) -> None:
    assert (await client.request("POST", "/echo", bytes(size))).status == status


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413), (10_000_000, 413)])
async def test_a_server_may_have_another_limit_for_bodies(size: int, status: int) -> None:
    server = HttpServer(_handler, body_bytes_max=1000)  # type: ignore[arg-type]
    client = HttpClient("127.0.0.1", await server.listen("127.0.0.1", 0))
    assert (await client.request("POST", "/echo", bytes(size))).status == status
    await client.aclose()
    await server.close()


async def test_headers_beyond_the_limit_are_refused(client: HttpClient) -> None:
    assert (await client.request("GET", "/sync", headers={"x": "y" * http_server.HEADER_BYTES_MAX})).status == 431


async def test_a_bug_in_the_handler_is_a_500_and_the_next_request_works(client: HttpClient) -> None:
    assert (await client.request("GET", "/boom")).status == 500
    assert (await client.request("GET", "/sync")).status == 200


async def test_a_stream_is_read_line_by_line(client: HttpClient) -> None:
    async with await client.stream("GET", "/lines") as stream:
        assert [line async for line in stream.lines()] == [b"line 0", b"line 1", b"line 2"]


async def test_a_stream_that_is_cut_off_is_an_error(client: HttpClient) -> None:
    with pytest.raises(ConnectionError):
        async with await client.stream("GET", "/cut") as stream:
            await stream.read()


async def test_websocket_messages_come_whole_in_both_directions(client: HttpClient) -> None:
    socket = await client.websocket("/socket", ("v5", "v4"))
    assert isinstance(socket, WebSocket) and socket.protocol == "v5"
    for message in (b"abc", b"x" * 200_000):
        socket.send(message)
        assert await socket.receive() == (2, message[::-1])
    await socket.close()


async def test_a_refused_websocket_is_a_response(client: HttpClient) -> None:
    answer = await client.websocket("/other")
    assert isinstance(answer, HttpResponse) and answer.status == 404


async def test_nobody_there_is_a_connection_error() -> None:
    with pytest.raises(ConnectionRefusedError, match=r"no connection to 127\.0\.0\.1:1"):
        await HttpClient("127.0.0.1", 1).request("GET", "/")


RAW = [
    (b"NONSENSE\r\n\r\n", b"400"),
    (b"GET /sync HTTP/1.1\r\nhost: x\r\n\r\nGET /echo HTTP/1.1\r\nhost: x\r\n\r\n", b"200"),
    (b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", b"413"),
    (b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi", b"100"),
]


@pytest.mark.parametrize(("sent", "status"), RAW)
async def test_raw_bytes_are_answered(client: HttpClient, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    assert (await reader.readline()).split()[1] == status
    writer.close()


async def test_pipelined_requests_are_answered_in_order(client: HttpClient) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    count = 3 * http_server.PIPELINED_REQUESTS_MAX
    for i in range(count):
        body = b"%d" % i
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    writer.write(b"GET /sync HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answers = (await reader.read()).decode()
    bodies = [part.rpartition("\r\n\r\n")[2] for part in answers.split("HTTP/1.1 200 OK")[1:]]
    assert bodies == [*(str(i) for i in range(count)), "at once"]
    writer.close()


@pytest.mark.parametrize(("head", "body"), [(b"HTTP/1.0 200 OK\r\n\r\nbody", b"body"), (b"HTTP/1.0 204 No Content\r\n\r\n", b"")])
async def test_a_body_may_end_with_the_connection(head: bytes, body: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient("127.0.0.1", server.sockets[0].getsockname()[1])
    assert (await client.request("GET", "/")).body == body
    await client.aclose()
    server.close()


async def test_a_body_shorter_than_its_length_is_an_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbody")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient("127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises(ConnectionError):
        await client.request("GET", "/")
    await client.aclose()
    server.close()
