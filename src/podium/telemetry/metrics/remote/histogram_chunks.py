"""Upstream's chunks of native histograms, of integers and of floats, read one after another.

A chunk says once how its histograms are laid out (schema, zero bucket, spans, custom bounds); the samples then are the numbers: differences of
differences for integers, XORed bits for floats. A stale histogram has a sum only.

Source: Prometheus, tsdb/docs/format/chunks.md and chunkenc.
"""

import math
import struct
from dataclasses import dataclass, field

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.samples import STALE_BITS

_WIDTHS = (0, 3, 6, 9, 12, 18, 25, 56, 64)
_STALE = int(STALE_BITS)
_BUCKETS_MAX = 65_536
Read = list[tuple[int, Histogram | None]]


def decode(chunk: bytes, *, floating: bool) -> Read:
    """(time, histogram; None: stale). Raises MessageRefused."""
    if len(chunk) < 3:
        return []
    count, reader = int.from_bytes(chunk[:2], "big"), _Bits(chunk, 16)
    layout = _Layout.read(reader)
    numbers: _Numbers = _Floats(layout) if floating else _Integers(layout)
    found: Read = []
    time_ms = distance = 0
    for n in range(count):
        if n == 0:
            time_ms = reader.signed()
        else:
            distance = reader.signed() + (distance if n > 1 else 0)
            time_ms += distance
        stale = numbers.read(reader, n)
        found.append((time_ms, None if stale else layout.histogram(numbers, first=n == 0)))
    return found


class _Bits:
    def __init__(self, data: bytes, at: int) -> None:
        self._whole, self._size, self._at = int.from_bytes(data, "big"), len(data) * 8, at

    def take(self, width: int) -> int:
        end = self._at + width
        if end > self._size:
            raise MessageRefused("a chunk ends before its samples do")
        self._at = end
        return (self._whole >> (self._size - end)) & ((1 << width) - 1)

    def _width(self) -> int:
        ones = 0
        while ones < 8 and self.take(1):
            ones += 1
        return _WIDTHS[ones]

    def unsigned(self) -> int:
        return self.take(self._width())

    def signed(self) -> int:
        width = self._width()
        value = self.take(width)
        return value - (1 << width) if width and value > 1 << (width - 1) else value

    def number(self) -> float:
        return _float(self.take(64))


@dataclass(slots=True)
class _Xored:
    """A number of which only the changed bits are written."""

    bits: int = 0
    leading: int = 0
    trailing: int = 0

    def read(self, reader: _Bits) -> None:
        if not reader.take(1):
            return
        if reader.take(1):
            self.leading = reader.take(5)
            width = reader.take(6) or 64
            self.trailing = 64 - self.leading - width
            if self.trailing < 0:
                raise MessageRefused("a chunk's value has more than 64 bits")
        self.bits ^= reader.take(64 - self.leading - self.trailing) << self.trailing


@dataclass(slots=True)
class _Layout:
    hint: int  # the two highest bits of the flags
    zero_threshold: float
    schema: int
    positive: list[int]  # the buckets' indexes
    negative: list[int]
    custom_bounds: tuple[float, ...]

    @classmethod
    def read(cls, reader: _Bits) -> "_Layout":
        hint = reader.take(8) >> 6
        threshold = reader.take(8)
        zero = 0.0 if not threshold else reader.number() if threshold == 255 else math.ldexp(0.5, threshold - 243)
        schema, positive, negative = reader.signed(), _indexes(reader), _indexes(reader)
        bounds = tuple(_bound(reader) for _ in range(_bounded(reader.unsigned()))) if schema == CUSTOM_BUCKETS_SCHEMA else ()
        return cls(hint, zero, schema, positive, negative, bounds)

    def histogram(self, numbers: "_Numbers", *, first: bool) -> Histogram:
        counts = numbers.buckets()
        parts = counts[: len(self.positive)], counts[len(self.positive) :]
        return Histogram(
            self.schema, numbers.count(), _float(numbers.sum.bits), self.zero_threshold, numbers.zero_count(),
            dict(zip(self.positive, parts[0], strict=True)), dict(zip(self.negative, parts[1], strict=True)),
            self.custom_bounds, self._reset(first=first),
        )  # fmt: skip

    def _reset(self, *, first: bool) -> ResetHint:
        if self.hint == 3:
            return ResetHint.GAUGE
        if first:
            return ResetHint.YES if self.hint == 2 else ResetHint.UNKNOWN
        return ResetHint.NO


def _indexes(reader: _Bits) -> list[int]:
    found: list[int] = []
    index = 0
    for _ in range(_bounded(reader.unsigned())):
        length = _bounded(reader.unsigned())
        index += reader.signed()
        found += range(index, index + length)
        index += length
        _bounded(len(found))
    return found


def _bounded(count: int) -> int:
    if count > _BUCKETS_MAX:
        raise MessageRefused(f"a histogram has {count} buckets, at most {_BUCKETS_MAX}")
    return count


def _bound(reader: _Bits) -> float:
    coded = reader.unsigned()
    return (coded - 1) / 1000 if coded else reader.number()


def _float(bits: int) -> float:
    number: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    return number


class _Numbers:
    """Count, zero count, sum and buckets of the sample that was read last."""

    def __init__(self, layout: _Layout) -> None:
        self._split = len(layout.positive)
        self._size = len(layout.positive) + len(layout.negative)
        self.sum = _Xored()

    def read(self, reader: _Bits, n: int) -> bool:
        """The n-th; True: it is stale."""
        raise NotImplementedError

    def count(self) -> float:
        raise NotImplementedError

    def zero_count(self) -> float:
        raise NotImplementedError

    def buckets(self) -> list[float]:
        raise NotImplementedError

    def _read_sum(self, reader: _Bits, n: int) -> bool:
        if n:
            self.sum.read(reader)
        else:
            self.sum.bits = reader.take(64)
        return self.sum.bits == _STALE


@dataclass(slots=True)
class _Counter:
    value: int = 0
    distance: int = 0

    def read(self, reader: _Bits, n: int) -> None:
        self.distance = reader.signed() + (self.distance if n > 1 else 0)
        self.value += self.distance


@dataclass(slots=True)
class _Scalars:
    count: _Counter = field(default_factory=_Counter)
    zero: _Counter = field(default_factory=_Counter)


class _Integers(_Numbers):
    def __init__(self, layout: _Layout) -> None:
        super().__init__(layout)
        self._scalars = _Scalars()
        self._deltas = [_Counter() for _ in range(self._size)]

    def read(self, reader: _Bits, n: int) -> bool:
        for counter in (self._scalars.count, self._scalars.zero):
            if n:
                counter.read(reader, n)
            else:
                counter.value = reader.unsigned()
        stale = self._read_sum(reader, n)
        if stale and n:
            return True
        for delta in self._deltas:
            if n:
                delta.read(reader, n)
            else:
                delta.value = reader.signed()
        return stale

    def count(self) -> float:
        return float(self._scalars.count.value)

    def zero_count(self) -> float:
        return float(self._scalars.zero.value)

    def buckets(self) -> list[float]:
        found: list[float] = []
        running = 0
        for place, delta in enumerate(self._deltas):
            running = delta.value if place in (0, self._split) else running + delta.value
            found.append(float(running))
        return found


class _Floats(_Numbers):
    def __init__(self, layout: _Layout) -> None:
        super().__init__(layout)
        self._count, self._zero = _Xored(), _Xored()
        self._buckets = [_Xored() for _ in range(self._size)]

    def read(self, reader: _Bits, n: int) -> bool:
        for one in (self._count, self._zero):
            self._next(one, reader, n)
        stale = self._read_sum(reader, n)
        if stale and n:
            return True
        for one in self._buckets:
            self._next(one, reader, n)
        return stale

    def _next(self, one: _Xored, reader: _Bits, n: int) -> None:
        if n:
            one.read(reader)
        else:
            one.bits = reader.take(64)

    def count(self) -> float:
        return _float(self._count.bits)

    def zero_count(self) -> float:
        return _float(self._zero.bits)

    def buckets(self) -> list[float]:
        return [_float(one.bits) for one in self._buckets]
