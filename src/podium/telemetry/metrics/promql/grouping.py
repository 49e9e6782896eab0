"""Which series belong together: by some labels, without some, across the two sides of an operator.

A group is a number; labels are compared as codes, never as text. Tables of values belong to the store and may be far longer than a
selection, so work is proportional to the selection, not to the table. Upstream compares bytes of labels; a label without a value is a
label that is not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumn, LabelColumns
from podium.telemetry.metrics.promql.frames import METADATA_LABELS, Indices

Groups = npt.NDArray[np.int64]
_KEY_MAX = 1 << 40
"""Combined codes are compressed before they could overflow."""


@dataclass(frozen=True, slots=True)
class Grouped:
    groups: Groups  # (S,) numbered 0.. in the order of their first series
    firsts: Groups  # (G,) the first series of each group

    @property
    def count(self) -> int:
        return len(self.firsts)


def group_by(labels: LabelColumns, names: Iterable[str]) -> Grouped:
    """Series with equal values of these labels are one group."""
    return number(combined(labels, [n for n in names if n in labels.columns]))


def group_without(labels: LabelColumns, names: Iterable[str]) -> Grouped:
    """Series with equal values of all other labels are one group."""
    gone = set(names)
    return number(combined(labels, [n for n in labels.names if n not in gone]))


def combined(labels: LabelColumns, names: Sequence[str]) -> Groups:
    """(S,) a key for each series: equal keys are equal values of the names."""
    keys = np.zeros(labels.count, np.int64)
    bound = 1
    for name in names:
        column = labels.columns[name]
        size = len(column.values)
        if bound * size > _KEY_MAX:
            keys, bound = compress(keys)
        codes: npt.NDArray[np.integer] = column.codes
        if bound * size > _KEY_MAX:
            codes, size = compress(column.codes)
        keys = keys * size + codes if bound > 1 else codes.astype(np.int64)
        bound *= size
    return keys


def compress(keys: npt.NDArray[np.integer]) -> tuple[Groups, int]:
    """(the keys as ranks 0.., how many there are)."""
    distinct, ranks = np.unique(keys, return_inverse=True)
    return ranks.astype(np.int64, copy=False), len(distinct)


def number(keys: Groups) -> Grouped:
    """Groups by key, in the order of their first series."""
    count = len(keys)
    if not count:
        return Grouped(np.empty(0, np.int64), np.empty(0, np.int64))
    if (keys == keys[0]).all():
        return Grouped(np.zeros(count, np.int64), np.zeros(1, np.int64))
    bound = int(keys.max()) + 1
    if bound <= 4 * count + 1024:
        return _number_small(keys, bound)
    _, firsts, groups = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(firsts, kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return Grouped(ranks[groups], firsts[order].astype(np.int64))


def _number_small(keys: Groups, bound: int) -> Grouped:
    """Without sorting the series: a table of first series by key."""
    count = len(keys)
    first = np.full(bound, count, np.int64)
    first[keys[::-1]] = np.arange(count - 1, -1, -1)
    used = np.flatnonzero(first < count)
    used = used[np.argsort(first[used], kind="stable")]
    ranks = np.empty(bound, np.int64)
    ranks[used] = np.arange(len(used))
    return Grouped(ranks[keys], first[used])


def join(left: LabelColumns, right: LabelColumns, names: Sequence[str]) -> tuple[Groups, Groups]:
    """Keys of the series of both sides: equal keys, on whichever side, are equal values of the names."""
    both = concatenate([left.keep(names), right.keep(names)])
    keys = combined(both, both.names)
    return keys[: left.count], keys[left.count :]


def names_without(left: LabelColumns, right: LabelColumns, ignored: Iterable[str]) -> list[str]:
    """The labels of either side but the ignored and the metric's name; its type and unit count like any label."""
    gone = {METRIC_NAME, *ignored}
    return sorted(n for n in {*left.columns, *right.columns} if n not in gone)


def concatenate(parts: Sequence[LabelColumns]) -> LabelColumns:
    """The series of all parts, one after another."""
    if len(parts) == 1:
        return parts[0]
    count = sum(p.count for p in parts)
    columns: dict[str, LabelColumn] = {}
    for name in sorted({n for p in parts for n in p.columns}):
        columns[name] = _concatenate_column([p.columns.get(name) for p in parts], [p.count for p in parts])
    return LabelColumns(count, columns)


def _concatenate_column(columns: Sequence[LabelColumn | None], counts: Sequence[int]) -> LabelColumn:
    given = [c for c in columns if c is not None]
    if all(c.values is given[0].values for c in given):
        codes = [np.zeros(n, np.int32) if c is None else c.codes for c, n in zip(columns, counts, strict=True)]
        return LabelColumn(np.concatenate(codes), given[0].values)
    table: dict[str, int] = {"": 0}
    parts = []
    for column, count in zip(columns, counts, strict=True):
        if column is None:
            parts.append(np.zeros(count, np.int32))
            continue
        distinct, ranks = np.unique(column.codes, return_inverse=True)
        renamed = np.array([table.setdefault(column.values[c], len(table)) for c in distinct.tolist()], np.int32)
        parts.append(renamed[ranks] if count else np.zeros(0, np.int32))
    return LabelColumn(np.concatenate(parts), list(table))


def without_metadata(labels: LabelColumns) -> LabelColumns:
    return labels.without(METADATA_LABELS)


def set_label(labels: LabelColumns, name: str, values: Sequence[str]) -> LabelColumns:
    """With another value of one label for each series; '' removes it."""
    table: dict[str, int] = {"": 0}
    codes = np.fromiter((table.setdefault(v, len(table)) for v in values), np.int32, labels.count)
    return set_column(labels, name, LabelColumn(codes, list(table)))


def set_column(labels: LabelColumns, name: str, column: LabelColumn | None) -> LabelColumns:
    columns = dict(labels.columns)
    columns.pop(name, None)
    if column is not None:
        columns[name] = column
    return LabelColumns(labels.count, columns)


def texts(labels: LabelColumns, name: str) -> list[str]:
    """The values of one label, series by series."""
    column = labels.columns.get(name)
    if column is None:
        return [""] * labels.count
    values = column.values
    return [values[code] for code in column.codes.tolist()]


def distinct_texts(labels: LabelColumns, name: str) -> tuple[list[str], Groups]:
    """(distinct values of one label, which of them each series has)."""
    column = labels.columns.get(name)
    if column is None:
        return [""], np.zeros(labels.count, np.int64)
    codes = column.codes
    if len(codes) and bool((codes == codes[0]).all()):  # as most often
        return [column.values[codes[0]]], np.zeros(len(codes), np.int64)
    distinct, ranks = np.unique(codes, return_inverse=True)
    return [column.values[c] for c in distinct.tolist()], ranks.astype(np.int64, copy=False)


def sorted_order(labels: LabelColumns) -> Indices:
    """The order of the series by their labels, as upstream compares label sets: name by name, in pairs."""
    rows = labels.rows()
    return np.array(sorted(range(len(rows)), key=rows.__getitem__), np.int64)
