"""The open matrix of a group: a column of values for each time, of which those that hardly differ from one before cost only what differs.

Theory: what counts (requests, bytes) changes at every scrape; what describes (a pod's phase, a limit, an info) hardly ever does, and of a
cluster's objects there are hundreds of thousands of series of that kind. So a column is stored either as a row of `_dense`, or as a reference
to one (`_base`) and the cells in which it differs (a patch). The newest column stands by itself until the next one comes: a writer whose series
are in several layouts fills it piece by piece.

Invariants: cells are compared by their bits, so what is read is what was written, NaNs with a meaning included. A patch has at most
1 / PATCH_SHARE of the rows (PATCH_ROWS_MIN at least) when it is made, and refers to a column that has none. `_dense` doubles, so at most half of
it is unused.

Example, of three series that stand for many: column 0 [1 2 3] is dense; column 1 [1 2 4] is (base 0, row 2: 4);
column 2 [5 6 7] is dense again.
"""

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.samples import ABSENT, Values

PATCH_SHARE = 4
"""A changed cell takes 12 bytes of a patch, and 8 of a dense column."""
PATCH_ROWS_MIN = 32
"""A patch is two arrays, with a head each: of fewer rows a dense column is smaller, and read at once."""
DENSE_MIN = 1
"""Dense columns that there is room for at first."""

Rows = npt.NDArray[np.int32]
Patch = tuple[Rows, Values]
_NO_ROWS = np.zeros(0, np.int32)


class OpenMatrix:
    """`count` columns of `rows` values."""

    __slots__ = ("_base", "_dense", "_newest", "_patches", "_used", "count", "rows")

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows
        self.count = 0
        self._dense: Values = np.empty((0, rows))
        self._used = 0  # rows of _dense
        self._base: list[int] = []  # of each column but the newest: a row of _dense
        self._patches: dict[int, Patch] = {}  # by column
        self._newest: Values = np.empty(0)

    @property
    def newest(self) -> Values:
        """The last column; there must be one. Read-only."""
        return self._newest

    @property
    def bytes(self) -> int:
        return self._dense.nbytes + self._newest.nbytes + sum(rows.nbytes + values.nbytes for rows, values in self._patches.values())

    def append(self, column: Values) -> None:
        """Takes `column` (rows,) over: it is not to be changed afterwards."""
        if self.count:
            self._settle()
        self._newest = column
        self.count += 1

    def fill(self, column: int, values: Values, rows: Rows) -> None:
        """Sets cells of a column that is there."""
        if column == self.count - 1:
            self._newest[rows] = values
            return
        before, known = self._patches.get(column, (_NO_ROWS, np.empty(0)))
        kept = ~np.isin(before, rows)
        self._patches[column] = np.concatenate([before[kept], rows]), np.concatenate([known[kept], values])

    def join(self, more: int) -> None:
        """So many new rows at the end, without a value so far."""
        before, self.rows = self.rows, self.rows + more
        dense = np.empty((self._used, self.rows))
        dense[:, :before] = self._dense[: self._used]
        dense[:, before:] = ABSENT
        self._dense = dense
        if self.count:
            self._newest = np.concatenate([self._newest, np.full(more, ABSENT)])

    def read(self, out: Values, start: int, end: int, rows: npt.NDArray[np.intp] | None = None) -> None:
        """Columns [start, end) of these rows (ascending; None: of all) into `out` (rows, end - start)."""
        settled = min(end, self.count - 1)
        if start < settled:
            chosen = self._chosen(self._base[start:settled])
            out[:, : settled - start] = (chosen if rows is None else chosen[:, rows]).T
            self._patch(out, start, settled, rows)
        if end > settled:
            out[:, -1] = self._newest if rows is None else self._newest[rows]

    def _chosen(self, base: list[int]) -> Values:
        """Rows of `_dense`: as they lie there where that is possible."""
        first, last = base[0], base[-1]
        if last - first == len(base) - 1:  # bases never fall
            return self._dense[first : last + 1]
        if first == last:
            return np.broadcast_to(self._dense[first], (len(base), self.rows))
        return self._dense[base]

    def _patch(self, out: Values, start: int, end: int, rows: npt.NDArray[np.intp] | None) -> None:
        """Cells of columns [start, end) that differ from their base: those of all patches together, as there may be hundreds of small ones."""
        patched = [column for column in self._patches if start <= column < end]
        if not patched:
            return
        changed = np.concatenate([self._patches[column][0] for column in patched])
        values = np.concatenate([self._patches[column][1] for column in patched])
        columns = np.repeat(np.array(patched) - start, [len(self._patches[column][0]) for column in patched])
        if rows is None:
            out[changed, columns] = values
        elif len(rows):
            at = np.minimum(np.searchsorted(rows, changed), len(rows) - 1)
            mine = rows[at] == changed
            out[at[mine], columns[mine]] = values[mine]

    def _settle(self) -> None:
        """The newest column becomes one of those before."""
        column, number = self._newest, self.count - 1
        if self._used:
            base = self._used - 1
            changed = np.flatnonzero(column.view(np.uint64) != self._dense[base].view(np.uint64)).astype(np.int32)
            if not len(changed) or (len(changed) * PATCH_SHARE <= self.rows and self.rows >= PATCH_ROWS_MIN):
                self._base.append(base)
                if len(changed):
                    self._patches[number] = changed, column[changed]
                return
        if self._used == len(self._dense):
            grown = np.empty((max(DENSE_MIN, 2 * self._used), self.rows))
            grown[: self._used] = self._dense
            self._dense = grown
        self._dense[self._used] = column
        self._base.append(self._used)
        self._used += 1
