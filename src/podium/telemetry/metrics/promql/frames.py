"""Frames: instant vectors at every step at once, which is what the value of an expression is while it is evaluated.

A frame has S series and T steps: labels by column, values (S, T). Where a series has no sample at a step, `present` says so, and the value
there means nothing. Native histograms stand beside the floats, by row, and are absent from most frames.

Invariants: at a step a series has a float or a histogram or nothing; a frame with histograms has a `present`; arrays may be views (of the
store's, or broadcast over the steps) and are never written to once they are in a frame.

Names: functions change what a number means, and so drop the metric's name. When they do it at once (the default of upstream), rows may
then be alike; when removal is delayed, `drop_name` remembers it by row until the query ends, so that label functions still see the name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.samples import Flags, Times, Values

Indices = npt.NDArray[np.integer[Any]]
HistogramRows = Mapping[int, Sequence[Histogram | None]]
"""Row -> T entries; None: no histogram at that step."""

METADATA_LABELS = ("__name__", "__type__", "__unit__")
"""What says what a metric is: dropped together."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The times an expression is evaluated at: `start_ms`, every `interval_ms`, `count` of them (0: none)."""

    start_ms: int
    interval_ms: int
    count: int

    @classmethod
    def between(cls, start_ms: int, end_ms: int, interval_ms: int) -> "Steps":
        """Both ends inclusive."""
        return cls(start_ms, interval_ms, max(0, (end_ms - start_ms) // interval_ms + 1))

    @property
    def times(self) -> Times:
        return self.start_ms + self.interval_ms * np.arange(self.count, dtype=np.int64)

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.interval_ms * (self.count - 1)

    @property
    def first(self) -> "Steps":
        return replace(self, count=min(1, self.count))


@dataclass(frozen=True, slots=True)
class Frame:
    labels: LabelColumns
    values: Values  # (S, T)
    present: Flags | None = None  # (S, T); None: all floats
    histograms: HistogramRows = field(default_factory=dict)
    drop_name: Flags | None = None  # (S,); None: no row drops it

    @property
    def rows(self) -> int:
        return self.labels.count

    @property
    def steps(self) -> int:
        return int(self.values.shape[1])

    def floats(self) -> Flags:
        """(S, T): where the floats are."""
        return np.ones(self.values.shape, np.bool_) if self.present is None else self.present

    def there(self) -> Flags:
        """(S, T): where a float or a histogram is. Do not write to it."""
        if not self.histograms:
            return self.floats()
        there = self.floats().copy()
        for row, histograms in self.histograms.items():
            there[row] |= has(histograms)
        return there

    def drops(self) -> Flags:
        return np.zeros(self.rows, np.bool_) if self.drop_name is None else self.drop_name

    def take(self, rows: Indices) -> "Frame":
        """The series at `rows`, in that order; a row may come more than once."""
        histograms: dict[int, Sequence[Histogram | None]] = {}
        if self.histograms:
            histograms = {new: self.histograms[old] for new, old in enumerate(rows.tolist()) if old in self.histograms}
        return Frame(
            self.labels.take(rows),
            self.values[rows],
            None if self.present is None else self.present[rows],
            histograms,
            None if self.drop_name is None else self.drop_name[rows],
        )

    def pruned(self) -> "Frame":
        """Without the series that have no sample at any step."""
        if self.present is None:
            return self if self.steps else self.take(np.empty(0, np.int32))
        kept = np.asarray(self.present.any(axis=1))
        for row, histograms in self.histograms.items():
            kept[row] |= any(h is not None for h in histograms)
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def only_floats(self) -> "Frame":
        """Histograms are left out; series may be empty then."""
        return replace(self, histograms={}) if self.histograms else self

    def with_values(self, values: Values) -> "Frame":
        """Same series, other floats; without histograms."""
        return Frame(self.labels, values, self.present, {}, self.drop_name)

    def repeated(self, steps: int) -> "Frame":
        """A frame of one step, as one of `steps` that are all alike. Views: costs nothing."""
        if steps == self.steps:
            return self
        present = None if self.present is None else np.broadcast_to(self.present, (self.rows, steps))
        histograms = {row: [h[0]] * steps for row, h in self.histograms.items()}
        return replace(self, values=np.broadcast_to(self.values, (self.rows, steps)), present=present, histograms=histograms)


NO_LABELS = LabelColumns(0, {})


def empty_frame(steps: int) -> Frame:
    return Frame(NO_LABELS, np.empty((0, steps)))


def single_frame(values: Values, present: Flags | None = None) -> Frame:
    """One series without labels; `values` is (T,)."""
    return Frame(LabelColumns(1, {}), values[None, :], None if present is None else present[None, :])


def has(histograms: Sequence[Histogram | None]) -> Flags:
    return np.fromiter((h is not None for h in histograms), np.bool_, len(histograms))


@dataclass(frozen=True, slots=True)
class ScalarValue:
    """A scalar at every step: (T,)."""

    values: Values

    def repeated(self, steps: int) -> "ScalarValue":
        return self if len(self.values) == steps else ScalarValue(np.broadcast_to(self.values, (steps,)))


@dataclass(frozen=True, slots=True)
class StringValue:
    text: str

    def repeated(self, steps: int) -> "StringValue":
        return self


Evaluated = Frame | ScalarValue | StringValue
