"""A store of samples for scripts of queries and rules, and for tests: a dictionary of series. Slow and obviously right.

Answers `select` with one `Columns` a series. Nothing is bounded: what it holds is what a script wrote down.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import equal, noted_reset
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher
from podium.telemetry.metrics.samples import Columns, Exemplar, HistogramSeries, Sample, Scan, Selection, Times, Values, is_absent, is_stale
from podium.telemetry.metrics.storage import Layout, Metadata, Outcome, Rejected


@dataclass(frozen=True, slots=True)
class MemoryLayout:
    series: tuple[Labels, ...]

    @property
    def size(self) -> int:
        return len(self.series)


class MemorySamples:
    def __init__(self) -> None:
        self.values: dict[Labels, dict[int, float | Histogram]] = {}
        self._since: dict[Labels, dict[int, int]] = {}
        self._exemplars: dict[Labels, list[Exemplar]] = {}
        self._metadata: dict[Labels, dict[str, Metadata]] = {}

    def layout(self, series: Sequence[Labels]) -> MemoryLayout:
        return MemoryLayout(tuple(series))

    def joined(self, layouts: Sequence[MemoryLayout], places: npt.NDArray[np.int32] | None = None) -> MemoryLayout:
        series = [labels for layout in layouts for labels in layout.series]
        return MemoryLayout(tuple(series if places is None else [series[place] for place in places.tolist()]))

    def labels_of(self, layout: MemoryLayout) -> Sequence[Labels]:
        return layout.series

    def append(self, layout: Layout, time_ms: int, values: Values) -> Rejected:
        assert isinstance(layout, MemoryLayout)
        absent = is_absent(values)
        outcomes = np.zeros(layout.size, np.int8)
        for n in np.flatnonzero(~absent).tolist():
            outcomes[n] = self._take(Sample(layout.series[n], time_ms, values[n].item()))
        return Rejected.of(outcomes)

    def append_samples(self, samples: Sequence[Sample], *, partly: bool = False) -> Rejected:
        return Rejected.of(np.array([self._take(sample) for sample in samples], np.int8))

    def _take(self, sample: Sample) -> Outcome:
        kept = self.values.setdefault(sample.labels, {})
        if sample.time_ms in kept:
            return Outcome.KNOWN if _same(kept[sample.time_ms], sample.value) else Outcome.DUPLICATE
        if kept and sample.time_ms < max(kept):
            return Outcome.OUT_OF_ORDER
        kept[sample.time_ms] = _noted(sample.value, kept)
        if sample.since_ms:
            self._since.setdefault(sample.labels, {})[sample.time_ms] = sample.since_ms
        return Outcome.TAKEN

    def append_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> Rejected:
        for labels, exemplar in exemplars:
            self._exemplars.setdefault(labels, []).append(exemplar)
        return Rejected()

    def set_metadata(self, target: Labels, metadata: dict[str, Metadata]) -> None:
        self._metadata[target] = metadata

    async def synced(self) -> None:
        return

    def deciding(self, matchers: Sequence[Matcher]) -> Generator[None, None, None]:
        yield from ()

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        rows: list[Labels] = []
        columns: list[Columns] = []
        histograms: list[HistogramSeries] = []
        for labels in sorted(self.values):
            points = [(t, v) for t, v in sorted(self.values[labels].items()) if start_ms <= t <= end_ms]
            if not points or not _matches(labels, matchers):
                continue
            row = len(rows)
            rows.append(labels)
            floats = [(t, v) for t, v in points if not isinstance(v, Histogram)]
            others = [(t, _unless_stale(v)) for t, v in points if isinstance(v, Histogram)]
            if floats:
                times = np.array([t for t, _ in floats], np.int64)
                values = np.array([[v for _, v in floats]], np.float64)
                starts = self._starts(labels, times)
                since = None if starts is None else starts[None, :]
                columns.append(Columns(np.array([row], np.int32), times, values, since=since))
            if others:
                times = np.array([t for t, _ in others], np.int64)
                histograms.append(HistogramSeries(row, times, [h for _, h in others], self._starts(labels, times)))
        return Selection(LabelColumns.of(rows), columns, histograms)

    def _starts(self, labels: Labels, times: Times) -> Times | None:
        known = self._since.get(labels)
        return None if known is None else np.array([known.get(t, 0) for t in times.tolist()], np.int64)

    def scan(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Scan:
        return Scan.of(self.select(matchers, start_ms, end_ms))

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        found = [
            labels
            for labels in sorted(self.values)
            if any(start_ms <= t <= end_ms for t in self.values[labels]) and (not matchers or any(_matches(labels, m) for m in matchers))
        ]
        return found[:limit] if limit else found

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        return sorted({name for labels in self.series(matchers, start_ms, end_ms) for name, _ in labels})

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        return sorted({v for labels in self.series(matchers, start_ms, end_ms) for n, v in labels if n == name})

    def exemplars(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[tuple[Labels, list[Exemplar]]]:
        found = [
            (labels, [e for e in kept if start_ms <= e.time_ms <= end_ms])
            for labels, kept in sorted(self._exemplars.items())
            if not matchers or any(_matches(labels, m) for m in matchers)
        ]
        return [(labels, kept) for labels, kept in found if kept]

    def metadata(self) -> dict[Labels, dict[str, Metadata]]:
        return dict(self._metadata)


def _matches(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    values = dict(labels)
    return all(m.matches(values.get(m.name, "")) for m in matchers)


def _noted(value: float | Histogram, kept: dict[int, float | Histogram]) -> float | Histogram:
    """A histogram that follows another knows whether it was reset between."""
    before = next(reversed(kept.values()), None)
    return noted_reset(value, before if isinstance(before, Histogram) else None) if isinstance(value, Histogram) else value


def _same(kept: float | Histogram, value: float | Histogram) -> bool:
    return equal(kept, value) if isinstance(kept, Histogram) and isinstance(value, Histogram) else kept == value


def _unless_stale(histogram: Histogram) -> Histogram | None:
    return None if is_stale(np.array([histogram.sum])).item() else histogram
