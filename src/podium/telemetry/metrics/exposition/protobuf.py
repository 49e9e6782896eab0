"""Pages in the protobuf format: MetricFamily messages, each after its length; the one format with native histograms.

A native histogram is a row whose value is ABSENT and whose histogram is in `Page.histograms`. A classic histogram or a summary becomes the same
rows as in text. When a histogram has both forms, the native one is taken, the classic one as well on demand.

A start timestamp (created) is not read: no reader asks for one. Source: client_model's metrics.proto, Prometheus' native histogram
specification (exposition), formats of numbers in labels as in OpenMetrics.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from podium.telemetry.metrics.exposition.errors import PageError
from podium.telemetry.metrics.exposition.heads import Keys
from podium.telemetry.metrics.exposition.messages import COUNTER, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, SUMMARY, UNTYPED, metric_family
from podium.telemetry.metrics.exposition.numbers import format_label_number
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageExemplar
from podium.telemetry.metrics.exposition.steps import STEP_ROWS, Steps, at_once
from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram, ResetHint
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.samples import ABSENT
from podium.telemetry.metrics.storage import Metadata

CONTENT_TYPE = "application/vnd.google.protobuf"
FAMILY_BYTES_MAX = 32 * 1024 * 1024
"""Of one message: it is read in one piece, and takes up to thirty times that in memory."""
FAMILIES_MAX = 1_000_000
ROWS_MAX = 5_000_000
"""Rows of a page, exclusive."""
PARTS_MAX = 65_536
"""Labels, quantiles, buckets and exemplars of one metric, each."""
_VARINT_BYTES_MAX = 10
_TYPES = {
    COUNTER: "counter", GAUGE: "gauge", SUMMARY: "summary", UNTYPED: "unknown", HISTOGRAM: "histogram", GAUGE_HISTOGRAM: "gaugehistogram",
}  # fmt: skip


class ProtobufLayout:
    def __init__(self, rows: list[Labels], metadata: Mapping[str, Metadata]) -> None:
        self.rows = rows
        self.metadata = metadata
        self.size = len(rows)

    def row_keys(self) -> Keys:
        return np.fromiter(map(hash, self.rows), np.int64, self.size)

    def labels_at(self, rows: Sequence[int], interned: dict[tuple[str, str], tuple[str, str]] | None = None) -> list[Labels]:
        return [self.rows[row] for row in rows]

    def line(self, row: int) -> int:
        return 0


@dataclass(slots=True)
class _Rows:
    """The page as it is read."""

    native: bool
    classic: bool
    series: list[Labels] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    exemplars: list[PageExemplar] = field(default_factory=list)
    histograms: list[tuple[int, Histogram]] = field(default_factory=list)

    def add(self, name: str, labels: list[tuple[str, str]], value: float, time_ms: int, exemplar: Any = None) -> None:
        if exemplar is not None:
            time = _exemplar_time(exemplar)
            self.exemplars.append(PageExemplar(len(self.series), _labels(exemplar.label), exemplar.value, time))
        if len(self.series) >= ROWS_MAX - 1:
            raise PageError(f"the page has {ROWS_MAX} rows or more")
        self.series.append(_series(name, labels))
        self.values.append(value)
        self.times_ms.append(time_ms)


def parse_protobuf(body: bytes, previous: ProtobufLayout | None = None, *, native: bool = True, classic: bool = False) -> Page:
    """`native`: read native histograms (else only their classic form); `classic`: read the classic form too of those that have both.
    Raises PageError."""
    return at_once(read_protobuf(body, previous, native=native, classic=classic))


def read_protobuf(body: bytes, previous: ProtobufLayout | None = None, *, native: bool = True, classic: bool = False) -> Steps[Page]:
    """`parse_protobuf` in steps."""
    rows = _Rows(native, classic)
    metadata: dict[str, Metadata] = {}
    stepped = 0
    for number, family in enumerate(_families(body), 1):
        if number > FAMILIES_MAX:
            raise PageError(f"the page has more than {FAMILIES_MAX} families")
        if not number % STEP_ROWS:
            yield
        if not family.metric:
            continue
        if not family.name:
            raise PageError("invalid metric name: it is empty")
        kind = _TYPES.get(family.type)
        if kind is None:
            raise PageError(f'unknown metric type for metric "{family.name}": {family.type}')
        _check_unit(family)
        metadata[family.name] = Metadata(kind, family.help, family.unit)
        for metric in family.metric:
            _read(rows, family.name, family.type, metric)
            if len(rows.series) - stepped >= STEP_ROWS:
                stepped = len(rows.series)
                yield
    if previous is not None and previous.rows == rows.series and previous.metadata == metadata:
        layout = previous
    else:
        layout = ProtobufLayout(rows.series, metadata)
    times = np.array(rows.times_ms, np.int64) if any(t != NO_TIME for t in rows.times_ms) else None
    return Page(layout, np.array(rows.values, np.float64), times, rows.exemplars, rows.histograms)


def _families(body: bytes) -> Iterator[Any]:
    message, position = metric_family(), 0
    while position < len(body):
        size, start = _varint(body, position)
        if size > len(body) - start:
            raise PageError(f"a message of {size} bytes at byte {position} goes beyond the end of the page")
        if size > FAMILY_BYTES_MAX:
            raise PageError(f"a family of {size} bytes at byte {position}: at most {FAMILY_BYTES_MAX} are read in this format")
        try:
            yield message.FromString(body[start : start + size])
        except DecodeError as error:
            raise PageError(f"the message at byte {position} is no MetricFamily: {error}") from error
        position = start + size


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = 0
    for n, byte in enumerate(body[position : position + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * n)
        if byte < 0x80:
            return value, position + n + 1
    raise PageError(f"no message length at byte {position}")


def _check_unit(family: Any) -> None:
    name = family.name.removesuffix("_total") if family.type == COUNTER else family.name
    if family.unit and not name.endswith("_" + family.unit):
        raise PageError(f'unit "{family.unit}" not a suffix of metric "{family.name}"')


def _bounded(metric: Any, name: str) -> None:
    """Raises PageError for a metric that has too many of anything."""
    h = metric.histogram
    parts = (
        metric.label, metric.summary.quantile, h.bucket, h.exemplars, h.positive_span, h.positive_delta, h.positive_count,
        h.negative_span, h.negative_delta, h.negative_count,
    )  # fmt: skip
    if max(map(len, parts)) > PARTS_MAX:
        raise PageError(f'metric "{name}" has more than {PARTS_MAX} labels, quantiles, buckets or exemplars')


def _read(rows: _Rows, name: str, kind: int, metric: Any) -> None:
    if metric.ByteSize() > PARTS_MAX:
        _bounded(metric, name)
    labels = [(pair.name, pair.value) for pair in metric.label]
    time_ms = metric.timestamp_ms or NO_TIME
    if kind == COUNTER:
        counter = metric.counter
        rows.add(name, labels, counter.value, time_ms, counter.exemplar if counter.HasField("exemplar") else None)
    elif kind == GAUGE:
        rows.add(name, labels, metric.gauge.value, time_ms)
    elif kind == UNTYPED:
        rows.add(name, labels, metric.untyped.value, time_ms)
    elif kind == SUMMARY:
        summary = metric.summary
        rows.add(name + "_count", labels, summary.sample_count, time_ms)
        rows.add(name + "_sum", labels, summary.sample_sum, time_ms)
        for quantile in summary.quantile:
            rows.add(name, [*labels, ("quantile", format_label_number(quantile.quantile))], quantile.value, time_ms)
    else:
        native = rows.native and is_native(metric.histogram)
        if native:
            _read_native(rows, name, labels, metric, kind == GAUGE_HISTOGRAM)
        if not native or (rows.classic and metric.histogram.bucket):
            _read_classic(rows, name, labels, metric.histogram, time_ms)


def is_native(histogram: Any) -> bool:
    """An empty native histogram says so by a span of no length. Source: the native histogram specification."""
    return bool(histogram.positive_span or histogram.negative_span or histogram.zero_threshold > 0 or histogram.zero_count > 0)


def _read_classic(rows: _Rows, name: str, labels: list[tuple[str, str]], histogram: Any, time_ms: int) -> None:
    count = histogram.sample_count_float or histogram.sample_count
    rows.add(name + "_count", labels, count, time_ms)
    rows.add(name + "_sum", labels, histogram.sample_sum, time_ms)
    infinite = False
    for bucket in histogram.bucket:
        exemplar = bucket.exemplar if bucket.HasField("exemplar") else None
        value = bucket.cumulative_count_float or bucket.cumulative_count
        rows.add(name + "_bucket", [*labels, ("le", format_label_number(bucket.upper_bound))], value, time_ms, exemplar)
        infinite = bucket.upper_bound == math.inf
    if not infinite:
        rows.add(name + "_bucket", [*labels, ("le", "+Inf")], count, time_ms)


def _read_native(rows: _Rows, name: str, labels: list[tuple[str, str]], metric: Any, gauge: bool) -> None:
    histogram = metric.histogram
    row = len(rows.series)
    exemplars = histogram.exemplars or [b.exemplar for b in histogram.bucket if b.HasField("exemplar")]
    for exemplar in exemplars:
        if exemplar.HasField("timestamp"):
            rows.exemplars.append(PageExemplar(row, _labels(exemplar.label), exemplar.value, _exemplar_time(exemplar)))
    try:
        rows.histograms.append((row, _native(histogram, gauge)))
    except ValueError as error:
        raise PageError(f'histogram "{name}": {error}') from error
    rows.add(name, labels, ABSENT, metric.timestamp_ms or NO_TIME)


def _native(histogram: Any, gauge: bool) -> Histogram:
    floats = histogram.sample_count_float > 0 or histogram.zero_count_float > 0
    schema = histogram.schema
    if not EXPONENTIAL_SCHEMA_MIN <= schema <= EXPONENTIAL_SCHEMA_MAX:
        wrong = "custom buckets are not exposed in this format" if schema == CUSTOM_BUCKETS_SCHEMA else "unknown"
        raise ValueError(f"schema {schema}: {wrong}")
    positive = _buckets(histogram.positive_span, histogram.positive_delta, histogram.positive_count, floats)
    negative = _buckets(histogram.negative_span, histogram.negative_delta, histogram.negative_count, floats)
    count = histogram.sample_count_float if floats else histogram.sample_count
    zero_count = histogram.zero_count_float if floats else histogram.zero_count
    hint = ResetHint.GAUGE if gauge else ResetHint.UNKNOWN
    return Histogram(
        schema, count, histogram.sample_sum, histogram.zero_threshold, zero_count, positive, negative, reset_hint=hint
    )  # fmt: skip


def _buckets(spans: Any, deltas: Any, counts: Any, floats: bool) -> dict[int, float]:
    """Absolute counts by index from spans (offset to the end of the one before, length) of deltas, or of counts. Empty buckets are left out."""
    given = counts if floats else deltas
    if sum(span.length for span in spans) != len(given):
        raise ValueError(f"spans need {sum(span.length for span in spans)} buckets, have {len(given)} buckets")
    found: dict[int, float] = {}
    index, position, count = 0, 0, 0
    for number, span in enumerate(spans):
        if number and span.offset < 0:
            raise ValueError(f"span number {number + 1} with offset {span.offset}: it must not be negative")
        index += span.offset
        for number_of_bucket, value in enumerate(given[position : position + span.length], position + 1):
            count = value if floats else count + value
            if count < 0:
                raise ValueError(f"bucket number {number_of_bucket} has observation count of {count}: it must not be negative")
            if count:
                found[index] = count
            index += 1
        position += span.length
    return found


def _series(name: str, labels: list[tuple[str, str]]) -> Labels:
    found = list(labels)
    found.append((METRIC_NAME, name))
    found.sort()
    if len(dict(found)) != len(found):
        raise PageError(f'metric "{name}" has a label twice')
    return tuple(found)


def _labels(pairs: Any) -> Labels:
    return tuple(sorted((pair.name, pair.value) for pair in pairs))


def _exemplar_time(exemplar: Any) -> int:
    stamp = exemplar.timestamp
    return stamp.seconds * 1000 + stamp.nanos // 1_000_000 if exemplar.HasField("timestamp") else NO_TIME
