"""Extended range selectors: `anchored` windows begin with the last sample before them, `smoothed` ones with values interpolated at both ends.

    x[5m] anchored    rate, increase, delta, changes, resets
    x[5m] smoothed    rate, increase, delta
    x smoothed        the value interpolated at each step

Both look one lookback further than the range, smoothed ones also ahead. There is no extrapolation. Native histograms are interpolated as a whole
(`extended_histograms`); where they are mixed with floats there is no rate. Experimental, and worked on series by series.

Source: Prometheus' proposal 52 and its extended range selectors.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import is_custom
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import extended_histograms
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame
from podium.telemetry.metrics.promql.grouping import texts
from podium.telemetry.metrics.promql.histogram_sums import Note
from podium.telemetry.metrics.promql.range_functions import RangeCall, Results, note_names
from podium.telemetry.metrics.promql.range_histograms import floats_of, is_change, is_sample_reset
from podium.telemetry.metrics.promql.results import Matrix, Series
from podium.telemetry.metrics.promql.selection import RangeVector
from podium.telemetry.metrics.promql.syntax import Span
from podium.telemetry.metrics.samples import Times

T = TypeVar("T")

SAFE = {"anchored": ("changes", "delta", "increase", "rate", "resets"), "smoothed": ("delta", "increase", "rate")}

Points = Sequence[tuple[int, float]]


def reach(extension: str, lookback_ms: int) -> tuple[int, int]:
    """(how much further back, how much further ahead samples are needed)."""
    return {"": (0, 0), "anchored": (lookback_ms, 0), "smoothed": (lookback_ms, lookback_ms)}[extension]


@dataclass(frozen=True, slots=True)
class _Window:
    """The samples around one window of one series."""

    floats: Points
    histograms: extended_histograms.Points
    start: int
    end: int
    metric: str
    note: Note


def evaluate(context: Context, call: RangeCall, vector: RangeVector, extension: str, lookback_ms: int) -> Frame:
    """Names still there. Raises EvaluationError."""
    if call.name not in SAFE[extension]:
        raise EvaluationError(f"{extension} modifier can only be used with: {', '.join(SAFE[extension])} - not with {call.name}")
    before, behind = reach(extension, lookback_ms)
    results = Results(vector.labels.count, len(call.ends))
    histograms: dict[int, list[Histogram | None]] = {}
    for row, floats, natives, metric in _series(vector):
        made: list[Histogram | None] = [None] * len(call.ends)
        for step, (start, end) in enumerate(zip(call.starts.tolist(), call.ends.tolist(), strict=True)):
            since, until = start - before, end + behind
            own = _Window(_within(floats, since, until), _within(natives, since, until), start, end, metric, noting(context, call.span))
            value = _counted(call, own) if call.name in ("changes", "resets") else _difference(call, own, extension)
            if isinstance(value, Histogram):
                made[step] = value
            elif value is not None:
                results.values[row, step], results.present[row, step] = value, True
        if any(h is not None for h in made):
            histograms[row] = made
    if call.name in ("rate", "increase"):
        note_names(context, call, vector, results.present)
    return Frame(vector.labels, results.values, results.present, histograms).pruned()


def noting(context: Context, span: Span) -> Note:
    return lambda text: context.annotations.add(text, span)


def _series(vector: RangeVector) -> Iterator[tuple[int, Points, extended_histograms.Points, str]]:
    """(row, floats, native histograms, metric name)."""
    metrics = texts(vector.labels, METRIC_NAME)
    runs = {run.row: list(zip(run.times.tolist(), run.histograms, strict=True)) for run in vector.histograms}
    for row in range(vector.labels.count):
        yield row, floats_of(vector.parts, row), runs.get(row, []), metrics[row]


def _within(points: Sequence[tuple[int, T]], since: int, until: int) -> Sequence[tuple[int, T]]:
    """Of (since, until]."""
    return points[bisect_right(points, since, key=_time) : bisect_right(points, until, key=_time)]


def _time(point: tuple[int, object]) -> int:
    return point[0]


def _bounds(points: Sequence[tuple[int, object]], start: int, end: int, extension: str) -> tuple[int, int] | None:
    """The first and the last sample that count; None: there is none in the window."""
    if not points:
        return None
    times = [t for t, _ in points]
    final = len(points) - 1
    first = max(0, bisect_right(times, start, 0, final) - 1)
    if extension == "smoothed":
        final = bisect_left(times, end, 0, final)
    if times[final] <= start or (extension == "smoothed" and times[first] > end):
        return None
    return first, final


def _difference(call: RangeCall, window: _Window, extension: str) -> float | Histogram | None:
    if not window.histograms:
        return _change(call, window.floats, window.start, window.end, extension)
    if window.floats:
        window.note(notes.mixed_samples(window.metric))
        return None
    found = _bounds(window.histograms, window.start, window.end, extension)
    if found is None:
        return None
    points = window.histograms[found[0] : found[1] + 1]
    return extended_histograms.change(call, points, window.end, window.metric, window.note, smoothed=extension == "smoothed")


def _change(call: RangeCall, points: Points, start: int, end: int, extension: str) -> float | None:
    found = _bounds(points, start, end, extension)
    if found is None:
        return None
    first, final = found
    counter, smoothed = call.name != "delta", extension == "smoothed"
    left, right = _ends(points, first, final, start, end, smoothed=smoothed, counter=counter)
    result = right - left
    if counter:
        first += points[first][0] <= start
        final -= points[final][0] >= end
        before = left
        for _, value in points[first : final + 1]:
            result += before if value < before else 0.0
            before = value
        result += before if right < before else 0.0
    return result / (call.range_ms / 1000) if call.name == "rate" else result


def _ends(points: Points, first: int, final: int, start: int, end: int, *, smoothed: bool, counter: bool) -> tuple[float, float]:
    """The values at the window's ends."""
    left, right = points[first][1], points[final][1]
    if smoothed and points[first][0] < start:
        left = _interpolated(points[first], points[first + 1], start, counter=counter)
    if smoothed and final > 0 and points[final][0] > end:
        right = _interpolated(points[final - 1], points[final], end, counter=counter)
    return left, right


def _interpolated(before: tuple[int, float], after: tuple[int, float], at: int, *, counter: bool) -> float:
    """A counter that was reset between the two began at 0."""
    low = 0.0 if counter and after[1] < before[1] else before[1]
    return low + (after[1] - low) * (at - before[0]) / (after[0] - before[0])


def _counted(call: RangeCall, window: _Window) -> float | None:
    both: list[tuple[int, float | Histogram]] = [*window.floats, *window.histograms]
    points = sorted(both, key=_time)
    found = _bounds(points, window.start, 0, "anchored")
    if found is None:
        return None
    differs = is_sample_reset if call.name == "resets" else is_change
    return float(sum(differs(before, after) for (_, before), (_, after) in pairwise(points[found[0] :])))


def smoothed_instant(vector: RangeVector, at: Times, lookback_ms: int, note: Note) -> Frame:
    """Interpolated between the samples around each time; the last one where none follows."""
    results = Results(vector.labels.count, len(at))
    histograms: dict[int, list[Histogram | None]] = {}
    for row, floats, natives, metric in _series(vector):
        made: list[Histogram | None] = [None] * len(at)
        for step, now in enumerate(at.tolist()):
            since, until = now - lookback_ms, now + lookback_ms
            value = _around(_Window(_within(floats, since, until), _within(natives, since, until), now, now, metric, note))
            if isinstance(value, Histogram):
                made[step] = value
            elif value is not None:
                results.values[row, step], results.present[row, step] = value, True
        if any(h is not None for h in made):
            histograms[row] = made
    return Frame(vector.labels, results.values, results.present, histograms).pruned()


def _around(window: _Window) -> float | Histogram | None:
    """At the window's end."""
    if window.floats and window.histograms:
        window.note(notes.mixed_samples(window.metric))
        return None
    points: Sequence[tuple[int, float | Histogram]] = window.floats or window.histograms
    now = window.end
    index = bisect_left(points, now, key=_time)
    if index < len(points) and points[index][0] == now:
        return points[index][1]
    if index == 0:
        return None
    if index == len(points):
        return points[-1][1]
    if window.floats:
        return _interpolated(window.floats[index - 1], window.floats[index], now, counter=False)
    before, after = window.histograms[index - 1], window.histograms[index]
    if is_custom(before[1]) is not is_custom(after[1]):
        window.note(notes.mixed_schemas(window.metric))
        return None
    counter = ResetHint.GAUGE not in (before[1].reset_hint, after[1].reset_hint)
    return extended_histograms.between(before, after, now, window.note, counter=counter)


def samples(vector: RangeVector, start: int, end: int, extension: str) -> Matrix:
    """The samples of each window with those at its ends, sorted by labels. Raises EvaluationError."""
    if vector.histograms:
        raise EvaluationError("anchored modifier is not supported with histograms")
    found = []
    for row, labels in enumerate(vector.labels.rows()):
        points = floats_of(vector.parts, row)
        bounds = _bounds(points, start, end, extension)
        if bounds is None:
            continue
        first, final = bounds
        left, right = _ends(points, first, final, start, end, smoothed=extension == "smoothed", counter=False)
        first += points[first][0] <= start
        final -= points[final][0] >= end
        kept = [(start, left), *points[first : final + 1], (end, right)]
        found.append(Series(labels, np.array([t for t, _ in kept], np.int64), np.array([v for _, v in kept])))
    return Matrix(sorted(found, key=_labels))


def _labels(series: Series) -> Labels:
    return series.labels
