"""Selectors: from what the store has to a frame (the last sample at each step) or to a range vector (the windows' samples).

A series has at a time the value of its last sample within the lookback, left-open: a sample exactly one lookback old is not there any more.
A stale marker ends it at once. Float and native histogram samples of a series are one sequence: the later one counts.

Source: Prometheus 3's staleness and left-open selectors.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import is_reset
from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.promql.frames import Flags, Frame, Indices, Steps, has
from podium.telemetry.metrics.promql.windows import SMALL_ROWS, Bounds, HistogramRun, Part, find
from podium.telemetry.metrics.samples import Columns, HistogramSeries, Scan, Selection, Times, Unread, Values, is_absent, is_stale


@dataclass(frozen=True, slots=True)
class RangeVector:
    """Samples of N series over time: what functions over ranges take."""

    labels: LabelColumns
    parts: Sequence[Part]
    histograms: Sequence[HistogramRun] = ()
    drop_name: Flags | None = field(default=None)
    unread: Scan | None = None  # floats that are not among the parts: their rows are this vector's

    @property
    def samples(self) -> int:
        unread = sum(u.cells for u in self.unread.unread) if self.unread else 0
        return sum(p.values.size for p in self.parts) + sum(len(h.times) for h in self.histograms) + unread

    @property
    def has_floats(self) -> bool:
        return any(len(p.rows) for p in self.parts) or (self.unread is not None and bool(self.unread.unread))


def with_resets(histograms: Sequence[HistogramSeries]) -> list[HistogramSeries]:
    """With hints of histograms that were or were not reset since the one before them in the selection."""
    return [_with_resets(h) for h in histograms]


def _with_resets(series: HistogramSeries) -> HistogramSeries:
    before: Histogram | None = None
    noted: list[Histogram | None] = []
    for histogram in series.histograms:
        if histogram is not None and before is not None and histogram.reset_hint is ResetHint.UNKNOWN:
            hint = ResetHint.YES if is_reset(histogram, before) else ResetHint.NO
            noted.append(replace(histogram, reset_hint=hint))
        else:
            noted.append(histogram)
        before = histogram if histogram is not None else before
    return replace(series, histograms=noted)


def range_vector(selection: Selection) -> RangeVector:
    return RangeVector(selection.labels, [Part.of(c) for c in selection.columns], [_run(h) for h in selection.histograms])


def range_vector_of_scan(scan: Scan) -> RangeVector:
    """Columns of few rows are read at once, when there are many of them, and all when there are histograms."""
    if scan.histograms or is_scattered(scan):
        return range_vector(scan.selection())
    return RangeVector(scan.labels, (), unread=scan)


def is_scattered(scan: Scan) -> bool:
    """Whether many columns have few rows: these are worked on together."""
    return sum(len(u.rows) < SMALL_ROWS for u in scan.unread) > SMALL_ROWS


def _run(series: HistogramSeries) -> HistogramRun:
    kept = [(t, h) for t, h in zip(series.times.tolist(), series.histograms, strict=True) if h is not None]
    since = None if series.since is None else series.since[[h is not None for h in series.histograms]]
    return HistogramRun(series.row, np.array([t for t, _ in kept], np.int64), [h for _, h in kept], since)


def range_of_frame(frame: Frame, steps: Steps) -> RangeVector:
    """A subquery's result. Reset hints of histograms are forgotten: samples between those that were looked at may have had resets."""
    times = steps.times
    part = Part(np.arange(frame.rows), times, frame.values, frame.present, frame.present is None)
    runs = []
    for row in sorted(frame.histograms):
        kept = [(t, h) for t, h in zip(times.tolist(), frame.histograms[row], strict=True) if h is not None]
        runs.append(HistogramRun(row, np.array([t for t, _ in kept], np.int64), [_without_hint(h) for _, h in kept]))
    return RangeVector(frame.labels, [part], runs, frame.drop_name)


def _without_hint(histogram: Histogram) -> Histogram:
    return histogram if histogram.reset_hint is ResetHint.GAUGE else replace(histogram, reset_hint=ResetHint.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Instant:
    frame: Frame
    times: Times | None  # (S, T) of the samples when asked for


def instant_vector(selection: Selection, at: Times, lookback_ms: int, *, with_times: bool = False) -> Instant:
    """The last samples at the times `at` (T,)."""
    shape = (selection.labels.count, len(at))
    values = np.empty(shape)
    present = np.zeros(shape, np.bool_)
    times = np.full(shape, np.iinfo(np.int64).min, np.int64) if with_times or selection.histograms else None
    small = [c for c in selection.columns if len(c.rows) < SMALL_ROWS]
    many = len(small) > SMALL_ROWS
    if many:
        _fill_small(small, at, lookback_ms, values, present, times)
    for columns in selection.columns:
        if many and len(columns.rows) < SMALL_ROWS:
            continue
        rows = _as_slice(columns.rows)
        found, there, when, ended = _last_samples(columns, at, lookback_ms)
        values[rows], present[rows] = found, there
        if times is not None:
            times[rows] = np.where(there | ended, when, times[rows])
    histograms = _last_histograms(selection.histograms, at, lookback_ms, present, times)
    frame = Frame(selection.labels, values, None if present.all() and not histograms else present, histograms)
    return Instant(frame, times)


def started(selection: Selection, at: Times, lookback_ms: int) -> Frame:
    """Start timestamps of the last samples at the times `at`, in seconds; 0 where they are not known."""
    columns = [replace(c, values=_start_times(c), monotonic=False, dense=c.dense or c.monotonic) for c in selection.columns]
    found = instant_vector(replace(selection, columns=columns), at, lookback_ms, with_times=True)
    frame, times = found.frame, found.times
    assert times is not None
    values = np.where(frame.floats(), frame.values, 0.0)
    for run in selection.histograms:
        known = {} if run.since is None else dict(zip(run.times.tolist(), (run.since / 1000.0).tolist(), strict=True))
        for step, histogram in enumerate(frame.histograms.get(run.row, ())):
            if histogram is not None:
                values[run.row, step] = known.get(int(times[run.row, step]), 0.0)
    return Frame(frame.labels, values, frame.there())


def _start_times(columns: Columns) -> Values:
    values = np.ascontiguousarray(columns.values)
    since = np.zeros(values.shape) if columns.since is None else columns.since / 1000.0
    return np.where(is_absent(values) | is_stale(values), values, since)


class LastSamples:
    """Of a scan that is read piece by piece: `read` each, in any order."""

    def __init__(self, scan: Scan, at: Times, lookback_ms: int) -> None:
        shape = (scan.labels.count, len(at))
        self._labels, self._at, self._lookback_ms = scan.labels, at, lookback_ms
        self._values: Values = np.empty(shape)
        self._present: Flags = np.zeros(shape, np.bool_)
        self._whole = len(scan.unread) == 1

    def read(self, unread: Unread) -> None:
        columns = unread.read()
        found, there, _, _ = _last_samples(columns, self._at, self._lookback_ms)
        if self._whole:
            self._values, self._present = found, np.broadcast_to(there, found.shape)
            return
        rows = _as_slice(columns.rows)
        self._values[rows], self._present[rows] = found, there

    def frame(self) -> Frame:
        return Frame(self._labels, self._values, None if self._present.all() else self._present)


def _as_slice(rows: Indices) -> Indices | slice:
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _last_samples(columns: Columns, at: Times, lookback_ms: int) -> tuple[Values, Flags, Times, Flags]:
    """(values, where they are, their times, where the last sample is a stale marker): broadcast to (S, T) but the values."""
    index = np.searchsorted(columns.times, at, "right") - 1
    inside = index >= 0
    index = np.maximum(index, 0)
    if not len(columns.times):
        nowhere = np.zeros((1, len(at)), np.bool_)
        return np.zeros((len(columns.rows), len(at))), nowhere, np.zeros((1, len(at)), np.int64), nowhere
    when = columns.times[index]
    inside &= when > at - lookback_ms
    values = np.take(columns.values, index, axis=1)
    if columns.dense or columns.monotonic:
        return values, inside[None, :], when[None, :], np.zeros((1, len(at)), np.bool_)
    absent = is_absent(values)
    if not absent.any():
        stale = is_stale(values)
        there = inside[None, :] & ~stale if stale.any() else inside[None, :]
        return values, there, when[None, :], stale & inside
    rows = np.flatnonzero(absent.any(axis=1))
    first = int(np.searchsorted(columns.times, at.min() - lookback_ms, "right"))
    whole = np.ascontiguousarray(columns.values[rows, first : int(index.max()) + 1])
    positions = np.where(is_absent(whole), -1, np.arange(first, first + whole.shape[1]))
    latest = np.maximum.accumulate(positions, axis=1)[:, np.maximum(index - first, 0)]
    latest = np.where(index >= first, latest, -1)
    times = np.broadcast_to(when, values.shape).copy()
    times[rows] = columns.times[np.maximum(latest, 0)]
    there = np.broadcast_to(inside, values.shape).copy()
    there[rows] = inside & (latest >= 0) & (times[rows] > at - lookback_ms)
    values[rows] = np.take_along_axis(columns.values[rows], np.maximum(latest, 0), axis=1)
    stale = is_stale(values) & there
    return values, there & ~stale, times, stale


def _fill_small(parts: Sequence[Columns], at: Times, lookback_ms: int, values: Values, present: Flags, times: Times | None) -> None:
    """Many matrices of few rows, in one search. In place."""
    rows = np.concatenate([c.rows for c in parts])
    flat = np.concatenate([c.values.reshape(-1) for c in parts])
    when = np.concatenate([c.times if len(c.rows) == 1 else np.tile(c.times, len(c.rows)) for c in parts])
    lengths = np.repeat([len(c.times) for c in parts], [len(c.rows) for c in parts])
    owners: Bounds = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
    kept = ~is_absent(flat)
    flat, when, owners = flat[kept], when[kept], owners[kept]
    if not len(flat):
        return
    index = find(when, owners, len(rows), at) - 1
    begins = np.searchsorted(owners, np.arange(len(rows)))[:, None]
    there = index >= begins
    index = np.maximum(index, 0)
    found, found_times = flat[index], when[index]
    there &= found_times > at - lookback_ms
    stale = is_stale(np.ascontiguousarray(found))
    values[rows], present[rows] = found, there & ~stale
    if times is not None:
        times[rows] = np.where(there, found_times, times[rows])


def _last_histograms(
    runs: Sequence[HistogramSeries], at: Times, lookback_ms: int, present: Flags, times: Times | None
) -> dict[int, list[Histogram | None]]:
    """Histograms where they are later than the float (its stale marker); `present` and `times` are changed to fit."""
    found: dict[int, list[Histogram | None]] = {}
    for run in runs:
        assert times is not None
        own = run.times.tolist()
        chosen: list[Histogram | None] = []
        for step, now in enumerate(at.tolist()):
            index = bisect_right(own, now) - 1
            if index < 0 or own[index] <= now - lookback_ms or own[index] < times[run.row, step]:
                chosen.append(None)
                continue
            chosen.append(run.histograms[index])
            present[run.row, step] = False
            times[run.row, step] = own[index]
        if has(chosen).any():
            found[run.row] = chosen
    return found
