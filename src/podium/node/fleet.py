"""A fleet: many simulated nodes in one process, with one client, one mirror of pods, one status writer and one wheel of heartbeats.

Cost per node: its runtime's tables and a `PodWorkers`; no task, no timer. The wheel renews one lease after another, spread evenly over the
lease period, and takes each node's status report along when it is due. Cost per pod: its object, a worker, a sandbox, its containers; a
task only while something happens to it.

A fleet that is started again takes over what the pods' statuses say was running (`SimulatedRuntime.adopt`).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network
from itertools import count

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.leases import NodeLease
from podium.client.mirror import Change, Mirror
from podium.client.parallel import in_parallel
from podium.instrument.log import logger
from podium.node.config import FleetConfig
from podium.node.kubelet_metrics import KubeletMetrics
from podium.node.node_object import NodeDescription, node_info
from podium.node.node_registration import NodeRegistration
from podium.node.pod_spec import uid_of
from podium.node.pod_status import NodeFacts
from podium.node.pod_worker import PodWorker
from podium.node.pod_workers import NodeParts, PodWorkers, Shared
from podium.node.preparation import NoFiles
from podium.node.probe_targets import SimulatedTarget
from podium.node.probes import ProbeSchedule
from podium.node.runtime.simulated import NAME, Addresses, SimulatedRuntime
from podium.node.slim_pods import SlimPods
from podium.node.status_writer import StatusWriter
from podium.objects.resources import resource
from podium.objects.status import StatusError
from podium.objects.values import Object
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("node.fleet")

REGISTRATIONS_AT_ONCE = 16
REGISTER_RETRY_S = 1.0


class SimulatedNode:
    __slots__ = ("lease", "name", "registration", "workers")

    def __init__(self, name: str, registration: NodeRegistration, lease: NodeLease, workers: PodWorkers) -> None:
        self.name = name
        self.registration = registration
        self.lease = lease
        self.workers = workers


class Fleet:
    """`start` returns when all nodes are registered; the supervisor then owns its loops."""

    def __init__(self, config: FleetConfig, client: Client, world: World, supervisor: Supervisor) -> None:
        self._config = config
        self._client = client
        self._world = world
        self._supervisor = supervisor
        self._events = EventRecorder(client, world, "kubelet")
        pods = SlimPods(client)
        self._writer = StatusWriter(pods, world, writers=config.status_writers)
        self._probes = ProbeSchedule(world, supervisor)
        self._mirror = Mirror(pods, resource("pods"), world, fields="spec.nodeName!=")
        shared = Shared(world, supervisor, self._events, self._probes, self._writer.publish)
        self._target = SimulatedTarget(world)
        self.nodes: dict[str, SimulatedNode] = {}
        self.metrics = KubeletMetrics(self._heard, self._probes, world)
        subnets = _subnets(config.pod_cidr)
        pool = Addresses(config.pod_cidr) if config.count > len(subnets) else None
        for number in range(config.count):
            node = self._make(number, "" if pool else subnets[number], pool, shared)
            self.nodes[node.name] = node

    async def start(self, port: int = 0) -> None:
        """`port` is where logs are served, 0 when nowhere. Raises nothing: a node that cannot be registered yet is tried again."""
        for name, loop in (("events", self._events), ("pod-status", self._writer), ("probes", self._probes)):
            self._supervisor.start(f"fleet/{name}", loop.run())
        for node in self.nodes.values():
            node.registration.description = replace(node.registration.description, port=port)
        await self._register_all()
        self._mirror.subscribe(self._changed)
        self._supervisor.start("fleet/pods", self._mirror.run())
        self._supervisor.start("fleet/heartbeats", self._heartbeats())

    def find(self, namespace: str, name: str) -> tuple[PodWorkers, PodWorker] | None:
        """For the server: the pod, on whichever node it is."""
        pod = self._mirror.get(namespace, name)
        node = self.nodes.get(pod["spec"].get("nodeName", "")) if pod else None
        worker = node.workers.find(namespace, name) if node else None
        return (node.workers, worker) if node and worker else None

    def cut_off(self, names: Iterable[str]) -> None:
        """From now on nobody hears from these nodes, nor they from anybody: no heartbeat, no status, no metrics; what their pods do goes on
        unseen. As when a zone loses its network, and, as long as it lasts, its power. Raises KeyError for an unknown name."""
        for workers in [self.nodes[name].workers for name in names]:
            workers.cut_off = True

    def reconnect(self, names: Iterable[str]) -> None:
        """The nodes hear what they missed, and tell what they did. Raises KeyError for an unknown name."""
        nodes = {name: self.nodes[name].workers for name in names if self.nodes[name].workers.cut_off}
        there: dict[str, dict[str, Object]] = {name: {} for name in nodes}
        for pod in self._mirror.all():
            if (node := pod["spec"].get("nodeName", "")) in there:
                there[node][uid_of(pod)] = pod
        for name, workers in nodes.items():
            workers.reconnect()
            for worker in workers.all():
                if worker.uid not in there[name]:
                    workers.gone(worker.pod)
            for pod in there[name].values():
                workers.update(pod)

    def _heard(self) -> list[PodWorkers]:
        return [node.workers for node in self.nodes.values() if not node.workers.cut_off]

    def _make(self, number: int, cidr: str, pool: Addresses | None, shared: Shared) -> SimulatedNode:
        config, world, client = self._config, self._world, self._client
        name = config.node_name(number)
        runtime = SimulatedRuntime(world, name, pool or cidr, delays=config.delays, on_change=lambda uid: workers.poke(uid))
        parts = NodeParts(
            name, NodeFacts(config.address, NAME), runtime, NoFiles(), self._target, status_patience_s=None, quiet=config.quiet,
            allocatable=config.capacity,
        )  # fmt: skip
        workers = PodWorkers(parts, shared)
        registration = NodeRegistration(client, world, self._describe(number, name, cidr))
        return SimulatedNode(name, registration, NodeLease(client, world, name), workers)

    def _describe(self, number: int, name: str, cidr: str) -> NodeDescription:
        config = self._config
        capacity = {**config.capacity, "pods": str(config.pods_max)}
        info = node_info(
            architecture="amd64", operatingSystem="linux", osImage="simulated", kernelVersion="simulated", machineID=name,
            systemUUID=name, bootID=name, containerRuntimeVersion=f"{NAME}://1",
        )  # fmt: skip
        labels = {
            "podium.dev/simulated": "true",
            "topology.kubernetes.io/region": config.region,
            "topology.kubernetes.io/zone": f"{config.region}-{chr(ord('a') + number % config.zones)}",
            **config.labels,
        }
        return NodeDescription(name, config.address, 0, capacity, capacity, info, labels, config.taints, cidr)

    def _changed(self, change: Change) -> None:
        node = self.nodes.get(change.object["spec"].get("nodeName", ""))
        if node is None or node.workers.cut_off:
            return
        if change.new is None:
            node.workers.gone(change.object)
        else:
            node.workers.update(change.new)

    async def _register_all(self) -> None:
        waiting = list(self.nodes.values())
        while waiting:
            batch, waiting = waiting[:REGISTRATIONS_AT_ONCE], waiting[REGISTRATIONS_AT_ONCE:]
            results = await in_parallel(self._register(node) for node in batch)
            failed = [node for node, result in zip(batch, results, strict=True) if isinstance(result, Exception)]
            if failed:
                log.info("nodes not registered yet", count=len(failed), error=str(results[batch.index(failed[0])]))
                waiting = failed + waiting
                await asyncio.sleep(REGISTER_RETRY_S)

    async def _register(self, node: SimulatedNode) -> None:
        await node.registration.register()
        await node.lease.renew(node.registration.owner)

    async def _heartbeats(self) -> None:
        """Node i of n is due at (round + i / n) * period; when the API is slow the wheel slips and does not pile up."""
        names = list(self.nodes)
        period_s, clock = self._config.lease_period_s, self._world.clock
        began_s = clock.monotonic()
        for turn in count():
            due_s = began_s + (turn / len(names)) * period_s
            wait_s = due_s - clock.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif wait_s < -period_s:
                began_s -= wait_s
            await self._beat(self.nodes[names[turn % len(names)]])

    async def _beat(self, node: SimulatedNode) -> None:
        if node.workers.cut_off:
            return
        try:
            await node.lease.renew(node.registration.owner)
            await node.registration.refresh(since_s=node.lease.returned_s)
        except (StatusError, OSError) as error:
            log.debug("heartbeat failed", node=node.name, error=str(error))


def _subnets(cidr: str) -> list[str]:
    network = IPv4Network(cidr)
    return [str(n) for n in network.subnets(new_prefix=max(24, network.prefixlen))]
