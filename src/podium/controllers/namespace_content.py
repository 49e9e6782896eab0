"""One object of a given name in every living namespace: made when it is missing, put right when it differs."""

from collections.abc import Callable

from podium.client.control_loop import ControlLoop, namespace_is_terminating
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects.resources import Resource, resource
from podium.objects.status import AlreadyExists, Forbidden, NotFound
from podium.objects.values import is_deleting, name_of, namespace_of
from podium.world.interface import World


class NamespaceContent:
    """`plan(current or None)` is what to write, None when nothing."""

    def __init__(
        self,
        loop: str,
        client: Client,
        mirrors: Mirrors,
        world: World,
        kind: Resource,
        name: str,
        plan: Callable[[Object | None], Object | None],
    ) -> None:
        self._client = client
        self._kind = kind
        self._name = name
        self._plan = plan
        self._namespaces = mirrors.of(resource("namespaces"))
        self._objects = mirrors.of(kind)
        self._queue = WorkQueue(world)
        self._loop = ControlLoop(loop, self._queue, self.reconcile)

    async def run(self) -> None:
        await self._namespaces.synced()
        await self._objects.synced()
        cancellations = [
            self._namespaces.subscribe(lambda change: self._queue.add(name_of(change.object))),
            self._objects.subscribe(self._object_changed),
        ]
        try:
            await self._loop.run()
        finally:
            for cancel in cancellations:
                cancel()

    def _object_changed(self, change: Change) -> None:
        if name_of(change.object) == self._name:
            self._queue.add(namespace_of(change.object))

    async def reconcile(self, key: str) -> None:
        namespace = self._namespaces.get("", key)
        if namespace is None or is_deleting(namespace):
            return
        current = self._objects.get(key, self._name)
        wanted = self._plan(current)
        if wanted is None:
            return
        try:
            if current is None:
                await self._client.create(self._kind, wanted, key)
            else:
                await self._client.update(self._kind, wanted)
        except (AlreadyExists, NotFound):  # the mirror is behind; the event that it awaits brings us back
            return
        except Forbidden as error:
            if not namespace_is_terminating(error):
                raise
