"""Functions that sum up a window of floats: *_over_time, deriv, predict_linear, double_exponential_smoothing.

Each takes windows and gives (values (S, T), which windows have one: broadcasts to (S, T)). Precision is upstream's or better; see
compensated.py for sums.

Source: Prometheus' functions; linear regression by least squares; Holt's linear method.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.promql.compensated import FLOAT_MAX, nth_samples, settle, sum_windows
from podium.telemetry.metrics.promql.windows import Windows, first, first_times, last, last_times
from podium.telemetry.metrics.samples import Flags, Values

Outcome = tuple[Values, Flags]
_SORT_CELLS = 1 << 18
"""Samples that are sorted at a time."""


def some(windows: Windows) -> Flags:
    return windows.counts > 0


def count(windows: Windows) -> Outcome:
    return np.broadcast_to(windows.counts.astype(np.float64), windows.shape), some(windows)


def presence(windows: Windows) -> Outcome:
    return np.ones(windows.shape), some(windows)


def last_value(windows: Windows) -> Outcome:
    return last(windows), some(windows)


def first_value(windows: Windows) -> Outcome:
    return first(windows), some(windows)


def last_time(windows: Windows) -> Outcome:
    return np.broadcast_to(last_times(windows) / 1000.0, windows.shape), some(windows)


def first_time(windows: Windows) -> Outcome:
    return np.broadcast_to(first_times(windows) / 1000.0, windows.shape), some(windows)


def total(windows: Windows) -> Outcome:
    return settle(*sum_windows(windows)), some(windows)


def average(windows: Windows) -> Outcome:
    """sum / count; where the sum overflows and no value is infinite, the mean is approached step by step, as upstream does."""
    sums, lost = sum_windows(windows)
    counts = windows.counts
    with np.errstate(all="ignore"):
        means = np.where(np.isfinite(sums), sums / counts + lost / counts, sums)
    overflown = ~np.isfinite(sums) & some(windows)
    if overflown.any() and may_overflow((flat := windows.flat()).values, int(counts.max())):
        for row, step in np.argwhere(np.broadcast_to(overflown, windows.shape)).tolist():
            means[row, step] = overflown_mean(flat.values[flat.lo[row, step] : flat.hi[row, step]])
    return means, some(windows)


def may_overflow(values: Values, count: int) -> bool:
    """Whether the sum of so many of the finite ones among them can be infinite."""
    largest = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    return bool(largest > FLOAT_MAX / 2 / max(count, 1))


def overflown_mean(values: Values) -> float:
    """The mean of values whose sum is not finite. Infinities and NaN among them decide, whatever the others add up to."""
    odd = values[~np.isfinite(values)]
    if len(odd):
        with np.errstate(invalid="ignore"):
            return float(odd.sum())
    mean = lost = 0.0
    for n, value in enumerate(values.tolist(), 1):
        kept = (n - 1) / n
        before, more = kept * mean, value / n
        mean = before + more
        lost = kept * lost + ((before - mean) + more if abs(before) >= abs(more) else (more - mean) + before)
    return mean + lost


def smallest(windows: Windows) -> Outcome:
    return _extreme(windows, np.fmin), some(windows)


def largest(windows: Windows) -> Outcome:
    return _extreme(windows, np.fmax), some(windows)


def _extreme(windows: Windows, choose: np.ufunc) -> Values:
    """NaN only where all are. Level j of the table has the extremes of 2**j samples from each on: two of them cover any window."""
    counts = windows.counts  # (S, T), or (1, T): the same for all
    levels = np.zeros(counts.shape, np.int64)
    filled = counts > 0
    levels[filled] = np.frexp(counts[filled].astype(np.float64))[1] - 1
    result = np.full(windows.shape, np.nan)
    table, spaces = windows.values, np.empty((2, windows.values.size))
    for level in range(int(levels.max(initial=0)) + 1):
        if level:
            half = 1 << (level - 1)
            shape = *table.shape[:-1], table.shape[-1] - half
            space = spaces[level % 2][: math.prod(shape)].reshape(shape)
            table = choose(table[..., :-half], table[..., half:], out=space)
        here = (levels == level) & filled
        if not here.any():
            continue
        if len(here) > 1:
            found = choose(windows.gather(table, windows.lo), windows.gather(table, windows.hi - (1 << level)))
            np.copyto(result, found, where=here)
        else:
            steps = np.flatnonzero(here[0])
            lo, hi = windows.lo[..., steps], windows.hi[..., steps]
            result[:, steps] = choose(windows.gather(table, lo), windows.gather(table, hi - (1 << level)))
    return result


def extreme_time(windows: Windows, *, highest: bool) -> Outcome:
    """When the largest (smallest) value was, the last time of several; in seconds."""
    best = np.array(np.broadcast_to(first(windows), windows.shape))
    when = np.array(np.broadcast_to(first_times(windows), windows.shape))
    for k, values, alive in nth_samples(windows):
        better = (values >= best if highest else values <= best) | np.isnan(best)
        if alive is not None:
            better = better & alive
        np.copyto(best, values, where=better)
        np.copyto(when, windows.gather(windows.times, windows.lo + k), where=better)
    return when / 1000.0, some(windows)


def variance(windows: Windows) -> Outcome:
    """Of the population. Deviations are from the first value, so that equal values have none at all."""
    start = first(windows)
    counts = windows.counts
    with np.errstate(all="ignore"):
        mean = settle(*sum_windows(windows, lambda v: v - start)) / counts
        squares = settle(*sum_windows(windows, lambda v: np.square(v - start - mean)))
        return squares / counts, some(windows)


def deviation(windows: Windows) -> Outcome:
    values, present = variance(windows)
    return np.sqrt(values), present


def quantile(windows: Windows, q: Values) -> Outcome:
    """`q` is (T,)."""
    result = np.empty(windows.shape)
    for cells, values, counts in _cells(windows):
        steps = cells % windows.shape[1]
        result.reshape(-1)[cells] = quantile_of_rows(values, counts, q[steps])
    return result, some(windows)


def median_deviation(windows: Windows) -> Outcome:
    """mad_over_time: the median of the distances from the median; NaN when a value is."""
    result = np.empty(windows.shape)
    for cells, values, counts in _cells(windows):
        half = np.full(len(cells), 0.5)
        with np.errstate(invalid="ignore"):
            distances = np.abs(values - quantile_of_rows(values, counts, half)[:, None])
        found = quantile_of_rows(distances, counts, half)
        unknown = np.isnan(values) & (np.arange(values.shape[1]) < counts[:, None])
        result.reshape(-1)[cells] = np.where(unknown.any(axis=1), np.nan, found)
    return result, some(windows)


def _cells(windows: Windows) -> Any:
    """The windows that are not empty as rows of samples, some at a time: (cells, values (C, W), counts (C,)); behind counts is anything."""
    flat = windows.flat()
    lo, counts = flat.lo.reshape(-1), flat.counts.reshape(-1)
    filled = np.flatnonzero(counts > 0)
    if not len(filled):
        return
    width = int(counts.max())
    for start in range(0, len(filled), max(1, _SORT_CELLS // width)):
        cells = filled[start : start + max(1, _SORT_CELLS // width)]
        index = lo[cells][:, None] + np.arange(width)
        yield cells, flat.values[np.minimum(index, len(flat.values) - 1)], counts[cells]


def quantile_of_rows(values: Values, counts: npt.NDArray[np.int64], q: Values) -> Values:
    """(C,) the q-quantile of the first `counts` values of each row (C, W), interpolated. NaN sorts below everything.

    NaN for a NaN q or no values, -Inf for q < 0, +Inf for q > 1.
    """
    behind = np.arange(values.shape[1]) >= counts[:, None]
    nans = (np.isnan(values) & ~behind).sum(axis=1)
    ordered = np.where(np.isnan(values), -np.inf, values)
    ordered[behind] = np.inf
    ordered.sort(axis=1)
    with np.errstate(invalid="ignore"):
        rank = np.clip(np.nan_to_num(q), 0.0, 1.0) * (counts - 1)
    rank = np.maximum(rank, 0.0)
    lower = np.floor(rank).astype(np.int64)
    upper = np.minimum(np.maximum(counts - 1, 0), lower + 1)
    weight = rank - np.floor(rank)
    at = np.arange(len(values))
    low = np.where(lower < nans, np.nan, ordered[at, lower])
    high = np.where(upper < nans, np.nan, ordered[at, upper])
    with np.errstate(invalid="ignore"):
        result = low * (1 - weight) + high * weight
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where(np.isnan(q) | (counts <= 0), np.nan, result)


def regression(windows: Windows) -> tuple[Values, Values, Values, Flags]:
    """(slope by second, mean of the values, mean of the times in seconds since the window's first sample, which windows have two samples).

    Times are centred before anything is multiplied, values are taken from the first one: equal values have slope 0 exactly.
    """
    start, begins, counts = first(windows), first_times(windows), windows.counts
    with np.errstate(all="ignore"):
        mean_time = _mean_time(windows)
        covariance, spread = np.zeros(windows.shape), np.zeros(np.broadcast_shapes(counts.shape, begins.shape))
        rise = np.zeros(windows.shape)
        for k, values, alive in nth_samples(windows):
            distance = (windows.gather(windows.times, windows.lo + k) - begins) / 1000.0 - mean_time
            height = values - start
            if alive is not None:
                distance, height = np.where(alive, distance, 0.0), np.where(alive, height, 0.0)
            covariance += distance * height
            spread += distance * distance
            rise += height
        slope = np.where(np.isfinite(rise), covariance / spread, np.nan)
        return slope, start + rise / counts, mean_time, counts >= 2


def _mean_time(windows: Windows) -> Values:
    begins, counts = first_times(windows), windows.counts
    elapsed = np.zeros(np.broadcast_shapes(counts.shape, begins.shape), np.int64)
    for k in range(1, int(counts.max(initial=0))):
        elapsed += np.where(counts > k, windows.gather(windows.times, windows.lo + k) - begins, 0)
    return elapsed / 1000.0 / counts


def derivative(windows: Windows) -> Outcome:
    slope, _, _, enough = regression(windows)
    return slope, enough


def prediction(windows: Windows, at_ms: npt.NDArray[np.int64], ahead_s: Values) -> Outcome:
    """The regression's value `ahead_s` (T,) after `at_ms` (T,)."""
    slope, mean, mean_time, enough = regression(windows)
    with np.errstate(all="ignore"):
        intercept = mean - slope * ((first_times(windows) - at_ms) / 1000.0 + mean_time)
        return slope * ahead_s + intercept, enough


def double_exponential_smoothing(windows: Windows, smoothing: Values, trend: Values) -> Outcome:
    """`smoothing` and `trend` are (T,), in (0, 1)."""
    counts = windows.counts
    level = np.array(first(windows))
    second = windows.gather(windows.values, windows.lo + 1)
    with np.errstate(all="ignore"):
        slope, before = second - level, np.zeros(windows.shape)
        for k, values, alive in nth_samples(windows):
            if k == 0:
                continue
            now = slope if k == 1 else trend * (level - before) + (1 - trend) * slope
            after = smoothing * values + (1 - smoothing) * (level + now)
            if alive is not None:
                after, now = np.where(alive, after, level), np.where(alive, now, slope)
                before = np.where(alive, level, before)
            else:
                before = level
            level, slope = after, now
    return level, counts >= 2
