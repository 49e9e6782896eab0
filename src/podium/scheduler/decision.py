"""One decision: the node for a pod, or why there is none. Synchronous, and pure but for the caches and the draw that breaks ties.

What is remembered per demand (the pods of one template), and when it is renewed:
* nodes that pass the "node" filters: when any node's labels, taints or `unschedulable` change;
* nodes that pass the "usage" filters, and their own scores: for the nodes whose pods changed since the demand's last pod, usually the one
  that it was given;
* a refusal: when anything about any node changes.

So the cost per pod is a few vector operations over the nodes, and the reasons are only looked for when no node is left.
"""

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from podium.scheduler import filters
from podium.scheduler.cluster import Cluster
from podium.scheduler.columns import Integers, Mask, Rows
from podium.scheduler.demand import Demand
from podium.scheduler.filters import FILTERS, Verdict
from podium.scheduler.scores import OWN_SCORES, RELATIVE_SCORES

CACHED_DEMANDS_MAX = 128
"""Demands whose masks and scores are kept (some 20 bytes per node each); past it the one decided longest ago is dropped."""

_NODE_FILTERS = tuple(f for f in FILTERS if f.depends == "node")
_USAGE_FILTERS = tuple(f for f in FILTERS if f.depends == "usage")
_CLUSTER_FILTERS = tuple(f for f in FILTERS if f.depends == "cluster")


@dataclass(frozen=True, slots=True)
class Refusal:
    """No node takes the pod. `reasons` counts nodes by reason (one node may have several, all of one filter); `hopeless` of the `nodes`
    would not take it even if other pods left. `filters` are the names of those that rejected a node: what must change for another try.
    `everywhere` is a reason that is not about nodes."""

    nodes: int
    reasons: dict[str, int]
    hopeless: int
    filters: tuple[str, ...]
    everywhere: str = ""
    helpable: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), compare=False)
    """The slots of nodes that might take it if other pods left."""


@dataclass(slots=True)
class _Remembered:
    capacity: int
    static_version: int
    usage_version: int
    suitable: Mask
    fitting: Mask
    points: Integers
    refusal: Refusal | None = None
    refused_at: tuple[int, int, int, int, int] = (-1, -1, -1, -1, 0)


class Decider:
    def __init__(self, cluster: Cluster, draw: random.Random) -> None:
        self._cluster = cluster
        self._draw = draw
        self._remembered: dict[Demand, _Remembered] = {}

    def decide(self, demand: Demand, priority: int = 0, key: str = "") -> str | Refusal:
        """The name of the best node, ties broken by the random source. A node that the pod `key` is nominated to is the best if it can take
        it; what is promised to others of at least its priority is not given away."""
        nodes = self._cluster.nodes
        if demand.refusal or not nodes.count:
            return Refusal(nodes.count, {}, nodes.count, (), demand.refusal)
        remembered = self._refresh(demand)
        nominations = self._cluster.nominations
        nominated = nominations.of(key)
        now = (nodes.static_version, nodes.version, self._cluster.pods.terms_version, nominations.version, priority if nominations else 0)
        if remembered.refusal is not None and remembered.refused_at == now and not nominated:
            return remembered.refusal
        feasible, points = self.feasible(demand, priority, key)
        if not feasible.any():
            refusal = self.explain(demand, priority, key)
            if not nominated:
                remembered.refusal, remembered.refused_at = refusal, now
            return refusal
        if nominated and (slot := nodes.slots.get(nominated)) is not None and feasible[slot]:
            return nominated
        for score in RELATIVE_SCORES:
            relative = score.run(self._cluster, demand, feasible)
            if relative is not None:
                points = points + score.weight * relative
        points = np.where(feasible, points, -1)
        best = np.flatnonzero(points == points.max())
        chosen = best[0] if len(best) == 1 else best[self._draw.randrange(len(best))]
        return nodes.names[chosen]

    def feasible(self, demand: Demand, priority: int = 0, key: str = "") -> tuple[Mask, Integers]:
        """The nodes that can take the pod, and the own scores of all nodes; do not change the latter."""
        nodes = self._cluster.nodes
        remembered = self._refresh(demand)
        size = nodes.size
        feasible = remembered.suitable[:size] & remembered.fitting[:size]
        for each in _CLUSTER_FILTERS:
            for verdict in each.run(self._cluster, demand, slice(0, size)):
                feasible &= ~verdict.failing
        for verdict in self._promised(demand, priority, key):
            feasible &= ~verdict.failing
        return feasible, remembered.points[:size]

    def _promised(self, demand: Demand, priority: int, key: str) -> list[Verdict]:
        """The verdicts over what nominated pods leave."""
        nominations = self._cluster.nominations
        reserved = nominations.reserved(priority, key) if nominations else None
        if reserved is None:
            return []
        verdicts = filters.fit_verdicts(self._cluster.nodes, demand, slice(0, self._cluster.nodes.size), reserved)
        if taken := nominations.ports_promised(demand, priority, key):
            failing = np.zeros(self._cluster.nodes.size, np.bool_)
            failing[taken] = True
            verdicts.append(Verdict(failing, filters.PORTS_TAKEN, False))
        return verdicts

    def explain(self, demand: Demand, priority: int = 0, key: str = "") -> Refusal:
        """Why nodes reject the pod: for each node, the reasons of the first filter that does."""
        nodes = self._cluster.nodes
        rows = slice(0, nodes.size)
        undecided = nodes.present[rows].copy()
        reasons: dict[str, int] = {}
        names: list[str] = []
        hopeless = 0
        helpable = np.zeros(nodes.size, np.bool_)
        judged = [(each.name, each.run(self._cluster, demand, rows)) for each in FILTERS]
        for name, verdicts in (*judged, ("NodeResourcesFit", self._promised(demand, priority, key))):
            rejected = np.zeros(nodes.size, np.bool_)
            unhelpable = np.zeros(nodes.size, np.bool_)
            for verdict in verdicts:
                failing = verdict.failing & undecided & ~rejected if name in _ONE_REASON else verdict.failing & undecided
                count = int(np.count_nonzero(failing))
                if count:
                    reasons[verdict.reason] = reasons.get(verdict.reason, 0) + count
                    rejected |= failing
                    unhelpable |= failing & verdict.hopeless
            if rejected.any():
                if name not in names:
                    names.append(name)
                hopeless += int(np.count_nonzero(unhelpable))
                helpable |= rejected & ~unhelpable
                undecided &= ~rejected
        return Refusal(nodes.count, reasons, hopeless, tuple(names), helpable=np.flatnonzero(helpable))

    def _refresh(self, demand: Demand) -> _Remembered:
        nodes = self._cluster.nodes
        remembered = self._remembered.pop(demand, None)
        if remembered is None or remembered.capacity != nodes.capacity:
            if len(self._remembered) >= CACHED_DEMANDS_MAX:
                del self._remembered[next(iter(self._remembered))]
            empty = np.zeros(nodes.capacity, np.bool_)
            remembered = _Remembered(nodes.capacity, -1, -1, empty, empty.copy(), np.zeros(nodes.capacity, np.int64))
        self._remembered[demand] = remembered
        if remembered.static_version != nodes.static_version:
            remembered.static_version = nodes.static_version
            self._judge_nodes(demand, remembered)
        if remembered.usage_version != nodes.version:
            changed = nodes.changed_since(remembered.usage_version)
            remembered.usage_version = nodes.version
            self._judge_usage(demand, remembered, changed)
        return remembered

    def _judge_nodes(self, demand: Demand, remembered: _Remembered) -> None:
        size = self._cluster.nodes.size
        suitable = self._cluster.nodes.present[:size].copy()
        for each in _NODE_FILTERS:
            for verdict in each.run(self._cluster, demand, slice(0, size)):
                suitable &= ~verdict.failing
        remembered.suitable[:size] = suitable

    def _judge_usage(self, demand: Demand, remembered: _Remembered, changed: NDArray[np.intp]) -> None:
        size = self._cluster.nodes.size
        rows: Rows = changed if 2 * len(changed) < size else slice(0, size)
        fitting: Mask = np.ones(len(changed) if rows is changed else size, np.bool_)
        for each in _USAGE_FILTERS:
            for verdict in each.run(self._cluster, demand, rows):
                fitting &= ~verdict.failing
        remembered.fitting[rows] = fitting
        points: Integers = np.zeros(len(fitting), np.int64)
        for score in OWN_SCORES:
            points += score.weight * score.run(self._cluster, demand, rows)
        remembered.points[rows] = points


_ONE_REASON = ("PodTopologySpread", "InterPodAffinity")
"""Filters that stop at a node's first reason; NodeResourcesFit names all that is missing."""
