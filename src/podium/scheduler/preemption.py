"""Preemption: where a pod that fits nowhere would fit if less important pods left, and which of them then have to go.

1. `Refusal.helpable` are the nodes that rejected the pod for something that leaving pods would change. One vector comparison with
   `Placements.below` keeps those where all less important pods together make enough room.
2. Of these, some (CANDIDATES_PERCENT, at least CANDIDATES_MIN) are looked at one by one, from a drawn start: every less important pod is
   taken away, then as many as possible are kept again, first those whose disruption budget forbids their end, then the rest, each time the
   more important ones first. Those that did not fit again are the victims.
3. The best node is the one with the fewest broken budgets, then the least important victims, then the fewest.

Resources and host ports are counted in plain numbers. Only for a pod with spreading or (anti-)affinity rules, or one that a placed pod's
anti-affinity speaks of, the filters themselves judge, with the victims really out of the sums (`Placements.without`): everything is back
before the plan returns, and nothing awaits meanwhile, so from outside the plan is pure.

Source: kubernetes pkg/scheduler/framework/preemption (SelectCandidate, DryRunPreemption) and plugins/defaultpreemption.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from podium.objects.selectors import LabelSelector
from podium.scheduler.cluster import Cluster
from podium.scheduler.decision import Refusal
from podium.scheduler.demand import Amounts, Demand
from podium.scheduler.filters import FILTERS, PORTS_TAKEN, fit_verdicts
from podium.scheduler.messages import NOT_HELPFUL
from podium.scheduler.placements import Placed
from podium.scheduler.priorities import Sums, ports_conflict

CANDIDATES_PERCENT = 10
CANDIDATES_MIN = 100
REMEMBERED_MAX = 16
"""Kinds of preempting pods for which `Looks` remembers nodes."""
NO_VICTIMS = "No preemption victims found for incoming pod"

_NOT_STARTED = "~"
"""Sorts after every timestamp: a pod that has not started is the youngest."""
_PRIORITY_OFFSET = 2**31
_RANK = attrgetter("rank")
_CLUSTER_FILTERS = tuple(f for f in FILTERS if f.depends == "cluster")


@dataclass(frozen=True, slots=True)
class Preemptor:
    key: str
    demand: Demand
    priority: int


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget: how many more of its pods may be disrupted; the `disrupted` ones are counted already."""

    namespace: str
    selector: LabelSelector
    allowed: int
    disrupted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Victims:
    """The pods that have to leave a node, the most important first; `violations` of them break a budget."""

    node: str
    keys: tuple[str, ...]
    violations: int


@dataclass(frozen=True, slots=True)
class Fruitless:
    """Preempting helps nowhere: nodes by reason."""

    reasons: dict[str, int]


@dataclass(slots=True, eq=False)
class _Pod:
    """`rank` sorts the more important pod first: by priority, then by age."""

    key: str
    placed: Placed
    started: str
    rank: tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The candidate of the lowest `cost` is taken; of equals the one whose most important victims started last: `oldest` is when the first of
    those did."""

    node: str
    victims: tuple[_Pod, ...]
    violations: int
    cost: tuple[int, int, int, int]
    oldest: str


def _candidate_of(node: str, victims: tuple[_Pod, ...], violations: int) -> _Candidate:
    """`victims` are sorted."""
    first = victims[0].placed.priority
    total = sum(pod.placed.priority + _PRIORITY_OFFSET for pod in victims)
    oldest = min(pod.started for pod in victims if pod.placed.priority == first)
    return _Candidate(node, victims, violations, (violations, first, total, len(victims)), oldest)


class Looks:
    """What earlier plans found on each node, for pods of the same demand and priority: in a wave of equal pods only the nodes whose pods
    changed are looked at again. A budget that changed makes all of it void; when a pod started is remembered, too, so that a pod that
    starts later counts as young until its node changes."""

    def __init__(self) -> None:
        self._budgets: list[Budget] = []
        self._found: dict[tuple[Demand, int], dict[int, tuple[int, _Candidate | str]]] = {}

    def of(self, preemptor: Preemptor, budgets: list[Budget]) -> dict[int, tuple[int, _Candidate | str]]:
        """By slot: the node's usage version then, and what was found."""
        if budgets != self._budgets:
            self._budgets = budgets
            self._found.clear()
        key = (preemptor.demand, preemptor.priority)
        found = self._found.pop(key, None)
        if found is None:
            if len(self._found) >= REMEMBERED_MAX:
                del self._found[next(iter(self._found))]
            found = {}
        self._found[key] = found
        return found


def plan_preemption(
    cluster: Cluster,
    preemptor: Preemptor,
    refusal: Refusal,
    budgets: list[Budget],
    started: Callable[[str], str],
    draw: random.Random,
    looks: Looks | None = None,
) -> Victims | Fruitless:
    """`refusal` is what the decider just said of the pod; `started(key)` when a placed pod started (RFC 3339), or empty."""
    reserved = cluster.nominations.reserved(preemptor.priority, preemptor.key)
    promising, reasons = _promising(cluster, preemptor, refusal, reserved)
    wanted = min(len(promising), max(CANDIDATES_MIN, len(refusal.helpable) * CANDIDATES_PERCENT // 100))
    start = draw.randrange(len(promising)) if len(promising) > 1 else 0
    known = {} if looks is None else looks.of(preemptor, budgets)
    node_plan = _NodePlan(cluster, preemptor, reserved, budgets, started, known)
    found: list[_Candidate] = []
    for slot in (*promising[start:], *promising[:start]):
        candidate = node_plan.look(slot)
        if isinstance(candidate, str):
            reasons[candidate] = reasons.get(candidate, 0) + 1
            continue
        found.append(candidate)
        if len(found) >= wanted and any(c.violations == 0 for c in found):
            break
    if not found:
        return Fruitless({why: count for why, count in reasons.items() if count})
    best = _best(found)
    return Victims(best.node, tuple(pod.key for pod in best.victims), best.violations)


def _promising(cluster: Cluster, preemptor: Preemptor, refusal: Refusal, reserved: Sums | None) -> tuple[list[int], dict[str, int]]:
    """Slots where all less important pods together leave enough, and why the others do not."""
    rows = refusal.helpable
    reasons = {NOT_HELPFUL: refusal.nodes - len(rows)}
    if not len(rows):
        return [], reasons
    below = cluster.pods.below(preemptor.priority)
    left = below.pods[rows] > 0
    reasons[NO_VICTIMS] = int(np.count_nonzero(~left))
    enough = left.copy()
    for verdict in fit_verdicts(cluster.nodes, preemptor.demand, rows, reserved, below):
        count = int(np.count_nonzero(verdict.failing & left))
        if count:
            reasons[verdict.reason] = reasons.get(verdict.reason, 0) + count
            enough &= ~verdict.failing
    return rows[enough].tolist(), reasons


def _best(found: Iterable[_Candidate]) -> _Candidate:
    """Of equals: the one whose most important victims started last, then the first one looked at."""
    candidates = list(found)
    lowest = min(c.cost for c in candidates)
    cheapest = [c for c in candidates if c.cost == lowest]
    youngest = max(c.oldest for c in cheapest)
    return next(c for c in cheapest if c.oldest == youngest)


class _NodePlan:
    """Which pods must leave one node, for the same pod on node after node."""

    def __init__(
        self,
        cluster: Cluster,
        preemptor: Preemptor,
        reserved: Sums | None,
        budgets: list[Budget],
        started: Callable[[str], str],
        known: dict[int, tuple[int, _Candidate | str]],
    ) -> None:
        self._cluster = cluster
        self._known = known
        self._preemptor = preemptor
        self._reserved = reserved
        self._budgets = budgets
        self._started = started
        demand = preemptor.demand
        self._wanted = list(demand.requests.items())
        hard = any(spread.hard for spread in demand.spreads)
        self._neighbourly = bool(hard or demand.affinity or demand.anti_affinity or cluster.pods.objecting(demand))
        self._promised_ports = set(cluster.nominations.ports_promised(demand, preemptor.priority, preemptor.key))

    def look(self, slot: int) -> _Candidate | str:
        """The victims there; or why even all of them would not help. Remembered where it depends on the node's own pods alone."""
        if self._neighbourly or (self._reserved is not None and self._reserved.pods[slot]):
            return self._candidate(slot)
        version = int(self._cluster.nodes.usage_version[slot])
        before = self._known.get(slot)
        if before is not None and before[0] == version:
            return before[1]
        found = self._candidate(slot)
        self._known[slot] = (version, found)
        return found

    def _candidate(self, slot: int) -> _Candidate | str:
        name = self._cluster.nodes.names[slot]
        here = self._cluster.pods.on(name)
        priority, demand = self._preemptor.priority, self._preemptor.demand
        below = [self._pod(key, placed) for key, placed in here if placed.priority < priority]
        if not below:
            return NO_VICTIMS
        below.sort(key=_RANK)
        if demand.ports:
            staying = [placed for _, placed in here if placed.priority >= priority]
            if slot in self._promised_ports or any(ports_conflict(demand, placed.demand) for placed in staying):
                return PORTS_TAKEN
        with self._cluster.pods.without(pod.key for pod in below if self._neighbourly):
            why = self._rejected(slot)
            if why:
                return why
            victims = self._victims(slot, below)
        if not victims:
            return NO_VICTIMS
        chosen = sorted((pod for pod, _ in victims), key=_RANK)
        return _candidate_of(name, tuple(chosen), sum(violates for _, violates in victims))

    def _pod(self, key: str, placed: Placed) -> _Pod:
        started = self._started(key) or _NOT_STARTED
        return _Pod(key, placed, started, (-placed.priority, started, key))

    def _victims(self, slot: int, below: list[_Pod]) -> list[tuple[_Pod, bool]]:
        """Those that cannot be kept, and whether that breaks a budget. `below` is sorted."""
        violating = self._violating(below)
        free = self._free(slot, below)
        order = [pod for pod in below if pod.key in violating] + [pod for pod in below if pod.key not in violating]
        return [(pod, pod.key in violating) for pod in order if not self._kept(slot, pod, free)]

    def _kept(self, slot: int, pod: _Pod, free: Amounts) -> bool:
        """Whether the pod may stay; then it is no longer part of `free`."""
        theirs = pod.placed.demand
        requests = theirs.requests
        for name, wanted in self._wanted:
            if free[name] - requests.get(name, 0) < wanted:
                return False
        if self._preemptor.demand.ports and ports_conflict(self._preemptor.demand, theirs):
            return False
        if self._neighbourly:
            self._cluster.pods.place_back(pod.key, pod.placed)
            if self._rejected(slot):
                self._cluster.pods.remove(pod.key)
                return False
        for name in free:
            free[name] -= requests.get(name, 0)
        return True

    def _free(self, slot: int, below: list[_Pod]) -> Amounts:
        """What is there of each resource that the pod asks for, once all of `below` left."""
        nodes, reserved = self._cluster.nodes, self._reserved
        free: Amounts = {}
        for name, _ in self._wanted:
            row = nodes.resource(name)
            amount = int(nodes.allocatable[row, slot] - nodes.requested[row, slot])
            if not self._neighbourly:  # otherwise they are out of the sums already
                amount += sum(pod.placed.demand.requests.get(name, 0) for pod in below)
            if reserved is not None and name in reserved.requested:
                amount -= int(reserved.requested[name][slot])
            free[name] = amount
        return free

    def _rejected(self, slot: int) -> str:
        """Why the filters about other pods reject the node now, or empty."""
        if self._neighbourly:
            rows = np.array([slot])
            for each in _CLUSTER_FILTERS:
                for verdict in each.run(self._cluster, self._preemptor.demand, rows):
                    if verdict.failing[0]:
                        return verdict.reason
        return ""

    def _violating(self, pods: list[_Pod]) -> set[str]:
        """The keys of those whose end a budget forbids, if they ended in this order."""
        allowed = [budget.allowed for budget in self._budgets]
        found: set[str] = set()
        for pod in pods:
            demand = pod.placed.demand
            if not demand.labels:
                continue
            for number, budget in enumerate(self._budgets):
                if budget.namespace != demand.namespace or not budget.selector.matches(demand.labels):
                    continue
                if pod.key.partition("/")[2] in budget.disrupted:
                    continue
                allowed[number] -= 1
                if allowed[number] < 0:
                    found.add(pod.key)
        return found
