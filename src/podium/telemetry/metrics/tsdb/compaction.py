"""Compaction: chunks of several files become fewer and longer ones of one block. Planning is pure; rewriting runs in the worker.

Plan, in this order: a block with others that overlap it in time is joined with them; three blocks (or fewer at the end of a range that
has passed) of the same range that lie in the same three times longer range, aligned to multiples of it, are joined into one of that
range, up to `block_max_ms`. The newest block is never compacted: late samples may still come for it.

Rewriting takes row set by row set, ROWS at a time: chunks that follow one another are joined up to COLUMNS times; one that is long already
and has nothing deleted is copied as it is. Memory: ROWS x COLUMNS values.
"""

from collections.abc import Sequence

import numpy as np

from podium.telemetry.metrics.samples import is_absent
from podium.telemetry.metrics.tsdb.assembly import RowSet, RowSets, joined
from podium.telemetry.metrics.tsdb.block import BlockMeta, BlockWriter
from podium.telemetry.metrics.tsdb.chunk import ABSENT_MARK
from podium.telemetry.metrics.tsdb.chunk_file import StoredChunk
from podium.telemetry.metrics.tsdb.histograms import Stored

ROWS = 1024
COLUMNS = 480
STEPS = 3
"""How many blocks make one of the next longer range."""
MERGED_MAX = 64
"""Blocks compacted at once: bounds open files, and the time a step takes."""


def plan(blocks: Sequence[BlockMeta], window_ms: int, range_max_ms: int) -> list[BlockMeta]:
    """Which blocks to join next; none: nothing to do."""
    ordered = sorted(blocks, key=lambda b: (b.start_ms, b.end_ms, b.name))
    return _overlapping(ordered)[:MERGED_MAX] or _neighbours(ordered, window_ms, range_max_ms)


def _overlapping(blocks: Sequence[BlockMeta]) -> list[BlockMeta]:
    """The first run of blocks each of which overlaps one before."""
    run: list[BlockMeta] = []
    end = 0
    for block in blocks:
        if run and block.start_ms < end:
            run.append(block)
        elif len(run) > 1:
            break
        else:
            run, end = [block], block.end_ms
        end = max(end, block.end_ms)
    return run if len(run) > 1 else []


def _neighbours(blocks: Sequence[BlockMeta], window_ms: int, range_max_ms: int) -> list[BlockMeta]:
    if not blocks:
        return []
    newest = max(blocks, key=lambda b: (b.start_ms, b.end_ms))
    length = window_ms * STEPS
    while length <= range_max_ms:
        by_range: dict[int, list[BlockMeta]] = {}
        for block in blocks:
            start = block.start_ms // length * length
            if block.end_ms <= start + length and block.end_ms - block.start_ms < length and block is not newest:
                by_range.setdefault(start, []).append(block)
        for start in sorted(by_range):
            if len(by_range[start]) > 1 and start + length <= newest.start_ms:
                return by_range[start]
        length *= STEPS
    return []


def rewrite(chunks: Sequence[StoredChunk], histograms: list[Stored], start_ms: int, end_ms: int, sets: RowSets, to: BlockWriter) -> None:
    """All samples of these chunks in [start_ms, end_ms) into the block. Raises Damaged, OSError."""
    by_rows: dict[RowSet, list[StoredChunk]] = {}
    for chunk in chunks:
        if chunk.first_ms < end_ms and chunk.last_ms >= start_ms:
            by_rows.setdefault(chunk.row_set, []).append(chunk)
    for row_set, mine in by_rows.items():
        for run in runs(sorted(mine, key=lambda c: (c.first_ms, c.last_ms))):
            _rewrite_run(row_set, run, start_ms, end_ms, sets, to)
    seen: dict[tuple[int, int], Stored] = {}
    for stored in histograms:
        seen.setdefault(stored[:2], stored)
    to.add_histograms([seen[key] for key in sorted(seen)])


def runs(chunks: Sequence[StoredChunk]) -> list[list[StoredChunk]]:
    """Chunks of one row set, ascending, to be joined with one another: those that overlap in any case, neighbours up to COLUMNS times."""
    found: list[list[StoredChunk]] = []
    width = 0
    last = 0
    for chunk in chunks:
        columns = chunk.chunk().columns
        if found and (chunk.first_ms <= last or width + columns <= COLUMNS):
            found[-1].append(chunk)
            width += columns
            last = max(last, chunk.last_ms)
        else:
            found.append([chunk])
            width, last = columns, chunk.last_ms
    return found


def _rewrite_run(row_set: RowSet, run: list[StoredChunk], start_ms: int, end_ms: int, sets: RowSets, to: BlockWriter) -> None:
    first = run[0]
    whole = first.first_ms >= start_ms and first.last_ms < end_ms and not first.deletions
    if len(run) == 1 and whole and len(row_set.ids) <= ROWS:
        chunk = first.chunk()
        marks = chunk.rows().marks
        to.add_encoded(first, chunk.series * chunk.columns - (int((marks == ABSENT_MARK).sum()) if marks is not None else 0))
        return
    for at in range(0, len(row_set.ids), ROWS):
        for ids, columns in joined(row_set, at, min(at + ROWS, len(row_set.ids)), run, start_ms, end_ms - 1):
            gaps = 0 if columns.dense else int(is_absent(columns.values).sum())
            for left in range(0, len(columns.times), COLUMNS):
                values = columns.values[:, left : left + COLUMNS]
                kept = np.arange(len(ids)) if not gaps else np.flatnonzero(~is_absent(np.ascontiguousarray(values)).all(axis=1))
                if len(kept):
                    part = np.ascontiguousarray(values[kept])
                    missing = int(is_absent(part).sum()) if gaps else 0
                    rows = sets.of(ids if len(kept) == len(ids) else ids[kept])
                    to.add(rows, columns.times[left : left + COLUMNS], part, part.size - missing)


def span(metas: Sequence[BlockMeta]) -> tuple[int, int, int]:
    """(start, end, level) of the block that these become."""
    return min(m.start_ms for m in metas), max(m.end_ms for m in metas), max(m.level for m in metas) + 1
