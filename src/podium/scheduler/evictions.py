"""Carrying preemption out: who may preempt, the deletion of victims, and the nomination of the pod that waits for their room.

The plan is `preemption.py`'s. What it names is written by the binder's workers: the condition DisruptionTarget on each victim, then its
deletion with its own grace period. The nomination holds from the moment of the plan; the pod's status shows it a little later.

Invariants: a pod whose victims are still on their way out does not preempt again; a pod with preemptionPolicy Never never does; a victim
is named by its uid, so a namesake is never deleted.
Source: kubernetes pkg/scheduler/framework/preemption/executor.go, plugins/defaultpreemption (PodEligibleToPreemptOthers).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from podium.client.events import EventRecorder
from podium.client.mirror import Mirror
from podium.instrument.log import logger
from podium.objects import selectors
from podium.objects.status import BadRequest
from podium.objects.values import Object, is_deleting, key_of
from podium.scheduler import messages
from podium.scheduler.binding import Binder
from podium.scheduler.cluster import Cluster
from podium.scheduler.decision import Refusal
from podium.scheduler.demand import Demand
from podium.scheduler.preemption import Budget, Fruitless, Looks, Preemptor, plan_preemption

log = logger("scheduler.preemption")

DISRUPTED, PREEMPTED = "DisruptionTarget", "PreemptionByScheduler"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`message` ends the pod's FailedScheduling event (empty when room is being made). `nominated` is what its status is to say: a node,
    empty for none, None for what it says already. `victims` are to be deleted, and `losers` are no longer nominated to that node.
    `freed`: what was promised to the pod is there for others again."""

    message: str
    nominated: str | None = None
    victims: tuple[Object, ...] = ()
    losers: tuple[Object, ...] = ()
    freed: bool = False


class Evictions:
    """`again(key)` puts a waiting pod back into the queue: when its victims could not be deleted, or its nomination is gone."""

    def __init__(
        self,
        cluster: Cluster,
        binder: Binder,
        events: EventRecorder,
        pods: Mirror,
        budgets: Mirror,
        draw: random.Random,
        again: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._binder = binder
        self._events = events
        self._pods = pods
        self._budgets = budgets
        self._draw = draw
        self._again = again
        self._going: dict[str, str] = {}
        """Victims, key to uid, whose deletion the mirror does not show yet."""
        self._looks = Looks()
        self._read: dict[str, tuple[Object, Budget | None]] = {}

    def attempt(self, pod: Object, demand: Demand, refusal: Refusal) -> Outcome:
        """What preempting can do for a pod that was just refused. Notes the nomination; the writes are `carry_out`'s."""
        key, priority = key_of(pod), priority_of(pod)
        if (pod["spec"].get("preemptionPolicy") or "") == "Never":
            return Outcome(messages.NEVER_PREEMPTS)
        if refusal.everywhere or not refusal.nodes:
            return Outcome(messages.fruitless(refusal.nodes, {messages.NOT_HELPFUL: refusal.nodes}))
        if self._waits_for_victims(key, priority, refusal):
            return Outcome(messages.WAITS_FOR_VICTIMS)
        preemptor = Preemptor(key, demand, priority)
        plan = plan_preemption(self._cluster, preemptor, refusal, self._current_budgets(), self._started, self._draw, self._looks)
        if isinstance(plan, Fruitless):
            promised = self._cluster.nominations.remove(key)
            told = (pod.get("status") or {}).get("nominatedNodeName")
            return Outcome(messages.fruitless(refusal.nodes, plan.reasons), "" if promised or told else None, freed=bool(promised))
        losers = [other for other, each in self._cluster.nominations.on(plan.node) if each.priority < priority]
        for other in losers:
            self._cluster.nominations.remove(other)
        self._cluster.nominations.set(key, plan.node, demand, priority)
        victims = [found for victim in plan.keys if (found := self._pods.by_key(victim)) is not None and not is_deleting(found)]
        self._going |= {key_of(victim): victim["metadata"]["uid"] for victim in victims}
        log.info("preempting", pod=key, node=plan.node, victims=len(victims), violations=plan.violations)
        lost = [found for other in losers if (found := self._pods.by_key(other)) is not None]
        return Outcome("", plan.node, tuple(victims), tuple(lost))

    async def carry_out(self, pod: Object, outcome: Outcome) -> None:
        """Returns when the writes wait their turn."""
        for loser in outcome.losers:
            await self._binder.report(loser, {"nominatedNodeName": None})
            self._again(key_of(loser))
        who = pod["spec"].get("schedulerName") or "default-scheduler"
        for victim in outcome.victims:
            condition = {
                "type": DISRUPTED, "status": "True", "reason": PREEMPTED, "message": f"{who}: preempting to accommodate a higher priority pod",
            }  # fmt: skip
            await self._binder.evict(victim, condition, partial(self._evicted, victim, pod, outcome), partial(self._failed, victim, pod))

    def gone(self, key: str) -> None:
        """The pod is being deleted, as asked, or is there no more."""
        self._going.pop(key, None)

    def _evicted(self, victim: Object, pod: Object, outcome: Outcome) -> None:
        text = f"Preempted by pod {pod['metadata']['uid']} on node {outcome.nominated}"
        self._events.event(victim, "Normal", "Preempted", text, related=pod)

    def _failed(self, victim: Object, pod: Object) -> None:
        self._going.pop(key_of(victim), None)
        self._again(key_of(pod))

    def _waits_for_victims(self, key: str, priority: int, refusal: Refusal) -> bool:
        """Whether pods that made room for it are still leaving the node it is nominated to; unless that node can no longer help."""
        node = self._cluster.nominations.of(key)
        slot = self._cluster.nodes.slots.get(node) if node else None
        if slot is None or slot not in refusal.helpable:
            return False
        return any(placed.priority < priority and self._is_leaving(other) for other, placed in self._cluster.pods.on(node))

    def _is_leaving(self, key: str) -> bool:
        pod = self._pods.by_key(key)
        if pod is None:
            return False
        if self._going.get(key) == pod["metadata"]["uid"]:
            return True
        if not is_deleting(pod):
            return False
        return any(c["type"] == DISRUPTED and c.get("reason") == PREEMPTED for c in (pod.get("status") or {}).get("conditions") or ())

    def _started(self, key: str) -> str:
        pod = self._pods.by_key(key)
        return "" if pod is None else (pod.get("status") or {}).get("startTime") or ""

    def _current_budgets(self) -> list[Budget]:
        """An empty selector means no pod here, as upstream. A budget is read once per version."""
        known, self._read = self._read, {}
        for value in self._budgets.all():
            key = key_of(value)
            before = known.get(key)
            self._read[key] = before if before is not None and before[0] is value else (value, _budget(value))
        return [budget for _, budget in self._read.values() if budget is not None]


def _budget(value: Object) -> Budget | None:
    try:
        selector = selectors.from_value((value.get("spec") or {}).get("selector"))
    except BadRequest:
        return None
    if selector.empty or selector.nothing:
        return None
    status = value.get("status") or {}
    disrupted = frozenset(status.get("disruptedPods") or ())
    return Budget(value["metadata"]["namespace"], selector, status.get("disruptionsAllowed", 0), disrupted)


def priority_of(pod: Object) -> int:
    return pod["spec"].get("priority") or 0
