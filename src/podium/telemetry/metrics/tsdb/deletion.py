"""Deletion: samples of chosen series in a range go from the head at once, and are noted as gone in blocks until those are compacted or
cleaned."""

from typing import TYPE_CHECKING

import numpy as np

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.samples import ABSENT, is_absent
from podium.telemetry.metrics.tsdb import lifecycle, window
from podium.telemetry.metrics.tsdb.chunk_file import Deletion, StoredChunk
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.window import Window

if TYPE_CHECKING:
    from podium.telemetry.metrics.tsdb.tsdb import Tsdb


def delete(store: "Tsdb", ids: Ids, start_ms: int, end_ms: int) -> None:
    """Samples of these series in [start_ms, end_ms]. Raises StorageFailed."""
    if not len(ids):
        return
    if store.journal is not None:
        store.journal.deletion(store.index.labels(ids), start_ms, end_ms)
    try:
        from_head(store, ids, start_ms, end_ms)
        for one in store.cutting:
            _hide(one, ids, start_ms, end_ms)
        for block in list(store.blocks):
            block.delete(ids, start_ms, end_ms)
    except OSError as error:
        raise StorageFailed(f"cannot note the deletion in {store.directory}: {error.strerror}") from error
    if store.steps.locked():
        store.deleted_meanwhile.append((ids, start_ms, end_ms))
    store.ring.drop(set(ids.tolist()), start_ms, end_ms)


def _hide(one: Window, ids: Ids, start_ms: int, end_ms: int) -> None:
    """Of a window that is being made a block: the block will be told too."""
    for chunk in one.chunks:
        rows = np.isin(chunk.row_set.ids, ids)
        if rows.any():
            chunk.deletions = (*chunk.deletions, Deletion(rows, start_ms, end_ms))
    one.histograms.drop(set(ids.tolist()), start_ms, end_ms)


def from_head(store: "Tsdb", ids: Ids, start_ms: int, end_ms: int) -> None:
    """The head's part. A window's files are written anew without the samples, under a new name, when one of them is affected;
    when that fails the window is as before. Raises OSError."""
    gone = np.zeros(store.index.allocated, np.bool_)
    gone[ids] = True
    store.head.seal_all()
    for start in sorted(store.windows):
        store.windows[start].seal()
        _write(store.windows[start])
    for start in sorted(store.windows):
        one = store.windows[start]
        hit = [c for c in one.chunks if c.last_ms >= start_ms and c.first_ms <= end_ms and gone[c.row_set.ids].any()]
        histograms = any(i in one.histograms.of for i in ids.tolist())
        if hit or histograms:
            store.windows[start] = _without(store, one, gone, {id(c) for c in hit}, start_ms, end_ms)
    store.head.state.last_value[ids] = ABSENT


def _write(one: Window) -> None:
    """In place: deletions are rare."""
    if one.path is not None and one.dirty:
        writing = one.begin_write()
        one.write(writing)
        one.end_write()


def _without(
    store: "Tsdb", one: Window, gone: "np.ndarray[tuple[int], np.dtype[np.bool_]]", hit: set[int], start_ms: int, end_ms: int
) -> Window:
    """A window like this one without those samples. Its file replaces the others at once."""
    del store.windows[one.start_ms]
    fresh = store.window(one.start_ms)
    segment = min(one.protected_from(), store.head.segment)
    histograms = one.histograms.copy()
    try:
        for chunk in one.chunks:
            if id(chunk) in hit:
                _copy_without(store, chunk, fresh, gone, start_ms, end_ms, segment)
            else:
                fresh.add_encoded(chunk, segment)
        one.histograms.drop(set(np.flatnonzero(gone).tolist()), start_ms, end_ms)
        for stored in one.histograms.all():
            fresh.add_histogram(*stored, segment)
        fresh.seal()
        if fresh.path is not None:
            _write(fresh)
    except BaseException:  # nothing of it is to be found when the store is opened next
        one.histograms = histograms
        store.windows[one.start_ms] = one
        if fresh.path is not None:
            fresh.path.unlink(missing_ok=True)
        raise
    if fresh.path is not None:
        for path in one.all_files():
            path.unlink(missing_ok=True)
        window.sync_directory(fresh.path.parent)
    return fresh


def _copy_without(
    store: "Tsdb",
    chunk: StoredChunk,
    to: Window,
    gone: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    start_ms: int,
    end_ms: int,
    segment: int,
) -> None:
    parsed = chunk.chunk()
    times = parsed.times()
    ids = chunk.row_set.ids
    values = np.empty((parsed.series, parsed.columns))
    every = np.arange(parsed.series)
    parsed.decode(every, every, values, 0, parsed.columns)
    values[np.ix_(gone[ids], (times >= start_ms) & (times <= end_ms))] = ABSENT
    rows = ~is_absent(values).all(axis=1)
    columns = ~is_absent(values).all(axis=0)
    if rows.any():
        kept = np.ascontiguousarray(values[np.ix_(rows, columns)])
        to.add(store.sets.of(ids[rows]), times[columns], kept, segment)


async def clean_tombstones(store: "Tsdb") -> None:
    """Blocks from which something was deleted are written anew without it. Raises StorageFailed."""
    try:
        async with store.steps:
            for block in [b for b in store.blocks if b.tombstones]:
                await lifecycle.join(store, [block])
    except OSError as error:
        raise StorageFailed(f"cannot rewrite a block in {store.directory}: {error.strerror}") from error
