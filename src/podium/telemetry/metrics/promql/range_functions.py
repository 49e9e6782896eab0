"""Functions over ranges: which kernel each name has, and how the kernels' results become a frame.

Series are worked on in chunks (`windows_of`), with a pause between them. Series with native histograms go through `range_histograms` as well,
which corrects what the float kernels said of them.

Source: Prometheus' functions with a range vector argument.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import over_time, range_histograms, rates, start_timestamps
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame, Indices
from podium.telemetry.metrics.promql.grouping import distinct_texts
from podium.telemetry.metrics.promql.selection import RangeVector
from podium.telemetry.metrics.promql.syntax import Span
from podium.telemetry.metrics.promql.windows import Part, Windows, windows_of
from podium.telemetry.metrics.samples import Flags, Times, Unread, Values

COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
KEEPS_NAME = frozenset(("last_over_time", "first_over_time"))
"""They give samples as they were: all others change what the number means."""


@dataclass(frozen=True, slots=True)
class RangeCall:
    """One call: the function, its range, and its scalar arguments at every step."""

    name: str
    span: Span  # of the first argument, for annotations
    range_span: Span  # of the range vector
    range_ms: int
    starts: Times  # (T,) windows are (start, end]
    ends: Times  # (T,)
    at: Times  # (T,) the steps themselves: differ from `ends` by offset and @
    scalars: Sequence[Values] = ()  # each (T,)
    start_timestamps: bool = False  # use them where samples have them


Kernel = Callable[[Windows, RangeCall], over_time.Outcome]


def _plain(kernel: Callable[[Windows], over_time.Outcome]) -> Kernel:
    return lambda windows, call: kernel(windows)


def _extrapolated(windows: Windows, call: RangeCall, *, counter: bool, per_second: bool) -> over_time.Outcome:
    return rates.extrapolated(windows, call.range_ms, counter=counter, per_second=per_second)


def _smoothing(windows: Windows, call: RangeCall) -> over_time.Outcome:
    return over_time.double_exponential_smoothing(windows, call.scalars[0], call.scalars[1])


KERNELS: dict[str, Kernel] = {
    "rate": partial(_extrapolated, counter=True, per_second=True),
    "increase": partial(_extrapolated, counter=True, per_second=False),
    "delta": partial(_extrapolated, counter=False, per_second=False),
    "irate": _plain(partial(rates.instant, counter=True)),
    "idelta": _plain(partial(rates.instant, counter=False)),
    "changes": _plain(partial(rates.count_changes, resets=False)),
    "resets": _plain(partial(rates.count_changes, resets=True)),
    "avg_over_time": _plain(over_time.average),
    "sum_over_time": _plain(over_time.total),
    "count_over_time": _plain(over_time.count),
    "min_over_time": _plain(over_time.smallest),
    "max_over_time": _plain(over_time.largest),
    "last_over_time": _plain(over_time.last_value),
    "first_over_time": _plain(over_time.first_value),
    "present_over_time": _plain(over_time.presence),
    "absent_over_time": _plain(over_time.presence),
    "stddev_over_time": _plain(over_time.deviation),
    "stdvar_over_time": _plain(over_time.variance),
    "mad_over_time": _plain(over_time.median_deviation),
    "quantile_over_time": lambda windows, call: over_time.quantile(windows, call.scalars[0]),
    "ts_of_first_over_time": _plain(over_time.first_time),
    "ts_of_last_over_time": _plain(over_time.last_time),
    "ts_of_max_over_time": _plain(partial(over_time.extreme_time, highest=True)),
    "ts_of_min_over_time": _plain(partial(over_time.extreme_time, highest=False)),
    "deriv": _plain(over_time.derivative),
    "predict_linear": lambda windows, call: over_time.prediction(windows, call.at, call.scalars[0]),
    "double_exponential_smoothing": _smoothing,
}
STARTED: dict[str, Kernel] = {
    "rate": lambda windows, call: start_timestamps.increase(windows, call.range_ms, per_second=True),
    "increase": lambda windows, call: start_timestamps.increase(windows, call.range_ms, per_second=False),
    "irate": _plain(start_timestamps.instant_rate),
    "resets": _plain(start_timestamps.resets),
}
"""Of samples with start timestamps, where these are to be used."""


class Results:
    """Where chunks of results come together: (S, T) values, and where they are."""

    def __init__(self, rows: int, steps: int) -> None:
        self.values: Values = np.zeros((rows, steps))
        self.present: Flags = np.zeros((rows, steps), np.bool_)
        self.overlapping: Flags | None = None  # (rows,) whose start timestamps contradict one another

    def put(self, rows: Indices, values: Values, present: Flags) -> None:
        where: Indices | slice = rows
        if len(rows) and int(rows[-1]) - int(rows[0]) + 1 == len(rows):
            where = slice(int(rows[0]), int(rows[-1]) + 1)
        self.values[where] = values
        self.present[where] = present


async def evaluate(context: Context, call: RangeCall, vector: RangeVector) -> Frame:
    """The frame of a call, names still there; rows without a sample left out. Raises EvaluationError."""
    _check_scalars(context, call, vector)
    steps = len(call.ends)
    await context.expect(vector.labels.count * steps)
    context.reserve(vector.labels.count * steps)
    results = Results(vector.labels.count, steps)
    if call.start_timestamps and call.name in ("rate", "increase"):
        results.overlapping = np.zeros(vector.labels.count, np.bool_)
    for rows, windows in windows_of(vector.parts, call.starts, call.ends):
        context.statistics.count(windows.samples())
        _put(call, results, rows, windows)
        await context.pause()
    if vector.unread is not None:
        for samples in await context.read(vector.unread, partial(_read, call, results)):
            context.statistics.count(samples)
    if call.name in ("rate", "increase"):
        note_names(context, call, vector, results.present)
        _note_overlaps(context, call, vector, results.overlapping)
    histograms = range_histograms.evaluate(context, call, vector, results.values, results.present)
    present = None if not histograms and results.present.all() else results.present
    return Frame(vector.labels, results.values, present, histograms, vector.drop_name).pruned()


def _read(call: RangeCall, results: Results, unread: Unread) -> Times:
    """Reads and works on some rows. Returns how many samples their windows hold: (T,)."""
    samples = np.zeros(len(call.ends), np.int64)
    for rows, windows in windows_of([Part.of(unread.read())], call.starts, call.ends):
        samples += windows.samples()
        _put(call, results, rows, windows)
    return samples


def _put(call: RangeCall, results: Results, rows: Indices, windows: Windows) -> None:
    with np.errstate(all="ignore"):
        if windows.since is None or not call.start_timestamps or call.name not in STARTED:
            results.put(rows, *KERNELS[call.name](windows, call))
            return
        results.put(rows, *STARTED[call.name](windows, call))
        if results.overlapping is not None:
            results.overlapping[rows] = start_timestamps.overlapping(windows)


def _check_scalars(context: Context, call: RangeCall, vector: RangeVector) -> None:
    if call.name == "quantile_over_time" and vector.has_floats:
        for q in np.unique(call.scalars[0]).tolist():
            if not 0 <= q <= 1:
                context.annotations.add(notes.invalid_quantile(q), call.span)
    if call.name == "double_exponential_smoothing" and vector.labels.count:
        for values, kind, short in zip(call.scalars, ("smoothing", "trend"), ("sf", "tf"), strict=True):
            for value in values.tolist():
                if value <= 0 or value >= 1:
                    raise EvaluationError(f"invalid {kind} factor. Expected: 0 < {short} < 1, got: {value:f}")


def note_names(context: Context, call: RangeCall, vector: RangeVector, present: Flags) -> None:
    """Says when the names of what has a rate do not look like a counter's."""
    if METRIC_NAME not in vector.labels.columns:
        return None
    names, which = distinct_texts(vector.labels, METRIC_NAME)
    suspects = [n for n, name in enumerate(names) if name and not name.endswith(COUNTER_SUFFIXES)]
    if context.settings.type_and_unit_labels:
        return _note_types(context, call, vector, present)
    if suspects:
        rated = np.asarray(present.any(axis=1))
        for suspect in suspects:
            if rated[which == suspect].any():
                context.annotations.add(notes.maybe_not_counter(names[suspect]), call.range_span)
    return None


def _note_overlaps(context: Context, call: RangeCall, vector: RangeVector, overlapping: Flags | None) -> None:
    if overlapping is None or not overlapping.any():
        return
    names, which = distinct_texts(vector.labels, METRIC_NAME)
    for name in np.unique(which[overlapping]).tolist():
        context.annotations.add(notes.overlapping_starts(names[name]), call.span)


def _note_types(context: Context, call: RangeCall, vector: RangeVector, present: Flags) -> None:
    names, which = distinct_texts(vector.labels, METRIC_NAME)
    types, of_type = distinct_texts(vector.labels, "__type__")
    rated = np.asarray(present.any(axis=1))
    pairs = {(int(n), int(t)) for n, t in zip(which[rated], of_type[rated], strict=True)}
    for name, kind in sorted(pairs):
        if names[name] and types[kind] not in ("counter", "histogram"):
            context.annotations.add(notes.type_not_counter(names[name], types[kind]), call.range_span)
