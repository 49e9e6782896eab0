"""Quantiles and fractions of distributions: of native histograms one by one, of classic ones over all series and steps at once.

A rank is found in a bucket and turned into a value there: between the bounds in a straight line for custom and classic buckets and for the
zero bucket, on a logarithmic scale for exponential ones. Classic counts are cumulative: they are first made to rise (tiny differences, which
only rounding makes, in silence).

Source: Prometheus' histogram_quantile, histogram_fraction, and their treatment of NaN observations.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import Bucket, all_buckets, divide, exp2, is_custom, log2
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql.histogram_sums import Note
from podium.telemetry.metrics.samples import Flags, Values

_TOLERANCE = 1e-12
_NORMAL_MIN = 2.2250738585072014e-308


def quantile(q: float, histogram: Histogram, metric: str, note: Note) -> float:
    """NaN without observations or for a NaN q, -Inf for q < 0, +Inf for q > 1."""
    if q < 0 or q > 1:
        return -math.inf if q < 0 else math.inf
    if histogram.count == 0 or math.isnan(q):
        return math.nan
    nan = math.isnan(histogram.sum)  # NaN observations are counted, but in no bucket: ranks count from below then
    upwards = nan or q < 0.5
    buckets = all_buckets(histogram)
    rank = (q if upwards else 1 - q) * histogram.count
    bucket, count = _find(buckets if upwards else buckets[::-1], rank)
    if is_custom(histogram):
        if bucket.lower == -math.inf:
            if bucket.upper <= 0:
                return bucket.upper
            bucket = replace(bucket, lower=0.0)
        elif bucket.upper == math.inf:
            return bucket.lower
    else:
        bucket = _one_sided(bucket, histogram)
    count = min(count, histogram.count)
    if count < rank:
        if nan:
            note(notes.quantile_is_nan(metric))
            return math.nan
        return bucket.upper
    rank = rank - (count - bucket.count) if upwards else count - rank
    if nan and sum(b.count for b in buckets) < histogram.count:
        note(notes.quantile_is_skewed(metric))
    return _within(bucket, divide(rank, bucket.count), linear=is_custom(histogram))


def _find(buckets: list[Bucket], rank: float) -> tuple[Bucket, float]:
    """(the bucket in which the rank is, or the last one; how many observations up to its end)."""
    count, bucket = 0.0, Bucket(0.0, 0.0, 0.0)
    for bucket in buckets:
        count += bucket.count
        if bucket.count and count >= rank:
            break
    return bucket, count


def _one_sided(bucket: Bucket, histogram: Histogram) -> Bucket:
    """The zero bucket of a histogram that otherwise has positive (negative) observations only ends at zero."""
    if bucket.lower < 0 < bucket.upper:
        if not histogram.negative and histogram.positive:
            return replace(bucket, lower=0.0)
        if not histogram.positive and histogram.negative:
            return replace(bucket, upper=0.0)
    return bucket


def _within(bucket: Bucket, fraction: float, *, linear: bool) -> float:
    if linear or bucket.lower <= 0 <= bucket.upper:
        return bucket.lower + (bucket.upper - bucket.lower) * fraction
    low, high = log2(abs(bucket.lower)), log2(abs(bucket.upper))
    if bucket.lower > 0:
        return exp2(low + (high - low) * fraction)
    return -exp2(high + (low - high) * (1 - fraction))


def _share(bucket: Bucket, value: float, *, linear: bool) -> float:
    """How much of a bucket lies below a value within it."""
    if linear:
        return (value - bucket.lower) / (bucket.upper - bucket.lower)
    low, high, at = (log2(abs(v)) for v in (bucket.lower, bucket.upper, value))
    return (at - low) / (high - low) if value > 0 else 1 - (at - high) / (low - high)


def fraction(lower: float, upper: float, histogram: Histogram, metric: str, note: Note) -> float:
    """How many of the observations are between the two."""
    if histogram.count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    buckets = all_buckets(histogram)
    count = histogram.count
    if math.isnan(histogram.sum):
        count = sum(b.count for b in buckets)
        if count < histogram.count:
            note(notes.fraction_without_nan(metric))
    ranks = [min(count, r) if (r := _rank(buckets, v, histogram)) is not None else count for v in (lower, upper)]
    return (ranks[1] - ranks[0]) / histogram.count


def _rank(buckets: list[Bucket], value: float, histogram: Histogram) -> float | None:
    """How many observations are below the value; None: it is beyond all buckets."""
    rank = 0.0
    for found in buckets:
        zero = found.lower <= 0 <= found.upper
        bucket = found
        if zero and not histogram.negative and histogram.positive:
            bucket = replace(found, lower=0.0)
        elif zero and not histogram.positive and histogram.negative:
            bucket = replace(found, upper=0.0)
        if bucket.lower >= value:
            return rank
        if bucket.lower < value < bucket.upper:
            if bucket.lower == -math.inf:
                return bucket.count
            return rank + bucket.count * _share(bucket, value, linear=zero or is_custom(histogram))
        rank += bucket.count
    return None


@dataclass(frozen=True, slots=True)
class Risen:
    """Cumulative counts of classic buckets that rise, and where they had to be made to: all (H, B, T) or (H, T)."""

    counts: Values
    forced: Flags  # (H, T)
    fallen: Flags  # (H, B, T): here
    difference_max: Values  # (H, T)


def raise_counts(counts: Values) -> Risen:
    """`counts` is (H, B, T), by bucket ascending. Each count is compared with the last one that was accepted."""
    if counts.shape[1] < 2 or bool((counts[:, 1:] > counts[:, :-1] * (1 + 4 * _TOLERANCE)).all()):
        nothing = np.zeros((counts.shape[0], counts.shape[2]), np.bool_)
        return Risen(counts, nothing, np.broadcast_to(False, counts.shape), np.zeros(nothing.shape))
    risen, fallen = counts.copy(), np.zeros(counts.shape, np.bool_)
    difference = np.zeros((counts.shape[0], counts.shape[2]))
    for index in range(1, counts.shape[1]):
        before, now = risen[:, index - 1], risen[:, index]
        close = _almost_equal(before, now)
        fell = (now < before) & ~close
        fallen[:, index] = fell
        np.maximum(difference, np.where(fell, before - now, 0.0), out=difference)
        np.copyto(now, before, where=close | fell)
    return Risen(risen, np.asarray(fallen.any(axis=1)), fallen, difference)


def _almost_equal(left: Values, right: Values) -> Flags:
    total, distance = np.abs(left) + np.abs(right), np.abs(left - right)
    tiny = (left == 0) | (right == 0) | (total < _NORMAL_MIN)
    near = distance < _TOLERANCE * np.where(tiny, _NORMAL_MIN, total)
    return near | (left == right) | (np.isnan(left) & np.isnan(right))


def classic_quantile(q: Values, bounds: Values, counts: Values) -> Values:
    """(H, T). `q` is (T,), `bounds` (B,) ascending and distinct, `counts` (H, B, T) rising. NaN unless the last bound is +Inf."""
    histograms, size, steps = counts.shape
    result = np.full((histograms, steps), np.nan)
    if size >= 2 and np.isposinf(bounds[-1]):
        observations = counts[:, -1]
        rank = np.clip(np.nan_to_num(q), 0.0, 1.0) * observations
        first = _search(counts[:, :-1] >= rank[:, None, :], halving=bool(np.isnan(counts.min())))
        count = _pick(counts, first)
        below = np.where(first > 0, _pick(counts, np.maximum(first - 1, 0)), 0.0)
        lower = np.where(first > 0, bounds[np.maximum(first - 1, 0)], 0.0)
        result = lower + (bounds[first] - lower) * ((rank - below) / (count - below))
        result = np.where((first == 0) & (bounds[0] <= 0), bounds[0], result)
        result = np.where(first == size - 1, bounds[size - 2], result)
        result = np.where(observations == 0, np.nan, result)
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where(np.isnan(q), np.nan, result)


def _search(reached: Flags, *, halving: bool) -> npt.NDArray[np.int64]:
    """(H, T) the first bucket that reaches the rank; how many there are when none does.

    `halving`: where buckets that do and do not are mixed, as NaN counts make them, what upstream's binary search comes upon.
    """
    size = reached.shape[1]
    if not halving:
        return np.where(reached.any(axis=1), reached.argmax(axis=1), size)
    low, high = np.zeros((2, reached.shape[0], reached.shape[2]), np.int64)
    high += size
    while (searching := low < high).any():
        middle = (low + high) // 2
        hit = _pick(reached, np.minimum(middle, size - 1))
        high = np.where(searching & hit, middle, high)
        low = np.where(searching & ~hit, middle + 1, low)
    return low


def _pick(counts: npt.NDArray, index: np.ndarray) -> npt.NDArray:
    return np.take_along_axis(counts, index[:, None, :], axis=1)[:, 0, :]


def classic_fraction(lower: Values, upper: Values, bounds: Values, counts: Values) -> Values:
    """(H, T). `lower` and `upper` are (T,); otherwise as classic_quantile, but counts as they are."""
    total = counts[:, -1]
    if not np.isposinf(bounds[-1]):
        return np.full(total.shape, np.nan)
    ranks = [_classic_rank(v, bounds, counts) for v in (lower, upper)]
    result = (ranks[1] - ranks[0]) / total
    result = np.where(lower >= upper, 0.0, result)
    return np.where((total == 0) | np.isnan(lower) | np.isnan(upper), np.nan, result)


def _classic_rank(value: Values, bounds: Values, counts: Values) -> Values:
    """(H, T): how many observations are below (T,)."""
    total = counts[:, -1]
    lowers = np.concatenate([[0.0 if bounds[0] > 0 else -np.inf], bounds[:-1]])
    rank, found = np.zeros(total.shape), np.zeros(total.shape, np.bool_)
    result = total.copy()
    for index in range(len(bounds)):
        count, low, high = counts[:, index], lowers[index], bounds[index]
        np.copyto(result, rank, where=~found & (low >= value))
        inside = ~found & (low < value) & (high > value)
        at = count if np.isneginf(low) else rank + (count - rank) * (value - low) / (high - low)
        np.copyto(result, at, where=inside)
        found |= inside | (low >= value)
        rank = count
    return np.where(~found | (result > total), total, result)
