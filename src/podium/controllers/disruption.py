"""Disruption budgets: how many of the pods that a budget covers may be evicted now.

Expected is how many pods there should be: for `minAvailable` as a number, those that match; otherwise what the pods' controllers ask for.
Healthy are those that are ready. What is left between the healthy and the wanted ones may go. A pod that was evicted but is not seen going
yet is listed in `disruptedPods` for DELETION_S_MAX and counts as gone, so that two evictions in a row cannot both use the last place.

Source: k8s.io/kubernetes pkg/controller/disruption/disruption.go.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.pod_conditions import is_active, is_ready, phase
from podium.controllers.timestamps import now_s, seconds
from podium.objects.resources import resource
from podium.objects.selectors import from_value
from podium.objects.status import Invalid
from podium.objects.values import controller_of, copy, key_of, name_of, namespace_of
from podium.world.interface import World

WORKERS = 2
TURN_S = 0.02
DELETION_S_MAX = 120.0
SCALED = {
    "ReplicaSet": ("replicasets", "apps"), "Deployment": ("deployments", "apps"), "StatefulSet": ("statefulsets", "apps"),
    "ReplicationController": ("replicationcontrollers", ""),
}  # fmt: skip
"""Kinds whose objects say how many pods they want."""


def plan_status(budget: Object, pods: Sequence[Object], expected: int, now: str) -> Object:
    """`pods` match it; `expected` is how many its controllers want, or how many match."""
    spec, status = budget["spec"], copy(budget.get("status") or {})
    wanted, total = _wanted(spec, len(pods), expected)
    disrupted = _still_disrupted(status.get("disruptedPods") or {}, pods, seconds(now))
    healthy = sum(1 for p in pods if is_active(p) and is_ready(p) and name_of(p) not in disrupted)
    allowed = max(0, healthy - wanted) if total > 0 else 0
    status |= {
        "currentHealthy": healthy, "desiredHealthy": wanted, "expectedPods": total, "disruptionsAllowed": allowed,
        "observedGeneration": budget["metadata"].get("generation", 0),
    }  # fmt: skip
    status.pop("disruptedPods", None)
    if disrupted:
        status["disruptedPods"] = disrupted
    status["conditions"] = _conditions(status.get("conditions") or [], allowed, status["observedGeneration"], now)
    return status


def _wanted(spec: Object, matching: int, expected: int) -> tuple[int, int]:
    """(how many must stay healthy, how many there should be)."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most is not None:
        return max(0, expected - _amount(most, expected)), expected
    if isinstance(least, str):
        return _amount(least, expected), expected
    return int(least or 0), matching


def _amount(value: Any, total: int) -> int:
    return ceil(int(value[:-1]) * total / 100) if isinstance(value, str) else int(value)


def _still_disrupted(listed: Object, pods: Sequence[Object], now: float) -> Object:
    """Those that were evicted a short while ago and do not show it yet."""
    there = {name_of(p) for p in pods if "deletionTimestamp" not in p["metadata"]}
    return {name: at for name, at in listed.items() if name in there and seconds(at) + DELETION_S_MAX > now}


def _conditions(old: list[Object], allowed: int, generation: int, now: str) -> list[Object]:
    status, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    others = [c for c in old if c["type"] != "DisruptionAllowed"]
    before = next((c for c in old if c["type"] == "DisruptionAllowed"), {})
    since = before.get("lastTransitionTime", now) if before.get("status") == status else now
    found = {
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "", "observedGeneration": generation,
        "lastTransitionTime": since,
    }  # fmt: skip
    return [*others, found]


class DisruptionController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._clock = world.clock
        self._budget = resource("poddisruptionbudgets", "policy")
        self._budgets, self._pods = mirrors.of(self._budget), mirrors.of(resource("pods"))
        self._scaled = {kind: mirrors.of(resource(*names)) for kind, names in SCALED.items()}
        self._events = events
        self._queue = WorkQueue(world)

    async def run(self) -> None:
        for mirror in (self._budgets, self._pods, *self._scaled.values()):
            await mirror.synced()
        cancellations = [
            self._budgets.subscribe(lambda change: self._queue.add(key_of(change.object))),
            self._pods.subscribe(self._pod_changed),
            *(mirror.subscribe(self._scaled_changed) for mirror in self._scaled.values()),
        ]
        try:
            await ControlLoop("disruption", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    def _pod_changed(self, change: Change) -> None:
        if not len(self._budgets):
            return
        seen = [p["metadata"].get("labels") for p in (change.old, change.new) if p is not None]
        for budget in self._budgets.all():
            if namespace_of(budget) == namespace_of(change.object):
                selector = from_value(budget["spec"].get("selector") or {})
                if any(selector.matches(labels) for labels in seen):
                    self._queue.add_after(key_of(budget), TURN_S)

    def _scaled_changed(self, change: Change) -> None:
        if not len(self._budgets) or (change.old and change.new and change.old["spec"] == change.new["spec"]):
            return
        for budget in self._budgets.all():
            if namespace_of(budget) == namespace_of(change.object):
                self._queue.add_after(key_of(budget), TURN_S)

    async def reconcile(self, key: str) -> None:
        budget = self._budgets.by_key(key)
        if budget is None:
            return
        chosen = budget["spec"].get("selector")
        matches = from_value(chosen).matches if chosen is not None else lambda labels: False
        namespace = namespace_of(budget)
        pods = [
            p for p in self._pods.all()
            if namespace_of(p) == namespace and phase(p) not in ("Succeeded", "Failed") and matches(p["metadata"].get("labels"))
        ]  # fmt: skip
        if not pods:
            self._events.event(budget, "Normal", "NoPods", "No matching pods found")
        status = plan_status(budget, pods, self._expected(namespace, pods), self._clock.timestamp())
        if status != (budget.get("status") or {}):
            try:
                await self._client.update(self._budget, {**budget, "status": status}, subresource="status")
            except Invalid:
                self._events.event(budget, "Warning", "CalculateExpectedPodCountFailed", "the status could not be stored")
                raise
        if status.get("disruptedPods"):
            first = min(seconds(at) for at in status["disruptedPods"].values())
            self._queue.add_after(key, max(1.0, first + DELETION_S_MAX - now_s(self._clock)))

    def _expected(self, namespace: str, pods: Sequence[Object]) -> int:
        """What the controllers of the pods ask for; a pod without one counts itself."""
        wanted: dict[str, int] = {}
        alone = 0
        for pod in pods:
            top = self._top_owner(namespace, pod)
            if top is None:
                alone += 1
            else:
                wanted[top["metadata"]["uid"]] = top["spec"].get("replicas", 1)
        return alone + sum(wanted.values())

    def _top_owner(self, namespace: str, value: Object) -> Object | None:
        found, reference = None, controller_of(value)
        while reference is not None and reference["kind"] in self._scaled:
            owner = self._scaled[reference["kind"]].get(namespace, reference["name"])
            if owner is None or owner["metadata"]["uid"] != reference["uid"]:
                break
            found, reference = owner, controller_of(owner)
        return found
