"""Folding: compaction of the file, in steps that a commit never waits long for.

A step takes the oldest whole batches of the journal, at least FOLD_WRITES_MAX writes if there are as many below the target, moves
their outcome into the snapshot in one transaction, and then forgets their events in memory. So memory and disk keep the same
history, except for a target in the middle of a batch: that batch stays on both, and only `oldest_revision` says that it is gone.
"""

import asyncio
from collections import deque

from podium.instrument.log import logger
from podium.store.errors import StoreError
from podium.store.sqlite_file import CommitRefused, FoldStep, StoreFile
from podium.store.versions import Versions
from podium.store.writer import Writer

FOLD_WRITES_MAX = 500

_log = logger("store")


class Folding:
    """`batch_ends` are the last revisions of the journal's rows, oldest first; the store appends to it. `broken` says why the file accepts
    no more writes, if a step failed so badly; `running` that a step is under way."""

    def __init__(self, versions: Versions, file: StoreFile, writer: Writer, batch_ends: list[int]) -> None:
        self.batch_ends = deque(batch_ends)
        self.broken = ""
        self._versions = versions
        self._file = file
        self._writer = writer
        self._target = self._recorded = versions.oldest_revision
        self.running = False
        self._stopped = False
        self._waiting: list[asyncio.Future[None]] = []

    async def to(self, revision: int) -> None:
        """Returns when `revision` is the oldest, on disk too. Raises StoreError when the disk refuses, or the store is closed meanwhile."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self.start(revision)
        await done

    def start(self, revision: int) -> None:
        self._target = max(self._target, revision)
        if not self.running:
            self._next()

    def stop(self) -> None:
        self._stopped = True
        self._finish(StoreError("the store was closed during the compaction"))

    def _next(self) -> None:
        step = self._plan()
        self.running = step is not None and not self._stopped
        if step is None:
            self._finish(None)
        elif not self._stopped:
            chosen = step
            self._writer.submit(lambda: self._file.fold(chosen), lambda error: self._done(chosen, error))

    def _plan(self) -> FoldStep | None:
        """The next step; one without events only records the target; None when all is done."""
        start, end = (self.batch_ends[0] if self.batch_ends else 0), 0
        for batch_end in self.batch_ends:
            if batch_end > self._target or (end and end - start >= FOLD_WRITES_MAX):
                break
            end = batch_end
        if end:
            return FoldStep(self._versions.oldest_events(end), end, end)
        if self._target > self._recorded:
            return FoldStep([], 0, self._target)
        return None

    def _done(self, step: FoldStep, error: BaseException | None) -> None:
        if error is not None:
            self.running = False
            if not isinstance(error, CommitRefused):
                self.broken = str(error)
            _log.error("compaction failed", error=str(error), accepting=not self.broken)
            self._target = self._recorded  # the next one tries again
            self._finish(StoreError(f"not compacted: {error}"))
            return
        while self.batch_ends and self.batch_ends[0] <= step.revision:
            self.batch_ends.popleft()
        self._recorded = max(self._recorded, step.compacted_revision)
        self._versions.forget_to(step.revision)
        self._versions.compact(step.compacted_revision, forget=False)
        self._next()

    def _finish(self, error: StoreError | None) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            if not done.done():
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
