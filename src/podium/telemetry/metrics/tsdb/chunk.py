"""Chunks: a matrix of samples, S series by T times they share, as bytes.

Rows are put into classes by what their numbers are like, and each class is compressed as one:

* CONSTANT: the same bits throughout. Only the first value is kept.
* A WIDTH (1..32): whole numbers, or decimals of up to DIGITS_MAX digits as whole numbers (v * 10**digits). Kept are the first one, the
  smallest difference between neighbours (`base`), and what each difference exceeds that by, at most WIDTH bits: so a counter that grows
  by about the same each time costs the noise in its growth, whatever its height.
* RAW: anything else, bit for bit.

Example: 100 107 115 122 -> first 100, base 7, excesses 0 1 0 -> class of width 1.

Excesses of a class (up to RUNNING_MAX bits: their running sums, which pcodec takes apart and sums up again faster than NumPy does, and
without holding up other threads) lie in pieces of at most PIECE_NUMBERS, each compressed by pcodec: the unit of decoding, so one series of thousands
costs one piece. Rows are taken in the order of (class, row): pieces need no list of rows.
Rows with ABSENT or STALE among their values are marked: where, in a matrix of marks of their own; their gaps are filled with the value
before, so that they compress. Decoding gives back every bit, of NaNs too.

Known of each row, so that queries skip work: whether it has no marks (dense), whether it never falls (monotonic; dense and not NaN).

Layout (little endian): HEADER; section lengths; pieces' lengths; sections (times, rows = [class, digits, flags] x S, firsts, bases, marks);
pieces. The file around it has the checksum. Format version: FORMAT, also of what this class of rows means.

Bounds: T up to COLUMNS_MAX, S x T up to CELLS_MAX.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, standalone

from podium.telemetry.metrics.samples import ABSENT, ABSENT_BITS, STALE, STALE_BITS, Times, Values
from podium.telemetry.metrics.tsdb import restoration

FORMAT = 1
COLUMNS_MAX = 4096
CELLS_MAX = 1 << 26
PIECE_NUMBERS = 1 << 16
DIGITS_MAX = 9
SMALL_CELLS = 1 << 15
"""Matrices below this have few classes: a piece has a price."""

PLAIN_BYTES = 512
"""What is told of rows is not compressed below this."""
ROWS_SQUEEZED = 1  # flag

HEADER = struct.Struct("<BBHIIqq")  # format, flags, pieces, series, times, first time, step (0: times are a section)
_LENGTHS = struct.Struct("<5I")
HEAD_MIN = HEADER.size + _LENGTHS.size
CONSTANT, RAW = 0, 255
WIDTHS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32])
WIDTHS_SMALL = np.array([8, 16, 32])
DENSE, MONOTONIC = 1, 2
ABSENT_MARK, STALE_MARK = 1, 2
RUNNING_MAX = 16
"""Up to this width a piece has running sums: of COLUMNS_MAX excesses they are below 2**31. Above, it has the excesses."""
LIFTED_MIN, LIFTED_COLUMNS_MIN = 1 << 10, 16
"""Rows whose excesses are smaller, or few, are taken as they are."""
_EXACT = float(1 << 53)
LINE_MAX = float(1 << 51)
"""Rows of running sums start, and rise along their bases, by less: so that no step of the arithmetic is rounded."""

_WHOLE = ChunkConfig(delta_spec=DeltaSpec.no_op(), mode_spec=ModeSpec.classic(), enable_8_bit=True)
_RUNNING = ChunkConfig(delta_spec=DeltaSpec.try_consecutive(1), mode_spec=ModeSpec.classic())
_TIMES = ChunkConfig(delta_spec=DeltaSpec.try_consecutive(1), mode_spec=ModeSpec.classic())
_FLOATS = ChunkConfig(compression_level=4, delta_spec=DeltaSpec.try_consecutive(1), mode_spec=ModeSpec.classic())
_PLAIN = ChunkConfig(compression_level=4, delta_spec=DeltaSpec.no_op(), mode_spec=ModeSpec.classic())

Indices = npt.NDArray[np.integer[Any]]
Flags8 = npt.NDArray[np.uint8]


def encode(times: Times, values: Values) -> bytes:
    """`times` (T,) strictly ascending, `values` (S, T); T at least 1, both within the bounds above."""
    series, columns = values.shape
    assert 0 < columns <= COLUMNS_MAX and series * columns <= CELLS_MAX and series, (series, columns)
    values = np.ascontiguousarray(values)
    rows = np.zeros((3, series), np.uint8)
    values, marks = _without_marks(values, rows[2])
    excess, bases, firsts = _classify(values, rows)
    pieces = _pieces(values, excess, rows[0])
    step = int(times[1] - times[0]) if columns > 1 else 1
    regular = columns == 1 or bool((np.diff(times) == step).all())
    whole = (rows[0] != CONSTANT) & (rows[0] != RAW)
    sections = (
        b"" if regular else standalone.simple_compress(np.ascontiguousarray(times), _TIMES),
        rows.tobytes() if rows.size <= PLAIN_BYTES else _squeeze(rows),
        standalone.simple_compress(firsts, _PLAIN),
        standalone.simple_compress(bases[whole], _PLAIN) if whole.any() else b"",
        _squeeze(marks) if marks is not None else b"",
    )
    header = HEADER.pack(
        FORMAT, 0 if rows.size <= PLAIN_BYTES else ROWS_SQUEEZED, len(pieces), series, columns, int(times[0]), step if regular else 0
    )
    return b"".join((header, _LENGTHS.pack(*map(len, sections)), struct.pack(f"<{len(pieces)}I", *map(len, pieces)), *sections, *pieces))


def _without_marks(values: Values, flags: Flags8) -> tuple[Values, Flags8 | None]:
    """Values whose gaps are filled with the value before (or after), and the marks (0, ABSENT_MARK, STALE_MARK) of the rows that have any."""
    flags[:] = DENSE
    if not np.isnan(values).any():
        return values, None
    bits = values.view(np.uint64)
    marks = (ABSENT_MARK * (bits == ABSENT_BITS) + STALE_MARK * (bits == STALE_BITS)).astype(np.uint8)
    marked = np.flatnonzero(marks.any(axis=1))
    if not len(marked):
        return values, None
    flags[marked] = 0
    marks = marks[marked]
    columns = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(marks == 0, columns, -1), axis=1)
    first = np.argmin(marks != 0, axis=1)  # 0 when the row is nothing but marks
    source = np.where(before < 0, first[:, None], before)
    filled = np.take_along_axis(values[marked], source, axis=1)
    filled[(marks != 0).all(axis=1)] = 0.0
    values = values.copy()
    values[marked] = filled
    return values, marks


def _classify(values: Values, rows: Flags8) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], Values]:
    """Fills classes, digits and flags of the rows; returns (S, T-1) excesses of the whole ones, (S,) bases and firsts."""
    series, columns = values.shape
    classes, digits, flags = rows
    bits = values.view(np.uint64)
    firsts = values[:, 0].copy()
    bases = np.zeros(series, np.int64)
    excess = np.zeros((series, max(columns - 1, 0)), np.uint32)
    constant = (bits[:, 1:] == bits[:, :1]).all(axis=1)
    number = ~np.isnan(values).any(axis=1)
    flags[constant & number & (flags == DENSE)] |= MONOTONIC
    varying = np.flatnonzero(~constant)
    classes[varying] = RAW
    if not len(varying):
        return excess, bases, firsts
    whole, integers = _as_integers(values[varying], digits, varying)
    at = varying[whole]
    growth = np.diff(integers, axis=1)
    base = growth.min(axis=1) if len(at) else np.zeros(0, np.int64)
    never_falls = base >= 0
    growth -= base[:, None]
    most = growth.max(axis=1) if len(at) else base
    _lift(growth, integers[:, 0], base, most)
    fits = most < (1 << 32)
    at, base, most, never_falls = at[fits], base[fits], most[fits], never_falls[fits]
    widths = WIDTHS if values.size > SMALL_CELLS else WIDTHS_SMALL
    needed = np.frexp(most.astype(np.float64))[1]  # bits: exact below 2**53
    classes[at] = widths[np.searchsorted(widths, np.maximum(needed, 1))]
    far = (np.abs(base) >= LINE_MAX / values.shape[1]) | (np.abs(integers[fits, 0]) >= LINE_MAX)
    classes[at[far & (classes[at] <= RUNNING_MAX)]] = WIDTHS[-1]
    excess[at] = growth[fits]
    bases[at] = base
    firsts[at] = integers[fits, 0]
    digits[classes == RAW] = 0
    flags[at[never_falls & (flags[at] == DENSE)]] |= MONOTONIC
    raw = np.flatnonzero((classes == RAW) & (flags == DENSE))
    if len(raw):
        flags[raw[(values[raw, 1:] >= values[raw, :-1]).all(axis=1)]] |= MONOTONIC
    return excess, bases, firsts


def _lift(growth: npt.NDArray[np.int64], firsts: npt.NDArray[np.int64], base: npt.NDArray[np.int64], most: npt.NDArray[np.int64]) -> None:
    """Changes rows that fall or jump a few times so that their base is the usual growth: excesses below it are negative then, and stand as
    unsigned ones modulo 2**32. `most` becomes what the usual excess is below, so that such rows share a class with their likes."""
    rows = np.flatnonzero(most >= LIFTED_MIN)
    if not len(rows) or growth.shape[1] < LIFTED_COLUMNS_MIN:
        return
    usual = np.median(growth[rows], axis=1).astype(np.int64)
    lifted = growth[rows] - usual[:, None]
    typical = np.quantile(np.abs(lifted), 0.9, axis=1).astype(np.int64)
    sums = np.cumsum(lifted, axis=1)
    line = base[rows] + usual
    near = (np.abs(line) < LINE_MAX / (growth.shape[1] + 1)) & (np.abs(firsts[rows]) < LINE_MAX)
    better = near & (typical < most[rows] // 16) & (np.abs(sums).max(axis=1) < (1 << 31)) & (typical < (1 << (RUNNING_MAX - 1)))
    chosen = rows[better]
    growth[chosen] = lifted[better] & 0xFFFFFFFF
    base[chosen] = line[better]
    most[chosen] = 2 * typical[better]


def _as_integers(values: Values, digits: Flags8, at: Indices) -> tuple[Indices, npt.NDArray[np.int64]]:
    """(which rows of `values` are whole numbers or decimals, these as int64). Sets `digits[at]` of those."""
    bits = values.view(np.uint64)
    with np.errstate(invalid="ignore"):
        integers = values.astype(np.int64)
    exact = (integers.astype(np.float64).view(np.uint64) == bits).all(axis=1) & (np.abs(values) < _EXACT).all(axis=1)
    chosen, found = [np.flatnonzero(exact)], [integers[exact]]
    rest = np.flatnonzero(~exact)
    columns = values.shape[1]
    sample = values[rest][:, [0, columns // 3, columns // 2, columns - 1]]
    for count in range(1, DIGITS_MAX + 1):
        if not len(rest):
            break
        likely = _decimals(sample, count)[0]
        candidates = rest[likely]
        fits, scaled = _decimals(values[candidates], count)
        digits[at[candidates[fits]]] = count
        chosen.append(candidates[fits])
        found.append(scaled[fits])
        kept = np.ones(len(rest), np.bool_)
        kept[np.flatnonzero(likely)[fits]] = False
        rest, sample = rest[kept], sample[kept]
    return np.concatenate(chosen), np.concatenate(found)


def _decimals(values: Values, digits: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which rows come back bit for bit from whole numbers by division by 10**digits, and these."""
    scale = 10.0**digits
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(values * scale).astype(np.int64)
        exact = (np.abs(values) * scale < _EXACT).all(axis=1)
        return exact & ((scaled / scale).view(np.uint64) == values.view(np.uint64)).all(axis=1), scaled


def _pieces(values: Values, excess: npt.NDArray[np.uint32], classes: Flags8) -> list[bytes]:
    pieces = []
    arranged = Arranged.of(classes, values.shape[1])
    for number, kind in enumerate(arranged.kinds):
        rows = arranged.rows(number)
        if kind == RAW:
            pieces.append(standalone.simple_compress(values[rows].ravel(), _FLOATS))
        else:
            pieces.append(standalone.simple_compress(*_running(excess[rows]) if kind <= RUNNING_MAX else (excess[rows].ravel(), _WHOLE)))
    return pieces


def _running(excess: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint32], ChunkConfig]:
    """Running sums, through all rows, with 0 at the start of each: differences of neighbours are the excesses."""
    steps = np.zeros((len(excess), excess.shape[1] + 1), np.uint32)
    steps[:, 1:] = excess
    return np.cumsum(steps.reshape(-1), dtype=np.uint32), _RUNNING


@dataclass(frozen=True, slots=True)
class Arranged:
    """Which rows are in which piece: what encoder and decoder agree on. Rows are ordered by (class, row), constant ones first, in no piece."""

    order: npt.NDArray[np.int32] | None  # (S,); None: rows are in order already
    starts: npt.NDArray[np.int64]  # (P + 1,) places in the order at which pieces begin, and the end
    kinds: list[int]  # P classes

    @classmethod
    def of(cls, classes: Flags8, columns: int) -> "Arranged":
        order = None if bool((classes[1:] >= classes[:-1]).all()) else np.argsort(classes, kind="stable").astype(np.int32)
        counts = np.bincount(classes, minlength=RAW + 1)
        per_piece = max(1, PIECE_NUMBERS // columns)
        starts: list[int] = []
        kinds: list[int] = []
        at = int(counts[CONSTANT])
        for kind in (np.flatnonzero(counts[1:]) + 1).tolist():
            here = list(range(at, at + int(counts[kind]), per_piece))
            starts += here
            kinds += [kind] * len(here)
            at += int(counts[kind])
        return cls(order, np.array([*starts, at], np.int64), kinds)

    def rows(self, piece: int) -> Indices:
        a, b = self.starts[piece : piece + 2].tolist()
        return np.arange(a, b) if self.order is None else self.order[a:b]

    def places(self, rows: Indices) -> Indices:
        """Of these rows in the order."""
        if self.order is None:
            return rows
        places = np.empty(len(self.order), np.int32)
        places[self.order] = np.arange(len(self.order), dtype=np.int32)
        return places[rows]


def _squeeze(array: Flags8) -> bytes:
    return bytes(cramjam.zstd.compress(np.ascontiguousarray(array).reshape(-1).data, 3))


@dataclass(frozen=True, slots=True)
class Rows:
    """What a chunk says of its rows."""

    classes: Flags8
    digits: Flags8
    flags: Flags8
    firsts: Values
    bases: npt.NDArray[np.int64]  # of whole rows, others 0
    marks: Flags8 | None  # of rows that are not dense: 0, ABSENT_MARK, STALE_MARK
    arranged: Arranged

    @property
    def bytes(self) -> int:
        """In memory."""
        arrays = (self.classes, self.digits, self.flags, self.firsts, self.bases, self.marks, self.arranged.order)
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def marked(self) -> Indices:
        """Which rows these are."""
        return np.flatnonzero((self.flags & DENSE) == 0)


Fetch = Callable[[int, int], bytes]
"""Bytes [start, end) of a chunk."""


def head_size(beginning: bytes | memoryview) -> int:
    """How much of a chunk comes before its pieces, from its first HEAD_MIN bytes at least."""
    pieces = HEADER.unpack_from(beginning)[2]
    return int(HEADER.size + _LENGTHS.size + 4 * pieces + sum(_LENGTHS.unpack_from(beginning, HEADER.size)))


class Chunk:
    """A chunk's bytes, parsed. Raises ValueError (anything pcodec or zstd raises too) for what `encode` did not make: see `decode`."""

    __slots__ = ("_fetch", "_flags", "_pieces_at", "_sections", "columns", "first_ms", "payload", "series", "step_ms")

    def __init__(self, payload: bytes | memoryview, size: int = 0, fetch: Fetch | None = None) -> None:
        """`payload` is all of it, or, with the chunk's `size` and `fetch` for pieces, head_size() of it at least."""
        self.payload = memoryview(payload)
        self._fetch = fetch or self._from_payload
        version, self._flags, pieces, self.series, self.columns, self.first_ms, self.step_ms = HEADER.unpack_from(payload)
        if version != FORMAT:
            raise ValueError(f"chunk format {version}, this version reads {FORMAT}")
        at = HEADER.size
        lengths = _LENGTHS.unpack_from(payload, at)
        at += _LENGTHS.size
        piece_lengths = struct.unpack_from(f"<{pieces}I", payload, at)
        at += 4 * pieces
        self._sections = _spans(at, lengths)
        self._pieces_at = _spans(at + sum(lengths), piece_lengths)
        end = self._pieces_at[-1][1] if pieces else at + sum(lengths)
        if self.series * self.columns > CELLS_MAX or end != (size if fetch else len(self.payload)):
            raise ValueError("chunk lengths do not add up")

    def _from_payload(self, start: int, end: int) -> bytes:
        return bytes(self.payload[start:end])

    def _section(self, index: int) -> memoryview:
        start, end = self._sections[index]
        return self.payload[start:end]

    def times(self) -> Times:
        if self.step_ms:
            return self.first_ms + np.arange(self.columns, dtype=np.int64) * self.step_ms
        return _numbers(self._section(0))

    def rows(self) -> Rows:
        section = self._section(1)
        raw = _bytes(section) if self._flags & ROWS_SQUEEZED else np.frombuffer(section, np.uint8)
        classes, digits, flags = raw.reshape(3, self.series)
        bases = np.zeros(self.series, np.int64)
        whole = (classes != CONSTANT) & (classes != RAW)
        if whole.any():
            bases[whole] = _numbers(self._section(3))
        marks = _bytes(self._section(4)).reshape(-1, self.columns) if self._section(4) else None
        arranged = Arranged.of(classes, self.columns)
        if len(arranged.kinds) != len(self._pieces_at):
            raise ValueError(f"{len(self._pieces_at)} pieces where there should be {len(arranged.kinds)}")
        return Rows(classes, digits, flags, _numbers(self._section(2)), bases, marks, arranged)

    def decode(self, wanted: Indices, to: Indices, out: Values, start: int, end: int, known: Rows | None = None) -> None:
        """Writes columns [start, end) of each row wanted[i] (ascending) into out[to[i]]; `out` is (any, end - start).

        Raises whatever its libraries raise on bytes that are not a chunk: the caller knows the file to blame.
        """
        known = known or self.rows()
        arranged = known.arranged
        places = arranged.places(wanted)
        if arranged.order is not None:
            order = np.argsort(places)
            wanted, to, places = wanted[order], to[order], places[order]
        bounds = np.searchsorted(places, arranged.starts)
        constant = wanted[: bounds[0]]
        out[to[: bounds[0]]] = known.firsts[constant, None]
        for piece in np.flatnonzero(bounds[1:] > bounds[:-1]).tolist():
            here = slice(*bounds[piece : piece + 2].tolist())
            self._decode_piece(piece, places[here], (wanted[here], to[here]), out, start, end, known)
        if known.marks is not None:
            _mark(known, wanted, to, out, start, end)

    def _decode_piece(
        self, piece: int, places: Indices, mine: tuple[Indices, Indices], out: Values, start: int, end: int, known: Rows
    ) -> None:
        first, last = known.arranged.starts[piece : piece + 2].tolist()
        numbers = _numbers(self._fetch(*self._pieces_at[piece])).reshape(last - first, -1)
        if len(places) < last - first:
            numbers = numbers[places - first]
        wanted, to = mine
        if _consecutive(to):
            _restore(known.arranged.kinds[piece], numbers, wanted, known, start, out[to[0] : to[-1] + 1])
            return
        values = np.empty((len(to), end - start))
        _restore(known.arranged.kinds[piece], numbers, wanted, known, start, values)
        out[to] = values


def _consecutive(rows: Indices) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1) and (len(rows) < 3 or bool((rows[1:] - rows[:-1] == 1).all()))


def _restore(kind: int, numbers: npt.NDArray[Any], members: Indices, rows: Rows, start: int, values: Values) -> None:
    """Fills `values` (len(members), W) with columns [start, start + W) from what a piece says of these rows."""
    if kind == RAW:
        values[:] = numbers[:, start : start + values.shape[1]]
        return
    restore = restoration.running if kind <= RUNNING_MAX else restoration.steps
    restore(numbers, rows.bases[members], rows.firsts[members], start, values)
    restoration.scale(rows.digits[members], values)


def _mark(rows: Rows, wanted: Indices, to: Indices, out: Values, start: int, end: int) -> None:
    """Puts back the gaps and stale markers of `wanted` (any order)."""
    assert rows.marks is not None
    number = np.full(len(rows.flags), -1, np.int32)
    number[rows.marked] = np.arange(len(rows.marks), dtype=np.int32)
    mine = number[wanted]
    there = mine >= 0
    if not there.any():
        return
    marks = rows.marks[mine[there], start:end]
    part = out[to[there]]
    part[marks == ABSENT_MARK] = ABSENT
    part[marks == STALE_MARK] = STALE
    out[to[there]] = part


def _spans(at: int, lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    spans = []
    for length in lengths:
        spans.append((at, at + length))
        at += length
    return spans


def _numbers(data: bytes | memoryview) -> npt.NDArray[Any]:
    numbers = standalone.simple_decompress(data if isinstance(data, bytes) else bytes(data))
    if numbers is None:
        raise ValueError("no numbers where there should be some")
    return numbers


def _bytes(data: memoryview) -> Flags8:
    return np.frombuffer(bytes(cramjam.zstd.decompress(bytes(data))), np.uint8)
