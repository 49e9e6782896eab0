"""Loose samples: those that come one by one, or late. (series, time, value) in the order of arrival, until they are looked at.

`matrices` puts series that have the same times together: a writer that sends the series of one target in pieces ends up with the same
matrices as one that appends by layout. What shares times with nobody is put into one matrix with gaps when that has not too many of them,
and into matrices of one row otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.samples import ABSENT, Times, Values, is_absent
from podium.telemetry.metrics.tsdb.assembly import RowSet, RowSets
from podium.telemetry.metrics.tsdb.chunk import COLUMNS_MAX
from podium.telemetry.metrics.tsdb.columns import Ids

SHARING_MIN = 4
"""Fewer series with the same times than this are not worth a matrix of their own."""
GAPS_MAX = 4
"""Cells for each sample of a matrix with gaps."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Samples of some series in memory: a source (assembly.py)."""

    row_set: RowSet
    times: Times
    values: Values

    @property
    def first_ms(self) -> int:
        return int(self.times[0])

    @property
    def last_ms(self) -> int:
        return int(self.times[-1])

    @property
    def lasting(self) -> bool:
        return True

    def opened(self, recent: object, *, few: bool) -> "Matrix":
        return self

    def known(self, wanted: Ids, start: int, end: int) -> tuple[bool, bool]:
        part = self.values[wanted, start:end]
        dense = not bool(np.isnan(part).any())
        return dense, dense and bool((part[:, 1:] >= part[:, :-1]).all())

    def present(self, wanted: Ids, start: int, end: int) -> npt.NDArray[np.bool_]:
        return np.asarray(~is_absent(np.ascontiguousarray(self.values[wanted, start:end])).all(axis=1))

    def read(self, wanted: Ids, to: Ids, out: Values, start: int, end: int, recent: object) -> None:
        out[to] = self.values[wanted, start:end]


class LooseSamples:
    """Growing columns of (id, time, value)."""

    def __init__(self) -> None:
        self._ids: list[Ids] = []
        self._times: list[Times] = []
        self._values: list[Values] = []
        self._latest: Times = np.zeros(0, np.int64)  # up to each of the joined ones, the latest time
        self.count = 0

    def add(self, ids: Ids, times: Times, values: Values) -> None:
        self._ids.append(ids)
        self._times.append(times)
        self._values.append(values)
        self.count += len(ids)

    def columns(self) -> tuple[Ids, Times, Values]:
        """All, joined."""
        if len(self._ids) > 1:
            self._ids, self._times, self._values = (
                [np.concatenate(self._ids)],
                [np.concatenate(self._times)],
                [np.concatenate(self._values)],
            )
        if not self._ids:
            return np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0)
        return self._ids[0], self._times[0], self._values[0]

    def between(self, wanted: npt.NDArray[np.bool_], start_ms: int, end_ms: int) -> tuple[Ids, Times, Values]:
        """Those of series i with wanted[i], in [start_ms, end_ms], in the order of arrival."""
        ids, times, values = self.columns()
        if len(self._latest) != len(times):
            self._latest = np.maximum.accumulate(times)
        first = int(np.searchsorted(self._latest, start_ms))  # they come nearly in order: most queries ask for the end
        ids, times, values = ids[first:], times[first:], values[first:]
        chosen = wanted[ids] & (times >= start_ms) & (times <= end_ms)
        return ids[chosen], times[chosen], values[chosen]

    def drop(self, gone: npt.NDArray[np.bool_]) -> None:
        """Removes the samples marked, by their place in `columns`."""
        kept = [column[~gone] for column in self.columns()]
        self._ids, self._times, self._values = [kept[0]], [kept[1]], [kept[2]]  # type: ignore[list-item]
        self._latest = np.zeros(0, np.int64)
        self.count = len(kept[0])


def matrices(sets: RowSets, ids: Ids, times: Times, values: Values) -> list[Matrix]:
    """Every sample in one matrix; the first wins where a series has two at one time."""
    if not len(ids):
        return []
    order = np.lexsort((times, ids))
    ids, times, values = ids[order], times[order], values[order]
    fresh = np.ones(len(ids), np.bool_)
    fresh[1:] = (ids[1:] != ids[:-1]) | (times[1:] != times[:-1])
    ids, times, values = ids[fresh], times[fresh], values[fresh]
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    counts = np.diff(np.append(starts, len(ids)))
    found, rest = _sharing(sets, ids, times, values, starts, counts)
    return found + _with_gaps(sets, ids, times, values, starts[rest], counts[rest])


def _sharing(
    sets: RowSets, ids: Ids, times: Times, values: Values, starts: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]
) -> tuple[list[Matrix], npt.NDArray[np.intp]]:
    """Matrices of the series whose times are the same, and which series are left."""
    mixed = (times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (times.astype(np.uint64) >> np.uint64(7))
    keys = np.add.reduceat(mixed * (mixed | np.uint64(1)), starts)
    _, label = np.unique(keys, return_inverse=True)
    order = np.argsort(label, kind="stable")
    found: list[Matrix] = []
    rest: list[npt.NDArray[np.intp]] = []
    for group in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        width = int(counts[group[0]])
        if len(group) < SHARING_MIN and width < COLUMNS_MAX:
            rest.append(group)
            continue
        group = group[counts[group] == width]
        cells = starts[group][:, None] + np.arange(width)
        same = (times[cells] == times[cells[0]]).all(axis=1)
        rest.extend([group[~same]] if not same.all() else [])
        cells = cells[same]
        rows = sets.of(ids[starts[group[same]]])
        found.extend(
            Matrix(rows, times[cells[0, at : at + COLUMNS_MAX]], values[cells[:, at : at + COLUMNS_MAX]])
            for at in range(0, width, COLUMNS_MAX)
        )
    return found, np.sort(np.concatenate(rest)) if rest else np.zeros(0, np.intp)


def _with_gaps(
    sets: RowSets, ids: Ids, times: Times, values: Values, starts: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]
) -> list[Matrix]:
    """One matrix with gaps where that is not much larger than the samples, and few times; a matrix for each series otherwise."""
    if not len(starts):
        return []
    places = np.concatenate([np.arange(s, s + c) for s, c in zip(starts.tolist(), counts.tolist(), strict=True)])
    shared, column = np.unique(times[places], return_inverse=True)
    if len(shared) * len(starts) <= GAPS_MAX * len(places) and len(shared) <= COLUMNS_MAX:
        matrix = np.full((len(starts), len(shared)), ABSENT)
        matrix[np.repeat(np.arange(len(starts)), counts), column] = values[places]
        return [Matrix(sets.of(ids[starts]), shared, matrix)]
    return [
        Matrix(sets.of(ids[s : s + 1]), times[at : min(at + COLUMNS_MAX, s + c)], values[None, at : min(at + COLUMNS_MAX, s + c)])
        for s, c in zip(starts.tolist(), counts.tolist(), strict=True)
        for at in range(s, s + c, COLUMNS_MAX)
    ]
