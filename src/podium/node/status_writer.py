"""Writes pod statuses, and the last delete of ended pods: one queue for all pods of the process, few writers, one write per change.

The status is computed when its turn comes, so a pod that passes through several states quickly costs one patch. Only what differs from
the last known status is sent, as a strategic merge patch with the pod's uid as precondition.

Source: kubelet/status status_manager.go.
"""

from typing import Any

from podium.client.control_loop import ControlLoop
from podium.client.interface import Client, DeleteOptions
from podium.client.work_queue import WorkQueue
from podium.instrument.log import logger
from podium.node.pod_spec import display
from podium.node.pod_status import pod_status
from podium.node.pod_worker import PodWorker
from podium.node.pod_workers import PodWorkers
from podium.objects.resources import resource
from podium.objects.status import Conflict, NotFound
from podium.objects.values import Object, name_of, namespace_of
from podium.world.interface import World

log = logger("node.status_writer")


class StatusWriter:
    """`writers`: how many requests may be on their way at once."""

    def __init__(self, client: Client, world: World, *, writers: int = 8) -> None:
        self._client = client
        self._world = world
        self._pods = resource("pods")
        self._queue = WorkQueue(world, retry_max_s=30.0)
        self._owners: dict[str, PodWorkers] = {}
        self._loop = ControlLoop("pod-status", self._queue, self._write, workers=writers)
        self.patches = 0

    def publish(self, workers: PodWorkers, uid: str) -> None:
        self._owners[uid] = workers
        self._queue.add(uid)

    async def run(self) -> None:
        """Forever."""
        await self._loop.run()

    async def _write(self, uid: str) -> None:
        workers = self._owners.pop(uid, None)
        worker = workers.worker(uid) if workers is not None else None
        if workers is None or worker is None or worker.gone or worker.deleted or workers.cut_off:
            return
        try:
            await self._patch(workers, worker)
            if worker.over and worker.deleting:
                await workers.clean_up(worker)
                await self._delete(worker)
        except NotFound:
            log.debug("the pod is gone", pod=display(worker.pod))
        except Conflict:
            log.debug("another pod has its name now", pod=display(worker.pod))
        except BaseException:
            self._owners.setdefault(uid, workers)
            raise

    async def _patch(self, workers: PodWorkers, worker: PodWorker) -> None:
        pod = worker.pod
        old = pod.get("status", {})
        new = pod_status(pod, workers.sighting(worker), workers.facts, self._world.clock.timestamp())
        changes = status_changes(old, new)
        if not changes:
            return
        patch = {"metadata": {"uid": worker.uid}, "status": changes}
        answer = await self._client.patch(self._pods, name_of(pod), patch, namespace_of(pod), type="strategic", subresource="status")
        self.patches += 1
        if workers.worker(worker.uid) is worker:
            workers.update(answer)  # it may be the first to tell that the pod is being deleted

    async def _delete(self, worker: PodWorker) -> None:
        pod = worker.pod
        await self._client.delete(self._pods, name_of(pod), namespace_of(pod), DeleteOptions(uid=worker.uid, grace_period_s=0))
        worker.deleted = True


def status_changes(old: Object, new: Object) -> Object:
    """The fields of `new` that differ, as a strategic merge patch of `old`: conditions merge by type, addresses by ip."""
    changes: dict[str, Any] = {k: v for k, v in new.items() if k not in ("conditions", "podIPs", "hostIPs") and old.get(k) != v}
    before = {c["type"]: c for c in old.get("conditions") or ()}
    conditions = [_condition_patch(before.get(c["type"]), c) for c in new["conditions"] if before.get(c["type"]) != c]
    conditions += [{"$patch": "delete", "type": name} for name in before if name not in {c["type"] for c in new["conditions"]}]
    if conditions:
        changes["conditions"] = conditions
    for field in ("podIPs", "hostIPs"):
        if field in new and old.get(field) != new[field]:
            kept = {a["ip"] for a in new[field]}
            stale = [{"$patch": "delete", "ip": a["ip"]} for a in old.get(field) or () if a["ip"] not in kept]
            changes[field] = new[field] + stale if field == "podIPs" else new[field]
    return changes


def _condition_patch(old: Object | None, new: Object) -> Object:
    """A merged condition keeps what the patch does not name: say null for what it lost."""
    return {**new, **{k: None for k in old or () if k not in new}}
