"""Native histograms within a job's limits: coarser buckets rather than too many.

One step down in resolution merges pairs of neighbours: bucket i of schema s lies in bucket ceil(i / 2) of schema s - 1.
Source: native_histogram_bucket_limit and native_histogram_min_bucket_factor; the native histogram specification.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram
from podium.telemetry.metrics.scrape.errors import LimitMet


def schema_for_factor(factor: float) -> int:
    """The finest schema whose buckets grow by at least `factor`; the finest of all for a factor that says nothing."""
    if factor <= 1:
        return EXPONENTIAL_SCHEMA_MAX
    schema = math.floor(-math.log2(math.log2(factor)))
    return min(max(schema, EXPONENTIAL_SCHEMA_MIN), EXPONENTIAL_SCHEMA_MAX)


def within_limits(histogram: Histogram, buckets_max: int, schema_max: int) -> Histogram:
    """`buckets_max` 0: no limit. Raises LimitMet when even the coarsest buckets are too many."""
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA:
        if buckets_max and len(histogram.positive) > buckets_max:
            raise LimitMet("histogram bucket limit exceeded")
        return histogram
    while histogram.schema > schema_max:
        histogram = coarser(histogram)
    while buckets_max and len(histogram.positive) + len(histogram.negative) > buckets_max:
        if histogram.schema == EXPONENTIAL_SCHEMA_MIN:
            raise LimitMet("histogram bucket limit exceeded")
        histogram = coarser(histogram)
    return histogram


def coarser(histogram: Histogram) -> Histogram:
    """One schema down."""
    return replace(
        histogram, schema=histogram.schema - 1, positive=_merged(histogram.positive), negative=_merged(histogram.negative)
    )  # fmt: skip


def _merged(buckets: Mapping[int, float]) -> dict[int, float]:
    merged: dict[int, float] = {}
    for index, count in buckets.items():
        target = (index + 1) >> 1
        merged[target] = merged.get(target, 0) + count
    return merged
