"""A stand-alone Alertmanager: configuration from a file, state on disk, an HTTP server, replicas by address.

`serve` returns when `stopping` is set. The configuration is read again on POST /-/reload and on SIGHUP (`reload` event); a bad one is refused
with a message and the old one stays.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.alertmanager.api import AlertmanagerApi
from podium.telemetry.metrics.alertmanager.cluster import PEER_TIMEOUT_S, Alone, Cluster, Membership, Message
from podium.telemetry.metrics.alertmanager.configuration import load_file
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.measurements import Measurements
from podium.telemetry.metrics.alertmanager.network import NetworkTransport
from podium.telemetry.metrics.alertmanager.storage import DiskStorage
from podium.world.http_client import HttpClient
from podium.world.http_server import HttpServer
from podium.world.interface import World
from podium.world.supervisor import Supervisor

_log = logger("alertmanager.server")


class HttpPeers:
    """Messages between replicas, as JSON over HTTP. Addresses are URLs."""

    def __init__(self) -> None:
        self._clients: dict[str, HttpClient] = {}

    async def exchange(self, address: str, message: Message) -> Message:
        client = self._clients.get(address)
        if client is None:
            parts = urlsplit(address)
            if parts.scheme != "http" or not parts.hostname:
                raise ValueError(f"{address} is not an http URL")
            client = self._clients[address] = HttpClient(parts.hostname, parts.port or 9093, connections_max=2)
        body = orjson.dumps(message)
        reply = await client.request("POST", "/-/cluster", body, {"content-type": "application/json"})
        if reply.status != 200:
            raise ValueError(f"status {reply.status}")
        answer = orjson.loads(reply.body)
        if not isinstance(answer, dict):
            raise ValueError("not an object")
        return answer

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`peers` are URLs of the other replicas; `advertise` is this one's, by default of `host` and `port`."""

    configuration: Path
    data_dir: Path
    host: str
    port: int
    peers: tuple[str, ...] = ()
    advertise: str = ""
    external_url: str = ""
    peer_timeout_s: float = PEER_TIMEOUT_S


async def serve(settings: ServerSettings, world: World, stopping: asyncio.Event, reload: asyncio.Event) -> None:
    """Raises ConfigurationError, StorageError, OSError (the address is taken)."""
    configuration = load_file(settings.configuration)
    storage = DiskStorage(settings.data_dir)
    measurements = Measurements()
    advertise = settings.advertise or f"http://{settings.host}:{settings.port}"
    peers = HttpPeers()
    cluster: Membership = Alone()
    if settings.peers:
        cluster = Cluster(
            world, peers, measurements, address=advertise, peers=settings.peers, peer_timeout_s=settings.peer_timeout_s
        )  # fmt: skip
    manager = Alertmanager(
        configuration, world, NetworkTransport(world), storage, external_url=settings.external_url or advertise, cluster=cluster,
        measurements=measurements,
    )  # fmt: skip

    async def reload_now() -> None:
        try:
            await manager.reload(load_file(settings.configuration))
        except ConfigurationError:
            manager.reload_failed()
            raise

    api = AlertmanagerApi(manager, reload_now)
    server = HttpServer(api.handle)
    tasks = Supervisor("alertmanager.server")
    try:
        port = await server.listen(settings.host, settings.port)
        manager.start()
        tasks.start("reload", _reload_on(reload, reload_now))
        print(f"alertmanager: listening on http://{settings.host}:{port}", file=sys.stderr, flush=True)
        await tasks.until(stopping)
    finally:
        await tasks.stop()
        await server.close()
        await manager.stop()
        await peers.close()


async def _reload_on(event: asyncio.Event, reload_now: Callable[[], Awaitable[None]]) -> None:
    while True:
        await event.wait()
        event.clear()
        try:
            await reload_now()
        except ConfigurationError as error:
            print(f"alertmanager: the configuration was not reloaded: {error}", file=sys.stderr, flush=True)
