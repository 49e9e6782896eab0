"""What monitoring has around it in a rehearsal: memory, a network of functions, no machine.

What a rehearsal cannot have is refused, not ignored: discovery other than from the cluster or written down (files, DNS, HTTP and EC2 are the outside
world's), clusters other than its own. The node exporter is left out: the machine that computes is no part of what is rehearsed.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podium import __version__
from podium.client.interface import Client
from podium.simulation.network import Network
from podium.simulation.notifications import RecordingTransport
from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.discovery.kubernetes import KubernetesDiscoverer
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
from podium.telemetry.discovery.kubernetes_config import KubernetesDiscoveryConfig
from podium.telemetry.metrics.alertmanager.notification import Transport
from podium.telemetry.metrics.alertmanager.storage import MemoryStorage, Storage
from podium.telemetry.metrics.discovery.runner import Maker, core_makers
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.outbound.client import OutboundMaker
from podium.telemetry.metrics.server.server import ServerOptions
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.telemetry.monitoring.admission import AdmissionWebhook
from podium.telemetry.monitoring.jobs import Job, Place, cluster_jobs
from podium.telemetry.monitoring.surroundings import Answer, Close, Door
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World

KINDS = ("static_configs", "kubernetes_sd_configs", "http_sd_configs")
API, OWN, FLEET = "kubernetes.default.svc:443", "podium.monitoring.svc:9090", "nodes.podium.test:10250"
"""Addresses on the network: the API server, monitoring itself, all simulated nodes."""
DOORS, FIRST_DOOR = "192.0.2.90", 20_000
"""Where each server and Alertmanager answers by itself: one address, a port each. (192.0.2.0/24 is for documentation: nobody else's.)"""


class SimulatedSurroundings:
    """`interval` is as in a configuration; `apart`: each node is a target of its own, not all of them one."""

    def __init__(self, world: World, network: Network, *, interval: str, retention_ms: int, apart: bool = True) -> None:
        self._world, self._network = world, network
        self._apart, self._doors = apart, 0
        self.retention = f"{retention_ms}ms"
        self.interval, self.packed = interval, False
        self.outbound: OutboundMaker | None = network.outbound
        self.kinds: Mapping[str, type] = {name: kind for name, kind in ALL_KINDS.items() if name in KINDS}
        self.recorded = RecordingTransport(world.clock, network)
        self._states: dict[str, MemoryStorage] = {}

    @property
    def address(self) -> str:
        return OWN

    def jobs(self) -> Sequence[Job]:
        nowhere = Path("/nonexistent")
        place = Place(
            api=API, own=OWN, agent="", node_name="", ca=nowhere, certificate=nowhere, key=nowhere, dns=False, simulated=True, machine=False,
            fleet=FLEET, fleet_apart=self._apart,
        )  # fmt: skip
        return [{**job, "scrape_interval": self.interval} for job in cluster_jobs(place)]

    def makers(self, kubernetes: KubernetesAccess) -> Mapping[str, Maker]:
        def own_cluster(config: KubernetesDiscoveryConfig) -> KubernetesDiscoverer:
            if config.api_server or config.kubeconfig_file:
                raise ConfigurationError("a rehearsal has no other cluster than its own: leave out api_server and kubeconfig_file")
            found = kubernetes.discoverer(config)
            assert isinstance(found, KubernetesDiscoverer)
            return found

        made = {**core_makers(self._world, requester=self._network.outbound), "kubernetes_sd_configs": own_cluster}
        return {name: maker for name, maker in made.items() if name in KINDS}

    async def listen(self, answer: Answer) -> Close:
        async def answered(request: HttpRequest) -> Response:
            return await answer(request, None) or Response(500, b"no answer\n")

        self._network.serve(OWN, answered)

        async def close() -> None:
            self._network.close(OWN)

        return close

    async def open_door(self, answer: Answer, own: bool) -> Door:
        self._doors += 1
        port = FIRST_DOOR + self._doors

        async def answered(request: HttpRequest) -> Response:
            return await answer(request, None) or Response(500, b"no answer\n")

        self._network.serve(f"{DOORS}:{port}", answered)

        async def close() -> None:
            self._network.close(f"{DOORS}:{port}")

        return Door(DOORS, port, close)

    async def serve_webhooks(self, client: Client) -> AdmissionWebhook | None:
        return None

    def exporters(self) -> Mapping[str, Callable[[HttpRequest], Any]]:
        return {}

    def open_store(self, folder: str, options: StoreOptions) -> tuple[Tsdb, ServerOptions]:
        store = Tsdb.open(None, self._world, options, threads=False)
        return store, ServerOptions(version=__version__, restoring=False, process_metrics=False)

    def alertmanager_storage(self, folder: str) -> Storage:
        return self._states.setdefault(folder, MemoryStorage())

    def transport(self) -> Transport:
        return self.recorded
