"""histogram_* functions: of native histograms one by one, of classic ones (series with the label le) in batches.

A classic histogram is the series that differ in le only. Those with the same bounds are one array (H, B, T), so that a thousand of them cost
what one does. Where buckets are missing at some steps, steps with the same buckets make a batch of their own.

At a step at which a series is both a native and a classic histogram it is neither, which a warning says.

Source: Prometheus' histogram functions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import added, all_buckets, divide, is_custom
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import histogram_quantiles
from podium.telemetry.metrics.promql.annotations import Monotonicity
from podium.telemetry.metrics.promql.context import Context, metric_name
from podium.telemetry.metrics.promql.frames import Frame, Indices, Steps
from podium.telemetry.metrics.promql.grouping import Groups, concatenate, distinct_texts, group_without, join, set_label
from podium.telemetry.metrics.promql.naming import dropped, merged
from podium.telemetry.metrics.promql.numbers import format_open_metrics
from podium.telemetry.metrics.promql.syntax import Span
from podium.telemetry.metrics.samples import Flags, Values

BUCKET_LABEL = "le"


def count(histogram: Histogram) -> float:
    return histogram.count


def total(histogram: Histogram) -> float:
    return histogram.sum


def average(histogram: Histogram) -> float:
    return divide(histogram.sum, histogram.count)


def variance(histogram: Histogram) -> float:
    """Observations are taken to be in the middle of their bucket: geometrically in exponential buckets, 0 in the zero bucket."""
    mean = average(histogram)
    parts = []
    for bucket in all_buckets(histogram):
        if not bucket.count:
            continue
        if is_custom(histogram):
            middle = (bucket.upper + bucket.lower) / 2
        elif bucket.lower <= 0 <= bucket.upper:
            middle = 0.0
        else:
            middle = math.copysign(math.sqrt(bucket.upper * bucket.lower), bucket.upper)
        distance = middle - mean
        parts.append(bucket.count * distance * distance)
    special = [p for p in parts if not math.isfinite(p)]
    return divide(sum(special) if special else added(parts), histogram.count)


def deviation(histogram: Histogram) -> float:
    value = variance(histogram)
    return math.sqrt(value) if value >= 0 else math.nan


SIMPLE: dict[str, Callable[[Histogram], float]] = {
    "histogram_count": count,
    "histogram_sum": total,
    "histogram_avg": average,
    "histogram_stdvar": variance,
    "histogram_stddev": deviation,
}


def simple(context: Context, name: str, frame: Frame) -> Frame:
    """One number of each native histogram; floats are left out."""
    function = SIMPLE[name]
    values, present = np.zeros(frame.values.shape), np.zeros(frame.values.shape, np.bool_)
    for row, own in frame.histograms.items():
        for step, histogram in enumerate(own):
            if histogram is not None:
                values[row, step], present[row, step] = function(histogram), True
    made = Frame(frame.labels, values, present, {}, frame.drop_name).pruned()
    return dropped(made, delayed=context.settings.delayed_name_removal)


@dataclass(frozen=True, slots=True)
class Batch:
    """Classic histograms with the same buckets at some steps."""

    owners: Indices  # (H,) which result rows
    steps: Indices | slice  # T of them
    bounds: Values  # (B,) ascending and distinct
    counts: Values  # (H, B, T)


@dataclass(frozen=True, slots=True)
class Classic:
    labels: Frame  # the result's rows, without le; no samples
    batches: Sequence[Batch]
    rows: Groups  # (R,) rows of the input that are buckets
    owners: Groups  # (R,) of each its result row


def classic_histograms(context: Context, frame: Frame, span: Span, floats: Flags) -> Classic:
    """Of the floats of the frame, `floats` (S, T) of them."""
    words, which = distinct_texts(frame.labels, BUCKET_LABEL)
    parsed = [_bound(word) for word in words]
    usable = np.array([b is not None for b in parsed], np.bool_)[which]
    any_float = floats.any(axis=1)
    for row in np.flatnonzero(~usable & any_float).tolist():
        metric = _name(context, frame, row)
        context.annotations.add(notes.bad_bucket(words[int(which[row])], metric), span)
    rows = np.flatnonzero(usable & any_float)
    taken = frame.labels.take(rows)
    grouped = group_without(taken, (BUCKET_LABEL,))
    bounds = np.array([math.nan if b is None else b for b in parsed])[which[rows]]
    batches = list(_batches(frame, floats, rows, grouped.groups, grouped.count, bounds))
    drops = None if frame.drop_name is None else frame.drop_name[rows][grouped.firsts]
    labels = taken.take(grouped.firsts).without((BUCKET_LABEL,))
    return Classic(Frame(labels, np.zeros((grouped.count, frame.steps)), None, {}, drops), batches, rows, grouped.groups)


def _bound(text: str) -> float | None:
    """As Go reads a float; None: it is none."""
    if not text or text != text.strip() or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _batches(frame: Frame, floats: Flags, rows: Indices, owners: Groups, count: int, bounds: Values) -> Iterator[Batch]:
    if not len(rows):
        return
    order = np.lexsort((bounds, owners))
    rows, owners, bounds = rows[order], owners[order], bounds[order]
    sizes = np.bincount(owners, minlength=count)
    starts = np.cumsum(sizes) - sizes
    there = floats[rows]
    together = np.logical_and.reduceat((there == np.repeat(there[starts], sizes, axis=0)).all(axis=1), starts)
    distinct = np.ones(count, np.bool_)
    doubled = (owners[1:] == owners[:-1]) & (bounds[1:] == bounds[:-1])
    distinct[owners[1:][doubled]] = False
    for own, steps in _by_steps(np.flatnonzero(together & distinct), there, starts):
        for size in np.unique(sizes[own]).tolist():
            plain = own[sizes[own] == size]
            at = starts[plain][:, None] + np.arange(size)
            layouts, layout_of = np.unique(bounds[at], axis=0, return_inverse=True)
            for layout in range(len(layouts)):
                alike = np.flatnonzero(layout_of.reshape(-1) == layout)
                counts = frame.values[rows[at[alike]]]
                yield Batch(plain[alike], steps, layouts[layout], counts if isinstance(steps, slice) else counts[:, :, steps])
    for owner in np.flatnonzero(~(together & distinct)).tolist():
        part = slice(int(starts[owner]), int(starts[owner] + sizes[owner]))
        yield from _batches_by_step(frame.values[rows[part]], floats[rows[part]], bounds[part], owner)


def _by_steps(owners: Indices, there: Flags, starts: Groups) -> Iterator[tuple[Indices, Indices | slice]]:
    """(histograms that are there at the same steps, those steps), of such whose buckets come and go together."""
    own = there[starts[owners]]
    if not len(owners) or bool(own.all()):
        yield owners, slice(None)
        return
    packed = np.packbits(own, axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for number, at in enumerate(first.tolist()):
        yield owners[which.reshape(-1) == number], slice(None) if own[at].all() else np.flatnonzero(own[at])


def _batches_by_step(values: Values, present: Flags, bounds: Values, owner: int) -> Iterator[Batch]:
    """Of one histogram whose buckets come and go: a batch for each set of buckets."""
    sets, set_of = np.unique(present, axis=1, return_inverse=True)
    for n in range(sets.shape[1]):
        there = sets[:, n]
        if not there.any():
            continue
        steps = np.flatnonzero(set_of.reshape(-1) == n)
        own_bounds, counts = _coalesced(bounds[there], values[there][:, steps])
        yield Batch(np.array([owner]), steps, own_bounds, counts[None])


def _coalesced(bounds: Values, counts: Values) -> tuple[Values, Values]:
    """Buckets with the same bound (le="1" and le="1.0") added together."""
    distinct, which = np.unique(bounds, return_inverse=True)
    if len(distinct) == len(bounds):
        return bounds, counts
    added = np.zeros((len(distinct), counts.shape[1]))
    np.add.at(added, which.reshape(-1), counts)
    return distinct, added


def _native_conflicts(context: Context, frame: Frame, span: Span) -> tuple[Frame, Flags]:
    """(the frame without native histograms that are classic ones too at the step, the floats without those)."""
    floats = frame.floats()
    if not frame.histograms:
        return frame, floats
    keys, _ = join(frame.labels.without((BUCKET_LABEL,)), frame.labels.take(np.empty(0, np.int64)), _names(frame))
    column = frame.labels.columns.get(BUCKET_LABEL)
    has_bound = np.zeros(frame.rows, np.bool_) if column is None else column.codes != 0
    floats, histograms = floats.copy(), dict(frame.histograms)
    for row, own in frame.histograms.items():
        if has_bound[row]:
            continue
        classic = np.flatnonzero((keys == keys[row]) & has_bound)
        if not len(classic):
            continue
        both = floats[classic].any(axis=0) & np.array([h is not None for h in own])
        if both.any():
            metric = _name(context, frame, row)
            context.annotations.add(notes.mixed_classic(metric), span)
            floats[np.ix_(classic, both)] = False
            histograms[row] = [None if b else h for h, b in zip(own, both.tolist(), strict=True)]
    return replace(frame, histograms=histograms), floats


def _name(context: Context, frame: Frame, row: int) -> str:
    """What annotations say: names are gone here, unless they go at the end of the query only."""
    return metric_name(frame, row) if context.settings.delayed_name_removal else ""


def _names(frame: Frame) -> list[str]:
    return [n for n in frame.labels.names if n != BUCKET_LABEL]


def quantile(context: Context, steps: Steps, frame: Frame, q: Values, spans: tuple[Span, Span]) -> Frame:
    """`q` is (T,); `spans` are of q and of the vector. Names are dropped."""
    _check_quantile(context, q, spans[0])
    made = _quantile(context, steps, frame, q, spans[1], _usual(q))
    return dropped(made.pruned(), delayed=context.settings.delayed_name_removal)


def quantiles(context: Context, steps: Steps, frame: Frame, label: str, qs: Sequence[Values], spans: Sequence[Span]) -> Frame:
    """`qs` are (T,) each; `spans` are of the vector, the label, the qs. A series for each quantile and histogram."""
    parts = []
    told = np.zeros(frame.steps, np.bool_)  # what was fixed in buckets is told once, for all quantiles
    for q, span in zip(qs, spans[2:], strict=True):
        _check_quantile(context, q, span)
        for value in np.unique(q).tolist():
            here = (q == value) | (np.isnan(q) & math.isnan(value))
            telling = here & _usual(q) & ~told
            told |= telling
            made = _quantile(context, steps, frame, q, spans[0], telling)
            made = replace(made, present=made.floats() & here)
            parts.append(replace(made, labels=set_label(made.labels, label, [format_open_metrics(value)] * made.rows)))
    drops = np.concatenate([p.drops() for p in parts])
    whole = Frame(
        concatenate([p.labels for p in parts]),
        np.concatenate([p.values for p in parts]),
        np.concatenate([p.floats() for p in parts]),
        {},
        drops if drops.any() else None,
    )
    return merged(dropped(whole.pruned(), delayed=context.settings.delayed_name_removal))


def _check_quantile(context: Context, q: Values, span: Span) -> None:
    for value in np.unique(q).tolist():
        if not 0 <= value <= 1:
            context.annotations.add(notes.invalid_quantile(value), span)


def _usual(q: Values) -> Flags:
    return np.asarray((q >= 0) & (q <= 1))


def _quantile(context: Context, steps: Steps, frame: Frame, q: Values, span: Span, telling: Flags) -> Frame:
    """`telling` (T,): at which steps it is told what was fixed in classic histograms."""
    frame, floats = _native_conflicts(context, frame, span)
    classic = classic_histograms(context, frame, span, floats)

    def classic_values(batch: Batch) -> Values:
        risen = histogram_quantiles.raise_counts(batch.counts)
        forced = risen.forced & telling[batch.steps]
        if forced.any() and np.isposinf(batch.bounds[-1]):
            _note_forced(context, classic, batch, risen, forced, steps, span)
        return histogram_quantiles.classic_quantile(q[batch.steps], batch.bounds, risen.counts)

    def native_value(row: int, step: int, histogram: Histogram) -> float:
        metric = _name(context, frame, row)
        return histogram_quantiles.quantile(float(q[step]), histogram, metric, lambda text: context.annotations.add(text, span))

    return _both(frame, classic, classic_values, native_value)


def _note_forced(
    context: Context, classic: Classic, batch: Batch, risen: histogram_quantiles.Risen, forced: Flags, steps: Steps, span: Span
) -> None:
    """`forced` (H, T): what is told of what was."""
    times = steps.times[batch.steps]
    for row in np.flatnonzero(forced.any(axis=1)).tolist():
        metric = _name(context, classic.labels, int(batch.owners[row]))
        here = forced[row]
        bounds = batch.bounds[risen.fallen[row][:, here].any(axis=1)]
        when = times[here]
        largest = float(risen.difference_max[row, here].max())
        detail = Monotonicity(float(bounds.min()), float(bounds.max()), largest, len(when), int(when[0]), int(when[-1]))
        context.annotations.add(notes.named(notes.NOT_MONOTONIC, metric), span, detail)


def fraction(context: Context, frame: Frame, lower: Values, upper: Values, span: Span) -> Frame:
    """`lower` and `upper` are (T,); `span` is of the vector. Names are dropped."""
    frame, floats = _native_conflicts(context, frame, span)
    classic = classic_histograms(context, frame, span, floats)

    def classic_values(batch: Batch) -> Values:
        return histogram_quantiles.classic_fraction(lower[batch.steps], upper[batch.steps], batch.bounds, batch.counts)

    def native_value(row: int, step: int, histogram: Histogram) -> float:
        metric = _name(context, frame, row)
        bounds = float(lower[step]), float(upper[step])
        return histogram_quantiles.fraction(*bounds, histogram, metric, lambda text: context.annotations.add(text, span))

    made = _both(frame, classic, classic_values, native_value)
    return dropped(made.pruned(), delayed=context.settings.delayed_name_removal)


def _both(
    frame: Frame, classic: Classic, classic_values: Callable[[Batch], Values], native_value: Callable[[int, int, Histogram], float]
) -> Frame:
    """Native histograms' rows first, then classic ones'."""
    values = np.zeros((classic.labels.rows, frame.steps))
    present = np.zeros(values.shape, np.bool_)
    with np.errstate(all="ignore"):
        for batch in classic.batches:
            found = classic_values(batch)
            if isinstance(batch.steps, slice):
                values[batch.owners], present[batch.owners] = found, True
            else:
                values[np.ix_(batch.owners, batch.steps)], present[np.ix_(batch.owners, batch.steps)] = found, True
    made = replace(classic.labels, values=values, present=None if present.all() else present)
    if not frame.histograms:
        return made
    rows = sorted(frame.histograms)
    native = np.zeros((len(rows), frame.steps))
    there = np.zeros(native.shape, np.bool_)
    for n, row in enumerate(rows):
        for step, histogram in enumerate(frame.histograms[row]):
            if histogram is not None:
                native[n, step], there[n, step] = native_value(row, step, histogram), True
    taken = replace(frame, histograms={}).take(np.array(rows, np.int64))
    drops = np.concatenate([taken.drops(), made.drops()])
    return Frame(
        concatenate([taken.labels, made.labels]),
        np.concatenate([native, made.values]),
        np.concatenate([there, made.floats()]),
        {},
        drops if drops.any() else None,
    )
