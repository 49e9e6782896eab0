"""A window of the head: chunks of its file, and what waits to be put there.

The window's file (chunk_file.py, `START.GENERATION.chunks`) is written behind: sealed chunks are in memory until `write` has put them
there, and the write-ahead log is kept as long as it protects anything that is not in the file (`protected_from`). A store in memory has
no files.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.samples import Times, Values
from podium.telemetry.metrics.tsdb.assembly import RowSet, RowSets
from podium.telemetry.metrics.tsdb.chunk import encode
from podium.telemetry.metrics.tsdb.chunk_file import CHUNK_HEAD, ChunkSink, Contents, FileBytes, StoredChunk
from podium.telemetry.metrics.tsdb.histograms import Histograms, Stored
from podium.telemetry.metrics.tsdb.loose import LooseSamples, matrices
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex
from podium.telemetry.metrics.tsdb.wal import sync_directory

SUFFIX = ".chunks"
LOOSE_MAX = 1 << 16
"""Loose samples that wait in a window; then they are put into chunks."""


@dataclass(slots=True)
class Writing:
    """What is on its way into the file."""

    data: bytes
    offset: int
    placed: list[tuple[StoredChunk, int]]
    landed: bool = False


@dataclass(slots=True)
class Window:
    start_ms: int
    generation: int
    index: SeriesIndex
    sets: RowSets
    path: Path | None
    """None: in memory only."""
    chunks: list[StoredChunk] = field(default_factory=list)
    loose: LooseSamples = field(default_factory=LooseSamples)
    histograms: Histograms = field(default_factory=Histograms)
    first_segment: int = -1  # of loose samples and histograms
    files: list[Path] = field(default_factory=list)
    """Earlier files of this window, from before the store was opened."""
    _sink: ChunkSink | None = None
    _unsaved: list[Stored] = field(default_factory=list)  # histograms that are not in the sink
    _placed: list[tuple[StoredChunk, int]] = field(default_factory=list)
    _waiting: list[bytes] = field(default_factory=list)
    _waiting_segment: int = -1
    _written: int = 0
    _writing: Writing | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            self._sink = ChunkSink(self.index.labels)

    def adopt(self, contents: Contents) -> None:
        """What a file of before holds. It is not written to any more: what comes goes to files of later generations."""
        self.files.append(contents.file.path)
        self.chunks.extend(contents.chunks)
        for series, time_ms, histogram in contents.histograms_between(-(2**62), 2**62):
            self.histograms.add(series, time_ms, histogram)

    def add(self, row_set: RowSet, times: Times, values: Values, first_segment: int) -> None:
        """A chunk of these."""
        if self._sink is None:
            body = CHUNK_HEAD.pack(0, int(times[0]), int(times[-1])) + encode(times, values)
            self.chunks.append(StoredChunk(row_set, int(times[0]), int(times[-1]), body))
            return
        chunk, offset = self._sink.add(row_set, times, values)
        self.chunks.append(chunk)
        self._placed.append((chunk, offset))
        self._wait(first_segment)

    def add_encoded(self, chunk: StoredChunk, first_segment: int) -> None:
        """A chunk of another window, as it is. Raises Damaged."""
        if self._sink is None:
            self.chunks.append(chunk)
            return
        copied, offset = self._sink.add_encoded(chunk.row_set, chunk.first_ms, chunk.last_ms, chunk.chunk().payload)
        self.chunks.append(copied)
        self._placed.append((copied, offset))
        self._wait(first_segment)

    def add_histogram(self, series: int, time_ms: int, histogram: Histogram, segment: int) -> None:
        if self.histograms.add(series, time_ms, histogram) and self._sink is not None:
            self._unsaved.append((series, time_ms, histogram))
            if self.first_segment < 0:
                self.first_segment = segment

    def seal(self) -> None:
        """Loose samples and histograms become records of the file."""
        if self.loose.count:
            for matrix in matrices(self.sets, *self.loose.columns()):
                self.add(matrix.row_set, matrix.times, matrix.values, self.first_segment)
            self.loose = LooseSamples()
        if self._unsaved and self._sink is not None:
            self._sink.add_histograms(self._unsaved)
            self._unsaved = []
            self._wait(self.first_segment)
        self.first_segment = -1

    def _wait(self, segment: int) -> None:
        assert self._sink is not None
        self._waiting.append(self._sink.take())
        if self._waiting_segment < 0 or 0 <= segment < self._waiting_segment:
            self._waiting_segment = segment

    def all_files(self) -> list[Path]:
        """Those that are there, its own among them."""
        return [*self.files, *([self.path] if self.path is not None and self._written else [])]

    @property
    def dirty(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    @property
    def bytes(self) -> int:
        return sum(chunk.size for chunk in self.chunks)

    def protected_from(self) -> int:
        """The oldest segment of the write-ahead log with samples of this window that are not in its file. 2**62: none."""
        return min((s for s in (self.first_segment, self._waiting_segment) if s >= 0), default=1 << 62)

    def begin_write(self) -> Writing:
        """On the loop: what `write` is to write."""
        self._land()
        self._writing = Writing(b"".join(self._waiting), self._written, list(self._placed))
        return self._writing

    def write(self, writing: Writing) -> None:
        """In the worker: appends and syncs. What failed is written again, to the same place. Raises OSError."""
        assert self.path is not None
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            at = 0
            while at < len(writing.data):
                at += os.pwrite(descriptor, writing.data[at : at + (1 << 26)], writing.offset + at)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if not writing.offset:
            sync_directory(self.path.parent)
        writing.landed = True

    def end_write(self) -> None:
        """On the loop, after `write`: chunks are in the file from now on, and not in memory."""
        self._land()

    def _land(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None or not writing.landed or not writing.data:
            return
        assert self.path is not None
        rest = b"".join(self._waiting)[len(writing.data) :]
        self._waiting = [rest] if rest else []
        if not rest:
            self._waiting_segment = -1
        self._written += len(writing.data)
        file = FileBytes(self.path)
        for chunk, offset in writing.placed:
            chunk.place(file, offset, chunk.size, None)
        del self._placed[: len(writing.placed)]


def file_name(start_ms: int, generation: int) -> str:
    return f"{start_ms}.{generation}{SUFFIX}"


def parsed(name: str) -> tuple[int, int] | None:
    """(start, generation) of a file's name; None for other names."""
    start, _, generation = name.removesuffix(SUFFIX).partition(".")
    return (int(start), int(generation)) if generation.isdigit() and start.lstrip("-").isdigit() else None


def files(directory: Path) -> list[tuple[int, int, Path]]:
    """(start, generation, path), ascending."""
    return sorted((*place, path) for path in directory.glob("*" + SUFFIX) if (place := parsed(path.name)))
