"""Results as upstream's JSON: times as numbers of seconds, values as strings.

The bulk of an answer is numbers, so they are written whole arrays at a time: orjson prints the shortest digits that read back (as Go does),
and only values whose exponent Go would write otherwise go one by one.

Source: Prometheus' HTTP API, "Expression query result formats", "Native histograms"; Go's strconv 'f' and 'e' formats.
"""

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import Bucket, all_buckets
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.results import Matrix, Point, Result, Scalar, Series, String, Vector
from podium.telemetry.metrics.samples import Times, Values

_OPEN_LEFT, _OPEN_RIGHT, _CLOSED_BOTH = 0, 1, 3
_PLAIN_MIN, _PLAIN_MAX = 1e-5, 1e15
"""Magnitudes within which orjson and Go write the same digits, but for the `.0` of whole numbers."""

POINTS_AT_ONCE = 1 << 15
"""That are texts at a time: a text takes eight times the space of a number."""
POINTS_A_HISTOGRAM = 64
"""As many points' work is a native histogram."""
SERIES_AT_ONCE = 1_000
TIMES_KNOWN_MAX = 50_000
"""Series of a range query have at most 11,000 times, and share them; those of a selector with a range may have any."""


def number_text(value: float) -> str:
    """As Go's JSON encoding of a float, with NaN, +Inf and -Inf as words."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    magnitude = abs(value)
    if magnitude and (magnitude < 1e-6 or magnitude >= 1e21):
        return text.replace("e-0", "e-").replace(".0e", "e")
    if "e" in text:
        return format(Decimal(text), "f")
    return text.removesuffix(".0")


def number_texts(values: Values) -> list[str]:
    """Of many."""
    if not len(values):
        return []
    magnitudes = np.abs(values)
    odd = np.flatnonzero(~((magnitudes < _PLAIN_MAX) & ((magnitudes >= _PLAIN_MIN) | (magnitudes == 0))))
    plain = np.ascontiguousarray(values)
    if len(odd):
        plain = values.copy()
        plain[odd] = 0.0
    joined = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode() + ","
    texts = joined.replace(".0,", ",")[:-1].split(",")
    for at in odd.tolist():
        texts[at] = number_text(float(values[at]))
    return texts


def time_text(time_ms: int) -> str:
    seconds, rest = divmod(abs(time_ms), 1000)
    sign = "-" if time_ms < 0 else ""
    return f"{sign}{seconds}.{rest:03d}" if rest else f"{sign}{seconds}"


def histogram_value(histogram: Histogram) -> dict[str, Any]:
    """`buckets`: [boundaries, lower, upper, count]; boundaries 0: open left, 1: open right, 3: closed both."""
    shown: dict[str, Any] = {"count": number_text(histogram.count), "sum": number_text(histogram.sum)}
    listed = [_bucket(b) for b in all_buckets(histogram) if b.count]
    if listed:
        shown["buckets"] = listed
    return shown


def _bucket(bucket: Bucket) -> list[Any]:
    around_zero = bucket.lower == -bucket.upper
    boundaries = _CLOSED_BOTH if around_zero else _OPEN_RIGHT if bucket.upper <= 0 else _OPEN_LEFT
    return [boundaries, number_text(bucket.lower), number_text(bucket.upper), number_text(bucket.count)]


def _metric(labels: Labels) -> str:
    return orjson.dumps(dict(labels)).decode()


def _histograms(times: Sequence[int], histograms: Sequence[Histogram]) -> str:
    pairs = zip(times, histograms, strict=True)
    return ",".join(f"[{time_text(t)},{orjson.dumps(histogram_value(h)).decode()}]" for t, h in pairs)


def _vector(points: Sequence[Point]) -> Iterator[str]:
    for start in range(0, len(points), SERIES_AT_ONCE):
        yield ("," if start else "") + ",".join(map(_point, points[start : start + SERIES_AT_ONCE]))


def _point(point: Point) -> str:
    time, metric = time_text(point.time_ms), _metric(point.labels)
    if isinstance(point.value, Histogram):
        return f'{{"metric":{metric},"histogram":[{time},{orjson.dumps(histogram_value(point.value)).decode()}]}}'
    return f'{{"metric":{metric},"value":[{time},"{number_text(point.value)}"]}}'


def matrix_json(series: Sequence[Series]) -> str:
    return f"[{''.join(_matrix(series))}]"


def _matrix(series: Sequence[Series]) -> Iterator[str]:
    """Numbers of many series become texts together, and go into what a series of its times looks like, made once."""
    templates = _Templates()
    comma = ""
    for some in _batches(series):
        pieces = _long_series(some[0]) if _is_long(some[0]) else iter((_short_series(some, templates),))
        yield comma + next(pieces)
        yield from pieces
        comma = ","


def _batches(series: Sequence[Series]) -> Iterator[Sequence[Series]]:
    """About POINTS_AT_ONCE points each, SERIES_AT_ONCE series at most; a long series by itself."""
    start = points = 0
    for at, one in enumerate(series):
        own = len(one.values) + POINTS_A_HISTOGRAM * len(one.histograms)
        if at > start and (own > POINTS_AT_ONCE or points + own > POINTS_AT_ONCE or at - start >= SERIES_AT_ONCE):
            yield series[start:at]
            start, points = at, 0
        points += own
    if start < len(series):
        yield series[start:]


def _is_long(series: Series) -> bool:
    return len(series.values) + POINTS_A_HISTOGRAM * len(series.histograms) > POINTS_AT_ONCE


def _short_series(some: Sequence[Series], templates: "_Templates") -> str:
    parts: list[str] = []
    points = [s.values for s in some if len(s.values)]
    texts = number_texts(np.concatenate(points)) if points else []
    at = 0
    for one in some:
        size = len(one.values)
        if size and not one.histograms:
            parts.append(f'{{"metric":{_metric(one.labels)},"values":[{templates.of(one.times) % tuple(texts[at : at + size])}]}}')
            at += size
            continue
        fields = [f'"metric":{_metric(one.labels)}']
        if size:
            fields.append(f'"values":[{templates.of(one.times) % tuple(texts[at : at + size])}]')
            at += size
        if one.histograms:
            fields.append(f'"histograms":[{_histograms(one.histogram_times.tolist(), one.histograms)}]')
        parts.append("{" + ",".join(fields) + "}")
    return ",".join(parts)


def _long_series(series: Series) -> Iterator[str]:
    yield f'{{"metric":{_metric(series.labels)}'
    for start in range(0, len(series.values), POINTS_AT_ONCE):
        end = start + POINTS_AT_ONCE
        texts = zip(series.times[start:end].tolist(), number_texts(series.values[start:end]), strict=True)
        yield ("," if start else ',"values":[') + ",".join([f'[{time_text(t)},"{text}"]' for t, text in texts])
    yield "]" if len(series.values) else ""
    times, step = series.histogram_times.tolist(), POINTS_AT_ONCE // POINTS_A_HISTOGRAM
    for start in range(0, len(series.histograms), step):
        end = start + step
        yield ("," if start else ',"histograms":[') + _histograms(times[start:end], series.histograms[start:end])
    yield "]}" if series.histograms else "}"


class _Templates:
    """Points at given times, with %s for the values. Most series of a range query share one array of times."""

    def __init__(self) -> None:
        self._last: Times | None = None
        self._text = ""
        self._points: dict[int, str] = {}

    def of(self, times: Times) -> str:
        if times is not self._last:
            if len(self._points) > TIMES_KNOWN_MAX:
                self._points.clear()
            points = [self._points.get(t) or self._points.setdefault(t, f'[{time_text(t)},"%s"]') for t in times.tolist()]
            self._last, self._text = times, ",".join(points)
        return self._text


def result_pieces(result: Result) -> Iterator[str]:
    """`"resultType":...,"result":...` without the braces around, piece by piece: each is some milliseconds of work."""
    match result.value:
        case Scalar() as scalar:
            yield f'"resultType":"scalar","result":[{time_text(scalar.time_ms)},"{number_text(scalar.value)}"]'
        case String() as string:
            yield f'"resultType":"string","result":[{time_text(string.time_ms)},{orjson.dumps(string.value).decode()}]'
        case Vector(points):
            yield '"resultType":"vector","result":['
            yield from _vector(points)
            yield "]"
        case Matrix(series):
            yield '"resultType":"matrix","result":['
            yield from _matrix(series)
            yield "]"
