"""Taint eviction: pods leave nodes with NoExecute taints that they do not tolerate, or not any longer.

A pod that tolerates all NoExecute taints stays for the shortest tolerationSeconds among the tolerations used, counted from when the taints
were first seen against it, or for ever if none has one. The API server gives pods 300 s for not-ready and unreachable nodes by default.

Source: kubernetes pkg/controller/tainteviction.
"""

from collections.abc import Sequence

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, DeleteOptions
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.pods_on_nodes import BY_NODE, by_node
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.objects.tolerations import tolerates
from podium.objects.values import Object, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

log = logger("controllers.taint_eviction")

WORKERS = 8

STAYS = None


class TaintEvictionController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._resource = resource("pods")
        self._nodes = mirrors.of(resource("nodes"))
        self._pods = mirrors.of(self._resource)
        self._pods.add_index(BY_NODE, by_node)
        self._queue = WorkQueue(world)
        self._leaving: dict[str, tuple[float, float, str]] = {}
        """Pod key -> (since when, until when it may stay, uid)."""

    async def run(self) -> None:
        await self._nodes.synced()
        await self._pods.synced()
        cancellations = [self._nodes.subscribe(self._on_node), self._pods.subscribe(self._on_pod)]
        try:
            await ControlLoop("taint-eviction", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    def _on_node(self, change: Change) -> None:
        before = execute_taints(change.old) if change.old is not None and change.new is not None else []
        after = execute_taints(change.new) if change.new is not None else []
        if before == after and change.type != "deleted":
            return
        for pod in self._pods.by_index(BY_NODE, name_of(change.object)):
            self._look_at(pod, after)

    def _on_pod(self, change: Change) -> None:
        pod = change.new
        if pod is None:
            self._leaving.pop(key_of(change.object), None)
            return
        name = pod["spec"].get("nodeName")
        if not name:
            return
        old = change.old
        if old is not None and old["spec"] is not pod["spec"] and old["spec"] == pod["spec"]:
            return
        node = self._nodes.get("", name)
        if node is not None and ((taints := execute_taints(node)) or key_of(pod) in self._leaving):
            self._look_at(pod, taints)

    def _look_at(self, pod: Object, taints: list[Object]) -> None:
        key = key_of(pod)
        stay_s = stay_of(pod["spec"].get("tolerations") or (), taints)
        if stay_s is STAYS:
            if self._leaving.pop(key, None) is not None and not is_deleting(pod):
                self._events.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return
        now = self._clock.monotonic()
        since = self._leaving[key][0] if key in self._leaving else now
        self._leaving[key] = (since, since + stay_s, pod["metadata"]["uid"])
        self._queue.add_after(key, since + stay_s - now)

    async def reconcile(self, key: str) -> None:
        leaving, pod = self._leaving.get(key), self._pods.by_key(key)
        if leaving is None:
            return
        _, until, uid = leaving
        if pod is None or pod["metadata"]["uid"] != uid or is_deleting(pod):
            self._leaving.pop(key, None)
            return
        remaining = until - self._clock.monotonic()
        if remaining > 0:
            self._queue.add_after(key, remaining)
            return
        await self._evict(key, pod)
        self._leaving.pop(key, None)

    async def _evict(self, key: str, pod: Object) -> None:
        self._events.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        uid = pod["metadata"]["uid"]
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": self._clock.timestamp(),
        }
        patch = {"metadata": {"uid": uid}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(self._resource, name_of(pod), patch, namespace_of(pod), type="strategic", subresource="status")
            await self._client.delete(self._resource, name_of(pod), namespace_of(pod), DeleteOptions(uid=uid))
        except NotFound:
            return
        log.info("evicted", pod=key, node=pod["spec"].get("nodeName"))


def execute_taints(node: Object) -> list[Object]:
    """As (key, value) without their times: a new time is no new taint."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return [{"key": t["key"], "value": t.get("value") or "", "effect": "NoExecute"} for t in taints if t.get("effect") == "NoExecute"]


def stay_of(tolerations: Sequence[Object], taints: Sequence[Object]) -> float | None:
    """Seconds that a pod may stay on a node with these taints; None for as long as it likes."""
    if not taints:
        return STAYS
    used: list[Object] = []
    for taint in taints:
        fitting = [t for t in tolerations if tolerates(t, (taint["key"], taint["value"], taint["effect"]))]
        if not fitting:
            return 0.0
        used.extend(fitting)
    limits = [max(0.0, float(t["tolerationSeconds"])) for t in used if t.get("tolerationSeconds") is not None]
    return min(limits) if limits else STAYS
