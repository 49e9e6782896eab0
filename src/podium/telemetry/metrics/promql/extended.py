"""Extended range selectors: `anchored` windows begin with the last sample before them, `smoothed` ones with values interpolated at both ends.

    x[5m] anchored    rate, increase, delta, changes, resets
    x[5m] smoothed    rate, increase, delta
    x smoothed        the value interpolated at each step

Both look one lookback further than the range, smoothed ones also ahead. There is no extrapolation. Native histograms are refused. Experimental,
and worked on series by series.

Source: Prometheus' proposal 52 and its extended range selectors.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame
from podium.telemetry.metrics.promql.range_functions import RangeCall, Results
from podium.telemetry.metrics.promql.range_histograms import floats_of
from podium.telemetry.metrics.promql.results import Matrix, Series
from podium.telemetry.metrics.promql.selection import RangeVector
from podium.telemetry.metrics.samples import Times

SAFE = {"anchored": ("changes", "delta", "increase", "rate", "resets"), "smoothed": ("delta", "increase", "rate")}
REFUSED = "smoothed and anchored modifiers do not work with native histograms"

Points = Sequence[tuple[int, float]]


def reach(extension: str, lookback_ms: int) -> tuple[int, int]:
    """(how much further back, how much further ahead samples are needed)."""
    return {"": (0, 0), "anchored": (lookback_ms, 0), "smoothed": (lookback_ms, lookback_ms)}[extension]


def evaluate(call: RangeCall, vector: RangeVector, extension: str, lookback_ms: int) -> Frame:
    """Names still there. Raises EvaluationError."""
    if call.name not in SAFE[extension]:
        raise EvaluationError(f"{extension} modifier can only be used with: {', '.join(SAFE[extension])} - not with {call.name}")
    if vector.histograms:
        raise EvaluationError(REFUSED)
    before, behind = reach(extension, lookback_ms)
    results = Results(vector.labels.count, len(call.ends))
    for row in range(vector.labels.count):
        points = floats_of(vector.parts, row)
        times = [t for t, _ in points]
        for step, (start, end) in enumerate(zip(call.starts.tolist(), call.ends.tolist(), strict=True)):
            own = points[bisect_right(times, start - before) : bisect_right(times, end + behind)]
            value = _counted(call, own, start) if call.name in ("changes", "resets") else _change(call, own, start, end, extension)
            if value is not None:
                results.values[row, step], results.present[row, step] = value, True
    return Frame(vector.labels, results.values, results.present).pruned()


def _bounds(points: Points, start: int, end: int, extension: str) -> tuple[int, int] | None:
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


def _counted(call: RangeCall, points: Points, start: int) -> float | None:
    found = _bounds(points, start, 0, "anchored")
    if found is None:
        return None
    values = [v for _, v in points[found[0] :]]
    pairs = pairwise(values)
    if call.name == "resets":
        return float(sum(b < a for a, b in pairs))
    return float(sum(a != b and not (a != a and b != b) for a, b in pairs))


def smoothed_instant(vector: RangeVector, at: Times, lookback_ms: int) -> Frame:
    """Interpolated between the samples around each time; the last one where none follows. Raises EvaluationError."""
    if vector.histograms:
        raise EvaluationError(REFUSED)
    results = Results(vector.labels.count, len(at))
    for row in range(vector.labels.count):
        points = floats_of(vector.parts, row)
        times = [t for t, _ in points]
        for step, now in enumerate(at.tolist()):
            index = bisect_left(times, now)
            behind = index > 0 and times[index - 1] > now - lookback_ms
            ahead = index < len(points) and times[index] <= now + lookback_ms
            if ahead and times[index] == now:
                value = points[index][1]
            elif behind and ahead:
                value = _interpolated(points[index - 1], points[index], now, counter=False)
            elif behind:
                value = points[index - 1][1]
            else:
                continue
            results.values[row, step], results.present[row, step] = value, True
    return Frame(vector.labels, results.values, results.present).pruned()


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
