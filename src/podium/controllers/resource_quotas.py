"""Quota status: `status.hard` and `status.used` of every ResourceQuota say what it allows and what is taken.

Admission counts for itself (see objects.quotas, which both share); this status is what people and programs read. Sums follow every change of
what a quota counts, so a change costs the same in a namespace of ten thousand pods as in one of ten; the mirrors of a resource are kept from
the first quota on that limits it.

Invariant: once the mirrors have caught up, the status equals a count from scratch.
Source: k8s.io/kubernetes pkg/controller/resourcequota.
"""

from collections.abc import Iterable

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Change, Mirror
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects import quotas
from podium.objects.quotas import Quota, Tally
from podium.objects.resources import Resource, resource
from podium.objects.values import Object, key_of, namespace_of, split_key
from podium.world.interface import World

SETTLE_S = 0.02
"""How long changes are gathered into one write of the status."""


class ResourceQuotaController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, resources: Iterable[Resource]) -> None:
        self._client = client
        self._mirrors = mirrors
        self._resources = resources
        self._kind = resource("resourcequotas")
        self._quotas = mirrors.of(self._kind)
        self._followed: dict[tuple[str, str], Mirror] = {}
        self._tallies: dict[str, tuple[Quota, Tally]] = {}
        self._queue = WorkQueue(world)
        self._loop = ControlLoop("resource-quotas", self._queue, self.reconcile)

    async def run(self) -> None:
        self._quotas.subscribe(self._quota_changed)
        await self._quotas.synced()
        await self._loop.run()

    async def reconcile(self, key: str) -> None:
        value = self._quotas.by_key(key)
        if value is None:
            self._tallies.pop(key, None)
            return
        quota, tally = await self._tally(key, value)
        status = plan_status(quota, tally)
        if value.get("status") != status:
            await self._client.update(self._kind, {**value, "status": status}, subresource="status")

    async def _tally(self, key: str, value: Object) -> tuple[Quota, Tally]:
        """The sums of this quota: those kept, or counted now."""
        quota = quotas.compile_quota(value)
        kept = self._tallies.get(key)
        if kept is not None and kept[0] == quota:
            return kept
        counted = quotas.resources_of(quota.hard)
        for group, plural in counted:
            await self._follow(group, plural)
        tally = Tally()
        namespace, _ = split_key(key)
        for group, plural in counted:
            mirror = self._followed.get((group, plural))
            for item in mirror.all() if mirror is not None else ():
                if namespace_of(item) == namespace:
                    tally.put(f"{plural}.{group}/{key_of(item)}", quota.usage(group, plural, item))
        self._tallies[key] = (quota, tally)
        return quota, tally

    async def _follow(self, group: str, plural: str) -> None:
        mirror = self._followed.get((group, plural))
        if mirror is None:
            found = next((r for r in self._resources if r.group == group and r.plural == plural and r.namespaced), None)
            if found is None:
                return
            mirror = self._followed[group, plural] = self._mirrors.of(found)

            def changed(change: Change) -> None:
                self._object_changed(group, plural, change)

            mirror.subscribe(changed)
        await mirror.synced()

    def _quota_changed(self, change: Change) -> None:
        self._queue.add(key_of(change.object))

    def _object_changed(self, group: str, plural: str, change: Change) -> None:
        namespace = namespace_of(change.object)
        for key, (quota, tally) in self._tallies.items():
            if split_key(key)[0] != namespace:
                continue
            usage = quota.usage(group, plural, change.new) if change.new is not None else {}
            if tally.put(f"{plural}.{group}/{key_of(change.object)}", usage):
                self._queue.add_after(key, SETTLE_S)


def plan_status(quota: Quota, tally: Tally) -> Object:
    return {"hard": {name: str(limit) for name, limit in quota.hard.items()}, "used": quotas.show_used(quota, tally.used)}
