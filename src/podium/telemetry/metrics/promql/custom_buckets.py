"""A classic histogram as a native one with custom buckets: its `le` bounds become the bounds, its cumulative counts each bucket's own.

Source: Prometheus' native histogram specification, custom buckets; its conversion of classic histograms.
"""

import math
from collections.abc import Mapping

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, Histogram


def from_classic(buckets: Mapping[float, float], count: float | None, total: float) -> Histogram:
    """`buckets`: upper bound -> how many are at most that, +Inf may be missing. Raises ValueError in upstream's words."""
    bounds = sorted(buckets)
    if any(math.isnan(bound) for bound in bounds):
        raise ValueError("bucket boundary must not be NaN")
    if count is None:
        if not bounds:
            raise ValueError("count must be provided when no buckets are present")
        count = buckets[bounds[-1]]
    cumulative = [(bound, buckets[bound]) for bound in bounds]
    if not bounds or bounds[-1] != math.inf:
        cumulative.append((math.inf, count))
    positive: dict[int, float] = {}
    before = 0.0
    for index, (bound, reached) in enumerate(cumulative):
        if reached < 0:
            raise ValueError(f"bucket count must be non-negative: le={bound:g}, count={reached:g}")
        if reached < before:
            raise ValueError(f"count is not cumulative: {reached:g} < {before:g}")
        if reached > before:
            positive[index] = reached - before
        before = reached
    if count != before:
        raise ValueError(f"count mismatch: count={count:g} != le=+Inf count={before:g}")
    custom = tuple(bound for bound, _ in cumulative[:-1])
    return Histogram(CUSTOM_BUCKETS_SCHEMA, count, total, positive=positive, custom_bounds=custom)
