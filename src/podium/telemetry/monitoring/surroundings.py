"""What the monitoring of a cluster has around it: a disk, sockets and this machine when it is live, nothing but memory in a rehearsal.

The role (role.py) is the same in both; what differs is here, and handed to it. `LiveSurroundings` are those of `podium up`; a rehearsal's are in
simulation/surroundings.py.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from podium import __version__
from podium.client.interface import Client
from podium.instrument.log import logger
from podium.telemetry.discovery.kinds import ALL_KINDS, all_makers
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
from podium.telemetry.exporters.node import serving as node_serving
from podium.telemetry.exporters.node.exporter import NodeExporter
from podium.telemetry.metrics.alertmanager.network import NetworkTransport
from podium.telemetry.metrics.alertmanager.notification import Transport
from podium.telemetry.metrics.alertmanager.storage import DiskStorage, Storage
from podium.telemetry.metrics.discovery.runner import Maker
from podium.telemetry.metrics.errors import ConfigurationError, StorageFailed
from podium.telemetry.metrics.outbound.client import OutboundMaker
from podium.telemetry.metrics.server.application import REQUEST_BYTES_MAX
from podium.telemetry.metrics.server.server import ServerOptions
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.telemetry.monitoring.admission import AdmissionWebhook
from podium.telemetry.monitoring.jobs import INTERVAL, Job, Place, cluster_jobs
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import HttpServer
from podium.world.interface import World

Answer = Callable[[HttpRequest, object], Awaitable[Response | None]]
Close = Callable[[], Awaitable[None]]
_log = logger("monitoring")


@dataclass(frozen=True, slots=True)
class Door:
    """Where one server or Alertmanager answers by itself. `host` is an IP address."""

    host: str
    port: int
    close: Close


class Surroundings(Protocol):
    """`folder` names what belongs to one server or Alertmanager: a directory where there is a disk."""

    outbound: OutboundMaker | None
    """Asks targets, Alertmanagers and remote storage; None: over sockets."""
    packed: bool
    """Whether objects are kept packed (client/packed_objects.py): they are nobody else's in this process."""
    interval: str
    """Between scrapes and between evaluations of rules, unless objects say otherwise."""
    retention: str
    """Of the cluster's own server, as its object says it."""
    kinds: Mapping[str, type]
    """Of discovery: other kinds in a ScrapeConfig are refused."""

    @property
    def address(self) -> str:
        """host:port where it answers."""
        ...

    def jobs(self) -> Sequence[Job]:
        """What the cluster's own server scrapes besides what objects ask for."""
        ...

    def makers(self, kubernetes: KubernetesAccess) -> Mapping[str, Maker]: ...

    async def listen(self, answer: Answer) -> Close:
        """Raises OSError when the port is taken."""
        ...

    async def open_door(self, answer: Answer, own: bool) -> Door:
        """`own` is for what Podium brings, False for what users made. Raises OSError."""
        ...

    async def serve_webhooks(self, client: Client) -> AdmissionWebhook | None:
        """They listen, and are not registered yet. None: objects are not checked when they are written, only told of in events, and
        AlertmanagerConfigs are in v1alpha1 only."""
        ...

    def exporters(self) -> Mapping[str, Callable[[HttpRequest], Any]]:
        """Answers by the beginning of their path."""
        ...

    def open_store(self, folder: str, options: StoreOptions) -> tuple[Tsdb, ServerOptions]:
        """The server's options lack what its object says. Raises ConfigurationError when it cannot be opened."""
        ...

    def alertmanager_storage(self, folder: str) -> Storage:
        """Raises AlertmanagerError, OSError."""
        ...

    def transport(self) -> Transport:
        """How notifications leave."""
        ...


@dataclass(slots=True)
class LiveSurroundings:
    """`directory` is for samples, silences and the notification log; `host` and `port` are where it answers. What users' own objects run
    answers at `service_host`, too: an address of this machine that the cluster's pods reach, where they have a network of their own."""

    world: World
    directory: Path
    host: str
    port: int
    place: Place
    admission_tls: ssl.SSLContext | None = None
    """Of the webhooks."""
    service_host: str = "127.0.0.1"
    retention: str = "15d"
    outbound: OutboundMaker | None = None
    packed: bool = True
    interval: str = INTERVAL
    kinds: Mapping[str, type] = field(default_factory=lambda: ALL_KINDS)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def jobs(self) -> Sequence[Job]:
        return cluster_jobs(self.place)

    def makers(self, kubernetes: KubernetesAccess) -> Mapping[str, Maker]:
        return all_makers(self.world, kubernetes)

    async def listen(self, answer: Answer) -> Close:
        http = HttpServer(answer, body_bytes_max=REQUEST_BYTES_MAX)
        await http.listen(self.host, self.port)
        return http.close

    async def open_door(self, answer: Answer, own: bool) -> Door:
        http, host = HttpServer(answer, body_bytes_max=REQUEST_BYTES_MAX), self.host if own else self.service_host
        return Door(host, await http.listen(host, 0), http.close)

    async def serve_webhooks(self, client: Client) -> AdmissionWebhook | None:
        if self.admission_tls is None:
            return None
        webhook = AdmissionWebhook(client, self.admission_tls, self.place.ca.read_bytes())
        try:
            await webhook.start()
        except OSError as error:
            _log.warning("there are no webhooks: objects are not checked when they are written", reason=str(error))
            return None
        return webhook

    def exporters(self) -> Mapping[str, Callable[[HttpRequest], Any]]:
        node = NodeExporter(self.world)
        return {"/exporters/node": lambda request: node_serving.handle(node, request)}

    def open_store(self, folder: str, options: StoreOptions) -> tuple[Tsdb, ServerOptions]:
        directory = self.directory / folder
        try:
            directory.mkdir(parents=True, exist_ok=True)
            store = Tsdb.open(directory, self.world, options)
        except (StorageFailed, OSError) as error:
            raise ConfigurationError(str(error)) from error
        return store, ServerOptions(directory=directory, version=__version__)

    def alertmanager_storage(self, folder: str) -> Storage:
        return DiskStorage(self.directory / folder)

    def transport(self) -> Transport:
        return NetworkTransport(self.world)
