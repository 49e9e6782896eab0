"""Functions over ranges of series with native histograms: series by series and step by step, for they are few.

The float kernels have already answered for the floats of such a series. Here that answer is kept, corrected or withdrawn: most functions
ignore histograms beside floats and say so; some cannot mix them at all; counting ones take both.

Source: Prometheus' functions, as for floats and histograms mixed.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import IncompatibleSchemas, divide_by, equal, is_reset, multiply
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import histogram_sums
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.grouping import texts
from podium.telemetry.metrics.promql.selection import RangeVector
from podium.telemetry.metrics.promql.windows import HistogramRun, Part, valid_samples
from podium.telemetry.metrics.samples import Flags, Values

if TYPE_CHECKING:
    from podium.telemetry.metrics.promql.range_functions import RangeCall

Sample = tuple[int, float | Histogram]


@dataclass(frozen=True, slots=True)
class Window:
    """The samples of one series in one window."""

    floats: Sequence[tuple[int, float]]
    histograms: Sequence[tuple[int, Histogram]]
    start_ms: int
    end_ms: int
    metric: str

    def merged(self) -> list[Sample]:
        both: list[Sample] = [*self.floats, *self.histograms]
        return sorted(both, key=lambda s: s[0])


NOTHING = object()
KEEP = object()
"""What the float kernel said."""


def evaluate(context: Context, call: "RangeCall", vector: RangeVector, values: Values, present: Flags) -> dict[int, list[Histogram | None]]:
    """Histograms of the result; `values` and `present` are changed in place."""
    found: dict[int, list[Histogram | None]] = {}
    if not vector.histograms:
        return found
    metrics = texts(vector.labels, "__name__")
    for run in vector.histograms:
        floats = floats_of(vector.parts, run.row)
        row: list[Histogram | None] = [None] * len(call.ends)
        for step, window in enumerate(_windows(call, floats, run, metrics[run.row])):
            if not window.histograms:
                continue
            context.statistics.count(sum(weight(h) for _, h in window.histograms))
            outcome = _outcome(context, call, window)
            if outcome is KEEP:
                continue
            present[run.row, step] = isinstance(outcome, float)
            if isinstance(outcome, float):
                values[run.row, step] = outcome
            elif isinstance(outcome, Histogram):
                row[step] = outcome
        if any(h is not None for h in row):
            found[run.row] = row
    return found


def weight(histogram: Histogram) -> int:
    """How many samples upstream counts a histogram as: 16 bytes each."""
    buckets = len(histogram.positive) + len(histogram.negative) + len(histogram.custom_bounds)
    return (176 + 8 * buckets + 16 * bool(buckets)) // 16


def floats_of(parts: Sequence[Part], row: int) -> list[tuple[int, float]]:
    for part in parts:
        at = int(np.searchsorted(part.rows, row))
        if at < len(part.rows) and int(part.rows[at]) == row:
            valid = valid_samples(part, at, 1, 0, len(part.times))
            kept = slice(None) if valid is None else valid[0]
            return list(zip(part.times[kept].tolist(), part.values[at][kept].tolist(), strict=True))
    return []


def _windows(call: "RangeCall", floats: list[tuple[int, float]], run: HistogramRun, metric: str) -> list[Window]:
    float_times = [t for t, _ in floats]
    histogram_times = run.times.tolist()
    histograms = list(zip(histogram_times, run.histograms, strict=True))
    windows = []
    for start, end in zip(call.starts.tolist(), call.ends.tolist(), strict=True):
        own_floats = floats[bisect_right(float_times, start) : bisect_right(float_times, end)]
        own = histograms[bisect_right(histogram_times, start) : bisect_right(histogram_times, end)]
        windows.append(Window(own_floats, own, start, end, metric))
    return windows


def _outcome(context: Context, call: "RangeCall", window: Window) -> object:
    """A float, a Histogram, NOTHING or KEEP, for a window with a histogram at least."""

    def note(text: str) -> None:
        context.annotations.add(text, call.span)

    special = _SPECIAL.get(call.name)
    if special is not None:
        return special(call, window, note)
    if window.floats:
        note(notes.ignored_in_range(window.metric))
    return KEEP


def _rate(call: "RangeCall", window: Window, note: histogram_sums.Note) -> object:
    if window.floats:
        note(notes.mixed_samples(window.metric))
        return NOTHING
    if len(window.histograms) < 2:
        return NOTHING
    counter = call.name != "delta"
    points = [h for _, h in window.histograms]
    change = histogram_sums.difference(points, window.metric, note, counter=counter)
    if change is None:
        return NOTHING
    first_ms, last_ms = window.histograms[0][0], window.histograms[-1][0]
    sampled = (last_ms - first_ms) / 1000
    interval = sampled / (len(points) - 1)
    to_start, to_end = (first_ms - window.start_ms) / 1000, (window.end_ms - last_ms) / 1000
    if to_start >= interval * 1.1:
        to_start = interval / 2
    if counter and change.count > 0 and points[0].count >= 0:
        to_start = min(to_start, sampled * (points[0].count / change.count))
    if to_end >= interval * 1.1:
        to_end = interval / 2
    factor = (sampled + to_start + to_end) / sampled
    return multiply(change, factor / (call.range_ms / 1000) if call.name == "rate" else factor)


def _instant(call: "RangeCall", window: Window, note: histogram_sums.Note) -> object:
    samples = window.merged()[-2:]
    if len(samples) < 2 or samples[0][0] == samples[1][0]:
        return NOTHING
    (before_ms, before), (last_ms, last) = samples
    counter = call.name == "irate"
    if isinstance(before, Histogram) is not isinstance(last, Histogram):
        note(notes.mixed_samples(window.metric))
        return NOTHING
    seconds = (last_ms - before_ms) / 1000
    if isinstance(before, Histogram) and isinstance(last, Histogram):
        change = histogram_sums.last_two(before, last, window.metric, note, counter=counter)
        if change is None:
            return NOTHING
        return divide_by(change, seconds) if counter else change
    return KEEP


def _sum(call: "RangeCall", window: Window, note: histogram_sums.Note) -> object:
    if window.floats:
        note(notes.mixed_samples(window.metric))
        return NOTHING
    add = histogram_sums.average if call.name == "avg_over_time" else histogram_sums.total
    try:
        made = add([h for _, h in window.histograms])
    except IncompatibleSchemas:
        note(notes.mixed_schemas(window.metric))
        return NOTHING
    if made.collision:
        note(notes.reset_collision("aggregation"))
    if made.reconciled:
        note(notes.reconciled_bounds("aggregation"))
    return made.histogram


def _count(call: "RangeCall", window: Window, note: histogram_sums.Note) -> object:
    return float(len(window.floats) + len(window.histograms)) if call.name == "count_over_time" else 1.0


def _end(call: "RangeCall", window: Window, note: histogram_sums.Note) -> object:
    samples = window.merged()
    when, value = samples[-1] if "last" in call.name else samples[0]
    if call.name.startswith("ts_of"):
        return when / 1000
    return float(value) if not isinstance(value, Histogram) else value


def _count_changes(call: "RangeCall", window: Window, note: histogram_sums.Note) -> object:
    samples = [value for _, value in window.merged()]
    differs = _is_reset if call.name == "resets" else _is_change
    return float(sum(differs(before, after) for before, after in pairwise(samples)))


def _is_reset(before: float | Histogram, after: float | Histogram) -> bool:
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return is_reset(after, before)
    return isinstance(before, Histogram) or isinstance(after, Histogram) or after < before


def _is_change(before: float | Histogram, after: float | Histogram) -> bool:
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return not equal(before, after)
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return True
    return after != before and not (after != after and before != before)


_Special = Callable[["RangeCall", Window, histogram_sums.Note], object]
_SPECIAL: Mapping[str, _Special] = (
    dict.fromkeys(("rate", "increase", "delta"), _rate)
    | dict.fromkeys(("irate", "idelta"), _instant)
    | dict.fromkeys(("sum_over_time", "avg_over_time"), _sum)
    | dict.fromkeys(("count_over_time", "present_over_time", "absent_over_time"), _count)
    | dict.fromkeys(("last_over_time", "first_over_time", "ts_of_last_over_time", "ts_of_first_over_time"), _end)
    | dict.fromkeys(("changes", "resets"), _count_changes)
)
