"""What survives a restart: silences and the notification log, as records by key, the last one of a key counting.

On disk a state is one file of JSON lines: a record is appended when it changes and the file is written anew, atomically (a temporary file,
fsync, rename), when most of its lines are outdated. A line that was cut off by a crash is the last one and is left out; a damaged line
elsewhere is set aside with a message. So what was acknowledged survives kill -9; with `sync`, a loss of power too.

One process at a time has a directory (flock).
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO, Any, Protocol

import orjson

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.errors import StorageError

_log = logger("alertmanager.storage")
OUTDATED_LINES_MIN = 1_000
"""A file is written anew when it has more outdated lines than this and than records."""
LINE_BYTES_MAX = 4 * 1024 * 1024

Record = dict[str, Any]


class Storage(Protocol):
    def load(self, state: str) -> dict[str, Record]:
        """By key."""
        ...

    def put(self, state: str, key: str, record: Record, *, sync: bool) -> None:
        """Raises StorageError; then nothing was kept."""
        ...

    def replace(self, state: str, records: dict[str, Record]) -> None:
        """Forgets all others. Raises StorageError."""
        ...

    def size(self, state: str) -> int:
        """Bytes."""
        ...

    def close(self) -> None: ...


class MemoryStorage:
    """For rehearsals, and a process that keeps nothing. Hand the same one to the next Alertmanager to restart with its state."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Record]] = {}

    def load(self, state: str) -> dict[str, Record]:
        return dict(self._states.get(state, {}))

    def put(self, state: str, key: str, record: Record, *, sync: bool) -> None:
        self._states.setdefault(state, {})[key] = record

    def replace(self, state: str, records: dict[str, Record]) -> None:
        self._states[state] = dict(records)

    def size(self, state: str) -> int:
        return sum(len(orjson.dumps(record)) for record in self._states.get(state, {}).values())

    def close(self) -> None:
        pass


class DiskStorage:
    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises StorageError when it cannot be written to or another process has it."""
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        self._lines: dict[str, int] = {}
        self._records: dict[str, dict[str, Record]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror}; choose another directory or change its owner") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StorageError(f"{folder} is in use by another process: stop it first or choose another directory") from error

    def load(self, state: str) -> dict[str, Record]:
        path = self._path(state)
        records: dict[str, Record] = {}
        lines = damaged = 0
        is_cut = False
        try:
            with open(path, "rb") as file:
                for text in file:
                    lines += 1
                    is_cut = not text.endswith(b"\n")
                    try:
                        key, record = orjson.loads(text)
                        records[str(key)] = dict(record)
                    except (ValueError, TypeError):
                        damaged += not is_cut
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        if damaged:
            aside = path.with_suffix(".damaged")
            with contextlib.suppress(OSError):
                os.replace(path, aside)
            _log.warning("state has damaged lines, set aside", file=str(aside), lines=damaged)
        if damaged or is_cut:
            self.replace(state, records)
            lines = len(records)
        self._records[state], self._lines[state] = records, lines
        return dict(records)

    def put(self, state: str, key: str, record: Record, *, sync: bool) -> None:
        text = orjson.dumps([key, record]) + b"\n"
        try:
            file = self._file(state)
            start = file.tell()
            try:
                file.write(text)
                if sync:
                    os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(start)
                raise
        except OSError as error:
            raise StorageError(f"cannot write to {self._path(state)}: {error.strerror}") from error
        records = self._records.setdefault(state, {})
        records[key] = record
        self._lines[state] = self._lines.get(state, 0) + 1
        outdated = self._lines[state] - len(records)
        if outdated > max(OUTDATED_LINES_MIN, len(records)):
            self.replace(state, dict(records))

    def replace(self, state: str, records: dict[str, Record]) -> None:
        path = self._path(state)
        temporary = path.with_suffix(".new")
        try:
            with open(temporary, "wb") as file:
                for key, record in records.items():
                    file.write(orjson.dumps([key, record]) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StorageError(f"cannot write to {path}: {error.strerror}") from error
        if (old := self._files.pop(state, None)) is not None:
            old.close()
        self._records[state], self._lines[state] = dict(records), len(records)

    def size(self, state: str) -> int:
        try:
            return self._path(state).stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Idempotent."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _path(self, state: str) -> Path:
        return self._folder / f"{state}.jsonl"

    def _file(self, state: str) -> IO[bytes]:
        file = self._files.get(state)
        if file is None:
            file = self._files[state] = open(self._path(state), "ab", buffering=0)  # noqa: SIM115  # kept open until close()
        return file
