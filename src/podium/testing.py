"""Clusters for tests and rehearsals: a whole cluster in one event loop, under the virtual clock, with a store in memory and simulated nodes.

    from podium import testing

    async def scenario(cluster):
        await cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", ...})
        await cluster.pass_time(600)
        cluster.lose_zone("simulated-a")
        await cluster.pass_time(3600)
        assert cluster.metrics.notifications("KubeNodeNotReady")

    testing.run(scenario, nodes=9, metrics=True, seed=1)

API server, controllers, scheduler, kubelets and monitoring are those of `podium up`; an hour takes seconds. The same seed gives the same run:
the same objects, the same samples. Times are seconds of the virtual clock, 0 at the start of the run.

Not here: real containers, sockets and a disk (use `podium up` or `podium envtest`); pods' own metrics, unless the test serves them
(`cluster.network.serve("10.128.0.5:8080", handler)`).
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from podium.api.request import User
from podium.client.interface import Client
from podium.control_plane import GC_THRESHOLDS, ControlPlane, build, start_controllers
from podium.node.fleet import Fleet
from podium.node.role import FleetConfig, run_fleet
from podium.objects.resources import Resource
from podium.objects.values import Object
from podium.simulation.endpoints import api_server, simulated_nodes
from podium.simulation.errors import SimulationError
from podium.simulation.metrics import Metrics, MetricsOptions
from podium.simulation.network import Network
from podium.simulation.surroundings import API, FLEET, SimulatedSurroundings
from podium.store.compaction import compact_regularly
from podium.store.memory import MemoryStore
from podium.world import virtual
from podium.world.http_messages import Peer
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld

__all__ = ["Cluster", "Metrics", "MetricsOptions", "Network", "SimulationError", "cluster", "run"]

T = TypeVar("T")
TELEMETRY = "podium:telemetry"
_AUTHENTICATED = ("system:authenticated",)
_ZONE = "topology.kubernetes.io/zone"


class Cluster:
    """Made by `cluster` or `run`. `client` is the administrator's; `network` is where simulated servers answer."""

    def __init__(self, world: VirtualWorld, plane: ControlPlane, fleet: Fleet, network: Network, metrics: Metrics | None) -> None:
        self.world, self.plane, self.fleet, self.network = world, plane, fleet, network
        self.client: Client = plane.client()
        self._metrics = metrics

    @property
    def metrics(self) -> Metrics:
        """Raises SimulationError when the cluster was made without."""
        if self._metrics is None:
            raise SimulationError("this cluster has no metrics: make it with metrics=True")
        return self._metrics

    @property
    def now_s(self) -> float:
        return self.world.clock.monotonic()

    def client_as(self, name: str, groups: Sequence[str] = ()) -> Client:
        """Of that user, bound by what their roles allow."""
        return self.plane.client(User(name, (*groups, *_AUTHENTICATED)))

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], Awaitable[bool]], timeout_s: float = 600.0, every_s: float = 1.0) -> float:
        """Waits for it in cluster time; the time it took. Raises TimeoutError."""
        began_s = self.now_s
        async with asyncio.timeout(timeout_s):
            while not await condition():
                await asyncio.sleep(every_s)
        return self.now_s - began_s

    # -- objects

    def resource_of(self, value: Object) -> Resource:
        """Raises SimulationError for a kind that the cluster does not serve."""
        group, _, version = str(value.get("apiVersion", "")).rpartition("/")
        for found in self.plane.server.core.catalog:
            if (found.group, found.version, found.kind) == (group, version, value.get("kind")):
                return found
        raise SimulationError(f"the cluster serves no {value.get('kind')} of {value.get('apiVersion')}")

    async def create(self, *objects: Object) -> list[Object]:
        """As the administrator, in `default` where they name no namespace. Raises StatusError, SimulationError."""
        made = []
        for value in objects:
            found = self.resource_of(value)
            namespace = value["metadata"].get("namespace", "default") if found.namespaced else None
            made.append(await self.client.create(found, value, namespace))
        return made

    async def running(self, count: int, namespace: str = "default", labels: str = "", timeout_s: float = 600.0) -> float:
        """Waits until that many pods are ready; the time it took. Raises TimeoutError."""
        pods = self.resource_of({"apiVersion": "v1", "kind": "Pod"})

        async def enough() -> bool:
            return sum(_is_ready(pod) for pod in (await self.client.list(pods, namespace, labels=labels)).items) >= count

        return await self.until(enough, timeout_s)

    # -- faults

    def nodes_of(self, zone: str) -> list[str]:
        """Raises SimulationError when there are none."""
        found = [node.name for node in self.fleet.nodes.values() if node.registration.description.labels.get(_ZONE) == zone]
        if not found:
            zones = sorted({node.registration.description.labels.get(_ZONE, "") for node in self.fleet.nodes.values()})
            raise SimulationError(f"no node is in zone {zone!r}; there are {', '.join(zones)}")
        return found

    def lose_nodes(self, names: Iterable[str]) -> None:
        """Nobody hears from them any more. Raises SimulationError for an unknown one."""
        self.fleet.cut_off(self._known(names))

    def return_nodes(self, names: Iterable[str]) -> None:
        """They are there again, with what they ran. Raises SimulationError for an unknown one."""
        self.fleet.reconnect(self._known(names))

    def lose_zone(self, zone: str) -> None:
        self.lose_nodes(self.nodes_of(zone))

    def return_zone(self, zone: str) -> None:
        self.return_nodes(self.nodes_of(zone))

    def _known(self, names: Iterable[str]) -> list[str]:
        found = list(names)
        if unknown := [name for name in found if name not in self.fleet.nodes]:
            raise SimulationError(f"no such node: {', '.join(unknown)}")
        return found


@asynccontextmanager
async def cluster(
    world: VirtualWorld, *, nodes: int = 3, zones: int = 3, metrics: bool | MetricsOptions = False, fleet: FleetConfig | None = None
) -> AsyncIterator[Cluster]:
    """A cluster in the loop of `world` (world.virtual.run). `fleet` says more of its nodes than `nodes` and `zones` do. Raises SimulationError
    for options that are not right, and at the end when a part of the cluster crashed meanwhile."""
    store = MemoryStore()
    plane = await build(store, world, service_cidr="10.96.0.0/16", signing_key=b"")
    plane.tasks.start("compaction", compact_regularly(store))
    start_controllers(plane, ca_pem="")
    kubelets, network = Supervisor("nodes"), Network(Peer(TELEMETRY, ()))
    measured: Metrics | None = None
    try:
        made = await run_fleet(fleet or FleetConfig(nodes, zones=zones), plane.client(), world, kubelets)
        network.serve(API, api_server(plane.server))
        network.serve(FLEET, simulated_nodes(made))
        if metrics:
            options = metrics if isinstance(metrics, MetricsOptions) else MetricsOptions()
            around = SimulatedSurroundings(
                world, network, interval=options.interval, retention_ms=int(options.retention_s * 1000), apart=options.per_node
            )
            measured = Metrics(world, network, around)
            await measured.start(plane.client(User(TELEMETRY, _AUTHENTICATED)), plane.client(), options)
        yield Cluster(world, plane, made, network, measured)
    finally:
        if measured is not None:
            await measured.stop()
        await kubelets.stop()
        await plane.stop()
    crashes = (plane.tasks.crash, plane.controllers.crash, kubelets.crash, measured.crash if measured is not None else None)
    if (crash := next((c for c in crashes if c is not None), None)) is not None:
        raise SimulationError(f"a part of the cluster crashed: {crash!r}") from crash


def run(scenario: Callable[[Cluster], Awaitable[T]], *, seed: int = 0, **options: Any) -> T:
    """What `scenario(cluster)` returns, in a world and a cluster of its own; `options` are those of `cluster`. Raises what it raises."""

    async def main(world: VirtualWorld) -> T:
        async with cluster(world, **options) as made:
            return await scenario(made)

    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        return virtual.run(main, seed)
    finally:
        gc.set_threshold(*before)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
