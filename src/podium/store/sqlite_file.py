"""The file behind the SQLite store: a snapshot and a journal. Synchronous; knows nothing of loops or listeners.

* `journal`: one row for each committed batch of writes, by the revision of its first write. The payload is the batch: lengths, then keys
  and stamped JSON (empty for a deletion), all checked by one CRC. Appending a batch is one statement, one B-tree insert and one fsync.
* `snapshot`: one row for each key, as of `snapshot_revision`.
* `meta`: `snapshot_revision`, and `compacted_revision`, below which nothing may be read any more.

The state now is the snapshot with the journal replayed over it; the journal is also the history that watches resume from after a restart.
Compaction folds the oldest journal rows into the snapshot, some hundred writes in one transaction.

Invariants: the journal's first row follows the snapshot's revision, and each row the one before, without gaps. A file that breaks them,
or whose checksums fail, or that SQLite calls malformed, is damaged; one without our application id is foreign. Both are left as they are:
reading happens through a read-only connection, and only when everything was read well is the file opened for writing. That check is free:
the whole state has to be read at the start anyway.

Values under the prefixes of a `Seal` are encrypted on disk; checksums are of what lies there.

Durability: WAL with synchronous=FULL, so a commit returns when it is on disk. Source: sqlite.org/wal.html, pragma.html, fileformat2.html.
"""

import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from podium.store.bucket import Tombstone
from podium.store.errors import StoreDamaged, StoreError
from podium.store.record import Event, Record, restamp
from podium.store.seal import Seal, Unsealed
from podium.store.versions import FIRST_REVISION, Versions

APPLICATION_ID = 0x506F646D  # "Podm", at offset 68 of the file
FORMAT = 1  # user_version, at offset 60
CHECKPOINT_PAGES = 4_000
WAL_BYTES_KEPT = 64 * 1024 * 1024
ROWS_PER_STATEMENT = 150  # five columns each; SQLite takes at least 999 variables

UNSEALED = Unsealed()
T = TypeVar("T")

_HEADER_BYTES = 100
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshot (
    key TEXT PRIMARY KEY, revision INTEGER NOT NULL, created INTEGER NOT NULL, crc INTEGER NOT NULL, encoded BLOB NOT NULL
);
CREATE TABLE journal (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL);
INSERT INTO meta VALUES ('snapshot_revision', {FIRST_REVISION}), ('compacted_revision', {FIRST_REVISION}), ('opened', 0);
"""
_RETRIABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class CommitRefused(StoreError):
    """The transaction was rolled back cleanly (disk full, file busy): nothing was written, and a later one may succeed."""


class CommitFailed(StoreError):
    """What is on disk is unknown: no further write may be accepted before the file is read again."""


@dataclass(frozen=True, slots=True)
class FoldStep:
    """`events` are all those of the oldest journal rows, up to and including `revision`."""

    events: list[Event]
    revision: int
    compacted_revision: int


class StoreFile:
    """Open for writing. Used by one thread at a time."""

    def __init__(self, path: Path, seal: Seal = UNSEALED) -> None:
        """Opens, after `read` found it well. Raises StoreError."""
        self._path = path
        self._seal = seal
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                f"wal_autocheckpoint={CHECKPOINT_PAGES}",
                f"journal_size_limit={WAL_BYTES_KEPT}",
            ):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            self._connection.execute(
                "UPDATE meta SET value = value + 1 WHERE name = 'opened'"
            )  # makes the WAL file, and proves it can be written
            _sync_directory(path.parent)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot write to {path}: {error}; check the disk and the file's owner") from error

    def append(self, events: Sequence[Event]) -> None:
        """One batch, durable on return. Raises CommitRefused, CommitFailed."""
        payload = encode_batch(events, self._seal)
        with _sorted_errors(self._path):
            self._connection.execute(
                "INSERT INTO journal VALUES (?, ?, ?, ?)", (events[0].revision, len(events), zlib.crc32(payload), payload)
            )

    def fold(self, step: FoldStep) -> None:
        """Moves the oldest journal rows into the snapshot. Raises CommitRefused, CommitFailed."""
        newest = {event.record.key: event for event in step.events}
        live = [event.record for event in newest.values() if not event.deleted]
        dead = [key for key, event in newest.items() if event.deleted]
        execute = self._connection.execute
        with _sorted_errors(self._path):
            execute("BEGIN IMMEDIATE")
            try:
                for keys in _chunks(dead):
                    execute(f"DELETE FROM snapshot WHERE key IN ({','.join('?' * len(keys))})", keys)
                for records in _chunks(live):
                    rows = [v for record in records for v in self._row(record)]
                    execute("INSERT OR REPLACE INTO snapshot VALUES " + ",".join(["(?,?,?,?,?)"] * len(records)), rows)
                execute("DELETE FROM journal WHERE first <= ?", (step.revision,))
                execute("UPDATE meta SET value = max(value, ?) WHERE name = 'snapshot_revision'", (step.revision,))
                execute("UPDATE meta SET value = max(value, ?) WHERE name = 'compacted_revision'", (step.compacted_revision,))
                execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise

    def _row(self, record: Record) -> tuple[str, int, int, int, bytes]:
        stored = self._seal.protect(record.key, record.encoded)
        return record.key, record.revision, record.created, _row_crc(record.key, stored), stored

    def close(self) -> None:
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            pass  # the journal in the WAL is as durable as in the file
        self._connection.close()


def create(path: Path) -> None:
    """A new, empty store, all at once: a crash half-way leaves nothing under `path`. Raises StoreError, StoreDamaged."""
    if _has_wal(path):  # SQLite would replay it into the new file
        raise StoreDamaged(
            f"{path} is missing, but its log {path.name}-wal is there; it was left as it is: restore the file, or move the log away"
        )
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # it holds secrets; SQLite gives its side files the same mode
        connection = sqlite3.connect(new, isolation_level=None)
        connection.executescript(_SCHEMA)
        connection.close()
        os.replace(new, path)
        _sync_directory(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot create {path}: {error}; choose another data directory or change its owner") from error


def read(path: Path, versions: Versions, seal: Seal = UNSEALED) -> list[int]:
    """Fills `versions` (new) with the file's state and history; returns the last revision of each journal row. Raises StoreDamaged."""
    try:
        _check_header(path)
        # Without a WAL to replay, `immutable` keeps SQLite from making side files. We hold the lock: nobody else writes.
        immutable = "" if _has_wal(path) else "&immutable=1"
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{immutable}", uri=True, isolation_level=None)
        try:
            connection.execute("BEGIN")
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            versions.load(sorted(_snapshot(connection, seal), key=lambda record: record.key), meta["snapshot_revision"])
            ends = []
            for events in _journal(connection, versions, seal):
                versions.apply(events)
                ends.append(versions.revision)
            versions.compact(meta["compacted_revision"], forget=False)
            return ends
        finally:
            connection.close()
    except (sqlite3.Error, struct.error, KeyError, ValueError, UnicodeDecodeError) as error:
        raise StoreDamaged(
            f"{path} is damaged ({error}); it was left as it is: restore a backup or choose another data directory"
        ) from error


def encode_batch(events: Sequence[Event], seal: Seal = UNSEALED) -> bytes:
    """Lengths of key and JSON for each event (32 bits, little-endian), then all keys and JSON texts in turn. No JSON: a deletion."""
    parts: list[bytes] = []
    for event in events:
        parts.append(event.record.key.encode())
        parts.append(b"" if event.deleted else seal.protect(event.record.key, event.record.encoded))
    return struct.pack(f"<{len(parts)}I", *map(len, parts)) + b"".join(parts)


def decode_batch(payload: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """(key, JSON) in turn. Raises struct.error or ValueError for a payload that is not what `encode_batch` made."""
    lengths = struct.unpack_from(f"<{2 * count}I", payload)
    at = 8 * count
    if at + sum(lengths) != len(payload):
        raise ValueError("a journal row has the wrong length")
    for key_length, encoded_length in zip(lengths[::2], lengths[1::2], strict=True):
        middle = at + key_length
        yield payload[at:middle].decode(), payload[middle : middle + encoded_length]
        at = middle + encoded_length


def _journal(connection: sqlite3.Connection, versions: Versions, seal: Seal) -> Iterator[list[Event]]:
    """Each row's events, to be applied to `versions` before the next row is asked for."""
    for first, count, crc, payload in connection.execute("SELECT first, count, crc, payload FROM journal ORDER BY first"):
        if first != versions.revision + 1:
            raise ValueError(f"the journal goes on at revision {first} after {versions.revision}")
        if zlib.crc32(payload) != crc:
            raise ValueError(f"the checksum of the journal at revision {first} does not match")
        newest: dict[str, Record | None] = {}
        events = []
        for offset, (key, encoded) in enumerate(decode_batch(payload, count)):
            current = newest[key] if key in newest else versions.current(key)
            event = _replay(key, seal.reveal(key, encoded), first + offset, current)
            newest[key] = None if event.deleted else event.record
            events.append(event)
        yield events


def _replay(key: str, encoded: bytes, revision: int, current: Record | None) -> Event:
    if encoded:
        created = revision if current is None else current.created
        return Event(Record(key if current is None else current.key, encoded, revision, created), current, False)
    if current is None:
        raise ValueError(f"revision {revision} deletes {key}, which is not there")
    return Event(Tombstone(current.key, restamp(current.encoded, revision), revision, current.created), current, True)


def _snapshot(connection: sqlite3.Connection, seal: Seal) -> Iterator[Record]:
    for key, revision, created, crc, encoded in connection.execute("SELECT key, revision, created, crc, encoded FROM snapshot"):
        if _row_crc(key, encoded) != crc:
            raise ValueError(f"the checksum of {key} does not match")
        yield Record(key, seal.reveal(key, encoded), revision, created)


def _row_crc(key: str, encoded: bytes) -> int:
    return zlib.crc32(encoded, zlib.crc32(key.encode()))


def _check_header(path: Path) -> None:
    """Raises StoreDamaged for what is no store of this format. Reads the bytes itself, because SQLite already changes what it opens."""
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(b"SQLite format 3\0"):
        raise StoreDamaged(f"{path} is not a store of Podium's; it was left as it is: move it away or choose another data directory")
    application_id, format_ = int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big")
    if application_id != APPLICATION_ID:
        raise StoreDamaged(f"{path} is another program's SQLite file; it was left as it is: move it away or choose another data directory")
    if format_ != FORMAT:
        raise StoreDamaged(f"{path} has format {format_}, this version reads {FORMAT}; it was left as it is: use the version that wrote it")
    if not _has_wal(path):  # with one, a checkpoint may have been cut short, and will be repeated
        size = int.from_bytes(header[16:18], "big") * int.from_bytes(header[28:32], "big")
        if path.stat().st_size < size:
            raise ValueError(f"{path.stat().st_size} bytes instead of {size}")


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _chunks(items: list[T]) -> Iterable[list[T]]:
    return (items[start : start + ROWS_PER_STATEMENT] for start in range(0, len(items), ROWS_PER_STATEMENT))


def _sync_directory(path: Path) -> None:
    """So that a new file's name is as durable as its contents."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _sorted_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours, by what they say about the file."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _RETRIABLE:
            raise CommitRefused(f"{path}: {error}; nothing was written") from error
        raise CommitFailed(f"{path}: {error}; the store accepts no more writes until it is opened again") from error
