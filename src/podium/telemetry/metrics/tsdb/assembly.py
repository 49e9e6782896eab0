"""Assembly: from pieces of series here and there to one matrix for each set of series that lie together.

A source is a matrix of some series over some times: an open matrix of the head, a chunk in a file, loose samples. A series may be in many
sources: chunk after chunk in time, another group after its target changed, late samples beside those in order. The answer has each series
in exactly one `Columns`. So series are put into classes by the set of sources' row sets they are in, and each class is joined by itself:
sources that follow one another in time are decoded side by side into one array; those that overlap are merged, an earlier source winning
where two have a value at the same time.

Example: sources A (series 1 2 3; 0..9), B (series 1 2 3; 10..19), C (series 2; 5): classes {1 3}: A B side by side; {2}: A B C merged.

Row sets are shared objects (`RowSets`), so "the same series" is "the same array".
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.samples import ABSENT, Columns, Times, Unread, Values, is_absent, is_stale
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.recent import ROWS_MAX, Recent
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

    @cached_property
    def span(self) -> tuple[int, int]:
        """(lowest, highest id); (0, -1) without any."""
        return (int(self.ids.min()), int(self.ids.max())) if len(self.ids) else (0, -1)


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


Mask = npt.NDArray[np.bool_]


class Reader(Protocol):
    def read(self, wanted: Ids, to: Ids, out: Values, start: int, end: int, recent: Recent | None) -> None:
        """Columns [start, end) of each row wanted[i] into out[to[i]]; `wanted` ascending. From any thread, when `recent` is None."""
        ...


class Opened(Reader, Protocol):
    """What a source has."""

    @property
    def times(self) -> Times: ...

    def known(self, wanted: Ids, start: int, end: int) -> tuple[bool, bool]:
        """Whether these rows are (dense, monotonic) in columns [start, end). False: perhaps not."""
        ...

    def present(self, wanted: Ids, start: int, end: int) -> Mask:
        """Which of these rows have a sample (or a stale marker) in columns [start, end)."""
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

    def opened(self, recent: Recent | None, *, few: bool) -> Opened:
        """`few`: rows that are wanted of it."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    opened: Opened
    lasting: bool
    times: Times  # those within the range
    start: int  # columns of the source
    end: int


def assemble(
    ids: Ids,
    allocated: int,
    sources: Sequence[Source],
    start_ms: int,
    end_ms: int,
    cells_max: int,
    each: Mapper = one_by_one,
    recent: Recent | None = None,
) -> tuple[Ids, list[Columns]]:
    """(series of `ids` that have a float sample in [start_ms, end_ms], their samples). Rows refer to the first of the two.

    `ids` ascending. `each` maps over classes: they are independent. Raises LimitExceeded when more than `cells_max` values would be decoded.
    """
    kept, found = scan(ids, allocated, sources, start_ms, end_ms, cells_max, lasting=False, recent=recent)
    each = each if sum(one.cells for one in found) >= PARALLEL_CELLS_MIN else one_by_one
    return kept, each(read, found)


def read(unread: Unread) -> Columns:
    return unread.read()


def scan(
    ids: Ids,
    allocated: int,
    sources: Sequence[Source],
    start_ms: int,
    end_ms: int,
    cells_max: int,
    *,
    lasting: bool,
    recent: Recent | None = None,
) -> tuple[Ids, list[Unread]]:
    """As `assemble`; what is given can be read until the next append, or (`lasting`) at any time."""
    position = np.full(allocated, -1, np.int32)
    position[ids] = np.arange(len(ids), dtype=np.int32)
    bounds = ids.tolist() if len(ids) <= ROWS_MAX else None  # few series are in few row sets
    placed: dict[RowSet, _Place] = {}
    cells = 0
    for source in sources:
        if source.last_ms < start_ms or source.first_ms > end_ms:
            continue
        lowest, highest = source.row_set.span
        if bounds is not None and bisect_left(bounds, lowest) == bisect_right(bounds, highest):
            continue
        place = placed.get(source.row_set)
        if place is None:
            place = placed[source.row_set] = _Place.of(position[source.row_set.ids])
        if not len(place.wanted):
            continue
        part = _within(source, start_ms, end_ms, recent, few=len(place.wanted) <= ROWS_MAX)
        if part is not None:
            place.parts.append(part)
            cells += len(part.times) * len(place.wanted)
            if cells > cells_max:
                raise LimitExceeded(
                    "select_cells_max", f"the selection holds more than {cells_max} samples: choose fewer series or a shorter range"
                )
    used = [place for place in placed.values() if place.parts]
    if cells >= PARALLEL_CELLS_MIN:
        recent = None
    classes = [c for group, mine in _classes(len(ids), used) if (c := _class(group, mine, lasting=lasting)) is not None]
    kept = np.sort(np.concatenate([c.members for c in classes])) if classes else np.zeros(0, np.int32)
    renumbered = np.full(len(ids), -1, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    return ids[kept], [Unread(rows := renumbered[c.members], len(rows) * c.width, partial(_read, c, rows, recent)) for c in classes]


def _within(source: Source, start_ms: int, end_ms: int, recent: Recent | None = None, *, few: bool = False) -> _Part | None:
    opened = source.opened(recent, few=few)
    start, end = int(np.searchsorted(opened.times, start_ms)), int(np.searchsorted(opened.times, end_ms, "right"))
    return _Part(opened, source.lasting, opened.times[start:end], start, end) if start < end else None


@dataclass(frozen=True, slots=True)
class _Place:
    """What of a row set is wanted."""

    wanted: Ids  # rows of the set, ascending
    rows: Ids  # of the selection: the same series
    parts: list[_Part]

    @classmethod
    def of(cls, position: Ids) -> "_Place":
        """`position`: where each row of the set is in the selection; -1: nowhere."""
        wanted = np.flatnonzero(position >= 0)
        return cls(wanted.astype(np.int32), position[wanted], [])


def _classes(count: int, used: list[_Place]) -> list[tuple[Ids, list[_Place]]]:
    """(rows ascending, what they are all in), at most CLASS_CELLS_MAX cells each."""
    if not used:
        return []
    if len(used) == 1:
        return _cut(np.sort(used[0].rows), used)
    signature = np.zeros(count, np.uint64)
    for number, place in enumerate(used, 1):
        signature[place.rows] += _mixed(number)
    there = np.flatnonzero(signature)
    distinct, label = np.unique(signature[there], return_inverse=True)
    order = np.argsort(label, kind="stable")
    groups = np.split(there[order], np.flatnonzero(np.diff(label[order])) + 1)
    of_row = np.zeros(count, np.intp)
    of_row[there] = label
    inside: list[list[_Place]] = [[] for _ in distinct]
    for place in used:
        for number in np.unique(of_row[place.rows]).tolist():
            inside[number].append(place)
    classes: list[tuple[Ids, list[_Place]]] = []
    for group, mine in zip(groups, inside, strict=True):
        classes.extend(_cut(group, mine))
    return sorted(classes, key=lambda c: int(c[0][0]))


def _cut(group: npt.NDArray[np.integer], mine: list[_Place]) -> list[tuple[Ids, list[_Place]]]:
    """A class in pieces of at most CLASS_CELLS_MAX cells."""
    width = sum(len(part.times) for place in mine for part in place.parts)
    step = max(64, CLASS_CELLS_MAX // width)
    return [(group[at : at + step].astype(np.int32), mine) for at in range(0, len(group), step)]


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
    wanted: Ids  # its rows, a row for each member
    to: Ids  # the member
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

    def read(self, wanted: Ids, to: Ids, out: Values, start: int, end: int, recent: object) -> None:
        out[:] = self.values


def _class(members: Ids, used: list[_Place], *, lasting: bool) -> _Class | None:
    """None: no row has a sample."""
    parts = _placed(members, used)
    flags = [part.opened.known(wanted, part.start, part.end) for part, wanted, _ in parts]
    dense = all(f[0] for f in flags)
    if not dense:
        there = np.zeros(len(members), np.bool_)
        for part, wanted, to in parts:
            there[to[part.opened.present(wanted, part.start, part.end)]] = True
        if not there.any():
            return None
        if not there.all():
            members = members[there]
            parts = _placed(members, used)
    pieces = [
        _Piece(part.opened, wanted, to, part.times, part.start, part.end) if part.lasting or not lasting else _copied(part, wanted, to)
        for part, wanted, to in parts
    ]
    by_time = sorted(range(len(pieces)), key=lambda n: int(pieces[n].times[0]))
    precedence: list[int] = np.argsort(by_time).tolist()
    return _Class(members, [pieces[n] for n in by_time], precedence, dense, dense and all(f[1] for f in flags))


def _placed(members: Ids, used: list[_Place]) -> list[tuple[_Part, Ids, Ids]]:
    """(part, its rows that are members, which members they are)."""
    inverse = np.full(int(max(int(place.rows.max()) for place in used)) + 1, -1, np.int32)
    inverse[members] = np.arange(len(members), dtype=np.int32)
    found: list[tuple[_Part, Ids, Ids]] = []
    for place in used:
        wanted, to = place.wanted, inverse[place.rows]
        inside = to >= 0
        if not inside.all():
            wanted, to = wanted[inside], to[inside]
        found.extend((part, wanted, to) for part in place.parts)
    return found


def _copied(part: _Part, wanted: Ids, to: Ids) -> _Piece:
    values = np.empty((len(to), len(part.times)))
    part.opened.read(wanted, to, values, part.start, part.end, None)
    return _Piece(_Copied(values), wanted, to, part.times, part.start, part.end)


def _read(found: _Class, rows: Ids, recent: Recent | None) -> Columns:
    if all(a.times[-1] < b.times[0] for a, b in pairwise(found.pieces)):
        return _side_by_side(found, rows, recent)
    return _merged(found, rows, recent)


def _side_by_side(found: _Class, rows: Ids, recent: Recent | None) -> Columns:
    values = np.empty((len(rows), found.width))
    monotonic = found.monotonic
    at = 0
    for piece in found.pieces:
        piece.reader.read(piece.wanted, piece.to, values[:, at : at + len(piece.times)], piece.start, piece.end, recent)
        if at and monotonic:
            monotonic = bool((values[:, at] >= values[:, at - 1]).all())
        at += len(piece.times)
    pieces = found.pieces
    times = np.concatenate([piece.times for piece in pieces]) if len(pieces) > 1 else pieces[0].times
    return Columns(rows, times, values, found.dense, monotonic)


def _merged(found: _Class, rows: Ids, recent: Recent | None) -> Columns:
    times = np.unique(np.concatenate([piece.times for piece in found.pieces]))
    values = np.full((len(rows), len(times)), ABSENT)
    for n in reversed(found.precedence):
        piece = found.pieces[n]
        own = np.empty((len(rows), len(piece.times)))
        piece.reader.read(piece.wanted, piece.to, own, piece.start, piece.end, recent)
        at = np.searchsorted(times, piece.times)
        there = ~is_absent(own)
        values[:, at] = np.where(there, own, values[:, at])
    dense = not bool((is_absent(values) | is_stale(values)).any())
    return Columns(rows, times, values, dense, False)


def joined(row_set: RowSet, first: int, last: int, sources: Sequence[Source], start_ms: int, end_ms: int) -> list[tuple[Ids, Columns]]:
    """Rows [first, last) of sources that all have this row set, with their samples in the range: (their ids, samples), one or none."""
    parts = [part for source in sources if (part := _within(source, start_ms, end_ms)) is not None]
    rows = np.arange(last - first, dtype=np.int32)
    found = _class(rows, [_Place(rows + first, rows, parts)], lasting=False) if parts else None
    if found is None:
        return []
    return [(row_set.ids[first:last][found.members], _read(found, np.arange(len(found.members), dtype=np.int32), None))]
