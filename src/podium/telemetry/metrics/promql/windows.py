"""Windows: for each series and step, the run of samples in (end - range, end], left-open, as bounds into arrays.

Series of one target share their times, and mostly have all samples: `DenseWindows` finds the bounds once a step for all of them. Where
samples are missing, or every series has times of its own, `RaggedWindows` lays the samples of all series behind one another and has bounds
by series and step. Both answer the same questions, so that functions over windows are written once, on whole arrays.

Example: times 0 10 20 30, range 20, steps at 20 and 30: lo = 1 2, hi = 3 4; the windows are (10, 20) and (20, 30).

Invariants: lo <= hi; an empty window has values too, which mean nothing. `starts` and `ends` are the windows' bounds in time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.promql.frames import Indices
from podium.telemetry.metrics.samples import Columns, Flags, Times, Values, is_absent, is_stale

Bounds = npt.NDArray[np.int64]
CHUNK_SAMPLES = 1 << 17
"""Samples (and results) that are worked on at a time: about what a core's cache holds; between chunks a query yields."""
SMALL_ROWS = 8
"""Columns of fewer rows are not worth arrays of their own when there are many of them."""


@dataclass(frozen=True, slots=True)
class DenseWindows:
    """S series that share N times and have a sample at each."""

    values: Values  # (S, N), N > 0
    times: Times  # (N,)
    lo: Bounds  # (T,) the first sample
    hi: Bounds  # (T,) after the last
    starts: Times  # (T,) exclusive
    ends: Times  # (T,) inclusive
    monotonic: bool = False
    since: Times | None = None  # (S, N) as in Columns

    @property
    def rows(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.values), len(self.lo)

    @property
    def counts(self) -> Bounds:
        """How many samples; broadcasts to (S, T), as all below."""
        return (self.hi - self.lo)[None, :]

    def gather(self, along: npt.NDArray[Any], index: Bounds) -> npt.NDArray[Any]:
        """`along` has an entry for each sample; those at `index` (lo, hi - 1, lo + k: of this class's shape). May be a view."""
        at = np.minimum(np.maximum(index, 0), along.shape[-1] - 1)
        if along.ndim == 1:
            return along[at][None, :]
        if len(at) == 1:
            return along[:, int(at[0]) : int(at[0]) + 1]
        strides = at[1:] - at[:-1]
        stride = int(strides[-1]) if len(strides) else 0
        uneven = np.flatnonzero(strides != stride)
        even = int(uneven[-1]) + 1 if len(uneven) else 0  # from here on, places are a stride apart
        if stride <= 0 or 2 * even > len(at):
            return np.take(along, at, axis=1, mode="clip")
        along_even = along[:, int(at[even]) : int(at[-1]) + 1 : stride]
        if not even and stride == 1:
            return along_even
        found = np.empty((len(along), len(at)), along.dtype)
        found[:, :even] = along[:, at[:even]]
        found[:, even:] = along_even
        return found

    def samples(self) -> Bounds:
        """How many samples all windows of a step hold: (T,)."""
        return (self.hi - self.lo) * self.rows

    def flat(self) -> "RaggedWindows":
        """The same, ragged."""
        rows, size = self.values.shape
        offset = (np.arange(rows, dtype=np.int64) * size)[:, None]
        times = np.broadcast_to(self.times, self.values.shape).reshape(-1)
        since = None if self.since is None else self.since.reshape(-1)
        return RaggedWindows(self.values.reshape(-1), times, offset + self.lo, offset + self.hi, self.starts, self.ends, since=since)


@dataclass(frozen=True, slots=True)
class RaggedWindows:
    """S series whose samples lie behind one another, M in all."""

    values: Values  # (M,), M > 0
    times: Times  # (M,)
    lo: Bounds  # (S, T)
    hi: Bounds  # (S, T)
    starts: Times  # (T,)
    ends: Times  # (T,)
    monotonic: bool = False
    since: Times | None = None  # (M,)

    @property
    def rows(self) -> int:
        return len(self.lo)

    @property
    def shape(self) -> tuple[int, int]:
        return self.lo.shape[0], self.lo.shape[1]

    @property
    def counts(self) -> Bounds:
        return self.hi - self.lo

    def gather(self, along: npt.NDArray[Any], index: Bounds) -> npt.NDArray[Any]:
        return along.take(index, mode="clip")

    def samples(self) -> Bounds:
        return self.counts.sum(axis=0)

    def flat(self) -> "RaggedWindows":
        return self


Windows = DenseWindows | RaggedWindows


def first(windows: Windows) -> Values:
    return windows.gather(windows.values, windows.lo)


def last(windows: Windows) -> Values:
    return windows.gather(windows.values, windows.hi - 1)


def first_times(windows: Windows) -> Times:
    return windows.gather(windows.times, windows.lo)


def last_times(windows: Windows) -> Times:
    return windows.gather(windows.times, windows.hi - 1)


@dataclass(frozen=True, slots=True)
class Part:
    """Samples of some series of a range vector: a matrix with shared times."""

    rows: Indices  # (S,) of the range vector
    times: Times  # (N,)
    values: Values  # (S, N)
    valid: Flags | None = None  # (S, N) where the samples are; None: see `dense`
    dense: bool = False  # all are there; False with `valid` None: look for ABSENT and STALE
    monotonic: bool = False
    since: Times | None = None  # (S, N) as in Columns

    @classmethod
    def of(cls, columns: Columns) -> "Part":
        return cls(columns.rows, columns.times, columns.values, None, columns.dense or columns.monotonic, columns.monotonic, columns.since)


@dataclass(frozen=True, slots=True)
class HistogramRun:
    """Native histograms of one series of a range vector; stale ones left out."""

    row: int
    times: Times  # (N,)
    histograms: Sequence[Histogram]  # N of them
    since: Times | None = None  # (N,) as in Columns


def windows_of(parts: Sequence[Part], starts: Times, ends: Times) -> Iterator[tuple[Indices, Windows]]:
    """(rows, their windows), in chunks. A row is in one chunk at most."""
    small = [p for p in parts if len(p.rows) < SMALL_ROWS]
    if len(small) > SMALL_ROWS:
        yield from _ragged_chunks(small, starts, ends)
        parts = [p for p in parts if len(p.rows) >= SMALL_ROWS]
    for part in parts:
        yield from _matrix_chunks(part, starts, ends)


def _matrix_chunks(part: Part, starts: Times, ends: Times) -> Iterator[tuple[Indices, Windows]]:
    lo = np.searchsorted(part.times, starts, "right")
    hi = np.searchsorted(part.times, ends, "right")
    if not len(lo) or not len(part.rows) or bool((lo >= hi).all()):
        return
    begin, end = int(lo.min()), int(hi.max())
    times, lo, hi = part.times[begin:end], lo - begin, np.maximum(hi, lo) - begin
    size = max(1, CHUNK_SAMPLES // max(end - begin, len(ends)))
    for row in range(0, len(part.rows), size):
        rows, values = part.rows[row : row + size], part.values[row : row + size, begin:end]
        valid = valid_samples(part, row, size, begin, end)
        since = None if part.since is None else part.since[row : row + size, begin:end]
        if valid is None:
            yield rows, DenseWindows(values, times, lo, hi, starts, ends, part.monotonic, since)
        else:
            yield rows, _ragged(DenseWindows(values, times, lo, hi, starts, ends, since=since), valid)


def valid_samples(part: Part, row: int, size: int, begin: int, end: int) -> Flags | None:
    """Of a chunk of rows; None: all."""
    if part.dense:
        return None
    if part.valid is not None:
        valid = part.valid[row : row + size, begin:end]
    else:
        values = np.ascontiguousarray(part.values[row : row + size, begin:end])
        with np.errstate(invalid="ignore", over="ignore"):
            total = values.sum()
        if not np.isnan(total):
            return None  # both markers are NaN
        valid = ~(is_absent(values) | is_stale(values))
    return None if valid.all() else valid


def _ragged(windows: DenseWindows, valid: Flags) -> RaggedWindows:
    """Of a matrix with holes: bounds move by the number of samples before them."""
    values = windows.values
    before = np.zeros((len(values), values.shape[1] + 1), np.int64)
    np.cumsum(valid, axis=1, out=before[:, 1:])
    counts = before[:, -1]
    offset = (np.cumsum(counts) - counts)[:, None]
    lo, hi = offset + before[:, windows.lo], offset + before[:, windows.hi]
    flat_values = values[valid]
    if not len(flat_values):
        return RaggedWindows(np.zeros(1), np.zeros(1, np.int64), lo, hi, windows.starts, windows.ends)
    flat_times = np.broadcast_to(windows.times, values.shape)[valid]
    since = None if windows.since is None else windows.since[valid]
    return RaggedWindows(flat_values, flat_times, lo, hi, windows.starts, windows.ends, since=since)


def _ragged_chunks(parts: Sequence[Part], starts: Times, ends: Times) -> Iterator[tuple[Indices, Windows]]:
    """Many small parts as few ragged ones."""
    taken: list[Part] = []
    size = 0
    for part in parts:
        taken.append(part)
        size += max(part.values.size, len(part.rows) * len(ends))
        if size >= CHUNK_SAMPLES:
            yield _join_parts(taken, starts, ends)
            taken, size = [], 0
    if taken:
        yield _join_parts(taken, starts, ends)


def _join_parts(parts: Sequence[Part], starts: Times, ends: Times) -> tuple[Indices, Windows]:
    rows = np.concatenate([p.rows for p in parts])
    values = np.concatenate([p.values.reshape(-1) for p in parts])
    times = np.concatenate([p.times if len(p.rows) == 1 else np.tile(p.times, len(p.rows)) for p in parts])
    lengths = np.repeat([len(p.times) for p in parts], [len(p.rows) for p in parts])
    valid = np.concatenate([_flat_valid(p) for p in parts])
    owners = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
    since = _flat_since(parts)
    if not valid.all():
        values, times, owners = values[valid], times[valid], owners[valid]
        since = None if since is None else since[valid]
    if not len(values):
        zeros = np.zeros((len(rows), len(ends)), np.int64)
        return rows, RaggedWindows(np.zeros(1), np.zeros(1, np.int64), zeros, zeros, starts, ends)
    lo = find(times, owners, len(rows), starts)
    hi = np.maximum(lo, find(times, owners, len(rows), ends))
    return rows, RaggedWindows(values, times, lo, hi, starts, ends, since=since)


def _flat_since(parts: Sequence[Part]) -> Times | None:
    if all(p.since is None for p in parts):
        return None
    return np.concatenate([np.zeros(p.values.size, np.int64) if p.since is None else p.since.reshape(-1) for p in parts])


def _flat_valid(part: Part) -> Flags:
    if part.dense:
        return np.ones(part.values.size, np.bool_)
    if part.valid is not None:
        return part.valid.reshape(-1)
    values = np.ascontiguousarray(part.values)
    return ~(is_absent(values) | is_stale(values)).reshape(-1)


def find(times: Times, owners: Bounds, rows: int, wanted: Times) -> Bounds:
    """(rows, T): where in the flat `times` (ascending within an owner, owners ascending) the samples after `wanted` begin.

    One search for all: each owner's times are moved into a band of their own.
    """
    earliest = int(times.min())
    band = int(times.max()) - earliest + 3
    keys = owners * band + (times - earliest + 1)
    bounded = np.clip(wanted - earliest + 1, 0, band - 1)
    queries = (np.arange(rows, dtype=np.int64) * band)[:, None] + bounded
    return np.searchsorted(keys, queries.reshape(-1), "right").reshape(rows, len(wanted)).astype(np.int64, copy=False)
