"""The mirrors of one process: each resource is listed and watched once, whoever asks."""

import asyncio

from podium.client.interface import Client
from podium.client.mirror import Mirror
from podium.objects.resources import Resource
from podium.world.interface import World
from podium.world.supervisor import Supervisor


class Mirrors:
    """`supervisor` owns the mirrors' tasks; they end with it. `packed`: as a `Mirror` takes it."""

    def __init__(self, client: Client, world: World, supervisor: Supervisor, *, packed: bool = False) -> None:
        self._packed = packed
        self._client = client
        self._world = world
        self._supervisor = supervisor
        self._mirrors: dict[tuple[Resource, str | None, str, str], Mirror] = {}
        self._tasks: dict[tuple[Resource, str | None, str, str], asyncio.Task[None]] = {}

    def of(self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = "") -> Mirror:
        """The shared mirror, started at the first call."""
        key = (resource, namespace, labels, fields)
        mirror = self._mirrors.get(key)
        if mirror is None:
            mirror = Mirror(self._client, resource, self._world, namespace=namespace, labels=labels, fields=fields, packed=self._packed)
            self._mirrors[key] = mirror
            self._tasks[key] = self._supervisor.start(f"mirror/{resource.plural}", mirror.run())
        return mirror

    def drop(self, resource: Resource) -> None:
        """Ends the mirrors of a resource that is not served any more. They stay as they are; nobody else may need them."""
        for key in [key for key in self._mirrors if key[0] == resource]:
            del self._mirrors[key]
            self._tasks.pop(key).cancel()

    async def synced(self) -> None:
        """Waits for the first complete list of every mirror asked for so far."""
        for mirror in list(self._mirrors.values()):
            await mirror.synced()
