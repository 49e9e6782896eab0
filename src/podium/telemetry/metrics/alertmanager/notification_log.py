"""The notification log: what each receiver was last told about each group, so that nobody is told twice.

An entry belongs to a group and one integration of a receiver. It holds which alerts were firing and which resolved (their fingerprints) and
when. It is kept for twice the repeat interval (at most `retention_s`). Replicas exchange entries; the later one counts.

`why_notify` (pure) is the decision. Source: upstream's nflog package and notify/dedup_stage.go.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.errors import StorageError
from podium.telemetry.metrics.alertmanager.storage import Record, Storage
from podium.world.interface import World

_log = logger("alertmanager.log")
RETENTION_S = 120 * 3600.0
ENTRIES_MAX = 200_000
STATE = "notifications"


@dataclass(frozen=True, slots=True)
class Entry:
    """`receiver` is `NAME/KIND/INDEX`. `data` are an integration's own notes (Slack: which message to update)."""

    group_key: str
    receiver: str
    firing: frozenset[str]
    resolved: frozenset[str]
    at: datetime
    expires_at: datetime
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.group_key}:{self.receiver}"

    def record(self) -> Record:
        return {
            "groupKey": self.group_key, "receiver": self.receiver, "firing": sorted(self.firing), "resolved": sorted(self.resolved),
            "at": self.at.isoformat(), "expiresAt": self.expires_at.isoformat(), "data": dict(self.data),
        }  # fmt: skip

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Entry":
        """Raises ValueError, KeyError or TypeError for what is no record of an entry."""
        at, expires_at = datetime.fromisoformat(record["at"]), datetime.fromisoformat(record["expiresAt"])
        if not at.tzinfo or not expires_at.tzinfo:
            raise ValueError("times without a zone")
        firing, resolved = frozenset(map(str, record["firing"])), frozenset(map(str, record["resolved"]))
        return cls(str(record["groupKey"]), str(record["receiver"]), firing, resolved, at, expires_at, dict(record.get("data") or {}))


FIRST, NEW_ALERTS, NEW_RESOLVED, ALL_RESOLVED, REPEAT = (
    "first notification", "new alerts added", "some alerts resolved", "all alerts resolved", "repeat interval elapsed",
)  # fmt: skip


def why_notify(
    entry: Entry | None, firing: frozenset[str], resolved: frozenset[str], *, sends_resolved: bool, repeat_s: float, now: datetime
) -> str:
    """The reason to notify now; empty when there is none."""
    if entry is None:
        return FIRST if firing else ""
    if not firing <= entry.firing:
        return NEW_ALERTS if entry.firing else FIRST
    if not firing:
        return ALL_RESOLVED if entry.firing else ""
    if sends_resolved and not resolved <= entry.resolved:
        return NEW_RESOLVED
    return REPEAT if entry.at < now - timedelta(seconds=repeat_s) else ""


class NotificationLog:
    def __init__(
        self, world: World, storage: Storage, *, retention_s: float = RETENTION_S, on_change: Callable[[str, Record], None] | None = None
    ) -> None:
        """Raises StorageError."""
        self._world, self._storage, self._retention_s = world, storage, retention_s
        self._on_change = on_change or (lambda key, record: None)
        self._entries: dict[str, Entry] = {}
        now = world.clock.now()
        for record in storage.load(STATE).values():
            try:
                entry = Entry.of(record)
            except (ValueError, KeyError, TypeError):
                continue
            if entry.expires_at > now:
                self._entries[entry.key] = entry

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, group_key: str, receiver: str) -> Entry | None:
        return self._entries.get(f"{group_key}:{receiver}")

    def put(
        self, group_key: str, receiver: str, firing: frozenset[str], resolved: frozenset[str], *, keep_s: float, data: Mapping[str, str]
    ) -> None:
        """Also when the disk refuses: then it is known to this process only."""
        now = self._world.clock.now()
        expires_at = now + timedelta(seconds=min(keep_s, self._retention_s) if keep_s > 0 else self._retention_s)
        self._store(Entry(group_key, receiver, firing, resolved, now, expires_at, data))

    def merge(self, records: Iterable[Record]) -> int:
        """Takes what is newer than what is here; what is no entry is left out. Returns how many were taken."""
        now = self._world.clock.now()
        taken = 0
        for record in records:
            try:
                entry = Entry.of(record)
            except (ValueError, KeyError, TypeError):
                continue
            before = self._entries.get(entry.key)
            if entry.expires_at > now and (before is None or before.at < entry.at):
                self._store(entry)
                taken += 1
        return taken

    def records(self) -> dict[str, Record]:
        """By key: what replicas exchange."""
        return {key: entry.record() for key, entry in self._entries.items()}

    def forget_expired(self) -> int:
        """Returns how many. Raises StorageError."""
        now = self._world.clock.now()
        kept = {key: entry for key, entry in self._entries.items() if entry.expires_at > now}
        forgotten = len(self._entries) - len(kept)
        if forgotten:
            self._storage.replace(STATE, {key: entry.record() for key, entry in kept.items()})
            self._entries = kept
        return forgotten

    def _store(self, entry: Entry) -> None:
        if entry.key not in self._entries and len(self._entries) >= ENTRIES_MAX:
            oldest = min(self._entries.values(), key=lambda e: e.at)
            del self._entries[oldest.key]
        record = entry.record()
        self._entries[entry.key] = entry
        try:
            self._storage.put(STATE, entry.key, record, sync=False)
        except StorageError as error:  # what was sent was sent: better known until the next restart than not at all
            _log.error("notification log cannot be written", error=str(error))
        self._on_change(entry.key, record)
