"""rate, increase, delta, irate, idelta of floats: over all windows of all series at once.

A rate is the difference of a window's last and first sample, plus what resets of the counter hid, stretched to the window's ends: all the
way when the first (last) sample is about one interval from the end, by half an interval otherwise, and for a counter never beyond where it
would have been zero.

In formulas: with d the corrected difference, s the time between first and last sample, a and b the stretches to start and end, the result
is d (s + a + b) / s, with a counter's a at most s first / d. That this holds is looked for in all cells by d a / s > first, which needs no
division by cell where times are shared; only those where it may hold are divided. Operations are in upstream's order, so that what is made
of rates (resets(), ==) is the same as well.

Source: Prometheus' extrapolated rate.
"""

import numpy as np

from podium.telemetry.metrics.promql.compensated import difference, running
from podium.telemetry.metrics.promql.windows import DenseWindows, Windows, first, first_times, last, last_times
from podium.telemetry.metrics.samples import Flags, Values

CLOSE = 1.1
"""A sample is close to the window's end when it is less than this many average intervals away."""
_ABOUT = 1 + 1e-9
_SPARSE = 4
"""Additions for each column of samples up to which resets are added one by one: beyond, running sums are faster."""


def extrapolated(windows: Windows, range_ms: int, *, counter: bool, per_second: bool) -> tuple[Values, Flags]:
    """(values (S, T), which windows have one: broadcasts to (S, T))."""
    begin = first(windows)
    change = last(windows) - begin
    if counter:
        _correct_resets(windows, change)
    begins, ends = first_times(windows), last_times(windows)
    counts = windows.counts
    sampled = (ends - begins) / 1000.0
    interval = sampled / (counts - 1)
    to_start = (begins - windows.starts) / 1000.0
    to_end = (windows.ends - ends) / 1000.0
    close = interval * CLOSE
    to_start = np.where(to_start >= close, interval / 2, to_start)
    to_end = np.where(to_end >= close, interval / 2, to_end)
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor /= range_ms / 1000.0
    result = change * factor
    if counter:
        limited = np.flatnonzero(np.ravel(change * (to_start / sampled * _ABOUT) > begin))
        if len(limited):
            cells = np.unravel_index(limited, windows.shape)
            s, a, b = (np.broadcast_to(each, windows.shape)[cells] for each in (sampled, to_start, to_end))
            result[cells] = _from_zero(change[cells], begin[cells], s, a, b, range_ms if per_second else 1000)
    return result, counts >= 2


def _from_zero(change: Values, begin: Values, sampled: Values, to_start: Values, to_end: Values, range_ms: int) -> Values:
    """Of counters that would have been below zero at the start of their windows, or nearly so. All (N,)."""
    since_zero = np.where((change > 0) & (begin >= 0), sampled * (begin / change), to_start)
    return change * ((sampled + np.minimum(since_zero, to_start) + to_end) / sampled / (range_ms / 1000.0))


def _correct_resets(windows: Windows, change: Values) -> None:
    """Adds what was lost at each reset, the value before it. In place."""
    if windows.monotonic or windows.values.shape[-1] < 2:
        return
    values = windows.values
    fallen = values[..., 1:] < values[..., :-1]
    if not fallen.any():
        return
    if isinstance(windows, DenseWindows):
        rows = np.flatnonzero(fallen.any(axis=1))
        part = DenseWindows(values[rows], windows.times, windows.lo, windows.hi, windows.starts, windows.ends)
        corrected = change[rows]
        _correct_dense(part, fallen[rows], corrected)
        change[rows] = corrected
    else:
        change += reset_sums(windows, fallen)


def _correct_dense(windows: DenseWindows, fallen: Flags, change: Values) -> None:
    """One reset after another where they are in few columns, as those of one process are. In place."""
    columns = np.flatnonzero(fallen.any(axis=0)) + 1
    begins, ends = np.searchsorted(windows.hi, columns, "right"), np.searchsorted(windows.lo, columns, "left")
    if int(np.maximum(ends - begins, 0).sum()) > _SPARSE * windows.values.shape[1]:
        change += reset_sums(windows, fallen)
        return
    for column, begin, end in zip(columns.tolist(), begins.tolist(), ends.tolist(), strict=True):
        if begin < end:
            drops = np.where(fallen[:, column - 1], windows.values[:, column - 1], 0.0)
            change[:, begin:end] += drops[:, None]


def reset_sums(windows: Windows, fallen: Flags) -> Values:
    """The values before resets, summed over lo + 1 .. hi - 1 of each window."""
    values = windows.values
    drops = np.zeros(values.shape)
    drops[..., 1:] = np.where(fallen, values[..., :-1], 0.0)
    if not np.isfinite(drops).all():
        return _reset_sums_slowly(windows, drops)
    total, lost = difference(windows, *running(drops), 0)
    return total + lost


def _reset_sums_slowly(windows: Windows, drops: Values) -> Values:
    """Infinite values have no running sum."""
    total = np.zeros(windows.shape)
    counts = windows.counts
    for k in range(1, int(counts.max(initial=0))):
        total += np.where(counts > k, windows.gather(drops, windows.lo + k), 0.0)
    return total


def instant(windows: Windows, *, counter: bool) -> tuple[Values, Flags]:
    """irate (a counter's, by second) and idelta: of the last two samples."""
    end = last(windows)
    before = windows.gather(windows.values, windows.hi - 2)
    change = end - before
    if counter:
        np.copyto(change, end, where=end < before)
        seconds = (last_times(windows) - windows.gather(windows.times, windows.hi - 2)) / 1000.0
        change /= seconds
    return change, windows.counts >= 2


def count_changes(windows: Windows, *, resets: bool) -> tuple[Values, Flags]:
    """resets(): how often a value was smaller than the one before it; changes(): how often it differed (NaN does not differ from NaN)."""
    before, after = windows.values[..., :-1], windows.values[..., 1:]
    return counted(windows, after < before if resets else (after != before) & ~(np.isnan(after) & np.isnan(before)))


def counted(windows: Windows, changed: Flags) -> tuple[Values, Flags]:
    """How many samples of each window, but its first, `changed` says so of; it is of all samples but the first, as `fallen` above."""
    flags = np.zeros(windows.values.shape, np.int64)
    flags[..., 1:] = changed
    sums = np.cumsum(flags, axis=-1)
    counts = windows.counts
    within = windows.gather(sums, windows.hi - 1) - windows.gather(sums, windows.lo)
    return np.where(counts > 0, within, 0).astype(np.float64), counts > 0
