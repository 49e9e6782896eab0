"""Whether a query's result is the expected one. Numbers compare within EPSILON, relatively; NaN equals NaN."""

import math
import re
from collections.abc import Sequence

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.printer import print_label, print_number
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.promql.results import Matrix, Point, Result, Scalar, Series, String, Vector
from podium.telemetry.metrics.promql.script_commands import Evaluation, Expected
from podium.telemetry.metrics.promql.series_notation import Noted, print_histogram

EPSILON = 1e-6
_SMALLEST_NORMAL = 2.2250738585072014e-308
_NAME = "__name__"
_POSITION = re.compile(r" \(\d+:\d+\)$")
_DETAIL = re.compile(r", from buckets \S+ to \S+, with a max diff of .* over \d+ samples from \S+ to \S+(?= \(\d+:\d+\)$)")


class Mismatch(Exception):
    """What was expected, and what came instead."""


def check_result(expected: Evaluation, result: Result) -> None:
    """Raises Mismatch."""
    _check_annotations("warning", expected.warn, expected.no_warn, result.warnings)
    _check_annotations("info", expected.info, expected.no_info, result.infos)
    value = result.value
    if isinstance(value, Scalar):
        check_scalar(expected, value.value)
    elif isinstance(value, String):
        if value.value != expected.string:
            wanted = "another kind of result" if expected.string is None else quote(expected.string)
            raise Mismatch(f"expected {wanted}, got the string {quote(value.value)}")
    elif expected.scalar is not None or expected.string is not None:
        raise Mismatch(f"expected a {'scalar' if expected.string is None else 'string'}, got a {value.type.value}: {show(value)}")
    elif isinstance(value, Vector):
        check_vector(expected, value.points)
    else:
        check_matrix(expected, value)


def check_failure(expected: Evaluation, said: str) -> None:
    """Raises Mismatch."""
    if not expected.fail[0].matches(said):
        raise Mismatch(f"expected the error {expected.fail[0]}, got {quote(said)}")


def _check_annotations(kind: str, expected: Sequence[Expected], none: bool, found: Sequence[str]) -> None:
    if none and found:
        raise Mismatch(f"expected no {kind}, got {'; '.join(found)}")
    if not expected:
        return
    for one in expected:
        if not any(_annotated(one, said) for said in found):
            raise Mismatch(f"expected the {kind} {one}, got {'; '.join(found) or 'none'}")
    for said in found:
        if not any(_annotated(one, said) for one in expected):
            raise Mismatch(f"expected no such {kind}: {said}")


def _annotated(expected: Expected, said: str) -> bool:
    """Older scripts of upstream do not say where in the query, nor how far buckets were from rising: they are to pass too."""
    short = _DETAIL.sub("", said)
    return any(expected.matches(text) for text in (said, short, _POSITION.sub("", said), _POSITION.sub("", short)))


def check_scalar(expected: Evaluation, value: float) -> None:
    if expected.scalar is None:
        raise Mismatch(f"expected {_wanted(expected)}, got the scalar {print_number(value)}")
    if not almost_equal(expected.scalar, value):
        raise Mismatch(f"expected the scalar {print_number(expected.scalar)}, got {print_number(value)}")


def check_vector(expected: Evaluation, points: Sequence[Point]) -> None:
    places = {labels: n for n, labels in enumerate(expected.series)}
    for n, point in enumerate(points):
        wanted = expected.series.get(point.labels)
        shown = f"{show_labels(point.labels)} {show_value(point.value)}"
        if wanted is None:
            raise Mismatch(f"expected {_wanted(expected)}, got {shown}")
        if expected.ordered and places[point.labels] != n:
            raise Mismatch(f"expected {show_labels(point.labels)} at position {places[point.labels] + 1}, got it at {n + 1}")
        if not _same(wanted[0], point.value):
            raise Mismatch(f"expected {show_labels(point.labels)} {_show_noted(wanted[0])}, got {show_value(point.value)}")
    _check_all_found(expected, [point.labels for point in points])


def check_matrix(expected: Evaluation, matrix: Matrix) -> None:
    found = [series.labels for series in matrix.series]
    if expected.ordered:
        raise Mismatch("expected an ordered result, got a matrix")
    if found != sorted(found):
        raise Mismatch(f"expected series sorted by labels, got {', '.join(show_labels(labels) for labels in found)}")
    for series in matrix.series:
        wanted = expected.series.get(series.labels)
        if wanted is None:
            raise Mismatch(f"expected {_wanted(expected)}, got {show_series(series)}")
        _check_series(expected, wanted, series)
    _check_all_found(expected, found)


def _check_series(expected: Evaluation, wanted: Sequence[Noted], series: Series) -> None:
    times = {expected.start_ms + n * expected.step_ms: noted for n, noted in enumerate(wanted)}
    if max(times) > expected.end_ms:
        raise Mismatch(f"expected {len(wanted)} points for {show_labels(series.labels)}, which the query's range has no room for")
    missing = [time for time, noted in times.items() if noted.value is not None]
    for time, value in _points(series):
        noted = times.get(time)
        if noted is None or not _same(noted, value):
            what = "none" if noted is None else _show_noted(noted)
            raise Mismatch(
                f"expected {what} at {time / 1000:g}s of {show_labels(series.labels)}, got {show_value(value)} in {show_series(series)}"
            )
        missing.remove(time)
    if missing:
        raise Mismatch(f"expected a value at {missing[0] / 1000:g}s of {show_labels(series.labels)}, got none in {show_series(series)}")


def _points(series: Series) -> list[tuple[int, float | Histogram]]:
    floats: list[tuple[int, float | Histogram]] = list(zip(series.times.tolist(), series.values.tolist(), strict=True))
    return sorted([*floats, *zip(series.histogram_times.tolist(), series.histograms, strict=True)], key=lambda point: point[0])


def _check_all_found(expected: Evaluation, found: Sequence[Labels]) -> None:
    for labels, wanted in expected.series.items():
        if labels not in found:
            raise Mismatch(f"expected {show_labels(labels)} {' '.join(_show_noted(n) for n in wanted)}, got none such")


def _same(expected: Noted, found: float | Histogram) -> bool:
    wanted = expected.value
    if isinstance(wanted, Histogram):
        return isinstance(found, Histogram) and same_histogram(wanted, found, expected.hint_given)
    return wanted is not None and not isinstance(found, Histogram) and almost_equal(wanted, found)


def same_histogram(left: Histogram, right: Histogram, compare_hints: bool = False) -> bool:
    """Empty buckets do not matter."""
    parts = (("count", "sum", "zero_count"), ("schema", "zero_threshold", "custom_bounds"))
    if not all(almost_equal(getattr(left, name), getattr(right, name)) for name in parts[0]):
        return False
    if any(getattr(left, name) != getattr(right, name) for name in parts[1]):
        return False
    for ours, theirs in ((left.positive, right.positive), (left.negative, right.negative)):
        if any(not almost_equal(ours.get(i, 0.0), theirs.get(i, 0.0)) for i in {*ours, *theirs}):
            return False
    return not compare_hints or left.reset_hint is right.reset_hint


def almost_equal(left: float, right: float) -> bool:
    """Source: Prometheus' util/almost."""
    if left == right or (math.isnan(left) and math.isnan(right)):
        return True
    if math.isnan(left) or math.isnan(right):
        return False
    total, difference = abs(left) + abs(right), abs(left - right)
    if left == 0 or right == 0 or total < _SMALLEST_NORMAL:
        return difference < EPSILON * _SMALLEST_NORMAL
    return difference / min(total, 1.7976931348623157e308) < EPSILON


def show_labels(labels: Labels) -> str:
    named = dict(labels)
    name = named.pop(_NAME, "")
    return f"{name}{{{', '.join(f'{print_label(n)}={quote(v)}' for n, v in named.items())}}}"


def show_value(value: float | Histogram) -> str:
    return print_histogram(value) if isinstance(value, Histogram) else print_number(value)


def show_series(series: Series) -> str:
    points = " ".join(f"{show_value(value)}@{time / 1000:g}" for time, value in _points(series))
    return f"{show_labels(series.labels)} {points}"


def show(value: Vector | Matrix) -> str:
    if isinstance(value, Vector):
        return "; ".join(f"{show_labels(p.labels)} {show_value(p.value)}" for p in value.points) or "nothing"
    return "; ".join(show_series(series) for series in value.series) or "nothing"


def _show_noted(noted: Noted) -> str:
    return "_" if noted.value is None else show_value(noted.value)


def _wanted(expected: Evaluation) -> str:
    if expected.string is not None:
        return f"the string {quote(expected.string)}"
    if expected.scalar is not None:
        return f"the scalar {print_number(expected.scalar)}"
    return (
        "; ".join(f"{show_labels(labels)} {' '.join(_show_noted(n) for n in values)}" for labels, values in expected.series.items())
        or "nothing"
    )
