"""Sums, extremes and deviations of groups of rows, at every step at once.

Rows are ordered by group, so that a group is a run of rows. Large groups are worked on block by block, so that what is worked on stays in
cache; many small ones by rank, the k-th rows of all groups at a time. Errors of additions are kept (see compensated.py), but within a block
of numbers of one sign, which cannot cancel.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.promql.compensated import add, settle
from podium.telemetry.metrics.promql.grouping import Grouped
from podium.telemetry.metrics.promql.over_time import may_overflow, overflown_mean
from podium.telemetry.metrics.samples import Flags, Values

Bounds = npt.NDArray[np.int64]
BLOCK_ROWS = 64
SMALL_GROUP = 12
"""Rows: groups that are smaller on average are worked on by rank,"""
LARGE_GROUP = 256
"""but for those among them with more rows than this."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows ordered by group: run g is `order[starts[g]:starts[g + 1]]`."""

    order: Bounds | None  # None: rows are in order already
    starts: Bounds  # (G,)
    sizes: Bounds  # (G,) at least 1

    @classmethod
    def of(cls, grouped: Grouped) -> "Runs":
        sizes = np.bincount(grouped.groups, minlength=grouped.count).astype(np.int64)
        starts = np.cumsum(sizes) - sizes
        groups = grouped.groups
        ordered = len(groups) < 2 or bool((groups[1:] >= groups[:-1]).all())
        if ordered:
            return cls(None, starts, sizes)
        narrow = groups.astype(np.uint16) if grouped.count < 1 << 16 else groups
        return cls(np.argsort(narrow, kind="stable"), starts, sizes)

    def rows(self, start: int, end: int) -> Bounds | slice:
        """The rows at these places of the order."""
        return slice(start, end) if self.order is None else self.order[start:end]

    def blocks(self) -> Iterator[tuple[int, Bounds | slice]]:
        """(group, some of its rows), for large groups."""
        large = self._large()
        for group, start, size in zip(large.tolist(), self.starts[large].tolist(), self.sizes[large].tolist(), strict=True):
            for at in range(start, start + size, BLOCK_ROWS):
                yield group, self.rows(at, min(at + BLOCK_ROWS, start + size))

    def ranks(self) -> Iterator[tuple[Bounds | slice, Bounds]]:
        """(groups, the k-th row of each) for each k, for small groups."""
        large = self._large()
        if len(large) == len(self.sizes):
            return
        sizes = self.sizes.copy()
        sizes[large] = 0
        groups = np.arange(len(sizes))
        for k in range(int(sizes.max())):
            groups = groups[sizes[groups] > k]
            places = self.starts[groups] + k
            whole = len(groups) == len(sizes)
            yield slice(None) if whole else groups, places if self.order is None else self.order[places]

    def _large(self) -> Bounds:
        number = len(self.sizes)
        if not number:
            return np.zeros(0, np.int64)
        return np.arange(number) if self.sizes.sum() > SMALL_GROUP * number else np.flatnonzero(self.sizes > LARGE_GROUP)

    def arrange(self, rows: npt.NDArray) -> npt.NDArray:
        return rows if self.order is None else rows[self.order]


def counts(runs: Runs, present: Flags | None, steps: int) -> Bounds:
    """(G, T) how many rows of each group are there."""
    if present is None:
        return np.broadcast_to(runs.sizes[:, None], (len(runs.sizes), steps))
    number = np.zeros((len(runs.sizes), steps), np.int64)
    for group, rows in runs.blocks():
        number[group] += np.add.reduce(present[rows], axis=0, dtype=np.int64)
    for groups, rows in runs.ranks():
        number[groups] += present[rows]
    return number


def sums(runs: Runs, values: Values, present: Flags | None) -> tuple[Values, Values]:
    """(sum, compensation) of each group: (G, T)."""
    total, lost = np.zeros((len(runs.sizes), values.shape[1])), np.zeros((len(runs.sizes), values.shape[1]))
    if not total.size:
        return total, lost
    for group, rows in runs.blocks():
        block = _filled(values, present, rows, 0.0)
        if block.min() >= 0 or block.max() <= 0:
            added = np.add.reduce(block, axis=0)
        else:
            added, more = _in_pairs(block)
            lost[group] += more
        total[group] = add(total[group], lost[group], added)
    for groups, rows in runs.ranks():
        missing = lost[groups]
        total[groups] = add(total[groups], missing, _filled(values, present, rows, 0.0))
        lost[groups] = missing
    _repair(runs, values, present, total, lost)
    return total, lost


def _filled(values: Values, present: Flags | None, rows: Bounds | slice, absent: float) -> Values:
    return values[rows] if present is None else np.where(present[rows], values[rows], absent)


def _in_pairs(block: Values) -> tuple[Values, Values]:
    """(sum, compensation) of the rows of a block: neighbours are added, level by level; what that loses is added up beside."""
    lost = np.zeros(block.shape[1])
    while len(block) > 1:
        pairs = len(block) // 2
        a, b = block[: 2 * pairs : 2], block[1 : 2 * pairs : 2]
        added = a + b
        shifted = added - a
        lost += ((a - (added - shifted)) + (b - shifted)).sum(axis=0)
        block = added if len(block) % 2 == 0 else np.concatenate([added, block[-1:]])
    return block[0], lost


def _repair(runs: Runs, values: Values, present: Flags | None, total: Values, lost: Values) -> None:
    """Where finite numbers overflow, the order matters: they are added one after another then, as upstream does. In place."""
    for group, step in np.argwhere(_overflown(runs, values, present, total)).tolist():
        total[group, step] = _one_by_one(_column(runs, values, present, group, step).tolist())
        lost[group, step] = 0.0


def _overflown(runs: Runs, values: Values, present: Flags | None, total: Values) -> Flags:
    """(G, T) where a sum is not finite and something else than a NaN among the numbers may be why."""
    odd = ~np.isfinite(total)
    if not odd.any():
        return odd
    if not may_overflow(values, int(runs.sizes.max())):
        return np.zeros(total.shape, np.bool_)
    nan = np.isnan(values) if present is None else np.isnan(values) & present
    return odd & (counts(runs, nan, total.shape[1]) == 0)


def _column(runs: Runs, values: Values, present: Flags | None, group: int, step: int) -> Values:
    """What a group has at a step."""
    start = int(runs.starts[group])
    rows = runs.rows(start, start + int(runs.sizes[group]))
    column = values[rows, step]
    return column if present is None else column[present[rows, step]]


def _one_by_one(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def means(runs: Runs, values: Values, present: Flags | None, number: Bounds) -> Values:
    """(G, T). `number` is counts()."""
    total, lost = sums(runs, values, present)
    with np.errstate(all="ignore"):
        result = np.where(np.isfinite(total), total / number + lost / number, total)
    for group, step in np.argwhere(_overflown(runs, values, present, total)).tolist():
        result[group, step] = overflown_mean(_column(runs, values, present, group, step))
    return result


def extremes(runs: Runs, values: Values, present: Flags | None, choose: np.ufunc) -> Values:
    """(G, T). NaN only where all are NaN or nothing is there."""
    result = np.full((len(runs.sizes), values.shape[1]), np.nan)
    for group, rows in runs.blocks():
        result[group] = choose(result[group], choose.reduce(_filled(values, present, rows, np.nan), axis=0))
    for groups, rows in runs.ranks():
        result[groups] = choose(result[groups], _filled(values, present, rows, np.nan))
    return result


def variances(runs: Runs, values: Values, present: Flags | None, number: Bounds) -> Values:
    """(G, T), of the population. Deviations are from one of the group's values, so that equal values have none at all."""
    arranged = runs.arrange(values)
    there = None if present is None else runs.arrange(present)
    owners = np.repeat(np.arange(len(runs.starts)), runs.sizes)
    start = arranged[runs.starts] if there is None else extremes(Runs(None, runs.starts, runs.sizes), arranged, there, np.fmin)
    ordered = Runs(None, runs.starts, runs.sizes)
    with np.errstate(all="ignore"):
        distance = arranged - start[owners]
        total, lost = sums(ordered, distance, there)
        mean = settle(total, lost) / number
        squares, lost = sums(ordered, np.square(distance - mean[owners]), there)
        return settle(squares, lost) / number
