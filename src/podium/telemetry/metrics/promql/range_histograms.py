"""Functions over ranges of series with native histograms: series by series and step by step, for they are few.

The float kernels have already answered for the floats of such a series. Here that answer is kept, corrected or withdrawn: most functions
ignore histograms beside floats and say so; some cannot mix them at all; counting ones take both.

Source: Prometheus' functions, as for floats and histograms mixed.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import IncompatibleSchemas, combine, divide_by, equal, is_reset, multiply
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import histogram_sums
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.grouping import texts
from podium.telemetry.metrics.promql.selection import RangeVector
from podium.telemetry.metrics.promql.start_timestamps import overlap_in, starts_anew
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
    since: Mapping[int, int] = field(default_factory=dict)  # start timestamps by time, where they are known

    def merged(self) -> list[Sample]:
        both: list[Sample] = [*self.floats, *self.histograms]
        return sorted(both, key=lambda s: s[0])

    def anew(self, before_ms: int, after_ms: int) -> bool:
        """Whether the sample of a time was counted anew since the one before it."""
        return bool(starts_anew(self.since.get(before_ms, 0), before_ms, self.since.get(after_ms, 0), after_ms))


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
        since = _starts(vector.parts, run) if call.start_timestamps else {}
        for step, window in enumerate(_windows(call, floats, run, metrics[run.row], since)):
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


def _starts(parts: Sequence[Part], run: HistogramRun) -> dict[int, int]:
    """Start timestamps of a series, by time."""
    found: dict[int, int] = {}
    for part in parts:
        at = int(np.searchsorted(part.rows, run.row))
        if part.since is not None and at < len(part.rows) and int(part.rows[at]) == run.row:
            found.update(zip(part.times.tolist(), part.since[at].tolist(), strict=True))
    if run.since is not None:
        found.update(zip(run.times.tolist(), run.since.tolist(), strict=True))
    return {time: since for time, since in found.items() if since}


def _windows(call: "RangeCall", floats: list[tuple[int, float]], run: HistogramRun, metric: str, since: Mapping[int, int]) -> list[Window]:
    float_times = [t for t, _ in floats]
    histogram_times = run.times.tolist()
    histograms = list(zip(histogram_times, run.histograms, strict=True))
    windows = []
    for start, end in zip(call.starts.tolist(), call.ends.tolist(), strict=True):
        own_floats = floats[bisect_right(float_times, start) : bisect_right(float_times, end)]
        own = histograms[bisect_right(histogram_times, start) : bisect_right(histogram_times, end)]
        windows.append(Window(own_floats, own, start, end, metric, since))
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
    counter = call.name != "delta"
    first_ms, last_ms = window.histograms[0][0], window.histograms[-1][0]
    since_ms = window.since.get(first_ms, 0) if counter else 0
    started = since_ms != 0 and window.start_ms < since_ms < first_ms
    if len(window.histograms) < 2 and not started:
        return NOTHING
    change = _difference(window, note, counter=counter, started=started)
    if change is None:
        return NOTHING
    sampled = (last_ms - (since_ms if started else first_ms)) / 1000
    interval = (last_ms - first_ms) / 1000 / max(1, len(window.histograms) - 1)
    to_start = 0.0 if started else _to_start(window, change, sampled, interval, counter=counter)
    to_end = (window.end_ms - last_ms) / 1000
    if to_end >= interval * 1.1:
        to_end = interval / 2
    factor = (sampled + to_start + to_end) / sampled
    return multiply(change, factor / (call.range_ms / 1000) if call.name == "rate" else factor)


def _difference(window: Window, note: histogram_sums.Note, *, counter: bool, started: bool) -> Histogram | None:
    """What a histogram grew by; since it was empty, when it `started` within the window. None: they do not fit together."""
    times, points = [t for t, _ in window.histograms], [h for _, h in window.histograms]
    if counter and overlap_in(times, window.since):
        note(notes.overlapping_starts(window.metric))
    if len(points) == 1:
        return points[0]
    anew = [False, *(window.anew(before, after) for before, after in pairwise(times))] if counter else ()
    change = histogram_sums.difference(points, window.metric, note, counter=counter, anew=anew)
    if change is None or not started:
        return change
    try:
        step = combine(change, points[0])
    except IncompatibleSchemas:
        note(notes.mixed_schemas(window.metric))
        return None
    if step.reconciled:
        note(notes.reconciled_bounds("addition"))
    return step.histogram


def _to_start(window: Window, change: Histogram, sampled: float, interval: float, *, counter: bool) -> float:
    """How far a rate reaches before the first histogram, in seconds: never to where its count would have been below zero."""
    first_ms, first = window.histograms[0]
    to_start = (first_ms - window.start_ms) / 1000
    if to_start >= interval * 1.1:
        to_start = interval / 2
    if counter and change.count > 0 and first.count >= 0:
        to_start = min(to_start, sampled * (first.count / change.count))
    return to_start


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
        anew = window.anew(before_ms, last_ms)
        change = histogram_sums.last_two(before, last, window.metric, note, counter=counter, anew=anew)
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
    pairs = pairwise(window.merged())
    if call.name == "resets":
        return float(sum(is_sample_reset(before, after) or window.anew(*times) for before, after, times in _untimed(pairs)))
    return float(sum(is_change(before, after) for before, after, _ in _untimed(pairs)))


def _untimed(pairs: Iterable[tuple[Sample, Sample]]) -> Iterator[tuple[float | Histogram, float | Histogram, tuple[int, int]]]:
    for (before_ms, before), (after_ms, after) in pairs:
        yield before, after, (before_ms, after_ms)


def is_sample_reset(before: float | Histogram, after: float | Histogram) -> bool:
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return is_reset(after, before)
    return isinstance(before, Histogram) or isinstance(after, Histogram) or after < before


def is_change(before: float | Histogram, after: float | Histogram) -> bool:
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
