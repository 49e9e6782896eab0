"""Services without rights: a TCP proxy that listens on each Service's own address, which lies in 127.0.0.0/8 and so needs no set-up.

Also what the kernel's rules leave out: node ports on 127.0.0.1, and the way from pods to an API server that listens on 127.0.0.1 only.

A connection is handed to an endpoint drawn at random; one that refuses is passed over, as kube-proxy's userspace mode did. The server
sees the proxy's address, not the client's. UDP and SCTP ports, and ports that may not be bound, are told once by `on_refused`.
Bounds: CONNECTIONS_MAX at once (further ones are closed), CHUNK_BYTES_MAX buffered in each direction of each.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from podium.instrument.log import logger
from podium.network.services import Endpoint, Forward
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("network.proxy")

CONNECTIONS_MAX = 2_000
CHUNK_BYTES_MAX = 256 * 1024
CONNECT_PATIENCE_S = 5.0
NODE_PORT_HOST = "127.0.0.1"

Refused = Callable[[Forward, str], None]


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    host: str
    port: int


def plan_listeners(forwards: Iterable[Forward], *, cluster_ips: bool, node_ports: bool) -> tuple[dict[Listener, Forward], list[Forward]]:
    """Where to listen and for what (a forward's `endpoints` are those to choose from); and forwards of other protocols than TCP."""
    listeners: dict[Listener, Forward] = {}
    other: list[Forward] = []
    for forward in forwards:
        if forward.protocol != "TCP":
            other.append(forward)
            continue
        if cluster_ips:
            listeners.update({Listener(address, forward.port): forward for address in forward.addresses if address.startswith("127.")})
        if node_ports and forward.node_port:
            listeners[Listener(NODE_PORT_HOST, forward.node_port)] = forward
    return listeners, other


class LoopbackProxy:
    """Keeps listening sockets equal to the last plan."""

    def __init__(self, world: World, supervisor: Supervisor, on_refused: Refused | None = None) -> None:
        self._random = world.random("proxy")
        self._supervisor = supervisor
        self._on_refused = on_refused
        self._told: dict[Forward, str] = {}
        self._servers: dict[Listener, asyncio.Server] = {}
        self._fixed: dict[Listener, asyncio.Server] = {}
        self._targets: dict[Listener, tuple[Endpoint, ...]] = {}
        self._connections = 0

    async def apply(self, forwards: Iterable[Forward], *, cluster_ips: bool = True, node_ports: bool = True) -> None:
        wanted, other = plan_listeners(forwards, cluster_ips=cluster_ips, node_ports=node_ports)
        for listener in sorted(set(self._servers) - set(wanted)):
            self._servers.pop(listener).close()
            self._targets.pop(listener, None)
        for listener, forward in wanted.items():
            self._targets[listener] = forward.node_endpoints if listener.host == NODE_PORT_HOST else forward.endpoints
            if listener not in self._servers:
                await self._listen(listener, forward)
        if cluster_ips:
            for forward in other:
                self._tell(forward, f"port {forward.port}/{forward.protocol}: without root only TCP ports of Services are forwarded")

    async def forward(self, host: str, port: int, target: Endpoint) -> None:
        """One fixed forwarding. Raises OSError."""
        listener = Listener(host, port)
        self._targets[listener] = (target,)
        loop = asyncio.get_running_loop()
        self._fixed[listener] = await loop.create_server(lambda: _Client(self, listener), host, port)

    async def _listen(self, listener: Listener, forward: Forward) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._servers[listener] = await loop.create_server(lambda: _Client(self, listener), listener.host, listener.port)
        except PermissionError:
            self._tell(forward, f"port {listener.port}: ports below 1024 need root (or net.ipv4.ip_unprivileged_port_start)")
        except OSError as error:
            self._tell(forward, f"cannot listen on {listener.host}:{listener.port}: {error.strerror or error}")

    def _tell(self, forward: Forward, why: str) -> None:
        key = Forward(forward.namespace, forward.name, "", forward.protocol, forward.port, (), ())
        if self._told.get(key) != why:
            self._told[key] = why
            log.warning("service port not forwarded", service=f"{forward.namespace}/{forward.name}", why=why)
            if self._on_refused is not None:
                self._on_refused(forward, why)

    def accept(self, listener: Listener, client: "_Client") -> None:
        if self._connections >= CONNECTIONS_MAX:
            client.abort()
            return
        self._supervisor.start("proxy/connect", self._connect(listener, client))

    async def _connect(self, listener: Listener, client: "_Client") -> None:
        """Tries the endpoints in a random order."""
        self._connections += 1
        try:
            targets = list(self._targets.get(listener, ()))
            self._random.shuffle(targets)
            loop = asyncio.get_running_loop()
            for target in targets:
                try:
                    async with asyncio.timeout(CONNECT_PATIENCE_S):
                        await loop.create_connection(lambda: _Server(client), target.ip, target.port)
                except (OSError, TimeoutError):
                    continue
                await client.closed.wait()
                return
            client.abort()
        finally:
            self._connections -= 1

    async def close(self) -> None:
        """Stops listening; connections go on until their ends close them."""
        for servers in (self._servers, self._fixed):
            for listener in sorted(servers):
                servers.pop(listener).close()


class _Half(asyncio.Protocol):
    """One side of a connection; writes what it reads to the other, and stops reading while the other lags."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Half | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=CHUNK_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """The other direction may go on; when both have ended, both sides close."""
        self._ended = True
        if self.other is None or self.other.transport is None or self.other._ended:
            return False
        if not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            if exc is None:
                self.other.transport.close()
            else:
                self.other.transport.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Client(_Half):
    def __init__(self, proxy: LoopbackProxy, listener: Listener) -> None:
        super().__init__()
        self._proxy = proxy
        self._listener = listener
        self.closed = asyncio.Event()
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self._proxy.accept(self._listener, self)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self._early.append(data)  # one read's worth: then nothing more until there is somewhere to write
        assert self.transport is not None
        self.transport.pause_reading()

    def join(self, server: "_Server") -> None:
        self.other, server.other = server, self
        assert self.transport is not None and server.transport is not None
        for data in self._early:
            server.transport.write(data)
        self._early.clear()
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set()


class _Server(_Half):
    def __init__(self, client: _Client) -> None:
        super().__init__()
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        client = self._client
        if client.transport is None or client.transport.is_closing():
            self.abort()
            return
        client.join(self)
