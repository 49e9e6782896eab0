"""The store's contract: one counter, one ordered key space, one feed.

* Every successful write gets the next `revision`; revisions have no gaps and no write shares one.
* A write is acknowledged (the await returns) only when it is durable, and is visible to reads and watches only from then on.
* Reads at a revision see exactly the writes up to and including it.
* A watch from revision R delivers every event with revision > R once, in order, in the batches they were committed in.
* After `compact(R)` reads and watches below R raise `Compacted`.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from podium.store.record import Event, Record

ABSENT = 0
"""As an expected revision: the key must not exist."""


@dataclass(frozen=True, slots=True)
class Page:
    """`records` in key order; `revision` the snapshot they were read at; `remaining` how many keys of the prefix follow the last one."""

    records: list[Record]
    revision: int
    remaining: int


class Watch(Protocol):
    """A subscription. Iterating gives non-empty batches of events, in order; raises WatchLagged when the buffer overflowed."""

    def __aiter__(self) -> AsyncIterator[list[Event]]: ...
    async def __anext__(self) -> list[Event]: ...
    def close(self) -> None: ...


class Store(Protocol):
    @property
    def revision(self) -> int:
        """The newest visible revision; 1 in a new store."""
        ...

    @property
    def oldest_revision(self) -> int:
        """The oldest revision that can still be read; events with a greater revision can be watched."""
        ...

    async def get(self, key: str) -> Record | None: ...

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Records whose key starts with `prefix`, in key order. `after`: only keys greater than it. `limit=0`: all. `revision=0`: now.
        Raises Compacted, FutureRevision."""
        ...

    async def put(self, key: str, encoded: bytes, *, expected: int | None, value: dict[str, Any] | None = None) -> Record:
        """Write `encoded` (unstamped, see record.py) if the key's revision is `expected` (ABSENT: must not exist; None: any).
        `value`, if given, is the same decoded and becomes the record's; the store sets its resourceVersion and then owns it.
        The check and the assignment of the revision happen synchronously at the call, so concurrent writers in one loop are serialised
        in call order. Raises RevisionMismatch."""
        ...

    async def delete(self, key: str, *, expected: int | None) -> Record | None:
        """Delete if at `expected`; returns the last value stamped with the delete's revision; None when it was absent and `expected` is
        None. Raises RevisionMismatch."""
        ...

    def watch(self, prefix: str, after_revision: int, *, buffer_events_max: int = 100_000) -> Watch:
        """Events with a revision greater than `after_revision`. The history part is taken at the call. Raises Compacted."""
        ...

    def feed(self, prefix: str, listener: Callable[[list[Event]], None]) -> Callable[[], None]:
        """Calls `listener` synchronously with each committed batch of events under `prefix`, from now on; returns its cancellation.
        For those that fan out themselves and must not lag (the API's watch hub)."""
        ...

    def history(self, prefix: str, after_revision: int) -> list[Event]:
        """The visible events with a revision greater than `after_revision`. Raises Compacted."""
        ...

    def count(self, prefix: str) -> int:
        """How many keys there are now under `prefix`."""
        ...

    async def compact(self, revision: int) -> None: ...

    def rest(self) -> None:
        """Lets go of what reads have left in memory and nobody uses: decoded values. To be called now and then."""
        ...

    async def close(self) -> None:
        """Waits for pending writes, then releases the data directory."""
        ...
