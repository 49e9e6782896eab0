"""Cron schedules: five fields (minute, hour, day of month, month, day of week) or a word such as @hourly. Pure.

A field is `*` or a list of numbers, names, ranges and steps. When both days are restricted, either suffices, as in cron. Times are of a
zone: one that the clocks skip is not met, one that they repeat is met once.

Source: crontab(5); the dialect is that of github.com/robfig/cron v3 (ParseStandard), which upstream uses.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

_WORDS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_MONTHS = {name: n for n, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS))
_DURATION = re.compile(r"(\d+)(h|m|s)")
_UNITS_S = {"h": 3600, "m": 60, "s": 1}
_SEARCH_YEARS = 5
_WINDOWS = tuple(timedelta(minutes=n) for n in (2, 60, 24 * 60, 31 * 24 * 60, 366 * 24 * 60, 5 * 366 * 24 * 60))


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every_s` for `@every 90s`; otherwise the allowed numbers of each field. `both_days` must fit
    unless both are restricted: then either will do."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    both_days: bool = True
    every_s: int = 0

    def next(self, after: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first time later than `after` (aware); None when there is none within five years."""
        if self.every_s:
            return after.replace(microsecond=0) + timedelta(seconds=self.every_s)
        local = after.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=1)
        end = local.replace(year=min(local.year + _SEARCH_YEARS, 9999), day=1)
        while local < end:
            local, fits = self._step(local)
            if not fits:
                continue
            found = local.replace(tzinfo=zone).astimezone(UTC)
            exists = found.astimezone(zone).replace(tzinfo=None) == local
            if exists and found > after:
                return found
            local += timedelta(minutes=1)
        return None

    def _step(self, at: datetime) -> tuple[datetime, bool]:
        """The same time and True when it fits; else the next one worth looking at."""
        if at.month not in self.months:
            return (at.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1), False
        if not self._day_fits(at):
            return at.replace(hour=0, minute=0) + timedelta(days=1), False
        if at.hour not in self.hours:
            return at.replace(minute=0) + timedelta(hours=1), False
        if at.minute not in self.minutes:
            return at + timedelta(minutes=1), False
        return at, True

    def _day_fits(self, at: datetime) -> bool:
        of_month, of_week = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        return (of_month and of_week) if self.both_days else (of_month or of_week)

    def latest(self, after: datetime, until: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The last time later than `after` and not later than `until`."""
        if self.every_s:
            turns = int((until - after).total_seconds() // self.every_s)
            return after.replace(microsecond=0) + timedelta(seconds=turns * self.every_s) if turns > 0 else None
        for window in _WINDOWS:
            start = max(after, until - window)
            found, at = None, self.next(start, zone)
            while at is not None and at <= until:
                found, at = at, self.next(at, zone)
            if found is not None or start == after:
                return found
        return None


@lru_cache(maxsize=1024)
def parse(text: str) -> Schedule:
    """Raises ValueError, worded for the author of the schedule."""
    text = text.strip()
    if text.startswith("@every "):
        parts = _DURATION.findall(text[7:])
        if not parts or "".join(n + u for n, u in parts) != text[7:].strip():
            raise ValueError(f"failed to parse duration {text}")
        return Schedule(every_s=max(1, sum(int(n) * _UNITS_S[u] for n, u in parts)))
    if text.startswith("@") and text not in _WORDS:
        raise ValueError(f"unrecognized descriptor: {text}")
    fields = _WORDS.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = (_field(field, *limits) for field, limits in zip(fields, _FIELDS, strict=True))
    starred = any(f[0] in "*?" for f in (fields[2], fields[4]))
    return Schedule(minutes, hours, days, months, weekdays, both_days=starred)


def _field(text: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, {}) if slash else 1
        if span in ("*", "?"):
            first, last = least, most
        else:
            low, dash, high = span.partition("-")
            first = _number(low, names)
            last = _number(high, names) if dash else most if slash else first
        if first < least:
            raise ValueError(f"beginning of range ({first}) below minimum ({least}): {part}")
        if last > most:
            raise ValueError(f"end of range ({last}) above maximum ({most}): {part}")
        if first > last:
            raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
        if step == 0:
            raise ValueError(f"step of range should be a positive number: {part}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdecimal() or not text.isascii():
        raise ValueError(f"failed to parse int from {text}: invalid syntax")
    return int(text)
