"""Native histograms: one sample that is a whole distribution, in buckets whose bounds grow exponentially or are listed.

Bucket i (an index, may be negative) of schema s in -4..8 holds observations in (base**(i-1), base**i] with base = 2**(2**-s); the zero
bucket holds [-zero_threshold, zero_threshold]. Schema -53 has custom bounds: bucket i holds (bounds[i-1], bounds[i]], the last one up to +Inf.

Buckets are kept sparse and absolute: index -> count, not spans of deltas; the wire forms (exposition, remote write, blocks) convert at their edge.

Source: Prometheus' native histogram specification.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

CUSTOM_BUCKETS_SCHEMA = -53
EXPONENTIAL_SCHEMA_MIN, EXPONENTIAL_SCHEMA_MAX = -4, 8


class ResetHint(enum.IntEnum):
    """What is known about a reset between the sample before and this one. Source: the specification's counter reset hint."""

    UNKNOWN = 0
    YES = 1
    NO = 2
    GAUGE = 3


@dataclass(frozen=True, slots=True)
class Histogram:
    """`count` and bucket counts may be fractional (a float histogram); a stale one has `sum` = the staleness marker."""

    schema: int
    count: float
    sum: float
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Mapping[int, float] = field(default_factory=dict)
    negative: Mapping[int, float] = field(default_factory=dict)
    custom_bounds: tuple[float, ...] = ()
    reset_hint: ResetHint = ResetHint.UNKNOWN
