"""The nodes as columns: one NumPy array per property, one slot per node.

A question about all nodes ("where do 500m fit?") is then a few vector operations, not a loop. A slot is given to a node when it appears and
reused after it is gone; slots without a node are never `present` and never chosen.

Text becomes numbers by interning: `Interned` holds one small integer per node and the list of the distinct values behind them. A condition
is evaluated once per distinct value, and the answer is spread over the nodes by indexing (`spread`). Labels get such a column per label
key, when somebody first asks about that key; taints get one whose values are whole taint lists, of which a cluster has few.

Invariants:
* `requested` and `scored` of a slot are the sums over the pods placed there (`placements.py` adds and subtracts).
* `static_version` grows with any change of what nodes are (labels, taints, unschedulable, coming, going);
  `usage_version` of a slot with any change of what it has room for. Whoever caches compares versions.
* Equal histories give equal columns; any history gives the same columns per node as adding the final objects to empty ones.

Source: kubernetes pkg/scheduler/framework (NodeInfo), turned by 90 degrees.
"""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.objects.tolerations import Taint
from podium.objects.values import Object
from podium.scheduler.demand import ANY_ADDRESS, CPU, MEMORY, PODS, STORAGE, Amounts, Demand, HostPort, amounts

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]
Rows = slice | NDArray[np.intp]
"""Which slots to look at: `slice(0, size)`, or the numbers of some."""

CAPACITY_FIRST = 64
VALUES_SLACK = 1_024
"""An interned column is rebuilt when it remembers this many more values than there are nodes."""

ABSENT = -1

_PODS_ROW = 3


class Interned:
    """A column of hashable values. `ids[slot]` is ABSENT (-1) where there is none."""

    __slots__ = ("_numbers", "ids", "values")

    def __init__(self, capacity: int) -> None:
        self.ids: NDArray[np.int32] = np.full(capacity, ABSENT, np.int32)
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def set(self, slot: int, value: Hashable | None) -> None:
        if value is None:
            self.ids[slot] = ABSENT
            return
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        self.ids[slot] = number

    def spread(self, test: Callable[[Any], bool], absent: bool) -> Mask:
        """`test(value)` per slot, over the whole capacity; `absent` where there is no value."""
        answers = np.fromiter((*(test(value) for value in self.values), absent), np.bool_, len(self.values) + 1)
        return answers[self.ids]

    def among(self, wanted: list[str]) -> Mask:
        """Where the value is one of `wanted`: without a look at the other values."""
        answers = np.zeros(len(self.values) + 1, np.bool_)
        answers[[number for value in wanted if (number := self._numbers.get(value)) is not None]] = True
        return answers[self.ids]

    def grow(self, capacity: int) -> None:
        self.ids = _grown(self.ids, capacity, ABSENT)

    def compact(self) -> None:
        """Forgets the values that no slot has any more."""
        kept = [None if number == ABSENT else self.values[number] for number in self.ids.tolist()]
        self.values, self._numbers = [], {}
        for slot, value in enumerate(kept):
            self.set(slot, value)


class Columns:
    def __init__(self) -> None:
        self.capacity = CAPACITY_FIRST
        self.size = 0
        """Slots in use are below this."""
        self.count = 0
        """Nodes present."""
        self.static_version = 0
        self.version = 0
        self.slots: dict[str, int] = {}
        self.names: list[str] = []
        self.present: Mask = np.zeros(self.capacity, np.bool_)
        self.unschedulable: Mask = np.zeros(self.capacity, np.bool_)
        self.taints = Interned(self.capacity)
        self.resources: dict[str, int] = {CPU: 0, MEMORY: 1, STORAGE: 2, PODS: 3}
        self.allocatable: Integers = np.zeros((4, self.capacity), np.int64)
        self.requested: Integers = np.zeros((4, self.capacity), np.int64)
        self.scored: Integers = np.zeros((2, self.capacity), np.int64)
        """Requested CPU and memory with the defaults of scoring."""
        self.usage_version: Integers = np.zeros(self.capacity, np.int64)
        self._labels: dict[str, Interned] = {}
        self._ports: dict[tuple[str, int], dict[str, Integers]] = {}
        self._node_labels: list[dict[str, str]] = []
        self._free: list[int] = []

    def set_node(self, node: Object) -> list[str]:
        """Adds the node or takes over its new state. Returns what changed for pods that wait: "added" when it can take pods from now on (an
        agent may register before it knows what it has), else among "allocatable", "labels", "taints", "schedulable" (became so)."""
        name = node["metadata"]["name"]
        slot = self.slots.get(name)
        fresh = slot is None
        if slot is None:
            slot = self._take_slot(name)
        could_take_pods = self.allocatable[_PODS_ROW, slot] > 0
        spec = node.get("spec") or {}
        changes = self._set_labels(slot, node["metadata"].get("labels") or {}, fresh)
        changes += self._set_taints(slot, spec.get("taints") or [])
        unschedulable = bool(spec.get("unschedulable"))
        if unschedulable != self.unschedulable[slot]:
            self.unschedulable[slot] = unschedulable
            self.static_version += 1
            changes += [] if unschedulable else ["schedulable"]
        status = node.get("status") or {}
        changes += self._set_allocatable(slot, amounts(status.get("allocatable") or status.get("capacity") or {}))
        if could_take_pods:
            return changes
        return ["added"] if self.allocatable[_PODS_ROW, slot] > 0 else []

    def remove_node(self, name: str) -> int | None:
        """The slot it had, now free."""
        slot = self.slots.pop(name, None)
        if slot is None:
            return None
        self.present[slot] = False
        self.unschedulable[slot] = False
        self.taints.set(slot, None)
        for column in self._labels.values():
            column.set(slot, None)
        self._node_labels[slot] = {}
        self.allocatable[:, slot] = 0
        self.requested[:, slot] = 0
        self.scored[:, slot] = 0
        for by_address in self._ports.values():
            for counts in by_address.values():
                counts[slot] = 0
        self.names[slot] = ""
        self._free.append(slot)
        self.count -= 1
        self.static_version += 1
        self.touch(slot)
        return slot

    def label(self, key: str) -> Interned:
        """The column of one label."""
        column = self._labels.get(key)
        if column is None:
            column = self._labels[key] = Interned(self.capacity)
            for slot, labels in enumerate(self._node_labels):
                column.set(slot, labels.get(key))
        return column

    def resource(self, name: str) -> int:
        """The row of a resource in `allocatable` and `requested`."""
        row = self.resources.get(name)
        if row is None:
            row = self.resources[name] = len(self.resources)
            empty = np.zeros((1, self.capacity), np.int64)
            self.allocatable = np.vstack((self.allocatable, empty))
            self.requested = np.vstack((self.requested, empty))
        return row

    def add_usage(self, slot: int, demand: Demand, sign: int) -> None:
        """A pod of that demand comes (+1) or goes (-1)."""
        requested = self.requested
        for name, amount in demand.requests.items():
            row = self.resources.get(name)
            if row is None:
                row = self.resource(name)
                requested = self.requested
            requested[row, slot] += sign * amount
        self.scored[0, slot] += sign * demand.scored_cpu
        self.scored[1, slot] += sign * demand.scored_memory
        for port in demand.ports:
            self._port(port)[slot] += sign
        self.touch(slot)

    def port_taken(self, wanted: HostPort, rows: Rows) -> Mask | None:
        """Where a pod uses that port of the node, on the same address or on all; None when no pod ever did."""
        by_address = self._ports.get((wanted.protocol, wanted.port))
        if by_address is None:
            return None
        taken: Mask | None = None
        for address, counts in by_address.items():
            if address == wanted.address or ANY_ADDRESS in (address, wanted.address):
                here = counts[rows] > 0
                taken = here if taken is None else taken | here
        return taken

    def _port(self, port: HostPort) -> Integers:
        """How many pods use it, per slot."""
        by_address = self._ports.setdefault((port.protocol, port.port), {})
        counts = by_address.get(port.address)
        if counts is None:
            counts = by_address[port.address] = np.zeros(self.capacity, np.int64)
        return counts

    def touch(self, slot: int) -> None:
        self.version += 1
        self.usage_version[slot] = self.version

    def changed_since(self, version: int) -> NDArray[np.intp]:
        """The slots whose usage changed after `version`."""
        return np.flatnonzero(self.usage_version[: self.size] > version)

    def _set_labels(self, slot: int, labels: dict[str, str], fresh: bool) -> list[str]:
        before = self._node_labels[slot]
        if labels == before and not fresh:
            return []
        self._node_labels[slot] = labels
        self.static_version += 1
        for key, column in self._labels.items():
            column.set(slot, labels.get(key))
            if len(column.values) > 2 * self.count + VALUES_SLACK:
                column.compact()
        return ["labels"]

    def _set_taints(self, slot: int, taints: list[Object]) -> list[str]:
        value: tuple[Taint, ...] = tuple((t["key"], t.get("value") or "", t["effect"]) for t in taints)
        current = self.taints.ids[slot]
        if current != ABSENT and self.taints.values[current] == value:
            return []
        self.taints.set(slot, value)
        self.static_version += 1
        if len(self.taints.values) > 2 * self.count + VALUES_SLACK:
            self.taints.compact()
        return ["taints"]

    def _set_allocatable(self, slot: int, allocatable: Amounts) -> list[str]:
        for name in allocatable:
            self.resource(name)
        column = np.zeros(len(self.resources), np.int64)
        for name, amount in allocatable.items():
            column[self.resources[name]] = amount
        if np.array_equal(column, self.allocatable[:, slot]):
            return []
        self.allocatable[:, slot] = column
        self.touch(slot)
        return ["allocatable"]

    def _take_slot(self, name: str) -> int:
        if self._free:
            slot = self._free.pop()
            self.names[slot] = name
        else:
            slot = self.size
            if slot == self.capacity:
                self._grow(2 * self.capacity)
            self.size += 1
            self.names.append(name)
            self._node_labels.append({})
        self.slots[name] = slot
        self.present[slot] = True
        self.count += 1
        self.static_version += 1
        self.touch(slot)
        return slot

    def _grow(self, capacity: int) -> None:
        self.present = _grown(self.present, capacity, False)
        self.unschedulable = _grown(self.unschedulable, capacity, False)
        self.usage_version = _grown(self.usage_version, capacity, 0)
        self.allocatable = _grown(self.allocatable, capacity, 0)
        self.requested = _grown(self.requested, capacity, 0)
        self.scored = _grown(self.scored, capacity, 0)
        self.taints.grow(capacity)
        for column in self._labels.values():
            column.grow(capacity)
        for by_address in self._ports.values():
            for address, counts in by_address.items():
                by_address[address] = _grown(counts, capacity, 0)
        self.capacity = capacity


def _grown(column: NDArray[Any], capacity: int, fill: Any) -> NDArray[Any]:
    """The column (or rows of columns) with more slots."""
    shape = (*column.shape[:-1], capacity)
    wider = np.full(shape, fill, column.dtype)
    wider[..., : column.shape[-1]] = column
    return wider
