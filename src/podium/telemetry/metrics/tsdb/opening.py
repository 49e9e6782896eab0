"""Opening a directory: what a crash left half done is undone or finished, what is damaged is set aside, the log is replayed.

Order: the lock; temporary directories go; blocks (those that a compacted one replaces go); the head's files (those that are in a block
go); the log.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.tsdb import block, snapshots, wal, window
from podium.telemetry.metrics.tsdb.block import DAMAGED, PREFIX, TEMPORARY, UNFINISHED, Block, open_block, remove_directory
from podium.telemetry.metrics.tsdb.chunk_file import load
from podium.telemetry.metrics.tsdb.errors import Damaged
from podium.telemetry.metrics.tsdb.journal import replay
from podium.telemetry.metrics.tsdb.lock import DirectoryLock

if TYPE_CHECKING:
    from podium.telemetry.metrics.tsdb.tsdb import Tsdb

log = logger("metrics.tsdb")


def read(store: "Tsdb", directory: Path) -> None:
    """Fills the store. Raises DirectoryInUse, StorageFailed."""
    try:
        for part in (directory, directory / "wal", directory / "head"):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
        store.lock = DirectoryLock(directory)
        _remove_unfinished(directory)
        _read_blocks(store, directory)
        _read_head(store, directory / "head")
        number = replay(directory / "wal", store)
    except (OSError, LimitExceeded) as error:
        if store.lock is not None:
            store.lock.release()
        raise StorageFailed(f"cannot open {directory}: {error}") from error
    store.head.segment = number
    store.attach(wal.WriteAheadLog(directory / "wal", store.worker, store.options, number))


def _remove_unfinished(directory: Path) -> None:
    for path in sorted(directory.glob(f"{TEMPORARY}*")):
        remove_directory(path)
    for path in sorted(directory.glob(f"{snapshots.SNAPSHOTS}/{TEMPORARY}*")):
        snapshots.remove(path)
    for path in sorted(directory.glob(f"{PREFIX}*/*{UNFINISHED}")):
        path.unlink()


def _read_blocks(store: "Tsdb", directory: Path) -> None:
    found: list[Block] = []
    for path in sorted(directory.glob(f"{PREFIX}*")):
        if path.name.endswith(DAMAGED):
            continue
        try:
            found.append(open_block(path, store.index, store.sets))
        except Damaged as error:
            aside(path, error.what)
            store.failed("damaged block")
    replaced = {name for b in found for name in b.meta.sources}
    consumed = {name for b in found for name in b.meta.head_files}
    for old in found:
        if old.name in replaced:
            remove_directory(old.directory)
    for _, _, path in window.files(directory / "head"):
        if path.name in consumed:
            path.unlink()
    store.blocks = sorted((b for b in found if b.name not in replaced), key=lambda b: (b.meta.start_ms, b.name))
    store.head.state.cover(store.index.allocated)
    cut = [b.meta.end_ms for b in store.blocks]
    store.head.valid_from_ms = max([store.head.valid_from_ms, *cut])
    store.head.newest_ms = max([store.head.newest_ms, *(c.last_ms for b in store.blocks for c in b.contents.chunks)])


def _read_head(store: "Tsdb", directory: Path) -> None:
    files = window.files(directory)
    consumed = (
        window.parsed(name) for b in store.blocks for name in b.meta.head_files
    )  # a name of these would be taken for one that is done with
    store.generation = max([0, *(generation for _, generation, _ in files), *(place[1] for place in consumed if place)])
    for start, _, path in files:
        try:
            contents = load(path, store.index, store.sets, verify=True)
        except Damaged as error:
            aside(path, error.what)
            store.failed("damaged head file")
            continue
        if not contents.chunks and not contents.histograms:  # a crash came when it was begun
            path.unlink()
            continue
        if contents.end < contents.file.size():  # what the log has still; cut off lest it be taken for whole some day
            os.truncate(path, contents.end)
        state = store.head.state
        state.cover(store.index.allocated)
        for chunk in contents.chunks:
            ids = chunk.row_set.ids
            state.last_ms[ids] = np.maximum(state.last_ms[ids], chunk.last_times())
            state.first_ms[ids] = np.minimum(state.first_ms[ids], chunk.first_ms)
            store.head.newest_ms = max(store.head.newest_ms, chunk.last_ms)
        one = store.window(start)
        one.adopt(contents)
        for series, samples in one.histograms.of.items():
            state.last_ms[series] = max(int(state.last_ms[series]), samples[-1][0])
            state.first_ms[series] = min(int(state.first_ms[series]), samples[0][0])
            store.head.newest_ms = max(store.head.newest_ms, samples[-1][0])


def aside(path: Path, what: str) -> None:
    """Renames a file or a block that is damaged, with a message."""
    target = path.with_name(path.name + DAMAGED)
    number = 0
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{number}{DAMAGED}")
    path.rename(target)
    block.sync_directory(path.parent)
    log.warning("damaged data is set aside; what was in it is not answered", file=str(target), error=what)
