"""Pods that nobody will finish: collected by force.

* Orphaned: bound to a node that does not exist, for QUARANTINE_S at least, verified with the server. Its agent cannot delete it any more.
* Terminating without a node: deleted before it was scheduled; there is no agent to wait for.
* Terminated beyond a threshold: finished pods are kept for their logs and status, but not without end; the oldest go first.

Source: kubernetes pkg/controller/podgc. Absent: nodes tainted out-of-service (needs volumes that detach).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from podium.client.events import EventRecorder
from podium.client.interface import Client, DeleteOptions
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import NotFound, StatusError
from podium.objects.values import Object, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

log = logger("controllers.pod_garbage_collection")

PERIOD_S = 20.0
QUARANTINE_S = 40.0
TERMINATED_PODS_MAX = 12_500

FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Plan:
    """`orphaned` are to be verified: their node was missing long enough. `missing` are the nodes missed now, with the time they were
    first missed."""

    orphaned: list[Object]
    unscheduled: list[Object]
    terminated: list[Object]
    missing: dict[str, float]


class PodGarbageCollector:
    def __init__(
        self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, terminated_pods_max: int = TERMINATED_PODS_MAX
    ) -> None:
        self._client = client
        self._clock = world.clock
        self._terminated_pods_max = terminated_pods_max
        self._pods_resource = resource("pods")
        self._nodes_resource = resource("nodes")
        self._pods = mirrors.of(self._pods_resource)
        self._nodes = mirrors.of(self._nodes_resource)
        self._missing: dict[str, float] = {}

    async def run(self) -> None:
        await self._pods.synced()
        await self._nodes.synced()
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.collect()
            except (StatusError, OSError) as error:
                log.warning("collection failed; next in a while", error=str(error))

    async def collect(self) -> None:
        nodes = {name_of(node) for node in self._nodes.all()}
        plan = plan_collection(self._pods.all(), nodes, self._missing, self._clock.monotonic(), self._terminated_pods_max)
        self._missing = plan.missing
        for pod in plan.terminated:
            await self._delete(pod, "")
        gone: dict[str, bool] = {}
        for pod in plan.orphaned:
            node = pod["spec"]["nodeName"]
            if node not in gone:
                gone[node] = await self._is_gone(node)
            if gone[node]:
                await self._delete(pod, "PodGC: node no longer exists")
        for pod in plan.unscheduled:
            await self._delete(pod, "")

    async def _is_gone(self, node: str) -> bool:
        try:
            await self._client.get(self._nodes_resource, node)
        except NotFound:
            return True
        return False

    async def _delete(self, pod: Object, disruption: str) -> None:
        """Without grace. A pod that did not finish is failed first, so that its end is on record."""
        name, namespace = name_of(pod), namespace_of(pod)
        try:
            if (pod.get("status") or {}).get("phase") not in FINISHED:
                status: Object = {"phase": "Failed"}
                if disruption:
                    now = self._clock.timestamp()
                    status["conditions"] = [
                        {
                            "type": "DisruptionTarget",
                            "status": "True",
                            "reason": "DeletionByPodGC",
                            "message": disruption,
                            "lastTransitionTime": now,
                        }
                    ]
                patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
                await self._client.patch(self._pods_resource, name, patch, namespace, type="strategic", subresource="status")
            await self._client.delete(self._pods_resource, name, namespace, DeleteOptions(uid=pod["metadata"]["uid"], grace_period_s=0))
        except NotFound:
            return
        log.info("collected", pod=key_of(pod), why=disruption or "terminated")


def plan_collection(pods: Iterable[Object], nodes: set[str], missing: dict[str, float], now: float, terminated_pods_max: int) -> Plan:
    """`missing` are the nodes missed last time. Pods come in key order and leave in it, but for `terminated`: oldest first."""
    missed: dict[str, float] = {}
    orphaned, unscheduled, finished = [], [], []
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if (pod.get("status") or {}).get("phase") in FINISHED and not is_deleting(pod):
            finished.append(pod)
        if not node:
            if is_deleting(pod):
                unscheduled.append(pod)
        elif node not in nodes:
            since = missed.setdefault(node, missing.get(node, now))
            if now - since >= QUARANTINE_S:
                orphaned.append(pod)
    finished.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), key_of(pod)))
    excess = max(0, len(finished) - terminated_pods_max)
    return Plan(orphaned, unscheduled, finished[:excess], missed)
