"""Chunk files: chunks of many series, with the labels of the series. The head has one for each window, a block is one.

Records (records.py), each depending on those before it only, so that a file may be appended to and read again up to any whole record:

* SERIES: labels of further series (series_codec.py). Series are numbered through the file: their ordinals.
* ROWS: a row set: ordinals (int32, pcodec). Row sets are numbered too.
* CHUNK: CHUNK_HEAD (row set u32, first and last time i64), then a chunk (chunk.py) with a row for each of the set.
* HISTOGRAMS: first and last time, then native histograms (histograms.py).
* END: number of chunks. The last record of a block; a chunk file of the head has none.

What is in memory of a file are row sets and, for each chunk, where it lies: chunks are read when asked for, and verified the first time.
"""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, standalone

from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.samples import ABSENT, Times, Values
from podium.telemetry.metrics.tsdb import records
from podium.telemetry.metrics.tsdb.assembly import RowSet, RowSets
from podium.telemetry.metrics.tsdb.chunk import ABSENT_MARK, DENSE, MONOTONIC, Chunk, encode, head_size
from podium.telemetry.metrics.tsdb.chunk import Rows as ChunkRows
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.errors import Damaged
from podium.telemetry.metrics.tsdb.histograms import Stored, decode_histograms, encode_histograms
from podium.telemetry.metrics.tsdb.recent import ROWS_MAX, Recent
from podium.telemetry.metrics.tsdb.series_codec import decode_series, encode_series
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex

SERIES, ROWS, CHUNK, HISTOGRAMS, END = 1, 2, 3, 4, 5
CHUNK_HEAD = struct.Struct("<Iqq")
SPAN = struct.Struct("<qq")
COUNT = struct.Struct("<I")
HISTOGRAMS_PER_RECORD = 512
_HEAD = b"head"
"""What is kept of a chunk under this name; rows are kept under their numbers, 4 bytes each."""
HEAD_GUESS = 8192
"""Bytes of a chunk that are read first: mostly all that comes before its pieces, never less than chunk.HEAD_MIN but at a file's end."""

T = TypeVar("T")


class FileBytes:
    """A file that is read at places. Closed when nobody refers to it any more, so that an answer outlives the file's removal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        if len(data) < length:
            raise Damaged(self.path, f"ends before {offset + length}")
        return data

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Deletion:
    """Samples of some rows that are gone: [start_ms, end_ms], both inclusive."""

    rows: npt.NDArray[np.bool_]
    start_ms: int
    end_ms: int


class StoredChunk:
    """A chunk in memory or in a file: a source (assembly.py)."""

    __slots__ = ("__weakref__", "_body", "_crc", "_file", "_length", "_offset", "deletions", "first_ms", "kept", "last_ms", "row_set")

    def __init__(self, row_set: RowSet, first_ms: int, last_ms: int, body: bytes | None) -> None:
        """`body` is that of the record; None: `place` says where it is."""
        self.row_set = row_set
        self.first_ms = first_ms
        self.last_ms = last_ms
        self.deletions: tuple[Deletion, ...] = ()
        self.kept: dict[bytes, Any] | None = None  # see recent.py
        self._body = body
        self._file: FileBytes | None = None
        self._offset = self._length = 0
        self._crc: int | None = None

    def place(self, file: FileBytes, offset: int, length: int, crc: int | None) -> None:
        """Its bytes are in that file; `crc` is to be verified when they are read for the first time (None: is verified)."""
        self._file, self._offset, self._length, self._crc, self._body = file, offset, length, crc, None
        self.kept = None  # it would hold the body

    @property
    def size(self) -> int:
        return len(self._body) if self._body is not None else self._length

    @property
    def path(self) -> Path | None:
        """Of the file it is in; None: in memory."""
        return self._file.path if self._file else None

    def body(self) -> bytes:
        """Raises Damaged."""
        if self._body is not None:
            return self._body
        assert self._file is not None
        body = self._file.read(self._offset, self._length)
        if self._crc is not None:
            if records.checksum(CHUNK, body) != self._crc:
                raise Damaged(self._file.path, f"checksum of the chunk at {self._offset} is wrong")
            self._crc = None
        return body

    def chunk(self) -> Chunk:
        return self.guarded(lambda: Chunk(memoryview(self.body())[CHUNK_HEAD.size :]))

    @property
    def lasting(self) -> bool:
        return True

    def opened(self, recent: Recent | None, *, few: bool) -> "OpenedChunk":
        """What is known of its rows is read, its pieces are not yet. Raises Damaged."""
        found: tuple[Chunk, ChunkRows, Times] | None = self.kept.get(_HEAD) if self.kept else None
        if found is None:
            if self._crc is not None:
                self.body()
            chunk = self.chunk() if self._body is not None else self.guarded(self._head)
            found = chunk, self.guarded(chunk.rows), self.guarded(chunk.times)
            if recent is not None:
                recent.keep(self, _HEAD, found, found[1].bytes + found[2].nbytes + HEAD_GUESS, if_room=not few)
        return OpenedChunk(self, *found, self.deletions)

    def _head(self) -> Chunk:
        assert self._file is not None
        file, offset, size = self._file, self._offset + CHUNK_HEAD.size, self._length - CHUNK_HEAD.size
        beginning = file.read(offset, min(size, HEAD_GUESS))
        if len(beginning) < (needed := head_size(beginning)):
            beginning += file.read(offset + len(beginning), min(size, needed) - len(beginning))
        return Chunk(beginning, size, lambda start, end: file.read(offset + start, end - start))

    def last_times(self) -> Times:
        """Of each row its last sample; -2**62 for none."""
        chunk = self.chunk()
        rows = self.guarded(chunk.rows)
        times = self.guarded(chunk.times)
        last = np.full(chunk.series, times[-1])
        if rows.marks is not None:
            there = rows.marks != ABSENT_MARK
            at = chunk.columns - 1 - np.argmax(there[:, ::-1], axis=1)
            last[rows.marked] = np.where(there.any(axis=1), times[at], -(2**62))
        return last

    def guarded(self, work: Callable[[], T]) -> T:
        """Bytes that pass the checksum and are no chunk are damage all the same: whatever a library says of them."""
        try:
            return work()
        except (ValueError, IndexError, RuntimeError, TypeError, struct.error) as error:
            raise Damaged(self._file.path if self._file else "memory", f"a chunk cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class OpenedChunk:
    """A chunk as it was when it was opened, whatever is deleted or moved since. Its pieces are read from its file."""

    stored: StoredChunk
    chunk: Chunk
    rows: ChunkRows
    times: Times
    deletions: tuple[Deletion, ...]

    def known(self, wanted: Ids, start: int, end: int) -> tuple[bool, bool]:
        if self.deletions and any(deletion.rows[wanted].any() for deletion in self._deletions(start, end)):
            return False, False
        own = self.rows.flags[wanted]
        flags = int(own[0]) if len(own) == 1 else int(np.bitwise_and.reduce(own))
        return bool(flags & DENSE), bool(flags & MONOTONIC)

    def _deletions(self, start: int, end: int) -> list[Deletion]:
        if not self.deletions:
            return []
        first, last = int(self.times[start]), int(self.times[end - 1])
        return [d for d in self.deletions if d.start_ms <= last and d.end_ms >= first]

    def present(self, wanted: Ids, start: int, end: int) -> npt.NDArray[np.bool_]:
        cells = np.ones((self.chunk.series, end - start), np.bool_)
        if self.rows.marks is not None:
            cells[self.rows.marked] = self.rows.marks[:, start:end] != ABSENT_MARK
        times = self.times[start:end]
        for deletion in self._deletions(start, end):
            cells[np.ix_(deletion.rows, (times >= deletion.start_ms) & (times <= deletion.end_ms))] = False
        return np.asarray(cells[wanted].any(axis=1))

    def read(self, wanted: Ids, to: Ids, out: Values, start: int, end: int, recent: Recent | None) -> None:
        """Raises Damaged."""
        if recent is not None and len(wanted) <= ROWS_MAX:
            whole = self._whole(wanted, recent)
            if len(out) == 1:
                out[0] = whole[0, start:end]
            else:
                out[to] = whole[:, start:end]
        else:
            self.stored.guarded(lambda: self.chunk.decode(wanted, to, out, start, end, self.rows))
        if not self.deletions:
            return
        times = self.times[start:end]
        for deletion in self._deletions(start, end):
            a, b = int(np.searchsorted(times, deletion.start_ms)), int(np.searchsorted(times, deletion.end_ms, "right"))
            out[to[deletion.rows[wanted]], a:b] = ABSENT

    def _whole(self, wanted: Ids, recent: Recent) -> Values:
        """All columns of a few rows, as they were before anything was deleted."""
        kept = self.stored.kept
        key = wanted.tobytes()
        values: Values | None = kept.get(key) if kept else None
        if values is None:
            values = np.empty((len(wanted), self.chunk.columns))
            to, made = np.arange(len(wanted)), values
            self.stored.guarded(lambda: self.chunk.decode(wanted, to, made, 0, self.chunk.columns, self.rows))
            recent.keep(self.stored, key, values, values.nbytes + len(key))
        return values


@dataclass(slots=True)
class ChunkSink:
    """Makes the records of a chunk file, in memory: `take` hands over the bytes that are due to be written.

    `labels` gives those of ids, which must not be forgotten as long as the sink is used.
    """

    labels: Callable[[Ids], LabelColumns]
    size: int = 0
    chunks: int = 0
    histograms: list[tuple[int, int, int, int]] = field(default_factory=list)  # as in Contents
    _pending: list[bytes] = field(default_factory=list)
    _ordinal: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    _series: int = 0
    _sets: dict[RowSet, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._emit_raw(records.MAGIC)

    def add(self, row_set: RowSet, times: Times, values: Values) -> tuple[StoredChunk, int]:
        """(the chunk, still in memory; the offset of its body in the file)."""
        return self.add_encoded(row_set, int(times[0]), int(times[-1]), encode(times, values))

    def add_encoded(self, row_set: RowSet, first_ms: int, last_ms: int, payload: bytes | memoryview) -> tuple[StoredChunk, int]:
        number = self._sets.get(row_set)
        if number is None:
            ordinals = self._ordinals(row_set.ids)
            number = self._sets[row_set] = len(self._sets)
            self._emit(ROWS, standalone.simple_compress(ordinals, ChunkConfig()))
        body = CHUNK_HEAD.pack(number, first_ms, last_ms) + payload
        self.chunks += 1
        offset = self._emit(CHUNK, body)
        return StoredChunk(row_set, first_ms, last_ms, body), offset

    def add_histograms(self, samples: list[Stored]) -> None:
        """(series id, time, histogram)."""
        for at in range(0, len(samples), HISTOGRAMS_PER_RECORD):
            part = samples[at : at + HISTOGRAMS_PER_RECORD]
            ordinals = self._ordinals(np.array([s[0] for s in part], np.int32)).tolist()
            times = [s[1] for s in part]
            body = encode_histograms((o, t, h) for o, (_, t, h) in zip(ordinals, part, strict=True))
            body = SPAN.pack(min(times), max(times)) + body
            self.histograms.append((min(times), max(times), self._emit(HISTOGRAMS, body), len(body)))

    @property
    def series(self) -> Ids:
        """Ids of the series by ordinal."""
        order = np.flatnonzero(self._ordinal >= 0).astype(np.int32)
        return order[np.argsort(self._ordinal[order])]

    def finish(self) -> None:
        self._emit(END, COUNT.pack(self.chunks))

    def take(self) -> bytes:
        data = b"".join(self._pending)
        self._pending.clear()
        return data

    def _ordinals(self, ids: Ids) -> npt.NDArray[np.int32]:
        needed = int(ids.max()) + 1
        if len(self._ordinal) < needed:
            grown = np.full(max(needed, 2 * len(self._ordinal)), -1, np.int32)
            grown[: len(self._ordinal)] = self._ordinal
            self._ordinal = grown
        fresh = np.unique(ids[self._ordinal[ids] < 0])
        if len(fresh):
            self._ordinal[fresh] = np.arange(self._series, self._series + len(fresh), dtype=np.int32)
            self._series += len(fresh)
            self._emit(SERIES, encode_series(self.labels(fresh)))
        return self._ordinal[ids]

    def _emit(self, kind: int, body: bytes) -> int:
        offset = self.size + records.FRAME.size
        self._emit_raw(records.frame(kind, body))
        return offset

    def _emit_raw(self, data: bytes) -> None:
        self._pending.append(data)
        self.size += len(data)


@dataclass(slots=True)
class Contents:
    """What a chunk file holds."""

    file: FileBytes
    series: Ids = field(default_factory=lambda: np.zeros(0, np.int32))  # by ordinal
    chunks: list[StoredChunk] = field(default_factory=list)
    histograms: list[tuple[int, int, int, int]] = field(default_factory=list)  # first and last time, offset, length
    end: int = 0  # of the last whole record
    finished: bool = False  # has its END

    def histograms_between(self, start_ms: int, end_ms: int) -> Iterator[Stored]:
        """(series id, time, histogram) in the range."""
        for first, last, offset, length in self.histograms:
            if last < start_ms or first > end_ms:
                continue
            try:
                for row, time_ms, histogram in decode_histograms(self.file.read(offset, length)[SPAN.size :]):
                    if start_ms <= time_ms <= end_ms:
                        yield int(self.series[row]), time_ms, histogram
            except (ValueError, IndexError, RuntimeError, struct.error) as error:
                raise Damaged(self.file.path, f"histograms at {offset} cannot be read: {error}") from error


def load(path: Path, index: SeriesIndex, sets: RowSets, *, verify: bool = False) -> Contents:
    """Registers the file's series and finds its chunks, up to the first record that is not whole. Raises Damaged, OSError.

    `verify`: chunks are read and checked too. Otherwise a chunk is checked when it is read first.
    """
    contents = Contents(FileBytes(path))
    size = contents.file.size()
    begin = contents.file.read(0, min(size, len(records.MAGIC)))
    if begin != records.MAGIC:
        if records.MAGIC.startswith(begin):  # torn before anything was in it
            return contents
        raise Damaged(path, "not a file of this store")
    row_sets: list[RowSet] = []
    at = contents.end = len(records.MAGIC)
    while at + records.FRAME.size <= size and not contents.finished:
        length, crc, kind = records.FRAME.unpack(contents.file.read(at, records.FRAME.size))
        offset = at + records.FRAME.size
        if offset + length > size:
            break
        if verify and kind == CHUNK and records.checksum(kind, contents.file.read(offset, length)) != crc:
            break
        try:
            if not _take(contents, row_sets, index, sets, (kind, crc, offset, length)):
                break
        except (ValueError, KeyError, IndexError, RuntimeError, TypeError, struct.error) as error:
            raise Damaged(path, f"record at {at} cannot be read: {error}") from error
        at = contents.end = offset + length
    return contents


def _take(contents: Contents, row_sets: list[RowSet], index: SeriesIndex, sets: RowSets, record: tuple[int, int, int, int]) -> bool:
    """One record into `contents`; False when its checksum is wrong."""
    kind, crc, offset, length = record
    if kind == CHUNK:
        number, first_ms, last_ms = CHUNK_HEAD.unpack(contents.file.read(offset, CHUNK_HEAD.size))
        chunk = StoredChunk(row_sets[number], first_ms, last_ms, None)
        chunk.place(contents.file, offset, length, crc)
        contents.chunks.append(chunk)
        return True
    body = contents.file.read(offset, length)
    if records.checksum(kind, body) != crc:
        return False
    if kind == SERIES:
        contents.series = np.concatenate([contents.series, index.register_columns(decode_series(body))])
    elif kind == ROWS:
        ordinals: Any = standalone.simple_decompress(body)
        row_sets.append(sets.of(np.ascontiguousarray(contents.series[ordinals])))
    elif kind == HISTOGRAMS:
        contents.histograms.append((*SPAN.unpack_from(body), offset, length))
    elif kind == END:
        if COUNT.unpack(body)[0] != len(contents.chunks):
            raise ValueError("chunks are missing")
        contents.finished = True
    else:
        raise ValueError(f"record of kind {kind}, which this version does not know")
    return True
