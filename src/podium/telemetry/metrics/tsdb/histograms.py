"""Native histograms of the head and in files: few and large beside floats, so objects rather than columns.

A record: COUNT (u32), then for each sample SAMPLE, its bucket indices (int32) and counts (float64), positive before negative, and its
custom bounds (float64); all compressed. `row` is the series' ordinal in the file.
"""

import bisect
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace

import cramjam
import numpy as np

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.samples import HistogramSeries, is_stale

COUNT = struct.Struct("<I")
SAMPLE = struct.Struct("<IqhBddddIII")  # row, time, schema, hint, count, sum, zero threshold, zero count, lengths

Stored = tuple[int, int, Histogram]
"""(row or series id, milliseconds, histogram)."""


def encode_histograms(samples: Iterable[Stored]) -> bytes:
    parts = [b""]
    count = 0
    for row, time_ms, h in samples:
        count += 1
        sizes = len(h.positive), len(h.negative), len(h.custom_bounds)
        parts.append(SAMPLE.pack(row, time_ms, h.schema, int(h.reset_hint), h.count, h.sum, h.zero_threshold, h.zero_count, *sizes))
        for buckets in (h.positive, h.negative):
            indices = sorted(buckets)
            parts.append(np.array(indices, "<i4").tobytes() + np.array([buckets[i] for i in indices], "<f8").tobytes())
        parts.append(np.array(h.custom_bounds, "<f8").tobytes())
    parts[0] = COUNT.pack(count)
    return bytes(cramjam.zstd.compress(b"".join(parts), 3))


def decode_histograms(data: bytes | memoryview) -> Iterator[Stored]:
    """Raises struct.error, ValueError or what zstd raises on bytes that are not such a record."""
    raw = bytes(cramjam.zstd.decompress(bytes(data)))
    (count,) = COUNT.unpack_from(raw)
    at = COUNT.size
    for _ in range(count):
        row, time_ms, schema, hint, total, sum_, threshold, zero, *sizes = SAMPLE.unpack_from(raw, at)
        at += SAMPLE.size
        buckets = []
        for size in sizes[:2]:
            indices = np.frombuffer(raw, "<i4", size, at).tolist()
            counts = np.frombuffer(raw, "<f8", size, at + 4 * size).tolist()
            buckets.append(dict(zip(indices, counts, strict=True)))
            at += 12 * size
        bounds = tuple(np.frombuffer(raw, "<f8", sizes[2], at).tolist())
        at += 8 * sizes[2]
        yield row, time_ms, Histogram(schema, total, sum_, threshold, zero, buckets[0], buckets[1], bounds, ResetHint(hint))


class Histograms:
    """Those of one window, by series, ascending by time."""

    def __init__(self) -> None:
        self.of: dict[int, list[tuple[int, Histogram]]] = {}
        self.count = 0

    def copy(self) -> "Histograms":
        copied = Histograms()
        copied.of = {series: list(kept) for series, kept in self.of.items()}
        copied.count = self.count
        return copied

    def add(self, series: int, time_ms: int, histogram: Histogram) -> bool:
        """False when there is one at that time, which is kept."""
        kept = self.of.setdefault(series, [])
        if kept and kept[-1][0] >= time_ms:
            at = bisect.bisect_left(kept, time_ms, key=_time)
            if kept[at][0] == time_ms:
                return False
            kept.insert(at, (time_ms, histogram))
            _forget_reset(kept, at + 1)
        else:
            kept.append((time_ms, histogram))
        self.count += 1
        return True

    def last(self, series: int, time_ms: int) -> Histogram | None:
        """The newest of a series, if that is of this time."""
        kept = self.of.get(series)
        return kept[-1][1] if kept and kept[-1][0] == time_ms else None

    def at(self, series: int, time_ms: int) -> Histogram | None:
        kept = self.of.get(series, [])
        at = bisect.bisect_left(kept, time_ms, key=_time)
        return kept[at][1] if at < len(kept) and kept[at][0] == time_ms else None

    def all(self) -> Iterator[Stored]:
        """By series id, then time."""
        for series in sorted(self.of):
            for time_ms, histogram in self.of[series]:
                yield series, time_ms, histogram

    def drop(self, series: set[int], start_ms: int, end_ms: int) -> int:
        """Removes those in [start_ms, end_ms]; returns how many."""
        gone = 0
        for i in sorted(series & self.of.keys()):
            kept = [s for s in self.of[i] if not start_ms <= s[0] <= end_ms]
            gone += len(self.of[i]) - len(kept)
            if kept:
                _forget_reset(kept, bisect.bisect_right(kept, end_ms, key=_time))
                self.of[i] = kept
            else:
                del self.of[i]
        self.count -= gone
        return gone


def _forget_reset(kept: list[tuple[int, Histogram]], at: int) -> None:
    """Another sample is before this one now: whether there was a reset between is not known."""
    if at < len(kept) and kept[at][1].reset_hint is ResetHint.NO:
        kept[at] = (kept[at][0], replace(kept[at][1], reset_hint=ResetHint.UNKNOWN))


def _time(sample: tuple[int, Histogram]) -> int:
    return sample[0]


def joined(row: int, samples: dict[int, Histogram]) -> HistogramSeries:
    """One series of an answer."""
    times = sorted(samples)
    sums = np.array([samples[t].sum for t in times])
    return HistogramSeries(row, np.array(times, np.int64), [None if s else samples[t] for t, s in zip(times, is_stale(sums), strict=True)])
