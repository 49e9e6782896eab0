"""Binary operators with a native histogram on a side, one pair of samples at a time.

Histograms add and subtract, are scaled by numbers, compare as equal or not, and are trimmed (`h </ x`: what is at most x; `h >/ x`: what is at
least x). Anything else has no answer, which an info says.

Source: Prometheus' operators between floats and histograms.
"""

import math
from dataclasses import dataclass, replace

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import (
    Bucket,
    IncompatibleSchemas,
    combine,
    compact,
    divide_by,
    equal,
    is_custom,
    log2,
    multiply,
    negative_buckets,
    positive_buckets,
)
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.syntax import Binary

Operand = float | Histogram


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one pair: a histogram, a number (of a comparison with bool), or neither; `answered`: the operator is defined for the two."""

    histogram: Histogram | None = None
    value: float | None = None
    answered: bool = True


REFUSED = Outcome(answered=False)


def operate(context: Context, node: Binary, left: Operand, right: Operand) -> Outcome:
    """At least one is a histogram. Annotations are added."""
    if isinstance(left, Histogram) and isinstance(right, Histogram):
        return _two(context, node, left, right)
    operator = node.operator
    if isinstance(left, Histogram):
        assert not isinstance(right, Histogram)
        match operator:
            case "*":
                return Outcome(compact(multiply(left, right)))
            case "/":
                return Outcome(compact(divide_by(left, right)))
            case "</" | ">/":
                return Outcome(trimmed(left, right, keep_below=operator == "</"))
    elif isinstance(right, Histogram) and operator == "*":
        return Outcome(compact(multiply(right, left)))
    kinds = ("histogram", "float") if isinstance(left, Histogram) else ("float", "histogram")
    context.annotations.add(notes.incompatible_types(kinds[0], operator, kinds[1]), node.span)
    return REFUSED


def _two(context: Context, node: Binary, left: Histogram, right: Histogram) -> Outcome:
    operator = node.operator
    if operator in ("+", "-"):
        return _sum(context, node, left, right)
    if operator in ("==", "!="):
        passed = equal(left, right) is (operator == "==")
        if node.return_bool:
            return Outcome(value=float(passed))
        return Outcome(left if passed else None)
    context.annotations.add(notes.incompatible_types("histogram", operator, "histogram"), node.span)
    return REFUSED


def _sum(context: Context, node: Binary, left: Histogram, right: Histogram) -> Outcome:
    adding = node.operator == "+"
    word = "addition" if adding else "subtraction"
    try:
        made = combine(left, right, 1 if adding else -1)
    except IncompatibleSchemas:
        context.annotations.add(notes.incompatible_layout(node.operator), node.span)
        return REFUSED
    if made.collision:
        context.annotations.add(notes.reset_collision(word), node.span)
        return REFUSED
    if made.reconciled:
        context.annotations.add(notes.reconciled_bounds(word), node.span)
    return Outcome(compact(made.histogram if adding else replace(made.histogram, reset_hint=ResetHint.GAUGE)))


def trimmed(histogram: Histogram, limit: float, *, keep_below: bool) -> Histogram:
    """What is at most (at least) the limit. Buckets that contain it are split as quantiles would split them; the sum loses what the
    removed observations are estimated to be."""
    custom = is_custom(histogram)
    kept_count = removed = 0.0
    sides = []
    for buckets, indices, positive in (
        (positive_buckets(histogram), sorted(histogram.positive), True),
        (negative_buckets(histogram), sorted(histogram.negative), False),
    ):
        kept: dict[int, float] = {}
        for index, bucket in zip(indices, buckets, strict=True):
            if not bucket.count:
                continue
            count, middle = _split(bucket, limit, keep_below=keep_below, positive=positive, custom=custom)
            kept[index] = count
            kept_count += count
            removed += (bucket.count - count) * middle
        sides.append(kept)
    zero = 0.0
    if histogram.zero_count > 0:
        width = histogram.zero_threshold
        zero = _below(Bucket(-width, width, histogram.zero_count), limit, positive=True, linear=True)
        zero = zero if keep_below else histogram.zero_count - zero
        kept_count += zero
    total = _clamped_sum(histogram, histogram.sum - removed) if kept_count else 0.0
    return compact(replace(histogram, count=kept_count, sum=total, zero_count=zero, positive=sides[0], negative=sides[1]))


def _clamped_sum(histogram: Histogram, total: float) -> float:
    """Observations of one sign have a sum of that sign."""
    if is_custom(histogram):
        populated = [b for b in positive_buckets(histogram) if b.count]
        has_negative = any(b.upper <= 0 or b.lower < 0 for b in populated)
        has_positive = any(b.upper > 0 for b in populated)
    else:
        has_negative = any(histogram.negative.values())
        has_positive = any(histogram.positive.values())
    if (not has_negative and total < 0) or (not has_positive and total > 0):
        return 0.0
    return total


def _split(bucket: Bucket, limit: float, *, keep_below: bool, positive: bool, custom: bool) -> tuple[float, float]:
    """(the count that is kept, what the removed observations are on average)."""
    whole = bucket.upper <= limit if keep_below else bucket.lower >= limit
    if whole:
        return bucket.count, 0.0
    if math.isinf(bucket.lower) or math.isinf(bucket.upper):
        kept, middle = _split_endless(bucket, limit, keep_below=keep_below)
    else:
        below = _below(bucket, limit, positive=positive, linear=custom)
        kept = below if keep_below else bucket.count - below
        middle = _middle(bucket, limit, keep_below=keep_below, positive=positive, linear=custom)
    inside = bucket.lower < limit if keep_below else bucket.upper > limit
    if inside:
        return kept, middle
    return 0.0, middle if custom else math.sqrt(bucket.lower * bucket.upper)


def _below(bucket: Bucket, limit: float, *, positive: bool, linear: bool) -> float:
    """How many observations are at most the limit."""
    if limit <= bucket.lower:
        return 0.0
    if limit >= bucket.upper:
        return bucket.count
    if linear:
        return bucket.count * (limit - bucket.lower) / (bucket.upper - bucket.lower)
    low, high, at = (log2(abs(v)) for v in (bucket.lower, bucket.upper, limit))
    share = (at - low) / (high - low) if positive else 1 - (at - high) / (low - high)
    return bucket.count * share


def _middle(bucket: Bucket, limit: float, *, keep_below: bool, positive: bool, linear: bool) -> float:
    if linear:
        return (bucket.lower + bucket.upper) / 2
    product = abs(bucket.lower if keep_below else bucket.upper) * abs(limit)
    return math.sqrt(product) if positive else -math.sqrt(product)


def _split_endless(bucket: Bucket, limit: float, *, keep_below: bool) -> tuple[float, float]:
    """A first bucket without a lower bound begins at 0 if it ends above; otherwise nothing is known, and all that may go goes."""
    if math.isinf(bucket.lower):
        if limit >= 0 and bucket.upper > limit and not math.isinf(bucket.upper):
            share = limit / bucket.upper
            if keep_below:
                return bucket.count * share, (limit + bucket.upper) / 2
            return bucket.count * (1 - share), limit / 2
        return 0.0, bucket.upper
    if not keep_below and limit <= bucket.lower:
        return bucket.count, 0.0
    return 0.0, bucket.lower
