"""Times: timestamps (RFC 3339) and durations (Go's form) as text, and the functions on them.

Source: cel-spec, "Timestamp" and "Duration"; RFC 3339; Go's time.ParseDuration.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import DURATION, INT, STRING, TIMESTAMP
from podium.objects.cel.values import NANOS, Duration, Timestamp

_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": NANOS, "m": 60 * NANOS, "h": 3600 * NANOS}
_OFFSET = re.compile(r"([+-]?)(\d{1,2}):(\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_CHARS_MAX = 100


def parse_timestamp(text: str) -> Timestamp:
    """Raises CelRuntimeError."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise CelRuntimeError(f'parsing time "{text[:_TEXT_CHARS_MAX]}" as "2006-01-02T15:04:05Z07:00": cannot parse')
    year, month, day, hour, minute, second = (int(p) for p in match.group(1, 2, 3, 4, 5, 6))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise CelRuntimeError(f'parsing time "{text}": out of range') from None
    offset_s = 0
    if match[8]:
        if int(match[9]) > 24 or int(match[10]) > 59:
            raise CelRuntimeError(f'parsing time "{text}": out of range')
        offset_s = (int(match[9]) * 60 + int(match[10])) * (-60 if match[8] == "-" else 60)
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds - offset_s
    return Timestamp(seconds * NANOS + int((match[7] or "0").ljust(9, "0")))


def parse_duration(text: str) -> Duration:
    """`1h30m`, `-1.5s`, `0`. Raises CelRuntimeError."""
    fault = CelRuntimeError(f'time: invalid duration "{text[:_TEXT_CHARS_MAX]}"')
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return Duration(0)
    if not body or len(body) > _TEXT_CHARS_MAX:
        raise fault
    nanos, position = 0, 0
    while position < len(body):
        match = _DURATION_PART.match(body, position)
        if match is None:
            raise fault
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS[match[2]]
        nanos += int(whole or "0") * unit
        if fraction:
            nanos += int(fraction) * unit // 10 ** len(fraction)
        position = match.end()
    try:
        return Duration(-nanos if text.startswith("-") else nanos)
    except CelRuntimeError:
        raise fault from None


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    if name in ("", "UTC"):
        return UTC
    match = _OFFSET.fullmatch(name)
    if match is not None and int(match[2]) < 24:
        minutes = int(match[2]) * 60 + int(match[3])
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CelRuntimeError(f"unknown time zone {name[:_TEXT_CHARS_MAX]}") from None


def _local(timestamp: Timestamp, zone: str) -> datetime:
    try:
        return timestamp.moment().astimezone(_zone(zone))
    except OverflowError:
        raise CelRuntimeError("timestamp overflow") from None


_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda m: m.year,
    "getMonth": lambda m: m.month - 1,
    "getDayOfYear": lambda m: m.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda m: m.day - 1,
    "getDate": lambda m: m.day,
    "getDayOfWeek": lambda m: m.isoweekday() % 7,
    "getHours": lambda m: m.hour,
    "getMinutes": lambda m: m.minute,
    "getSeconds": lambda m: m.second,
    "getMilliseconds": lambda m: m.microsecond // 1000,
}


def _accessors() -> list[Overload]:
    rows: list[Overload] = []
    for name, part in _PARTS.items():
        rows.append(member(name, (TIMESTAMP,), INT, lambda t, part=part: part(t.moment())))
        rows.append(member(name, (TIMESTAMP, STRING), INT, lambda t, z, part=part: part(_local(t, z))))
    for name, unit in (("getHours", 3600 * NANOS), ("getMinutes", 60 * NANOS), ("getSeconds", NANOS), ("getMilliseconds", 10**6)):
        rows.append(member(name, (DURATION,), INT, lambda d, unit=unit: _whole(d.nanos, unit)))
    return rows


def _whole(nanos: int, unit: int) -> int:
    return nanos // unit if nanos >= 0 else -(-nanos // unit)


def _same(value: Any) -> Any:
    return value


OVERLOADS: list[Overload] = [
    *_accessors(),
    plain("timestamp", (STRING,), TIMESTAMP, parse_timestamp),
    plain("timestamp", (INT,), TIMESTAMP, lambda seconds: Timestamp(seconds * NANOS)),
    plain("timestamp", (TIMESTAMP,), TIMESTAMP, _same),
    plain("duration", (STRING,), DURATION, parse_duration),
    plain("duration", (INT,), DURATION, Duration),
    plain("duration", (DURATION,), DURATION, _same),
    plain("int", (TIMESTAMP,), INT, lambda t: t.nanos // NANOS),
    plain("int", (DURATION,), INT, lambda d: d.nanos),
    plain("string", (TIMESTAMP,), STRING, str, costs.ORDINARY),
    plain("string", (DURATION,), STRING, str, costs.ORDINARY),
]
