"""The pods that wait for a node.

Each waits in one of three places:

    add ----> ACTIVE (heap: priority, then time of arrival) ----> pop: being decided, no longer here
                 ^                                                    |
                 | due                                                | refused(filters)       failed()
             BACKOFF (heap: due time) <-- event, too soon -- UNSCHEDULABLE          ------> BACKOFF
                 ^                                               |
                 +------------ event, or 5 minutes passed <------+

A refused pod is tried again when something changed that can help it: each event names the filters whose verdict it may change, and moves
the pods that one of these filters rejected. The delay between two tries of a pod grows from 1 s to 10 s with its attempts.

Bounded: WAITING_MAX pods; `add` then answers False and sets `overflowed`; whoever feeds the queue offers all pending pods again later.

Source: kubernetes pkg/scheduler/backend/queue; the events are a coarse form of its queueing hints.
"""

import asyncio
import heapq
from dataclasses import dataclass

from podium.world.interface import Clock

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 10.0
UNSCHEDULABLE_S_MAX = 300.0
"""After this long a refused pod is tried again without an event."""

WAITING_MAX = 150_000

EVENTS: dict[str, tuple[str, ...] | None] = {
    "node added": None,  # any filter
    "node removed": ("PodTopologySpread",),
    "node allocatable": ("NodeResourcesFit",),
    "node labels": ("NodeAffinity", "PodTopologySpread", "InterPodAffinity"),
    "node taints": ("TaintToleration", "PodTopologySpread"),
    "node schedulable": ("NodeUnschedulable",),
    "pod placed": ("PodTopologySpread", "InterPodAffinity"),
    "pod gone": ("NodeResourcesFit", "NodePorts", "PodTopologySpread", "InterPodAffinity"),
    "namespace labels": ("InterPodAffinity",),
}
"""What happened -> the filters that may judge otherwise now."""

ANY = ""
"""Under this name the index of refused pods has all of them."""


@dataclass(slots=True, eq=False)
class Waiting:
    """`arrived` orders pods of equal priority; `due` is when its backoff ends; `place` is where it is; `filters` rejected it last."""

    key: str
    priority: int
    arrived: float
    number: int
    attempts: int = 0
    due: float = 0.0
    refused_at: float = 0.0
    place: str = ""
    filters: tuple[str, ...] = ()


class SchedulingQueue:
    """Times are the clock's monotonic seconds."""

    def __init__(self, clock: Clock, waiting_max: int = WAITING_MAX) -> None:
        self._clock = clock
        self._waiting_max = waiting_max
        self._entries: dict[str, Waiting] = {}
        self._active: list[tuple[int, float, int, Waiting]] = []
        self._backoff: list[tuple[float, int, Waiting]] = []
        self._refused: dict[str, dict[str, Waiting]] = {ANY: {}}
        self._numbers = 0
        self._wake = asyncio.Event()
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def places(self) -> dict[str, int]:
        """How many pods are in each place."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            counts[entry.place] = counts.get(entry.place, 0) + 1
        return counts

    def place(self, key: str) -> str:
        """ "active", "backoff", "refused", "deciding", or "" for a pod that does not wait."""
        entry = self._entries.get(key)
        return entry.place if entry else ""

    def add(self, key: str, priority: int) -> bool:
        """The pod waits, or waits with its new priority; if what it asks for changed, `changed` is to be called instead."""
        entry = self._entries.get(key)
        if entry is not None:
            if entry.priority != priority:
                entry.priority = priority
                if entry.place == "active":
                    self._activate(entry)
            return True
        if len(self._entries) >= self._waiting_max:
            self.overflowed = True
            return False
        self._numbers += 1
        entry = self._entries[key] = Waiting(key, priority, self._clock.monotonic(), self._numbers)
        self._activate(entry)
        return True

    def changed(self, key: str, priority: int) -> None:
        """What the pod asks for changed: if it was refused, that may no longer hold."""
        if self.add(key, priority) and (entry := self._entries[key]).place == "refused":
            self._again(entry)

    def remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._leave(entry)

    def pop(self) -> Waiting | None:
        """The next pod to decide; it owes a `refused`, a `failed` or a `remove`."""
        self._promote()
        while self._active:
            entry = heapq.heappop(self._active)[3]
            if entry.place == "active" and self._entries.get(entry.key) is entry:
                entry.place = "deciding"
                entry.attempts += 1
                return entry
        return None

    def refused(self, entry: Waiting, filters: tuple[str, ...]) -> None:
        if self._entries.get(entry.key) is not entry:
            return
        entry.place = "refused"
        entry.filters = filters
        entry.refused_at = self._clock.monotonic()
        entry.due = entry.refused_at + backoff_s(entry.attempts)
        for name in (ANY, *filters):
            self._refused.setdefault(name, {})[entry.key] = entry
        self._wake.set()

    def failed(self, entry: Waiting) -> None:
        """The decision could not be carried out: again after its backoff."""
        if self._entries.get(entry.key) is not entry:
            return
        entry.due = self._clock.monotonic() + backoff_s(entry.attempts)
        self._back_off(entry)

    def happened(self, event: str) -> None:
        """Moves the pods that the event (a key of EVENTS) may help."""
        helped = EVENTS[event]
        for name in (ANY,) if helped is None else helped:
            for entry in list(self._refused.get(name, {}).values()):
                self._again(entry)

    def retry(self, key: str) -> None:
        """A refused pod is to be tried again, whatever it was refused for."""
        entry = self._entries.get(key)
        if entry is not None and entry.place == "refused":
            self._again(entry)

    async def ready(self) -> None:
        """Waits until `pop` may have something."""
        while True:
            self._promote()
            if self._active:
                return
            self._wake.clear()
            due = self._next_due()
            if due is None:
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(max(0.0, due - self._clock.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _next_due(self) -> float | None:
        dues = [self._backoff[0][0]] if self._backoff else []
        oldest = next(iter(self._refused[ANY].values()), None)
        if oldest is not None:
            dues.append(oldest.refused_at + UNSCHEDULABLE_S_MAX)
        return min(dues, default=None)

    def _promote(self) -> None:
        """Activates what is due."""
        now = self._clock.monotonic()
        while self._backoff and self._backoff[0][0] <= now:
            due, _, entry = heapq.heappop(self._backoff)
            if entry.place == "backoff" and entry.due == due and self._entries.get(entry.key) is entry:
                self._activate(entry)
        while (oldest := next(iter(self._refused[ANY].values()), None)) is not None and oldest.refused_at + UNSCHEDULABLE_S_MAX <= now:
            self._again(oldest)

    def _again(self, entry: Waiting) -> None:
        self._leave(entry)
        if entry.due > self._clock.monotonic():
            self._back_off(entry)
        else:
            self._activate(entry)

    def _leave(self, entry: Waiting) -> None:
        """Out of the refused ones; heaps forget by themselves what has moved."""
        if entry.place == "refused":
            for name in (ANY, *entry.filters):
                self._refused[name].pop(entry.key, None)
        entry.place = ""

    def _activate(self, entry: Waiting) -> None:
        entry.place = "active"
        heapq.heappush(self._active, (-entry.priority, entry.arrived, entry.number, entry))
        self._wake.set()

    def _back_off(self, entry: Waiting) -> None:
        entry.place = "backoff"
        heapq.heappush(self._backoff, (entry.due, entry.number, entry))
        self._wake.set()


def backoff_s(attempts: int) -> float:
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempts - 1, 30))
