"""Sums, averages and rates of many native histograms.

Where all share a layout, components are added with exact sums. Otherwise buckets are added one after another, in layouts that both can be
brought to; the count and the sum are exact then as well.

Source: Prometheus' sum, avg, sum_over_time, avg_over_time, rate of native histograms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import (
    IncompatibleSchemas,
    added,
    combine,
    combined_hint,
    compact,
    divide_by,
    is_custom,
    is_reset,
    mean,
    multiply,
    to_schema,
)
from podium.telemetry.metrics.promql import annotations as notes

Note = Callable[[str], None]
"""Where annotations go."""

Gather = Callable[[Iterable[float]], float]
"""The sum or the mean of one component of many histograms, absent ones left out."""


@dataclass(frozen=True, slots=True)
class Total:
    histogram: Histogram
    collision: bool  # some said that they were reset, others that they were not
    reconciled: bool  # custom bounds differed


def total(histograms: Sequence[Histogram]) -> Total:
    """Not compacted. Raises IncompatibleSchemas."""
    if _alike(histograms):
        return Total(_exactly(histograms, added), _collide(histograms), False)
    result, reconciled = _one_after_another(histograms)
    result = replace(result, count=added(h.count for h in histograms), sum=added(h.sum for h in histograms))
    return Total(result, _collide(histograms), reconciled)


def average(histograms: Sequence[Histogram]) -> Total:
    """Finite also where the sum is too large. Not compacted. Raises IncompatibleSchemas."""
    number = len(histograms)
    if _alike(histograms):
        return Total(_exactly(histograms, lambda values: mean(values, number)), _collide(histograms), False)
    scale = 2.0 ** number.bit_length()  # a power of two: it changes nothing but what is too large
    result, reconciled = _one_after_another([multiply(h, 1 / scale) for h in histograms])
    result = replace(
        multiply(divide_by(result, number), scale),
        count=mean((h.count for h in histograms), number),
        sum=mean((h.sum for h in histograms), number),
    )
    return Total(result, _collide(histograms), reconciled)


def _collide(histograms: Sequence[Histogram]) -> bool:
    hints = {h.reset_hint for h in histograms}
    return ResetHint.YES in hints and ResetHint.NO in hints


def _alike(histograms: Sequence[Histogram]) -> bool:
    first = histograms[0]
    layout = (first.schema, first.zero_threshold, first.custom_bounds)
    return all((h.schema, h.zero_threshold, h.custom_bounds) == layout for h in histograms)


def _one_after_another(histograms: Sequence[Histogram]) -> tuple[Histogram, bool]:
    """(the sum, whether custom bounds differed)."""
    result, reconciled = histograms[0], False
    for histogram in histograms[1:]:
        step = combine(result, histogram)
        result, reconciled = step.histogram, reconciled or step.reconciled
    return result, reconciled


def _exactly(histograms: Sequence[Histogram], gather: Gather) -> Histogram:
    """Of one layout."""
    first = histograms[0]
    hint = first.reset_hint
    for histogram in histograms[1:]:
        hint, _ = combined_hint(hint, histogram.reset_hint)
    return replace(
        first,
        count=gather(h.count for h in histograms),
        sum=gather(h.sum for h in histograms),
        zero_count=gather(h.zero_count for h in histograms),
        positive=_gathered_buckets([h.positive for h in histograms], gather),
        negative=_gathered_buckets([h.negative for h in histograms], gather),
        reset_hint=hint,
    )


def _gathered_buckets(parts: Sequence[Mapping[int, float]], gather: Gather) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for part in parts:
        for index, count in part.items():
            found.setdefault(index, []).append(count)
    return {index: gather(counts) for index, counts in found.items()}


def difference(points: Sequence[Histogram], metric: str, note: Note, *, counter: bool, anew: Sequence[bool] = ()) -> Histogram | None:
    """What a histogram grew by from the first to the last of at least two points, resets included; a gauge. None: they do not fit together.

    `anew` says of each point whether it was counted anew since the one before it, whatever it looks like; empty: of none."""
    first, last, between = points[0], points[-1], points[1:-1] if counter else ()
    before = first
    anew = anew or [False] * len(points)
    if counter and (anew[1] or is_reset(points[1], first)):
        # What the first one looked like does not matter then.
        before = Histogram(points[1].schema, 0.0, 0.0, custom_bounds=points[1].custom_bounds)
    custom = is_custom(before)
    fits = is_custom(last) is custom
    if fits and any(is_custom(point) is not custom for point in between):
        note(notes.mixed_schemas(metric))  # and of gauges nothing is said then
        return None
    if counter and any(point.reset_hint is ResetHint.GAUGE for point in (first, last, *(between if fits else ()))):
        note(notes.not_counter(metric))
    if not fits:
        note(notes.mixed_schemas(metric))
        return None
    schema = min(last.schema, before.schema, *(point.schema for point in between))
    step = combine(to_schema(last, schema), before, -1)
    if step.reconciled:
        note(notes.reconciled_bounds("subtraction"))
    result = step.histogram
    if counter:
        result = _add_resets(result, before, points, anew, note)
    elif not points[0].reset_hint is last.reset_hint is ResetHint.GAUGE:
        note(notes.not_gauge(metric))
    return compact(replace(result, reset_hint=ResetHint.GAUGE))


def _add_resets(result: Histogram, before: Histogram, points: Sequence[Histogram], anew: Sequence[bool], note: Note) -> Histogram:
    for point, again in zip(points[1:], anew[1:], strict=True):
        if again or is_reset(point, before):
            step = combine(result, before)
            result = step.histogram
            if step.reconciled:
                note(notes.reconciled_bounds("addition"))
        before = point
    return result


def last_two(before: Histogram, last: Histogram, metric: str, note: Note, *, counter: bool, anew: bool = False) -> Histogram | None:
    """What irate (counter; not yet by second) and idelta see between two points; a gauge. None: they do not fit together."""
    gauges = (before.reset_hint is ResetHint.GAUGE) + (last.reset_hint is ResetHint.GAUGE)
    if counter and gauges:
        note(notes.not_counter(metric))
    if not counter and gauges < 2:
        note(notes.not_gauge(metric))
    result = last
    if not counter or not (anew or is_reset(last, before)):
        try:
            step = combine(last, before, -1)
        except IncompatibleSchemas:
            note(notes.mixed_schemas(metric))
            return None
        if step.reconciled:
            note(notes.reconciled_bounds("subtraction"))
        result = step.histogram
    return compact(replace(result, reset_hint=ResetHint.GAUGE))
