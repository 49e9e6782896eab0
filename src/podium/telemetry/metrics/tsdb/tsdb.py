"""The store: a head that takes samples, blocks that keep them, one index over both. See storage.py for what it does for whom.

    directory/
      lock                         the process that has it
      wal/                         what is only in memory otherwise (wal.py)
      head/                        chunks of the last hours (window.py)
      b-START-END-LEVEL-UID/       blocks (block.py)

Life of a sample: appended to an open matrix and to the write-ahead log; sealed into a chunk of its window, when 64 are together; written
to the window's file, after which the log lets go of it; moved into a block when the window has passed (lifecycle.py); compacted; dropped
by retention. Without a directory everything stays in memory and windows are dropped as blocks would be.

Concurrency: everything happens on the loop but what `lifecycle` gives to the worker, which sees immutable chunks only. `select` answers
from what is there when it is called. A file that turns out to be damaged when it is read is set aside and the answer is made without it.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import ReadAgain, StorageFailed
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher
from podium.telemetry.metrics.samples import ABSENT, Columns, Exemplar, HistogramSeries, Sample, Scan, Selection, Times, Values
from podium.telemetry.metrics.storage import Metadata, Outcome, Outcomes, Rejected
from podium.telemetry.metrics.tsdb import assembly, window
from podium.telemetry.metrics.tsdb.assembly import RowSets, Source
from podium.telemetry.metrics.tsdb.block import Block
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.errors import Damaged
from podium.telemetry.metrics.tsdb.exemplars import Exemplars
from podium.telemetry.metrics.tsdb.head import Accepted, Head, HeadLayout
from podium.telemetry.metrics.tsdb.histograms import Stored
from podium.telemetry.metrics.tsdb.histograms import joined as joined_histograms
from podium.telemetry.metrics.tsdb.journal import Journal
from podium.telemetry.metrics.tsdb.lock import DirectoryLock
from podium.telemetry.metrics.tsdb.loose import matrices
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.recent import Recent
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex
from podium.telemetry.metrics.tsdb.wal import WriteAheadLog
from podium.telemetry.metrics.tsdb.window import Window
from podium.world.interface import World
from podium.world.parallel import Mapper, ParallelMap, one_by_one
from podium.world.worker import InlineWorker, ThreadWorker, Worker

log = logger("metrics.tsdb")
T = TypeVar("T")
R = TypeVar("R")


class Tsdb:
    """Storage (telemetry/metrics/storage.py). Make it with `open`; `run` it while it is used; `close` it."""

    def __init__(self, directory: Path | None, world: World, options: Options, worker: Worker) -> None:
        self.directory = directory
        self.world = world
        self.options = options
        self.worker = worker
        self.each: Mapper = one_by_one
        self.index = SeriesIndex(options.series_max)
        self.sets = RowSets()
        self.recent = Recent()
        self.head = Head(self.index, self.sets, options, self.window, self._value_at)
        self.windows: dict[int, Window] = {}
        self.cutting: list[Window] = []
        """Windows that are being made into blocks: still read, not written to."""
        self.blocks: list[Block] = []
        self.ring = Exemplars(options.exemplars_max)
        self.journal: Journal | None = None
        self.lock: DirectoryLock | None = None
        self.generation = 0
        self.steps = asyncio.Lock()
        """Held by whoever gives the worker chunks to rewrite: one at a time."""
        self.deleted_meanwhile: list[tuple[Ids, int, int]] = []
        """Deletions since that began, which the block that comes of it is to know of."""
        self.failures: dict[str, int] = {}
        """How often what went wrong, by a word for it: for metrics and the status page."""
        self._metadata: dict[Labels, dict[str, Metadata]] = {}

    @classmethod
    def open(cls, directory: Path | None, world: World, options: Options | None = None, *, threads: bool = True) -> "Tsdb":
        """Reads what is there and replays the log; None: in memory. `threads` False: the disk's work is done in place.

        Raises DirectoryInUse, StorageFailed. Files that are damaged are set aside with a message and never stop it.
        """
        from podium.telemetry.metrics.tsdb import opening

        worker: Worker = ThreadWorker("tsdb") if threads and directory is not None else InlineWorker()
        store = cls(directory, world, options or Options(), worker)
        if threads:
            store.each = ParallelMap("tsdb-decode")
        if directory is not None:
            opening.read(store, directory)
        return store

    async def run(self) -> None:
        """Writes, cuts, compacts and drops, until cancelled. Failures of the disk are logged and tried again."""
        from podium.telemetry.metrics.tsdb import lifecycle

        await lifecycle.run(self)

    async def close(self) -> None:
        """Writes what is in memory; the store is not to be used afterwards. Idempotent. What fails is logged: the log has it."""
        from podium.telemetry.metrics.tsdb import lifecycle

        if self.lock is not None:
            try:
                await self.synced()
                await lifecycle.flush(self, everything=True)
            except (StorageFailed, OSError) as error:
                log.warning("the store could not be written out; its log has what is missing", error=error)
            if self.journal is not None:
                self.journal.ahead.close()
            self.lock.release()
            self.lock = None
        self.worker.stop()
        if isinstance(self.each, ParallelMap):
            self.each.stop()

    # Appendable

    def layout(self, series: Sequence[Labels]) -> HeadLayout:
        return self.head.layout(self.index.register(series))

    def joined(self, layouts: Sequence[HeadLayout], places: npt.NDArray[np.int32] | None = None) -> HeadLayout:
        ids = np.concatenate([np.zeros(0, np.int32), *(layout.ids for layout in layouts)])
        return self.head.layout(ids if places is None else ids[places])

    def labels_of(self, layout: HeadLayout) -> list[Labels]:
        return self.index.labels(layout.ids).rows()

    def append(self, layout: HeadLayout, time_ms: int, values: Values) -> Rejected:
        """Raises StorageFailed when the disk does not keep up, ValueError when `values` are not one for each series."""
        values = np.ascontiguousarray(values, np.float64)
        if values.shape != (layout.size,):
            raise ValueError(f"{values.shape} values for a layout of {layout.size} series")
        self._begin()
        accepted = self.head.append(layout, time_ms, values)
        if self.journal is not None:
            if accepted.values is not None:
                self.journal.column(layout, lambda: self.index.lazy_labels(layout.ids), time_ms, accepted.values)
            self._log_loose(accepted)
        return accepted.rejected

    def append_samples(self, samples: Sequence[Sample], *, partly: bool = False) -> Rejected:
        """Raises LimitExceeded, StorageFailed."""
        self._begin()
        ids = self.index.register([s.labels for s in samples], partly=partly)
        self.head.state.cover(self.index.allocated)
        outcomes = np.zeros(len(samples), np.int8)
        there = np.arange(len(samples))
        if partly and len(ids) and int(ids.min()) < 0:
            outcomes[ids < 0] = Outcome.OVER_LIMIT
            there = np.flatnonzero(ids >= 0)
            samples, ids = [samples[n] for n in there.tolist()], ids[there]
        for run in self._runs(samples, ids):
            append = self._append_histograms if isinstance(samples[int(run[0])].value, Histogram) else self._append_floats
            rejected = append([samples[n] for n in run.tolist()], ids[run])
            if rejected.outcomes is not None:
                outcomes[there[run]] = rejected.outcomes
        return Rejected.of(outcomes)

    def _runs(self, samples: Sequence[Sample], ids: Ids) -> list[npt.NDArray[np.intp]]:
        """The samples in parts that are floats or histograms, to be appended one after another."""
        native = np.array([isinstance(s.value, Histogram) for s in samples], np.bool_)
        if np.intersect1d(ids[native], ids[~native]).size:  # in their order, so that none of the other kind comes too late
            runs = np.split(np.arange(len(samples)), np.flatnonzero(np.diff(native)) + 1)
        else:
            runs = [np.flatnonzero(~native), np.flatnonzero(native)]
        return [run for run in runs if len(run)]

    def _append_floats(self, samples: Sequence[Sample], ids: Ids) -> Rejected:
        times = np.array([s.time_ms for s in samples], np.int64)
        return self._append_loose(ids, times, np.array([s.value for s in samples], np.float64))

    def append_columns(self, labels: LabelColumns, times: Times, values: Values) -> Rejected:
        """As `append_samples`, for floats whose labels are columns: sample i is of series i. Raises LimitExceeded, StorageFailed."""
        self._begin()
        return self._append_loose(self.index.register_columns(labels), times, values)

    def _begin(self) -> None:
        if self.journal is not None:
            self.journal.ahead.room()
            self.head.segment = self.journal.ahead.number

    def _append_loose(self, ids: Ids, times: Times, values: Values) -> Rejected:
        accepted = self.head.append_loose(ids, times, values)
        self._log_loose(accepted)
        return accepted.rejected

    def _log_loose(self, accepted: Accepted) -> None:
        if self.journal is not None and accepted.late is not None:
            ids, times, values = accepted.late
            self.journal.samples(self.index.labels(ids), times, values)

    def _append_histograms(self, samples: Sequence[Sample], ids: Ids) -> Rejected:
        outcomes = np.zeros(len(samples), np.int8)
        taken: list[Stored] = []
        for n, (sample, series) in enumerate(zip(samples, ids.tolist(), strict=True)):
            assert isinstance(sample.value, Histogram)
            outcomes[n] = self.head.append_histogram(series, sample.time_ms, sample.value)
            if not outcomes[n]:
                taken.append((series, sample.time_ms, sample.value))
        if taken and self.journal is not None:
            self.journal.histograms(self.index.labels(np.array([t[0] for t in taken], np.int32)), taken)
        return Rejected.of(outcomes)

    def append_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> Rejected:
        """Raises StorageFailed."""
        self._begin()
        outcomes = self._take_exemplars(exemplars)
        if self.journal is not None and (taken := [exemplars[n] for n in np.flatnonzero(outcomes == Outcome.TAKEN).tolist()]):
            self.journal.exemplars(taken)
        return Rejected.of(outcomes)

    def _take_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> Outcomes:
        ids = self.index.register([labels for labels, _ in exemplars], partly=True).tolist()
        self.head.state.cover(self.index.allocated)
        pairs = zip(ids, exemplars, strict=True)
        return np.array([self.ring.add(i, exemplar) if i >= 0 else Outcome.OVER_LIMIT for i, (_, exemplar) in pairs], np.int8)

    def set_metadata(self, target: Labels, metadata: dict[str, Metadata]) -> None:
        """In memory only: writers say it again after a restart. Empty: the target is forgotten."""
        if metadata:
            self._metadata[target] = dict(metadata)
        else:
            self._metadata.pop(target, None)

    async def synced(self) -> None:
        if self.journal is not None:
            await self.journal.ahead.synced()

    # Queryable

    def deciding(self, matchers: Sequence[Matcher]) -> Generator[None, None, None]:
        return self.index.deciding(matchers)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        """Raises LimitExceeded (select_cells_max)."""
        return self._despite_damage(lambda: self._select(self.index.matching(matchers), start_ms, end_ms))

    def _select(self, ids: Ids, start_ms: int, end_ms: int) -> Selection:
        kept, columns = self._assemble(ids, start_ms, end_ms)
        native = self._histograms(ids, start_ms, end_ms)
        if not native:
            return Selection(self.index.labels(kept), columns)
        both, place, series = _beside(kept, native)
        return Selection(self.index.labels(both), [replace(c, rows=place[c.rows]) for c in columns], series)

    def scan(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Scan:
        """Raises LimitExceeded (select_cells_max)."""
        return self._despite_damage(lambda: self._scan(self.index.matching(matchers), start_ms, end_ms))

    def _scan(self, ids: Ids, start_ms: int, end_ms: int) -> Scan:
        sources = list(self._sources(ids, start_ms, end_ms))
        limit = self.options.select_cells_max
        kept, unread = assembly.scan(ids, self.index.allocated, sources, start_ms, end_ms, limit, lasting=True, recent=self.recent)
        several = self.each if sum(one.cells for one in unread) >= assembly.PARALLEL_CELLS_MIN else one_by_one
        native = self._histograms(ids, start_ms, end_ms)
        if not native:
            return Scan(self.index.labels(kept), unread, (), partial(self._or_again, several))
        both, place, series = _beside(kept, native)
        columns = [replace(one.read(), rows=place[one.rows]) for one in unread]
        return Scan.of(Selection(self.index.labels(both), columns, series))

    def _or_again(self, each: Mapper, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        try:
            return each(work, items)
        except Damaged as error:
            from podium.telemetry.metrics.tsdb import lifecycle

            if lifecycle.set_aside(self, error):
                raise ReadAgain(str(error)) from error
            raise

    def _assemble(self, ids: Ids, start_ms: int, end_ms: int) -> tuple[Ids, list[Columns]]:
        sources = list(self._sources(ids, start_ms, end_ms))
        limit = self.options.select_cells_max
        return assembly.assemble(ids, self.index.allocated, sources, start_ms, end_ms, limit, self.each, self.recent)

    def _sources(self, ids: Ids, start_ms: int, end_ms: int) -> Iterator[Source]:
        wanted: npt.NDArray[np.bool_] | None = None
        for block in self.blocks:
            if block.overlaps(start_ms, end_ms):
                yield from block.contents.chunks
        for one in self._windows():
            yield from one.chunks
            if one.loose.count:
                if wanted is None:
                    wanted = np.zeros(self.index.allocated, np.bool_)
                    wanted[ids] = True
                yield from matrices(self.sets, *one.loose.between(wanted, start_ms, end_ms))
        yield from self.head.sources(ids, start_ms, end_ms)

    def _windows(self) -> list[Window]:
        return [*self.cutting, *(self.windows[start] for start in sorted(self.windows))]

    def _histograms(self, ids: Ids, start_ms: int, end_ms: int) -> dict[int, dict[int, Histogram]]:
        found: dict[int, dict[int, Histogram]] = {}
        wanted: set[int] | None = None
        for block in self.blocks:
            if block.contents.histograms and block.overlaps(start_ms, end_ms):
                wanted = set(ids.tolist()) if wanted is None else wanted
                for series, time_ms, histogram in block.histograms_between(start_ms, end_ms):
                    if series in wanted:
                        found.setdefault(series, {}).setdefault(time_ms, histogram)
        for one in self._windows():
            if one.histograms.count:
                wanted = set(ids.tolist()) if wanted is None else wanted
                for series in wanted & one.histograms.of.keys():
                    for time_ms, histogram in one.histograms.of[series]:
                        if start_ms <= time_ms <= end_ms:
                            found.setdefault(series, {}).setdefault(time_ms, histogram)
        return found

    def _value_at(self, ids: Ids, times: Times) -> Values:
        found = np.full(len(ids), ABSENT)
        for time_ms in np.unique(times).tolist():
            at = np.flatnonzero(times == time_ms)
            order = np.sort(ids[at])
            kept, columns = self._despite_damage(partial(self._assemble, order, time_ms, time_ms))
            for part in columns:
                where = {int(i): n for n, i in enumerate(kept[part.rows])}
                for n in at.tolist():
                    if int(ids[n]) in where:
                        found[n] = part.values[where[int(ids[n])], 0]
        return found

    def _despite_damage(self, work: Callable[[], T]) -> T:
        """What `work` returns when nothing that it reads is damaged: what is, is set aside, and it is done again."""
        from podium.telemetry.metrics.tsdb import lifecycle

        while True:
            try:
                return work()
            except Damaged as error:
                if not lifecycle.set_aside(self, error):
                    raise

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        found = sorted(self.index.labels(self._chosen(matchers, start_ms, end_ms)).rows())
        return found[:limit] if limit else found

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        return list(self.index.labels(self._chosen(matchers, start_ms, end_ms)).names)

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        table = self.index.tables.get(name)
        if table is None:
            return []
        codes = np.unique(table.column.gather(self._chosen(matchers, start_ms, end_ms)))
        return sorted(table.values[code] for code in codes.tolist() if code)

    def _chosen(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> Ids:
        """Series that match and may have samples in the range."""
        ids = self.index.matching([]) if not matchers else _union(self.index.matching(m) for m in matchers)
        state = self.head.state
        may = (state.first_ms[ids] <= end_ms) & (state.last_ms[ids] >= start_ms)
        if not may.all():
            in_blocks = np.zeros(self.index.allocated, np.bool_)
            for block in self.blocks:
                if block.overlaps(start_ms, end_ms):
                    in_blocks[block.ids()] = True
            may |= in_blocks[ids]
        return ids[may]

    def exemplars(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[tuple[Labels, list[Exemplar]]]:
        ids = self.index.matching([]) if not matchers else _union(self.index.matching(m) for m in matchers)
        found = self.ring.between(set(ids.tolist()), start_ms, end_ms)
        numbers = np.array(sorted(found), np.int32)
        return sorted(zip(self.index.labels(numbers).rows(), (found[i] for i in numbers.tolist()), strict=True), key=lambda e: e[0])

    def metadata(self) -> dict[Labels, dict[str, Metadata]]:
        return {target: dict(families) for target, families in self._metadata.items()}

    def oldest_ms(self) -> int | None:
        """From when on there may be samples; None: there are none."""
        from podium.telemetry.metrics.tsdb import status

        return min((block.meta.start_ms for block in self.blocks), default=status.head(self)["minTime"] or None)

    # Administration

    def delete_series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> None:
        """Samples in [start_ms, end_ms] of the series that match all. They are gone at once, and for good once `synced` returned.

        Raises StorageFailed.
        """
        from podium.telemetry.metrics.tsdb import deletion

        deletion.delete(self, self.index.matching(matchers), start_ms, end_ms)

    async def clean_tombstones(self) -> None:
        """Frees the space of deleted samples. Raises StorageFailed."""
        from podium.telemetry.metrics.tsdb import deletion

        await deletion.clean_tombstones(self)

    async def snapshot(self, *, skip_head: bool) -> str:
        """The name of a directory below `snapshots/` that can be opened as a store. Raises StorageFailed."""
        from podium.telemetry.metrics.tsdb import snapshots

        return await snapshots.take(self, skip_head=skip_head)

    def status(self, limit: int) -> dict[str, Any]:
        """As `data` of /api/v1/status/tsdb: the `limit` largest of each list."""
        from podium.telemetry.metrics.tsdb import status

        return status.status(self, limit)

    def block_metadata(self) -> list[dict[str, Any]]:
        """As `blocks` of /api/v1/status/tsdb/blocks."""
        from podium.telemetry.metrics.tsdb import status

        return status.blocks(self)

    # Windows and replay: for the parts of this package

    def window(self, start_ms: int) -> Window:
        """The one that begins there, made when there is none."""
        found = self.windows.get(start_ms)
        if found is None:
            path = None
            if self.directory is not None:
                self.generation += 1
                path = self.directory / "head" / window.file_name(start_ms, self.generation)
            found = self.windows[start_ms] = Window(start_ms, self.generation, self.index, self.sets, path)
        return found

    def attach(self, ahead: WriteAheadLog) -> None:
        self.journal = Journal(ahead)

    def replay_segment(self, number: int) -> None:
        self.head.segment = number

    def replay_layout(self, labels: LabelColumns) -> HeadLayout:
        return self.head.layout(self.index.register_columns(labels))

    def replay_column(self, layout: HeadLayout, time_ms: int, values: Values) -> None:
        """What is in files already is older than the last of its series, or than what is cut, and left out."""
        if time_ms >= self.head.valid_from_ms:
            known = self.head.state.last_ms[layout.ids] >= time_ms
            if not known.all():
                self.head.append(layout, time_ms, np.where(known, ABSENT, values) if known.any() else values)

    def replay_samples(self, labels: LabelColumns, times: Times, values: Values) -> None:
        ids = self.index.register_columns(labels)
        self.head.replay_loose(ids, times, values)

    def replay_histograms(self, labels: LabelColumns, samples: Sequence[Stored]) -> None:
        ids = self.index.register_columns(labels).tolist()
        for row, time_ms, histogram in samples:
            self.head.append_histogram(ids[row], time_ms, histogram, replayed=True)

    def replay_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> None:
        self._take_exemplars(exemplars)

    def replay_deletion(self, labels: LabelColumns, start_ms: int, end_ms: int) -> None:
        from podium.telemetry.metrics.tsdb import deletion

        deletion.from_head(self, self.index.register_columns(labels), start_ms, end_ms)

    def frozen_labels(self, ids: Ids) -> Callable[[Ids], LabelColumns]:
        """Labels of any of these (ascending) that may be asked for from another thread, whatever happens to the index."""
        frozen = self.index.labels(ids)
        return lambda wanted: frozen.take(np.searchsorted(ids, wanted))

    def failed(self, what: str) -> None:
        self.failures[what] = self.failures.get(what, 0) + 1


def _beside(floats: Ids, native: dict[int, dict[int, Histogram]]) -> tuple[Ids, Ids, list[HistogramSeries]]:
    """(all series, the row of each of `floats` among them, the histograms)."""
    both = np.union1d(floats, np.array(sorted(native), np.int32)).astype(np.int32)
    series: list[HistogramSeries] = [joined_histograms(int(np.searchsorted(both, i)), native[i]) for i in sorted(native)]
    return both, np.searchsorted(both, floats).astype(np.int32), series


def _union(parts: Iterable[Ids]) -> Ids:
    return np.unique(np.concatenate([np.zeros(0, np.int32), *parts]))
