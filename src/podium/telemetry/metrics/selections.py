"""Selections of several stores as one.

A series that only one of them has keeps its matrix (a part of it, when others of the matrix are shared); one that several have gets a matrix of
its own, without start timestamps. At a time that several have, the first store's sample counts, and a float before a histogram.
"""

from collections.abc import Sequence

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher
from podium.telemetry.metrics.samples import Columns, HistogramSeries, Rows, Selection, Times, Values, is_absent

Run = tuple[Times, Values]


def merged(selections: Sequence[Selection]) -> Selection:
    """Series are in the order in which they come first."""
    filled = [s for s in selections if s.labels.count]
    if not filled:
        return selections[0] if selections else Selection(LabelColumns.of([]), [])
    known: dict[Labels, int] = {}
    places = [np.array([known.setdefault(labels, len(known)) for labels in s.labels.rows()], np.int32) for s in filled]
    if len(filled) == 1 and len(known) == filled[0].labels.count:
        return filled[0]
    shared = np.bincount(np.concatenate(places), minlength=len(known)) > 1
    columns: list[Columns] = []
    floats: dict[int, list[Run]] = {}
    histograms: dict[int, list[tuple[int, Histogram | None]]] = {}
    for place, selection in zip(places, filled, strict=True):
        for part in selection.columns:
            columns += _alone(part, place, shared)
            for at in np.flatnonzero(shared[place[part.rows]]).tolist():
                there = ~is_absent(np.ascontiguousarray(part.values[at]))
                floats.setdefault(int(place[part.rows[at]]), []).append((part.times[there], part.values[at][there]))
        for one in selection.histograms:
            histograms.setdefault(int(place[one.row]), []).extend(zip(one.times.tolist(), one.histograms, strict=True))
    series = []
    for row in sorted({*floats, *histograms}):
        times, values, natives = _one_sequence(floats.get(row, []), histograms.get(row, []))
        if len(times):
            columns.append(Columns(np.array([row], np.int32), times, values[None, :]))
        if natives:
            series.append(HistogramSeries(row, np.array([t for t, _ in natives], np.int64), [h for _, h in natives]))
    return Selection(LabelColumns.of(list(known)), columns, series)


def matching(selection: Selection, matchers: Sequence[Matcher]) -> Selection:
    """The series of it that match all."""
    if not matchers:
        return selection
    rows = [dict(labels) for labels in selection.labels.rows()]
    kept = np.array([i for i, row in enumerate(rows) if all(m.matches(row.get(m.name, "")) for m in matchers)], np.int32)
    place = np.full(len(rows), -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    columns = []
    for part in selection.columns:
        there = place[part.rows] >= 0
        if there.any():
            since = None if part.since is None else part.since[there]
            columns.append(Columns(place[part.rows[there]], part.times, part.values[there], part.dense, part.monotonic, since))
    histograms = [HistogramSeries(int(place[h.row]), h.times, h.histograms, h.since) for h in selection.histograms if place[h.row] >= 0]
    return Selection(selection.labels.take(kept), columns, histograms)


def _alone(part: Columns, place: Rows, shared: np.ndarray) -> list[Columns]:
    """What of a matrix is no other's, at its rows of the whole."""
    rows = place[part.rows]
    kept = np.flatnonzero(~shared[rows])
    if not len(kept):
        return []
    kept = kept[np.argsort(rows[kept], kind="stable")]
    whole = len(kept) == len(rows) and bool((np.diff(kept) == 1).all())
    since = part.since if whole or part.since is None else part.since[kept]
    return [Columns(rows[kept], part.times, part.values if whole else part.values[kept], part.dense, part.monotonic, since)]


def _one_sequence(
    runs: Sequence[Run], histograms: Sequence[tuple[int, Histogram | None]]
) -> tuple[Times, Values, list[tuple[int, Histogram | None]]]:
    """Each time once: what comes first of several at one time."""
    natives: dict[int, Histogram | None] = {}
    for time_ms, histogram in histograms:
        natives.setdefault(time_ms, histogram)
    if not runs:
        return np.empty(0, np.int64), np.empty(0), sorted(natives.items(), key=lambda pair: pair[0])
    times, first = np.unique(np.concatenate([t for t, _ in runs]), return_index=True)
    values = np.concatenate([v for _, v in runs])[first]
    for time_ms in times.tolist() if natives else ():
        natives.pop(time_ms, None)
    return times, values, sorted(natives.items(), key=lambda pair: pair[0])
