"""Carrying decisions out: binding pods, deleting those that make room, and saying why one waits.

The scheduler decides faster than the API writes, so decisions are assumed to hold and written by a few workers at a time. WAITING_MAX
writes may wait for a worker; then the scheduler waits. A write that fails is told to the scheduler, which forgets its assumption and tries
again. A bind carries the pod's uid, so it never binds a namesake.

Source: kubernetes pkg/scheduler/framework/plugins/defaultbinder, schedule_one.go (bindingCycle, updatePod).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from podium.client.interface import Client, DeleteOptions
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import Conflict, NotFound
from podium.objects.values import Object, key_of, name_of, namespace_of
from podium.world.interface import Clock

log = logger("scheduler.binding")

WORKERS = 32
WAITING_MAX = 256

Bound = Callable[[Object, str], None]
Failed = Callable[[Object, str, Exception], None]


class Binder:
    """`bound(pod, node)` or `failed(pod, node, error)` is called after each bind. Own the coroutines of `workers()` by a supervisor."""

    def __init__(self, client: Client, clock: Clock, bound: Bound, failed: Failed) -> None:
        self._client = client
        self._clock = clock
        self._pods = resource("pods")
        self._bound = bound
        self._failed = failed
        self._jobs: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(WAITING_MAX)

    async def bind(self, pod: Object, node: str) -> None:
        """Returns when the bind waits its turn, not when it is done."""
        await self._jobs.put(lambda: self._bind(pod, node))

    async def report(self, pod: Object, status: Object) -> None:
        """Writes this into the pod's status, in its turn."""
        await self._jobs.put(lambda: self._report(pod, status))

    def report_soon(self, pod: Object, status: Object) -> bool:
        """As `report`, for callers that cannot wait; False when too many writes wait already."""
        if self._jobs.full():
            return False
        self._jobs.put_nowait(lambda: self._report(pod, status))
        return True

    async def evict(self, pod: Object, condition: Object, done: Callable[[], None], failed: Callable[[], None]) -> None:
        """Deletes the pod, with this condition that says why, in its turn. Neither is called when it was gone already."""
        await self._jobs.put(lambda: self._evict(pod, condition, done, failed))

    def workers(self) -> list[Coroutine[Any, Any, None]]:
        return [self._work() for _ in range(WORKERS)]

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            await job()

    async def _bind(self, pod: Object, node: str) -> None:
        namespace, name = namespace_of(pod), name_of(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create(self._pods, binding, namespace, subresource="binding", name=name)
        except Exception as error:  # whatever it was, the pod is tried again
            self._failed(pod, node, error)
        else:
            self._bound(pod, node)

    async def _evict(self, pod: Object, condition: Object, done: Callable[[], None], failed: Callable[[], None]) -> None:
        uid = pod["metadata"]["uid"]
        stamped = {**condition, "lastTransitionTime": self._clock.timestamp(), "observedGeneration": pod["metadata"].get("generation", 0)}
        try:
            await self._patch(pod, {"conditions": [stamped]})
            await self._client.delete(self._pods, name_of(pod), namespace_of(pod), DeleteOptions(uid=uid))
        except NotFound:
            return
        except Exception as error:  # whatever it was, the pod that needs the room is tried again
            log.warning("victim not deleted", pod=key_of(pod), error=str(error))
            failed()
            return
        done()

    async def _patch(self, pod: Object, status: Object) -> None:
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await self._client.patch(self._pods, name_of(pod), patch, namespace_of(pod), type="strategic", subresource="status")

    async def _report(self, pod: Object, status: Object) -> None:
        try:
            await self._patch(pod, status)
        except (NotFound, Conflict):
            pass
        except Exception as error:  # it is only a report
            log.warning("status not written", pod=key_of(pod), error=str(error))
