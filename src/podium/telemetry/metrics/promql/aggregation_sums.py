"""Sums, extremes and deviations of groups of rows, at every step at once.

Rows are brought into the order of their groups, so that a group is a run of rows and numpy's `reduceat` adds it up. Numbers of one sign are
added in blocks of BLOCK_ROWS, which keeps rounding errors small; numbers of both signs may cancel, and are added in pairs whose errors are kept
(see compensated.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.promql.compensated import settle
from podium.telemetry.metrics.promql.grouping import Grouped
from podium.telemetry.metrics.promql.over_time import mean_slowly
from podium.telemetry.metrics.samples import Flags, Values

Bounds = npt.NDArray[np.int64]
BLOCK_ROWS = 64
COLUMNS_AT_ONCE = 1 << 20
"""Values that are worked on at a time."""


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

    def arrange(self, rows: npt.NDArray) -> npt.NDArray:
        return rows if self.order is None else rows[self.order]


def counts(runs: Runs, present: Flags | None, steps: int) -> Bounds:
    """(G, T) how many rows of each group are there."""
    if present is None:
        return np.broadcast_to(runs.sizes[:, None], (len(runs.sizes), steps))
    return np.add.reduceat(runs.arrange(present).astype(np.int32), runs.starts, axis=0).astype(np.int64)


def sums(runs: Runs, values: Values, present: Flags | None) -> tuple[Values, Values]:
    """(sum, compensation) of each group: (G, T)."""
    arranged = runs.arrange(values)
    if present is not None:
        arranged = np.where(runs.arrange(present), arranged, 0.0)
    if int(runs.sizes.max()) == 1:
        return np.array(arranged), np.zeros(arranged.shape)
    if arranged.min() >= 0 or arranged.max() <= 0:
        total = _in_blocks(runs, arranged)
        return total, np.zeros(total.shape)
    total, lost = _in_pairs(runs, arranged)
    _repair(runs, arranged, total, lost)
    return total, lost


def _in_blocks(runs: Runs, arranged: Values) -> Values:
    if int(runs.sizes.max()) <= 2 * BLOCK_ROWS:
        return np.add.reduceat(arranged, runs.starts, axis=0)
    blocks = -(-runs.sizes // BLOCK_ROWS)
    firsts = np.cumsum(blocks) - blocks
    within = np.arange(int(blocks.sum())) - np.repeat(firsts, blocks)
    parts = np.add.reduceat(arranged, np.repeat(runs.starts, blocks) + within * BLOCK_ROWS, axis=0)
    return np.add.reduceat(parts, firsts, axis=0)


def _in_pairs(runs: Runs, arranged: Values) -> tuple[Values, Values]:
    """Neighbours of a run are added, level by level; what each addition loses is added up beside."""
    total, lost = arranged, np.zeros(arranged.shape)
    starts, sizes = runs.starts, runs.sizes
    while int(sizes.max()) > 1:
        halves = (sizes + 1) // 2
        firsts = np.cumsum(halves) - halves
        left = np.repeat(starts, halves) + 2 * (np.arange(int(halves.sum())) - np.repeat(firsts, halves))
        single = np.zeros(len(left), np.bool_)
        single[(firsts + halves - 1)[sizes % 2 == 1]] = True
        right = np.where(single, left, left + 1)
        a, b = total[left], np.where(single[:, None], 0.0, total[right])
        added = a + b
        shifted = added - a
        kept = lost[left] + np.where(single[:, None], 0.0, lost[right])
        lost = kept + ((a - (added - shifted)) + (b - shifted))
        total, starts, sizes = added, firsts, halves
    return total, lost


def _repair(runs: Runs, arranged: Values, total: Values, lost: Values) -> None:
    """Where finite numbers overflow, the order matters: they are added one after another then, as upstream does. In place."""
    broken = ~np.isfinite(total)
    if not broken.any():
        return
    for group, step in np.argwhere(broken).tolist():
        start = int(runs.starts[group])
        column = arranged[start : start + int(runs.sizes[group]), step]
        if np.isfinite(column).all():
            total[group, step] = _one_by_one(column.tolist())
            lost[group, step] = 0.0


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
    overflown = ~np.isfinite(total) & (number > 0)
    for group, step in np.argwhere(overflown).tolist():
        start = int(runs.starts[group])
        rows = slice(start, start + int(runs.sizes[group]))
        column = runs.arrange(values)[rows, step]
        if present is not None:
            column = column[runs.arrange(present)[rows, step]]
        if np.isfinite(column).all():
            result[group, step] = mean_slowly(column.tolist())
    return result


def extremes(runs: Runs, values: Values, present: Flags | None, choose: np.ufunc) -> Values:
    """(G, T). NaN only where all are NaN or nothing is there."""
    arranged = runs.arrange(values)
    if present is not None:
        arranged = np.where(runs.arrange(present), arranged, np.nan)
    return choose.reduceat(arranged, runs.starts, axis=0)


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
