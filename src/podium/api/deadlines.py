"""The ends of many watches with one timer.

Each of ten thousand open watches has a timeout, of half an hour or so, and almost none lives to see it: a timer of the loop for each costs half a
kilobyte, a place in a heap eight bytes. The heap holds the watches themselves, the next to end first. One that ended before its
time stays in the heap, as nothing but itself, until its time comes or half of the heap is such: then the heap is made anew.

Invariant: the timer is set for the first of the heap, and `_dead` counts those in it that have ended.
"""

import asyncio
from heapq import heapify, heappop, heappush
from typing import Protocol, Self

EARLY_S = 0.001
"""A loop's timer may come so much before its time (uvloop counts in milliseconds)."""
DEAD_MIN = 64
"""So few that have ended are never worth a new heap."""


class Ending(Protocol):
    """A watch with a deadline, in the loop's time. Ordered by it. `waiting` is the heap's: whether the watch is in it and has not ended."""

    deadline_s: float
    waiting: bool

    def __lt__(self, other: Self) -> bool: ...
    def time_out(self) -> None: ...


class Deadlines:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[Ending] = []
        self._dead = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def add(self, watch: Ending) -> None:
        """`watch.time_out()` is called at `watch.deadline_s`, which stays as it is, unless it is removed before."""
        watch.waiting = True
        heappush(self._heap, watch)
        if self._heap[0] is watch:
            self._set()

    def remove(self, watch: Ending) -> None:
        """No effect on one that is not waiting."""
        if not watch.waiting:
            return
        watch.waiting = False
        self._dead += 1
        if self._dead > DEAD_MIN and self._dead * 2 > len(self._heap):
            self._heap = [w for w in self._heap if w.waiting]
            heapify(self._heap)
            self._dead = 0
            self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0].deadline_s, self._fire) if self._heap else None

    def _fire(self) -> None:
        self._timer = None
        now_s = self._loop.time() + EARLY_S
        try:
            while self._heap and (not self._heap[0].waiting or self._heap[0].deadline_s <= now_s):
                watch = heappop(self._heap)
                if watch.waiting:
                    watch.waiting = False
                    watch.time_out()
                else:
                    self._dead -= 1
        finally:
            self._set()

    def close(self) -> None:
        """No deadline is kept any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
        self._dead = 0
