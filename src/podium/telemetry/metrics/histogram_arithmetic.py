"""Arithmetic of native histograms: sums, differences, factors, comparison, resets.

Two histograms are combined in a layout that both can be brought to: the coarser schema; the wider zero bucket, widened further until it ends
at a bucket's bound; of custom bounds those they share (told to the caller, for it is a loss). Exponential and custom buckets do not mix.

Histograms are values: everything here gives new ones. Buckets with a count of zero are dropped by `compact`, which results go through.

Source: Prometheus' native histogram specification and its float histograms.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint
from podium.telemetry.metrics.samples import is_stale

Buckets = Mapping[int, float]
FLOAT_MAX = 1.7976931348623157e308


class IncompatibleSchemas(Exception):
    """One histogram has exponential buckets, the other custom ones."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Observations in (lower, upper], or [lower, upper) where both are negative."""

    lower: float
    upper: float
    count: float


def is_custom(histogram: Histogram) -> bool:
    return histogram.schema == CUSTOM_BUCKETS_SCHEMA


def bound(index: int, schema: int) -> float:
    """The upper bound of a positive bucket of an exponential schema."""
    if schema < 0:
        fraction, exponent = 0.5, (index << -schema) + 1
    else:
        fraction, exponent = 2.0 ** ((index & ((1 << schema) - 1)) / (1 << schema) - 1), (index >> schema) + 1
    if fraction == 0.5 and exponent == 1025:
        return FLOAT_MAX
    if exponent > 1024:
        return math.inf
    return math.ldexp(fraction, exponent)


def divide(left: float, right: float) -> float:
    """As IEEE 754 does, also by zero."""
    if right:
        return left / right
    if left == 0 or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def log2(value: float) -> float:
    """As IEEE 754 has it: of zero, too, which the bounds of the smallest buckets are."""
    return math.log2(value) if value else -math.inf


def exp2(value: float) -> float:
    """As IEEE 754 has it: infinite beyond the largest number."""
    return value * math.inf if value >= 1024 else 2.0**value


def added(values: Iterable[float]) -> float:
    """The exact sum; one after another where that is beyond the largest number, or of infinities."""
    kept = list(values)
    try:
        return math.fsum(kept)
    except (OverflowError, ValueError):
        return sum(kept)


def mean(values: Iterable[float], number: int) -> float:
    """Of that many numbers, of which zeros may be left out: exact, and finite also where the sum of finite ones is not."""
    kept = list(values)
    total = added(kept)
    if math.isfinite(total) or not all(map(math.isfinite, kept)):
        return total / number
    halvings = number.bit_length()
    return math.fsum(math.ldexp(n, -halvings) for n in kept) / number * 2.0**halvings


def positive_buckets(histogram: Histogram) -> list[Bucket]:
    """Ascending."""
    found = []
    for index in sorted(histogram.positive):
        if is_custom(histogram):
            bounds = histogram.custom_bounds
            lower = bounds[index - 1] if index > 0 else -math.inf
            upper = bounds[index] if index < len(bounds) else math.inf
        else:
            lower, upper = bound(index - 1, histogram.schema), bound(index, histogram.schema)
        found.append(Bucket(lower, upper, histogram.positive[index]))
    return found


def negative_buckets(histogram: Histogram) -> list[Bucket]:
    """Descending: from the zero bucket down."""
    schema = histogram.schema
    return [Bucket(-bound(i, schema), -bound(i - 1, schema), histogram.negative[i]) for i in sorted(histogram.negative)]


def all_buckets(histogram: Histogram) -> list[Bucket]:
    """Ascending, the zero bucket among them when it is populated; those that overlap it begin or end at it."""
    zero = histogram.zero_threshold
    found = [replace(b, upper=-zero) if -zero < b.upper < 0 else b for b in reversed(negative_buckets(histogram))]
    if histogram.zero_count > 0:
        found.append(Bucket(-zero, zero, histogram.zero_count))
    return found + [replace(b, lower=zero) if 0 < b.lower < zero else b for b in positive_buckets(histogram)]


def multiply(histogram: Histogram, factor: float) -> Histogram:
    """All counts and the sum. A negative factor makes a gauge."""
    return replace(
        histogram,
        count=histogram.count * factor,
        sum=histogram.sum * factor,
        zero_count=histogram.zero_count * factor,
        positive={i: c * factor for i, c in histogram.positive.items()},
        negative={i: c * factor for i, c in histogram.negative.items()},
        reset_hint=ResetHint.GAUGE if factor < 0 else histogram.reset_hint,
    )


def divide_by(histogram: Histogram, divisor: float) -> Histogram:
    """All counts and the sum. Division by zero leaves no buckets."""
    count, total, zero_count = (divide(n, divisor) for n in (histogram.count, histogram.sum, histogram.zero_count))
    if divisor == 0:
        return replace(histogram, count=count, sum=total, zero_count=zero_count, positive={}, negative={})
    return replace(
        histogram,
        count=count,
        sum=total,
        zero_count=zero_count,
        positive={i: divide(c, divisor) for i, c in histogram.positive.items()},
        negative={i: divide(c, divisor) for i, c in histogram.negative.items()},
        reset_hint=ResetHint.GAUGE if divisor < 0 else histogram.reset_hint,
    )


def compact(histogram: Histogram) -> Histogram:
    """Without empty buckets."""
    if all(histogram.positive.values()) and all(histogram.negative.values()):
        return histogram
    positive = {i: c for i, c in histogram.positive.items() if c}
    return replace(histogram, positive=positive, negative={i: c for i, c in histogram.negative.items() if c})


def to_schema(histogram: Histogram, schema: int) -> Histogram:
    """In a schema that is not finer."""
    if schema == histogram.schema:
        return histogram
    positive = _coarser(histogram.positive, histogram.schema, schema)
    return replace(histogram, schema=schema, positive=positive, negative=_coarser(histogram.negative, histogram.schema, schema))


def _coarser(buckets: Buckets, schema: int, target: int) -> Buckets:
    if schema == target:
        return buckets
    merged: dict[int, float] = {}
    for index, count in buckets.items():
        into = ((index - 1) >> (schema - target)) + 1
        merged[into] = merged.get(into, 0.0) + count
    return merged


@dataclass(frozen=True, slots=True)
class Combined:
    histogram: Histogram
    collision: bool = False  # one said that it was reset, the other that it was not
    reconciled: bool = False  # custom bounds differed: only shared ones are left


def combine(left: Histogram, right: Histogram, sign: int = 1) -> Combined:
    """left + sign * right; not compacted. Raises IncompatibleSchemas."""
    if is_custom(left) != is_custom(right):
        raise IncompatibleSchemas
    hint, collision = combined_hint(left.reset_hint, right.reset_hint)
    count, total = left.count + sign * right.count, left.sum + sign * right.sum
    if is_custom(left):
        bounds, reconciled = left.custom_bounds, False
        ours, theirs = left.positive, right.positive
        if left.custom_bounds != right.custom_bounds:
            bounds, reconciled = shared_bounds(left.custom_bounds, right.custom_bounds), True
            ours, theirs = to_bounds(left, bounds), to_bounds(right, bounds)
        positive = _add(ours, theirs, sign)
        made = Histogram(left.schema, count, total, positive=positive, custom_bounds=bounds, reset_hint=hint)
        return Combined(compact(made) if reconciled else made, collision, reconciled)
    left, zero_count = reconcile_zero(left, right)
    schema = min(left.schema, right.schema)
    left, right = to_schema(left, schema), to_schema(right, schema)
    made = replace(
        left,
        count=count,
        sum=total,
        zero_count=left.zero_count + sign * zero_count,
        positive=_add(left.positive, _above(right.positive, schema, left.zero_threshold), sign),
        negative=_add(left.negative, _above(right.negative, schema, left.zero_threshold), sign),
        reset_hint=hint,
    )
    return Combined(made, collision)


def _add(left: Buckets, right: Buckets, sign: int) -> Buckets:
    result = dict(left)
    for index, count in right.items():
        result[index] = result.get(index, 0.0) + sign * count
    return result


def _above(buckets: Buckets, schema: int, threshold: float) -> Buckets:
    """Those that do not lie within the zero bucket."""
    if threshold == 0:
        return buckets
    return {i: c for i, c in buckets.items() if bound(i, schema) > threshold}


def combined_hint(left: ResetHint, right: ResetHint) -> tuple[ResetHint, bool]:
    """(the hint of a sum, whether they contradict each other)."""
    if left == right:
        return left, False
    if ResetHint.GAUGE in (left, right):
        return ResetHint.GAUGE, False
    return ResetHint.UNKNOWN, ResetHint.UNKNOWN not in (left, right)


def shared_bounds(left: Sequence[float], right: Sequence[float]) -> tuple[float, ...]:
    known = set(right)
    return tuple(b for b in left if b in known)


def to_bounds(histogram: Histogram, bounds: Sequence[float]) -> Buckets:
    """Custom buckets, merged into wider ones whose bounds are among theirs."""
    merged: dict[int, float] = {}
    own = histogram.custom_bounds
    for index, count in histogram.positive.items():
        upper = own[index] if index < len(own) else math.inf
        into = next((n for n, b in enumerate(bounds) if b >= upper), len(bounds))
        merged[into] = merged.get(into, 0.0) + count
    return merged


def zero_for_threshold(histogram: Histogram, threshold: float) -> tuple[float, float]:
    """(count, threshold) of the zero bucket if it were at least this wide: wider when it would end within a populated bucket."""
    if threshold == histogram.zero_threshold:
        return histogram.zero_count, threshold
    while True:
        count, again = histogram.zero_count, False
        for bucket in positive_buckets(histogram):
            if bucket.lower >= threshold:
                break
            count += bucket.count
            if bucket.upper > threshold:
                if bucket.count:
                    threshold = bucket.upper
                break
        for bucket in negative_buckets(histogram):
            if bucket.upper <= -threshold:
                break
            count += bucket.count
            if bucket.lower < -threshold:
                if bucket.count:
                    threshold, again = -bucket.lower, True
                break
        if not again:
            return count, threshold


def reconcile_zero(left: Histogram, right: Histogram) -> tuple[Histogram, float]:
    """(left with a zero bucket that fits both, the count right would have in it)."""
    count, threshold = right.zero_count, right.zero_threshold
    while threshold != left.zero_threshold:
        if left.zero_threshold > threshold:
            count, threshold = zero_for_threshold(right, left.zero_threshold)
        if threshold > left.zero_threshold:
            own, wider = zero_for_threshold(left, threshold)
            left = compact(
                replace(
                    left,
                    zero_count=own,
                    zero_threshold=wider,
                    positive=_outside(left.positive, left.schema, wider),
                    negative=_outside(left.negative, left.schema, wider),
                )
            )
    return left, count


def _outside(buckets: Buckets, schema: int, threshold: float) -> Buckets:
    return {i: c for i, c in buckets.items() if bound(i - 1, schema) >= threshold}


def equal(left: Histogram, right: Histogram) -> bool:
    """The same data: NaN equals NaN; empty buckets do not count; reset hints do not either."""
    left, right = compact(left), compact(right)
    numbers = ((left.count, right.count), (left.sum, right.sum), (left.zero_count, right.zero_count))
    return (
        (left.schema, left.zero_threshold, left.custom_bounds) == (right.schema, right.zero_threshold, right.custom_bounds)
        and all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in numbers)
        and dict(left.positive) == dict(right.positive)
        and dict(left.negative) == dict(right.negative)
    )


def is_reset(now: Histogram, before: Histogram) -> bool:
    """Whether the counter started again between the two: by its hint, else when anything became smaller or could not have grown so."""
    if now.reset_hint in (ResetHint.YES, ResetHint.NO):
        return now.reset_hint is ResetHint.YES
    if now.count < before.count:
        return True
    if is_custom(now) != is_custom(before):
        return True
    if is_custom(now):
        bounds = now.custom_bounds
        if bounds != before.custom_bounds:
            bounds = shared_bounds(bounds, before.custom_bounds)
        return _shrunk(to_bounds(now, bounds), to_bounds(before, bounds))
    if now.schema > before.schema or now.zero_threshold < before.zero_threshold:
        return True
    zero_count, threshold = zero_for_threshold(before, now.zero_threshold)
    if threshold != now.zero_threshold or now.zero_count < zero_count:
        return True
    earlier = to_schema(before, now.schema)
    return any(
        _shrunk(_above(a, now.schema, threshold), _above(b, now.schema, threshold))
        for a, b in ((now.positive, earlier.positive), (now.negative, earlier.negative))
    )


def noted_reset(now: Histogram, before: Histogram | None) -> Histogram:
    """With a hint that it was not reset since the sample before it (None: there is none), if so: what a store keeps.

    Who sends a counter's sample is not believed that it was not reset. That there was a reset is not noted, as upstream does not: a sample
    between the two that is yet to come might have had it. Nor is anything after a gauge, a stale sample, or one with other buckets.
    """
    if now.reset_hint is ResetHint.GAUGE or (before is None and now.reset_hint is ResetHint.UNKNOWN):
        return now
    hint = ResetHint.NO if before is not None and _continues(now, before) else ResetHint.UNKNOWN
    return now if hint is now.reset_hint else replace(now, reset_hint=hint)


def _continues(now: Histogram, before: Histogram) -> bool:
    if ResetHint.YES is now.reset_hint or ResetHint.GAUGE is before.reset_hint or is_stale(np.array([before.sum, now.sum])).any():
        return False
    if (now.schema, now.zero_threshold, now.custom_bounds) != (before.schema, before.zero_threshold, before.custom_bounds):
        return False
    return not is_reset(now if now.reset_hint is ResetHint.UNKNOWN else replace(now, reset_hint=ResetHint.UNKNOWN), before)


def _shrunk(now: Buckets, before: Buckets) -> bool:
    return any(now.get(index, 0.0) < count for index, count in before.items() if count or index in now)
