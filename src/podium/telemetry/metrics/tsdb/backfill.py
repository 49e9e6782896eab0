"""Backfill: blocks made directly of samples from elsewhere, such as an OpenMetrics file, in any order.

A store that is opened on the directory afterwards has them; one that has it open sees them when it is opened next. Samples are gathered by
window, and written as blocks whenever SAMPLES_HELD are together, so memory is bounded whatever the file's size and order; blocks that overlap
are joined by compaction later, as any. Of two samples of a series at one time the first is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.samples import Sample, Times, Values
from podium.telemetry.metrics.tsdb.assembly import RowSets
from podium.telemetry.metrics.tsdb.block import Block, BlockWriter
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.compaction import rewrite
from podium.telemetry.metrics.tsdb.histograms import Stored
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex
from podium.telemetry.metrics.tsdb.window import Window
from podium.world.interface import World

SAMPLES_HELD = 4_000_000
BATCH = 10_000


@dataclass(slots=True)
class _Gathered:
    """Samples that are not in a block yet."""

    ids: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    windows: dict[int, Window] = field(default_factory=dict)
    histograms: list[Stored] = field(default_factory=list)
    held: int = 0


class Backfill:
    """`add` samples, then `finish`."""

    def __init__(self, directory: Path, world: World, options: Options | None = None) -> None:
        self._directory = directory
        self._world = world
        self._options = options or Options()
        self._index = SeriesIndex(self._options.series_max)
        self._sets = RowSets()
        self._known: dict[Labels, int] = {}
        self._gathered = _Gathered()
        self.blocks: list[Block] = []
        self.samples = 0

    def add(self, sample: Sample) -> None:
        """Raises LimitExceeded, StorageFailed."""
        series = self._known.get(sample.labels)
        if series is None:
            series = self._known[sample.labels] = int(self._index.register([sample.labels])[0])
        held = self._gathered
        if isinstance(sample.value, Histogram):
            held.histograms.append((series, sample.time_ms, sample.value))
            held.held += 1
        else:
            held.ids.append(series)
            held.times.append(sample.time_ms)
            held.values.append(sample.value)
        if len(held.ids) >= BATCH:
            self._sort()
        if held.held >= SAMPLES_HELD:
            self._write()

    def add_run(self, labels: Labels, times: Times, values: Values) -> None:
        """Samples of one series, in any order. Raises LimitExceeded, StorageFailed."""
        series = self._known.get(labels)
        if series is None:
            series = self._known[labels] = int(self._index.register([labels])[0])
        self._place(np.full(len(times), series, np.int32), times, values)
        if self._gathered.held >= SAMPLES_HELD:
            self._write()

    def finish(self) -> list[Block]:
        """Those made, of each at least one sample. Raises StorageFailed."""
        self._write()
        return self.blocks

    def _sort(self) -> None:
        """The batch into its windows."""
        held = self._gathered
        ids, times, values = np.array(held.ids, np.int32), np.array(held.times, np.int64), np.array(held.values, np.float64)
        held.ids, held.times, held.values = [], [], []
        self._place(ids, times, values)

    def _place(self, ids: Ids, times: Times, values: Values) -> None:
        self._gathered.held += len(ids)
        starts = times // self._options.window_ms * self._options.window_ms
        for start in np.unique(starts).tolist():
            chosen = starts == start
            self._window(start).loose.add(ids[chosen], times[chosen], values[chosen])

    def _window(self, start: int) -> Window:
        found = self._gathered.windows.get(start)
        if found is None:
            found = self._gathered.windows[start] = Window(start, 0, self._index, self._sets, None)
        return found

    def _write(self) -> None:
        self._sort()
        held, self._gathered = self._gathered, _Gathered()
        by_window: dict[int, list[Stored]] = {}
        for stored in held.histograms:
            by_window.setdefault(stored[1] // self._options.window_ms * self._options.window_ms, []).append(stored)
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for start in sorted(held.windows.keys() | by_window.keys()):
                one = held.windows.get(start)
                if one is not None:
                    one.seal()
                self._block(start, one, by_window.get(start, []))
        except OSError as error:
            raise StorageFailed(f"cannot write blocks to {self._directory}: {error.strerror}") from error

    def _block(self, start: int, one: Window | None, histograms: list[Stored]) -> None:
        writer = BlockWriter(self._directory, self._world.token(12), self._index.labels)
        end = start + self._options.window_ms
        try:
            rewrite(one.chunks if one is not None else [], histograms, start, end, self._sets, writer)
            made = writer.finish(start, end, 1, [], [])
        except BaseException:
            writer.abandon()
            raise
        if made is not None:
            self.blocks.append(made)
            self.samples += made.meta.samples


def import_openmetrics(samples: Iterable[Sample], directory: Path, world: World, options: Options | None = None) -> list[Block]:
    """Makes blocks of the samples. Raises LimitExceeded, StorageFailed, and whatever `samples` raises (blocks made before stay)."""
    backfill = Backfill(directory, world, options)
    for sample in samples:
        backfill.add(sample)
    return backfill.finish()
