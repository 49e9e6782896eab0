"""What happens to samples after they were appended, by and by: flush, cut, compact, drop.

Every step leaves the directory as one that can be opened: new files are complete before they get their name, and what they replace goes
afterwards. The worker does what takes long, on chunks that do not change; the loop swaps the results in. One step at a time.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.tsdb import opening
from podium.telemetry.metrics.tsdb.block import Block, BlockWriter, remove_directory
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.compaction import plan, rewrite, span
from podium.telemetry.metrics.tsdb.errors import Damaged
from podium.telemetry.metrics.tsdb.window import LOOSE_MAX, Window

if TYPE_CHECKING:
    from podium.telemetry.metrics.tsdb.tsdb import Tsdb

log = logger("metrics.tsdb")
AHEAD = 12
"""A sample may be this part of a window ahead of the clock and still say what time it is: ten minutes, as upstream."""
CUT_AT_WINDOWS = 1.5
"""A window is cut when the newest sample is this many windows after its start: late ones may come for half a window."""


async def run(store: "Tsdb") -> None:
    """Until cancelled."""
    clock = store.world.clock
    due = clock.monotonic() + store.options.maintenance_interval_s
    while True:
        await asyncio.sleep(store.options.flush_interval_s)
        try:
            await store.synced()
            if clock.monotonic() >= due:
                due = clock.monotonic() + store.options.maintenance_interval_s
                await maintain(store)
        except (OSError, StorageFailed) as error:
            store.failed("maintenance")
            log.warning("the store cannot write; it tries again", error=error)


async def maintain(store: "Tsdb") -> None:
    """Everything that is due. Raises OSError, StorageFailed: then the rest is done another time."""
    async with store.steps:
        await flush(store)
        while (due := due_window(store)) is not None:
            await cut(store, due)
        while store.directory is not None and await compact(store):
            pass
        retain(store)
        forget(store)


# Flushing


async def flush(store: "Tsdb", *, everything: bool = False) -> None:
    """Loose samples that are many, and what a long log protects, become chunks; chunks are written to files; the log lets go of them."""
    for start in sorted(store.windows):
        if everything or store.windows[start].loose.count > LOOSE_MAX:
            seal(store, store.windows[start])
    if store.journal is None:
        return
    ahead = store.journal.ahead
    kept = max(1, store.options.wal_bytes_max // store.options.wal_segment_bytes)
    if everything or ahead.number - protected_from(store) >= kept:
        limit = 1 << 62 if everything else ahead.number - kept // 2
        store.head.seal_all(segment=limit)
        for start in sorted(store.windows):
            if store.windows[start].protected_from() <= limit:
                seal(store, store.windows[start])
    for one in sorted([*store.cutting, *store.windows.values()], key=_start):
        if one.dirty:
            await write(store, one)
    first = protected_from(store)
    await store.worker.run(lambda: ahead.drop_before(first))


def _start(one: Window) -> int:
    return one.start_ms


def seal(store: "Tsdb", one: Window) -> None:
    """Puts the window's loose samples into chunks, after what the open matrices have of the same series.

    Files hold the samples of a series in the order of time (late ones aside), and are written in that order: so what replay finds in the
    log that is older than the last sample of a series in files is in files too.
    """
    groups = np.unique(store.head.state.group[one.loose.columns()[0]])
    for number in groups[groups >= 0].tolist():
        if number in store.head.groups:
            store.head.seal(store.head.groups[number])
    one.seal()


async def write(store: "Tsdb", one: Window) -> None:
    """Raises OSError."""
    writing = one.begin_write()
    try:
        await store.worker.run(lambda: one.write(writing))
    finally:
        if writing.landed:
            one.end_write()


def protected_from(store: "Tsdb") -> int:
    """The oldest segment of the log that is needed."""
    assert store.journal is not None
    needed = [g.first_segment for g in store.head.groups.values() if g.count]
    needed += [one.protected_from() for one in [*store.cutting, *store.windows.values()]]
    return min([store.journal.ahead.number, *needed])


# Cutting


def due_window(store: "Tsdb") -> int | None:
    """Start of the oldest window that is over, if any; None in memory, where windows are as good as blocks."""
    if store.directory is None:
        return None
    window_ms = store.options.window_ms
    starts = [*store.windows, *(int(g.times[0]) // window_ms * window_ms for g in store.head.groups.values() if g.count)]
    if not starts:
        return None
    start = min(starts)
    return start if start + CUT_AT_WINDOWS * store.options.window_ms <= present_ms(store) else None


def present_ms(store: "Tsdb") -> int:
    """Time of the newest sample, but not much later than the clock: one sample from the far future must not make all others old."""
    return min(store.head.newest_ms, int(store.world.clock.now().timestamp() * 1000) + store.options.window_ms // AHEAD)


async def cut(store: "Tsdb", start_ms: int) -> None:
    """Makes the window a block. Raises OSError, and then the window is as before."""
    assert store.directory is not None
    end_ms = start_ms + store.options.window_ms
    store.head.seal_all(before_ms=end_ms)
    if start_ms not in store.windows:  # nothing was in the open matrices
        return
    seal(store, store.windows[start_ms])
    one = store.windows.pop(start_ms)
    store.head.valid_from_ms = max(store.head.valid_from_ms, end_ms)
    store.cutting.append(one)
    store.deleted_meanwhile.clear()
    try:
        if one.dirty:
            await write(store, one)
        block = await _made(store, one, start_ms, end_ms)
    except BaseException:
        store.cutting.remove(one)
        _put_back(store, one)
        raise
    store.cutting.remove(one)
    if block is not None:
        _add(store, [block], [])
        _delete_again(store, block)
    for path in one.all_files():
        path.unlink(missing_ok=True)


def _put_back(store: "Tsdb", one: Window) -> None:
    """A window that could not be cut; another may have begun for late samples meanwhile."""
    other = store.windows.get(one.start_ms)
    if other is None:
        store.windows[one.start_ms] = one
    else:
        store.cutting.insert(0, one)  # read as before; made a block when the store is opened next


async def _made(store: "Tsdb", one: Window, start_ms: int, end_ms: int) -> Block | None:
    if not one.chunks and not one.histograms.count:
        return None
    ids = ids_of(one)
    uid = store.world.token(12)
    labels = store.frozen_labels(ids)
    assert store.directory is not None
    directory = store.directory
    chunks, histograms = list(one.chunks), list(one.histograms.all())
    files = [path.name for path in one.all_files()]

    def work() -> Block | None:
        writer = BlockWriter(directory, uid, labels)
        try:
            rewrite(chunks, histograms, start_ms, end_ms, store.sets, writer)
            return writer.finish(start_ms, end_ms, 1, [], files)
        except BaseException:
            writer.abandon()
            raise

    try:
        return await store.worker.run(work)
    except Damaged as error:
        set_aside(store, error)
        raise StorageFailed(f"a window could not be made a block: {error}") from error


def ids_of(one: Window) -> Ids:
    parts = [np.array(sorted(one.histograms.of), np.int32)]
    parts += [row_set.ids for row_set in dict.fromkeys(chunk.row_set for chunk in one.chunks)]
    return np.unique(np.concatenate(parts)).astype(np.int32)


# Compaction


async def compact(store: "Tsdb") -> bool:
    """One step; False when nothing is due. Raises OSError, StorageFailed."""
    chosen = plan([b.meta for b in store.blocks], store.options.window_ms, store.options.block_range_max_ms)
    if not chosen:
        return False
    names = {meta.name for meta in chosen}
    await join(store, [b for b in store.blocks if b.name in names])
    return True


async def join(store: "Tsdb", blocks: list[Block]) -> None:
    """Makes one block of these, without what was deleted from them. Raises OSError, StorageFailed."""
    assert store.directory is not None and blocks
    directory = store.directory
    start_ms, end_ms, level = span([b.meta for b in blocks])
    store.deleted_meanwhile.clear()
    uid = store.world.token(12)
    labels = store.frozen_labels(np.unique(np.concatenate([b.ids() for b in blocks])))

    def work() -> Block | None:
        writer = BlockWriter(directory, uid, labels)
        try:
            histograms = [h for b in blocks for h in b.histograms_between(start_ms, end_ms - 1)]
            rewrite([c for b in blocks for c in b.contents.chunks], histograms, start_ms, end_ms, store.sets, writer)
            return writer.finish(start_ms, end_ms, level, [b.name for b in blocks], [])
        except BaseException:
            writer.abandon()
            raise

    try:
        made = await store.worker.run(work)
    except Damaged as error:
        if not set_aside(store, error):
            raise
        return
    _add(store, [made] if made is not None else [], blocks)
    if made is not None:
        _delete_again(store, made)
    for block in blocks:
        if block.directory.exists():
            remove_directory(block.directory)


def _delete_again(store: "Tsdb", block: Block) -> None:
    """What was deleted while the block was made, of chunks that had it still."""
    for ids, start_ms, end_ms in store.deleted_meanwhile:
        block.delete(ids, start_ms, end_ms)


def _add(store: "Tsdb", added: list[Block], gone: list[Block]) -> None:
    kept = [b for b in store.blocks if not any(b is g for g in gone)]
    store.blocks = sorted([*kept, *added], key=lambda b: (b.meta.start_ms, b.name))


# Dropping


def retain(store: "Tsdb") -> None:
    """Blocks (in memory: windows) that are too old, or too much, go."""
    options = store.options
    newest = present_ms(store)
    if store.directory is None:
        for start in sorted(store.windows):
            if options.retention_ms and start + options.window_ms <= newest - options.retention_ms:
                del store.windows[start]
        _limit_memory(store)
        return
    gone = [b for b in store.blocks if options.retention_ms and b.meta.end_ms <= newest - options.retention_ms]
    if options.retention_bytes:
        total = size(store) - sum(b.size for b in gone)
        for block in sorted(store.blocks, key=lambda b: b.meta.end_ms):
            if total <= options.retention_bytes:
                break
            if not any(block is g for g in gone):
                gone.append(block)
                total -= block.size
    _add(store, [], gone)
    for block in gone:
        remove_directory(block.directory)


def _limit_memory(store: "Tsdb") -> None:
    total = sum(one.bytes for one in store.windows.values())
    for start in sorted(store.windows)[:-1]:
        if not store.options.retention_bytes or total <= store.options.retention_bytes:
            return
        total -= store.windows[start].bytes
        del store.windows[start]


def size(store: "Tsdb") -> int:
    """Bytes of blocks and head on disk (in memory: of chunks)."""
    if store.directory is None:
        return sum(one.bytes for one in store.windows.values())
    heads = [p for part in ("head", "wal") for p in (store.directory / part).iterdir()]
    return sum(b.size for b in store.blocks) + sum(_bytes(p) for p in heads)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def forget(store: "Tsdb") -> None:
    """Series without a sample anywhere, which no layout in use names, leave the index."""
    used = np.zeros(store.index.allocated, np.bool_)
    for layout in list(store.head.layouts):
        used[layout.ids] = True
    for group in [g for g in store.head.groups.values() if not g.count and not used[g.ids].any()]:
        store.head.dissolve(group)
    for block in store.blocks:
        used[block.ids()] = True
    for one in [*store.cutting, *store.windows.values()]:
        for row_set in dict.fromkeys(chunk.row_set for chunk in one.chunks):
            used[row_set.ids] = True
        used[list(one.histograms.of)] = True
        used[one.loose.columns()[0]] = True
    for group in store.head.groups.values():
        used[group.ids] = True
    used[list(store.ring.series())] = True
    live = store.index.live()
    gone = live[~used[live]]
    store.head.state.reset(gone)
    store.index.forget(gone)


# Damage


def set_aside(store: "Tsdb", error: Damaged) -> bool:
    """The block or the head's file in which damage was found goes; False when it is none of ours."""
    for block in store.blocks:
        if block.directory == error.path or block.directory == error.path.parent:
            _add(store, [], [block])
            if block.directory.exists():
                opening.aside(block.directory, error.what)
            store.failed("damaged block")
            return True
    for one in [*store.cutting, *store.windows.values()]:
        if error.path == one.path or error.path in one.files:
            damaged = [c for c in one.chunks if c.path == error.path]
            one.chunks = [c for c in one.chunks if c.path != error.path]
            log.warning("chunks of the head are damaged and left out", file=str(error.path), count=len(damaged), error=error.what)
            store.failed("damaged head file")
            return bool(damaged)
    return False
