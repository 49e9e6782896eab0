"""The server's TLS, against Python's own on the other side, over loopback. A connection comes, talks, and leaves; or does it badly."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import uvloop

from podium.api.authority import Authority
from podium.world import http_server, tls_transport
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response

GET = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = bytes(range(256)) * 16 * 1024


async def answer(http: HttpRequest, connection: Connection) -> Response:
    match http.path:
        case "/who":
            return Response(200, repr(http.peer).encode())
        case "/large":
            return Response(200, LARGE)
        case "/cut":
            connection.abort()
        case "/close":
            return Response(200, b"bye")
    return Response(200, http.body)


@dataclass
class Place:
    authority: Authority
    stranger: Authority
    server: HttpServer
    port: int

    def tls(self, name: str = "", authority: Authority | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca_path))
        if name:
            context.load_cert_chain(*(authority or self.authority).issue_files(name, name, ["a", "b"]))
        return context

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=tls or self.tls(), limit=1024)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> list[Authority]:
    return [Authority.load_or_create(Path(tmp_path_factory.mktemp("pki"))) for _ in range(2)]


@pytest.fixture
async def place(authorities: list[Authority], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for name, value in (("HANDSHAKE_TIMEOUT_S", 0.1), ("LINGER_TIMEOUT_S", 0.1)):
        monkeypatch.setattr(tls_transport, name, value)
    monkeypatch.setattr(http_server, "SWEEP_PERIOD_S", 0.02)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authorities[0].issue_files("server", "server", hosts=["127.0.0.1"]))
    context.load_verify_locations(cafile=str(authorities[0].ca_path))
    context.verify_mode = ssl.CERT_OPTIONAL
    server = HttpServer(answer, context)
    place = Place(*authorities, server, await server.listen("127.0.0.1", 0))
    yield place
    await server.close()
    await ended(place)


async def ended(place: Place) -> None:
    """Nothing is left of any connection."""
    async with asyncio.timeout(5):
        while place.server.connections or place.server._tls._shaking or place.server._tls._leaving:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)


async def body(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return await reader.readexactly(length)


class SlowReader(asyncio.Protocol):
    """Reads a piece, rests, reads on: under uvloop, whose TLS a cluster's own clients use."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(0.002, self.transport.resume_reading)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


def test_who_reads_slowly_gets_all_of_the_last_answer(authorities: list[Authority]) -> None:
    authority = authorities[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_files("server", "server", hosts=["127.0.0.1"]))

    async def main() -> None:
        server = HttpServer(answer, context)
        port = await server.listen("127.0.0.1", 0)
        trusted = ssl.create_default_context(cafile=str(authority.ca_path))
        try:
            _, reader = await asyncio.get_running_loop().create_connection(SlowReader, "127.0.0.1", port, ssl=trusted)
            async with asyncio.timeout(20):
                await reader.lost
            assert reader.received > len(LARGE)
        finally:
            await server.close()

    uvloop.run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_client_is_known_by_its_certificate(place: Place, version: ssl.TLSVersion) -> None:
    for name, said in (("", b"None"), ("me", b"Peer(common_name='me', organizations=('a', 'b'))")):
        tls = place.tls(name)
        tls.minimum_version = tls.maximum_version = version
        reader, writer = await place.connect(tls)
        writer.write(GET % b"/who")
        assert await body(reader) == said
        writer.close()
    await ended(place)


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 100_000, 3 * 1024 * 1024])
async def test_what_goes_in_comes_out(place: Place, size: int) -> None:
    reader, writer = await place.connect()
    sent = LARGE[:size]
    for _ in range(2):
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + sent)
        assert await body(reader) == sent
    writer.close()


async def test_a_request_byte_by_byte_and_many_at_once(place: Place) -> None:
    reader, writer = await place.connect()
    for byte in GET % b"/who":
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert await body(reader) == b"None"
    writer.write((GET % b"/who") * 50)
    assert [await body(reader) for _ in range(50)] == [b"None"] * 50
    writer.close()


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", bytes(100_000)], ids=["HTTP", "a hello", "zeros"]
)
async def test_what_is_not_tls_is_cut_off(place: Place, first: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(first)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert len(await reader.read()) < 100  # an alert at most
    writer.close()
    await ended(place)


async def test_a_handshake_that_does_not_come_is_cut_off(place: Place) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    await ended(place)


async def test_one_handshake_too_many_is_closed_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_transport, "SHAKING_MAX", 3)
    monkeypatch.setattr(tls_transport, "HANDSHAKE_TIMEOUT_S", 1000.0)
    waiting = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(3)]
    await asyncio.sleep(0.02)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await place.connect()
    for _, writer in waiting:
        writer.close()
    await asyncio.sleep(0.02)
    reader, writer = await place.connect()
    writer.write(GET % b"/who")
    assert await body(reader) == b"None"
    writer.close()


async def test_a_certificate_of_another_authority_is_refused_with_a_reason(place: Place) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)) as raised:
        reader, writer = await place.connect(place.tls("stranger", place.stranger))
        writer.write(GET % b"/who")
        await body(reader)
    assert "ALERT" in str(raised.value).upper()
    await ended(place)


async def test_an_answer_arrives_even_while_the_client_still_sends(place: Place) -> None:
    """To close at once would reset the connection."""
    reader, writer = await place.connect()
    writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n")
    for _ in range(100):
        writer.write(bytes(100_000))
    async with asyncio.timeout(5):
        heard = await reader.read()
    assert heard.startswith(b"HTTP/1.1 413")
    writer.close()
    await ended(place)


@pytest.mark.parametrize(
    "leave", [lambda writer: writer.close(), lambda writer: writer.transport.abort(), lambda writer: writer.write(GET % b"/cut")],
    ids=["says goodbye", "just goes", "is cut off"],
)  # fmt: skip
async def test_who_leaves_is_forgotten(place: Place, leave: Callable[[asyncio.StreamWriter], None]) -> None:
    reader, writer = await place.connect()
    writer.write(GET % b"/who")
    await body(reader)
    assert len(place.server.connections) == 1
    leave(writer)
    await ended(place)


async def test_a_client_that_never_leaves_is_cut_off(place: Place) -> None:
    reader, writer = await place.connect()
    writer.write(b"GET /close HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert await body(reader) == b"bye"
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await ended(place)


async def test_one_too_many_who_will_not_leave_is_cut_off_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_transport, "LEAVING_MAX", 2)
    monkeypatch.setattr(tls_transport, "LINGER_TIMEOUT_S", 1000.0)
    open_ = []
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        open_.append((reader, writer))
        writer.write(b"this is not TLS" * 10)
        await asyncio.sleep(0.02)
    leaving = place.server._tls._leaving  # type: ignore[union-attr]
    assert len(leaving) == 2
    for _, writer in open_:
        writer.close()
    await ended(place)


async def test_an_answer_that_nobody_takes_is_not_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "STALL_TIMEOUT_S", 0.2)
    reader, writer = await place.connect()
    for _ in range(20):
        writer.write(GET % b"/large")
    await asyncio.sleep(0.05)
    (connection,) = place.server.connections
    assert 0 < connection.buffered_bytes < 1024 * 1024
    await ended(place)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        for _ in range(20):
            await body(reader)
    writer.close()


async def test_a_broken_record_ends_the_connection(place: Place) -> None:
    """After a good handshake, by hand: what arrives is not what was sent."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = place.tls().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(10_000))
    tls.write(GET % b"/who")
    sent = bytearray(outgoing.read())
    sent[-1] ^= 1
    writer.write(sent)
    async with asyncio.timeout(5):
        incoming.write(await reader.read())
    with pytest.raises(ssl.SSLError, match=r"(?i)alert bad record mac"):
        tls.read(1000)
    writer.close()
    await ended(place)
