"""Upstream's chunks of floats ("XOR"), written: what xor_chunks.py reads, whose docstring has the format.

All samples of many chunks are encoded at once, on arrays. A value is written as the bits in which it differs from the one before. Upstream looks
for a window around those bits sample after sample, and makes it wider when it must; here a chunk has one window, that of all its differences
(of an OR over them), written with the first of them. That needs no loop over samples, and takes about as many bits: a tenth more on counters
at most, a quarter more on small whole numbers that go up and down.

A sample is up to three fields of bits (the upper half of a rare 64-bit change of distance; what the distance and the kind of the value are; the
value's bits), whose places are a running sum of widths. A field is in one 64-bit word or across two; words are ORed together by runs.

Source: Prometheus, tsdb/docs/format/chunks.md and chunkenc.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.samples import Times, Values

Bits = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

SAMPLES_PER_CHUNK = 120
SAMPLES_AT_ONCE = 1 << 16
"""Arrays of this size stay in the processor's cache."""
_LEADING_MAX = 31
_WINDOW_BITS = 5 + 6


def encode(times: Times, values: Values, firsts: Places) -> list[bytes]:
    """A chunk for each of `firsts`: where it begins in `times` and `values`, ascending from 0. Each ends where the next begins.

    A chunk has 1 to 65,535 samples, strictly ascending in time.
    """
    found: list[bytes] = []
    start = 0
    ends = np.append(firsts[1:], len(times))
    while start < len(firsts):
        stop = max(start + 1, int(np.searchsorted(ends, firsts[start] + SAMPLES_AT_ONCE, "right")))
        low, high = int(firsts[start]), int(ends[stop - 1])
        found += _encode(times[low:high], np.ascontiguousarray(values[low:high]).view(np.uint64), firsts[start:stop] - low)
        start = stop
    return found


def uvarint(value: int) -> bytes:
    head = bytearray()
    while value >= 0x80:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    head.append(value)
    return bytes(head)


@dataclass(slots=True)
class _Fields:
    """Bits to write, right-aligned, and how many of them; 0: none. (M,) each."""

    bits: Bits
    widths: Places

    @classmethod
    def none(cls, count: int) -> "_Fields":
        return cls(np.zeros(count, np.uint64), np.zeros(count, np.int64))


def _encode(times: Times, bits: Bits, firsts: Places) -> list[bytes]:
    counts = np.diff(firsts, append=len(times))
    upper, head = _distances(times, firsts, counts)
    value = _values(bits, firsts, counts, head)
    widths = head.widths + value.widths if upper is None else upper.widths + head.widths + value.widths
    sizes = np.add.reduceat(widths, firsts)
    words = np.cumsum((sizes + 63) // 64)
    bases = np.concatenate([np.zeros(1, np.int64), words[:-1]])
    at = np.cumsum(widths)
    at += np.repeat(bases * 64 - at[firsts] + widths[firsts], counts) - widths
    room = np.zeros(int(words[-1]) + 1, np.uint64)
    if upper is not None:
        _put(room, at, upper)
        at = at + upper.widths
    _put(room, at, head)
    _put(room, at + head.widths, value)
    return _chunks(times, bits, firsts, counts, room.astype(">u8").tobytes(), bases * 8, (sizes + 7) // 8)


def _distances(times: Times, firsts: Places, counts: Places) -> tuple[_Fields | None, _Fields]:
    """How the distance to the sample before changes: (upper halves of those of 64 bits, if any; the rest). Of the first two samples of a
    chunk: nothing, theirs are before the bits."""
    distance = np.diff(times, prepend=times[0])
    change = np.diff(distance, prepend=distance[0])
    fields = _Fields(np.zeros(len(times), np.uint64), np.ones(len(times), np.int64))
    ahead = np.concatenate([firsts, (firsts + 1)[counts > 1]])
    change[ahead], fields.widths[ahead] = 0, 0
    changed = np.flatnonzero(change)
    if not len(changed):
        return None, fields
    some = change[changed]
    code, width = np.empty(len(some), np.uint64), np.empty(len(some), np.int64)
    left = np.ones(len(some), np.bool_)
    for prefix, size in ((0b10, 14), (0b110, 17), (0b1110, 20)):
        half = 1 << (size - 1)
        fits = left & (some > -half) & (some <= half)
        code[fits] = (prefix << size) | (some[fits] & ((1 << size) - 1))
        width[fits] = size + prefix.bit_length()
        left &= ~fits
    raw = some.view(np.uint64)
    code[left], width[left] = raw[left] & np.uint64(0xFFFFFFFF), 32
    fields.bits[changed], fields.widths[changed] = code, width
    if not left.any():
        return None, fields
    upper = _Fields.none(len(times))
    upper.bits[changed[left]], upper.widths[changed[left]] = (raw[left] >> np.uint64(32)) | np.uint64(0b1111 << 32), 36
    return upper, fields


def _values(bits: Bits, firsts: Places, counts: Places, head: _Fields) -> _Fields:
    """The values' bits. What kind each is (the same; in the window; in a window that is told) is put behind `head`."""
    differs = np.zeros(len(bits), np.uint64)
    np.bitwise_xor(bits[1:], bits[:-1], out=differs[1:])
    differs[firsts] = 0
    leading, trailing = _windows(np.bitwise_or.reduceat(differs, firsts))
    width = 64 - leading - trailing
    there = np.flatnonzero(differs)
    chunk = np.repeat(np.arange(len(firsts)), counts)[there]
    anew = np.flatnonzero(np.diff(chunk, prepend=-1))
    kind, kind_width = np.full(len(there), 0b10, np.uint64), np.full(len(there), 2, np.int64)
    told = chunk[anew]
    kind[anew] = (0b11 << _WINDOW_BITS) | (leading[told] << 6) | (width[told] & 63)
    kind_width[anew] = 2 + _WINDOW_BITS
    head.bits[there] = (head.bits[there] << kind_width.astype(np.uint64)) | kind
    same = np.ones(len(bits), np.int64)
    same[there], same[firsts] = kind_width, 0
    unchanged = differs == 0
    unchanged[firsts] = False
    np.left_shift(head.bits, np.uint64(1), out=head.bits, where=unchanged)
    head.widths += same
    fields = _Fields.none(len(bits))
    fields.bits[there], fields.widths[there] = differs[there] >> trailing.astype(np.uint64)[chunk], width[chunk]
    return fields


def _windows(differences: Bits) -> tuple[Places, Places]:
    """Leading and trailing zeros of each."""
    numbers = differences.tolist()
    leading = np.array([min(_LEADING_MAX, 64 - n.bit_length()) for n in numbers], np.int64)
    return leading, np.array([(n & -n).bit_length() - 1 if n else 0 for n in numbers], np.int64)


def _put(room: Bits, at: Places, fields: _Fields) -> None:
    """ORs fields into words, each at its place in bits, ascending."""
    there = np.flatnonzero(fields.widths)
    if not len(there):
        return
    bits, widths, at = fields.bits[there], fields.widths[there], at[there]
    word, over = at >> 6, (at & 63) + widths - 64  # bits that go into the next word
    upper = np.where(over > 0, bits >> np.maximum(over, 0).astype(np.uint64), bits << np.maximum(-over, 0).astype(np.uint64))
    runs = np.flatnonzero(np.diff(word, prepend=-1))
    room[word[runs]] |= np.bitwise_or.reduceat(upper, runs)
    across = np.flatnonzero(over > 0)
    room[word[across] + 1] |= bits[across] << (64 - over[across]).astype(np.uint64)


def _chunks(times: Times, bits: Bits, firsts: Places, counts: Places, data: bytes, starts: Places, sizes: Places) -> list[bytes]:
    """Heads (count, first time and value, distance of the second) before each chunk's bits."""
    last = len(times) - 1
    second = (times[np.minimum(firsts + 1, last)] - times[firsts]).tolist()
    columns = (counts.tolist(), times[firsts].tolist(), bits[firsts].tolist(), second, starts.tolist(), sizes.tolist())
    distances: dict[int, bytes] = {}
    found: list[bytes] = []
    for count, time_ms, value, distance, start, size in zip(*columns, strict=True):
        head = struct.pack(">H", count) + uvarint((time_ms << 1) ^ (time_ms >> 63)) + struct.pack(">Q", value)
        if count > 1:
            if distance not in distances:
                distances[distance] = uvarint(distance)
            head += distances[distance]
        found.append(head + data[start : start + size])
    return found
