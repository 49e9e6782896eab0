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
from functools import partial
from itertools import pairwise
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.samples import ABSENT, Columns, Times, Unread, Values, is_absent, is_stale
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


Target = npt.NDArray[np.int32]
"""For each row of a source where it goes; -1: it is not wanted."""
Mask = npt.NDArray[np.bool_]


class Reader(Protocol):
    def read(self, target: Target, out: Values, start: int, end: int) -> None:
        """Columns [start, end) of each row r with target[r] >= 0 into out[target[r]]. From any thread."""
        ...


class Opened(Reader, Protocol):
    """What a source has."""

    @property
    def times(self) -> Times: ...

    def known(self, wanted: Mask, start: int, end: int) -> tuple[bool, bool]:
        """Whether these rows are (dense, monotonic) in columns [start, end). False: perhaps not."""
        ...

    def present(self, start: int, end: int) -> Mask:
        """Which rows have a sample (or a stale marker) in columns [start, end)."""
        ...


class Source(Protocol):
    @property
    def row_set(self) -> RowSet: ...
    @property
    def first_ms(self) -> int: ...
    @property
    def last_ms(self) -> int: ...
    @property
    def lasting(self) -> bool:
        """Whether what was opened stays as it is. Otherwise it is valid until the next append."""
        ...

    def opened(self) -> Opened: ...


@dataclass(frozen=True, slots=True)
class _Part:
    opened: Opened
    lasting: bool
    times: Times  # those within the range
    start: int  # columns of the source
    end: int


def assemble(
    ids: Ids, allocated: int, sources: Sequence[Source], start_ms: int, end_ms: int, cells_max: int, each: Mapper = one_by_one
) -> tuple[Ids, list[Columns]]:
    """(series of `ids` that have a float sample in [start_ms, end_ms], their samples). Rows refer to the first of the two.

    `ids` ascending. `each` maps over classes: they are independent. Raises LimitExceeded when more than `cells_max` values would be decoded.
    """
    kept, found = scan(ids, allocated, sources, start_ms, end_ms, cells_max, lasting=False)
    each = each if sum(one.cells for one in found) >= PARALLEL_CELLS_MIN else one_by_one
    return kept, each(read, found)


def read(unread: Unread) -> Columns:
    return unread.read()


def scan(
    ids: Ids, allocated: int, sources: Sequence[Source], start_ms: int, end_ms: int, cells_max: int, *, lasting: bool
) -> tuple[Ids, list[Unread]]:
    """As `assemble`; what is given can be read until the next append, or (`lasting`) at any time."""
    position = np.full(allocated, -1, np.int32)
    position[ids] = np.arange(len(ids), dtype=np.int32)
    placed: dict[RowSet, tuple[Target, list[_Part]]] = {}
    cells = 0
    for source in sources:
        if source.last_ms < start_ms or source.first_ms > end_ms:
            continue
        entry = placed.get(source.row_set)
        if entry is None:
            entry = placed[source.row_set] = (position[source.row_set.ids], [])
        if not (wanted := int(np.count_nonzero(entry[0] >= 0))):
            continue
        part = _within(source, start_ms, end_ms)
        if part is not None:
            entry[1].append(part)
            cells += len(part.times) * wanted
            if cells > cells_max:
                raise LimitExceeded(
                    "select_cells_max", f"the selection holds more than {cells_max} samples: choose fewer series or a shorter range"
                )
    used = [(rows, parts) for rows, parts in placed.values() if parts]
    classes = [c for group, mine in _classes(len(ids), used) if (c := _class(group, mine, lasting=lasting)) is not None]
    kept = np.sort(np.concatenate([c.members for c in classes])) if classes else np.zeros(0, np.int32)
    renumbered = np.full(len(ids), -1, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    return ids[kept], [Unread(rows := renumbered[c.members], len(rows) * c.width, partial(_read, c, rows)) for c in classes]


def _within(source: Source, start_ms: int, end_ms: int) -> _Part | None:
    opened = source.opened()
    start, end = int(np.searchsorted(opened.times, start_ms)), int(np.searchsorted(opened.times, end_ms, "right"))
    return _Part(opened, source.lasting, opened.times[start:end], start, end) if start < end else None


_Used = list[tuple[Target, list[_Part]]]


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


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a class has in one source: columns [start, end) of it, at these times."""

    reader: Reader
    target: Target  # all members are in it
    times: Times
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Class:
    """Rows that lie together, and where."""

    members: Ids  # ascending
    pieces: list[_Piece]  # by time
    precedence: list[int]  # the pieces again: where two have a sample at one time, the one that is earlier here has it
    dense: bool
    monotonic: bool  # within each piece

    @property
    def width(self) -> int:
        return sum(len(piece.times) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class _Copied:
    """Columns as they were."""

    values: Values

    def read(self, target: Target, out: Values, start: int, end: int) -> None:
        out[:] = self.values


def _class(members: Ids, used: _Used, *, lasting: bool) -> _Class | None:
    """None: no row has a sample."""
    inverse = _inverse(members, used)
    parts = [(part, inverse[rows]) for rows, ps in used for part in ps]
    flags = [part.opened.known(target >= 0, part.start, part.end) for part, target in parts]
    dense = all(f[0] for f in flags)
    if not dense:
        there = np.zeros(len(members), np.bool_)
        for part, target in parts:
            there[target[(target >= 0) & part.opened.present(part.start, part.end)]] = True
        if not there.any():
            return None
        if not there.all():
            members = members[there]
            inverse = _inverse(members, used)
            parts = [(part, inverse[rows]) for rows, ps in used for part in ps]
    pieces = [_Piece(part.opened, target, part.times, part.start, part.end) for part, target in parts]
    if lasting:
        pieces = [piece if part.lasting else _copied(piece, len(members)) for piece, (part, _) in zip(pieces, parts, strict=True)]
    by_time = sorted(range(len(pieces)), key=lambda n: int(pieces[n].times[0]))
    precedence: list[int] = np.argsort(by_time).tolist()
    return _Class(members, [pieces[n] for n in by_time], precedence, dense, dense and all(f[1] for f in flags))


def _inverse(members: Ids, used: _Used) -> Target:
    """From row of the selection to place among the members; the last entry stands for -1."""
    inverse = np.full(int(max(int(rows.max()) for rows, _ in used)) + 2, -1, np.int32)
    inverse[members] = np.arange(len(members), dtype=np.int32)
    inverse[-1] = -1
    return inverse


def _copied(piece: _Piece, count: int) -> _Piece:
    values = np.empty((count, len(piece.times)))
    piece.reader.read(piece.target, values, piece.start, piece.end)
    return _Piece(_Copied(values), np.arange(count, dtype=np.int32), piece.times, piece.start, piece.end)


def _read(found: _Class, rows: Ids) -> Columns:
    if all(a.times[-1] < b.times[0] for a, b in pairwise(found.pieces)):
        return _side_by_side(found, rows)
    return _merged(found, rows)


def _side_by_side(found: _Class, rows: Ids) -> Columns:
    values = np.empty((len(rows), found.width))
    monotonic = found.monotonic
    at = 0
    for piece in found.pieces:
        piece.reader.read(piece.target, values[:, at : at + len(piece.times)], piece.start, piece.end)
        if at and monotonic:
            monotonic = bool((values[:, at] >= values[:, at - 1]).all())
        at += len(piece.times)
    pieces = found.pieces
    times = np.concatenate([piece.times for piece in pieces]) if len(pieces) > 1 else pieces[0].times
    return Columns(rows, times, values, found.dense, monotonic)


def _merged(found: _Class, rows: Ids) -> Columns:
    times = np.unique(np.concatenate([piece.times for piece in found.pieces]))
    values = np.full((len(rows), len(times)), ABSENT)
    for n in reversed(found.precedence):
        piece = found.pieces[n]
        own = np.empty((len(rows), len(piece.times)))
        piece.reader.read(piece.target, own, piece.start, piece.end)
        at = np.searchsorted(times, piece.times)
        there = ~is_absent(own)
        values[:, at] = np.where(there, own, values[:, at])
    dense = not bool((is_absent(values) | is_stale(values)).any())
    return Columns(rows, times, values, dense, False)


def joined(row_set: RowSet, first: int, last: int, sources: Sequence[Source], start_ms: int, end_ms: int) -> list[tuple[Ids, Columns]]:
    """Rows [first, last) of sources that all have this row set, with their samples in the range: (their ids, samples), one or none."""
    rows = np.full(len(row_set.ids), -1, np.int32)
    rows[first:last] = np.arange(last - first, dtype=np.int32)
    parts = [part for source in sources if (part := _within(source, start_ms, end_ms)) is not None]
    found = _class(np.arange(last - first, dtype=np.int32), [(rows, parts)], lasting=False) if parts else None
    if found is None:
        return []
    return [(row_set.ids[first:last][found.members], _read(found, np.arange(len(found.members), dtype=np.int32)))]
