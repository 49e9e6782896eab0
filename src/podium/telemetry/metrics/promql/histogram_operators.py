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
    divide,
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
    """What is at most (at least) the limit. Buckets that contain it are split as quantiles would split them. If nothing goes, nothing
    changes; otherwise the sum is estimated anew, from the middles of what stays."""
    count = total = 0.0
    sides = []
    for buckets, indices in (
        (positive_buckets(histogram), sorted(histogram.positive)),
        (negative_buckets(histogram), sorted(histogram.negative)),
    ):
        kept: dict[int, float] = {}
        for index, bucket in zip(indices, buckets, strict=True):
            if not bucket.count:
                continue
            kept[index], middle = _kept(bucket, limit, keep_below=keep_below, linear=is_custom(histogram))
            count += kept[index]
            total += kept[index] * middle
        sides.append(kept)
    zero = 0.0
    if histogram.zero_count > 0:
        zero, middle = _kept_of_zero(_zero_bucket(histogram), limit, keep_below=keep_below)
        count += zero
        total += zero * middle
    before = [{i: c for i, c in side.items() if c} for side in (histogram.positive, histogram.negative)]
    if sides == before and zero == histogram.zero_count:
        return histogram
    return compact(replace(histogram, count=count, sum=total, zero_count=zero, positive=sides[0], negative=sides[1]))


def _kept(bucket: Bucket, limit: float, *, keep_below: bool, linear: bool) -> tuple[float, float]:
    """How many of a bucket stay, and what they are on average."""
    if (bucket.upper <= limit) if keep_below else (bucket.lower >= limit):
        return bucket.count, _middle(bucket.lower, bucket.upper, linear=linear)
    if not ((bucket.lower < limit) if keep_below else (bucket.upper > limit)):
        return 0.0, 0.0
    if math.isinf(bucket.lower):
        return _kept_of_first(bucket, limit, keep_below=keep_below)
    if math.isinf(bucket.upper):
        return (0.0, 0.0) if keep_below else (bucket.count, limit)
    below = _below(bucket, limit, linear=linear)
    if keep_below:
        return below, _middle(bucket.lower, limit, linear=linear)
    return bucket.count - below, _middle(limit, bucket.upper, linear=linear)


def _kept_of_first(bucket: Bucket, limit: float, *, keep_below: bool) -> tuple[float, float]:
    """Of a bucket without a lower bound: it begins at 0 if it ends above, otherwise all of it is at the limit. Without any bound nothing is
    known of it, and all goes that may."""
    if keep_below and bucket.upper <= 0:
        return bucket.count, limit
    if math.isinf(bucket.upper) or limit < 0:
        return 0.0, 0.0
    share = divide(limit, bucket.upper)
    if keep_below:
        return bucket.count * share, limit / 2
    return bucket.count * (1 - share), (limit + bucket.upper) / 2


def _zero_bucket(histogram: Histogram) -> Bucket:
    """It has only numbers of the sign of all others, if these have one."""
    width = histogram.zero_threshold
    positive, negative = any(histogram.positive.values()), any(histogram.negative.values())
    return Bucket(0.0 if positive and not negative else -width, 0.0 if negative and not positive else width, histogram.zero_count)


def _kept_of_zero(bucket: Bucket, limit: float, *, keep_below: bool) -> tuple[float, float]:
    """As of other buckets, with linear interpolation; it may be but a point."""
    lower, upper = bucket.lower, bucket.upper
    if limit <= lower or limit >= upper:
        return bucket.count if (limit >= upper and limit > lower) is keep_below else 0.0, (lower + upper) / 2
    if keep_below:
        return divide(bucket.count * (limit - lower), upper - lower), (lower + limit) / 2
    return divide(bucket.count * (upper - limit), upper - lower), (limit + upper) / 2


def _below(bucket: Bucket, limit: float, *, linear: bool) -> float:
    """How many observations of a bounded bucket are at most a limit in it."""
    if linear:
        return bucket.count * (limit - bucket.lower) / (bucket.upper - bucket.lower)
    low, high, at = (log2(abs(v)) for v in (bucket.lower, bucket.upper, limit))
    return bucket.count * (divide(at - low, high - low) if bucket.upper > 0 else 1 - divide(at - high, low - high))


def _middle(lower: float, upper: float, *, linear: bool) -> float:
    """Of observations between two bounds: their mean, arithmetic or geometric."""
    if math.isinf(lower):
        if math.isinf(upper):
            return 0.0
        return upper / 2 if upper > 0 else upper
    if math.isinf(upper):
        return lower
    if linear:
        return (lower + upper) / 2
    return math.copysign(math.sqrt(abs(lower * upper)), lower + upper)
