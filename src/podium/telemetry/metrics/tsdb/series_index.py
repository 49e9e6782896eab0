"""The index: which series there are, by their labels.

A series is an id, a place in columns of codes (columns.py), one column for each label name, with a table of the label's values. A matcher
is decided once for each distinct value and then looked up for all series at once; what a regular expression decided is kept, and only
values that are new since are asked about. There are no posting lists: to scan a column of 100,000 codes takes 50 microseconds.

Series are found by a 64-bit hash of their codes, computed for a whole batch at once, and verified against the columns, so that a collision
costs time (`_overflow`) and never mixes series up. Ids of series that are gone are given out again.

Bounds: `series_max` series; LABEL_NAMES_MAX names of labels; MATCHERS_MAX matchers of a selector; MATCHES_KEPT_MAX and MATCHES_BYTES_MAX
decided matchers. Code tables are rebuilt when half of their values are unused (`forget`).
"""

import contextlib
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.labels import Codes, LabelColumn, LabelColumns, Labels, Matcher, MatchType
from podium.telemetry.metrics.tsdb.columns import PAGE_BITS, Ids, PagedCodes
from podium.telemetry.metrics.tsdb.hash_ids import NOBODY, Hashes, HashIds

MATCHES_KEPT_MAX = 512
MATCHES_BYTES_MAX = 64 * 1024 * 1024
"""Of decided matchers: a byte for each value of their label."""
LABELS_KEPT_BYTES_MAX = 1 << 20
LABELS_KEPT_ROWS_MAX = 1 << 13
"""Of answered labels, and of one of them: rules ask for the labels of the same series again and again."""
MATCHERS_MAX = 256
"""Of one selector."""
DECIDE_STEP = 20_000
"""Values matched at a time: some milliseconds."""
BATCH = 8192
"""Series registered at a time."""
BATCH_CELLS_MAX = BATCH * 128
"""Series of a batch times names of labels among them: bounds the memory of a registration."""
LABEL_NAMES_MAX = 32_000
"""Every name is a column, and each query looks at all of them."""
_LITERALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-:/ @,|")

_EXPRESSIONS = (MatchType.REGEXP, MatchType.NOT_REGEXP)


@dataclass(slots=True)
class LabelTable:
    """The values of one label and which series have them. `values[code]`; code 0 is '' (absent)."""

    number: int
    values: list[str] = field(default_factory=lambda: [""])
    codes: dict[str, int] = field(default_factory=dict)
    column: PagedCodes = field(default_factory=PagedCodes)

    def code(self, value: str) -> int:
        found = self.codes.get(value)
        if found is None:
            found = self.codes[value] = len(self.values)
            self.values.append(value)
        return found


@dataclass(frozen=True, slots=True)
class Batch:
    """Labels of `count` series with the codes of this index, by name, dense."""

    count: int
    codes: dict[str, Codes]


class _LazyColumns(Mapping[str, LabelColumn]):
    def __init__(self, ids: Ids, tables: dict[str, LabelTable]) -> None:
        self._ids, self._tables = ids, tables

    def __getitem__(self, name: str) -> LabelColumn:
        table = self._tables[name]
        return LabelColumn(table.column.gather(self._ids), table.values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


class SeriesIndex:
    def __init__(self, series_max: int) -> None:
        self.series_max = series_max
        self.tables: dict[str, LabelTable] = {}
        self._live = np.zeros(1024, np.bool_)
        self._labels_count = np.zeros(1024, np.int16)
        self._allocated = 0
        self._free: list[int] = []
        self._by_hash = HashIds()
        self._overflow: dict[Labels, int] = {}
        self._matches: OrderedDict[tuple[str, Matcher], npt.NDArray[np.bool_]] = OrderedDict()
        self._matches_bytes = 0
        self._last_table = 0
        self._labels_kept: OrderedDict[bytes, LabelColumns] = OrderedDict()  # by ids; they change when series are forgotten
        self._labels_kept_bytes = 0

    @property
    def allocated(self) -> int:
        """Ids are below this."""
        return self._allocated

    @property
    def count(self) -> int:
        """Series known, those that have no sample yet among them."""
        return self._allocated - len(self._free)

    def live(self) -> Ids:
        """All ids in use, ascending."""
        return np.flatnonzero(self._live[: self._allocated]).astype(np.int32)

    # Registration

    def register(self, series: Sequence[Labels], *, partly: bool = False) -> Ids:
        """The id of each, in that order; those not known are added. Raises LimitExceeded, and then adds none of the last batch; `partly`: adds
        as many as there is room for, and gives -1 for the others."""
        parts, at = [], 0
        while at < len(series):
            with self._without_idle_tables():
                batch = self._intern(series, at)
                parts.append(self._register(batch, partly=partly))
            at += batch.count
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def register_columns(self, labels: LabelColumns) -> Ids:
        """The same for labels that are columns already."""
        with self._without_idle_tables():
            return self._register_columns(labels)

    def _register_columns(self, labels: LabelColumns) -> Ids:
        translations = {}
        for name, column in labels.columns.items():
            table = self._table(name)
            used = np.unique(column.codes)
            translation = np.zeros(len(column.values), np.int32)
            for code in used[used > 0].tolist():
                translation[code] = table.code(column.values[code])
            translations[name] = translation
        parts = []
        for at in range(0, labels.count, BATCH):
            codes = {name: translations[name][column.codes[at : at + BATCH]] for name, column in labels.columns.items()}
            parts.append(self._register(Batch(min(BATCH, labels.count - at), codes)))
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    @contextlib.contextmanager
    def _without_idle_tables(self) -> Iterator[None]:
        """When a registration is refused, names that it brought and that no series has go again: they would count for ever."""
        before = self._last_table
        try:
            yield
        except LimitExceeded:
            idle = [name for name, table in self.tables.items() if table.number > before and table.column.untouched]
            for name in idle:
                del self.tables[name]
            raise

    def _table(self, name: str) -> LabelTable:
        table = self.tables.get(name)
        if table is None:
            if len(self.tables) >= LABEL_NAMES_MAX:
                raise LimitExceeded("label_names_max", f"the store knows {LABEL_NAMES_MAX} names of labels, which is its limit")
            self._last_table += 1
            table = self.tables[name] = LabelTable(self._last_table)
        return table

    def _intern(self, series: Sequence[Labels], start: int) -> Batch:
        """Of the series from `start` on: as many as a batch may have."""
        gathered: dict[str, tuple[LabelTable, dict[str, int], list[int], list[int]]] = {}
        count = 0
        for i, labels in enumerate(series[start : start + BATCH]):
            if i and (i + 1) * (len(gathered) + len(labels)) > BATCH_CELLS_MAX:
                break
            count += 1
            for name, value in labels:
                entry = gathered.get(name)
                if entry is None:
                    table = self._table(name)
                    entry = gathered[name] = (table, table.codes, [], [])
                entry[2].append(i)
                code = entry[1].get(value)
                entry[3].append(entry[0].code(value) if code is None else code)
        codes = {}
        for name, (_, _, rows, found) in gathered.items():
            dense = np.zeros(count, np.int32)
            dense[rows] = found
            codes[name] = dense
        return Batch(count, codes)

    def _register(self, batch: Batch, *, partly: bool = False) -> Ids:
        hashes = self._hashes(batch)
        found = self._by_hash.find(hashes)
        known = np.flatnonzero(found != NOBODY)
        others = known[~self._same(batch, known, found[known])]  # whose hash another series has
        found[others] = NOBODY
        missing = np.flatnonzero(found == NOBODY)
        if len(missing):
            self._add(batch, hashes, missing, found, set(others.tolist()), partly=partly)
        return found

    def _hashes(self, batch: Batch) -> Hashes:
        total = np.zeros(batch.count, np.uint64)
        for name, codes in batch.codes.items():
            total += np.where(codes > 0, _mixed(codes, self.tables[name].number), np.uint64(0))
        return total

    def _same(self, batch: Batch, rows: npt.NDArray[np.intp], ids: Ids) -> npt.NDArray[np.bool_]:
        """Whether the series at `ids` have the labels of those rows of the batch."""
        same = np.ones(len(rows), np.bool_)
        count = np.zeros(len(rows), np.int16)
        for name, codes in batch.codes.items():
            theirs = codes[rows]
            same &= self.tables[name].column.gather(ids) == theirs
            count += theirs > 0
        return same & (self._labels_count[ids] == count)

    def _add(self, batch: Batch, hashes: Hashes, missing: npt.NDArray[np.intp], found: Ids, others: set[int], *, partly: bool) -> None:
        """Gives ids to the rows `missing`, into `found`: one id for rows that are the same series. The hash of `others` is taken."""
        first: dict[int, int] = {}
        fresh: list[int] = []
        repeated: list[tuple[int, int]] = []
        for row, key in zip(missing.tolist(), hashes[missing].tolist(), strict=True):
            other = first.setdefault(key, row)
            if other != row and all(c[row] == c[other] for c in batch.codes.values()):
                repeated.append((row, other))
                continue
            if (other != row or row in others or self._overflow) and (known := self._overflow.get(self._labels(batch, row))) is not None:
                found[row] = known
                continue
            fresh.append(row)
        if partly:
            fresh = fresh[: max(0, self.series_max - self.count)]
        ids = self._allocate(len(fresh))
        rows = np.array(fresh, np.intp)
        for at in np.flatnonzero(self._by_hash.add(hashes[rows], ids)).tolist():
            self._overflow[self._labels(batch, fresh[at])] = int(ids[at])
        found[rows] = ids
        counts = np.zeros(len(rows), np.int16)
        for name, codes in batch.codes.items():
            theirs = codes[rows]
            there = theirs > 0
            counts += there
            self.tables[name].column.put(ids[there], theirs[there])
        self._labels_count[ids] = counts
        for row, other in repeated:
            found[row] = found[other]

    def _labels(self, batch: Batch, row: int) -> Labels:
        return tuple((name, self.tables[name].values[code]) for name in sorted(batch.codes) if (code := int(batch.codes[name][row])))

    def _allocate(self, count: int) -> Ids:
        if self.count + count > self.series_max:
            raise LimitExceeded(
                "series_max", f"the store holds {self.count} series, and {count} more would exceed its limit of {self.series_max}"
            )
        again = [self._free.pop() for _ in range(min(count, len(self._free)))]
        start = self._allocated
        self._allocated += count - len(again)
        if self._allocated > len(self._live):
            size = max(self._allocated, len(self._live) * 2)
            self._live = np.concatenate([self._live, np.zeros(size - len(self._live), np.bool_)])
            self._labels_count = np.concatenate([self._labels_count, np.zeros(size - len(self._labels_count), np.int16)])
        ids = np.concatenate([np.array(again, np.int32), np.arange(start, self._allocated, dtype=np.int32)])
        self._live[ids] = True
        return ids

    # Selection

    def deciding(self, matchers: Sequence[Matcher]) -> Generator[None, None, None]:
        """Decides the expressions among them for all values of their labels, in steps. Raises LimitExceeded."""
        _bounded(matchers)
        for matcher in matchers:
            table = self.tables.get(matcher.name)
            if table is None or matcher.type not in _EXPRESSIONS:
                continue
            while len(self._accepted(table, matcher, DECIDE_STEP)) < len(table.values):
                yield

    def matching(self, matchers: Sequence[Matcher]) -> Ids:
        """The series that match all, ascending. None: all series. Raises LimitExceeded."""
        _bounded(matchers)
        needing = sorted((m for m in matchers if not m.matches("")), key=self._cost)
        ids = self._with(needing[0]) if needing else self.live()
        for matcher in [*needing[1:], *(m for m in matchers if m.matches(""))]:
            if not len(ids):
                break
            table = self.tables.get(matcher.name)
            if table is None:
                ids = ids if matcher.matches("") else ids[:0]
            elif matcher.type is MatchType.EQUAL:
                ids = ids[table.column.gather(ids) == (table.codes.get(matcher.value, -1) if matcher.value else 0)]
            elif matcher.type is MatchType.NOT_EQUAL:
                ids = ids[table.column.gather(ids) != (table.codes.get(matcher.value, -1) if matcher.value else 0)]
            else:
                ids = ids[self._accepted(table, matcher)[table.column.gather(ids)]]
        return ids

    def _cost(self, matcher: Matcher) -> tuple[bool, int]:
        """The order in which to narrow down: equality first, of labels with many values before those with few."""
        table = self.tables.get(matcher.name)
        return matcher.type is not MatchType.EQUAL, 0 if table is None else -len(table.values)

    def _with(self, matcher: Matcher) -> Ids:
        """Those of all series that a matcher chooses which needs its label."""
        table = self.tables.get(matcher.name)
        if table is None:
            return np.zeros(0, np.int32)
        if matcher.type is MatchType.EQUAL:
            code = table.codes.get(matcher.value)
            return np.zeros(0, np.int32) if code is None else table.column.where(code)
        accepted = self._accepted(table, matcher)
        chosen = np.flatnonzero(accepted)
        return table.column.where(int(chosen[0])) if len(chosen) == 1 else table.column.where(accepted)

    def _accepted(self, table: LabelTable, matcher: Matcher, values_max: int | None = None) -> npt.NDArray[np.bool_]:
        """For each code whether its value matches. Decides values that are new since the last time only, up to `values_max` of them."""
        key = (matcher.name, matcher)
        decided = self._matches.get(key)
        start = 0 if decided is None else len(decided)
        if decided is None or start < len(table.values):
            added = self._decide(matcher, table.values[start : None if values_max is None else start + values_max])
            decided = added if decided is None else np.concatenate([decided, added])
            self._matches[key] = decided
            self._matches_bytes += len(added)
        self._matches.move_to_end(key)
        while len(self._matches) > MATCHES_KEPT_MAX or (self._matches_bytes > MATCHES_BYTES_MAX and len(self._matches) > 1):
            self._matches_bytes -= len(self._matches.popitem(last=False)[1])
        return decided

    def _decide(self, matcher: Matcher, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        if matcher.type in _EXPRESSIONS and _LITERALS.issuperset(matcher.value):
            wanted = set(matcher.value.split("|"))
            hits = np.fromiter((v in wanted for v in values), np.bool_, len(values))
            return hits if matcher.type is MatchType.REGEXP else ~hits
        return np.fromiter(map(matcher.matches, values), np.bool_, len(values))

    def labels(self, ids: Ids) -> LabelColumns:
        """Of these series, in that order, without names that none of them carries."""
        if len(ids) > LABELS_KEPT_ROWS_MAX or ids.dtype != np.int32:
            return self._labels_of(ids)
        key = ids.tobytes()
        found = self._labels_kept.get(key)
        if found is None:
            found = self._labels_kept[key] = self._labels_of(ids)
            for column in found.columns.values():
                column.codes.flags.writeable = False
            self._labels_kept_bytes += _bytes_of(key, found)
            while self._labels_kept_bytes > LABELS_KEPT_BYTES_MAX:
                oldest, gone = self._labels_kept.popitem(last=False)
                self._labels_kept_bytes -= _bytes_of(oldest, gone)
        else:
            self._labels_kept.move_to_end(key)
        return found

    def _labels_of(self, ids: Ids) -> LabelColumns:
        pages = np.unique(ids >> PAGE_BITS)
        columns = {}
        for name in sorted(self.tables):
            table = self.tables[name]
            if table.column.touches(pages):
                codes = table.column.gather(ids)
                if codes.any():
                    columns[name] = LabelColumn(codes, table.values)
        return LabelColumns(len(ids), columns)

    def lazy_labels(self, ids: Ids) -> LabelColumns:
        """The same for one pass over very many, at once: a column is made when it is asked for, and not kept."""
        pages = np.unique(ids >> PAGE_BITS)
        return LabelColumns(len(ids), _LazyColumns(ids, {n: t for n, t in self.tables.items() if t.column.touches(pages)}))

    # Forgetting

    def forget(self, ids: Ids) -> None:
        """The series are gone; their ids will be given to others. Values that no series has any more are dropped when they are many."""
        if not len(ids):
            return
        labels = self._labels_of(ids)
        hashes = self._hashes(Batch(len(ids), {n: c.codes for n, c in labels.columns.items()}))
        self._by_hash.remove(hashes, ids)
        if self._overflow:
            gone = set(ids.tolist())
            self._overflow = {k: i for k, i in self._overflow.items() if i not in gone}
        for name in labels.columns:
            self.tables[name].column.clear(ids)
        self._labels_kept.clear()
        self._labels_kept_bytes = 0
        self._live[ids] = False
        self._free.extend(reversed(ids.tolist()))
        self._shrink(labels.columns)

    def _shrink(self, names: Iterable[str]) -> None:
        shrunk = False
        for name in names:
            table = self.tables[name]
            used = table.column.in_use()
            used = used[used > 0]
            if 2 * len(used) >= len(table.values) - 1:
                continue
            shrunk = True
            if not len(used):
                del self.tables[name]
                continue
            translation = np.zeros(len(table.values), np.int32)
            translation[used] = np.arange(1, len(used) + 1)
            table.column.recode(translation)
            table.values = ["", *(table.values[code] for code in used.tolist())]  # a new list: answers share the old one
            table.codes = {value: code for code, value in enumerate(table.values) if code}
        if shrunk:
            self._matches.clear()
            self._matches_bytes = 0
            self._rehash()

    def _rehash(self) -> None:
        ids = self.live()
        labels = self._labels_of(ids)
        hashes = self._hashes(Batch(len(ids), {n: c.codes for n, c in labels.columns.items()}))
        self._by_hash = HashIds()
        self._overflow = {labels.row(at): int(ids[at]) for at in np.flatnonzero(self._by_hash.add(hashes, ids)).tolist()}


def _bytes_of(key: bytes, labels: LabelColumns) -> int:
    return len(key) + sum(column.codes.nbytes for column in labels.columns.values())


def _bounded(matchers: Sequence[Matcher]) -> None:
    if len(matchers) > MATCHERS_MAX:
        raise LimitExceeded("matchers_max", f"a selector has {len(matchers)} matchers, at most {MATCHERS_MAX} are allowed")


def _mixed(codes: Codes, number: int) -> Hashes:
    """SplitMix64's finaliser of (label, code), elementwise."""
    x = codes.astype(np.uint64) + np.uint64((number * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
