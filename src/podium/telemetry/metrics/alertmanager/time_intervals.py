"""Time intervals: when a route is muted, or active. A time is in an interval when each of its lists that is there has a range with it.

Times of day are half open (`09:00` to `17:00` ends before 17:00), the other ranges include both ends. Days of the month may count from the
end (-1 is the last day) and are cut to the month's length. All is judged in the interval's location, UTC without one.

Source: upstream's timeinterval package.
"""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from podium.telemetry.metrics.alertmanager.errors import ConfigurationError

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_TIME = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)")

Range = tuple[int, int]
"""(first, last): both included, but of minutes of a day the last is not."""


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """A list that is None does not restrict; an empty one contains nothing."""

    times: tuple[Range, ...] | None = None
    weekdays: tuple[Range, ...] | None = None
    days_of_month: tuple[Range, ...] | None = None
    months: tuple[Range, ...] | None = None
    years: tuple[Range, ...] | None = None
    location: tzinfo = UTC

    def contains(self, when: datetime) -> bool:
        local = when.astimezone(self.location)
        minute = local.hour * 60 + local.minute
        if self.times is not None and not any(first <= minute < last for first, last in self.times):
            return False
        if self.days_of_month is not None and not any(_has_day(r, local) for r in self.days_of_month):
            return False
        checks = ((self.months, local.month), (self.weekdays, local.isoweekday() % 7), (self.years, local.year))
        return all(ranges is None or any(first <= value <= last for first, last in ranges) for ranges, value in checks)


def _has_day(days: Range, local: datetime) -> bool:
    length = calendar.monthrange(local.year, local.month)[1]
    first, last = (length + day + 1 if day < 0 else day for day in days)
    return first <= length and max(first, -length) <= local.day <= min(last, length)


def parse_time(text: str) -> int:
    """Minutes since midnight."""
    if not _TIME.fullmatch(text):
        raise ConfigurationError(f"couldn't parse timestamp {text}, invalid format")
    return int(text[:2]) * 60 + int(text[3:])


def parse_times(start: str, end: str) -> Range:
    if not start or not end:
        raise ConfigurationError("both start and end times must be provided")
    times = parse_time(start), parse_time(end)
    if times[0] >= times[1]:
        raise ConfigurationError("start time cannot be equal or greater than end time")
    return times


def parse_weekdays(text: str) -> Range:
    def member(word: str) -> int:
        if word not in WEEKDAYS:
            raise ConfigurationError(f"{word} is not a valid weekday")
        return WEEKDAYS.index(word)

    first, last = _range(text, member)
    if first > last:
        raise ConfigurationError("start day cannot be before end day")
    return first, last


def parse_days_of_month(text: str) -> Range:
    first, last = _range(text, lambda word: _number(word, "day of the month"))
    for day in (first, last):
        if day == 0 or not -31 <= day <= 31:
            raise ConfigurationError(f"{day} is not a valid day of the month: out of range")
    if first < 0 < last:
        raise ConfigurationError("end day must be negative if start day is negative")
    if (28 + first if first < 0 else first) > (28 + last if last < 0 else last):
        raise ConfigurationError(f"end day {last} is always before start day {first}")
    return first, last


def parse_months(text: str) -> Range:
    first, last = _range(text, lambda word: MONTHS.index(word) + 1 if word in MONTHS else _number(word, "month"))
    for month in (first, last):
        if not 1 <= month <= 12:
            raise ConfigurationError(f"{month} is not a valid month: out of range")
    if first > last:
        raise ConfigurationError(f"end month {MONTHS[last - 1]} is before start month {MONTHS[first - 1]}")
    return first, last


def parse_years(text: str) -> Range:
    first, last = _range(text, lambda word: _number(word, "year"))
    if first > last:
        raise ConfigurationError(f"end year {last} is before start year {first}")
    return first, last


def parse_location(text: str) -> tzinfo:
    if text in ("", "UTC"):
        return UTC
    try:
        if text == "Local":
            with open("/etc/localtime", "rb") as zone:
                return ZoneInfo.from_file(zone, key="Local")
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(f"unknown time zone {text}") from None


def _range(text: str, member: Callable[[str], int]) -> Range:
    words = text.lower().split(":")
    if len(words) > 2:
        raise ConfigurationError(f"couldn't parse range {text.lower()}, invalid format")
    return member(words[0]), member(words[-1])


def _number(word: str, what: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ConfigurationError(f"{word} is not a valid {what}") from None
