"""Blocks: the JSON of versions that are history, compressed together.

Versions that follow one another in time are alike: of a pod's 4.5 kB some 150 bytes are left, of a lease's 800 some 65, for two microseconds each.
History is read in the order in which it was written, block by block, so the text of the last block that was read is kept.
"""

from array import array
from collections.abc import Sequence
from itertools import accumulate

import cramjam

_ZSTD_LEVEL = 1


class Block:
    """Immutable."""

    __slots__ = ("_data", "_ends", "_revisions")

    def __init__(self, revisions: Sequence[int], texts: Sequence[bytes]) -> None:
        self._revisions = array("q", revisions)
        self._ends = array("q", accumulate(map(len, texts)))
        self._data = bytes(cramjam.zstd.compress(b"".join(texts), _ZSTD_LEVEL))

    def text(self, revision: int) -> bytes:
        """Of that version. Raises ValueError when it is not here."""
        global _last
        at = self._revisions.index(revision)
        block, whole = _last
        if block is not self:
            whole = bytes(cramjam.zstd.decompress(self._data))
            _last = self, whole
        return whole[self._ends[at - 1] if at else 0 : self._ends[at]]


_last: tuple[Block | None, bytes] = (None, b"")
"""The block that was read last, whole; replaced as one, so that any thread may read."""
