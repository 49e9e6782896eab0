"""What was asked: the query log (an entry a query, when it ended) and the file of active queries (what ran when a process died).

The file of active queries is a JSON array in fixed slots, mapped into memory: a query's slot is written when it starts and blanked when it
ends, so that a crash leaves the queries that ran. Queries longer than a slot are cut.

Source: Prometheus' query log and its queries.active file, whose forms these are.
"""

import json
import mmap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from podium.telemetry.metrics.promql.statistics import Statistics

SLOT_BYTES = 1000
ACTIVE_FILE = "queries.active"


def log_entry(now: datetime, parameters: dict[str, Any], statistics: Statistics, error: str, origin: dict[str, Any]) -> dict[str, Any]:
    """`parameters` are query, start, end, step; `origin` says who asked: httpRequest, ruleGroup."""
    entry: dict[str, Any] = {
        "time": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "level": "INFO",
        "msg": "promql query logged",
        "params": parameters,
    }
    if error:
        entry["error"] = error
    return entry | {"stats": statistics.to_json()} | origin


def date(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


class QueryLogFile:
    """Appends entries to a file, a line each. What cannot be written is counted, and the query is none the worse for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures = 0
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
            self._file.flush()
        except (OSError, ValueError):
            self.failures += 1

    def close(self) -> None:
        self._file.close()


class ActiveQueries:
    """At most `slots` queries; one more is simply not in the file."""

    def __init__(self, directory: Path, slots: int, found: Callable[[list[dict[str, Any]]], None] | None = None) -> None:
        """`found` is told the queries that ran when the process before this one died. Raises OSError."""
        path = directory / ACTIVE_FILE
        left = _left_over(path)
        if left and found is not None:
            found(left)
        size = slots * SLOT_BYTES + 1
        path.write_bytes(b"[" + b"\x00" * (size - 1))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._free = list(range(slots))[::-1]

    def add(self, query: str, now: datetime) -> int:
        """The slot, -1 when there is none."""
        if not self._free:
            return -1
        slot = self._free.pop()
        entry = _encoded(query, int(now.timestamp()))
        self._write(slot, entry)
        return slot

    def remove(self, slot: int) -> None:
        self._write(slot, b"")
        self._free.append(slot)

    def close(self) -> None:
        self._map.close()

    def _write(self, slot: int, entry: bytes) -> None:
        start = 1 + slot * SLOT_BYTES
        self._map[start : start + SLOT_BYTES] = entry.ljust(SLOT_BYTES, b"\x00")


def _encoded(query: str, seconds: int) -> bytes:
    """Whole JSON however much of the query has to go, with the comma that separates slots."""
    length = min(len(query), SLOT_BYTES)
    while True:
        entry = orjson.dumps({"query": query[:length], "timestamp_sec": seconds}) + b","
        if len(entry) <= SLOT_BYTES:
            return entry
        length = length * 9 // 10


def _left_over(path: Path) -> list[dict[str, Any]]:
    """Queries in the file of a process that died; none when there is no such file or it cannot be read."""
    try:
        text = path.read_bytes().replace(b"\x00", b"").decode("utf-8", "replace").strip().rstrip(",")
        found = json.loads(text + "]") if text.startswith("[") else []
    except (OSError, ValueError):
        return []
    return [entry for entry in found if isinstance(entry, dict)]
