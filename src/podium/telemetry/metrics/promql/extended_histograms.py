"""Native histograms in extended ranges: what one grew by between a window's ends, and what it was between two samples.

As with floats, what is between two samples is interpolated, bucket by bucket; a counter that was reset between them began at nothing. The samples
at the ends may be interpolated from, so a reset that an interpolation has already allowed for must not be counted again:

    10 | reset 5 . . . reset 2     the window begins at |: what is left of it began at 0, and rose by 5 - 5 f; then 5 was lost

Schemas are brought together pair by pair. What cannot be brought together gives no result, and a warning.

Source: Prometheus 3's extended rates of native histograms.
"""

from collections.abc import Sequence
from dataclasses import replace

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import combine, compact, divide_by, is_custom, is_reset, multiply
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql.histogram_sums import Note
from podium.telemetry.metrics.promql.range_functions import RangeCall

Points = Sequence[tuple[int, Histogram]]


def between(before: tuple[int, Histogram], after: tuple[int, Histogram], at: int, note: Note, *, counter: bool) -> Histogram:
    """Interpolated. Both have exponential buckets, or both custom ones."""
    if at in (before[0], after[0]):
        return before[1] if at == before[0] else after[1]
    fraction = (at - before[0]) / (after[0] - before[0])
    if counter and is_reset(after[1], before[1]):
        return multiply(after[1], fraction)
    grown = _combined(after[1], before[1], -1, note)
    return _combined(multiply(grown, fraction), before[1], 1, note)


def _combined(left: Histogram, right: Histogram, sign: int, note: Note) -> Histogram:
    step = combine(left, right, sign)
    if step.reconciled:
        note(notes.reconciled_bounds("addition" if sign > 0 else "subtraction"))
    return step.histogram


def change(call: RangeCall, points: Points, end_ms: int, metric: str, note: Note, *, smoothed: bool) -> Histogram | None:
    """Of a window from `call.range_ms` before `end_ms`, of which the first point is the last one before it, when there is one; the last one of a
    smoothed window may be the first after it. None: they do not fit together."""
    counter = call.name != "delta"
    if not _valid(points, metric, note, counter=counter):
        return None
    result = _change(points, end_ms - call.range_ms, end_ms, metric, note, counter=counter, smoothed=smoothed)
    if call.name == "rate":
        result = divide_by(result, call.range_ms / 1000)
    return compact(result)


def _valid(points: Points, metric: str, note: Note, *, counter: bool) -> bool:
    custom = is_custom(points[0][1])
    for _, histogram in points:
        if is_custom(histogram) is not custom:
            note(notes.mixed_schemas(metric))
            return False
        if counter and histogram.reset_hint is ResetHint.GAUGE:
            note(notes.not_counter(metric))
    return True


def _change(points: Points, start: int, end: int, metric: str, note: Note, *, counter: bool, smoothed: bool) -> Histogram:
    left, right = points[0][1], points[-1][1]
    if smoothed and points[0][0] < start:
        left = between(points[0], points[1], start, note, counter=counter)
    if smoothed and len(points) > 1 and points[-1][0] > end:
        right = between(points[-2], points[-1], end, note, counter=counter)
    if not counter and not left.reset_hint is right.reset_hint is ResetHint.GAUGE:
        note(notes.not_gauge(metric))
    result = _combined(right, left, -1, note)
    lost = _lost(points, left, right, crossing=smoothed and points[0][0] < start) if counter else []
    if lost:
        total = lost[0]
        for histogram in lost[1:]:
            total = _combined(total, histogram, 1, note)
        result = _combined(result, total, 1, note)
    return replace(result, reset_hint=ResetHint.GAUGE)


def _lost(points: Points, left: Histogram, right: Histogram, *, crossing: bool) -> list[Histogram]:
    """What was there before each reset. `crossing`: the left end lies between the first two points."""
    before, inner = left, points[1:-1]
    if crossing and is_reset(points[1][1], points[0][1]):
        if len(points) == 2:
            return []  # both ends lie behind the reset
        before, inner = points[1][1], points[2:-1]
    if len(points) == 1:
        return []
    found = []
    for _, histogram in inner:
        if is_reset(histogram, before):
            found.append(before)
        before = histogram
    if is_reset(right, before):
        found.append(before)
    return found
