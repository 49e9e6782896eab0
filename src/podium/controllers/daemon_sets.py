"""DaemonSets: one pod of a template on every node that it fits.

What is next is decided in daemon_set_plan.py, which templates there have been is kept by revisions.py. Pods are named by the server, so
while the mirror does not show what was created and deleted (expectations) nothing more is planned for that DaemonSet.

Source: k8s.io/kubernetes pkg/controller/daemon.
"""

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, by_controller
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.parallel import in_parallel
from podium.client.work_queue import WorkQueue
from podium.controllers import revisions
from podium.controllers.daemon_set_plan import Plan, plan_daemon_set, pod_of
from podium.controllers.expectations import RECHECK_S
from podium.controllers.owned_pods import OwnedPods
from podium.controllers.timestamps import now_s
from podium.objects.resources import resource
from podium.objects.selectors import from_value
from podium.objects.values import controller_of, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

WORKERS = 2
AT_ONCE_MAX = 50
TURN_S = 0.02
RETRY_MAX_S = 60.0  # nobody says when there is room in a quota again


class DaemonSetController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._set, self._pod = resource("daemonsets", "apps"), resource("pods")
        self._sets, self._pods, self._nodes = mirrors.of(self._set), mirrors.of(self._pod), mirrors.of(resource("nodes"))
        self._revisions = mirrors.of(resource("controllerrevisions", "apps"))
        for mirror in (self._pods, self._revisions):
            mirror.add_index(BY_CONTROLLER, by_controller)
        self._queue = WorkQueue(world, retry_max_s=RETRY_MAX_S)
        self._owned = OwnedPods(client, events, self._set, self._pods, world.clock)

    async def run(self) -> None:
        for mirror in (self._sets, self._pods, self._nodes, self._revisions):
            await mirror.synced()
        cancellations = [
            self._sets.subscribe(lambda change: self._queue.add(key_of(change.object))),
            self._pods.subscribe(self._pod_changed),
            self._nodes.subscribe(self._node_changed),
        ]
        try:
            await ControlLoop("daemon-sets", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    # Observing

    def _pod_changed(self, change: Change) -> None:
        pod = change.object
        for value in (change.old, change.new):
            reference = controller_of(value) if value is not None else None
            if reference is not None and reference["kind"] == "DaemonSet":
                key = f"{namespace_of(pod)}/{reference['name']}"
                self._queue.add_after(key, TURN_S)
        if change.type != "deleted" and controller_of(pod) is None and self._sets.all():
            for daemon_set in self._sets.all():
                if namespace_of(daemon_set) == namespace_of(pod):
                    self._queue.add_after(key_of(daemon_set), TURN_S)

    def _node_changed(self, change: Change) -> None:
        """Heartbeats change nothing that matters here."""
        if change.old is not None and change.new is not None and _placing(change.old) == _placing(change.new):
            return
        for daemon_set in self._sets.all():
            self._queue.add_after(key_of(daemon_set), TURN_S)

    # Planning and applying

    async def reconcile(self, key: str) -> None:
        daemon_set = self._sets.by_key(key)
        if daemon_set is None:
            self._owned.expectations.forget(key)
            return
        may_plan = self._owned.expectations.met(key)
        pods = await self._owned.claimed(daemon_set, from_value(daemon_set["spec"]["selector"]))
        history = self._revisions.by_index(BY_CONTROLLER, daemon_set["metadata"]["uid"])
        update = await revisions.store(self._client, revisions.newest(daemon_set, history))
        digest = update["metadata"]["labels"][revisions.HASH]
        plan = plan_daemon_set(daemon_set, self._nodes.all(), pods, digest, now_s(self._clock), may_plan=may_plan)
        if plan.status != (daemon_set.get("status") or {}):
            await self._client.update(self._set, {**daemon_set, "status": plan.status}, subresource="status")
        if not is_deleting(daemon_set):
            used = {(p["metadata"].get("labels") or {}).get(revisions.HASH, "") for p in pods}
            live = [name_of(r) for r in [*history, update] if r["metadata"]["labels"].get(revisions.HASH) in used or r is update]
            await revisions.drop(
                self._client, revisions.surplus(history, [*live, name_of(update)], daemon_set["spec"].get("revisionHistoryLimit"))
            )
        if plan.check_after_s is not None:
            self._queue.add_after(key, max(0.05, plan.check_after_s))
        await self._apply(key, daemon_set, plan, digest)
        if not self._owned.expectations.met(key):
            self._queue.add_after(key, RECHECK_S)

    async def _apply(self, key: str, daemon_set: Object, plan: Plan, digest: str) -> None:
        for kind, reason, message in plan.events:
            self._events.event(daemon_set, kind, reason, message)  # type: ignore[arg-type]
        results: list[object] = []
        for start in range(0, len(plan.delete), AT_ONCE_MAX):
            results += await in_parallel(self._owned.delete(key, daemon_set, pod) for pod in plan.delete[start : start + AT_ONCE_MAX])
        for start in range(0, len(plan.create), AT_ONCE_MAX):
            batch = plan.create[start : start + AT_ONCE_MAX]
            results += await in_parallel(self._owned.create(key, daemon_set, pod_of(daemon_set, node, digest)) for node in batch)
        for error in results:
            if isinstance(error, Exception):
                raise error


def _placing(node: Object) -> tuple[object, object]:
    return node["metadata"].get("labels"), (node.get("spec") or {}).get("taints")
