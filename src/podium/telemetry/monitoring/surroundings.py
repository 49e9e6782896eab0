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
from podium.objects.status import StatusError
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
from podium.telemetry.metrics.server.server import ServerOptions
from podium.telemetry.metrics.server.sources import Switches
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


class Surroundings(Protocol):
    """`folder` names what belongs to one server or Alertmanager: a directory where there is a disk."""

    outbound: OutboundMaker | None
    """Asks targets, Alertmanagers and remote storage; None: over sockets."""
    packed: bool
    """Whether objects are kept packed (client/packed_objects.py): they are nobody else's in this process."""
    interval: str
    """Between scrapes and between evaluations of rules, unless objects say otherwise."""
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

    async def serve_admission(self, client: Client) -> Close | None:
        """None: rules are not checked when they are written, only told of in events."""
        ...

    def exporters(self) -> Mapping[str, Callable[[HttpRequest], Any]]:
        """Answers by the beginning of their path."""
        ...

    def open_store(self, folder: str) -> tuple[Tsdb, ServerOptions]:
        """The options lack the external URL. Raises ConfigurationError when it cannot be opened."""
        ...

    def alertmanager_storage(self, folder: str) -> Storage:
        """Raises AlertmanagerError, OSError."""
        ...

    def transport(self) -> Transport:
        """How notifications leave."""
        ...


@dataclass(slots=True)
class LiveSurroundings:
    """`directory` is for samples, silences and the notification log; `host` and `port` are where it answers."""

    world: World
    directory: Path
    host: str
    port: int
    place: Place
    retention_ms: int = 15 * 24 * 3600 * 1000
    admission_tls: ssl.SSLContext | None = None
    """Of the webhook that checks rules when they are written: without it they are not checked then."""
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
        http = HttpServer(answer)
        await http.listen(self.host, self.port)
        return http.close

    async def serve_admission(self, client: Client) -> Close | None:
        if self.admission_tls is None:
            return None
        webhook = AdmissionWebhook(client, self.admission_tls, self.place.ca.read_bytes())
        try:
            await webhook.start()
        except (StatusError, OSError) as error:
            _log.warning("the webhook for rules cannot be registered; they are not checked when they are written", reason=str(error))
        return webhook.stop

    def exporters(self) -> Mapping[str, Callable[[HttpRequest], Any]]:
        node = NodeExporter(self.world)
        return {"/exporters/node": lambda request: node_serving.handle(node, request)}

    def open_store(self, folder: str) -> tuple[Tsdb, ServerOptions]:
        directory = self.directory / folder
        try:
            directory.mkdir(parents=True, exist_ok=True)
            store = Tsdb.open(directory, self.world, StoreOptions(retention_ms=self.retention_ms))
        except (StorageFailed, OSError) as error:
            raise ConfigurationError(str(error)) from error
        switches = Switches(admin_api=True, lifecycle=False, remote_write_receiver=True)
        return store, ServerOptions(directory=directory, version=__version__, switches=switches)

    def alertmanager_storage(self, folder: str) -> Storage:
        return DiskStorage(self.directory / folder)

    def transport(self) -> Transport:
        return NetworkTransport(self.world)
