"""Results as upstream's JSON: times as numbers of seconds, values as strings.

The bulk of an answer is numbers, so they are written whole arrays at a time: orjson prints the shortest digits that read back (as Go does),
and only values whose exponent Go would write otherwise go one by one.

Source: Prometheus' HTTP API, "Expression query result formats", "Native histograms"; Go's strconv 'f' and 'e' formats.
"""

import math
from collections.abc import Sequence
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
    plain = (magnitudes < _PLAIN_MAX) & ((magnitudes >= _PLAIN_MIN) | (magnitudes == 0))
    if not plain.all():
        return [number_text(v) for v in values.tolist()]
    texts = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode() + ","
    return texts.replace(".0,", ",")[:-1].split(",")


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


def vector_json(points: Sequence[Point]) -> str:
    parts = []
    for point in points:
        time, metric = time_text(point.time_ms), _metric(point.labels)
        if isinstance(point.value, Histogram):
            parts.append(f'{{"metric":{metric},"histogram":[{time},{orjson.dumps(histogram_value(point.value)).decode()}]}}')
        else:
            parts.append(f'{{"metric":{metric},"value":[{time},"{number_text(point.value)}"]}}')
    return f"[{','.join(parts)}]"


def matrix_json(series: Sequence[Series]) -> str:
    known: dict[int, str] = {}
    return f"[{','.join(_series_json(s, known) for s in series)}]"


def _series_json(series: Series, known: dict[int, str]) -> str:
    """`known` keeps the texts of times: all series of a range query share them."""
    parts = [f'"metric":{_metric(series.labels)}']
    if len(series.times):
        parts.append(f'"values":[{_points(series.times, series.values, known)}]')
    if series.histograms:
        parts.append(f'"histograms":[{_histograms(series.histogram_times.tolist(), series.histograms)}]')
    return "{" + ",".join(parts) + "}"


def _points(times: Times, values: Values, known: dict[int, str]) -> str:
    heads = [known.get(t) or known.setdefault(t, f'[{time_text(t)},"') for t in times.tolist()]
    return ",".join([head + text + '"]' for head, text in zip(heads, number_texts(values), strict=True)])


def result_json(result: Result) -> str:
    """`"resultType":...,"result":...` without the braces around."""
    match result.value:
        case Scalar() as scalar:
            return f'"resultType":"scalar","result":[{time_text(scalar.time_ms)},"{number_text(scalar.value)}"]'
        case String() as string:
            return f'"resultType":"string","result":[{time_text(string.time_ms)},{orjson.dumps(string.value).decode()}]'
        case Vector(points):
            return f'"resultType":"vector","result":{vector_json(points)}'
        case Matrix(series):
            return f'"resultType":"matrix","result":{matrix_json(series)}'
