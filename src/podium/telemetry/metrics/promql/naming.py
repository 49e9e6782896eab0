"""What becomes of names: dropped at once or when the query ends, and rows that are alike then merged into one.

Rows with the same labels may be merged when they are never there at the same step; otherwise the query is wrong, and says so.
"""

from dataclasses import replace

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumn, LabelColumns
from podium.telemetry.metrics.promql.errors import SAME_LABELS, EvaluationError
from podium.telemetry.metrics.promql.frames import METADATA_LABELS, Frame
from podium.telemetry.metrics.promql.grouping import distinct_texts, group_without, without_metadata


def dropped(frame: Frame, *, delayed: bool) -> Frame:
    """Of a function that changes what the numbers mean: without names, or to be without. Raises EvaluationError."""
    if delayed:
        return replace(frame, drop_name=np.ones(frame.rows, np.bool_))
    if not any(name in frame.labels.columns for name in METADATA_LABELS):
        return frame
    alike = any(len(distinct_texts(frame.labels, name)[0]) > 1 for name in METADATA_LABELS if name in frame.labels.columns)
    frame = replace(frame, labels=without_metadata(frame.labels))
    return merged(frame) if alike else frame


def settled(frame: Frame) -> Frame:
    """When the query ends: names that were to be dropped are. Raises EvaluationError."""
    if frame.drop_name is None or not frame.drop_name.any():
        return frame
    if frame.drop_name.all():
        return dropped(replace(frame, drop_name=None), delayed=False)
    labels = frame.labels
    columns: dict[str, LabelColumn] = dict(labels.columns)
    for name in METADATA_LABELS:
        if name in columns:
            columns[name] = LabelColumn(np.where(frame.drop_name, 0, columns[name].codes).astype(np.int32), columns[name].values)
    return merged(replace(frame, labels=LabelColumns(labels.count, columns), drop_name=None))


def merged(frame: Frame) -> Frame:
    """Rows with equal labels become one. Raises EvaluationError when two of them have a sample at the same step."""
    grouped = group_without(frame.labels, ())
    if grouped.count == frame.rows:
        return frame
    there = frame.there()
    counts = np.zeros((grouped.count, frame.steps), np.int32)
    np.add.at(counts, grouped.groups, there)
    if (counts > 1).any():
        raise EvaluationError(SAME_LABELS)
    values = np.zeros(counts.shape)
    present = np.zeros(counts.shape, np.bool_)
    floats = frame.floats()
    histograms: dict[int, list[Histogram | None]] = {}
    for row, group in enumerate(grouped.groups.tolist()):
        np.copyto(values[group], frame.values[row], where=floats[row])
        present[group] |= floats[row]
        for step, histogram in enumerate(frame.histograms.get(row, ())):
            if histogram is not None:
                histograms.setdefault(group, [None] * frame.steps)[step] = histogram
    drops = None if frame.drop_name is None else frame.drop_name[grouped.firsts]
    return Frame(frame.labels.take(grouped.firsts), values, present, histograms, drops)
