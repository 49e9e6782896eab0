"""The write-ahead log: what was appended and is not in a chunk file yet. Read only when the store is opened.

Segments, `00000001.wal` and so on, of records (records.py). Every segment stands by itself: it defines the layouts it uses, and values are
kept as differences to those before in the same segment, so old segments are dropped without any rewriting, and a damaged one costs
itself only.

* LAYOUT: number (u32), labels (series_codec.py).
* APPEND: APPEND_HEAD (layout u32, time i64), then the values: XOR with the layout's last ones in this segment (0 at first), byte planes one
  after another (bytes of equal weight are alike), LZ4.
* SAMPLES: count (u32), length of the labels (u32), labels, then times (i64) and values (f64), compressed.
* HISTOGRAMS: length of the labels (u32), labels (one a sample), histograms (histograms.py), rows counted from 0.
* EXEMPLARS: JSON, compressed. * DELETE: start, end (i64), labels.

`append` only puts bytes into memory; a worker writes and syncs them, many appends at a time. What could not be written stays and is tried
again. Bounds: wal_pending_bytes_max waiting bytes (then appends are refused), wal_segment_bytes a segment.
"""

import asyncio
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cramjam
import numpy as np
import numpy.typing as npt

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.samples import Times, Values
from podium.telemetry.metrics.tsdb import records
from podium.telemetry.metrics.tsdb.options import Options
from podium.world.worker import Worker

LAYOUT, APPEND, SAMPLES, HISTOGRAMS, EXEMPLARS, DELETE = 1, 2, 3, 4, 5, 6
APPEND_HEAD = struct.Struct("<Iq")
SUFFIX = ".wal"
TORN_BYTES = 1 << 16
"""A torn tail that is longer than this is kept aside as well: it may be a damaged length rather than a crash."""

log = logger("metrics.tsdb")
Bits = npt.NDArray[np.uint64]


@dataclass(slots=True)
class _Segment:
    path: Path
    written: int = 0  # bytes that are there for sure
    descriptor: int = -1


@dataclass(slots=True)
class _Flight:
    """What is being written. The worker says when it is on disk; the loop may have stopped waiting by then."""

    batch: list[tuple[int, bytes]]
    upto: int
    landed: bool = False


class WriteAheadLog:
    def __init__(self, directory: Path, worker: Worker, options: Options, next_number: int) -> None:
        self._directory = directory
        self._worker = worker
        self._options = options
        self.number = next_number
        """Of the segment that is written."""
        self._size = 0
        self._last: dict[int, Bits] = {}  # by layout: its values last written to this segment
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0
        self._appended = self._durable = 0  # counts of records
        self._flush = asyncio.Lock()
        self._flight: _Flight | None = None
        self._segments: dict[int, _Segment] = {}

    @property
    def pending_bytes(self) -> int:
        return self._pending_bytes

    def append(self, layout: int, series: bytes, time_ms: int, values: Values) -> None:
        """`series` are the layout's labels, encoded. Raises StorageFailed."""
        self.room()
        if layout not in self._last:
            self._add(LAYOUT, struct.pack("<I", layout) + series)
            self._last[layout] = np.zeros(len(values), np.uint64)
        bits = values.view(np.uint64)
        self._add(APPEND, APPEND_HEAD.pack(layout, time_ms) + _packed(bits ^ self._last[layout]))
        self._last[layout] = bits.copy()

    def add(self, kind: int, body: bytes) -> None:
        """Raises StorageFailed."""
        self.room()
        self._add(kind, body)

    def room(self) -> None:
        """Begins the next segment when this one is full. Raises StorageFailed when the disk does not keep up."""
        if self._pending_bytes > self._options.wal_pending_bytes_max:
            raise StorageFailed(
                f"{self._pending_bytes} bytes wait for the disk of {self._directory}: samples are refused until it takes them"
            )
        if self._size >= self._options.wal_segment_bytes:
            self.number += 1
            self._size = 0
            self._last.clear()

    def _add(self, kind: int, body: bytes) -> None:
        data = records.frame(kind, body)
        if not self._size:
            data = records.MAGIC + data
        self._pending.append((self.number, data))
        self._pending_bytes += len(data)
        self._size += len(data)
        self._appended += 1

    async def synced(self) -> None:
        """Returns when all that was added before is on disk. Raises StorageFailed."""
        target = self._appended
        while self._durable < target:
            async with self._flush:
                if self._durable < target:
                    await self._write()

    async def _write(self) -> None:
        if self._flight is not None:  # whoever began it was cancelled: the worker is done with it when it is done with this
            await self._worker.run(lambda: None)
            self._land()
        flight = self._flight = _Flight(list(self._pending), self._appended)
        try:
            await self._worker.run(lambda: self._write_out(flight))
        except OSError as error:
            raise StorageFailed(f"cannot write to {self._directory}: {error.strerror}") from error
        finally:
            if flight.landed:
                self._land()

    def _land(self) -> None:
        """Forgets what was written. What was not is tried again."""
        flight, self._flight = self._flight, None
        if flight is not None and flight.landed:
            del self._pending[: len(flight.batch)]
            self._pending_bytes -= sum(len(data) for _, data in flight.batch)
            self._durable = flight.upto

    def _write_out(self, flight: _Flight) -> None:
        """In the worker. Whatever of the batch was written before and failed is overwritten."""
        batch = flight.batch
        by_segment: dict[int, list[bytes]] = {}
        for number, data in batch:
            by_segment.setdefault(number, []).append(data)
        for number, parts in sorted(by_segment.items()):
            segment = self._segments.get(number) or self._open(number)
            data = b"".join(parts)
            if data[: len(records.MAGIC)] == records.MAGIC:
                segment.written = 0
            at = 0
            while at < len(data):
                at += os.pwrite(segment.descriptor, data[at : at + (1 << 26)], segment.written + at)
            os.fdatasync(segment.descriptor)
        for number, parts in by_segment.items():
            self._segments[number].written += sum(map(len, parts))
        for number in sorted(self._segments)[:-1]:
            os.close(self._segments.pop(number).descriptor)
        flight.landed = True

    def _open(self, number: int) -> _Segment:
        path = self._directory / f"{number:08d}{SUFFIX}"
        segment = _Segment(path, descriptor=os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            sync_directory(self._directory)
        except OSError:
            os.close(segment.descriptor)
            raise
        self._segments[number] = segment
        return segment

    def drop_before(self, number: int) -> list[Path]:
        """Removes the segments below; returns those that it found."""
        gone = [path for n, path in segments(self._directory) if n < number]
        for path in gone:
            path.unlink(missing_ok=True)
        return gone

    def close(self) -> None:
        for segment in self._segments.values():
            os.close(segment.descriptor)
        self._segments.clear()


def segments(directory: Path) -> list[tuple[int, Path]]:
    """(number, path), ascending."""
    return sorted((int(p.stem), p) for p in directory.glob("*" + SUFFIX) if p.stem.isdigit())


def read_segment(path: Path, last: bool) -> Iterator[records.Record]:
    """The whole records of a segment. The torn tail of the last one is cut off: it is what a crash leaves. After damage the rest is not
    read, and a copy is set aside as NAME.damaged."""
    data = memoryview(path.read_bytes())
    result = records.ScanResult()
    yield from records.scan(data, result)
    damage = result.damage or (f"it ends within the record at {result.end}" if result.torn and not last else "")
    if damage or len(data) - result.end > TORN_BYTES:
        aside = path.with_name(path.name + ".damaged")
        aside.write_bytes(data)
        log.warning("a segment of the write-ahead log is damaged: what follows in it is lost", file=str(aside), at=result.end, error=damage)
    if damage or result.torn:
        os.truncate(path, result.end)


def _packed(bits: Bits) -> bytes:
    planes = np.ascontiguousarray(bits.view(np.uint8).reshape(-1, 8).T)
    return bytes(cramjam.lz4.compress_block(planes.reshape(-1).data))


def unpacked(data: bytes | memoryview) -> Bits:
    planes = np.frombuffer(bytes(cramjam.lz4.decompress_block(bytes(data))), np.uint8)
    return np.ascontiguousarray(planes.reshape(8, -1).T).reshape(-1).view(np.uint64)


def packed_samples(series: bytes, times: Times, values: Values) -> bytes:
    columns = np.concatenate([times.view(np.uint8), values.view(np.uint8)])
    return struct.pack("<II", len(times), len(series)) + series + bytes(cramjam.lz4.compress_block(columns.data))


def unpacked_samples(body: memoryview) -> tuple[memoryview, Times, Values]:
    """(labels, times, values)."""
    count, length = struct.unpack_from("<II", body)
    columns = np.frombuffer(bytes(cramjam.lz4.decompress_block(bytes(body[8 + length :]))), np.uint8)
    return body[8 : 8 + length], columns[: 8 * count].view(np.int64).copy(), columns[8 * count :].view(np.float64).copy()


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
