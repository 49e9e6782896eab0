"""What a query gives: one of four kinds of value, with what should be said about it.

A series' points are two runs, floats and histograms, each ascending in time; a time is in at most one of them. An instant vector is a list
of `Point`. Order of series: as sort functions and topk gave it where they did (`ordered`), by labels otherwise is not promised.

Source: the result formats of Prometheus' HTTP API.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.syntax import ValueType
from podium.telemetry.metrics.samples import Times, Values


@dataclass(frozen=True, slots=True)
class Scalar:
    time_ms: int
    value: float

    type = ValueType.SCALAR


@dataclass(frozen=True, slots=True)
class String:
    time_ms: int
    value: str

    type = ValueType.STRING


@dataclass(frozen=True, slots=True)
class Point:
    """One element of an instant vector."""

    labels: Labels
    time_ms: int
    value: float | Histogram


@dataclass(frozen=True, slots=True)
class Vector:
    points: Sequence[Point]

    type = ValueType.VECTOR


@dataclass(frozen=True, slots=True)
class Series:
    labels: Labels
    times: Times = field(default_factory=lambda: np.empty(0, np.int64))  # (T,) of the floats
    values: Values = field(default_factory=lambda: np.empty(0, np.float64))  # (T,)
    histogram_times: Times = field(default_factory=lambda: np.empty(0, np.int64))  # (H,)
    histograms: Sequence[Histogram] = ()  # H of them


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every series has a point at least."""

    series: Sequence[Series]

    type = ValueType.MATRIX


Value = Scalar | String | Vector | Matrix


@dataclass(frozen=True, slots=True)
class Result:
    value: Value
    warnings: Sequence[str] = ()  # sorted, each once
    infos: Sequence[str] = ()
