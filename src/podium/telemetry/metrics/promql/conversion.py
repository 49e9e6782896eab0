"""From frames to results: series by series, as clients get them."""

import numpy as np

from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.frames import Frame, ScalarValue, Steps
from podium.telemetry.metrics.promql.results import Matrix, Point, Scalar, Series, Vector
from podium.telemetry.metrics.promql.selection import RangeVector
from podium.telemetry.metrics.promql.windows import valid_samples
from podium.telemetry.metrics.samples import Times, Values


def to_vector(frame: Frame, time_ms: int) -> Vector:
    """Of one step; in the order of the frame."""
    floats = frame.floats()[:, 0].tolist()
    values = frame.values[:, 0].tolist()
    points = []
    for row, labels in enumerate(frame.labels.rows()):
        if floats[row]:
            points.append(Point(labels, time_ms, values[row]))
        elif row in frame.histograms and (histogram := frame.histograms[row][0]) is not None:
            points.append(Point(labels, time_ms, histogram))
    return Vector(points)


def to_matrix(frame: Frame, steps: Steps) -> Matrix:
    """Sorted by labels; series without samples left out."""
    times = steps.times
    floats = frame.floats()
    whole: list[bool] = np.asarray(floats.all(axis=1)).tolist()
    some: list[bool] = np.asarray(floats.any(axis=1)).tolist()
    found: list[Series] = []
    for row, labels in enumerate(frame.labels.rows()):
        own_times, values = times, frame.values[row]
        if not whole[row]:
            own_times, values = times[floats[row]], values[floats[row]]
        histograms = frame.histograms.get(row)
        if histograms is None:
            if some[row]:
                found.append(Series(labels, own_times, values))
            continue
        kept = [(t, h) for t, h in zip(times.tolist(), histograms, strict=True) if h is not None]
        if kept or some[row]:
            found.append(Series(labels, own_times, values, np.array([t for t, _ in kept], np.int64), [h for _, h in kept]))
    return Matrix(sorted(found, key=_labels))


def _labels(series: Series) -> Labels:
    return series.labels


def scalar_matrix(value: ScalarValue, steps: Steps) -> Matrix:
    """What a scalar is in a range query: one series without labels."""
    return Matrix([Series((), steps.times, np.array(value.values))])


def to_scalar(value: ScalarValue, time_ms: int) -> Scalar:
    return Scalar(time_ms, float(value.values[0]))


def range_matrix(vector: RangeVector, start_ms: int, end_ms: int) -> Matrix:
    """The samples in (start, end], sorted by labels."""
    rows = vector.labels.rows()
    floats: dict[int, tuple[Times, Values]] = {}
    for part in vector.parts:
        inside = slice(int(np.searchsorted(part.times, start_ms, "right")), int(np.searchsorted(part.times, end_ms, "right")))
        for at, row in enumerate(part.rows.tolist()):
            valid = valid_samples(part, at, 1, inside.start, inside.stop) if inside.stop > inside.start else None
            kept = slice(None) if valid is None else valid[0]
            floats[row] = part.times[inside][kept], part.values[at, inside][kept]
    found = {row: Series(rows[row], times, values) for row, (times, values) in floats.items()}
    for run in vector.histograms:
        kept_histograms = [(t, h) for t, h in zip(run.times.tolist(), run.histograms, strict=True) if start_ms < t <= end_ms]
        own = found.get(run.row, Series(rows[run.row]))
        times = np.array([t for t, _ in kept_histograms], np.int64)
        found[run.row] = Series(own.labels, own.times, own.values, times, [h for _, h in kept_histograms])
    return Matrix(sorted((s for s in found.values() if len(s.times) or len(s.histogram_times)), key=_labels))
