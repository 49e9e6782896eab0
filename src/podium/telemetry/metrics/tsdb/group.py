"""Groups: the open matrices of the head (open_matrix.py). A group is the series of one writer, a column for each time.

A group takes a column at a time and is sealed into a chunk when it is full or its window ends.
Series join at any time, with a gap before; those that had no sample until the group is sealed are then let go.
"""

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.samples import ABSENT, Times, Values, is_absent
from podium.telemetry.metrics.tsdb.assembly import RowSet
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.open_matrix import OpenMatrix

COLUMNS_MIN, COLUMNS, COLUMNS_MAX = 8, 64, 240
"""Times in an open matrix: COLUMNS, as long as that is at most CELLS; up to COLUMNS_MAX in small groups, of which there are many: a chunk has
a price, whatever its size."""
SMALL_CELLS = 1 << 14
CELLS = 1 << 22
ROWS_MAX = 1 << 16


class Group:
    """`ids[r]` is the series of row r, `row_set` (the head sees to that) the same; `times[:count]` ascending, those of the matrix's columns."""

    def __init__(self) -> None:
        self.ids: Ids = np.zeros(0, np.int32)
        self.row_set = RowSet(self.ids)
        self.times: Times = np.zeros(COLUMNS_MAX, np.int64)
        self.matrix = OpenMatrix()
        self.columns = COLUMNS
        self.gaps: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)  # rows that have a gap or a stale marker
        self.falls: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)  # rows that fell, or are not a number, once
        self.first_segment = -1  # of the write-ahead log that protects the oldest column

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def count(self) -> int:
        return self.matrix.count

    @property
    def full(self) -> bool:
        return self.count >= self.columns

    def join(self, ids: Ids) -> None:
        """New rows at the end."""
        self.ids = np.concatenate([self.ids, ids])
        self.columns = max(self.count, columns_for(self.rows))
        self.matrix.join(len(ids))
        self.gaps = np.concatenate([self.gaps, np.full(len(ids), self.count > 0)])
        self.falls = np.concatenate([self.falls, np.full(len(ids), self.count > 0)])

    def append(self, time_ms: int, values: Values, rows: npt.NDArray[np.int32] | None) -> None:
        """A new column, later than all: of all rows, or of these only. `full` must not be."""
        if rows is None:
            column = np.array(values)
        else:
            column = np.full(self.rows, ABSENT)
            column[rows] = values
        strange = np.isnan(column)
        if strange.any():
            self.gaps |= strange
            self.falls |= strange
        if self.count:
            self.falls |= column < self.matrix.newest
        self.times[self.count] = time_ms
        self.matrix.append(column)

    def fill(self, column: int, values: Values, rows: npt.NDArray[np.int32]) -> None:
        """Values into cells of a column that is there, which have none."""
        self.matrix.fill(column, values, rows)
        self.falls[rows] = True  # not looked at closer
        self.gaps[rows] |= np.isnan(values)

    def sealed(self) -> tuple[npt.NDArray[np.intp], Times, Values]:
        """(rows that have a sample, times, their values (rows, times)) of what was appended."""
        values = np.empty((self.rows, self.count))
        self.matrix.read(values, 0, self.count)
        times = self.times[: self.count].copy()
        if self.gaps.any():
            kept = np.flatnonzero(~is_absent(values).all(axis=1))
            if len(kept) < self.rows:
                return kept, times, values[kept]
        return np.arange(self.rows), times, values

    def start_anew(self, kept: npt.NDArray[np.intp]) -> None:
        """Empty, with these of its rows."""
        if len(kept) < self.rows:
            self.ids = self.ids[kept]
        self.matrix = OpenMatrix(self.rows)
        self.gaps = np.zeros(self.rows, np.bool_)
        self.falls = np.zeros(self.rows, np.bool_)
        self.first_segment = -1


def columns_for(rows: int) -> int:
    """How many times a group of so many series takes before it is sealed."""
    if rows * COLUMNS <= SMALL_CELLS:
        return min(COLUMNS_MAX, SMALL_CELLS // max(1, rows))
    return max(COLUMNS_MIN, min(COLUMNS, CELLS // rows))


class OpenColumns:
    """A group as a source (assembly.py), as it is now: valid until the next append."""

    lasting = False

    def __init__(self, group: Group) -> None:
        self._group = group
        self.row_set = group.row_set
        self.first_ms = int(group.times[0])
        self.last_ms = int(group.times[group.count - 1])
        self.times: Times = group.times[: group.count].copy()

    def opened(self, recent: object, *, few: bool) -> "OpenColumns":
        return self

    def known(self, wanted: Ids, start: int, end: int) -> tuple[bool, bool]:
        gaps, falls = self._group.gaps[wanted], self._group.falls[wanted]
        if len(wanted) == 1:
            return not gaps[0], not (gaps[0] or falls[0])
        dense = not bool(gaps.any())
        return dense, dense and not bool(falls.any())

    def present(self, wanted: Ids, start: int, end: int) -> npt.NDArray[np.bool_]:
        values = np.empty((len(wanted), end - start))
        self._group.matrix.read(values, start, end, self._some(wanted))
        return np.asarray(~is_absent(values).all(axis=1))

    def read(self, wanted: Ids, to: Ids, out: Values, start: int, end: int, recent: object) -> None:
        some = self._some(wanted)
        if len(to) == 1:
            self._group.matrix.read(out[(at := int(to[0])) : at + 1], start, end, some)
        elif len(to) and int(to[-1]) - int(to[0]) == len(to) - 1 and bool((to[1:] > to[:-1]).all()):
            self._group.matrix.read(out[int(to[0]) : int(to[-1]) + 1], start, end, some)
        else:
            own = np.empty((len(wanted), end - start))
            self._group.matrix.read(own, start, end, some)
            out[to] = own

    def _some(self, wanted: Ids) -> npt.NDArray[np.intp] | None:
        return None if len(wanted) == self._group.rows else wanted.astype(np.intp)
