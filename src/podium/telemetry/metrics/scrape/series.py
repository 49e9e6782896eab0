"""The series of one target in the store: pages in, appends and stale markers out.

Theory: most pages have the layout of the one before, so what a row means (which series, or dropped) is worked out once a layout; then a
page is one gather and one append. When the layout changes a little, as where pods come and go, only the rows that are new are worked out: they
become a further segment (a layout of the store), and rows that are gone stay behind in their segment as ABSENT, after one STALE. When that has
gone too far (SEGMENTS_MAX, DEAD_SHARE_MAX) the segments become one again. Rows and series are recognised by 64 bits (exposition/heads.py): labels are
made for those that are new alone, a few at a time, and not kept.

Invariants: a page is written whole or not at all; each live series has one row; a series that was written and is not on the next page, or
whose scrape failed, is marked stale exactly once. Rows with a time of their own are not tracked, unless the job says so.

Source: scrapeLoop.append and scrapeCache in Prometheus' scrape.go.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageLayout
from podium.telemetry.metrics.exposition.steps import STEP_ROWS, Steps, at_once
from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, Histogram
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.samples import ABSENT, STALE, Exemplar, Flags, Sample, Values
from podium.telemetry.metrics.scrape.errors import LimitMet, ScrapeFailed
from podium.telemetry.metrics.scrape.histograms import schema_for_factor, within_limits
from podium.telemetry.metrics.scrape.labelling import Labelling
from podium.telemetry.metrics.storage import Appendable, Layout, Rejected

SEGMENTS_MAX = 8
DEAD_SHARE_MAX = 0.25
DEAD_MIN = 100
"""So many dead rows are no reason to join the segments, however small the target."""
AHEAD_MS_MAX = 600_000
"""Samples that claim to be from further in the future are dropped. Source: maxAheadTime."""
EXEMPLAR_CHARACTERS_MAX = 128
"""Of an exemplar's labels, names and values together; longer ones are dropped. Source: OpenMetrics 1.0, Exemplars."""

DROPPED, DUPLICATE, NEW = -1, -2, -3
"""In place of a row's series: relabelling dropped it; the page has it before; not known yet."""

Rows = npt.NDArray[np.int32]
_NO_ROWS = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Written:
    """Samples on the page, those left after relabelling, series that were not there before; what the store did not take."""

    total: int
    kept: int
    series_added: int
    rejected: Rejected
    duplicates: int


@dataclass(slots=True)
class _State:
    """What the rows of a layout mean."""

    layout: PageLayout
    series_of_row: Rows  # (rows,) a series' number, or one of the constants
    row_of_series: Rows  # (series,) -1: it is not on the page
    segments: list[Layout]
    labels: dict[int, Labels] = field(default_factory=dict)  # by row, of rows that need more than a place in the array

    @property
    def whole(self) -> bool:
        """The page's rows are the one segment's, in order."""
        return len(self.segments) == 1 and len(self.row_of_series) == len(self.series_of_row) and bool(
            (self.row_of_series == np.arange(len(self.row_of_series))).all()
        )  # fmt: skip


class SeriesWriter:
    def __init__(self, storage: Appendable, config: ScrapeConfig, target: Labels) -> None:
        self._storage = storage
        self._config = config
        self._target = target
        self._labelling = Labelling(config, target)
        self._schema_max = schema_for_factor(config.native_histogram_min_bucket_factor)
        self._state: _State | None = None
        self._whole = False
        self._untracked: Flags | None = None  # (series,) those last written with a time of their own; None: none
        self._live = False
        self._histograms: dict[Labels, Histogram] = {}

    @property
    def layout(self) -> PageLayout | None:
        """Of the last page that was written: what the next one is compared with."""
        return self._state.layout if self._state is not None else None

    def write(self, page: Page, time_ms: int) -> Written:
        """Raises ScrapeFailed; then nothing was written, and the caller ends or keeps the series."""
        return at_once(self.write_steps(page, time_ms))

    def write_steps(self, page: Page, time_ms: int) -> Steps[Written]:
        """`write` in steps; what goes into the store goes there in the last one."""
        state = self._state
        changed = state is None or page.layout is not state.layout
        added, gone = 0, _NO_ROWS
        if changed:
            state, added, gone = yield from self._adapted(page.layout)
        assert state is not None
        duplicates = int(np.count_nonzero(state.series_of_row == DUPLICATE)) if changed or not self._whole else 0
        kept = page.layout.size - int(np.count_nonzero(state.series_of_row == DROPPED)) if changed or not self._whole else page.layout.size
        limit = self._config.limits.sample_limit
        if limit and kept > limit:
            raise LimitMet("sample limit exceeded", page.layout.size, kept)
        samples, too_new = self._special_samples(page, state, time_ms)
        exemplars = self._exemplars(page, state, time_ms)
        ended = self._stale_values(gone), self._state.segments if self._state is not None else ()
        if changed:
            self._take_over(state, page)
        rejected = self._append(page, state, time_ms)
        self._append_stale(*ended, time_ms)  # after the values: if a series is on the page in another way, they count
        rejected = _sum(rejected, self._append_samples(samples, page, time_ms))
        if too_new:
            rejected = _sum(rejected, Rejected(too_old=too_new))
        if exemplars:
            self._storage.append_exemplars(exemplars)
        self._live = True
        return Written(page.layout.size, kept, added, rejected, duplicates)

    def end(self, time_ms: int) -> None:
        """Everything that is live becomes stale."""
        if not self._live or self._state is None:
            return
        live = _places(self._state.row_of_series >= 0)
        self._append_stale(self._stale_values(live), self._state.segments, time_ms)
        self._storage.append_samples([Sample(labels, time_ms, _stale(h)) for labels, h in self._histograms.items()])
        self._histograms = {}
        self._live = False

    # -- layouts

    def _adapted(self, layout: PageLayout) -> Steps[tuple[_State, int, Rows]]:
        """(what the rows of the layout mean, series that were not there before, series of now that are not on it)."""
        state = self._state
        if state is None:
            fresh, added = yield from self._registered(layout)
            return fresh, added, _NO_ROWS
        found = _known(state, layout)
        live = state.row_of_series >= 0
        before = len(live)
        gone = _places(live & ~_present(found, before))
        if len(gone) and (found == DUPLICATE).any():  # of what is gone, perhaps
            return (yield from self._registered(layout))[0], 0, gone
        returned: dict[int, int] = {}
        if len(gone) and (found == NEW).any():
            hashes = yield from self._hashes(state.layout, state.row_of_series[gone].tolist())
            returned = dict(zip(hashes, gone.tolist(), strict=True))
        parts = yield from self._new_series(layout, found, before, returned)
        present = _present(found, before)
        gone = _places(live & ~present)
        added = sum(part.size for part in parts)
        segments = [*state.segments, *([self._storage.joined(parts)] if parts else [])]
        dead = before - int(np.count_nonzero(present))
        if len(segments) > SEGMENTS_MAX or dead > max(DEAD_MIN, before * DEAD_SHARE_MAX):
            return self._compacted(layout, found, before + added, segments), added, gone
        return _with_rows(layout, found, before + added, segments), added, gone

    def _registered(self, layout: PageLayout) -> Steps[tuple[_State, int]]:
        """All rows as one segment, and how many series it has."""
        found = np.full(layout.size, NEW, np.int32)
        parts = yield from self._new_series(layout, found, 0, {})
        whole = self._storage.joined(parts)
        return _with_rows(layout, found, whole.size, [whole]), whole.size

    def _new_series(self, layout: PageLayout, found: Rows, before: int, returned: dict[int, int]) -> Steps[list[Layout]]:
        """Decides the rows that are NEW in `found`: dropped, duplicate, of a series that is in `returned` (by its hash), or of a new one; these
        are counted from `before`, and their layouts are given. Raises LimitMet."""
        limit = self._config.limits.sample_limit
        parts: list[Layout] = []
        seen: set[int] = set()
        number = before
        rows = np.flatnonzero(found == NEW)
        for start in range(0, len(rows), STEP_ROWS):
            if start:
                yield
            batch = rows[start : start + STEP_ROWS].tolist()
            fresh: list[Labels] = []
            for row, own in zip(batch, self._labelled(layout, batch), strict=True):
                if own is None:
                    found[row] = DROPPED
                elif (key := hash(own)) in seen:
                    found[row] = DUPLICATE
                else:
                    seen.add(key)
                    known = returned.get(key)
                    found[row] = number if known is None else known
                    if known is None:
                        number += 1
                        fresh.append(own)
            if fresh and not 0 < limit < len(seen):
                parts.append(self._layout_of(fresh))
        kept = layout.size - int(np.count_nonzero(found == DROPPED))
        if 0 < limit < kept:
            raise LimitMet("sample limit exceeded", layout.size, kept)
        return parts

    def _labelled(self, layout: PageLayout, rows: Sequence[int]) -> Iterator[Labels | None]:
        """The labels that the series of those rows get; None where relabelling drops one."""
        return map(self._labelling.of, layout.labels_at(rows, {}))

    def _hashes(self, layout: PageLayout, rows: Sequence[int]) -> Steps[list[int]]:
        """Of the labels of those rows, none of which relabelling drops."""
        hashes: list[int] = []
        for start in range(0, len(rows), STEP_ROWS):
            if start:
                yield
            hashes += map(hash, self._labelled(layout, rows[start : start + STEP_ROWS]))
        return hashes

    def _compacted(self, layout: PageLayout, found: Rows, series: int, segments: list[Layout]) -> _State:
        """Without the series that are not on the page, and in its order."""
        rows = np.flatnonzero(found >= 0)
        _, first = np.unique(found[rows], return_index=True)
        places = found[rows[np.sort(first)]]
        renumbered = np.full(series, -1, np.int32)
        renumbered[places] = np.arange(len(places), dtype=np.int32)
        found[rows] = renumbered[found[rows]]
        return _with_rows(layout, found, len(places), [self._storage.joined(segments, places)])

    def _layout_of(self, series: Sequence[Labels]) -> Layout:
        try:
            return self._storage.layout(series)
        except LimitExceeded as error:
            raise ScrapeFailed(str(error)) from error

    def _take_over(self, state: _State, page: Page) -> None:
        self._state = state
        self._whole = state.whole
        self._untracked = None
        self._storage.set_metadata(self._target, dict(page.layout.metadata))

    # -- appends

    def _append(self, page: Page, state: _State, time_ms: int) -> Rejected:
        timed = self._timed(page)
        values = page.values
        if timed is not None:
            values = values.copy()
            values[timed] = ABSENT
        if not self._whole:
            values = np.append(values, ABSENT)[state.row_of_series]
        if timed is not None or page.histograms:
            self._untracked = self._untracked_series(page, state, timed)
        else:
            self._untracked = None
        return self._append_to(state.segments, values, time_ms)

    def _append_to(self, segments: Sequence[Layout], values: Values, time_ms: int) -> Rejected:
        rejected, start = Rejected(), 0
        for segment in segments:
            own = values if len(segments) == 1 else values[start : start + segment.size]
            rejected = _sum(rejected, self._storage.append(segment, time_ms, own))
            start += segment.size
        return rejected

    def _timed(self, page: Page) -> Flags | None:
        """(rows,) which have a time of their own that counts; None: none."""
        if page.times_ms is None or not self._config.honor_timestamps:
            return None
        flags: Flags = page.times_ms != NO_TIME
        return flags

    def _untracked_series(self, page: Page, state: _State, timed: Flags | None) -> Flags:
        rows = np.zeros(page.layout.size + 1, np.bool_)
        if timed is not None and not self._config.track_timestamps_staleness:
            rows[:-1] = timed
        rows[[row for row, _ in page.histograms]] = True
        return rows[state.row_of_series]

    def _special_samples(self, page: Page, state: _State, time_ms: int) -> tuple[list[Sample], int]:
        """Samples with a time of their own and histograms; and how many are too far in the future. Raises LimitMet."""
        timed = self._timed(page)
        rows = np.flatnonzero(timed).tolist() if timed is not None else []
        rows += [row for row, _ in page.histograms]
        if not rows:
            return [], 0
        labels = self._labels_at(state, rows)
        histograms = dict(page.histograms)
        samples, too_new = [], 0
        for row in dict.fromkeys(rows):
            own = labels.get(row)
            if own is None:
                continue
            at = int(page.times_ms[row]) if timed is not None and timed[row] and page.times_ms is not None else time_ms
            if at > time_ms + AHEAD_MS_MAX:
                too_new += 1
                continue
            histogram = histograms.get(row)
            if histogram is not None:
                limit = self._config.native_histogram_bucket_limit
                samples.append(Sample(own, at, within_limits(histogram, limit, self._schema_max)))
            else:
                samples.append(Sample(own, at, page.values[row].item()))
        return samples, too_new

    def _append_samples(self, samples: list[Sample], page: Page, time_ms: int) -> Rejected:
        tracks = self._config.track_timestamps_staleness
        now = {s.labels: s.value for s in samples if isinstance(s.value, Histogram) and (tracks or s.time_ms == time_ms)}
        ended = [Sample(labels, time_ms, _stale(h)) for labels, h in self._histograms.items() if labels not in now]
        self._histograms = now
        return self._storage.append_samples([*samples, *ended]) if samples or ended else Rejected()

    def _exemplars(self, page: Page, state: _State, time_ms: int) -> list[tuple[Labels, Exemplar]]:
        if not page.exemplars:
            return []
        labels = self._labels_at(state, [exemplar.row for exemplar in page.exemplars])
        found = []
        for exemplar in page.exemplars:
            own = labels.get(exemplar.row)
            if own is None or sum(len(n) + len(v) for n, v in exemplar.labels) > EXEMPLAR_CHARACTERS_MAX:
                continue
            at = exemplar.time_ms
            if at == NO_TIME:
                timed = page.times_ms[exemplar.row].item() if page.times_ms is not None and self._config.honor_timestamps else NO_TIME
                at = time_ms if timed == NO_TIME else timed
            found.append((own, Exemplar(exemplar.labels, exemplar.value, at)))
        return found

    def _labels_at(self, state: _State, rows: Sequence[int]) -> dict[int, Labels]:
        """Of those rows that are not dropped; remembered with the layout."""
        missing = [row for row in dict.fromkeys(rows) if row not in state.labels and state.series_of_row[row] != DROPPED]
        for row, own in zip(missing, state.layout.labels_at(missing), strict=True):
            labels = self._labelling.of(own)
            if labels is not None:
                state.labels[row] = labels
        return state.labels

    def _stale_values(self, series: Rows) -> Values | None:
        """One value for each series of the state that is left or ended: STALE for those, ABSENT for the others. None: for none of them."""
        state = self._state
        if state is None or not self._live or not len(series):
            return None
        if self._untracked is not None:
            series = series[~self._untracked[series]]
        values = np.full(len(state.row_of_series), ABSENT)
        values[series] = STALE
        return values

    def _append_stale(self, values: Values | None, segments: Sequence[Layout], time_ms: int) -> None:
        """What the store rejects has a sample of that time already: it is not stale."""
        if values is not None:
            self._append_to(segments, values, time_ms)


def state_segments(state: _State | None) -> Sequence[Layout]:
    return state.segments if state is not None else ()


def _known(state: _State, layout: PageLayout) -> Rows:
    """(rows,) of the layout: what the state says of the row with that key, the first one if there are several; NEW for others."""
    keys, first = np.unique(state.layout.row_keys(), return_index=True)
    wanted = layout.row_keys()
    if not len(keys):
        return np.full(len(wanted), NEW, np.int32)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, state.series_of_row[first[at]], np.int32(NEW))


def _present(found: Rows, series: int) -> Flags:
    """(series,) which of them are on the page."""
    flags = np.zeros(series, np.bool_)
    flags[found[(found >= 0) & (found < series)]] = True
    return flags


def _places(flags: Flags) -> Rows:
    return np.flatnonzero(flags).astype(np.int32)


def _with_rows(layout: PageLayout, series_of_row: Rows, series: int, segments: list[Layout]) -> _State:
    row_of_series = np.full(series, -1, np.int32)
    rows = np.flatnonzero(series_of_row >= 0)[::-1]  # the first row of a series counts: it is assigned last
    row_of_series[series_of_row[rows]] = rows
    extra = np.setdiff1d(rows, row_of_series[row_of_series >= 0], assume_unique=True)
    series_of_row[extra] = DUPLICATE
    return _State(layout, series_of_row, row_of_series, segments)


def _stale(like: Histogram) -> Histogram:
    schema = 0 if like.schema == CUSTOM_BUCKETS_SCHEMA else like.schema
    return Histogram(schema, 0, STALE)


def _sum(one: Rejected, other: Rejected) -> Rejected:
    if not other:
        return one
    return Rejected(one.out_of_order + other.out_of_order, one.too_old + other.too_old, one.duplicate + other.duplicate)
