"""The cluster's DNS server: UDP and TCP on one address, for the zone and, when resolvers are configured, for everything else through them.

Bounds: QUESTIONS_MAX questions wait for resolvers at once (further ones answer SERVFAIL), a TCP connection may be idle TCP_IDLE_S.
Without resolvers, names outside the zone are REFUSED: the server never answers for what it does not know.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from podium.instrument.log import logger
from podium.network import dns_wire
from podium.network.dns_wire import Malformed, Query
from podium.network.dns_zone import Zone
from podium.network.measurements import DnsMeasurements
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("network.dns")

QUESTIONS_MAX = 200
RESOLVER_PATIENCE_S = 2.0
TCP_IDLE_S = 10.0
TCP_MESSAGES_BUFFERED_MAX = 64 * 1024
LISTEN_RETRY_S = 5.0

Send = Callable[[bytes], None]


class DnsServer:
    """`listen` once; then it answers until the supervisor stops it."""

    def __init__(
        self,
        zone: Zone,
        world: World,
        supervisor: Supervisor,
        resolvers: Sequence[str] = (),
        *,
        resolver_port: int = 53,
        measurements: DnsMeasurements | None = None,
    ) -> None:
        self._zone = zone
        self._measurements = measurements or DnsMeasurements(world)
        self._random = world.random("dns")
        self._supervisor = supervisor
        self._resolvers = tuple(resolvers)
        self._resolver_port = resolver_port
        self._waiting = 0

    async def run(self, host: str, port: int = 53) -> None:
        """Listens until cancelled; tries again while the port is taken."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, port))
                try:
                    server = await loop.create_server(lambda: _Stream(self), host, port)
                except OSError:
                    datagrams.close()
                    raise
                break
            except OSError as error:
                log.warning("DNS cannot listen", host=host, port=port, error=str(error))
                await asyncio.sleep(LISTEN_RETRY_S)
        try:
            await asyncio.Event().wait()
        finally:
            datagrams.close()
            server.close()

    def handle(self, message: bytes, send: Send, *, stream: bool) -> None:
        """Answers now, or later through a resolver."""
        try:
            query = dns_wire.parse_query(message)
        except Malformed:
            refusal = dns_wire.error(message, dns_wire.FORMAT_ERROR)
            if refusal is not None:
                send(refusal)
            return
        bytes_max = 65535 if stream else query.udp_bytes_max
        ours = self._zone.holds(query.name)
        send = self._measurements.asked(f"{'.'.join(self._zone.name)}." if ours else ".", query.type, send, stream=stream)
        if ours:
            self._answer(query, send, bytes_max)
        elif not self._resolvers:
            send(dns_wire.answer(query, dns_wire.REFUSED, authoritative=False))
        else:
            self._later(self._forward(query, message, send, bytes_max), query, send)

    def _answer(self, query: Query, send: Send, bytes_max: int) -> None:
        found = self._zone.answer(query.name, query.type)
        if found.alias and self._resolvers and query.type in (dns_wire.A, dns_wire.AAAA):
            self._later(self._resolve_alias(query, found.records, found.alias, send, bytes_max), query, send)
            return
        records = list(found.records)
        if len(records) > 1 and records[0].type != dns_wire.CNAME:
            self._random.shuffle(records)
        authority = [] if records else [self._zone.soa()]
        send(dns_wire.answer(query, found.code, records, authority, found.additional, recursion=bool(self._resolvers), bytes_max=bytes_max))

    def _later(self, work: Coroutine[Any, Any, None], query: Query, send: Send) -> None:
        if self._waiting >= QUESTIONS_MAX:
            work.close()
            send(dns_wire.answer(query, dns_wire.SERVER_FAILURE, authoritative=False, recursion=True))
            return
        self._supervisor.start("dns/question", work)

    async def _forward(self, query: Query, message: bytes, send: Send, bytes_max: int) -> None:
        reply = await self._ask(message)
        if reply is None or len(reply) > bytes_max:
            truncated = reply is not None
            code = dns_wire.NO_ERROR if truncated else dns_wire.SERVER_FAILURE
            send(dns_wire.answer(query, code, authoritative=False, recursion=True, bytes_max=12 if truncated else bytes_max))
            return
        send(reply)

    async def _resolve_alias(self, query: Query, records: list[dns_wire.Record], alias: dns_wire.Name, send: Send, bytes_max: int) -> None:
        reply = await self._ask(dns_wire.make_query(self._random.getrandbits(16), alias, query.type))
        found: list[dns_wire.Record] = []
        with contextlib.suppress(Malformed):
            found = dns_wire.read_answers(reply)[1] if reply else []
        send(dns_wire.answer(query, dns_wire.NO_ERROR, [*records, *found], recursion=True, bytes_max=bytes_max))

    async def _ask(self, message: bytes) -> bytes | None:
        """Each resolver in turn, until one answers."""
        self._waiting += 1
        try:
            for resolver in self._resolvers:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(RESOLVER_PATIENCE_S):
                        return await _exchange(resolver, self._resolver_port, message)
            return None
        finally:
            self._waiting -= 1


async def _exchange(resolver: str, port: int, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Question(message[:2], reply), remote_addr=(resolver, port))
    try:
        transport.sendto(message)
        return await reply
    finally:
        transport.close()


class _Question(asyncio.DatagramProtocol):
    """Waits for the datagram with the question's id."""

    def __init__(self, identifier: bytes, reply: "asyncio.Future[bytes]") -> None:
        self._identifier = identifier
        self._reply = reply

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self._identifier and not self._reply.done():
            self._reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._reply.done():
            self._reply.set_exception(exc)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self._transport
        assert transport is not None
        self._server.handle(data, lambda reply: None if transport.is_closing() else transport.sendto(reply, addr), stream=False)


class _Stream(asyncio.Protocol):
    """Messages with a length before each."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        self._rest()
        self._buffer += data
        while len(self._buffer) >= 2:
            size = int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < 2 + size:
                break
            message = bytes(self._buffer[2 : 2 + size])
            del self._buffer[: 2 + size]
            self._server.handle(message, self._send, stream=True)
        if len(self._buffer) > TCP_MESSAGES_BUFFERED_MAX + 2 and self._transport is not None:
            self._transport.abort()

    def _send(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(struct.pack("!H", len(reply)) + reply)

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        assert self._transport is not None
        self._idle = asyncio.get_running_loop().call_later(TCP_IDLE_S, self._transport.close)
