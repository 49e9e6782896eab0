"""Samples: values over time, of many series that share their timestamps.

The series of one target are scraped together, so their samples are one matrix: a row a series, a column a scrape. `Columns` is such a
matrix; a `Selection` is the answer to a query: labels by column, and each series' samples in exactly one `Columns` (and its histograms,
if it has any, in `histograms`).

Two NaNs have a meaning by their bits. `STALE` says that a series ended here (Prometheus' staleness marker, on the wire and on disk).
`ABSENT` says that there is no sample at this time (ours, in memory only: never on the wire). Any other NaN is a value.
Arithmetic may lose the bits: test with `is_absent` and `is_stale` before computing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumns, Labels
from podium.world.parallel import Mapper, one_by_one

Times = npt.NDArray[np.int64]
"""Milliseconds since 1970, UTC."""
Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int32]

STALE_BITS = np.uint64(0x7FF0000000000002)
ABSENT_BITS = np.uint64(0x7FF8000000A85E47)
STALE: float = STALE_BITS.view(np.float64).item()
ABSENT: float = ABSENT_BITS.view(np.float64).item()


def is_stale(values: Values) -> Flags:
    """Elementwise. The array must be contiguous in its last axis."""
    return values.view(np.uint64) == STALE_BITS


def is_absent(values: Values) -> Flags:
    """Elementwise. The array must be contiguous in its last axis."""
    return values.view(np.uint64) == ABSENT_BITS


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples of S series at T times they share. Arrays are read-only: they may be the store's own."""

    rows: Rows  # (S,) which series of the selection, ascending
    times: Times  # (T,) strictly ascending
    values: Values  # (S, T), C order; ABSENT where a series has no sample, STALE where it ended
    dense: bool = False
    """True: no value is ABSENT or STALE (known without looking). False: unknown."""
    monotonic: bool = False
    """True: no value is smaller than the one before it in its row (a counter without resets), and dense. False: unknown."""
    since: Times | None = None
    """(S, T) start timestamps: since when each sample's value was counted, 0 where that is not known. None: of no sample."""


@dataclass(frozen=True, slots=True)
class HistogramSeries:
    """The native histograms of one series, with the stale markers among them as None."""

    row: int
    times: Times  # (T,) strictly ascending
    histograms: Sequence[Histogram | None]  # T of them; None: stale
    since: Times | None = None  # (T,) start timestamps, as in Columns


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector chose: labels of N series and their samples within the time range asked for. Series without a sample in it are left out."""

    labels: LabelColumns
    columns: Sequence[Columns]  # a series is in at most one
    histograms: Sequence[HistogramSeries] = ()  # ascending by row, a row at most once


@dataclass(frozen=True, slots=True)
class Unread:
    """Columns that are still to be made of what the store keeps compressed. Each row has a sample."""

    rows: Rows  # (S,) which series of the scan, ascending
    cells: int  # at most so many values
    read: Callable[[], Columns]  # from any thread, at any later time: the samples as they were at the scan. Raises StorageFailed


@dataclass(frozen=True, slots=True)
class Scan:
    """A selection that is read piece by piece, so that no more than a few pieces are in memory at a time."""

    labels: LabelColumns
    unread: Sequence[Unread]  # a series is in at most one
    histograms: Sequence[HistogramSeries] = ()  # ascending by row, a row at most once
    each: Mapper = one_by_one
    """Works on several `unread` at a time. Raises ReadAgain when one of them cannot be read, and a new scan will do without it."""

    @classmethod
    def of(cls, selection: Selection) -> "Scan":
        """Of what is in memory."""
        return cls(selection.labels, [as_read(c) for c in selection.columns], selection.histograms)

    def selection(self) -> Selection:
        """All read. Raises as `each`."""
        return Selection(self.labels, self.each(lambda unread: unread.read(), self.unread), self.histograms)


def as_read(columns: Columns) -> Unread:
    """What is in memory, as something to be read."""
    return Unread(columns.rows, columns.values.size, partial(_as_is, columns))


def _as_is(columns: Columns) -> Columns:
    return columns


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one series; `value` is a float or a native histogram."""

    labels: Labels
    time_ms: int
    value: float | Histogram
    since_ms: int = 0
    """Start timestamp, 0: not known. Kept by memory_samples.py alone: the store on disk has none."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trace, say, that stands for what a series counted. Source: OpenMetrics 1.0, Exemplars."""

    labels: Labels
    value: float
    time_ms: int
