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
STEP_SERIES, STEP_POINTS, STEP_HISTOGRAMS = 1_000, 20_000, 100
"""Written in one piece."""
TIMES_KNOWN_MAX = 50_000
"""Series of a range query have at most 11,000 times, and share them; those of a selector with a range may have any."""
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


def _vector(points: Sequence[Point]) -> Iterator[str]:
    for start in range(0, len(points), STEP_SERIES):
        yield ("," if start else "") + ",".join(map(_point, points[start : start + STEP_SERIES]))


def _point(point: Point) -> str:
    time, metric = time_text(point.time_ms), _metric(point.labels)
    if isinstance(point.value, Histogram):
        return f'{{"metric":{metric},"histogram":[{time},{orjson.dumps(histogram_value(point.value)).decode()}]}}'
    return f'{{"metric":{metric},"value":[{time},"{number_text(point.value)}"]}}'


def _matrix(series: Sequence[Series]) -> Iterator[str]:
    known: dict[int, str] = {}
    waiting, cost = "", 0
    for number, one in enumerate(series):
        waiting += "," if number else ""
        for piece in _series(one, known):
            waiting += piece
            cost += STEP_POINTS // STEP_SERIES + len(one.times)
            if cost >= STEP_POINTS:
                yield waiting
                waiting, cost = "", 0
    yield waiting


def _series(series: Series, known: dict[int, str]) -> Iterator[str]:
    """`known` keeps the texts of times: all series of a range query share them."""
    yield f'{{"metric":{_metric(series.labels)}'
    for start in range(0, len(series.times), STEP_POINTS):
        end = start + STEP_POINTS
        yield ("," if start else ',"values":[') + _points(series.times[start:end], series.values[start:end], known)
    yield "]" if len(series.times) else ""
    times = series.histogram_times.tolist()
    for start in range(0, len(series.histograms), STEP_HISTOGRAMS):
        end = start + STEP_HISTOGRAMS
        yield ("," if start else ',"histograms":[') + _histograms(times[start:end], series.histograms[start:end])
    yield "]}" if series.histograms else "}"


def _points(times: Times, values: Values, known: dict[int, str]) -> str:
    if len(known) > TIMES_KNOWN_MAX:
        known.clear()
    heads = [known.get(t) or known.setdefault(t, f'[{time_text(t)},"') for t in times.tolist()]
    return ",".join([head + text + '"]' for head, text in zip(heads, number_texts(values), strict=True)])


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
