"""One real node: registers, heartbeats, follows its pods and its runtime, and keeps what its pods use up to date.

Loops, each owned by the supervisor: the mirror of the node's pods; the runtime's changes; statuses, events and probes; the lease (10 s);
upkeep (UPKEEP_S: runtime health, node status, unseen changes, orphans, volumes, log rotation).

Stopping the agent stops nothing else: containers go on, and the next agent finds them.
Source: kubelet kubelet.go (syncLoop), kubelet_node_status.go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.leases import NodeLease
from podium.client.mirror import Change, Mirror
from podium.instrument.log import logger
from podium.instrument.metrics import Registry
from podium.node import log_rotation, machine
from podium.node.config import NodeConfig
from podium.node.kubelet_metrics import KubeletMetrics
from podium.node.node_object import NodeDescription
from podium.node.node_registration import NodeRegistration
from podium.node.pod_files import NodeSurroundings, PodFiles
from podium.node.pod_memory import Verdict
from podium.node.pod_status import NodeFacts
from podium.node.pod_worker import PodWorker
from podium.node.pod_workers import NodeParts, PodWorkers, Shared
from podium.node.preparation import NoFiles, Preparation, PreparationFailure
from podium.node.probe_targets import RealTarget, SimulatedTarget
from podium.node.probes import ProbeSchedule, ProbeTarget
from podium.node.runtime import simulated
from podium.node.runtime.interface import Runtime, RuntimeFailure, RuntimeInfo
from podium.node.sources import Sources
from podium.node.status_writer import StatusWriter
from podium.node.volumes import Volumes
from podium.objects.resources import resource
from podium.objects.status import StatusError
from podium.objects.values import Object
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("node.agent")

T = TypeVar("T")

UPKEEP_S = 10.0
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 5.0
EVENTS_PER_S = 50.0


class NodeAgent:
    def __init__(
        self,
        config: NodeConfig,
        client: Client,
        world: World,
        runtime: Runtime,
        supervisor: Supervisor,
        components: Mapping[str, Registry] | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._world = world
        self._supervisor = supervisor
        self._events = EventRecorder(client, world, "kubelet", config.name, write_rate_per_s=EVENTS_PER_S)
        self._writer = StatusWriter(client, world)
        self._probes = ProbeSchedule(world, supervisor)
        self.workers: PodWorkers | None = None
        self.metrics = KubeletMetrics(lambda: [self.workers] if self.workers else [], self._probes, world, components)
        self._runtime = self.metrics.measured(runtime)
        self._mirror = Mirror(client, resource("pods"), world, fields=f"spec.nodeName={config.name}")
        self._lease = NodeLease(client, world, config.name)
        self._registration: NodeRegistration | None = None
        self._files: PodFiles | None = None
        self._runtime_problem = ""

    async def start(self, port: int = 0) -> None:
        """Returns when the node is registered and follows its pods. Waits for a runtime and an API server that do not answer yet."""
        info = await self._until_answered(self._runtime.info)
        description = self._describe(info, port)
        self._registration = NodeRegistration(self._client, self._world, description)
        self.workers = self._make_workers(info, description)
        await self._until_answered(self.workers.observe)
        for name, loop in (("events", self._events), ("pod-status", self._writer), ("probes", self._probes)):
            self._supervisor.start(f"node/{name}", loop.run())
        await self._until_answered(self._registration.register)
        registration = self._registration
        self._supervisor.start("node/lease", self._lease.run(lambda: registration.owner))
        self._mirror.subscribe(self._changed)
        self._supervisor.start("node/pods", self._mirror.run())
        self._supervisor.start("node/runtime", self._follow_runtime())
        self._supervisor.start("node/upkeep", self._upkeep())
        self._say("Normal", "Starting", "Starting kubelet.")
        self._say("Normal", "NodeReady", f"Node {self._config.name} status is now: NodeReady")

    def find(self, namespace: str, name: str) -> tuple[PodWorkers, PodWorker] | None:
        worker = self.workers.find(namespace, name) if self.workers else None
        return (self.workers, worker) if self.workers and worker else None

    # Making

    def _describe(self, info: RuntimeInfo, port: int) -> NodeDescription:
        config = self._config
        capacity = {**machine.capacity(config.directory, config.pods_max), **config.capacity}
        return NodeDescription(
            config.name, config.address, port, capacity, machine.allocatable(capacity, config.reserved), machine.info(info),
            config.labels, config.taints, config.pod_cidr,
        )  # fmt: skip

    def _make_workers(self, info: RuntimeInfo, description: NodeDescription) -> PodWorkers:
        config = self._config
        preparation: Preparation = NoFiles()
        target: ProbeTarget = SimulatedTarget(self._world)
        if info.name != simulated.NAME:
            sources = Sources(self._client, self._world, ca_pem=config.ca_pem)
            config.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            volumes = Volumes(config.directory, sources, self._world, config.address, description.allocatable)
            around = NodeSurroundings(
                config.directory, config.address, config.cluster_dns, config.cluster_domain, description.allocatable, info.name != "process"
            )
            preparation = self._files = PodFiles(around, sources, volumes)
            target = RealTarget(self._runtime)
        facts = NodeFacts(config.address, info.name)
        parts = NodeParts(config.name, facts, self._runtime, preparation, target, allocatable=description.allocatable)
        return PodWorkers(parts, Shared(self._world, self._supervisor, self._events, self._probes, self._writer.publish))

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask()` returns, however long the other side takes to be there."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                return await ask()
            except (RuntimeFailure, StatusError, OSError) as error:
                log.warning("waiting", node=self._config.name, error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)

    # Following

    def _changed(self, change: Change) -> None:
        assert self.workers is not None
        if change.new is None:
            self.workers.gone(change.object)
        else:
            self.workers.update(change.new)

    async def _follow_runtime(self) -> None:
        assert self.workers is not None
        while True:
            try:
                async for uid in self._runtime.changes():
                    self.workers.poke(uid)
            except RuntimeFailure as failure:
                log.warning("the runtime's changes broke off", node=self._config.name, error=str(failure))
            await asyncio.sleep(1.0)
            for worker in self.workers.all():
                self.workers.poke(worker.uid)

    # Upkeep

    async def _upkeep(self) -> None:
        await self._mirror.synced()
        while True:
            try:
                await self._look_after()
            except (RuntimeFailure, StatusError, OSError) as error:
                log.warning("upkeep", node=self._config.name, error=str(error))
            except Exception as error:
                log.error("upkeep failed", node=self._config.name, error=error)
            await asyncio.sleep(UPKEEP_S)

    async def _look_after(self) -> None:
        assert self.workers is not None and self._registration is not None
        await self._check_runtime()
        try:
            description = replace(self._registration.description, not_ready=self._runtime_problem)
            await self._registration.refresh(description, since_s=self._lease.returned_s)
        finally:
            if not self._runtime_problem:
                await self.workers.collect()
        for worker in self.workers.all():
            await self._refresh_files(worker)
        stamp = f"{self._world.clock.now():%Y%m%d-%H%M%S}"
        containers = [c for worker in self.workers.all() for c in worker.view.containers]
        await log_rotation.rotate(self._runtime, containers, stamp)

    async def _check_runtime(self) -> None:
        before = self._runtime_problem
        try:
            await self._runtime.info()
            self._runtime_problem = ""
        except RuntimeFailure as failure:
            self._runtime_problem = f"container runtime is down: {failure}"
        if bool(before) != bool(self._runtime_problem):
            word = "NodeNotReady" if self._runtime_problem else "NodeReady"
            self._say("Normal", word, f"Node {self._config.name} status is now: {word}")

    async def _refresh_files(self, worker: PodWorker) -> None:
        """Volumes of values follow the API; an emptyDir over its limit costs the pod its life, as upstream."""
        if self._files is None or self.workers is None or not worker.view.running or worker.deleting:
            return
        worker.memory.prepared = True
        try:
            await self._files.volumes.refresh(worker.pod)
        except PreparationFailure as failure:
            self.workers.pod_event(worker, "Warning", failure.reason, failure.message)
        limited = any((v.get("emptyDir") or {}).get("sizeLimit") for v in worker.pod["spec"].get("volumes") or ())
        exceeded = await asyncio.to_thread(self._files.volumes.over_limit, worker.pod) if limited else ""
        if exceeded:
            self.workers.condemn(worker.uid, Verdict("Evicted", f"Usage of EmptyDir volume {exceeded}."))

    def _say(self, type: str, reason: str, message: str) -> None:
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._config.name, "uid": self._config.name}}
        self._events.event(node, "Warning" if type == "Warning" else "Normal", reason, message)
