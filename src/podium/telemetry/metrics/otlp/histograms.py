"""OTLP's histograms as native ones: exponential buckets, and explicit bounds as custom buckets.

A bucket of OTLP's with index i is (base**i, base**(i+1)], one of ours (base**(i-1), base**i]: so one is added. Scales beyond the finest schema are
made coarser: neighbouring buckets are added up. (Upstream puts some of them one bucket too low when the first ones are empty.)

Source: OpenTelemetry's "Prometheus and OpenMetrics Compatibility", Exponential Histograms; upstream's otlptranslator.
"""

from typing import Any

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import check_histogram
from podium.telemetry.metrics.samples import STALE

ZERO_THRESHOLD = 1e-128
"""Of an exponential histogram, whatever it says. Source: upstream."""
NO_RECORDED_VALUE = 1
"""A flag of a data point: the series ended."""


def exponential(point: Any) -> Histogram:
    """Raises MessageRefused."""
    if point.scale < EXPONENTIAL_SCHEMA_MIN:
        said = f"Scale must be >= {EXPONENTIAL_SCHEMA_MIN}, was {point.scale}"
        raise MessageRefused(f"cannot convert exponential to native histogram. {said}")
    if point.flags & NO_RECORDED_VALUE:
        return Histogram(0, 0.0, STALE)
    coarser = max(0, point.scale - EXPONENTIAL_SCHEMA_MAX)
    found = Histogram(
        point.scale - coarser, float(point.count), point.sum, ZERO_THRESHOLD, float(point.zero_count),
        _buckets(point.positive, coarser), _buckets(point.negative, coarser),
    )  # fmt: skip
    check_histogram(found, floating=False)
    return found


def _buckets(given: Any, coarser: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for place, count in enumerate(given.bucket_counts, given.offset):
        if count:
            index = (place >> coarser) + 1
            found[index] = found.get(index, 0.0) + count
    return found


def custom(point: Any) -> Histogram:
    """Of explicit bounds. Raises MessageRefused."""
    if point.flags & NO_RECORDED_VALUE:
        return Histogram(0, 0.0, STALE)
    counts = {index: float(count) for index, count in enumerate(point.bucket_counts) if count}
    bounds = tuple(point.explicit_bounds)
    found = Histogram(CUSTOM_BUCKETS_SCHEMA, float(point.count), point.sum, positive=counts, custom_bounds=bounds)
    check_histogram(found, floating=False)
    return found
