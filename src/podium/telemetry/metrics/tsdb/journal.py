"""The journal: what appends say to the write-ahead log, and how that is read back when the store is opened.

Replay gives the records to a `Target`: the store itself, which takes them without writing them again. Reading is bounded by one segment
in memory.
"""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import cramjam
import numpy as np
import orjson

from podium.instrument.log import logger
from podium.telemetry.metrics.labels import LabelColumns, Labels
from podium.telemetry.metrics.samples import Exemplar, Times, Values
from podium.telemetry.metrics.tsdb import records, wal
from podium.telemetry.metrics.tsdb.head import HeadLayout
from podium.telemetry.metrics.tsdb.histograms import Stored, decode_histograms, encode_histograms
from podium.telemetry.metrics.tsdb.series_codec import decode_series, encode_series
from podium.telemetry.metrics.tsdb.wal import WriteAheadLog

log = logger("metrics.tsdb")
_RANGE = struct.Struct("<qq")
_LENGTH = struct.Struct("<I")


class Journal:
    """Writes records. Raises StorageFailed as the log does."""

    def __init__(self, ahead: WriteAheadLog) -> None:
        self.ahead = ahead

    def column(self, layout: HeadLayout, labels: Callable[[], LabelColumns], time_ms: int, values: Values) -> None:
        """`labels` gives those of the layout: they are asked for once."""
        if not layout.encoded:
            layout.encoded = encode_series(labels())
        self.ahead.append(layout.number, layout.encoded, time_ms, values)

    def samples(self, labels: LabelColumns, times: Times, values: Values) -> None:
        self.ahead.add(wal.SAMPLES, wal.packed_samples(encode_series(labels), times, values))

    def histograms(self, labels: LabelColumns, samples: Sequence[Stored]) -> None:
        """A row of labels for each of the samples; their series ids are not kept."""
        series = encode_series(labels)
        body = encode_histograms((n, t, h) for n, (_, t, h) in enumerate(samples))
        self.ahead.add(wal.HISTOGRAMS, _LENGTH.pack(len(series)) + series + body)

    def exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> None:
        rows = [[labels, e.labels, struct.pack("<d", e.value).hex(), e.time_ms] for labels, e in exemplars]
        self.ahead.add(wal.EXEMPLARS, bytes(cramjam.zstd.compress(orjson.dumps(rows), 1)))

    def deletion(self, labels: LabelColumns, start_ms: int, end_ms: int) -> None:
        self.ahead.add(wal.DELETE, _RANGE.pack(start_ms, end_ms) + encode_series(labels))


class Target(Protocol):
    """Takes what is read back. Series are given by their labels."""

    def replay_layout(self, labels: LabelColumns) -> HeadLayout: ...
    def replay_column(self, layout: HeadLayout, time_ms: int, values: Values) -> None: ...
    def replay_samples(self, labels: LabelColumns, times: Times, values: Values) -> None: ...
    def replay_histograms(self, labels: LabelColumns, samples: Sequence[Stored]) -> None: ...
    def replay_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> None: ...
    def replay_deletion(self, labels: LabelColumns, start_ms: int, end_ms: int) -> None: ...
    def replay_segment(self, number: int) -> None: ...


def replay(directory: Path, to: Target) -> int:
    """All segments in order; returns the number of the next one. A record that cannot be understood is logged and left out."""
    found = wal.segments(directory)
    for number, path in found:
        to.replay_segment(number)
        _Replay(to, path).run(last=number == found[-1][0])
    return found[-1][0] + 1 if found else 1


class _Replay:
    """One segment."""

    def __init__(self, to: Target, path: Path) -> None:
        self._to = to
        self._path = path
        self._layouts: dict[int, HeadLayout] = {}
        self._last: dict[int, wal.Bits] = {}

    def run(self, *, last: bool) -> None:
        failed = 0
        for record in wal.read_segment(self._path, last):
            try:
                self._take(record)
            except (ValueError, KeyError, IndexError, TypeError, RuntimeError, struct.error, cramjam.DecompressionError) as error:
                failed += 1
                if failed == 1:
                    log.warning("a record of the write-ahead log cannot be read", file=str(self._path), at=record.offset, error=error)
        if failed:
            log.warning("records of the write-ahead log were left out", file=str(self._path), count=failed)

    def _take(self, record: records.Record) -> None:
        body = record.body
        if record.kind == wal.APPEND:
            number, time_ms = wal.APPEND_HEAD.unpack_from(body)
            bits = self._last[number] = wal.unpacked(body[wal.APPEND_HEAD.size :]) ^ self._last[number]
            self._to.replay_column(self._layouts[number], time_ms, bits.view(np.float64))
        elif record.kind == wal.LAYOUT:
            (number,) = _LENGTH.unpack_from(body)
            layout = self._layouts[number] = self._to.replay_layout(decode_series(body[_LENGTH.size :]))
            self._last[number] = np.zeros(layout.size, np.uint64)
        elif record.kind == wal.SAMPLES:
            series, times, values = wal.unpacked_samples(body)
            self._to.replay_samples(decode_series(series), times, values)
        elif record.kind == wal.HISTOGRAMS:
            (length,) = _LENGTH.unpack_from(body)
            samples = list(decode_histograms(body[_LENGTH.size + length :]))
            self._to.replay_histograms(decode_series(body[_LENGTH.size : _LENGTH.size + length]), samples)
        elif record.kind == wal.EXEMPLARS:
            rows = orjson.loads(bytes(cramjam.zstd.decompress(bytes(body))))
            self._to.replay_exemplars([(_labels(row[0]), _exemplar(*row[1:])) for row in rows])
        elif record.kind == wal.DELETE:
            self._to.replay_deletion(decode_series(body[_RANGE.size :]), *_RANGE.unpack_from(body))
        else:
            raise ValueError(f"kind {record.kind}, which this version does not know")


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _exemplar(labels: list[list[str]], value: str, time_ms: int) -> Exemplar:
    return Exemplar(_labels(labels), struct.unpack("<d", bytes.fromhex(value))[0], time_ms)
