"""What a remote read is answered with, as bytes: each series' samples, or chunks of them, and the messages around them.

Samples are taken piece by piece, as the store reads them, and kept as what they become on the wire (chunks: 0.5 to 8 bytes a sample; samples:
18), because series leave in the order of their labels and the store reads them in its own. Both forms are written by columns: the messages of a
matrix's samples are rows of bytes in which only the values differ.

    SampleParts    TimeSeries.samples, .histograms          for one ReadResponse
    ChunkParts     ChunkedSeries.chunks of 120 samples      for frames of one ChunkedReadResponse each, one series in each (upstream's client
                                                            looks at the first one only)

Work is in steps of some milliseconds, between which others have their turn.

Bounds: ENCODED_BYTES_MAX, FRAME_BYTES_MAX (a frame ends with the chunk that reaches it).

Source: Prometheus' remote.proto and "Remote read API"; protobuf's encoding.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.exposition.steps import STEP_ROWS, Steps
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.remote import histogram_encoder, xor_encoder
from podium.telemetry.metrics.remote.frames import frame
from podium.telemetry.metrics.remote.messages import compress, histogram_into, message
from podium.telemetry.metrics.remote.xor_encoder import SAMPLES_AT_ONCE, SAMPLES_PER_CHUNK, uvarint
from podium.telemetry.metrics.samples import Columns, HistogramSeries, Rows, Times, Values, is_absent

ENCODED_BYTES_MAX = 256 * 1024 * 1024
"""Of one query's chunks."""
FRAME_BYTES_MAX = 1024 * 1024
"""Source: upstream's --storage.remote.read-max-bytes-in-frame."""
COMPRESSED_AT_ONCE = 1024 * 1024
"""Bytes: some milliseconds."""
_XOR, _FLOAT_HISTOGRAM = 1, 3
_SAMPLE_VALUE = slice(3, 11)
_VARINT_BOUNDS = 1 << np.arange(7, 63, 7, dtype=np.int64)


class Parts(Protocol):
    """Of series by row: what they have, as bytes."""

    def take(self, columns: Columns) -> Steps[None]: ...

    def take_histograms(self, series: HistogramSeries) -> Steps[None]: ...

    def of(self, row: int) -> Sequence[bytes]:
        """By time; empty: it has nothing. No more is taken after the first call."""
        ...


class SampleParts:
    """Fields of a TimeSeries."""

    def __init__(self) -> None:
        self._of: dict[int, list[bytes]] = {}

    def of(self, row: int) -> Sequence[bytes]:
        return self._of.get(row, ())

    def take(self, columns: Columns) -> Steps[None]:
        parts = [(slice(start, stop), _blank_samples(columns.times[start:stop])) for start, stop in _alike(columns.times)]
        dense = columns.dense or not bool(is_absent(columns.values).any())
        often = max(1, SAMPLES_AT_ONCE // len(columns.times))
        for n, (row, values) in enumerate(zip(columns.rows.tolist(), columns.values, strict=True)):
            if n % often == 0:
                yield
            found = self._of.setdefault(row, [])
            for where, samples in parts:
                own = np.ascontiguousarray(values[where])
                samples[:, _SAMPLE_VALUE] = own.view(np.uint8).reshape(-1, 8)
                found.append((samples if dense else samples[~is_absent(own)]).tobytes())

    def take_histograms(self, series: HistogramSeries) -> Steps[None]:
        said = message("TimeSeries")()
        for n, (time_ms, histogram) in enumerate(zip(series.times.tolist(), series.histograms, strict=True)):
            if n % SAMPLES_PER_CHUNK == 0:
                yield
            histogram_into(said.histograms.add(), histogram, time_ms)
        self._of.setdefault(series.row, []).append(said.SerializeToString())


def _alike(times: Times) -> Iterator[tuple[int, int]]:
    """Runs of times that have as many bytes as varints."""
    sizes = _varint_sizes(times)
    bounds = np.flatnonzero(np.diff(sizes, prepend=-1)).tolist()
    return zip(bounds, [*bounds[1:], len(times)], strict=True)


def _varint_sizes(times: Times) -> Times:
    return np.where(times < 0, 10, np.searchsorted(_VARINT_BOUNDS, times, "right") + 1)


def _blank_samples(times: Times) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """(T, bytes) TimeSeries.samples without their values; times as varints of the same size."""
    size = int(_varint_sizes(times[:1])[0])
    made = np.zeros((len(times), 12 + size), np.uint8)
    made[:, :3] = 0x12, 10 + size, 0x09  # the field, its size, the value's field
    made[:, 11] = 0x10  # the time's field
    rest = times.view(np.uint64)
    for n in range(size):
        made[:, 12 + n] = (rest & np.uint64(0x7F)) | np.uint64(0x80 if n < size - 1 else 0)
        rest = rest >> np.uint64(7)
    return made


class ChunkParts:
    """Fields of a ChunkedSeries. Matrices are gathered until there is enough to be encoded at once: some have a few samples only."""

    def __init__(self) -> None:
        self._of: dict[int, list[tuple[int, bytes]]] = {}  # (first time, chunk)
        self._waiting: list[tuple[list[int], list[int], Times, Values]] = []  # rows, how many samples of each, samples
        self._count = self._bytes = 0

    def of(self, row: int) -> Sequence[bytes]:
        self._encode()
        return [chunk for _, chunk in sorted(self._of.get(row, ()))]

    def take(self, columns: Columns) -> Steps[None]:
        """Raises LimitExceeded."""
        step = max(1, SAMPLES_AT_ONCE // len(columns.times))
        for start in range(0, len(columns.rows), step):
            yield
            self._take_rows(columns.rows[start : start + step], columns.times, np.ascontiguousarray(columns.values[start : start + step]))

    def _take_rows(self, rows: Rows, times: Times, values: Values) -> None:
        there = ~is_absent(values)
        if there.all():
            counts, times, values = np.full(len(rows), len(times)), np.tile(times, len(rows)), values.ravel()
        else:
            counts, times, values = there.sum(1), np.broadcast_to(times, values.shape)[there], values[there]
        self._waiting.append((rows.tolist(), counts.tolist(), times, values))
        self._count += len(times)
        if self._count >= SAMPLES_AT_ONCE:
            self._encode()

    def _encode(self) -> None:
        waiting, self._waiting, self._count = self._waiting, [], 0
        firsts: list[int] = []
        owners: list[int] = []
        at = 0
        for rows, counts, _, _ in waiting:
            for row, count in zip(rows, counts, strict=True):
                begins = range(at, at + count, SAMPLES_PER_CHUNK)
                firsts += begins
                owners += [row] * len(begins)
                at += count
        if not firsts:
            return
        times, values = np.concatenate([w[2] for w in waiting]), np.concatenate([w[3] for w in waiting])
        starts = np.array(firsts, np.int64)
        lasts = times[np.append(starts[1:], at) - 1].tolist()
        chunks = xor_encoder.encode(times, values, starts)
        for row, first_ms, last_ms, chunk in zip(owners, times[starts].tolist(), lasts, chunks, strict=True):
            self._keep(row, first_ms, last_ms, _XOR, chunk)

    def take_histograms(self, series: HistogramSeries) -> Steps[None]:
        """Raises LimitExceeded."""
        for first_ms, last_ms, chunk in histogram_encoder.chunks(list(zip(series.times.tolist(), series.histograms, strict=True))):
            self._keep(series.row, first_ms, last_ms, _FLOAT_HISTOGRAM, chunk)
            yield

    def _keep(self, row: int, first_ms: int, last_ms: int, kind: int, chunk: bytes) -> None:
        said = message("Chunk")(min_time_ms=first_ms, max_time_ms=last_ms, type=kind, data=chunk).SerializeToString()
        self._bytes += len(said)
        if self._bytes > ENCODED_BYTES_MAX:
            raise LimitExceeded(
                "remote read", f"the answer has more than {ENCODED_BYTES_MAX} bytes of chunks: read fewer series or less time"
            )
        self._of.setdefault(row, []).append((first_ms, _field(0x12, said)))


def _field(tag: int, data: bytes) -> bytes:
    return bytes((tag,)) + uvarint(len(data)) + data


def _names(labels: Labels) -> bytes:
    """The labels of a TimeSeries or a ChunkedSeries."""
    said = message("TimeSeries")()
    for name, value in labels:
        said.labels.add(name=name, value=value)
    return bytes(said.SerializeToString())


def result(series: Sequence[tuple[Labels, Sequence[bytes]]]) -> Steps[bytes]:
    """A ReadResponse's result: (labels, fields of a TimeSeries), in their order."""
    found: list[bytes] = []
    for n, (labels, parts) in enumerate(series):
        if n % STEP_ROWS == 0:
            yield
        found.append(_field(0x0A, _names(labels) + b"".join(parts)))
    return _field(0x0A, b"".join(found))


def compressed(data: bytes) -> Steps[bytes]:
    """One block of snappy's, made of pieces: each is compressed by itself, and their elements follow one another behind the size of all."""
    found = [uvarint(len(data))]
    for start in range(0, len(data), COMPRESSED_AT_ONCE):
        yield
        piece = data[start : start + COMPRESSED_AT_ONCE]
        found.append(compress(piece)[len(uvarint(len(piece))) :])
    return b"".join(found)


def frames(series: Sequence[tuple[Labels, Sequence[bytes]]], query: int, frame_bytes_max: int = FRAME_BYTES_MAX) -> Iterator[bytes]:
    """The frames of one query's answer: (labels, fields of a ChunkedSeries), in their order."""
    for labels, chunks in series:
        names = _names(labels)
        gathered, size = [names], len(names)
        for n, chunk in enumerate(chunks):
            gathered.append(chunk)
            size += len(chunk)
            if size >= frame_bytes_max and n + 1 < len(chunks):
                yield _frame(gathered, query)
                gathered, size = [names], len(names)
        yield _frame(gathered, query)


def _frame(series: Sequence[bytes], query: int) -> bytes:
    index = b"\x10" + uvarint(query) if query else b""
    return frame(_field(0x0A, b"".join(series)) + index)
