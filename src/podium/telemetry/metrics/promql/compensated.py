"""Sums that keep what rounding loses: over windows of samples, and exact running sums.

Upstream adds with Neumaier's variant of Kahan's compensation; the same is done here for many windows at once, the k-th samples of all windows
in step k. An error of an addition is itself a number that can be computed without error (Knuth's TwoSum), so order does not matter much.

Where windows overlap so much that this is slow, a window is the difference of two running sums instead: the running sum is kept as two numbers, the
rounded one and the sum of its errors, so that the difference is as precise as the window's own sum would be. That holds as long as values
are of similar size (`_tame`); others take the slow way.

Source: Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen (1974); Knuth, TAOCP 2, 4.2.2.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.promql.windows import Windows
from podium.telemetry.metrics.samples import Flags, Values

_SIZE_RATIO_MAX = 1e12
_INTEGER_MAX = float(1 << 53)
FLOAT_MAX = 1.7976931348623157e308
_CALLS = 1 << 13
"""Passes over a number that the calls of one round cost as much as, however small the arrays."""

Change = Callable[[Values], Values]


def nth_samples(windows: Windows) -> Iterator[tuple[int, Values, Flags | None]]:
    """(k, the k-th sample of each window (S, T), which windows have one: broadcasts to (S, T); None: all)."""
    counts = windows.counts
    if not counts.size:
        return
    most, least = int(counts.max()), int(counts.min())
    for k in range(most):
        yield k, windows.gather(windows.values, windows.lo + k), (None if k < least else counts > k)


def add(total: Values, lost: Values, more: Values) -> Values:
    """total + more; what that loses is added to `lost` in place. Infinities leave NaN in `lost`: `settle` knows."""
    result: Values = total + more
    shifted = result - total
    lost += (total - (result - shifted)) + (more - shifted)
    return result


def settle(total: Values, lost: Values) -> Values:
    """The sum. An overflow or an infinity is the sum by itself."""
    return np.where(np.isfinite(total), total + lost, total)


def sum_windows(windows: Windows, change: Change | None = None) -> tuple[Values, Values]:
    """(sum, compensation) of each window (S, T), of the samples or what `change` makes of them."""
    counts = windows.counts
    if change is None and counts.size and int(counts.max()) * (7 * total_size(windows) + _CALLS) > _running_cost(windows):
        if _whole(windows.values):
            return _exact_sum(windows)
        if _tame(windows.values):
            return difference(windows, *running(windows.values), -1)
    total, lost = np.zeros(windows.shape), np.zeros(windows.shape)
    for _, values, alive in nth_samples(windows):
        changed = values if change is None else change(values)
        total = add(total, lost, changed if alive is None else np.where(alive, changed, 0.0))
    return total, lost


def total_size(windows: Windows) -> int:
    return windows.shape[0] * windows.shape[1]


def _running_cost(windows: Windows) -> int:
    """In passes over an array, as is 7 for each sample of a window."""
    return 10 * windows.values.size + 12 * total_size(windows) + _CALLS


def _whole(values: Values) -> bool:
    """Integers so small that running sums of them have no errors."""
    return bool(max(values.max(), -values.min()) * values.shape[-1] <= _INTEGER_MAX and np.array_equal(values, np.rint(values)))


def _tame(values: Values) -> bool:
    """Finite, of similar size where not zero, and so small that their sum is finite."""
    sizes = np.abs(values)
    largest = sizes.max()
    if not largest * values.shape[-1] <= FLOAT_MAX:
        return False
    smallest = sizes.min()
    if not smallest:
        smallest = np.min(sizes, initial=np.inf, where=sizes > 0)
    return bool(largest <= _SIZE_RATIO_MAX * smallest) or largest == 0


def running(values: npt.NDArray[Any]) -> tuple[Values, Values]:
    """(running sums along the last axis, running sums of their errors)."""
    sums = np.cumsum(values, axis=-1)
    before = np.zeros_like(sums)
    before[..., 1:] = sums[..., :-1]
    shifted = np.subtract(sums, before)
    errors = values - shifted
    np.subtract(sums, shifted, out=shifted)
    errors += np.subtract(before, shifted, out=shifted)
    return sums, np.cumsum(errors, axis=-1, out=errors)


def _exact_sum(windows: Windows) -> tuple[Values, Values]:
    sums = np.cumsum(windows.values, axis=-1)
    low = windows.lo - 1
    total = windows.gather(sums, windows.hi - 1) - np.where(low >= 0, windows.gather(sums, low), 0.0)
    return np.where(windows.counts > 0, total, 0.0), np.zeros(windows.shape)


def difference(windows: Windows, sums: Values, errors: Values, shift: int) -> tuple[Values, Values]:
    """(sum, compensation) of the entries lo + 1 + shift .. hi - 1 of each window, from their running sums."""
    low = windows.lo + shift
    upper, upper_lost = windows.gather(sums, windows.hi - 1), windows.gather(errors, windows.hi - 1)
    inside = np.atleast_2d(low >= 0)
    lower, lower_lost = windows.gather(sums, low), windows.gather(errors, low)
    if not inside.all():
        lower, lower_lost = np.where(inside, lower, 0.0), np.where(inside, lower_lost, 0.0)
    total = upper - lower
    shifted = total - upper
    lost = upper_lost - lower_lost
    lost -= lower + shifted
    np.subtract(total, shifted, out=shifted)
    lost += np.subtract(upper, shifted, out=shifted)
    empty = windows.counts <= 0
    if empty.any():
        total, lost = np.where(empty, 0.0, total), np.where(empty, 0.0, lost)
    return total, lost
