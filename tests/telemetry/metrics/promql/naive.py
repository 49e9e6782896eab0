"""Functions over ranges and aggregations, as upstream computes them: series by series, step by step, in plain Python. Slow and obviously right."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

Points = Sequence[tuple[int, float]]  # (milliseconds, value), ascending


def window(points: Points, start: int, end: int) -> Points:
    return [p for p in points if start < p[0] <= end]


def instant(points: Points, stale: set[int], at: int, lookback: int) -> float | None:
    """The last sample in (at - lookback, at]; None when there is none or a stale marker is later."""
    times = [t for t, _ in points if at - lookback < t <= at]
    ended = [t for t in stale if at - lookback < t <= at]
    if not times or (ended and max(ended) > max(times)):
        return None
    return dict(points)[max(times)]


def kahan(values: Sequence[float]) -> float:
    total = lost = 0.0
    for value in values:
        added = total + value
        if math.isinf(added):
            lost = 0.0
        elif abs(total) >= abs(value):
            lost += (total - added) + value
        else:
            lost += (value - added) + total
        total = added
    return total if math.isinf(total) else total + lost


def mean(values: Sequence[float]) -> float:
    """The sum by their number; where it overflows, from there on the mean of those before and the next one."""
    total = lost = 0.0
    for n, value in enumerate(values):
        added = total + value
        if math.isinf(added) and n:
            return _mean_onwards(total / n, lost / n, values, n)
        lost += (total - added) + value if abs(total) >= abs(value) else (value - added) + total
        total = added
    return total / len(values) + (lost / len(values) if math.isfinite(total) else 0.0)


def _mean_onwards(average: float, lost: float, values: Sequence[float], start: int) -> float:
    for n in range(start + 1, len(values) + 1):
        kept, more, lost = average * ((n - 1) / n), values[n - 1] / n, lost * ((n - 1) / n)
        average = kept + more
        if math.isinf(average):
            lost = 0.0
        else:
            lost += (kept - average) + more if abs(kept) >= abs(more) else (more - average) + kept
    return average + lost


def extrapolated(points: Points, start: int, end: int, *, counter: bool, rate: bool) -> float | None:
    if len(points) < 2:
        return None
    change = points[-1][1] - points[0][1]
    if counter:
        change += sum(a[1] for a, b in pairwise(points) if b[1] < a[1])
    to_start, to_end = (points[0][0] - start) / 1000, (end - points[-1][0]) / 1000
    sampled = (points[-1][0] - points[0][0]) / 1000
    average = sampled / (len(points) - 1)
    if to_start >= average * 1.1:
        to_start = average / 2
    if counter and change > 0 and points[0][1] >= 0:
        to_start = min(to_start, sampled * (points[0][1] / change))
    if to_end >= average * 1.1:
        to_end = average / 2
    result = change * ((sampled + to_start + to_end) / sampled)
    return result / ((end - start) / 1000) if rate else result


def last_two(points: Points, *, counter: bool) -> float | None:
    if len(points) < 2:
        return None
    (before_ms, before), (last_ms, last) = points[-2:]
    change = last if counter and last < before else last - before
    return change / ((last_ms - before_ms) / 1000) if counter else change


def quantile(q: float, values: Sequence[float]) -> float:
    if not values or math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return math.copysign(math.inf, q - 0.5)
    ordered = sorted(values, key=lambda v: (not math.isnan(v), v))
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(len(ordered) - 1, low + 1)
    return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)


def regression(points: Points, at: int) -> tuple[float, float]:
    if all(v == points[0][1] for _, v in points):
        return (math.nan, math.nan) if math.isinf(points[0][1]) else (0.0, points[0][1])
    xs, ys = [(t - at) / 1000 for t, _ in points], [v for _, v in points]
    n, sum_x, sum_y = len(points), kahan(xs), kahan(ys)
    covariance = kahan([x * y for x, y in zip(xs, ys, strict=True)]) - sum_x * sum_y / n
    spread = kahan([x * x for x in xs]) - sum_x * sum_x / n
    return covariance / spread, sum_y / n - covariance / spread * sum_x / n


def smoothed(values: Sequence[float], smoothing: float, trend: float) -> float | None:
    if len(values) < 2:
        return None
    before, level, slope = 0.0, values[0], values[1] - values[0]
    for n, value in enumerate(values[1:]):
        if n:
            slope = trend * (level - before) + (1 - trend) * slope
        before, level = level, smoothing * value + (1 - smoothing) * (level + slope)
    return level


def variance(values: Sequence[float]) -> float:
    mean = kahan(values) / len(values)
    return kahan([(v - mean) ** 2 for v in values]) / len(values)


def mad(values: Sequence[float]) -> float:
    if any(math.isnan(v) for v in values):
        return math.nan
    middle = quantile(0.5, values)
    return quantile(0.5, [abs(v - middle) for v in values])


def fold(values: Sequence[float], better: Callable[[float, float], bool]) -> int:
    best = 0
    for n, value in enumerate(values):
        if better(value, values[best]) or math.isnan(values[best]):
            best = n
    return best


def over_range(name: str, points: Points, start: int, end: int, at: int) -> float | None:
    """`points` are those of the window (start, end]; `at` is the step."""
    values = [v for _, v in points]
    pairs = list(pairwise(values))
    match name:
        case "rate" | "increase" | "delta":
            return extrapolated(points, start, end, counter=name != "delta", rate=name == "rate")
        case "irate" | "idelta":
            return last_two(points, counter=name == "irate")
    if not points or (name in ("deriv", "predict_linear") and len(points) < 2):
        return None
    results: dict[str, Callable[[], float | None]] = {
        "sum_over_time": lambda: kahan(values),
        "avg_over_time": lambda: mean(values),
        "count_over_time": lambda: float(len(values)),
        "min_over_time": lambda: values[fold(values, lambda a, b: a < b)],
        "max_over_time": lambda: values[fold(values, lambda a, b: a > b)],
        "ts_of_min_over_time": lambda: points[fold(values, lambda a, b: a <= b)][0] / 1000,
        "ts_of_max_over_time": lambda: points[fold(values, lambda a, b: a >= b)][0] / 1000,
        "ts_of_first_over_time": lambda: points[0][0] / 1000,
        "ts_of_last_over_time": lambda: points[-1][0] / 1000,
        "last_over_time": lambda: values[-1],
        "first_over_time": lambda: values[0],
        "present_over_time": lambda: 1.0,
        "stdvar_over_time": lambda: variance(values),
        "stddev_over_time": lambda: math.sqrt(variance(values)),
        "mad_over_time": lambda: mad(values),
        "quantile_over_time": lambda: quantile(0.3, values),
        "changes": lambda: float(sum(a != b and not (a != a and b != b) for a, b in pairs)),
        "resets": lambda: float(sum(b < a for a, b in pairs)),
        "deriv": lambda: regression(points, points[0][0])[0],
        "predict_linear": lambda: (lambda s, i: s * 60 + i)(*regression(points, at)),
        "double_exponential_smoothing": lambda: smoothed(values, 0.3, 0.6),
    }
    return results[name]()


def aggregate(name: str, values: Sequence[float]) -> float:
    results: dict[str, Callable[[], float]] = {
        "sum": lambda: kahan(values),
        "avg": lambda: mean(values),
        "min": lambda: values[fold(values, lambda a, b: a < b)],
        "max": lambda: values[fold(values, lambda a, b: a > b)],
        "count": lambda: float(len(values)),
        "group": lambda: 1.0,
        "stdvar": lambda: variance(values),
        "stddev": lambda: math.sqrt(variance(values)),
        "quantile": lambda: quantile(0.3, values),
    }
    return results[name]()


def cumulative(buckets: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """(bound, count) ascending, those of one bound added together."""
    found: dict[float, float] = {}
    for bound, count in sorted(buckets, key=lambda b: b[0]):
        found[bound] = found[bound] + count if bound in found else count
    return list(found.items())


def classic_quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float:
    if math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return math.copysign(math.inf, q - 0.5)
    risen = cumulative(buckets)
    if risen[-1][0] != math.inf or len(risen) < 2:
        return math.nan
    for n in range(1, len(risen)):
        before, now = risen[n - 1][1], risen[n][1]
        if now < before or abs(now - before) < 1e-12 * (abs(now) + abs(before)) or (math.isnan(now) and math.isnan(before)):
            risen[n] = risen[n][0], before
    if risen[-1][1] == 0:
        return math.nan
    rank = q * risen[-1][1]
    # The search is a binary one: with NaN among the counts, which bucket it ends at depends on that.
    low, high = 0, len(risen) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if risen[middle][1] >= rank else (middle + 1, high)
    if low == len(risen) - 1:
        return risen[-2][0]
    bound, count = risen[low]
    if low == 0:
        return bound if bound <= 0 else bound * divided(rank, count)
    start, below = risen[low - 1]
    return start + (bound - start) * divided(rank - below, count - below)


def divided(left: float, right: float) -> float:
    return left / right if right else math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)


def classic_fraction(lower: float, upper: float, buckets: Sequence[tuple[float, float]]) -> float:
    sums = cumulative(buckets)
    total = sums[-1][1]
    if sums[-1][0] != math.inf or total == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    return (classic_rank(upper, sums, total) - classic_rank(lower, sums, total)) / total


def classic_rank(value: float, sums: Sequence[tuple[float, float]], total: float) -> float:
    start, rank = (0.0 if sums[0][0] > 0 else -math.inf), 0.0
    for bound, count in sums:
        if start >= value:
            return min(rank, total)
        if value < bound:
            at = count if start == -math.inf else rank + (count - rank) * (value - start) / (bound - start)
            return min(at, total)
        start, rank = bound, count
    return total
