"""The heads of a page's lines, kept until the next page comes: in blocks, compressed where there are many.

Heads are most of a page (a target of 100,000 series has 10 to 20 MB of them) and all alike: they shrink to a thirtieth. The first PLAIN_BYTES_MAX,
which are all of most pages, are kept as they are: unpacking at every scrape would cost more than the memory is worth.

Rows are recognised by 64 bits of their head (`hash`, keyed anew in each process, so that nobody can aim at it): that two of 100,000 heads have the
same is once in billions of pages.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cramjam
import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]

CHUNK_BYTES = 1 << 17
"""Of a page that are read at a time: some thousand lines."""
PLAIN_BYTES_MAX = 1 << 20
"""Of a page's heads that are not compressed."""
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


@dataclass(frozen=True, slots=True)
class Block:
    """The heads of some lines, one after another. `packed`: `kept` is compressed."""

    kept: bytes
    packed: bool
    lengths: npt.NDArray[np.int32]  # (lines,)

    @property
    def text(self) -> bytes:
        return bytes(cramjam.zstd.decompress(self.kept)) if self.packed else self.kept

    def ends(self) -> npt.NDArray[np.int64]:
        """(lines,) exclusive, in the text."""
        return np.cumsum(self.lengths, dtype=np.int64)


class Heads:
    """Of all lines, in order. Grown by `add`; read when it was given its `end`."""

    __slots__ = ("_first", "_open", "_open_bytes", "_plain_bytes", "blocks", "size")

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._first: list[int] = []  # of each block: its first line, from 0
        self._open: list[bytes] = []  # those after the last block
        self._open_bytes = 0
        self._plain_bytes = 0
        self.size = 0

    def add(self, heads: list[bytes]) -> None:
        """Of the lines that follow."""
        self.size += len(heads)
        self._open += heads
        self._open_bytes += sum(map(len, heads))
        if self._open_bytes >= CHUNK_BYTES:
            self.end()

    def end(self) -> None:
        if not self._open:
            return
        lengths = np.fromiter(map(len, self._open), np.int32, len(self._open))
        text = b"".join(self._open)
        self._plain_bytes += len(text)
        packed = self._plain_bytes > PLAIN_BYTES_MAX
        self._first.append(self.size - len(self._open))
        self.blocks.append(Block(bytes(cramjam.zstd.compress(text, _ZSTD_LEVEL)) if packed else text, packed, lengths))
        self._open, self._open_bytes = [], 0

    def at(self, lines: Sequence[int]) -> Iterator[bytes]:
        """Of these lines, counted from 0; cheap when they ascend."""
        text, ends, first = b"", list[int](), 0
        for line in lines:
            if not first <= line < first + len(ends):
                number = bisect_right(self._first, line) - 1
                block, first = self.blocks[number], self._first[number]
                text, ends = block.text, block.ends().tolist()
            at = line - first
            yield text[ends[at - 1] if at else 0 : ends[at]]


def keys_of(heads: Sequence[bytes]) -> Keys:
    """A number for each that is practically its own."""
    return np.frombuffer(array("q", map(hash, heads)), np.int64)
