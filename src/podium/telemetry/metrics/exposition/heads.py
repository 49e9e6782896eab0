"""The heads of a page's lines, kept until the next page comes: in blocks, compressed where there are many.

Heads are most of a page (a target of 100,000 series has 10 to 20 MB of them) and all alike: they shrink to a thirtieth. Those of the last block,
which are all of most pages, are kept as they are: unpacking would cost more than the memory is worth.

Rows are recognised by 64 bits of their head (`hash`, keyed anew in each process, so that nobody can aim at it): that two of 100,000 heads have the
same is once in billions of pages.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain

import cramjam
import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]

CHUNK_BYTES = 1 << 17
"""Of a page that are read at a time: some thousand lines."""
_ZSTD_LEVEL = 1


def chunks(body: bytes) -> Iterator[tuple[list[bytes], int]]:
    """The lines of a page, some at a time, and their length without line feeds. What follows the last line feed is a line unless it is empty."""
    at, size = 0, len(body)
    while at < size:
        end = size
        if size - at > CHUNK_BYTES:
            end = body.rfind(b"\n", at, at + CHUNK_BYTES)
            if end < 0:
                end = body.find(b"\n", at + CHUNK_BYTES)
            end = size if end < 0 else end
        piece = body[at:end]
        if end == size and piece.endswith(b"\n"):
            piece = piece[:-1]
        lines = piece.split(b"\n")
        yield lines, len(piece) - len(lines) + 1
        at = end + 1


class Heads:
    """Of all lines, in order. Grown by `add`, then read-only."""

    __slots__ = ("_blocks", "_ends", "_open", "_open_bytes", "size")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._ends: list[int] = []  # of each block: the number of lines up to there
        self._open: list[bytes] = []  # those after the last block
        self._open_bytes = 0
        self.size = 0

    def add(self, heads: list[bytes]) -> None:
        """Of the lines that follow. None has a line feed."""
        self.size += len(heads)
        self._open += heads
        self._open_bytes += sum(map(len, heads))
        if self._open_bytes >= CHUNK_BYTES:
            self._blocks.append(bytes(cramjam.zstd.compress(b"\n".join(self._open), _ZSTD_LEVEL)))
            self._ends.append(self.size)
            self._open, self._open_bytes = [], 0

    def _block(self, number: int) -> list[bytes]:
        if number == len(self._blocks):
            return self._open
        return bytes(cramjam.zstd.decompress(self._blocks[number])).split(b"\n")

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(map(self._block, range(len(self._blocks) + 1)))

    def at(self, lines: Sequence[int]) -> Iterator[bytes]:
        """Of these lines, counted from 0; cheap when they ascend."""
        block, first = list[bytes](), 0
        for line in lines:
            if not first <= line < first + len(block):
                number = bisect_right(self._ends, line)
                block, first = self._block(number), self._ends[number - 1] if number else 0
            yield block[line - first]


def keys_of(heads: Sequence[bytes]) -> Keys:
    """A number for each that is practically its own."""
    return np.frombuffer(array("q", map(hash, heads)), np.int64)
