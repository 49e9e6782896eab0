"""Upstream's chunks of floats ("XOR", after Facebook's Gorilla), read.

A chunk says how many samples it has (two bytes), the first time (a signed varint) and value (8 bytes), the second time less the first (a
varint), and from then on bits: how the distance of times changed, and the value's bits XORed with the one before. Chunks are read together, the
n-th sample of all at once, on arrays: bit by bit would cost some microseconds a sample.

    change of distance   0: none   10: 14 bits   110: 17   1110: 20   1111: 64
    value                0: the same   10: bits where the last differed   11: 5 bits of leading zeros, 6 bits of length (0: 64), bits

Source: Prometheus, tsdb/docs/format/chunks.md and chunkenc.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.samples import Times, Values

Bits = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

CHUNKS_AT_ONCE = 4096
_WIDTHS = np.array([0, 14, 17, 20, 64], np.int64)
"""Bits of a change of distance, by how many ones are before it."""
_LEADING_ONES = np.array([0] * 8 + [1] * 4 + [2, 2, 3, 4], np.int64)
"""Of four bits."""
_PAD = b"\0" * 16


def decode(chunks: Sequence[bytes]) -> list[tuple[Times, Values]]:
    """(times, values) of each. Raises MessageRefused for one that is cut off."""
    found: list[tuple[Times, Values]] = []
    for start in range(0, len(chunks), CHUNKS_AT_ONCE):
        found += _decode(chunks[start : start + CHUNKS_AT_ONCE])
    return found


def _decode(chunks: Sequence[bytes]) -> list[tuple[Times, Values]]:
    counts = np.array([int.from_bytes(c[:2], "big") if len(c) >= 2 else 0 for c in chunks], np.int64)
    order = np.argsort(-counts, kind="stable")  # those that go on longest first: what is left is a prefix
    counts = counts[order]
    if any(count > len(chunks[i]) * 4 for i, count in zip(order.tolist(), counts.tolist(), strict=True)):  # two bits a sample at least
        raise MessageRefused("a chunk ends before its samples do")
    reader = _Reader([chunks[i] for i in order.tolist()], counts)
    width = int(counts.max(initial=0))
    times, values = np.zeros((len(chunks), width), np.int64), np.zeros((len(chunks), width), np.uint64)
    for n in range(width):
        live = int(np.searchsorted(-counts, -n, "left"))
        times[:live, n], values[:live, n] = reader.next(live, n)
    reader.check()
    floats = values.view(np.float64)
    found: list[tuple[Times, Values]] = [(np.empty(0, np.int64), np.empty(0))] * len(chunks)
    for row, (place, count) in enumerate(zip(order.tolist(), counts.tolist(), strict=True)):
        found[place] = times[row, :count].copy(), floats[row, :count].copy()
    return found


class _Reader:
    """Where each chunk is being read, in bits of all of them together."""

    def __init__(self, chunks: Sequence[bytes], counts: Places) -> None:
        self._data = np.frombuffer(b"".join(chunks) + _PAD, np.uint8)
        sizes = np.array([len(c) for c in chunks], np.int64)
        self._ends = np.cumsum(sizes) * 8
        self._at = self._ends - sizes * 8 + 16
        self._time = np.zeros(len(chunks), np.int64)
        self._distance = np.zeros(len(chunks), np.int64)
        self._value = np.zeros(len(chunks), np.uint64)
        self._leading = np.zeros(len(chunks), np.int64)
        self._trailing = np.zeros(len(chunks), np.int64)
        self._counts = counts

    def next(self, live: int, n: int) -> tuple[Times, Bits]:
        """The n-th sample of the first `live` chunks."""
        rows = slice(0, live)
        if n == 0:
            zigzag = self._varint(live)
            self._time[rows] = (zigzag >> np.uint64(1)).astype(np.int64) ^ -(zigzag & np.uint64(1)).astype(np.int64)
            self._value[rows] = self._take(np.arange(live), np.full(live, 64))
            return self._time[rows], self._value[rows]
        if n == 1:
            self._distance[rows] = self._varint(live).astype(np.int64)
        else:
            self._distance[rows] += self._change(live)
        self._time[rows] += self._distance[rows]
        self._read_value(live)
        return self._time[rows], self._value[rows]

    def check(self) -> None:
        if bool((self._at > self._ends)[self._counts > 0].any()):
            raise MessageRefused("a chunk ends before its samples do")

    def _peek(self, at: Places) -> Bits:
        """The 64 bits from there."""
        first = np.minimum(at >> 3, len(self._data) - 9)
        bytes_ = self._data[first[:, None] + np.arange(9)]
        word = np.ascontiguousarray(bytes_[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        shift = (at & 7).astype(np.uint64)
        return (word << shift) | (bytes_[:, 8].astype(np.uint64) >> (np.uint64(8) - shift))

    def _take(self, rows: Places, widths: Places) -> Bits:
        """So many bits of each; 0 for none."""
        at = self._at[rows]
        taken = self._peek(at) >> np.minimum(64 - widths, 63).astype(np.uint64)
        self._at[rows] = at + widths
        return np.where(widths > 0, taken, np.uint64(0))

    def _varint(self, live: int) -> Bits:
        """Whole bytes, seven bits each, the lowest first."""
        found, going = np.zeros(live, np.uint64), np.ones(live, np.bool_)
        for shift in range(0, 70, 7):
            byte = self._data[np.minimum(self._at[:live] >> 3, len(self._data) - 1)].astype(np.uint64)
            if shift < 64:
                found = np.where(going, found | ((byte & np.uint64(0x7F)) << np.uint64(shift)), found)
            self._at[:live] += np.where(going, 8, 0)
            going &= byte >= 0x80
            if not going.any():
                return found
        raise MessageRefused("a chunk's time overflows")

    def _change(self, live: int) -> Times:
        at = self._at[:live]
        ones = _LEADING_ONES[(self._peek(at) >> np.uint64(60)).astype(np.int64)]
        at += np.minimum(ones + 1, 4)
        changed = np.flatnonzero(ones)
        found = np.zeros(live, np.int64)
        if len(changed):
            widths = _WIDTHS[ones[changed]]
            raw = self._take(changed, widths)
            narrow = widths < 64
            value = raw.view(np.int64).copy()
            half = np.int64(1) << np.minimum(widths - 1, 62)
            value[narrow & (value > half)] -= (half * 2)[narrow & (value > half)]
            found[changed] = value
        return found

    def _read_value(self, live: int) -> None:
        control = (self._peek(self._at[:live]) >> np.uint64(62)).astype(np.int64)
        self._at[:live] += np.where(control < 2, 1, 2)
        anew = np.flatnonzero(control == 3)
        if len(anew):
            both = self._take(anew, np.full(len(anew), 11)).astype(np.int64)
            width = both & 63
            width[width == 0] = 64
            self._leading[anew] = both >> 6
            self._trailing[anew] = 64 - (both >> 6) - width
            if (self._trailing[anew] < 0).any():
                raise MessageRefused("a chunk's value has more than 64 bits")
        differs = np.flatnonzero(control >= 2)
        if len(differs):
            trailing = self._trailing[differs]
            bits = self._take(differs, 64 - self._leading[differs] - trailing)
            self._value[differs] ^= bits << trailing.astype(np.uint64)
