"""The pods of one node: each is observed, planned and acted on until nothing is left to do, then rests without a task.

What pokes a pod: a change of it in the API, a change in the runtime, a probe's result, a timer the plan asked for. Pokes while it is busy
are remembered, not queued, so a pod is never synced twice at once and never misses a change.

Nothing here survives a restart, and nothing needs to: the runtime says what runs, the API says what should.
Source: kubelet pod_workers.go, kubelet.go (syncPod, syncTerminatingPod), kubelet_pods.go (HandlePodCleanups).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from podium.client.events import EventRecorder
from podium.instrument.log import logger
from podium.node.hooks import Hooks
from podium.node.http_get import HttpGet, http_get
from podium.node.observation import PodView, RuntimeView
from podium.node.pod_actions import PodActions
from podium.node.pod_memory import Health, Verdict
from podium.node.pod_plan import Now, Plan, plan_pod
from podium.node.pod_spec import display, epoch_s, is_terminal, status_of, uid_of
from podium.node.pod_status import NodeFacts, Sighting
from podium.node.pod_worker import PodWorker, orphan
from podium.node.preparation import Preparation
from podium.node.probes import ProbeSchedule, ProbeTarget
from podium.node.resize import DEFERRED, grant, granted_before, same, unfinished_resizes
from podium.node.resize import RETRY_S as RESIZE_RETRY_S
from podium.node.runtime.interface import ContainerState, ContainerStatus, Runtime, RuntimeFailure
from podium.objects.values import Object, key_of
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("node.pod_workers")

RETRY_S = 2.0
"""After the runtime failed as a whole."""
CRASH_RETRY_S = 10.0
STEPS_MAX = 100
"""Observe-plan-apply rounds in one go; a pod that is still not settled then goes on after RETRY_S. Only a fault gets there."""
DEADLINE = Verdict("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the nodes of one process share. `publish(workers, uid)` asks for the pod's status to be written."""

    world: World
    supervisor: Supervisor
    events: EventRecorder
    probes: ProbeSchedule
    publish: Callable[["PodWorkers", str], None]


@dataclass(frozen=True, slots=True)
class NodeParts:
    """One node's own parts. `status_patience_s`: a pod still busy after this long has its status written meanwhile (None: never).
    `quiet`: only warnings become events. `allocatable` bounds what resized pods may ask for."""

    name: str
    facts: NodeFacts
    runtime: Runtime
    preparation: Preparation
    probe_target: ProbeTarget
    http_get: HttpGet = http_get
    status_patience_s: float | None = 0.3
    quiet: bool = False
    allocatable: Mapping[str, str] = field(default_factory=dict)


class PodWorkers:
    def __init__(self, parts: NodeParts, shared: Shared) -> None:
        self.node = parts.name
        self.facts = parts.facts
        self.preparation = parts.preparation
        self.runtime = parts.runtime
        self._parts = parts
        self._world = shared.world
        self._supervisor = shared.supervisor
        self._events = shared.events
        self._probes = shared.probes
        self._shared_publish = shared.publish
        self._observed = RuntimeView(parts.runtime)
        hooks = Hooks(parts.runtime, parts.http_get)
        self._actions = PodActions(parts.runtime, parts.preparation, hooks, self.pod_event, shared.world, shared.supervisor, parts.facts)
        self._workers: dict[str, PodWorker] = {}
        self.stopping = False
        self.cut_off = False
        """Of a simulated node that nobody hears from: no status, no event leaves it; its pods go on."""

    # What the outside tells

    def update(self, pod: Object) -> None:
        """A pod of this node was added or changed in the API."""
        uid = uid_of(pod)
        worker = self._workers.get(uid)
        if worker is None:
            if is_terminal(pod) and "deletionTimestamp" not in pod["metadata"] and not self._observed.pod(uid).containers:
                worker = self._workers[uid] = PodWorker(pod)
                worker.over = True
                return
            worker = self._workers[uid] = PodWorker(pod)
            adopt = getattr(self.runtime, "adopt", None)
            if adopt is not None:
                adopt(pod)
            self.poke(uid)
            return
        before = worker.pod["metadata"]
        spec_before = worker.pod["spec"]
        if not worker.take(pod):
            return
        for name in changed_containers(spec_before, pod["spec"]):
            worker.memory.forgive(name)
        now = pod["metadata"]
        newly_deleted = "deletionTimestamp" in now and "deletionTimestamp" not in before
        grace_changed = now.get("deletionGracePeriodSeconds") != before.get("deletionGracePeriodSeconds")
        if newly_deleted or grace_changed:
            worker.interrupt()
        if newly_deleted or grace_changed or spec_before != pod["spec"] or is_terminal(pod) != worker.over:
            self.poke(uid)
        elif _needs_writing(pod):
            self._publish(self, uid)

    def gone(self, pod: Object) -> None:
        """The API has the pod no more: whatever of it runs is stopped."""
        worker = self._workers.get(uid_of(pod))
        if worker is None:
            return
        worker.take(pod)
        worker.gone = True
        worker.interrupt()
        self.poke(worker.uid)

    def poke(self, uid: str) -> None:
        """Something about the pod may have changed; unknown pods are ignored (orphans are found by `collect`)."""
        worker = self._workers.get(uid)
        if worker is None or self.stopping:
            return
        worker.dirty = True
        if worker.timer is not None:
            worker.timer.cancel()
            worker.timer = None
        if worker.task is None:
            try:
                worker.task = self._supervisor.start(f"pod/{uid}", self._sync(worker))
            except RuntimeError:  # the supervisor is stopping, and we with it
                self.stopping = True

    def health_changed(self, uid: str) -> None:
        """Told at once: a pod that is being stopped, or pulls another container's image, is busy for long."""
        self._publish(self, uid)
        self.poke(uid)

    async def observe(self) -> None:
        """Looks at the runtime before the first pod is told of: what ended pods left is then known. Raises RuntimeFailure."""
        await self._observed.refresh()

    async def collect(self) -> None:
        """Lists the runtime: stops what the API does not know, pokes pods in which something changed unseen. To be called when the mirror
        of pods is complete, and then from time to time. Raises RuntimeFailure."""
        await self._observed.refresh()
        for uid in self._observed.uids():
            if uid not in self._workers:
                worker = self._workers[uid] = orphan(uid, self._observed.pod(uid))
                log.info("orphan found", node=self.node, pod=display(worker.pod))
                self.poke(uid)
        for uid, worker in list(self._workers.items()):
            if not worker.over and worker.task is None and worker.view != self._observed.pod(uid):
                self.poke(uid)

    def condemn(self, uid: str, verdict: Verdict, type: str = "Warning") -> None:
        """Fails the pod as a whole: what runs of it is stopped."""
        worker = self._workers.get(uid)
        if worker is not None and worker.memory.verdict is None and not worker.deleting and not is_terminal(worker.pod):
            worker.memory.verdict = verdict
            self.pod_event(worker, type, verdict.reason, verdict.message)
            self.poke(uid)

    # What the outside asks

    def worker(self, uid: str) -> PodWorker | None:
        return self._workers.get(uid)

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The living pod of that name, else any."""
        found = [w for w in self._workers.values() if key_of(w.pod) == f"{namespace}/{name}"]
        return next((w for w in found if not w.gone), found[0] if found else None)

    def all(self) -> list[PodWorker]:
        return list(self._workers.values())

    def now_s(self) -> float:
        """Wall clock, since the epoch."""
        return self._world.clock.now().timestamp()

    def sighting(self, worker: PodWorker) -> Sighting:
        return Sighting(worker.view, worker.memory, worker.held, worker.over)

    async def clean_up(self, worker: PodWorker) -> None:
        """Removes what is left of an ended pod on the node: containers, sandboxes, files. Safe to repeat."""
        if worker.cleaned:
            return
        for container in worker.view.containers:
            await self.runtime.remove_container(container.id)
            self._probes.forget(container.id)
        for sandbox in worker.view.sandboxes:
            await self.runtime.remove_sandbox(sandbox.id)
        await self.preparation.clean(worker.pod)
        worker.cleaned = True

    def reconnect(self) -> None:
        """After a cut: what happened meanwhile is told now."""
        self.cut_off = False
        for uid in self._workers:
            self._publish(self, uid)

    def _publish(self, workers: "PodWorkers", uid: str) -> None:
        if not self.cut_off:
            self._shared_publish(workers, uid)

    def forget(self, worker: PodWorker) -> None:
        if worker.timer is not None:
            worker.timer.cancel()
        for container in worker.view.containers:
            self._probes.forget(container.id)
        if self._workers.get(worker.uid) is worker:
            del self._workers[worker.uid]

    def pod_event(self, worker: PodWorker, type: str, reason: str, message: str, container: str = "") -> None:
        if self.cut_off or (self._parts.quiet and type == "Normal") or not worker.pod["metadata"].get("namespace"):
            return
        path = ""
        if container:
            spec = worker.pod["spec"]
            kinds = ("initContainers", "ephemeralContainers")
            kind = next((k for k in kinds if any(c["name"] == container for c in spec.get(k) or ())), "containers")
            path = f"spec.{kind}{{{container}}}"
        kind = "Warning" if type == "Warning" else "Normal"
        self._events.event(worker.pod, kind, reason, message, field_path=path, host=self.node)  # type: ignore[arg-type]

    # Syncing one pod

    async def _sync(self, worker: PodWorker) -> None:
        loop = asyncio.get_running_loop()
        patience_s = self._parts.status_patience_s
        early = loop.call_later(patience_s, self._publish, self, worker.uid) if patience_s is not None else None
        wake_s: float | None = None
        try:
            while worker.dirty and not self.stopping:
                worker.dirty = False
                wake_s = await self._attempt(worker)
        finally:
            if early is not None:
                early.cancel()
            worker.task = None
        if wake_s is not None and not self.stopping and worker.timer is None:
            worker.timer = loop.call_later(wake_s, self._wake, worker)

    def _wake(self, worker: PodWorker) -> None:
        worker.timer = None
        self.poke(worker.uid)

    async def _attempt(self, worker: PodWorker) -> float | None:
        """Syncs once; seconds until it must be looked at again. A failure of the runtime is a reason to try later, not to crash."""
        try:
            return await self._settle(worker)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not worker.interrupted or task is None or self.stopping:
                raise
            worker.interrupted = False
            task.uncancel()
            worker.dirty = True
            return None
        except RuntimeFailure as failure:
            log.warning("the runtime failed", pod=display(worker.pod), error=str(failure))
            return RETRY_S
        except Exception as error:
            log.error("syncing a pod failed", pod=display(worker.pod), error=error)
            return CRASH_RETRY_S
        finally:
            worker.interruptible = False

    async def _settle(self, worker: PodWorker) -> float | None:
        if worker.cleaned and not worker.gone:
            return None
        worker.memory.started_at = worker.memory.started_at or self._world.clock.timestamp()
        for _ in range(STEPS_MAX):
            plan = await self._look(worker)
            if not plan.actions:
                return await self._settled(worker, plan)
            await self._actions.apply(worker, plan.actions, lambda: worker.dirty and worker.deleting)
        self._publish(self, worker.uid)
        return RETRY_S

    async def _look(self, worker: PodWorker) -> Plan:
        await self._observed.refresh()
        view = self._observed.pod(worker.uid)
        if not (worker.over and not view.containers):
            worker.view = view
        worker.memory.granted = worker.memory.granted or granted_before(worker.pod)
        self._note(worker, view)
        now = Now(self._world.clock.now().timestamp(), self._world.clock.monotonic())
        deadline_in_s = self._judge(worker, now)
        retry_in_s = self._grant(worker)
        plan = plan_pod(worker.pod, view, worker.memory, now, gone=worker.gone)
        for held in plan.held:
            if held not in worker.held:
                message = f"Back-off restarting failed container {held.name} in pod {display(worker.pod)}"
                self.pod_event(worker, "Warning", "BackOff", message, held.name)
        worker.held = plan.held
        wakes = [now.monotonic_s + seconds for seconds in (deadline_in_s, retry_in_s) if seconds is not None]
        if wakes and not plan.over:
            plan = Plan(plan.actions, min([*wakes, *([plan.wake_at] if plan.wake_at else [])]), plan.held, plan.over)
        return plan

    async def _settled(self, worker: PodWorker, plan: Plan) -> float | None:
        if plan.over:
            if not worker.over:
                worker.over = True
                self._retry_resizes()
            if worker.gone:
                await self.clean_up(worker)
                self.forget(worker)
                return None
        if worker.memory.resizing and not unfinished_resizes(worker.view, worker.memory):
            worker.memory.resizing = False
            self.pod_event(worker, "Normal", "ResizeCompleted", "Pod resize completed")
        self._publish(self, worker.uid)
        return max(0.0, plan.wake_at - self._world.clock.monotonic()) if plan.wake_at is not None else None

    def _judge(self, worker: PodWorker, now: Now) -> float | None:
        """Fails a pod whose deadline has passed; seconds until it does."""
        limit_s = worker.pod["spec"].get("activeDeadlineSeconds")
        if limit_s is None or worker.memory.verdict is not None or worker.deleting or is_terminal(worker.pod):
            return None
        start = worker.pod.get("status", {}).get("startTime") or worker.memory.started_at
        left_s = epoch_s(start) + float(limit_s) - now.wall_s
        if left_s > 0:
            return left_s
        worker.memory.verdict = DEADLINE
        self.pod_event(worker, "Normal", DEADLINE.reason, DEADLINE.message)
        return None

    def _grant(self, worker: PodWorker) -> float | None:
        """Grants the pod what its spec asks for, if the node has it; seconds until it is to be asked again when it has not."""
        memory, pod = worker.memory, worker.pod
        if worker.deleting or worker.over or is_terminal(pod):
            return None
        before, pending = memory.granted, memory.resize_pending
        rest = (w for w in self._workers.values() if w is not worker and not w.over)
        others = ((w.pod, w.memory.granted or granted_before(w.pod)) for w in rest)
        answer = grant(pod, before, others, self._parts.allocatable)
        memory.granted = dict(answer.granted)
        memory.resize_pending = (answer.reason, answer.message) if answer.reason else None
        generation = pod["metadata"].get("generation", 0)
        if answer.reason and memory.resize_pending != pending:
            message = f"Pod resize {answer.reason}: {answer.message} (generation {generation})"
            self.pod_event(worker, "Warning", f"Resize{answer.reason}", message)
        if any(not same(resources, before.get(name, {})) for name, resources in memory.granted.items()):
            memory.resize_error, memory.resizing = None, True
            self.pod_event(worker, "Normal", "ResizeStarted", f"Pod resize started (generation {generation})")
            self._retry_resizes()
        return RESIZE_RETRY_S if answer.reason == DEFERRED else None

    def _retry_resizes(self) -> None:
        """Something on the node has become free, or may have: who waits for it is asked again, the most important first."""
        waiting = [w for w in self._workers.values() if w.memory.resize_pending is not None and w.memory.resize_pending[0] == DEFERRED]
        for worker in sorted(waiting, key=lambda w: -(w.pod["spec"].get("priority") or 0)):
            self.poke(worker.uid)

    def _note(self, worker: PodWorker, view: PodView) -> None:
        """Brings the memory in line with what runs: health of the running, messages of the ended, nothing of the vanished."""
        memory = worker.memory
        for container in view.containers:
            spec = worker.container_spec(container.name)
            if spec is None:
                continue
            if container.state is ContainerState.RUNNING:
                self._note_running(worker, container, spec)
            elif container.state is ContainerState.EXITED:
                self._note_exited(worker, container, spec)
        known = {c.id for c in view.containers}
        for table in (memory.health, memory.doomed, memory.images, memory.messages, memory.in_force):
            for container_id in [i for i in table if i not in known]:
                del table[container_id]

    def _note_running(self, worker: PodWorker, container: ContainerStatus, spec: Object) -> None:
        memory = worker.memory
        if container.id not in memory.health:
            # Found running, not started by us: what the status says of this very container still holds.
            entry = status_of(worker.pod, container.name)
            same = str(entry.get("containerID", "")).endswith(container.id)
            started = "startupProbe" not in spec or (same and bool(entry.get("started")))
            memory.health[container.id] = Health(started, "readinessProbe" not in spec or (same and bool(entry.get("ready"))))
        if container.id not in memory.in_force and container.name in memory.granted:
            entry = status_of(worker.pod, container.name)
            told = entry.get("resources") if str(entry.get("containerID", "")).endswith(container.id) else None
            memory.in_force[container.id] = told or memory.granted[container.name]
        age_s = max(0.0, self._world.clock.now().timestamp() - container.started_ns / 1e9)
        started_s = self._world.clock.monotonic() - age_s
        address = worker.address(self.facts.host_ip)
        self._probes.watch(worker, self, self._parts.probe_target, spec, container.id, started_s, address)
        if worker.deleting:
            self._probes.only_readiness(container.id)

    def _note_exited(self, worker: PodWorker, container: ContainerStatus, spec: Object) -> None:
        self._probes.forget(container.id)
        worker.memory.health.pop(container.id, None)
        if container.id not in worker.memory.messages:
            worker.memory.messages[container.id] = self.preparation.termination_message(
                worker.pod, spec, container.attempt, container.log_path, container.exit_code != 0
            )


def changed_containers(before: Object, after: Object) -> list[str]:
    """The containers whose image or resources were changed: what an earlier one did wrong is not held against the new."""
    if before is after:
        return []
    kinds, fields = ("containers", "initContainers"), ("image", "resources")
    known = {c["name"]: [c.get(f) for f in fields] for kind in kinds for c in before.get(kind) or ()}
    now = [c for kind in kinds for c in after.get(kind) or ()]
    return [c["name"] for c in now if known.get(c["name"]) != [c.get(f) for f in fields]]


def _needs_writing(pod: Object) -> bool:
    """Whether somebody else's change of the status asks for ours: readiness gates, or a status that was overwritten."""
    return bool(pod["spec"].get("readinessGates")) or "containerStatuses" not in pod.get("status", {})
