"""Labels: what names a series; matchers, which choose series; label columns, the labels of many series at once.

A series is named by its labels, the metric's name among them as `__name__`. One series' labels are a sorted tuple (`Labels`); those of
thousands are columns (`LabelColumns`): for each label name one array of codes and one table of values, so that to group 40,000 series by
a label is a few operations on arrays rather than 40,000 on tuples. A label with an empty value is the same as no label: code 0.

Regular expressions are RE2's, anchored at both ends: linear in the text, whatever a user writes.

Source: Prometheus' data model and the selectors of its querying documentation; UTF-8 names as in Prometheus 3.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

METRIC_NAME = "__name__"

Labels = tuple[tuple[str, str], ...]
"""(name, value) pairs, ascending by name (code points), each name once, no empty value."""

Codes = npt.NDArray[np.int32]


def labels_of(values: Mapping[str, str]) -> Labels:
    """Sorted, without empty values."""
    return tuple(sorted((n, v) for n, v in values.items() if v))


class MatchType(enum.Enum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEXP = "=~"
    NOT_REGEXP = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label's value; a series without the label has the value ''."""

    type: MatchType
    name: str
    value: str
    _compiled: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Raises ValueError for a regular expression that RE2 refuses, in its words."""
        if self.type in (MatchType.REGEXP, MatchType.NOT_REGEXP):
            object.__setattr__(self, "_compiled", compile_anchored(self.value))

    def matches(self, value: str) -> bool:
        if self.type is MatchType.EQUAL:
            return value == self.value
        if self.type is MatchType.NOT_EQUAL:
            return value != self.value
        return (self._compiled.fullmatch(value) is not None) is (self.type is MatchType.REGEXP)


def compile_anchored(expression: str) -> Any:
    """An RE2 pattern whose `.` matches newlines too, for `fullmatch`. Raises ValueError with RE2's message."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise ValueError(said.decode() if isinstance(said, bytes) else str(said)) from error


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """One label of N series: `values[codes[i]]` is the value of series i; `values[0]` is '' (the label is absent)."""

    codes: Codes  # (N,)
    values: Sequence[str]


@dataclass(frozen=True)
class LabelColumns:
    """The labels of `count` series, by column. Immutable: operations return new ones that share arrays."""

    count: int
    columns: Mapping[str, LabelColumn]

    @classmethod
    def of(cls, rows: Sequence[Labels]) -> "LabelColumns":
        """From labels series by series: for tests and small results, O(rows x labels)."""
        tables: dict[str, dict[str, int]] = {}
        codes: dict[str, Codes] = {}
        for i, labels in enumerate(rows):
            for name, value in labels:
                table = tables.setdefault(name, {"": 0})
                if name not in codes:
                    codes[name] = np.zeros(len(rows), np.int32)
                codes[name][i] = table.setdefault(value, len(table))
        return cls(len(rows), {name: LabelColumn(codes[name], list(tables[name])) for name in sorted(tables)})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Ascending. A name may be there although no series of this selection carries it."""
        return tuple(sorted(self.columns))

    def row(self, index: int) -> Labels:
        pairs = ((name, self.columns[name]) for name in self.names)
        return tuple((name, c.values[code]) for name, c in pairs if (code := c.codes[index]))

    def rows(self) -> list[Labels]:
        """All, in order; O(count x names): for results, not on the way there."""
        if self.count == 1:
            return [self.row(0)]
        found: list[list[tuple[str, str] | None]] = []
        whole = True
        for name in self.names:
            column = self.columns[name]
            codes = column.codes.tolist()
            pairs = {code: (name, column.values[code]) if code else None for code in set(codes)}  # shared by the rows that have them
            whole = whole and 0 not in pairs
            found.append([pairs[code] for code in codes])
        if not found:
            return [()] * self.count
        if whole:
            return list(zip(*found, strict=True))
        return [tuple([pair for pair in row if pair is not None]) for row in zip(*found, strict=True)]

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> "LabelColumns":
        """The series at `indices`, in that order."""
        return LabelColumns(len(indices), {n: LabelColumn(c.codes[indices], c.values) for n, c in self.columns.items()})

    def keep(self, names: Iterable[str]) -> "LabelColumns":
        wanted = set(names)
        return LabelColumns(self.count, {n: c for n, c in self.columns.items() if n in wanted})

    def without(self, names: Iterable[str]) -> "LabelColumns":
        gone = set(names)
        return LabelColumns(self.count, {n: c for n, c in self.columns.items() if n not in gone})

    def group(self) -> tuple[Codes, Codes]:
        """(group of each series, first series of each group): series with equal labels are of one group.

        Groups are numbered 0.. in the order of their first series.
        """
        groups = np.zeros(self.count, np.int64)
        for name in self.names:
            column = self.columns[name]
            combined = groups * len(column.values) + column.codes
            _, groups = np.unique(combined, return_inverse=True)
        _, first, groups = np.unique(groups, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        return rank[groups], first[order].astype(np.int32)
