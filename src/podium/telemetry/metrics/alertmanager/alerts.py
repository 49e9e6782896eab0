"""Alerts: what clients send, what is kept of it, and how two reports of the same alert become one.

An alert is its labels: two with the same labels have the same fingerprint and are one. It is firing until `ends_at`; a client that keeps it
firing sends it again and again, with an end in the future or none (then now + resolve_timeout, and `is_timeout`).

Invariants: labels have no empty values; `fingerprint` depends on labels alone. Times are aware and in UTC.
Source: upstream's alert package, model.LabelSet (fingerprint: FNV-1a of the sorted names and values, each followed by 0xff).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

from podium.telemetry.metrics.alertmanager.errors import BadAlert
from podium.telemetry.metrics.templates.quoting import quote

LabelSet = dict[str, str]

LABELS_MAX = 200
"""Names of one alert, and as many annotations."""
VALUE_CHARS_MAX = 64 * 1024

_FNV_OFFSET, _FNV_PRIME, _U64 = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1


def fingerprint(labels: Mapping[str, str]) -> str:
    """16 hex digits."""
    return _fingerprint(tuple(sorted(labels.items())))


@lru_cache(maxsize=65536)
def _fingerprint(pairs: tuple[tuple[str, str], ...]) -> str:
    value = _FNV_OFFSET
    for name, text in pairs:
        for byte in name.encode() + b"\xff" + text.encode() + b"\xff":
            value = ((value ^ byte) * _FNV_PRIME) & _U64
    return f"{value:016x}"


def is_label_name(name: str) -> bool:
    """Any UTF-8 text but the empty one."""
    return bool(name) and all(not 0xD800 <= ord(c) < 0xE000 for c in name)


def label_set_text(labels: Mapping[str, str]) -> str:
    """`{a="b", c="d"}`, as in group keys."""
    return "{" + ", ".join(f"{n if _is_plain(n) else quote(n)}={quote(v)}" for n, v in sorted(labels.items())) + "}"


def _is_plain(name: str) -> bool:
    return name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdecimal()


@dataclass(frozen=True, slots=True)
class Alert:
    labels: LabelSet
    starts_at: datetime
    ends_at: datetime | None
    updated_at: datetime
    annotations: LabelSet = field(default_factory=dict)
    generator_url: str = ""
    is_timeout: bool = False
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.labels))

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    def resolved_at(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now


def validate(alert: Alert) -> None:
    """Raises BadAlert in upstream's words."""
    if alert.ends_at is not None and alert.ends_at < alert.starts_at:
        raise BadAlert("start time must be before end time")
    if not alert.labels:
        raise BadAlert("at least one label pair required")
    for what, pairs in (("label set", alert.labels), ("annotations", alert.annotations)):
        if len(pairs) > LABELS_MAX:
            raise BadAlert(f"invalid {what}: more than {LABELS_MAX} names")
        for name, value in pairs.items():
            if not is_label_name(name):
                raise BadAlert(f"invalid {what}: invalid name {quote(name)}")
            if len(value) > VALUE_CHARS_MAX:
                raise BadAlert(f"invalid {what}: the value of {quote(name)} is longer than {VALUE_CHARS_MAX} characters")


def merged(old: Alert | None, new: Alert, now: datetime) -> Alert:
    """What is kept when `new` arrives: one alert when they overlap in time, `new` alone otherwise."""
    if old is None or not _overlap(old, new):
        return new
    if new.updated_at < old.updated_at:
        old, new = new, old
    starts_at, ends_at = min(old.starts_at, new.starts_at), new.ends_at
    later = old.ends_at is not None and new.ends_at is not None and old.ends_at > new.ends_at
    if later and (old.resolved_at(now) if new.resolved_at(now) else not old.is_timeout):
        ends_at = old.ends_at
    return replace(new, starts_at=starts_at, ends_at=ends_at)


def _overlap(old: Alert, new: Alert) -> bool:
    end = old.ends_at
    if new.ends_at is not None and new.ends_at > old.starts_at and (end is None or new.ends_at < end):
        return True
    return new.starts_at > old.starts_at and (end is None or new.starts_at < end)


def ordered(alerts: Iterable[Alert]) -> list[Alert]:
    """As notifications list them: by job, by instance, then by labels."""
    return sorted(alerts, key=_order)


def _order(alert: Alert) -> tuple[object, ...]:
    labels = alert.labels
    first = tuple((name not in labels, labels.get(name, "")) for name in ("job", "instance"))
    return (*first, label_order(labels))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Of two pairs with different names the one whose name comes later is the smaller one: its set lacks the other's name."""

    name: str
    value: str

    def __lt__(self, other: "_Pair") -> bool:
        return self.value < other.value if self.name == other.name else self.name > other.name


def label_order(labels: Mapping[str, str]) -> tuple[int, list[_Pair]]:
    """Fewer labels first; then whoever lacks the first name that not both have, or has the smaller value there.
    Source: LabelSet.Before in Prometheus' common/model."""
    return len(labels), [_Pair(name, value) for name, value in sorted(labels.items())]
