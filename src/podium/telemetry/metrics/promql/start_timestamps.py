"""rate, increase, irate and resets of samples whose start timestamps are known: since when their values were counted.

A start timestamp tells a reset that the values hide (a counter that had passed its old value again, or deltas, each of which starts anew), and
where a counter was zero: when the first sample of a window was counted from within the window, the rate is taken from there, without looking
for the series' beginning, so that one sample is enough.

A sample starts anew when its start is after the sample before it. A start at the sample before it is a delta's, unless where that one started is
unknown: then it is a counter seen for the first time. A start at (or after) its own sample is unknown, as OpenTelemetry has it.

Example: samples at 60 and 120 of 5 and 5; started at 0 and 0: no increase; at 0 and 119: an increase of 5; of 10, when the window began before 0.

Invariants: like `rates` where no start timestamp is known. Subqueries do not hand start timestamps on.

Source: Prometheus' feature use-start-timestamps; its proposal for start timestamps in rate-like functions.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from podium.telemetry.metrics.promql.rates import CLOSE, counted, reset_sums
from podium.telemetry.metrics.promql.windows import Bounds, Windows, first, first_times, last, last_times
from podium.telemetry.metrics.samples import Flags, Times, Values


def starts_anew(before: Any, before_at: Any, after: Any, after_at: Any) -> Any:
    """Whether a sample `after` was counted anew since the one before it: start timestamps and times, ints or arrays of them."""
    known = (after != 0) & (after < after_at)
    follows = (after == before_at) & (before != 0) & (before < before_at)
    return known & ((after > before_at) | follows)


def _resets(windows: Windows) -> Flags:
    """Of each sample but the first: (S, N - 1) or (M - 1,), nonsense across series."""
    values, times, since = windows.values, windows.times, _since(windows)
    anew: Flags = starts_anew(since[..., :-1], times[:-1], since[..., 1:], times[1:])
    return (values[..., 1:] < values[..., :-1]) | anew


def _since(windows: Windows) -> Times:
    assert windows.since is not None
    return windows.since


def increase(windows: Windows, range_ms: int, *, per_second: bool) -> tuple[Values, Flags]:
    """As rates.extrapolated of a counter."""
    begin = first(windows)
    change = last(windows) - begin + reset_sums(windows, _resets(windows))
    begins, ends, counts = first_times(windows), last_times(windows), windows.counts
    started = windows.gather(_since(windows), windows.lo)
    known = (started != 0) & (started > windows.starts) & (started < begins)
    change = np.where(known, change + begin, change)
    interval = np.where(counts > 1, (ends - begins) / 1000.0 / np.maximum(counts - 1, 1), 0.0)
    sampled = np.where(known, ends - started, ends - begins) / 1000.0
    to_start = np.where(known, 0.0, _to_start(windows, begin, begins, change, sampled, interval))
    to_end = (windows.ends - ends) / 1000.0
    to_end = np.where(to_end >= interval * CLOSE, interval / 2, to_end)
    factor = np.where(sampled != 0, (sampled + to_start + to_end) / sampled, 1.0)
    if per_second:
        factor /= range_ms / 1000.0
    return change * factor, (counts > 1) | (known & (counts == 1))


def _to_start(windows: Windows, begin: Values, begins: Times, change: Values, sampled: Values, interval: Values) -> Values:
    """How far a rate reaches before its first sample, in seconds: never to where the counter would have been below zero."""
    to_start = (begins - windows.starts) / 1000.0
    to_start = np.where(to_start >= interval * CLOSE, interval / 2, to_start)
    to_zero = sampled * (begin / change)
    return np.where((change > 0) & (begin >= 0) & (to_zero < to_start), to_zero, to_start)


def instant_rate(windows: Windows) -> tuple[Values, Flags]:
    """As rates.instant of a counter."""
    at: Bounds = windows.hi - 1
    before, after = windows.gather(windows.values, at - 1), windows.gather(windows.values, at)
    before_at, after_at = windows.gather(windows.times, at - 1), windows.gather(windows.times, at)
    since = _since(windows)
    anew = (after < before) | starts_anew(windows.gather(since, at - 1), before_at, windows.gather(since, at), after_at)
    return np.where(anew, after, after - before) / ((after_at - before_at) / 1000.0), windows.counts > 1


def overlapping(windows: Windows) -> Flags:
    """(S,) whether a sample, not the first of its window, started before the one before it, but not together with it: something is wrong."""
    times, since = windows.times, _since(windows)
    after = since[..., 1:]
    flags = np.zeros(since.shape, np.int64)
    flags[..., 1:] = (after != 0) & (after < times[:-1]) & (after != since[..., :-1])
    sums = np.cumsum(flags, axis=-1)
    within = windows.gather(sums, windows.hi - 1) > windows.gather(sums, windows.lo)
    return np.asarray((within & (windows.counts > 1)).any(axis=1))


def overlap_in(times: Sequence[int], since: Mapping[int, int]) -> bool:
    """The same of the samples of one window."""
    pairs = [(since.get(before, 0), before, since.get(after, 0)) for before, after in pairwise(times)]
    return any(after != 0 and after < at and after != before for before, at, after in pairs)


def resets(windows: Windows) -> tuple[Values, Flags]:
    """As rates.count_changes."""
    return counted(windows, _resets(windows))
