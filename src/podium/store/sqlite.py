"""The store on disk: the engine of `versions.py` made durable by group commit into one SQLite file (`sqlite_file.py`).

A write is checked and gets its revision at once, against the visible state and the pending writes before it, and joins a batch. One
thread commits a batch while the next one fills. Back on the loop the batch becomes visible, the feed's listeners hear of it (once for
each batch and prefix), and then the writers' awaits return. So reads and watches see durable writes only. An error that is due to a pending
write (a mismatch, say) is held back until that write is visible: whoever refetches then sees why.

When a commit fails, its batch and all pending ones fail with StoreError, nothing of them becomes visible, and the counter goes back to the
visible revision: their revisions were never shown to anyone. If SQLite rolled back cleanly (disk full), the store goes on accepting writes;
otherwise what is on disk is unknown, and it accepts none until it is opened again.

Compaction is `folding.py`; it also happens by itself when the history exceeds its bounds.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podium.instrument.log import logger
from podium.store.errors import FutureRevision, RevisionMismatch, StoreError
from podium.store.folding import Folding
from podium.store.interface import Page, Watch
from podium.store.lock import FileLock
from podium.store.pending import Pending, live
from podium.store.record import Event, Record
from podium.store.seal import Seal
from podium.store.sqlite_file import UNSEALED, CommitRefused, StoreFile, create, read
from podium.store.versions import HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX, Versions, check_expected, delete_event, put_event
from podium.store.writer import Writer

_log = logger("store")


class SqliteStore:
    """A `Store` (see interface.py). Make it with `open`; use it from one event loop."""

    def __init__(self, lock: FileLock, file: StoreFile, versions: Versions, batch_ends: list[int]) -> None:
        self._lock = lock
        self._file = file
        self._versions = versions
        self._pending = Pending()
        self._writer = Writer("podium-store")
        self._assigned = versions.revision
        self._broken = ""
        self._closing: asyncio.Future[None] | None = None
        self._flush_scheduled = False
        self._room: deque[asyncio.Future[None]] = deque()
        self._folding = Folding(versions, file, self._writer, batch_ends)

    @classmethod
    def open(
        cls, path: Path, *, history_events_max: int = HISTORY_EVENTS_MAX, history_bytes_max: int = HISTORY_BYTES_MAX, seal: Seal = UNSEALED
    ) -> "SqliteStore":
        """The store in the file `path`, made if it is not there; `path` + ".lock" tells who has it. Reads it all: some 0.2 s for 100,000
        versions. Raises StoreLocked, StoreDamaged, StoreError (cannot be written); never changes a file it does not know."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"cannot create {path.parent}: {error.strerror}; choose another data directory") from error
        lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            if not path.exists():
                create(path)
            versions = Versions(events_max=history_events_max, bytes_max=history_bytes_max)
            batch_ends = read(path, versions, seal)
            return cls(lock, StoreFile(path, seal), versions, batch_ends)
        except BaseException:
            lock.release()
            raise

    # Reading: the visible state only

    @property
    def revision(self) -> int:
        return self._versions.revision

    @property
    def oldest_revision(self) -> int:
        return self._versions.oldest_revision

    async def get(self, key: str) -> Record | None:
        return self._versions.current(key)

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        return self._versions.range(prefix, after, limit, revision)

    def watch(self, prefix: str, after_revision: int, *, buffer_events_max: int = 100_000) -> Watch:
        return self._versions.watch(prefix, after_revision, buffer_events_max)

    def feed(self, prefix: str, listener: Callable[[list[Event]], None]) -> Callable[[], None]:
        return self._versions.feed(prefix, listener)

    def history(self, prefix: str, after_revision: int) -> list[Event]:
        return self._versions.history(prefix, after_revision)

    def count(self, prefix: str) -> int:
        return self._versions.count(prefix)

    # Writing

    async def put(self, key: str, encoded: bytes, *, expected: int | None, value: dict[str, Any] | None = None) -> Record:
        """Raises StoreError besides, when the commit fails: the write may then be gone or, rarely, there after a restart."""
        if self._room or self._pending.full():
            await self._wait_for_room()
        self._check_open()
        current = self._newest(key)
        try:
            check_expected(key, current, expected)
        except RevisionMismatch:
            self._make_room()  # it may have been given a turn that it does not use
            await self._settled(key)
            raise
        return await self._commit(put_event(key, current, encoded, self._assigned + 1, value))

    async def delete(self, key: str, *, expected: int | None) -> Record | None:
        """As `put`."""
        if self._room or self._pending.full():
            await self._wait_for_room()
        self._check_open()
        current = self._newest(key)
        try:
            check_expected(key, current, expected)
        except RevisionMismatch:
            self._make_room()  # it may have been given a turn that it does not use
            await self._settled(key)
            raise
        if current is None:
            await self._settled(key)
            return None
        return await self._commit(delete_event(current, self._assigned + 1))

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        await self._folding.to(revision)

    def rest(self) -> None:
        self._versions.rest()

    async def close(self) -> None:
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = asyncio.get_running_loop().create_future()
        if self._pending.batches:
            observer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._pending.observe(self._assigned, observer)
            await observer
        self._versions.end_watches()
        self._folding.stop()
        self._writer.submit(self._file.close, self._closed)
        self._writer.stop()
        await asyncio.shield(self._closing)

    def _closed(self, error: BaseException | None) -> None:
        self._lock.release()
        assert self._closing is not None
        self._closing.set_result(None)
        if error is not None:
            _log.warning("closing the store failed; its journal is on disk all the same", error=error)

    def _newest(self, key: str) -> Record | None:
        """The key's version that a write now would replace."""
        pending = self._pending.newest(key)
        return self._versions.current(key) if pending is None else live(pending)

    async def _settled(self, key: str) -> None:
        """Waits until the pending write of `key`, if there is one, is visible or has failed."""
        pending = self._pending.newest(key)
        if pending is not None:
            observer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._pending.observe(pending.revision, observer)
            await observer

    async def _commit(self, event: Event) -> Record:
        """No await between the check and here."""
        self._assigned = event.record.revision
        loop = asyncio.get_running_loop()
        writer: asyncio.Future[Record] = loop.create_future()
        self._pending.add(event, writer)
        if not self._pending.sealed and not self._flush_scheduled:
            self._flush_scheduled = True
            loop.call_soon(self._flush)
        return await writer

    def _flush(self) -> None:
        """Sends the oldest batch to the disk, if none is on its way."""
        self._flush_scheduled = False
        if self._pending.sealed or not self._pending.batches:
            return
        self._pending.sealed = True
        events = self._pending.batches[0].events
        self._writer.submit(lambda: self._file.append(events), self._committed)

    def _committed(self, error: BaseException | None) -> None:
        if error is not None:
            self._fail(error)
            return
        batch = self._pending.take_committed()
        self._flush()  # the disk works while we tell
        self._versions.apply(batch.events)
        self._folding.batch_ends.append(self._versions.revision)
        for writer, event in zip(batch.writers, batch.events, strict=True):
            if not writer.done():  # a writer may have been cancelled; its write counts
                writer.set_result(event.record)
        batch.wake_observers()
        if not self._folding.running and self._versions.over_limit():
            self._folding.start(self._versions.limit_revision())
        self._make_room()

    def _fail(self, error: BaseException) -> None:
        batches = self._pending.take_all()
        self._assigned = self._versions.revision
        if not isinstance(error, CommitRefused):
            self._broken = str(error)
        _log.error("a commit failed", error=str(error), writes=sum(len(b.events) for b in batches), accepting=not self._broken)
        for batch in batches:
            for writer in batch.writers:
                if not writer.done():
                    writer.set_exception(StoreError(f"not written: {error}"))
            batch.wake_observers()
        self._make_room()

    async def _wait_for_room(self) -> None:
        """About first come, first served; as many go on at once as there is room for writes."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._room:
                self._room.remove(turn)
            self._make_room()  # it may have been our turn: pass it on
            raise

    def _make_room(self) -> None:
        for _ in range(min(self._pending.room(), len(self._room))):
            turn = self._room.popleft()
            if not turn.done():  # cancelled, and its task has not run since: that passes the turn on
                turn.set_result(None)

    def _check_open(self) -> None:
        broken = self._broken or self._folding.broken
        if broken:
            raise StoreError(f"the store accepts no writes since a commit failed: {broken}")
        if self._closing is not None:
            raise StoreError("the store is closed")
