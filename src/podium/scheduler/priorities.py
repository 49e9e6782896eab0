"""Sums by priority: what pods of less importance take of each node, and what is promised to pods that wait for room.

Two questions of preemption, each asked of all nodes at once:

* "what would be free if every pod less important than this one left?": the placed pods below a priority (`Placements.below`);
* "what is promised to pods at least as important?": the nominated pods at or above a priority (`Nominations.reserved`). A pod that made
  others leave is nominated to their node; until it is placed there, its room is not given to a pod of its own or a lower priority.

Both are a `PriorityUsage`: one set of columns per priority that was asked about, made when first asked and then kept up to date.

Invariants: every sum equals one made anew from the pods; THRESHOLDS_MAX sets at most, the one used longest ago goes first.
Source: kubernetes pkg/scheduler/framework/preemption, backend/queue/nominator.go. Differs: a nominated pod counts by its resources and
host ports; its (anti-)affinity counts once it is placed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from podium.scheduler.columns import Columns, Integers
from podium.scheduler.demand import ANY_ADDRESS, Demand

THRESHOLDS_MAX = 32

Entry = tuple[int, Demand, int]
"""(slot, demand, priority) of a pod."""


@dataclass(slots=True)
class Sums:
    """`pods` counts them per slot; `requested` has a column for each resource that one of them asked for."""

    pods: Integers
    requested: dict[str, Integers] = field(default_factory=dict)

    def add(self, slot: int, demand: Demand, sign: int) -> None:
        self.pods[slot] += sign
        for name, amount in demand.requests.items():
            column = self.requested.get(name)
            if column is None:
                column = self.requested[name] = np.zeros(len(self.pods), np.int64)
            column[slot] += sign * amount

    def copy(self) -> "Sums":
        return Sums(self.pods.copy(), {name: column.copy() for name, column in self.requested.items()})


class PriorityUsage:
    """`counts(priority, threshold)` says which pods belong to the sums of a threshold; `everything()` are all pods, for new sums."""

    def __init__(self, columns: Columns, counts: Callable[[int, int], bool], everything: Callable[[], Iterable[Entry]]) -> None:
        self._columns = columns
        self._counts = counts
        self._everything = everything
        self._sums: dict[int, Sums] = {}

    def at(self, threshold: int) -> Sums:
        """Do not change it."""
        sums = self._sums.pop(threshold, None)
        if sums is None or len(sums.pods) != self._columns.capacity:
            if len(self._sums) >= THRESHOLDS_MAX:
                del self._sums[next(iter(self._sums))]
            sums = Sums(np.zeros(self._columns.capacity, np.int64))
            for slot, demand, priority in self._everything():
                if self._counts(priority, threshold):
                    sums.add(slot, demand, 1)
        self._sums[threshold] = sums
        return sums

    def add(self, slot: int, demand: Demand, priority: int, sign: int) -> None:
        for threshold, sums in self._sums.items():
            if self._counts(priority, threshold) and slot < len(sums.pods):
                sums.add(slot, demand, sign)

    def clear_slot(self, slot: int) -> None:
        for sums in self._sums.values():
            if slot < len(sums.pods):
                sums.pods[slot] = 0
                for column in sums.requested.values():
                    column[slot] = 0

    def forget(self) -> None:
        self._sums.clear()


@dataclass(frozen=True, slots=True)
class Nomination:
    node: str
    demand: Demand
    priority: int


class Nominations:
    """The pods that wait for their room, by key. `version` grows with every change."""

    def __init__(self, columns: Columns) -> None:
        self.version = 0
        self._columns = columns
        self._pods: dict[str, Nomination] = {}
        self._usage = PriorityUsage(columns, lambda priority, threshold: priority >= threshold, self._entries)
        self._made_for = -1

    def __bool__(self) -> bool:
        return bool(self._pods)

    def of(self, key: str) -> str:
        """The node that the pod is nominated to, or empty."""
        found = self._pods.get(key)
        return found.node if found else ""

    def on(self, node: str) -> list[tuple[str, Nomination]]:
        return [(key, each) for key, each in self._pods.items() if each.node == node]

    def set(self, key: str, node: str, demand: Demand, priority: int) -> None:
        wanted = Nomination(node, demand, priority)
        if self._pods.get(key) == wanted:
            return
        self.remove(key)
        self._pods[key] = wanted
        self._count(wanted, 1)

    def remove(self, key: str) -> str:
        """The node that it was nominated to, or empty."""
        found = self._pods.pop(key, None)
        if found is None:
            return ""
        self._count(found, -1)
        return found.node

    def reserved(self, priority: int, key: str = "") -> Sums | None:
        """What is promised to others of at least this priority than the pod `key`; None when nothing is."""
        own = self._pods.get(key)
        if len(self._pods) <= (own is not None):
            return None
        if self._made_for != self._columns.static_version:  # nodes came or went
            self._usage.forget()
            self._made_for = self._columns.static_version
        sums = self._usage.at(priority)
        slot = None if own is None or own.priority < priority else self._columns.slots.get(own.node)
        if own is not None and slot is not None:
            sums = sums.copy()
            sums.add(slot, own.demand, -1)
        return sums

    def ports_promised(self, demand: Demand, priority: int, key: str) -> list[int]:
        """Slots where a host port that the pod asks for is promised to another."""
        if not demand.ports:
            return []
        others = [each for other, each in self._pods.items() if other != key and each.priority >= priority and each.demand.ports]
        slots = [self._columns.slots.get(each.node) for each in others if ports_conflict(demand, each.demand)]
        return [slot for slot in slots if slot is not None]

    def _count(self, nomination: Nomination, sign: int) -> None:
        self.version += 1
        slot = self._columns.slots.get(nomination.node)
        if slot is not None:
            self._usage.add(slot, nomination.demand, nomination.priority, sign)

    def _entries(self) -> Iterator[Entry]:
        for each in self._pods.values():
            slot = self._columns.slots.get(each.node)
            if slot is not None:
                yield slot, each.demand, each.priority


def ports_conflict(one: Demand, other: Demand) -> bool:
    """Whether both ask for a port of the node that only one can have."""
    return any(
        a.port == b.port and a.protocol == b.protocol and (a.address == b.address or ANY_ADDRESS in (a.address, b.address))
        for a in one.ports
        for b in other.ports
    )
