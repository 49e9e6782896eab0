"""From a 64-bit hash to a series id: sorted arrays, and a dictionary of what came since they were sorted.

Invariants: a hash has one id; the arrays are ascending by hash. Twelve bytes a series, where a dictionary of integers takes ninety: the
dictionary is merged into the arrays when it has RECENT_MIN entries and 1 / RECENT_SHARE of theirs, so that a merge costs each entry a few copies.
"""

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.tsdb.columns import Ids

RECENT_MIN = 4096
RECENT_SHARE = 16
NOBODY = -1

Hashes = npt.NDArray[np.uint64]


class HashIds:
    def __init__(self) -> None:
        self._hashes: Hashes = np.zeros(0, np.uint64)
        self._ids: Ids = np.zeros(0, np.int32)  # NOBODY: it was removed
        self._recent: dict[int, int] = {}

    def find(self, hashes: Hashes) -> Ids:
        """The id of each; NOBODY for those that have none."""
        found = np.full(len(hashes), NOBODY, np.int32)
        if len(self._hashes):
            at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            there = self._hashes[at] == hashes
            found[there] = self._ids[at[there]]
        if self._recent:
            recent = np.fromiter((self._recent.get(key, NOBODY) for key in hashes.tolist()), np.int32, len(hashes))
            found = np.maximum(found, recent)
        return found

    def add(self, hashes: Hashes, ids: Ids) -> npt.NDArray[np.bool_]:
        """Of which ones the hash had an id already, another one: it keeps that."""
        taken = self.find(hashes) != NOBODY
        for row, (key, i) in enumerate(zip(hashes.tolist(), ids.tolist(), strict=True)):
            if not taken[row]:
                taken[row] = self._recent.setdefault(key, i) != i
        if len(self._recent) >= max(RECENT_MIN, len(self._hashes) // RECENT_SHARE):
            self._merge()
        return taken

    def remove(self, hashes: Hashes, ids: Ids) -> None:
        """Those that have this id; others stay."""
        for key, i in zip(hashes.tolist(), ids.tolist(), strict=True):
            if self._recent.get(key) == i:
                del self._recent[key]
        if len(self._hashes):
            at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            mine = (self._hashes[at] == hashes) & (self._ids[at] == ids)
            self._ids[at[mine]] = NOBODY

    def _merge(self) -> None:
        kept = self._ids != NOBODY
        hashes = np.concatenate([self._hashes[kept], np.fromiter(self._recent, np.uint64, len(self._recent))])
        ids = np.concatenate([self._ids[kept], np.fromiter(self._recent.values(), np.int32, len(self._recent))])
        order = np.argsort(hashes)
        self._hashes, self._ids, self._recent = hashes[order], ids[order], {}
