"""Aggregations that choose or order series: topk, bottomk, limitk, limit_ratio, quantile, count_values.

Ties of topk and bottomk go to the series that comes first; NaN is worse than any number. limit_ratio decides by a hash of the labels, so that
a series is chosen, or not, in every query, and r and r - 1 choose complementary series; the hash is upstream's (label_hash.py), and so the same
series are chosen. limitk takes those that come first, here and there: in which order a store gives its series is its own affair.

Source: Prometheus' aggregation operators.
"""

import math

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import Bucket, is_custom, negative_buckets, positive_buckets
from podium.telemetry.metrics.promql.aggregation_sums import Bounds, Runs
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame
from podium.telemetry.metrics.promql.grouping import Grouped
from podium.telemetry.metrics.promql.label_hash import label_hashes
from podium.telemetry.metrics.promql.numbers import format_general
from podium.telemetry.metrics.promql.over_time import quantile_of_rows
from podium.telemetry.metrics.samples import Flags, Values

INT64_MAX, INT64_MIN = 9223372036854774784.0, -9223372036854775808.0


def chooses(parameter: Values) -> bool:
    """Whether any k (of topk, bottomk and limitk, at every step) is 1 or more. Raises EvaluationError."""
    if np.isnan(parameter).any():
        raise EvaluationError("Parameter value is NaN")
    if parameter.max() < 1:
        return False
    if parameter.min() <= INT64_MIN:
        raise EvaluationError(f"Scalar value {format_general(float(parameter.min()))} underflows int64")
    if parameter.max() >= INT64_MAX:
        raise EvaluationError(f"Scalar value {format_general(float(parameter.max()))} overflows int64")
    return True


def best(frame: Frame, grouped: Grouped, counts: npt.NDArray[np.int64], *, largest: bool) -> tuple[Flags, Bounds]:
    """(which floats are among the `counts` (T,) best of their group (S, T), the order of all rows at the first step: best first by group)."""
    keys = -frame.values if largest else frame.values
    floats = frame.floats()
    runs = Runs.of(grouped)
    if frame.steps == 1 or grouped.count > _GROUPS_MAX:
        return _best_by_sorting(keys, floats, grouped, runs, counts)
    chosen = np.zeros(frame.values.shape, np.bool_)
    for start, size in zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True):
        rows = runs.rows(start, start + size)
        for steps in range(0, frame.steps, _STEPS_AT_ONCE):
            at = slice(steps, steps + _STEPS_AT_ONCE)
            chosen[rows, at] = _smallest(keys[rows, at], floats[rows, at], counts[at])
    return chosen, np.empty(0, np.int64)


_GROUPS_MAX = 256
"""More groups than these are ranked by one sort at each step."""
_STEPS_AT_ONCE = 16


def _best_by_sorting(keys: Values, floats: Flags, grouped: Grouped, runs: Runs, counts: npt.NDArray[np.int64]) -> tuple[Flags, Bounds]:
    nan = np.isnan(keys)
    keys = np.where(nan, np.inf, keys)
    chosen = np.zeros(keys.shape, np.bool_)
    first: Bounds = np.empty(0, np.int64)
    ranks_of_run = np.arange(len(keys)) - np.repeat(runs.starts, runs.sizes)
    for step in range(keys.shape[1]):
        order = np.lexsort((nan[:, step], keys[:, step], ~floats[:, step], grouped.groups))
        good = order[ranks_of_run < counts[step]]
        chosen[good, step] = floats[good, step]
        if step == 0:
            first = order
    return chosen, first


def _smallest(keys: Values, floats: Flags, counts: npt.NDArray[np.int64]) -> Flags:
    """The `counts` (T,) smallest of each column, of equal ones the first; NaN after all numbers. By a partition: nothing is sorted."""
    rows = len(keys)
    if int(counts.min()) >= rows:
        return floats
    nan = np.isnan(keys) & floats
    bounded = np.where(floats & ~nan, keys, np.inf)
    within = np.clip(counts, 1, rows) - 1
    kinds = np.unique(within)
    # The partition runs along rows: columns are made rows for it.
    parted = np.partition(np.ascontiguousarray(bounded.T), kinds, axis=1)
    limit = parted[np.arange(len(counts)), within]
    below = (bounded < limit) & floats
    equal = (bounded == limit) & floats & ~nan
    missing = counts - below.sum(axis=0)
    chosen = below | (equal & (np.cumsum(equal, axis=0) <= missing))
    missing = counts - chosen.sum(axis=0)
    if nan.any() and (missing > 0).any():
        chosen |= nan & (np.cumsum(nan, axis=0) <= missing)
    return chosen & (counts > 0)


def earliest(frame: Frame, grouped: Grouped, counts: npt.NDArray[np.int64]) -> Flags:
    """limitk: the first `counts` (T,) samples of each group, in the order of the series: (S, T), histograms among them."""
    there = frame.there()
    runs = Runs.of(grouped)
    arranged = runs.arrange(there)
    rank = np.cumsum(arranged, axis=0)
    before = rank[runs.starts] - arranged[runs.starts]
    rank = rank - np.repeat(before, runs.sizes, axis=0)
    chosen = arranged & (rank <= counts)
    if runs.order is None:
        return chosen
    result = np.empty_like(chosen)
    result[runs.order] = chosen
    return result


def sampled(frame: Frame, ratio: Values) -> Flags:
    """limit_ratio: (S, T). `ratio` is (T,), in [-1, 1]."""
    offsets = (label_hashes(frame.labels.rows()).astype(np.float64) / 2.0**64)[:, None]
    below = (ratio >= 0) & (offsets < ratio)
    return frame.there() & (below | ((ratio < 0) & (offsets >= 1.0 + ratio)))


def quantiles(frame: Frame, grouped: Grouped, q: Values) -> Values:
    """(G, T); NaN where no float is. `q` is (T,)."""
    runs = Runs.of(grouped)
    values, floats = runs.arrange(frame.values), runs.arrange(frame.floats())
    result = np.empty((grouped.count, frame.steps))
    for group, (start, size) in enumerate(zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True)):
        column, there = values[start : start + size].T, floats[start : start + size].T
        if not there.all():
            forward = np.argsort(~there, axis=1, kind="stable")
            column = np.take_along_axis(column, forward, axis=1)
        result[group] = quantile_of_rows(column, there.sum(axis=1), q)
    return result


def distinct_values(frame: Frame) -> tuple[list[float], npt.NDArray[np.int64]]:
    """(distinct floats, which of them each cell (S, T) has; -1: none). 0 and -0 differ."""
    floats = frame.floats()
    bits = np.ascontiguousarray(frame.values).view(np.uint64)[floats]
    found, which = np.unique(bits, return_inverse=True)
    codes = np.full(frame.values.shape, -1, np.int64)
    codes[floats] = which
    return [math.nan if math.isnan(v) else v for v in found.view(np.float64).tolist()], codes


def describe(histogram: Histogram) -> str:
    """As upstream's String(): what count_values puts into a label."""
    parts = [f"count:{format_general(histogram.count)}, sum:{format_general(histogram.sum)}"]
    zero = histogram.zero_threshold
    rows = [(b, "[", ")") for b in reversed(negative_buckets(histogram))]
    rows.append((Bucket(-zero, zero, histogram.zero_count), "[", "]"))
    custom = is_custom(histogram)
    rows += [(b, "[" if custom and b.lower == -math.inf else "(", "]") for b in positive_buckets(histogram)]
    parts += [
        f"{left}{format_general(b.lower)},{format_general(b.upper)}{right}:{format_general(b.count)}" for b, left, right in rows if b.count
    ]
    return "{" + ", ".join(parts) + "}"
