"""Which pods are on which nodes, and what that adds up to.

Two sums follow every pod that is placed, moved or gone: the usage of its node (`columns.py`), and counts of pods by what they are:

* a `Tally` counts, per node, the pods that a selector means ("app=web in namespace shop"): the question of topology spreading and of pod
  affinity. It is made when first asked for and then kept up to date;
* a `TermUse` sums, per node, the weights of the pods that carry one (anti-)affinity term: the question "who here objects to me?".

Worked example: pods with equal namespace and labels are one `Kin`. When the tally of "app=web" is made, each kin is asked once whether it
matches; when the 5,000th web pod is placed, its kin knows the tallies to add one to. No pod is ever compared with a selector twice.

Invariants: every sum equals one made anew from `pods`; a pod counts once, on its last known node; a node that is not known (yet) has its
pods remembered and gets them when it appears.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from podium.objects.selectors import LabelSelector
from podium.objects.values import Object
from podium.scheduler.columns import Columns, Integers
from podium.scheduler.demand import Demand, PodTerm
from podium.scheduler.priorities import Entry, PriorityUsage, Sums

TALLIES_MAX = 2_048
"""Past it the tally used longest ago is dropped, and counted again when asked for again."""

MEANT_MAX = 1_024
"""Demands for which is remembered which terms of placed pods speak of them; past it all is forgotten and asked again."""

HARD_AFFINITY_WEIGHT = 1
"""What an existing pod's required affinity to the incoming pod weighs in scores."""

Means = Callable[[str, dict[str, str]], bool]
"""(namespace, labels) -> whether such a pod is meant."""


@dataclass(slots=True, eq=False)
class Tally:
    namespace: str
    """The only namespace it is about; empty when it may be any."""
    means: Means
    terminating: bool
    """Whether pods that are being deleted count."""
    counts: Integers


@dataclass(slots=True, eq=False)
class Kin:
    """The placed pods of equal namespace, labels and state. `nodes` counts them by node name."""

    namespace: str
    labels: dict[str, str]
    terminating: bool
    tallies: list[Tally]
    nodes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class TermUse:
    term: PodTerm
    pods: int
    weights: Integers


@dataclass(slots=True)
class Placed:
    node: str
    demand: Demand
    kin_key: tuple[bytes, bool]
    priority: int


class Placements:
    """Keeps `columns` usage too. Pods are named by their key, `namespace/name`."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.pods: dict[str, Placed] = {}
        self.namespace_labels: dict[str, dict[str, str]] = {}
        self.objections: dict[str, TermUse] = {}
        """Required anti-affinity of placed pods, by term key."""
        self.wishes: dict[str, TermUse] = {}
        """Preferred and required affinity of placed pods, weighted (anti-affinity negative), by term key."""
        self.terms_version = 0
        """Grows when a term appears or is gone, or namespaces change: then who matches which term must be asked again."""
        self._by_node: dict[str, dict[str, None]] = {}
        self._kin: dict[tuple[bytes, bool], Kin] = {}
        self._tallies: dict[str, Tally] = {}
        self._meant: dict[tuple[bytes, bool], tuple[int, list[TermUse]]] = {}
        self._below = PriorityUsage(columns, lambda priority, threshold: priority < threshold, self._entries)

    # Nodes

    def set_node(self, node: Object) -> list[str]:
        """As `Columns.set_node`; pods that were placed on it before it was known are now counted there."""
        columns = self.columns
        capacity = columns.capacity
        name = node["metadata"]["name"]
        fresh = name not in columns.slots
        changes = columns.set_node(node)
        if columns.capacity != capacity:
            self._grow(columns.capacity)
        if fresh:
            for key in self._by_node.get(name, ()):
                self._count(self.pods[key], columns.slots[name], 1)
                self._below.add(columns.slots[name], self.pods[key].demand, self.pods[key].priority, 1)
        return changes

    def remove_node(self, name: str) -> None:
        """Its pods stay known, in case it comes back, but count nowhere."""
        slot = self.columns.remove_node(name)
        if slot is None:
            return
        for tally in self._tallies.values():
            tally.counts[slot] = 0
        for use in (*self.objections.values(), *self.wishes.values()):
            use.weights[slot] = 0
        self._below.clear_slot(slot)

    # Pods

    def place(self, key: str, node: str, demand: Demand, terminating: bool = False, priority: int = 0) -> None:
        """The pod is (assumed to be) there now, wherever it was before."""
        kin_key = (demand.key, terminating)
        before = self.pods.get(key)
        if before is not None:
            if before.node == node and before.kin_key == kin_key and before.priority == priority:
                return
            self.remove(key)
        placed = self.pods[key] = Placed(node, demand, kin_key, priority)
        self._by_node.setdefault(node, {})[key] = None
        kin = self._kin_of(placed)
        kin.nodes[node] = kin.nodes.get(node, 0) + 1
        self._use_terms(demand, 1)
        slot = self.columns.slots.get(node)
        if slot is not None:
            self._count(placed, slot, 1)
            self._below.add(slot, demand, priority, 1)

    def remove(self, key: str) -> Placed | None:
        """What was known of it."""
        placed = self.pods.pop(key, None)
        if placed is None:
            return None
        on_node = self._by_node[placed.node]
        del on_node[key]
        if not on_node:
            del self._by_node[placed.node]
        slot = self.columns.slots.get(placed.node)
        if slot is not None:
            self._count(placed, slot, -1)
            self._below.add(slot, placed.demand, placed.priority, -1)
        self._use_terms(placed.demand, -1)
        kin = self._kin[placed.kin_key]
        kin.nodes[placed.node] -= 1
        if not kin.nodes[placed.node]:
            del kin.nodes[placed.node]
            if not kin.nodes:
                del self._kin[placed.kin_key]
        return placed

    # Questions

    def below(self, priority: int) -> Sums:
        """What the pods of less than this priority are and take, per slot."""
        return self._below.at(priority)

    def on(self, node: str) -> list[tuple[str, Placed]]:
        """The pods of a node, by key."""
        return [(key, self.pods[key]) for key in sorted(self._by_node.get(node, ()))]

    @contextmanager
    def without(self, keys: Iterable[str]) -> Iterator[None]:
        """As if these pods were not there, until the block ends; inside it they may be placed and removed again, and nothing may await."""
        away = [(key, placed) for key in keys if (placed := self.remove(key)) is not None]
        try:
            yield
        finally:
            for key, placed in away:
                self.place_back(key, placed)

    def place_back(self, key: str, placed: Placed) -> None:
        self.place(key, placed.node, placed.demand, placed.kin_key[1], placed.priority)

    def tally(self, namespace: str, selector: LabelSelector, selector_key: str) -> Tally:
        """Pods of one namespace that a selector means; those being deleted do not count."""

        def means(of: str, labels: dict[str, str]) -> bool:
            return of == namespace and selector.matches(labels)

        return self._tally(f"{namespace}\n{selector_key}", namespace, means, terminating=False)

    def tally_terms(self, terms: tuple[PodTerm, ...]) -> Tally:
        """Pods that all of these terms mean; those being deleted count."""

        def means(of: str, labels: dict[str, str]) -> bool:
            own = self.namespace_labels.get(of)
            return all(term.matches(of, own, labels) for term in terms)

        named = terms[0].namespaces
        only = next(iter(named)) if len(named) == 1 and terms[0].namespace_selector is None else ""
        return self._tally("\r".join(("", *(term.key for term in terms))), only, means, terminating=True)

    def objecting(self, demand: Demand) -> list[TermUse]:
        """Required anti-affinity of placed pods that speaks of such a pod."""
        return self._meaning(self.objections, demand)

    def wishing(self, demand: Demand) -> list[TermUse]:
        """Weighted affinity of placed pods that speaks of such a pod."""
        return self._meaning(self.wishes, demand)

    def _meaning(self, uses: dict[str, TermUse], demand: Demand) -> list[TermUse]:
        if not uses:
            return []
        key = (demand.key, uses is self.wishes)
        known = self._meant.get(key)
        if known is not None and known[0] == self.terms_version:
            return known[1]
        own = self.namespace_labels.get(demand.namespace)
        found = [use for use in uses.values() if use.term.matches(demand.namespace, own, demand.labels)]
        if len(self._meant) >= MEANT_MAX:
            self._meant.clear()
        self._meant[key] = (self.terms_version, found)
        return found

    def set_namespace(self, name: str, labels: dict[str, str] | None) -> None:
        """None: it is gone. What depends on namespace labels is counted anew when asked for."""
        if labels == self.namespace_labels.get(name):
            return
        if labels is None:
            del self.namespace_labels[name]
        else:
            self.namespace_labels[name] = labels
        self.terms_version += 1
        for key in [key for key in self._tallies if key.startswith("\r")]:
            self._forget_tally(key)

    # Sums

    def _count(self, placed: Placed, slot: int, sign: int) -> None:
        demand = placed.demand
        self.columns.add_usage(slot, demand, sign)
        for tally in self._kin[placed.kin_key].tallies:
            tally.counts[slot] += sign
        for term in demand.anti_affinity:
            self.objections[term.key].weights[slot] += sign
        for term, weight in _wishes(demand):
            self.wishes[term.key].weights[slot] += sign * weight

    def _entries(self) -> Iterator[Entry]:
        slots = self.columns.slots
        for placed in self.pods.values():
            if (slot := slots.get(placed.node)) is not None:
                yield slot, placed.demand, placed.priority

    def _use_terms(self, demand: Demand, sign: int) -> None:
        for term in demand.anti_affinity:
            self._use_term(self.objections, term, sign)
        for term, _ in _wishes(demand):
            self._use_term(self.wishes, term, sign)

    def _use_term(self, uses: dict[str, TermUse], term: PodTerm, sign: int) -> None:
        use = uses.get(term.key)
        if use is None:
            use = uses[term.key] = TermUse(term, 0, np.zeros(self.columns.capacity, np.int64))
            self.terms_version += 1
        use.pods += sign
        if not use.pods:
            del uses[term.key]
            self.terms_version += 1

    def _kin_of(self, placed: Placed) -> Kin:
        kin = self._kin.get(placed.kin_key)
        if kin is None:
            demand, terminating = placed.demand, placed.kin_key[1]
            kin = Kin(demand.namespace, demand.labels, terminating, [])
            kin.tallies = [tally for tally in self._tallies.values() if _counts(tally, kin)]
            self._kin[placed.kin_key] = kin
        return kin

    def _tally(self, key: str, namespace: str, means: Means, terminating: bool) -> Tally:
        tally = self._tallies.pop(key, None)
        if tally is None:
            if len(self._tallies) >= TALLIES_MAX:
                self._forget_tally(next(iter(self._tallies)))
            tally = Tally(namespace, means, terminating, np.zeros(self.columns.capacity, np.int64))
            slots = self.columns.slots
            for kin in self._kin.values():
                if _counts(tally, kin):
                    kin.tallies.append(tally)
                    for node, count in kin.nodes.items():
                        if (slot := slots.get(node)) is not None:
                            tally.counts[slot] += count
        self._tallies[key] = tally
        return tally

    def _forget_tally(self, key: str) -> None:
        tally = self._tallies.pop(key)
        for kin in self._kin.values():
            if tally in kin.tallies:
                kin.tallies.remove(tally)

    def _grow(self, capacity: int) -> None:
        for tally in self._tallies.values():
            tally.counts = _grown(tally.counts, capacity)
        for use in (*self.objections.values(), *self.wishes.values()):
            use.weights = _grown(use.weights, capacity)


def _counts(tally: Tally, kin: Kin) -> bool:
    if kin.terminating and not tally.terminating:
        return False
    return tally.namespace in ("", kin.namespace) and tally.means(kin.namespace, kin.labels)


def _wishes(demand: Demand) -> Iterable[tuple[PodTerm, int]]:
    for term in demand.preferred:
        yield term, term.weight
    for term in demand.affinity:
        yield term, HARD_AFFINITY_WEIGHT


def _grown(column: Integers, capacity: int) -> Integers:
    wider = np.zeros(capacity, np.int64)
    wider[: len(column)] = column
    return wider
