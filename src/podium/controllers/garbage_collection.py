"""Garbage collection: objects go when all their owners are gone.

Three ways to delete an owner, chosen by the deletion's propagationPolicy, which the API server writes down as a finalizer:
* background (none): the owner goes at once, its dependents follow, because their owner is absent;
* foreground (`foregroundDeletion`): the dependents go first; the finalizer is removed when none is left that blocks its owner;
* orphan (`orphan`): the dependents' references to the owner are removed first, then the finalizer.

Everything is decided from mirrors, with one exception: that an owner is absent is verified by asking the server, since acting on a mirror
that is behind would destroy what somebody has just created. Deletes carry the uid and revision of what was looked at.

An owner is looked for in the dependent's own namespace (or among cluster-scoped objects). A reference into another namespace is therefore
absent, and reported by the event OwnerRefInvalidNamespace; a cluster-scoped object that names a namespaced owner is never collected.

Events are not collected. Keys of the queue are `NUMBER NAMESPACE/NAME`, the number being that of the resource.

Source: kubernetes pkg/controller/garbagecollector.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change, Handler, Mirror
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.ownership_graph import (
    FOREGROUND,
    ORPHAN,
    Dependent,
    Owner,
    OwnershipGraph,
    State,
    is_foreground,
    is_orphaning,
    owners_of,
    plan_dependent,
    references_without,
)
from podium.instrument.log import logger
from podium.objects.resources import Catalog, Resource, builtin
from podium.objects.status import NotFound
from podium.objects.values import key_of, name_of, namespace_of
from podium.world.interface import World

log = logger("controllers.garbage_collection")

WORKERS = 20
ABSENT_OWNERS_MAX = 2_000
"""Owners remembered as verified to be absent; past it the oldest is forgotten and verified again."""

SYNC_S_MAX = 30.0
"""How long a resource may keep the start waiting; its owners are then verified with the server."""

STABLE = ("v1", "v2")
IGNORED = ("events",)
NEEDED_VERBS = ("list", "watch", "delete", "patch")

Place = tuple[int, str, str, str]
"""(resource number, namespace, name, uid)"""


class GarbageCollector:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, *, resources: Catalog | None = None) -> None:
        """`resources` are those that the server serves."""
        self._client = client
        self._events = events
        self._catalog = resources or builtin()
        self._shared = mirrors
        self.resources: list[Resource] = []
        self._mirrors: list[Mirror] = []
        self._numbers: dict[tuple[str, str], int] = {}
        """By group and plural. A number is never given anew, so that keys in the queue keep their meaning."""
        self._by_kind: dict[tuple[str, str], int] = {}
        self._cancellations: dict[int, Callable[[], None]] = {}
        self._observing = False
        self._follow_catalog()
        self._queue = WorkQueue(world)
        self._absent: OrderedDict[Place, None] = OrderedDict()
        self.graph = OwnershipGraph()

    async def run(self) -> None:
        unsubscribe = self._catalog.subscribe(self._follow_catalog)
        self._follow_catalog()
        try:
            await self._synced()
            self._observing = True
            for number in self._numbers.values():
                self._cancellations[number] = self._mirrors[number].subscribe(self._observer(number))
            await ControlLoop("garbage-collection", self._queue, self.reconcile, WORKERS).run()
        finally:
            unsubscribe()
            for cancel in self._cancellations.values():
                cancel()

    # Following what is served

    def _follow_catalog(self) -> None:
        """Custom resources come, go and change their versions while we run."""
        wanted = {(r.group, r.plural): r for r in collectable(self._catalog)}
        for place, number in list(self._numbers.items()):
            found = wanted.get(place)
            if found is None or (found.version, found.kind, found.namespaced) != _shape(self.resources[number]):
                self._forget(place, number)
        for place, resource in wanted.items():
            if place not in self._numbers:
                self._adopt(place, resource)

    def _adopt(self, place: tuple[str, str], resource: Resource) -> None:
        number = len(self.resources)
        self.resources.append(resource)
        self._mirrors.append(self._shared.of(resource))
        self._numbers[place] = self._by_kind[resource.group, resource.kind] = number
        if self._observing:
            self._cancellations[number] = self._mirrors[number].subscribe(self._observer(number))

    def _forget(self, place: tuple[str, str], number: int) -> None:
        resource, mirror = self.resources[number], self._mirrors[number]
        del self._numbers[place], self._by_kind[resource.group, resource.kind]
        if (cancel := self._cancellations.pop(number, None)) is not None:
            cancel()
        for value in mirror.all():
            self.graph.remove(value["metadata"]["uid"])
        self._shared.drop(resource)

    async def _synced(self) -> None:
        try:
            async with asyncio.timeout(SYNC_S_MAX):
                for mirror in list(self._mirrors):
                    await mirror.synced()
        except TimeoutError:
            late = [m.resource.plural for m in self._mirrors if not m.is_synced]
            log.warning("starting without some resources", resources=late)

    # Observing

    def _observer(self, number: int) -> Handler:
        return lambda change: self._observe(number, change)

    def _observe(self, number: int, change: Change) -> None:
        value = change.object
        metadata = value["metadata"]
        if change.type == "deleted":
            for owner in self.graph.remove(metadata["uid"]):
                self._owner_may_go(metadata.get("namespace", ""), owner)
            for dependent in self.graph.dependents(metadata["uid"]):
                self._add(dependent)
            return
        if "ownerReferences" in metadata or (change.old is not None and "ownerReferences" in change.old["metadata"]):
            for owner in self.graph.set(number, value):
                self._owner_may_go(metadata.get("namespace", ""), owner)
            if change.old is None or change.old["metadata"].get("ownerReferences") != metadata.get("ownerReferences"):
                self._check_owners(number, value)
        if "deletionTimestamp" in metadata and metadata.get("finalizers"):
            self._observe_deleting(number, change, value)

    def _observe_deleting(self, number: int, change: Change, value: Object) -> None:
        foreground = is_foreground(value)
        if foreground or is_orphaning(value):
            self._add_key(number, key_of(value))
        if foreground and not (change.old is not None and is_foreground(change.old)):
            for dependent in self.graph.dependents(value["metadata"]["uid"]):  # later ones are noticed when they come
                self._add(dependent)

    def _check_owners(self, number: int, value: Object) -> None:
        """To the queue, unless every owner is there and stays: the usual case, decided without another turn."""
        for owner in owners_of(value):
            found = self._mirrored(owner, namespace_of(value))
            if found is None or is_foreground(found):
                self._add_key(number, key_of(value))
                return

    def _owner_may_go(self, namespace: str, owner: Owner) -> None:
        """An owner that waited for one dependent less."""
        found = self._mirrored(owner, namespace)
        if found is not None and is_foreground(found):
            self._add_key(self._number(owner), key_of(found))

    def _add(self, dependent: Dependent) -> None:
        self._add_key(dependent.number, f"{dependent.namespace}/{dependent.name}" if dependent.namespace else dependent.name)

    def _add_key(self, number: int, key: str) -> None:
        self._queue.add(f"{number} {key}")

    # Deciding and applying

    async def reconcile(self, key: str) -> None:
        number, _, object_key = key.partition(" ")
        value = self._mirrors[int(number)].by_key(object_key)
        if value is None:
            return
        if is_orphaning(value):
            await self._orphan_dependents(int(number), value)
        elif is_foreground(value):
            await self._await_dependents(int(number), value)
        else:
            await self._judge(int(number), value)

    async def _judge(self, number: int, value: Object) -> None:
        uid = value["metadata"]["uid"]
        owners = owners_of(value)
        if not owners or "deletionTimestamp" in value["metadata"]:
            return
        states = {owner: await self._state(number, value, owner) for owner in owners}
        plan = plan_dependent(
            value,
            states.__getitem__,
            waits_below=lambda: any(d.foreground for d in self.graph.dependents(uid)),
            has_dependents=lambda: bool(self.graph.dependents(uid)),
        )
        if plan.drop:
            await self._patch(number, value, {"ownerReferences": references_without(value, plan.drop) or None})
        if plan.delete:
            if plan.unblock:
                references = [{**o, "blockOwnerDeletion": False} for o in value["metadata"]["ownerReferences"]]
                value = await self._patch(number, value, {"ownerReferences": references})
            await self._delete(number, value, DeleteOptions(uid, value["metadata"]["resourceVersion"], plan.delete))

    async def _await_dependents(self, number: int, value: Object) -> None:
        if not self.graph.is_blocked(value["metadata"]["uid"]):
            await self._remove_finalizer(number, value, FOREGROUND)

    async def _orphan_dependents(self, number: int, value: Object) -> None:
        uid = value["metadata"]["uid"]
        for dependent in self.graph.dependents(uid):
            current = self._mirrors[dependent.number].get(dependent.namespace, dependent.name)
            if current is None or current["metadata"]["uid"] != dependent.uid:
                continue
            try:
                await self._patch(dependent.number, current, {"ownerReferences": references_without(current, (uid,)) or None})
            except NotFound:
                continue
        await self._remove_finalizer(number, value, ORPHAN)

    async def _remove_finalizer(self, number: int, value: Object, finalizer: str) -> None:
        kept = [f for f in value["metadata"]["finalizers"] if f != finalizer]
        try:
            await self._patch(number, value, {"finalizers": kept or None})
        except NotFound:
            return

    async def _patch(self, number: int, value: Object, metadata: Object) -> Object:
        """Refused with Conflict when the object is not the one that was looked at."""
        own = value["metadata"]
        patch = {"metadata": {"uid": own["uid"], "resourceVersion": own["resourceVersion"], **metadata}}
        return await self._client.patch(self.resources[number], name_of(value), patch, namespace_of(value) or None)

    async def _delete(self, number: int, value: Object, options: DeleteOptions) -> None:
        try:
            await self._client.delete(self.resources[number], name_of(value), namespace_of(value) or None, options)
        except NotFound:
            return
        log.info("deleted", resource=self.resources[number].plural, object=key_of(value), propagation=options.propagation)

    # Owners

    async def _state(self, number: int, value: Object, owner: Owner) -> State:
        resource = self._owner_resource(owner)
        if resource is None:
            return "solid"  # of a kind that we do not know: never collect on a guess
        namespace = namespace_of(value)
        if resource.namespaced and not namespace:
            self._report_invalid(value, owner, "")
            return "solid"
        found = self._mirrored(owner, namespace)
        if found is None:
            found = await self._verified(resource, namespace, owner)
        if found is None:
            if resource.namespaced and self._lives_elsewhere(owner, namespace):
                self._report_invalid(value, owner, namespace)
            return "absent"
        return "waiting" if is_foreground(found) else "solid"

    async def _verified(self, resource: Resource, namespace: str, owner: Owner) -> Object | None:
        """The owner as the server has it; None when it is not there or is another object of that name."""
        place = (self._number(owner), namespace if resource.namespaced else "", owner.name, owner.uid)
        if place in self._absent:
            return None
        try:
            found = await self._client.get(resource, owner.name, place[1] or None)
        except NotFound:
            found = None
        if found is not None and found["metadata"]["uid"] == owner.uid:
            return found
        self._absent[place] = None
        if len(self._absent) > ABSENT_OWNERS_MAX:
            self._absent.popitem(last=False)
        return None

    def _mirrored(self, owner: Owner, namespace: str) -> Object | None:
        number = self._number(owner)
        if number < 0:
            return None
        found = self._mirrors[number].get(namespace if self.resources[number].namespaced else "", owner.name)
        return found if found is not None and found["metadata"]["uid"] == owner.uid else None

    def _lives_elsewhere(self, owner: Owner, namespace: str) -> bool:
        number = self._number(owner)
        if number < 0:
            return False
        return any(o["metadata"]["uid"] == owner.uid and namespace_of(o) != namespace for o in self._mirrors[number].all())

    def _number(self, owner: Owner) -> int:
        return self._by_kind.get((owner.api_version.rpartition("/")[0], owner.kind), -1)

    def _owner_resource(self, owner: Owner) -> Resource | None:
        number = self._number(owner)
        return self.resources[number] if number >= 0 else self._catalog.by_kind(owner.api_version, owner.kind)

    def _report_invalid(self, value: Object, owner: Owner, namespace: str) -> None:
        where = f"[{owner.api_version}/{owner.kind}, namespace: {namespace}, name: {owner.name}, uid: {owner.uid}]"
        message = f'ownerRef {where} does not exist in namespace "{namespace}"'
        self._events.event(value, "Warning", "OwnerRefInvalidNamespace", message)


def _shape(resource: Resource) -> tuple[str, str, bool]:
    return resource.version, resource.kind, resource.namespaced


def collectable(catalog: Iterable[Resource]) -> list[Resource]:
    """One version of each resource whose objects can be followed and deleted."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in catalog:
        served = all(verb in resource.verbs for verb in NEEDED_VERBS) and (resource.custom is not None or resource.version in STABLE)
        if served and resource.plural not in IGNORED:
            found.setdefault((resource.group, resource.plural), resource)
    return list(found.values())
