"""Assembly: from pieces of series here and there to one matrix for each set of series that lie together.

A source is a matrix of some series over some times: an open matrix of the head, a chunk in a file, loose samples. A series may be in many
sources: chunk after chunk in time, another group after its target changed, late samples beside those in order. The answer has each series
in exactly one `Columns`. So series are put into classes by the set of sources' row sets they are in, and each class is joined by itself:
sources that follow one another in time are decoded side by side into one array; those that overlap are merged, an earlier source winning
where two have a value at the same time.

Example: sources A (series 1 2 3; 0..9), B (series 1 2 3; 10..19), C (series 2; 5): classes {1 3}: A B side by side; {2}: A B C merged.

Row sets are shared objects (`RowSets`), so "the same series" is "the same array".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.samples import ABSENT, Columns, Times, Values, is_absent, is_stale
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.world.parallel import Mapper, one_by_one

CLASS_CELLS_MAX = 1 << 21
"""A class of more values is answered in several `Columns`: memory of this size is used again and again, larger is asked of the kernel
each time."""
PARALLEL_CELLS_MIN = 1 << 20
"""Fewer values are not worth a thread."""
_GOLDEN, _BITS = 0x9E3779B97F4A7C15, (1 << 64) - 1


@dataclass(frozen=True, eq=False)
class RowSet:
    """Series ids of the rows of a matrix. Compared by identity; not slotted for its weak references."""

    ids: Ids


class RowSets:
    """One object for equal row sets, as long as somebody holds it."""

    def __init__(self) -> None:
        self._sets: WeakValueDictionary[bytes, RowSet] = WeakValueDictionary()

    def of(self, ids: Ids) -> RowSet:
        key = ids.tobytes()
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = RowSet(ids)
        return found


class Source(Protocol):
    @property
    def row_set(self) -> RowSet: ...
    @property
    def first_ms(self) -> int: ...
    @property
    def last_ms(self) -> int: ...

    def times(self) -> Times: ...

    def read(self, target: npt.NDArray[np.int32], out: Values, start: int, end: int) -> tuple[bool, bool]:
        """Columns [start, end) of each row r with target[r] >= 0 into out[target[r]]. Returns whether these rows are (dense, monotonic)."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    source: Source
    times: Times  # those within the range
    start: int  # columns of the source
    end: int


def assemble(
    ids: Ids, allocated: int, sources: Sequence[Source], start_ms: int, end_ms: int, cells_max: int, each: Mapper = one_by_one
) -> tuple[Ids, list[Columns]]:
    """(series of `ids` that have a float sample in [start_ms, end_ms], their samples). Rows refer to the first of the two.

    `ids` ascending. `each` maps over classes: they are independent. Raises LimitExceeded when more than `cells_max` values would be decoded.
    """
    position = np.full(allocated, -1, np.int32)
    position[ids] = np.arange(len(ids), dtype=np.int32)
    placed: dict[RowSet, tuple[npt.NDArray[np.int32], list[_Part]]] = {}
    cells = 0
    for source in sources:
        if source.last_ms < start_ms or source.first_ms > end_ms:
            continue
        entry = placed.get(source.row_set)
        if entry is None:
            entry = placed[source.row_set] = (position[source.row_set.ids], [])
        if not (wanted := int(np.count_nonzero(entry[0] >= 0))):
            continue
        times = source.times()
        start, end = int(np.searchsorted(times, start_ms)), int(np.searchsorted(times, end_ms, "right"))
        if start < end:
            entry[1].append(_Part(source, times[start:end], start, end))
            cells += (end - start) * wanted
            if cells > cells_max:
                raise LimitExceeded(
                    "select_cells_max", f"the selection holds more than {cells_max} samples: choose fewer series or a shorter range"
                )
    used = [(rows, parts) for rows, parts in placed.values() if parts]
    each = each if cells >= PARALLEL_CELLS_MIN else one_by_one
    joins = each(lambda one: _join(*one), _classes(len(ids), used))
    found = [part for parts in joins for part in parts]
    kept = np.sort(np.concatenate([rows for rows, _ in found])) if found else np.zeros(0, np.int32)
    renumbered = np.full(len(ids), -1, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    return ids[kept], [Columns(renumbered[rows], c.times, c.values, c.dense, c.monotonic) for rows, c in found]


_Used = list[tuple[npt.NDArray[np.int32], list[_Part]]]


def _classes(count: int, used: _Used) -> list[tuple[Ids, _Used]]:
    """(rows ascending, what they are all in), at most CLASS_CELLS_MAX cells each."""
    if not used:
        return []
    signature = np.zeros(count, np.uint64)
    for number, (rows, _) in enumerate(used, 1):
        signature[rows[rows >= 0]] += _mixed(number)
    there = np.flatnonzero(signature)
    distinct, label = np.unique(signature[there], return_inverse=True)
    order = np.argsort(label, kind="stable")
    groups = np.split(there[order], np.flatnonzero(np.diff(label[order])) + 1)
    of_row = np.zeros(count, np.intp)
    of_row[there] = label
    inside: list[_Used] = [[] for _ in distinct]
    for entry in used:
        for number in np.unique(of_row[entry[0][entry[0] >= 0]]).tolist():
            inside[number].append(entry)
    classes: list[tuple[Ids, _Used]] = []
    for group, mine in zip(groups, inside, strict=True):
        width = sum(len(part.times) for _, parts in mine for part in parts)
        step = max(64, CLASS_CELLS_MAX // width)
        classes.extend((group[at : at + step].astype(np.int32), mine) for at in range(0, len(group), step))
    return sorted(classes, key=lambda c: int(c[0][0]))


def _mixed(number: int) -> np.uint64:
    """64 bits such that sums of different sets of numbers differ, but for one in billions of billions (SplitMix64)."""
    x = number * _GOLDEN & _BITS
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _BITS
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _BITS
    return np.uint64(x ^ (x >> 31))


def _join(members: Ids, used: _Used) -> list[tuple[Ids, Columns]]:
    inverse = np.full(int(max(int(rows.max()) for rows, _ in used)) + 2, -1, np.int32)  # the last place stands for -1
    inverse[members] = np.arange(len(members), dtype=np.int32)
    inverse[-1] = -1
    parts = sorted(((part, inverse[rows]) for rows, ps in used for part in ps), key=lambda p: int(p[0].times[0]))
    disjoint = all(a[0].times[-1] < b[0].times[0] for a, b in pairwise(parts))
    columns = _side_by_side(len(members), parts) if disjoint else _merged(len(members), parts, used)
    if columns.dense:
        return [(members, columns)]
    kept = ~is_absent(columns.values).all(axis=1)
    if kept.all():
        return [(members, columns)]
    return [(members[kept], Columns(columns.rows, columns.times, columns.values[kept]))] if kept.any() else []


_Targeted = list[tuple[_Part, npt.NDArray[np.int32]]]


def _side_by_side(count: int, parts: _Targeted) -> Columns:
    widths = [len(part.times) for part, _ in parts]
    values = np.empty((count, sum(widths)))
    dense = monotonic = True
    at = 0
    for (part, target), width in zip(parts, widths, strict=True):
        known = part.source.read(target, values[:, at : at + width], part.start, part.end)
        dense, monotonic = dense and known[0], monotonic and known[1]
        if at and monotonic:
            monotonic = bool((values[:, at] >= values[:, at - 1]).all())
        at += width
    times = np.concatenate([part.times for part, _ in parts]) if len(parts) > 1 else parts[0][0].times
    return Columns(np.zeros(0, np.int32), times, values, dense, dense and monotonic)


def _merged(count: int, parts: _Targeted, used: _Used) -> Columns:
    order = {id(part): n for n, part in enumerate(part for _, ps in used for part in ps)}
    times = np.unique(np.concatenate([part.times for part, _ in parts]))
    values = np.full((count, len(times)), ABSENT)
    for part, target in sorted(parts, key=lambda p: -order[id(p[0])]):
        own = np.empty((count, len(part.times)))
        part.source.read(target, own, part.start, part.end)
        at = np.searchsorted(times, part.times)
        there = ~is_absent(own)
        values[:, at] = np.where(there, own, values[:, at])
    dense = not bool((is_absent(values) | is_stale(values)).any())
    return Columns(np.zeros(0, np.int32), times, values, dense, False)


def joined(row_set: RowSet, first: int, last: int, sources: Sequence[Source], start_ms: int, end_ms: int) -> list[tuple[Ids, Columns]]:
    """Rows [first, last) of sources that all have this row set, with their samples in the range: (their ids, samples), one or none."""
    rows = np.full(len(row_set.ids), -1, np.int32)
    rows[first:last] = np.arange(last - first, dtype=np.int32)
    parts = []
    for source in sources:
        times = source.times()
        start, end = int(np.searchsorted(times, start_ms)), int(np.searchsorted(times, end_ms, "right"))
        if start < end:
            parts.append(_Part(source, times[start:end], start, end))
    if not parts:
        return []
    ids = row_set.ids[first:last]
    return [(ids[members], columns) for members, columns in _join(np.arange(last - first, dtype=np.int32), [(rows, parts)])]
