"""The scheduler: gives every pending pod a node.

Mirrors tell what there is; handlers keep the cluster's columns and the queue up to date, synchronously. The loop takes one pod at a time
from the queue, decides (synchronously: nothing changes meanwhile), assumes the pod to be on its node at once, and leaves the write to the
binder.

Invariants:
* Between a decision and the assumption that it holds there is no await: two decisions never give away the same room.
* An assumed pod counts on its node until the mirror shows it bound or gone, or its bind fails.
* Only pods that name this scheduler, are not gated, deleted or finished are decided.

Source: kubernetes pkg/scheduler/schedule_one.go, eventhandlers.go.
"""

import asyncio
from collections.abc import Callable

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Change, Handler, Mirror
from podium.client.mirrors import Mirrors
from podium.instrument import component
from podium.instrument.log import logger
from podium.instrument.metrics import Registry
from podium.objects.resources import resource
from podium.objects.status import Conflict, NotFound
from podium.objects.values import Object, is_deleting, key_of, name_of
from podium.scheduler import messages
from podium.scheduler.binding import Binder
from podium.scheduler.cluster import Cluster
from podium.scheduler.decision import Decider, Refusal
from podium.scheduler.demand import Demands, held, is_infeasible
from podium.scheduler.evictions import Evictions, priority_of
from podium.scheduler.measurements import ERROR, SCHEDULED, UNSCHEDULABLE, Measurements
from podium.scheduler.queue import SchedulingQueue, Waiting
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("scheduler")

NAME = "default-scheduler"

SLICE_PODS = 16
"""Decisions in a row before other tasks of the process get their turn."""

RESCAN_S = 30.0
"""How often pods that found the queue full are offered again."""

CONTROLLERS = (
    ("ReplicaSet", "replicasets", "apps"),
    ("StatefulSet", "statefulsets", "apps"),
    ("ReplicationController", "replicationcontrollers", ""),
)


class Scheduler:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, name: str = NAME) -> None:
        self.name = name
        self.cluster = Cluster()
        self.demands = Demands()
        self.queue = SchedulingQueue(world.clock)
        self._measurements = Measurements(component.current() or Registry(), self.queue, name)
        self._decider = Decider(self.cluster, world.random("scheduler"))
        self._binder = Binder(client, world.clock, self._bound, self._not_bound)
        self._events = events
        self._world = world
        self._pods = mirrors.of(resource("pods"))
        self._nodes = mirrors.of(resource("nodes"))
        self._services = mirrors.of(resource("services"))
        self._namespaces = mirrors.of(resource("namespaces"))
        self._controllers = [(kind, mirrors.of(resource(plural, group))) for kind, plural, group in CONTROLLERS]
        self._assumed: dict[str, tuple[Object, Waiting]] = {}
        self._budgets = mirrors.of(resource("poddisruptionbudgets", "policy"))
        self._evictions = Evictions(
            self.cluster, self._binder, events, self._pods, self._budgets, world.random("scheduler/preemption"), self.queue.retry
        )

    async def run(self) -> None:
        """Until cancelled."""
        for mirror in self._mirrors():
            await mirror.synced()
        cancellations = self._subscribe()
        supervisor = Supervisor("scheduler")
        try:
            for number, worker in enumerate(self._binder.workers()):
                supervisor.start(f"bind/{number}", worker)
            supervisor.start("rescan", self._rescan())
            supervisor.start("decide", self._decide_forever())
            await supervisor.failed()
        finally:
            for cancel in cancellations:
                cancel()
            await supervisor.stop()

    def _mirrors(self) -> list[Mirror]:
        return [self._nodes, self._pods, self._services, self._namespaces, self._budgets, *(mirror for _, mirror in self._controllers)]

    def _subscribe(self) -> list[Callable[[], None]]:
        cancellations: list[Callable[[], None]] = [
            self._namespaces.subscribe(self._on_namespace),
            self._nodes.subscribe(self._on_node),
            self._services.subscribe(lambda change: self.cluster.workloads.set_service(change.object, change.type == "deleted")),
        ]
        for kind, mirror in self._controllers:
            cancellations.append(mirror.subscribe(self._on_controller(kind)))
        return [*cancellations, self._pods.subscribe(self._on_pod)]

    # Deciding

    async def _decide_forever(self) -> None:
        in_a_row = 0
        while True:
            entry = self.queue.pop()
            if entry is None:
                await self.queue.ready()
                continue
            await self._attempt(entry)
            in_a_row += 1
            if in_a_row >= SLICE_PODS:
                in_a_row = 0
                await asyncio.sleep(0)

    async def _attempt(self, entry: Waiting) -> None:
        pod = self._pods.by_key(entry.key)
        if pod is None:
            self.queue.remove(entry.key)
            return
        began_s = self._world.clock.monotonic()
        try:
            demand = self.demands.of(pod)
            decision = self._decider.decide(demand, priority_of(pod), entry.key)
        except Exception as error:  # one pod that we stumble over must not stop the others
            log.error("decision failed", pod=entry.key, error=error)
            self._measurements.attempted(ERROR, self._world.clock.monotonic() - began_s)
            self.queue.failed(entry)
            await self._say_waiting(pod, messages.ERROR, repr(error))
            return
        spent_s = self._world.clock.monotonic() - began_s
        self._measurements.attempted(UNSCHEDULABLE if isinstance(decision, Refusal) else SCHEDULED, spent_s)
        if isinstance(decision, Refusal):
            await self._refused(entry, pod, decision)
            return
        self.cluster.pods.place(entry.key, decision, demand, priority=priority_of(pod))
        self.cluster.nominations.remove(entry.key)
        self._assumed[entry.key] = (pod, entry)
        await self._binder.bind(pod, decision)

    async def _refused(self, entry: Waiting, pod: Object, refusal: Refusal) -> None:
        self.queue.refused(entry, refusal.filters)
        outcome = self._evictions.attempt(pod, self.demands.of(pod), refusal)
        if outcome.freed:
            self.queue.happened("pod gone")
        await self._evictions.carry_out(pod, outcome)
        await self._say_waiting(pod, messages.UNSCHEDULABLE, messages.refused(refusal, outcome.message), outcome.nominated)
        if outcome.victims:
            await asyncio.sleep(0)  # such a plan takes as long as many decisions

    async def _say_waiting(self, pod: Object, reason: str, message: str, nominated: str | None = None) -> None:
        """`nominated` is the node that its status is to name, empty for none; None leaves that as it is."""
        self._events.event(pod, "Warning", "FailedScheduling", message)
        condition = messages.condition(pod, reason, message, self._world.clock.timestamp())
        status: Object = {} if condition is None else {"conditions": [condition]}
        if nominated is not None and nominated != ((pod.get("status") or {}).get("nominatedNodeName") or ""):
            status["nominatedNodeName"] = nominated or None
        if status:
            await self._binder.report(pod, status)

    def _bound(self, pod: Object, node: str) -> None:
        self._events.event(pod, "Normal", "Scheduled", messages.assigned(pod, node))
        key = key_of(pod)
        assumed = self._assumed.get(key)
        if assumed is not None and assumed[0]["metadata"]["uid"] == pod["metadata"]["uid"]:
            self._measurements.scheduled(assumed[1].attempts)
            self.queue.remove(key)

    def _not_bound(self, pod: Object, node: str, error: Exception) -> None:
        """Forgets the assumption. A pod that is bound or gone after all is the mirror's news; any other is tried again."""
        key = key_of(pod)
        assumed = self._assumed.get(key)
        if assumed is None or assumed[0]["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        del self._assumed[key]
        self.cluster.pods.remove(key)
        self._nominate_as_told(pod)
        self.queue.happened("pod gone")
        self.queue.failed(assumed[1])
        if not isinstance(error, NotFound | Conflict):
            log.warning("bind failed", pod=key, node=node, error=str(error))
            self._events.event(pod, "Warning", "FailedScheduling", f"binding rejected: {error}")

    async def _rescan(self) -> None:
        while True:
            await asyncio.sleep(RESCAN_S)
            if self.queue.overflowed:
                self.queue.overflowed = False
                for pod in self._pods.all():
                    if not (pod["spec"].get("nodeName") or is_deleting(pod) or _is_finished(pod)):
                        self._offer(pod, None)

    # Observing

    def _on_pod(self, change: Change) -> None:
        pod = change.object
        key = key_of(pod)
        if change.type == "deleted" or _is_finished(pod):
            self._pod_gone(key)
        elif pod["spec"].get("nodeName"):
            self._pod_placed(key, pod, change.old)
        elif is_deleting(pod):
            self._pod_gone(key)
        else:
            self._offer(pod, change.old)

    def _pod_gone(self, key: str) -> None:
        self._assumed.pop(key, None)
        self._evictions.gone(key)
        self.queue.remove(key)
        promised = self.cluster.nominations.remove(key)
        if self.cluster.pods.remove(key) is not None or promised:
            self.queue.happened("pod gone")

    def _pod_placed(self, key: str, pod: Object, old: Object | None) -> None:
        assumed = self._assumed.pop(key, None)
        self.queue.remove(key)
        node = pod["spec"]["nodeName"]
        if is_deleting(pod):
            self._evictions.gone(key)
        if self.cluster.nominations.remove(key) not in ("", node):
            self.queue.happened("pod gone")  # what it was promised is free
        if old is not None and assumed is None and _same_placement(old, pod):
            return
        before = self.cluster.pods.pods.get(key)
        demand = self.demands.of(held(pod))
        self.cluster.pods.place(key, node, demand, is_deleting(pod), priority_of(pod))
        self.queue.happened("pod placed")
        if before is not None and any(demand.requests.get(name, 0) < amount for name, amount in before.demand.requests.items()):
            self.queue.happened("pod gone")  # it has become smaller

    def _offer(self, pod: Object, old: Object | None) -> None:
        """A pending pod: into the queue if it is ours to decide."""
        key = key_of(pod)
        spec = pod["spec"]
        if (spec.get("schedulerName") or NAME) != self.name or key in self._assumed:
            return
        if spec.get("schedulingGates"):
            self.queue.remove(key)
            condition = messages.condition(pod, messages.GATED, messages.GATED_MESSAGE, self._world.clock.timestamp())
            if condition is not None and not self._binder.report_soon(pod, {"conditions": [condition]}):
                self.queue.overflowed = True  # said at the next rescan
            return
        priority = priority_of(pod)
        if old is None:
            self._nominate_as_told(pod)
        if old is not None and key in self.queue and self.demands.of(old) is not self.demands.of(pod):
            self.queue.changed(key, priority)
        else:
            self.queue.add(key, priority)

    def _nominate_as_told(self, pod: Object) -> None:
        """What a scheduler before this one, or an earlier decision, promised to the pod."""
        if node := (pod.get("status") or {}).get("nominatedNodeName"):
            self.cluster.nominations.set(key_of(pod), node, self.demands.of(pod), priority_of(pod))

    def _on_node(self, change: Change) -> None:
        if change.new is None:
            self.cluster.pods.remove_node(name_of(change.object))
            self.queue.happened("node removed")
            return
        for what in self.cluster.pods.set_node(change.new):
            self.queue.happened(f"node {what}")

    def _on_namespace(self, change: Change) -> None:
        metadata = change.object["metadata"]
        before = self.cluster.pods.terms_version
        self.cluster.pods.set_namespace(metadata["name"], None if change.new is None else metadata.get("labels") or {})
        if self.cluster.pods.terms_version != before:
            self.queue.happened("namespace labels")

    def _on_controller(self, kind: str) -> Handler:
        return lambda change: self.cluster.workloads.set_controller(kind, change.object, change.type == "deleted")


def _is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _granted(pod: Object) -> list[object]:
    """What of its status says what a pod holds of its node."""
    status = pod.get("status") or {}
    entries = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [is_infeasible(pod), *((entry.get("allocatedResources"), entry.get("resources")) for entry in entries if "resources" in entry)]


def _same_placement(old: Object, new: Object) -> bool:
    """Most changes of a placed pod are to its status and change nothing here."""
    return (
        old["spec"] == new["spec"]
        and old["metadata"].get("labels") == new["metadata"].get("labels")
        and is_deleting(old) == is_deleting(new)
        and _granted(old) == _granted(new)
        and (old.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )
