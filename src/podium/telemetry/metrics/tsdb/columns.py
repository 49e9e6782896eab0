"""One label's codes for all series of the store: an array in pages, most of which are not there.

A label such as `le` is on a few series of thousands, and those lie together (the series of one target are registered together). So a
column is a pool of pages of PAGE codes and a table from page number to its place in the pool; pages without the label share place 0,
which is all zeros (code 0: the label is absent). Memory is in proportion to the pages that carry the label; a gather is one fancy index.
Codes take two bytes until one needs four: few labels have so many values.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.labels import Codes

PAGE_BITS = 9
PAGE = 1 << PAGE_BITS
_MASK = PAGE - 1
GROWTH = 8
"""A pool grows by 1 / GROWTH at least."""
NARROW_MAX = (1 << 16) - 1
FEW_PAGES = 8
"""Looked at one by one: cheaper than operations on arrays."""

Ids = npt.NDArray[np.int32]
"""Series ids: places in the index."""


class PagedCodes:
    def __init__(self) -> None:
        self._pool: npt.NDArray[Any] = np.zeros((2, PAGE), np.uint16)
        self._numbers = np.zeros(2, np.int32)  # of the page at each place of the pool
        self._used = 1
        self._place = np.zeros(16, np.int32)  # of each page in the pool

    def gather(self, ids: Ids) -> Codes:
        """The codes of the series, in that order."""
        pages = ids >> PAGE_BITS
        if not len(self._place) or (len(ids) and int(pages.max()) >= len(self._place)):
            self._grow_table(int(pages.max()))
        return self._pool[self._place[pages], ids & _MASK].astype(np.int32, copy=False)

    def touches(self, pages: npt.NDArray[np.int32]) -> bool:
        """Whether any of these pages (ascending) may carry the label. Every label is asked in every query, mostly about a few pages."""
        if len(pages) <= FEW_PAGES:
            place, count = self._place, len(self._place)
            return any(page < count and place[page] for page in pages.tolist())
        within = pages[: np.searchsorted(pages, len(self._place))]
        return bool(self._place[within].any())

    def put(self, ids: Ids, codes: Codes) -> None:
        if not len(ids):
            return
        pages = ids >> PAGE_BITS
        self._grow_table(int(pages.max()))
        missing = np.unique(pages[self._place[pages] == 0])
        if len(missing):
            self._add_pages(missing)
        if self._pool.dtype == np.uint16 and int(codes.max()) > NARROW_MAX:
            self._pool = self._pool.astype(np.int32)
        self._pool[self._place[pages], ids & _MASK] = codes

    def clear(self, ids: Ids) -> None:
        """Sets code 0. Pages stay."""
        pages = ids >> PAGE_BITS
        kept = pages < len(self._place)
        pages, ids = pages[kept], ids[kept]
        places = self._place[pages]
        there = places > 0
        self._pool[places[there], ids[there] & _MASK] = 0

    def where(self, accepted: int | npt.NDArray[np.bool_]) -> Ids:
        """The series whose code is this one, or is accepted by the table; ascending. Not for code 0."""
        pool = self._pool[: self._used]
        hits = np.flatnonzero((pool == accepted) if isinstance(accepted, int) else accepted[pool])
        ids = (self._numbers[hits >> PAGE_BITS] << PAGE_BITS) | (hits & _MASK).astype(np.int32)
        if len(ids) > 1 and bool((ids[1:] < ids[:-1]).any()):
            ids.sort()
        return ids

    def recode(self, translation: Codes) -> None:
        """Replaces each code by `translation[code]`; translation[0] is 0."""
        self._pool = translation.astype(np.uint16 if int(translation.max()) <= NARROW_MAX else np.int32)[self._pool]

    def in_use(self) -> Codes:
        """The distinct codes, ascending."""
        return np.unique(self._pool[: self._used]).astype(np.int32)

    @property
    def untouched(self) -> bool:
        """Whether no series ever had the label."""
        return self._used == 1

    @property
    def bytes(self) -> int:
        return self._pool.nbytes + self._place.nbytes

    def _grow_table(self, page: int) -> None:
        if page >= len(self._place):
            grown = np.zeros(max(page + 1, 2 * len(self._place)), np.int32)
            grown[: len(self._place)] = self._place
            self._place = grown

    def _add_pages(self, numbers: npt.NDArray[np.int32]) -> None:
        needed = self._used + len(numbers)
        if needed > len(self._pool):
            size = max(needed, self._used + self._used // GROWTH)
            pool = np.zeros((size, PAGE), self._pool.dtype)
            pool[: self._used] = self._pool[: self._used]
            names = np.zeros(size, np.int32)
            names[: self._used] = self._numbers[: self._used]
            self._pool, self._numbers = pool, names
        places = np.arange(self._used, needed, dtype=np.int32)
        self._place[numbers] = places
        self._numbers[places] = numbers
        self._used = needed
