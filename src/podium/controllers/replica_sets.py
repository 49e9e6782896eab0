"""ReplicaSets and ReplicationControllers: keeps as many pods of a template as asked for.

A ReplicationController is the same with a plainer selector: one controller is made for each of the two kinds, on a queue of its own.

Theory: pods belong to the ReplicaSet by controller reference; those that match without a controller are adopted, those that match no more
are released. Creations go out in batches of 1, 2, 4, ... so that a template the server refuses costs one request, not hundreds. While
the mirror does not show what was created and deleted (expectations), nothing more is planned, so a lagging mirror never makes too many.

Cost: a turn is O(pods of the ReplicaSet). Changes of pods are therefore gathered for TURN_S_PER_POD times their number before a turn, which
bounds the share of one CPU that turns may take whatever the number of pods; a change of the ReplicaSet itself, or the last creation
awaited, is acted on at once.

Source: k8s.io/kubernetes pkg/controller/replicaset/replica_set.go.
"""

from collections.abc import Awaitable, Callable

from podium.client.control_loop import ControlLoop, namespace_is_terminating
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, by_controller
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.parallel import in_parallel
from podium.client.work_queue import WorkQueue
from podium.controllers.expectations import RECHECK_S
from podium.controllers.owned_pods import OwnedPods
from podium.controllers.pod_conditions import is_active
from podium.controllers.replica_set_plan import Plan, Tally, plan_replicas, plan_status, pod_of, tally
from podium.controllers.timestamps import now_s
from podium.objects.resources import Resource, resource
from podium.objects.selectors import LabelSelector, from_labels, from_value
from podium.objects.values import controller_of, is_deleting, key_of, namespace_of
from podium.world.interface import World

BATCH_FIRST = 1
BATCH_PODS_MAX = 256
"""Requests of one ReplicaSet under way at once."""

TURN_S_PER_POD = 0.0001
TURN_S_MAX = 1.0
RETRY_MAX_S = 60.0
"""Nobody says when there is room in a quota again, or a webhook answers."""
WORKERS = 5

REPLICA_SETS = resource("replicasets", "apps")
REPLICATION_CONTROLLERS = resource("replicationcontrollers")


class ReplicaSetController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, *, kind: Resource = REPLICA_SETS) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._replica_set = kind
        self._pod = resource("pods")
        self._replica_sets = mirrors.of(self._replica_set)
        self._pods = mirrors.of(self._pod)
        self._replica_sets.add_index(BY_CONTROLLER, by_controller)
        self._pods.add_index(BY_CONTROLLER, by_controller)
        self._queue = WorkQueue(world, retry_max_s=RETRY_MAX_S)
        self._owned = OwnedPods(client, events, kind, self._pods, world.clock)
        self._selectors: dict[str, tuple[Object, LabelSelector]] = {}  # by uid, with the value it was made from
        self._sizes: dict[str, int] = {}  # pods of each ReplicaSet at its last turn, by key

    async def run(self) -> None:
        await self._replica_sets.synced()
        await self._pods.synced()
        cancellations = [self._replica_sets.subscribe(self._replica_set_changed), self._pods.subscribe(self._pod_changed)]
        try:
            await ControlLoop(self._replica_set.plural, self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    # Observing

    def _replica_set_changed(self, change: Change) -> None:
        value = change.object
        if change.type == "deleted":
            self._selectors.pop(value["metadata"]["uid"], None)
            self._queue.forget(key_of(value))  # another of this name is not to wait for its failures
        self._queue.add(key_of(value))

    def _pod_changed(self, change: Change) -> None:
        pod = change.object
        owner = self._owner(pod)
        if owner is not None:
            self._owned_pod_changed(owner)
        if change.old is not None and change.new is not None:
            before = self._owner(change.old)
            if before is not None and before is not owner:
                self._queue.add(key_of(before))
        if change.type != "deleted" and controller_of(pod) is None and not is_deleting(pod):
            self._orphan_changed(change)

    def _owned_pod_changed(self, owner: Object) -> None:
        key = key_of(owner)
        if self._owned.expectations.just_met(key):
            self._queue.add(key)
        else:
            self._queue.add_after(key, min(TURN_S_MAX, TURN_S_PER_POD * self._sizes.get(key, 0)))

    def _orphan_changed(self, change: Change) -> None:
        pod = change.object
        old = change.old
        if old is not None and old["metadata"].get("labels") == pod["metadata"].get("labels") and controller_of(old) is None:
            return
        labels = pod["metadata"].get("labels")
        for replica_set in self._replica_sets.all():
            if namespace_of(replica_set) == namespace_of(pod) and self._selector(replica_set).matches(labels):
                self._queue.add(key_of(replica_set))

    def _owner(self, pod: Object) -> Object | None:
        """The ReplicaSet that controls it, if it is the one of that uid."""
        reference = controller_of(pod)
        if reference is None or reference["kind"] != self._replica_set.kind:
            return None
        owner = self._replica_sets.get(namespace_of(pod), reference["name"])
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    def _selector(self, replica_set: Object) -> LabelSelector:
        uid, value = replica_set["metadata"]["uid"], replica_set["spec"]["selector"]
        cached = self._selectors.get(uid)
        if cached is None or cached[0] != value:
            cached = self._selectors[uid] = (value, from_value(value) if self._replica_set.group else from_labels(value))
        return cached[1]

    # Planning and applying

    async def reconcile(self, key: str) -> None:
        replica_set = self._replica_sets.by_key(key)
        if replica_set is None:
            self._owned.expectations.forget(key)
            self._sizes.pop(key, None)
            return
        may_plan = self._owned.expectations.met(key)
        pods = await self._owned.claimed(replica_set, self._selector(replica_set))
        self._sizes[key] = len(pods)
        now = now_s(self._clock)
        counts = tally(replica_set, pods, now)
        failure: tuple[str, str] | None = None
        error: Exception | None = None
        if may_plan and not is_deleting(replica_set):
            plan = plan_replicas(replica_set, counts.active, self._related(replica_set, counts.active), now)
            failure, error = await self._apply(key, replica_set, plan)
            if plan.create or plan.delete:
                counts = tally(replica_set, self._pods.by_index(BY_CONTROLLER, replica_set["metadata"]["uid"]), now_s(self._clock))
        await self._write_status(key, replica_set, counts, failure)
        if counts.check_after_s is not None:
            self._queue.add_after(key, max(0.01, counts.check_after_s))
        if not self._owned.expectations.met(key):
            self._queue.add_after(key, RECHECK_S)
        if error is not None:
            raise error

    def _related(self, replica_set: Object, active: list[Object]) -> list[Object]:
        """The active pods of all ReplicaSets with the same owner: what a rollout's old and new pods crowd together."""
        if len(active) <= replica_set["spec"].get("replicas", 1):
            return active  # nothing to rank
        owner = controller_of(replica_set)
        if owner is None:
            return active
        siblings = self._replica_sets.by_index(BY_CONTROLLER, owner["uid"])
        pods = (pod for s in siblings for pod in self._pods.by_index(BY_CONTROLLER, s["metadata"]["uid"]))
        return [pod for pod in pods if is_active(pod)]

    async def _apply(self, key: str, replica_set: Object, plan: Plan) -> tuple[tuple[str, str] | None, Exception | None]:
        if plan.create:
            return await self._create(key, replica_set, plan.create)
        if plan.delete:
            return await self._delete(key, replica_set, plan.delete)
        return None, None

    async def _create(self, key: str, replica_set: Object, count: int) -> tuple[tuple[str, str] | None, Exception | None]:
        error = await _in_growing_batches(count, lambda: self._owned.create(key, replica_set, pod_of(replica_set)))
        if error is None or namespace_is_terminating(error):
            return None, None
        return ("FailedCreate", str(error)), error

    async def _delete(self, key: str, replica_set: Object, victims: list[Object]) -> tuple[tuple[str, str] | None, Exception | None]:
        errors: list[Exception] = []
        for start in range(0, len(victims), BATCH_PODS_MAX):
            results = await in_parallel(self._owned.delete(key, replica_set, pod) for pod in victims[start : start + BATCH_PODS_MAX])
            errors += [result for result in results if isinstance(result, Exception)]
        return (("FailedDelete", str(errors[0])), errors[0]) if errors else (None, None)

    async def _write_status(self, key: str, replica_set: Object, counts: Tally, failure: tuple[str, str] | None) -> None:
        """Against the newest version that the mirror has: the status is a matter of pods, which the spec's writers do not touch. What the old
        status says is read there, too: taken from the start of the turn, two texts of one failure would replace each other for ever."""
        current = self._replica_sets.by_key(key)
        if current is None:
            return
        status = plan_status({**replica_set, "status": current.get("status")}, counts, failure, self._clock.timestamp())
        if current.get("status") != status:
            await self._client.update(self._replica_set, {**current, "status": status}, subresource="status")


async def _in_growing_batches(count: int, call: Callable[[], Awaitable[None]]) -> Exception | None:
    """Calls `count` times, in batches of 1, 2, 4, ...; stops after the first batch with an error, and returns it."""

    async def one() -> None:
        await call()

    made, batch = 0, BATCH_FIRST
    while made < count:
        size = min(batch, count - made, BATCH_PODS_MAX)
        results = await in_parallel(one() for _ in range(size))
        made += size
        for result in results:
            if isinstance(result, Exception):
                return result
        batch *= 2
    return None
