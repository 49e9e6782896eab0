"""Upstream's chunks of float histograms, written: what histogram_chunks.py reads, one histogram after another.

A chunk has one layout, so it ends where the next histogram has another schema, zero bucket or bounds; also where a counter started again and
after a stale marker, because all but a chunk's first histogram are read as "not reset since the one before". Buckets that come up in between
are in the layout from the start, with nothing in them.

Source: Prometheus, tsdb/docs/format/chunks.md and chunkenc.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import is_reset
from podium.telemetry.metrics.remote.xor_encoder import SAMPLES_PER_CHUNK
from podium.telemetry.metrics.samples import STALE

Sampled = tuple[int, Histogram | None]
"""(time, histogram; None: stale)."""

_SIGNED_BITS = (3, 6, 9, 12, 18, 25, 56)
_FLAGS = {ResetHint.UNKNOWN: 0b00, ResetHint.NO: 0b01, ResetHint.YES: 0b10, ResetHint.GAUGE: 0b11}
_THOUSANDTHS_MAX = 33_554_430
_STALE = Histogram(0, 0.0, STALE)
_MASK_64 = (1 << 64) - 1


def chunks(samples: Sequence[Sampled]) -> Iterator[tuple[int, int, bytes]]:
    """(first time, last time, chunk) of samples that ascend by time."""
    start = 0
    for end in range(1, len(samples) + 1):
        if end == len(samples) or end - start == SAMPLES_PER_CHUNK or not _goes_on(samples[end - 1][1], samples[end][1]):
            yield samples[start][0], samples[end - 1][0], _encode(samples[start:end])
            start = end


def _goes_on(before: Histogram | None, now: Histogram | None) -> bool:
    if now is None or before is None:
        return now is None
    if (now.schema, now.zero_threshold, now.custom_bounds) != (before.schema, before.zero_threshold, before.custom_bounds):
        return False
    gauges = [h.reset_hint is ResetHint.GAUGE for h in (before, now)]
    return all(gauges) or (not any(gauges) and not is_reset(now, before))


def _encode(samples: Sequence[Sampled]) -> bytes:
    first = samples[0][1] or _STALE
    known = [h for _, h in samples if h is not None]
    positive, negative = (sorted(set().union(*buckets)) for buckets in ([h.positive for h in known], [h.negative for h in known]))
    bits = _Bits()
    bits.add(_FLAGS[first.reset_hint] << 6, 8)
    _write_layout(bits, first, positive, negative)
    states = [_Xored() for _ in range(3 + len(positive) + len(negative))]
    time_ms = distance = 0
    for n, (at_ms, histogram) in enumerate(samples):
        bits.signed(at_ms if n == 0 else at_ms - time_ms if n == 1 else at_ms - time_ms - distance)
        distance, time_ms = at_ms - time_ms, at_ms
        h = histogram or _STALE
        numbers = [h.count, h.zero_count, h.sum]
        if histogram is not None:
            numbers += [histogram.positive.get(i, 0.0) for i in positive] + [histogram.negative.get(i, 0.0) for i in negative]
        for state, number in zip(states, numbers, strict=False):  # a stale one has no buckets
            state.write(bits, _float_bits(number), first=n == 0)
    return len(samples).to_bytes(2, "big") + bits.whole()


class _Bits:
    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, value: int, width: int) -> None:
        self._parts.append(format(value, f"0{width}b"))

    def whole(self) -> bytes:
        text = "".join(self._parts)
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")

    def signed(self, value: int) -> None:
        if not value:
            self.add(0, 1)
            return
        for ones, width in enumerate(_SIGNED_BITS, 1):
            if -(1 << (width - 1)) < value <= 1 << (width - 1):
                self._sized(ones, value & ((1 << width) - 1), width)
                return
        self._sized(8, value & _MASK_64, 64)

    def unsigned(self, value: int) -> None:
        if not value:
            self.add(0, 1)
            return
        ones, width = next(((n, w) for n, w in enumerate(_SIGNED_BITS, 1) if value < 1 << w), (8, 64))
        self._sized(ones, value, width)

    def _sized(self, ones: int, value: int, width: int) -> None:
        self._parts.append("1" * ones if ones == 8 else "1" * ones + "0")
        self.add(value, width)


class _Xored:
    """A number of which only the changed bits are written, in a window that becomes wider when it must."""

    __slots__ = ("_bits", "_leading", "_trailing")

    def __init__(self) -> None:
        self._bits, self._leading, self._trailing = 0, -1, 0

    def write(self, out: _Bits, bits: int, *, first: bool) -> None:
        changed, self._bits = bits ^ self._bits, bits
        if first:
            out.add(bits, 64)
            return
        if not changed:
            out.add(0, 1)
            return
        leading, trailing = min(31, 64 - changed.bit_length()), (changed & -changed).bit_length() - 1
        if 0 <= self._leading <= leading and trailing >= self._trailing:
            out.add(0b10, 2)
        else:
            self._leading, self._trailing = leading, trailing
            out.add(0b11 << 11 | leading << 6 | ((64 - leading - trailing) & 63), 13)
        out.add(changed >> self._trailing, 64 - self._leading - self._trailing)


def _float_bits(number: float) -> int:
    return int.from_bytes(struct.pack(">d", number), "big")


def _write_layout(bits: _Bits, first: Histogram, positive: Sequence[int], negative: Sequence[int]) -> None:
    fraction, exponent = math.frexp(first.zero_threshold)
    if not first.zero_threshold:
        bits.add(0, 8)
    elif fraction == 0.5 and -242 <= exponent <= 11:
        bits.add(exponent + 243, 8)
    else:
        bits.add(255, 8)
        bits.add(_float_bits(first.zero_threshold), 64)
    bits.signed(first.schema)
    for indexes in (positive, negative):
        _write_spans(bits, indexes)
    if first.schema == CUSTOM_BUCKETS_SCHEMA:
        bits.unsigned(len(first.custom_bounds))
        for bound in first.custom_bounds:
            _write_bound(bits, bound)


def _write_spans(bits: _Bits, indexes: Sequence[int]) -> None:
    """(length, distance from the end of the one before) of each run of indexes."""
    starts = [i for i, (a, b) in enumerate(pairwise([None, *indexes])) if a is None or b != a + 1]
    bits.unsigned(len(starts))
    end = 0
    for start, stop in pairwise([*starts, len(indexes)]):
        bits.unsigned(stop - start)
        bits.signed(indexes[start] - end)
        end = indexes[start] + stop - start


def _write_bound(bits: _Bits, bound: float) -> None:
    thousandths = bound * 1000
    if 0 <= thousandths <= _THOUSANDTHS_MAX and round(thousandths) / 1000 == bound:
        bits.unsigned(round(thousandths) + 1)
    else:
        bits.unsigned(0)
        bits.add(_float_bits(bound), 64)
