"""StatefulSets: pods with names of their own, made, replaced and removed in order.

What is next is decided in stateful_set_plan.py, which templates there have been is kept by revisions.py. Pods and claims are made under
fixed names, so a turn on a mirror that lags finds out by AlreadyExists.

Source: k8s.io/kubernetes pkg/controller/statefulset.
"""

from podium.client.control_loop import ControlLoop, namespace_is_terminating
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, ORPHANS, by_controller
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers import revisions
from podium.controllers.ownership import apply_claims, plan_claims
from podium.controllers.stateful_set_plan import Plan, claims_of, ordinal_of, plan_stateful_set, pod_of
from podium.objects.resources import resource
from podium.objects.selectors import from_value
from podium.objects.status import AlreadyExists, NotFound
from podium.objects.values import controller_of, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

WORKERS = 5
TURN_S = 0.02
RETRY_MAX_S = 60.0  # nobody says when there is room in a quota again


class StatefulSetController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._set, self._pod, self._claim = resource("statefulsets", "apps"), resource("pods"), resource("persistentvolumeclaims")
        self._sets, self._pods = mirrors.of(self._set), mirrors.of(self._pod)
        self._revisions = mirrors.of(resource("controllerrevisions", "apps"))
        for mirror in (self._pods, self._revisions):
            mirror.add_index(BY_CONTROLLER, by_controller)
        self._queue = WorkQueue(world, retry_max_s=RETRY_MAX_S)

    async def run(self) -> None:
        for mirror in (self._sets, self._pods, self._revisions):
            await mirror.synced()
        cancellations = [self._sets.subscribe(self._set_changed), self._pods.subscribe(self._pod_changed)]
        try:
            await ControlLoop("stateful-sets", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    def _set_changed(self, change: Change) -> None:
        self._queue.add(key_of(change.object))

    def _pod_changed(self, change: Change) -> None:
        for pod in (change.old, change.new):
            reference = controller_of(pod) if pod is not None else None
            if pod is not None and reference is not None and reference["kind"] == "StatefulSet":
                self._queue.add_after(f"{namespace_of(pod)}/{reference['name']}", TURN_S)
        pod = change.object
        if change.type != "deleted" and controller_of(pod) is None:
            owner = self._sets.get(namespace_of(pod), name_of(pod).rpartition("-")[0])
            if owner is not None:
                self._queue.add(key_of(owner))

    async def reconcile(self, key: str) -> None:
        stateful_set = self._sets.by_key(key)
        if stateful_set is None:
            return
        pods = await self._claimed(stateful_set)
        history = self._revisions.by_index(BY_CONTROLLER, stateful_set["metadata"]["uid"])
        update = await revisions.store(self._client, revisions.newest(stateful_set, history))
        held = {name_of(r): r for r in [*history, update]}
        current = (stateful_set.get("status") or {}).get("currentRevision", "")
        current = current if current in held else name_of(update)
        plan = plan_stateful_set(stateful_set, pods, current, name_of(update), self._clock.timestamp())
        if plan.status != (stateful_set.get("status") or {}):
            await self._client.update(self._set, {**stateful_set, "status": plan.status}, subresource="status")
        if not is_deleting(stateful_set):
            await self._apply(stateful_set, plan, held)
            used = [(p["metadata"].get("labels") or {}).get(revisions.HASH, "") for p in pods]
            live = [*used, name_of(update), plan.status["currentRevision"]]
            await revisions.drop(self._client, revisions.surplus(history, live, stateful_set["spec"].get("revisionHistoryLimit")))
        if plan.check_after_s is not None:
            self._queue.add_after(key, max(0.05, plan.check_after_s))

    async def _claimed(self, stateful_set: Object) -> list[Object]:
        namespace = namespace_of(stateful_set)
        controlled = self._pods.by_index(BY_CONTROLLER, stateful_set["metadata"]["uid"])
        orphans = [p for p in self._pods.by_index(BY_CONTROLLER, ORPHANS + namespace) if ordinal_of(stateful_set, p) >= 0]
        claims = plan_claims(stateful_set, from_value(stateful_set["spec"]["selector"]), controlled, orphans)
        if not claims.adopt and not claims.release:
            return claims.held
        return await apply_claims(self._client, self._set, stateful_set, self._pod, claims)

    async def _apply(self, stateful_set: Object, plan: Plan, held: dict[str, Object]) -> None:
        for kind, reason, message in plan.events:
            self._events.event(stateful_set, kind, reason, message)  # type: ignore[arg-type]
        for pod in plan.delete:
            await self._delete(stateful_set, pod)
        for ordinal, revision in plan.create:
            await self._create(stateful_set, pod_of(stateful_set, ordinal, revisions.template_of(held[revision]), revision), ordinal)

    async def _create(self, stateful_set: Object, pod: Object, ordinal: int) -> None:
        name = name_of(stateful_set)
        for claim in claims_of(stateful_set, ordinal):
            try:
                await self._client.create(self._claim, claim)
            except AlreadyExists:
                continue
        try:
            await self._client.create(self._pod, pod)
        except AlreadyExists:
            held = await self._client.get(self._pod, name_of(pod), namespace_of(pod))
            if (controller_of(held) or {}).get("uid") != stateful_set["metadata"]["uid"]:
                raise
            return
        except Exception as error:
            if not namespace_is_terminating(error):
                message = f"create Pod {name_of(pod)} in StatefulSet {name} failed error: {error}"
                self._events.event(stateful_set, "Warning", "FailedCreate", message)
            raise
        self._events.event(stateful_set, "Normal", "SuccessfulCreate", f"create Pod {name_of(pod)} in StatefulSet {name} successful")

    async def _delete(self, stateful_set: Object, pod: Object) -> None:
        try:
            await self._client.delete(self._pod, name_of(pod), namespace_of(pod), DeleteOptions(uid=pod["metadata"]["uid"]))
        except NotFound:
            return
        message = f"delete Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)} successful"
        self._events.event(stateful_set, "Normal", "SuccessfulDelete", message)
