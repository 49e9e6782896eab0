"""Pending writes: checked and numbered, not yet durable.

A write joins the last batch that has room; batches commit one at a time, oldest first, while the next ones fill. `newest` is what a
check must be made against: the newest pending version of a key, else the caller looks at the visible one.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from podium.store.bucket import Tombstone
from podium.store.record import Event, Record

BATCH_WRITES_MAX = 2_000
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""A batch takes no further write when it has reached either."""
PENDING_WRITES_MAX = 10_000
PENDING_BYTES_MAX = 64 * 1024 * 1024
"""Writers wait their turn when either is reached."""


@dataclass(slots=True)
class Batch:
    """`writers` are resolved with their event's record once it is visible; `observers` whatever becomes of the batch."""

    events: list[Event] = field(default_factory=list)
    writers: list[asyncio.Future[Record]] = field(default_factory=list)
    observers: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0

    def full(self) -> bool:
        return len(self.events) >= BATCH_WRITES_MAX or self.size_bytes >= BATCH_BYTES_MAX

    def wake_observers(self) -> None:
        for observer in self.observers:
            if not observer.done():
                observer.set_result(None)


class Pending:
    """`batches` are oldest first. `sealed`: the first of them is being committed, and takes no more writes."""

    def __init__(self) -> None:
        self.batches: deque[Batch] = deque()
        self.sealed = False
        self._newest: dict[str, Record] = {}
        self._writes = 0
        self._bytes = 0

    def newest(self, key: str) -> Record | None:
        """May be a Tombstone. None: no pending write of this key."""
        return self._newest.get(key)

    def full(self) -> bool:
        return self._writes >= PENDING_WRITES_MAX or self._bytes >= PENDING_BYTES_MAX

    def room(self) -> int:
        """How many more writes may come."""
        return 0 if self.full() else PENDING_WRITES_MAX - self._writes

    def add(self, event: Event, writer: asyncio.Future[Record]) -> None:
        batches = self.batches
        if not batches or batches[-1].full() or (self.sealed and len(batches) == 1):
            batches.append(Batch())
        batch = batches[-1]
        size = len(event.record.encoded)
        batch.events.append(event)
        batch.writers.append(writer)
        batch.size_bytes += size
        self._newest[event.record.key] = event.record
        self._writes += 1
        self._bytes += size

    def observe(self, revision: int, observer: "asyncio.Future[None]") -> None:
        """Resolves `observer` when the batch with this revision is visible or has failed."""
        for batch in self.batches:
            if batch.events[-1].revision >= revision:
                batch.observers.append(observer)
                return
        observer.set_result(None)

    def take_committed(self) -> Batch:
        """Removes the first batch, which is visible now."""
        batch = self.batches.popleft()
        self.sealed = False
        self._writes -= len(batch.events)
        self._bytes -= batch.size_bytes
        for event in batch.events:
            if self._newest.get(event.record.key) is event.record:
                del self._newest[event.record.key]
        return batch

    def take_all(self) -> list[Batch]:
        """Removes everything, because the first batch failed and the others build upon it."""
        batches = list(self.batches)
        self.batches.clear()
        self._newest.clear()
        self.sealed = False
        self._writes = self._bytes = 0
        return batches


def live(record: Record | None) -> Record | None:
    return None if type(record) is Tombstone else record
