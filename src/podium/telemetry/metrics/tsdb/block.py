"""Blocks: directories of samples that do not change any more.

    b-START-END-LEVEL-UID/
      meta.json        what it covers, what it was made of, how large it is
      chunks           a chunk file (chunk_file.py) with its END
      tombstones.json  what was deleted since; absent when nothing was

START and END are the range [START, END) in milliseconds that the block stands for, LEVEL how many times it was compacted. A block is made
in a directory named `tmp-`, synced, and renamed: it is there as a whole or not at all. `head_files` in meta.json are the head's files
that went into it: they are deleted after the rename, or when the store is opened next.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.samples import Times, Values
from podium.telemetry.metrics.tsdb.assembly import RowSet, RowSets
from podium.telemetry.metrics.tsdb.chunk_file import ChunkSink, Contents, Deletion, FileBytes, StoredChunk, load
from podium.telemetry.metrics.tsdb.columns import Ids
from podium.telemetry.metrics.tsdb.errors import Damaged
from podium.telemetry.metrics.tsdb.histograms import Stored
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex
from podium.telemetry.metrics.tsdb.wal import sync_directory

VERSION = 1
PREFIX, TEMPORARY, DAMAGED = "b-", "tmp-", ".damaged"
UNFINISHED = ".tmp"
META, CHUNKS, TOMBSTONES = "meta.json", "chunks", "tombstones.json"
WRITE_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class BlockMeta:
    start_ms: int
    end_ms: int  # exclusive
    level: int
    uid: str
    samples: int
    series: int
    sources: tuple[str, ...] = ()
    """Names of the blocks that it was compacted of: they are deleted once it is there."""
    head_files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.start_ms}-{self.end_ms}-{self.level}-{self.uid}"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Series (by ordinal in the block) without their samples in [start_ms, end_ms]."""

    ordinals: tuple[int, ...]
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Block:
    directory: Path
    meta: BlockMeta
    contents: Contents
    tombstones: list[Tombstone] = field(default_factory=list)
    size: int = 0

    @property
    def name(self) -> str:
        return self.directory.name

    def ids(self) -> Ids:
        return self.contents.series

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Whether it has samples in [start_ms, end_ms]."""
        return self.meta.start_ms <= end_ms and start_ms < self.meta.end_ms

    def delete(self, ids: Ids, start_ms: int, end_ms: int) -> None:
        """Notes on disk that the samples of these series in [start_ms, end_ms] are gone. Raises OSError."""
        ordinals = np.flatnonzero(np.isin(self.contents.series, ids))
        if not len(ordinals) or not self.overlaps(start_ms, end_ms):
            return
        tombstones = [*self.tombstones, Tombstone(tuple(ordinals.tolist()), start_ms, end_ms)]
        rows = [[t.start_ms, t.end_ms, list(t.ordinals)] for t in tombstones]
        write_synced(self.directory / TOMBSTONES, orjson.dumps({"version": VERSION, "deleted": rows}))
        self.tombstones = tombstones
        self.apply_tombstones()

    def apply_tombstones(self) -> None:
        """Tells the chunks what of them is gone."""
        for chunk in self.contents.chunks:
            found = []
            for tombstone in self.tombstones:
                if tombstone.start_ms <= chunk.last_ms and chunk.first_ms <= tombstone.end_ms:
                    rows = np.isin(chunk.row_set.ids, self.contents.series[list(tombstone.ordinals)])
                    if rows.any():
                        found.append(Deletion(rows, tombstone.start_ms, tombstone.end_ms))
            chunk.deletions = tuple(found)

    def histograms_between(self, start_ms: int, end_ms: int) -> list[Stored]:
        """(series id, time, histogram), without those deleted. Raises Damaged."""
        found = list(self.contents.histograms_between(start_ms, end_ms))
        if found and self.tombstones:
            gone = [(set(self.contents.series[list(t.ordinals)].tolist()), t.start_ms, t.end_ms) for t in self.tombstones]
            found = [s for s in found if not any(s[0] in ids and a <= s[1] <= b for ids, a, b in gone)]
        return found


def open_block(directory: Path, index: SeriesIndex, sets: RowSets) -> Block:
    """Registers its series. Raises Damaged, OSError."""
    try:
        raw = orjson.loads((directory / META).read_bytes())
        if raw["version"] != VERSION:
            raise Damaged(directory, f"block format {raw['version']}, this version reads {VERSION}")
        meta = BlockMeta(
            start_ms=int(raw["start_ms"]),
            end_ms=int(raw["end_ms"]),
            level=int(raw["level"]),
            uid=str(raw["uid"]),
            samples=int(raw["samples"]),
            series=int(raw["series"]),
            sources=tuple(raw["sources"]),
            head_files=tuple(raw["head_files"]),
        )
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise Damaged(directory, f"{META} cannot be read: {error}") from error
    if not (directory / CHUNKS).exists():
        raise Damaged(directory, f"{CHUNKS} is missing")
    contents = load(directory / CHUNKS, index, sets)
    if not contents.finished or contents.end != contents.file.size():
        raise Damaged(directory / CHUNKS, "is not complete")
    block = Block(directory, meta, contents, _read_tombstones(directory), _size(directory))
    block.apply_tombstones()
    return block


def _read_tombstones(directory: Path) -> list[Tombstone]:
    path = directory / TOMBSTONES
    if not path.exists():
        return []
    try:
        return [Tombstone(tuple(ordinals), start, end) for start, end, ordinals in orjson.loads(path.read_bytes())["deleted"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(path, f"cannot be read: {error}") from error


class BlockWriter:
    """Makes a block in a temporary directory: `add` in any order, then `finish`. All in the worker."""

    def __init__(self, parent: Path, uid: str, labels: Callable[[Ids], LabelColumns]) -> None:
        self._parent = parent
        self._uid = uid
        self._temporary = parent / f"{TEMPORARY}{uid}"
        self._temporary.mkdir(mode=0o700)
        self._sink = ChunkSink(labels)
        try:
            self._file = open(self._temporary / CHUNKS, "wb", buffering=0)  # noqa: SIM115
        except OSError:
            self._temporary.rmdir()
            raise
        self._placed: list[tuple[StoredChunk, int]] = []
        self._waiting = 0
        self.samples = 0

    def add(self, row_set: RowSet, times: Times, values: Values, samples: int) -> None:
        self._keep(self._sink.add(row_set, times, values), samples)

    def add_encoded(self, chunk: StoredChunk, samples: int) -> None:
        self._keep(self._sink.add_encoded(chunk.row_set, chunk.first_ms, chunk.last_ms, chunk.chunk().payload), samples)

    def add_histograms(self, samples: list[Stored]) -> None:
        self._sink.add_histograms(samples)
        self.samples += len(samples)

    def _keep(self, made: tuple[StoredChunk, int], samples: int) -> None:
        self._placed.append(made)
        self.samples += samples
        self._waiting += made[0].size
        if self._waiting >= WRITE_BYTES:
            self._flush()

    def _flush(self) -> None:
        data = memoryview(self._sink.take())
        while data:
            data = data[self._file.write(data) :]
        for chunk, offset in self._placed:
            chunk.place(_NOT_YET, offset, chunk.size, None)
        self._waiting = 0

    def finish(self, start_ms: int, end_ms: int, level: int, sources: Sequence[str], head_files: Sequence[str]) -> Block | None:
        """None when there was no sample. Raises OSError."""
        if not self.samples:
            self.abandon()
            return None
        self._sink.finish()
        self._flush()
        os.fsync(self._file.fileno())
        self._file.close()
        meta = BlockMeta(start_ms, end_ms, level, self._uid, self.samples, len(self._sink.series), tuple(sources), tuple(head_files))
        write_synced(self._temporary / META, orjson.dumps({"version": VERSION, **_fields(meta)}, option=orjson.OPT_INDENT_2))
        final = self._parent / meta.name
        os.rename(self._temporary, final)
        try:
            sync_directory(self._parent)
        except OSError:  # it will be made again: of two the other would not be told what is deleted
            remove_directory(final)
            raise
        file = FileBytes(final / CHUNKS)
        contents = Contents(file, self._sink.series, finished=True)
        for chunk, offset in self._placed:
            chunk.place(file, offset, chunk.size, None)
            contents.chunks.append(chunk)
        contents.histograms = list(self._sink.histograms)
        return Block(final, meta, contents, [], _size(final))

    def abandon(self) -> None:
        """Removes what was written. Idempotent."""
        self._file.close()
        if self._temporary.exists():
            remove_directory(self._temporary)


class _NotYet(FileBytes):
    """Where chunks are that were written and are not to be read before the file is finished."""

    def __init__(self) -> None:
        return

    def read(self, offset: int, length: int) -> bytes:
        raise AssertionError("a chunk of an unfinished block is read")


_NOT_YET = _NotYet()


def _fields(meta: BlockMeta) -> dict[str, Any]:
    return {name: getattr(meta, name) for name in BlockMeta.__dataclass_fields__}


def write_synced(path: Path, data: bytes) -> None:
    """Replaces the file as a whole, on disk when it returns. Raises OSError."""
    temporary = path.with_name(path.name + UNFINISHED)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    os.rename(temporary, path)
    sync_directory(path.parent)


def remove_directory(directory: Path) -> None:
    """With all files in it: first out of sight in one step, so that half of it is never taken for a block."""
    doomed = directory
    if not directory.name.startswith(TEMPORARY):
        doomed = directory.with_name(f"{TEMPORARY}removed-{directory.name}")
        os.rename(directory, doomed)
    for path in sorted(doomed.iterdir()):
        path.unlink()
    doomed.rmdir()


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())
