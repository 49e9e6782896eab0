"""Silences: what mutes alerts for a time, made by people.

A silence is pending until it starts, active until it ends, expired from then on; after `retention_s` more it is forgotten. It is changed in
place only where history stays true (an active one keeps its start and matchers); otherwise the old one is expired and a new one made.

Replicas exchange silences as records; of two versions of one the later `updated_at` counts (`merge`). Every change is durable before it is
acknowledged, and then told to `on_change`.

Invariants: a silence has a matcher that does not match the empty text; `version` grows with every change, and what was found for a
fingerprint is kept: later only what has changed since is looked at. Source: upstream's silence package.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from podium.telemetry.metrics.alertmanager.alerts import is_label_name
from podium.telemetry.metrics.alertmanager.errors import BadMatcher, BadSilence, SilenceNotFound, TooMany
from podium.telemetry.metrics.alertmanager.matchers import Matcher, Matchers, match_all
from podium.telemetry.metrics.alertmanager.storage import Record, Storage
from podium.telemetry.metrics.templates.quoting import quote
from podium.world.interface import World

SILENCES_MAX = 10_000
MATCHERS_MAX = 100
TEXT_CHARS_MAX = 16 * 1024
"""Of a comment, a name, a value."""
RETENTION_S = 120 * 3600.0
REMEMBERED_MAX = 50_000
STATE = "silences"


@dataclass(frozen=True, slots=True)
class Silence:
    id: str
    matchers: Matchers
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    created_by: str
    comment: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    def state(self, now: datetime) -> str:
        """pending, active or expired."""
        return "pending" if now < self.starts_at else "expired" if now > self.ends_at else "active"

    def record(self) -> Record:
        return {
            "id": self.id, "startsAt": self.starts_at.isoformat(), "endsAt": self.ends_at.isoformat(), "updatedAt": self.updated_at.isoformat(),
            "createdBy": self.created_by, "comment": self.comment, "annotations": dict(self.annotations),
            "matchers": [{"name": m.name, "value": m.value, "isEqual": m.is_equal, "isRegex": m.is_regex} for m in self.matchers],
        }  # fmt: skip

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Silence":
        """Raises ValueError, KeyError or TypeError for what is no record of a silence."""
        starts, ends, updated = (datetime.fromisoformat(record[name]) for name in ("startsAt", "endsAt", "updatedAt"))
        if not all(when.tzinfo for when in (starts, ends, updated)):
            raise ValueError("times without a zone")
        matchers = tuple(Matcher.of(m["name"], m["value"], is_equal=m["isEqual"], is_regex=m["isRegex"]) for m in record["matchers"])
        return cls(
            str(record["id"]), matchers, starts, ends, updated, str(record["createdBy"]), str(record["comment"]),
            dict(record.get("annotations") or {}),
        )  # fmt: skip


class Silences:
    def __init__(
        self, world: World, storage: Storage, *, retention_s: float = RETENTION_S, on_change: Callable[[str, Record], None] | None = None
    ) -> None:
        """`on_change` hears of every change made here or merged: its key and the record. Raises StorageError."""
        self._world, self._storage = world, storage
        self._retention = timedelta(seconds=retention_s)
        self._on_change = on_change or (lambda key, record: None)
        self._silences: dict[str, Silence] = {}
        self._quick: dict[str, tuple[int, Matchers]] = {}  # version and matchers, the cheap ones first; the latest change last
        self._remembered: dict[str, tuple[int, frozenset[str]]] = {}
        self.version = 0
        now = world.clock.now()
        for record in storage.load(STATE).values():
            try:
                silence = Silence.of(record)
            except (ValueError, KeyError, TypeError):
                continue
            if silence.ends_at + self._retention > now:
                self._silences[silence.id] = silence
                self._changed(silence)

    def get(self, identity: str) -> Silence:
        """Raises SilenceNotFound."""
        if identity not in self._silences:
            raise SilenceNotFound()
        return self._silences[identity]

    def all(self) -> list[Silence]:
        return list(self._silences.values())

    def __len__(self) -> int:
        return len(self._silences)

    def counts(self) -> dict[str, int]:
        now = self._world.clock.now()
        counts = dict.fromkeys(("active", "pending", "expired"), 0)
        for silence in self._silences.values():
            counts[silence.state(now)] += 1
        return counts

    def silenced_by(self, fingerprint: str, labels: Mapping[str, str]) -> list[str]:
        """The ids of the active silences of such an alert, ascending."""
        known, matching = self._remembered.get(fingerprint, (-1, frozenset[str]()))
        if known < self.version:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            matching = self._remember(known, matching, labels)
            self._remembered[fingerprint] = self.version, matching
        now = self._world.clock.now()
        return sorted(name for name in matching if name in self._silences and self._silences[name].state(now) == "active")

    def _remember(self, known: int, matching: frozenset[str], labels: Mapping[str, str]) -> frozenset[str]:
        """`matching` after what has changed since version `known`: only that is looked at."""
        now = self._world.clock.now()
        found = set(matching)
        for identity, (version, matchers) in reversed(self._quick.items()):
            if version <= known:
                break
            silence = self._silences.get(identity)
            if silence is not None and now <= silence.ends_at and match_all(matchers, labels):
                found.add(identity)
            else:
                found.discard(identity)
        return frozenset(found)

    def put(self, silence: Silence) -> str:
        """Makes it (no id), or changes the one of its id, which may give a new one. Returns the id.

        Raises BadSilence, SilenceNotFound, TooMany, StorageError."""
        now = self._world.clock.now()
        _validate(silence)
        before = self.get(silence.id) if silence.id else None
        if before is not None and _can_update(before, silence, now):
            self._store(replace(silence, updated_at=now))
            return silence.id
        if len(self._silences) >= SILENCES_MAX:
            raise TooMany(f"exceeded maximum number of silences: {len(self._silences)} (limit: {SILENCES_MAX})")
        made = replace(silence, id=self._world.uid(), starts_at=max(silence.starts_at, now), updated_at=now)
        if before is not None and before.state(now) != "expired":
            self.expire(before.id)
        self._store(made)
        return made.id

    def expire(self, identity: str) -> None:
        """Ends it now. Raises SilenceNotFound, StorageError."""
        now = self._world.clock.now()
        silence = self.get(identity)
        match silence.state(now):
            case "active":
                self._store(replace(silence, ends_at=now, updated_at=now))
            case "pending":
                self._store(replace(silence, starts_at=now, ends_at=now, updated_at=now))

    def merge(self, records: Iterable[Record]) -> int:
        """Takes what is newer than what is here; what is no silence is left out. Returns how many were taken. Raises StorageError."""
        now = self._world.clock.now()
        taken = 0
        for record in records:
            try:
                silence = Silence.of(record)
            except (ValueError, KeyError, TypeError):
                continue
            before = self._silences.get(silence.id)
            if silence.ends_at + self._retention <= now or (before is not None and before.updated_at >= silence.updated_at):
                continue
            if before is None and len(self._silences) >= SILENCES_MAX:
                continue
            self._store(silence)
            taken += 1
        return taken

    def records(self) -> dict[str, Record]:
        """By key: what replicas exchange."""
        return {identity: silence.record() for identity, silence in self._silences.items()}

    def forget_expired(self) -> int:
        """Those whose retention is over. Returns how many. Raises StorageError."""
        now = self._world.clock.now()
        kept = {i: s for i, s in self._silences.items() if s.ends_at + self._retention > now}
        forgotten = len(self._silences) - len(kept)
        if forgotten:
            self._storage.replace(STATE, {i: s.record() for i, s in kept.items()})
            self._silences = kept
            self._quick = {identity: quick for identity, quick in self._quick.items() if identity in kept}
            self._remembered.clear()
        return forgotten

    def _store(self, silence: Silence) -> None:
        record = silence.record()
        self._storage.put(STATE, silence.id, record, sync=True)
        self._silences[silence.id] = silence
        self._changed(silence)
        self._on_change(silence.id, record)

    def _changed(self, silence: Silence) -> None:
        self.version += 1
        self._quick.pop(silence.id, None)
        self._quick[silence.id] = self.version, tuple(sorted(silence.matchers, key=lambda m: m.is_regex))


def matchers_of(items: Sequence[Mapping[str, Any]]) -> Matchers:
    """From the API's form. Raises BadSilence."""
    found: list[Matcher] = []
    for number, item in enumerate(items):
        is_regex = bool(item.get("isRegex"))
        try:
            found.append(Matcher.of(item["name"], item["value"], is_equal=item.get("isEqual", True) is not False, is_regex=is_regex))
        except BadMatcher as error:
            value = quote(item["value"])
            raise BadSilence(
                f"invalid silence: invalid label matcher {number} in set 0: invalid regular expression {value}: {error}"
            ) from error
    return tuple(found)


def _validate(silence: Silence) -> None:
    if not silence.matchers:
        raise BadSilence("invalid silence: matcher set 0 is empty")
    if len(silence.matchers) > MATCHERS_MAX:
        raise BadSilence(f"invalid silence: more than {MATCHERS_MAX} matchers")
    for number, matcher in enumerate(silence.matchers):
        if not is_label_name(matcher.name):
            raise BadSilence(f"invalid silence: invalid label matcher {number} in set 0: invalid label name {quote(matcher.name)}")
    if all(_matches_empty(matcher) for matcher in silence.matchers):
        raise BadSilence("invalid silence: matcher set 0: at least one matcher must not match the empty string")
    if silence.ends_at < silence.starts_at:
        raise BadSilence("invalid silence: end time must not be before start time")
    texts = (silence.comment, silence.created_by, *(t for m in silence.matchers for t in (m.name, m.value)))
    if any(len(text) > TEXT_CHARS_MAX for text in texts):
        raise BadSilence(f"invalid silence: a text is longer than {TEXT_CHARS_MAX} characters")


def _matches_empty(matcher: Matcher) -> bool:
    return matcher.is_equal and matcher.matches("")


def _can_update(before: Silence, after: Silence, now: datetime) -> bool:
    if before.matchers != after.matchers:
        return False
    match before.state(now):
        case "active":
            return int(before.starts_at.timestamp()) == int(after.starts_at.timestamp()) and after.ends_at >= now
        case "pending":
            return after.starts_at >= now
    return False
