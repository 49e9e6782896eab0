"""The head: samples of the last hours, in memory, by window of time.

Samples come in by layout, a column at a time, into the open matrix of a group (group.py). A layout that is appended is placed first: its
series that are in no group join the one that most of the layout is in (a target that exposes some new series keeps its matrix), or a new
one. A layout that covers less than half of a group takes its series out of it, so that columns stay full. A full group is sealed: encoded
into a chunk of the window's file. Samples that are late, or come one by one, wait as loose samples of their window.

Invariants:
* a series is in one group at most, and its columns there ascend in time; what leaves a group, leaves it sealed;
* `state.last_ms` is the newest sample of a series, whether in a group, loose, or in a file;
* chunks and open matrices never cross a window's border; what is older than `valid_from_ms` is in blocks, or is late.

Order and duplicates, as upstream: a sample at the time of the last one is taken in silence when it is equal, a duplicate otherwise; an
older one is out of order, unless it is within the out-of-order window.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import equal, noted_reset
from podium.telemetry.metrics.samples import ABSENT, Times, Values, is_absent
from podium.telemetry.metrics.storage import Outcome, Outcomes, Rejected
from podium.telemetry.metrics.tsdb.assembly import RowSets, Source
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.group import ROWS_MAX, Group, OpenColumns
from podium.telemetry.metrics.tsdb.growing import NEVER, NOWHERE, SeriesState
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex
from podium.telemetry.metrics.tsdb.window import Window

Mask = npt.NDArray[np.bool_]
HOMES_SOUGHT_MAX = 4096
"""Series whose groups are looked up when they are read; of more, every group is looked at."""


class HeadLayout:
    """Series that are appended together; see Appendable."""

    __slots__ = ("__weakref__", "at", "encoded", "epoch", "ids", "number", "ordered", "parts", "unique")

    def __init__(self, number: int, ids: Ids) -> None:
        self.number = number
        self.ids = ids
        consecutive = len(ids) > 0 and bool((np.diff(ids) == 1).all())
        self.at: slice | Ids = slice(int(ids[0]), int(ids[-1]) + 1) if consecutive else ids  # the same, cheaper to index with
        self.ordered = consecutive or bool((np.diff(ids) > 0).all())
        self.unique = self.ordered or len(np.unique(ids)) == len(ids)
        self.encoded = b""  # its labels for the log, once they were needed
        self.epoch = -1
        self.parts: list[LayoutPart] = []

    @property
    def size(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class LayoutPart:
    """What of a layout is in one group. None: all, in the same order."""

    group: Group
    positions: npt.NDArray[np.intp] | None
    rows: npt.NDArray[np.int32] | None


@dataclass(slots=True)
class Accepted:
    """What an append has done: `values` as taken in order (ABSENT where not), and the late samples that were taken (ids, times, values)."""

    rejected: Rejected
    values: Values | None
    late: tuple[Ids, Times, Values] | None = None


@dataclass(slots=True)
class Head:
    index: SeriesIndex
    sets: RowSets
    options: Options
    window: Callable[[int], Window]
    """The window of samples at a time; made when there is none."""
    value_at: Callable[[Ids, Times], Values]
    """Of each (series, time) the value that is stored, ABSENT for none: asked for late samples."""
    state: SeriesState = field(default_factory=SeriesState)
    groups: dict[int, Group] = field(default_factory=dict)
    layouts: "WeakSet[HeadLayout]" = field(default_factory=WeakSet)
    epoch: int = 0
    newest_ms: int = NEVER
    valid_from_ms: int = NEVER
    segment: int = -1
    """Of the write-ahead log that what is appended now goes to."""
    samples: int = 0
    _next_group: int = 0
    _next_layout: int = 0

    def layout(self, ids: Ids) -> HeadLayout:
        self.state.cover(self.index.allocated)
        self._next_layout += 1
        made = HeadLayout(self._next_layout, ids)
        self.layouts.add(made)
        return made

    # Appending columns

    def append(self, layout: HeadLayout, time_ms: int, values: Values) -> Accepted:
        last = self.state.last_ms[layout.at]
        absent = is_absent(values) if np.isnan(values).any() else None
        absent = absent if absent is not None and absent.any() else None
        if not layout.unique:  # the same series twice: one after another, as if each came by itself
            there = np.arange(layout.size) if absent is None else np.flatnonzero(~absent)
            accepted = self.append_loose(layout.ids[there], np.full(len(there), time_ms, np.int64), values[there])
            if accepted.rejected.outcomes is not None and absent is not None:
                outcomes = np.zeros(layout.size, np.int8)
                outcomes[there] = accepted.rejected.outcomes
                accepted.rejected = Rejected.of(outcomes)
            return accepted
        behind = last >= time_ms
        if time_ms < self.valid_from_ms:
            behind[:] = True
        if not behind.any():
            self._take(layout, time_ms, values, absent)
            return Accepted(Rejected(), values)
        present = np.ones(layout.size, np.bool_) if absent is None else ~absent
        ahead = present & ~behind
        taken = np.where(ahead, values, ABSENT)
        if ahead.any():
            self._take(layout, time_ms, taken, None if ahead.all() else ~ahead)
        rest = present & behind
        outcomes = np.zeros(layout.size, np.int8)
        outcomes[rest], late = self._late(layout.ids[rest], np.full(int(rest.sum()), time_ms, np.int64), values[rest])
        return Accepted(Rejected.of(outcomes), taken if ahead.any() else None, late)

    def _take(self, layout: HeadLayout, time_ms: int, values: Values, absent: Mask | None) -> None:
        """All in order, `absent` marks what there is none of."""
        ids = layout.ids
        if absent is None:
            self._note(layout.at, time_ms, values)
        else:
            there = ~absent
            self._note(ids[there], time_ms, values[there])
        self.samples += len(ids) if absent is None else int(there.sum())
        self.newest_ms = max(self.newest_ms, time_ms)
        if layout.epoch != self.epoch:
            self._place(layout)
        for part in list(layout.parts):
            if part.group.full or self._window_ended(part.group, time_ms):
                self.seal(part.group)
        if layout.epoch != self.epoch:
            self._place(layout)
        for part in layout.parts:
            mine = values if part.positions is None else values[part.positions]
            missing = absent if absent is None or part.positions is None else absent[part.positions]
            if missing is None or not missing.all():
                self._column(part, time_ms, mine, missing)

    def _note(self, ids: slice | Ids, time_ms: int, values: Values) -> None:
        state = self.state
        if len(values) and state.last_ms[ids].min() == NEVER:  # otherwise there is an older one
            state.first_ms[ids] = np.minimum(state.first_ms[ids], time_ms)
        state.last_ms[ids] = time_ms
        state.last_value[ids] = values

    def _column(self, part: LayoutPart, time_ms: int, values: Values, absent: Mask | None) -> None:
        group, rows = part.group, part.rows
        if group.count and time_ms <= group.times[group.count - 1]:
            self._between(part, time_ms, values, absent)
            return
        group.append(time_ms, values, rows)
        if group.first_segment < 0:
            group.first_segment = self.segment

    def _window_ended(self, group: Group, time_ms: int) -> bool:
        return group.count > 0 and bool(group.times[0] // self.options.window_ms != time_ms // self.options.window_ms)

    def _between(self, part: LayoutPart, time_ms: int, values: Values, absent: Mask | None) -> None:
        """Not the group's newest column, though the newest samples of these series: other rows are ahead."""
        group = part.group
        rows = np.arange(group.rows, dtype=np.int32) if part.rows is None else part.rows
        if absent is not None:
            rows, values = rows[~absent], values[~absent]
        column = int(np.searchsorted(group.times[: group.count], time_ms))
        if group.times[column] == time_ms:
            group.fill(column, values, rows)
        else:
            self._loosen(group.ids[rows], np.full(len(rows), time_ms, np.int64), values)

    def _loosen(self, ids: Ids, times: Times, values: Values) -> None:
        starts = times // self.options.window_ms * self.options.window_ms
        for start in np.unique(starts).tolist():
            chosen = starts == start
            window = self.window(start)
            window.loose.add(ids[chosen], times[chosen], values[chosen])
            if window.first_segment < 0:
                window.first_segment = self.segment

    # Appending loose samples

    def append_loose(self, ids: Ids, times: Times, values: Values) -> Accepted:
        """Samples of any series at any times, in the order of arrival."""
        self.state.cover(self.index.allocated)
        if self._take_ascending(ids, times, values):
            return Accepted(Rejected(), None, (ids, times, values))
        order = np.lexsort((np.arange(len(ids)), times))
        ids, times, values = ids[order], times[order], values[order]
        outcomes = np.zeros(len(ids), np.int8)
        taken: list[tuple[Ids, Times, Values]] = []
        for part in np.split(np.arange(len(ids)), np.flatnonzero(np.diff(times)) + 1):
            while len(part):  # a series that is there twice is taken in two turns
                _, first = np.unique(ids[part], return_index=True)
                now = part[np.sort(first)]
                outcomes[order[now]] = self._loose_at(ids[now], times[now], values[now], taken)
                part = np.delete(part, first)
        return Accepted(Rejected.of(outcomes), None, _joined(taken))

    def _loose_at(self, ids: Ids, times: Times, values: Values, taken: list[tuple[Ids, Times, Values]]) -> Outcomes:
        """Samples at one time, each series once. Adds to `taken` what was."""
        outcomes = np.zeros(len(ids), np.int8)
        if not len(ids):
            return outcomes
        time_ms = int(times[0])
        behind = (self.state.last_ms[ids] >= time_ms) | (time_ms < self.valid_from_ms)
        ahead = ~behind
        if ahead.any():
            mine = ids[ahead], times[ahead], values[ahead]
            self._note(mine[0], time_ms, mine[2])
            self.newest_ms = max(self.newest_ms, time_ms)
            self._loosen(*mine)
            self.samples += len(mine[0])
            taken.append(mine)
        outcomes[behind], late = self._late(ids[behind], times[behind], values[behind])
        if late is not None:
            taken.append(late)
        return outcomes

    def replay_loose(self, ids: Ids, times: Times, values: Values) -> None:
        """Samples that were accepted once, some of which may be there already: all are taken."""
        self.state.cover(self.index.allocated)
        order = np.lexsort((times, ids))
        i, t, v = ids[order], times[order], values[order]
        last = np.append(i[1:] != i[:-1], True)
        first = np.concatenate([[True], i[1:] != i[:-1]])
        newer = last & (t > self.state.last_ms[i])
        self.state.last_ms[i[newer]] = t[newer]
        self.state.last_value[i[newer]] = v[newer]
        self.state.first_ms[i[first]] = np.minimum(self.state.first_ms[i[first]], t[first])
        self.newest_ms = max(self.newest_ms, int(t.max(initial=NEVER)))
        self._loosen(ids, times, values)
        self.samples += len(ids)

    def _take_ascending(self, ids: Ids, times: Times, values: Values) -> bool:
        """Takes all at once when each is newer than what its series has; False when not."""
        if not len(ids) or int(times.min()) < self.valid_from_ms:
            return False
        order = np.lexsort((times, ids))
        i, t = ids[order], times[order]
        again = i[1:] == i[:-1]
        if bool((again & (t[1:] <= t[:-1])).any()) or bool((self.state.last_ms[i] >= t).any()):
            return False
        last = np.append(~again, True)
        first = np.concatenate([[True], ~again])
        self.state.last_ms[i[last]] = t[last]
        self.state.last_value[i[last]] = values[order][last]
        self.state.first_ms[i[first]] = np.minimum(self.state.first_ms[i[first]], t[first])
        self.newest_ms = max(self.newest_ms, int(times.max()))
        self._loosen(ids, times, values)
        self.samples += len(ids)
        return True

    def _late(self, ids: Ids, times: Times, values: Values) -> tuple[Outcomes, tuple[Ids, Times, Values] | None]:
        """Samples that are not newer than the last of their series (or older than all that is not cut yet), each series once."""
        outcomes = np.full(len(ids), Outcome.KNOWN, np.int8)
        if not len(ids):
            return outcomes, None
        same = self.state.last_ms[ids] == times
        known = self.state.last_value[ids]
        unsure = same & is_absent(known)
        window_ms = self.options.out_of_order_window_ms
        older = ~same
        too_old = older & (
            (times < self.newest_ms - window_ms) if window_ms else (times < self.valid_from_ms) & (self.state.last_ms[ids] < times)
        )
        out_of_order = older & ~too_old & (window_ms == 0)
        checked = unsure | (older & ~too_old & ~out_of_order)
        if checked.any():
            known = known.copy()
            known[checked] = self.value_at(ids[checked], times[checked])
        has = ~is_absent(known) & (same | checked)
        differs = has & (known.view(np.uint64) != np.ascontiguousarray(values).view(np.uint64))
        taken = older & checked & ~has
        outcomes[out_of_order], outcomes[too_old] = Outcome.OUT_OF_ORDER, Outcome.TOO_OLD
        outcomes[differs | (same & ~has)], outcomes[taken] = Outcome.DUPLICATE, Outcome.TAKEN
        if not taken.any():
            return outcomes, None
        late = ids[taken], times[taken], values[taken]
        newer = late[1] > self.state.last_ms[late[0]]  # than its last, though older than what is cut
        self.state.last_ms[late[0][newer]] = late[1][newer]
        self.state.last_value[late[0][newer]] = late[2][newer]
        self.state.first_ms[late[0]] = np.minimum(self.state.first_ms[late[0]], late[1])
        self._loosen(*late)
        self.samples += len(late[0])
        return outcomes, late

    # Native histograms

    def append_histogram(self, series: int, time_ms: int, histogram: Histogram, *, replayed: bool = False) -> Outcome:
        """TAKEN: and to be logged."""
        self.state.cover(self.index.allocated)
        last = int(self.state.last_ms[series])
        window_ms = self.options.out_of_order_window_ms
        window = self.window(time_ms // self.options.window_ms * self.options.window_ms)
        if not replayed and (last >= time_ms or time_ms < self.valid_from_ms):
            kept = window.histograms.at(series, time_ms)
            if kept is not None:
                return Outcome.KNOWN if equal(kept, histogram) else Outcome.DUPLICATE
            if last == time_ms:
                return Outcome.DUPLICATE
            if not window_ms:
                return Outcome.TOO_OLD if last < time_ms else Outcome.OUT_OF_ORDER
            if time_ms < self.newest_ms - window_ms:
                return Outcome.TOO_OLD
        histogram = noted_reset(histogram, window.histograms.last(series, last) if time_ms > last else None)
        window.add_histogram(series, time_ms, histogram, self.segment)
        if time_ms > last:
            self.state.last_ms[series] = time_ms
            self.state.last_value[series] = ABSENT
        self.state.first_ms[series] = min(int(self.state.first_ms[series]), time_ms)
        self.newest_ms = max(self.newest_ms, time_ms)
        self.samples += 1
        return Outcome.TAKEN

    # Groups

    def _place(self, layout: HeadLayout) -> None:
        """Says where each series of the layout goes, and makes room for those that have no place."""
        ids = layout.ids if layout.ordered else np.unique(layout.ids)
        homes = self.state.group[ids]
        numbers, counts = np.unique(homes[homes >= 0], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            group = self.groups[number]
            if 2 * count < group.rows:
                self._take_out(group, ids[homes == number])
        homes = self.state.group[ids]
        homeless = ids[homes == NOWHERE]
        if len(homeless):
            if not layout.ordered:  # the writer's order, so that rows need no permutation
                order = layout.ids[np.isin(layout.ids, homeless)]
                _, first = np.unique(order, return_index=True)
                homeless = order[np.sort(first)]
            self._house(homeless, homes[homes >= 0])
        self._map(layout)

    def _house(self, homeless: Ids, homes: npt.NDArray[np.int32]) -> None:
        number = -1
        if len(homes):
            numbers, counts = np.unique(homes, return_counts=True)
            number = int(numbers[np.argmax(counts)])
        for at in range(0, len(homeless), ROWS_MAX):
            part = homeless[at : at + ROWS_MAX]
            if number < 0 or self.groups[number].rows + len(part) > ROWS_MAX:
                self._next_group += 1
                number = self._next_group
                self.groups[number] = Group()
            group = self.groups[number]
            self.state.row[part] = np.arange(group.rows, group.rows + len(part), dtype=np.int32)
            self.state.group[part] = number
            group.join(part)
            group.row_set = self.sets.of(group.ids)
        self.epoch += 1

    def _take_out(self, group: Group, ids: Ids) -> None:
        self.seal(group)
        if not group.rows:
            return
        still = ids[self.state.group[ids] != NOWHERE]
        kept = np.flatnonzero(~np.isin(group.ids, still))
        self._let_go(group, kept)

    def _let_go(self, group: Group, kept: npt.NDArray[np.intp]) -> None:
        """An empty group goes on with these rows; the others are in no group then."""
        if len(kept) == group.rows:
            group.start_anew(kept)
            return
        number = int(self.state.group[group.ids[0]])
        self.state.group[group.ids] = NOWHERE
        group.start_anew(kept)
        group.row_set = self.sets.of(group.ids)
        self.state.group[group.ids] = number
        self.state.row[group.ids] = np.arange(group.rows, dtype=np.int32)
        if not group.rows:
            del self.groups[number]
        self.epoch += 1

    def dissolve(self, group: Group) -> None:
        """Lets an empty group go."""
        self._let_go(group, np.zeros(0, np.intp))

    def _map(self, layout: HeadLayout) -> None:
        homes = self.state.group[layout.ids]
        rows = self.state.row[layout.ids]
        parts = []
        for number in np.unique(homes).tolist():
            group = self.groups[number]
            positions = np.flatnonzero(homes == number)
            mine = rows[positions]
            if len(positions) == layout.size:
                whole = len(mine) == group.rows and bool((mine == np.arange(group.rows)).all())
                parts.append(LayoutPart(group, None, None if whole else mine))
            else:
                whole = len(mine) == group.rows and bool((mine == np.arange(group.rows)).all())
                parts.append(LayoutPart(group, positions, None if whole else mine))
        layout.parts = parts
        layout.epoch = self.epoch

    # Sealing

    def seal(self, group: Group) -> None:
        """Makes a chunk of what the group has; lets go of rows without a sample."""
        if not group.count:
            return
        kept, times, values = group.sealed()
        window = self.window(int(times[0]) // self.options.window_ms * self.options.window_ms)
        if len(kept):
            row_set = group.row_set if len(kept) == group.rows else self.sets.of(group.ids[kept])
            window.add(row_set, times, values, group.first_segment)
        self._let_go(group, kept)

    def seal_all(self, *, before_ms: int = -NEVER, segment: int = 1 << 62) -> None:
        """Every group whose columns are older than `before_ms` and protected by a segment up to `segment`."""
        for number in sorted(self.groups):
            group = self.groups.get(number)
            if group is not None and group.count and group.times[0] < before_ms and group.first_segment <= segment:
                self.seal(group)

    # Reading

    def _homes(self, ids: Ids) -> list[int]:
        """The groups that these series are in, ascending."""
        self.state.cover(self.index.allocated)
        return sorted(set(self.state.group[ids].tolist()) - {NOWHERE})

    def sources(self, ids: Ids, start_ms: int, end_ms: int) -> Iterator[Source]:
        """Open matrices with samples in the range that may be of these series."""
        for number in self._homes(ids) if len(ids) <= HOMES_SOUGHT_MAX else sorted(self.groups):
            group = self.groups[number]
            if group.count and group.times[0] <= end_ms and group.times[group.count - 1] >= start_ms:
                yield OpenColumns(group)


def _joined(parts: Sequence[tuple[Ids, Times, Values]]) -> tuple[Ids, Times, Values] | None:
    parts = [p for p in parts if len(p[0])]
    if not parts:
        return None
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts])
