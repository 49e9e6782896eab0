"""Go's time.Time and time.Duration for templates: `{{ .StartsAt.Format "2006-01-02 15:04" }}`, `{{ since .StartsAt }}`.

Layouts are Go's: examples of the moment Mon Jan 2 15:04:05 MST 2006. Times have microseconds, which Go's nanoseconds are cut to.

Source: the documentation of Go's package time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

ZERO = datetime(1, 1, 1, tzinfo=UTC)

_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|-07:00:00|-07:00|-070000|-0700|-07|Z07:00:00|Z07:00|Z070000|Z0700|Z07|002|__2|_2(?!006)|01|02|03|04|05|06|15"
    r"|PM|pm|[.,]0+(?![0-9])|[.,]9+(?![0-9])|1|2|3|4|5"
)
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905


def format_time(when: datetime, layout: str) -> str:
    """time.Time.Format."""
    return _LAYOUT.sub(lambda match: _chunk(when, match[0]), layout)


def rfc3339(when: datetime) -> str:
    """As encoding/json writes a time."""
    return format_time(when, "2006-01-02T15:04:05.999999999Z07:00")


_NUMBERS = {
    "2006": (r"\d{4}", "%Y"), "06": (r"\d\d", "%y"), "01": (r"\d\d", "%m"), "1": (r"\d\d?", "%m"), "02": (r"\d\d", "%d"),
    "_2": (r" ?\d\d?", "%d"), "2": (r"\d\d?", "%d"), "15": (r"\d\d", "%H"), "03": (r"\d\d", "%I"), "3": (r"\d\d?", "%I"),
    "04": (r"\d\d", "%M"), "4": (r"\d\d?", "%M"), "05": (r"\d\d", "%S"), "5": (r"\d\d?", "%S"), "002": (r"\d{3}", "%j"),
    "PM": ("AM|PM", "%p"), "pm": ("am|pm", "%p"), "January": ("|".join(_MONTHS), "%B"), "Jan": ("|".join(m[:3] for m in _MONTHS), "%b"),
    "Monday": ("|".join(_DAYS), ""), "Mon": ("|".join(d[:3] for d in _DAYS), ""), "MST": ("UTC|GMT", ""),
}  # fmt: skip


def parse_time(layout: str, text: str) -> datetime:
    """time.Parse for layouts of numbers, names and offsets; UTC where there is no offset, year 1 (Go: 0) where there is no year. Raises
    ValueError in Go's words."""
    pattern, chunks, end = "", [], 0
    for match in _LAYOUT.finditer(layout):
        chunk = match[0]
        chunks.append(chunk)
        shape = _NUMBERS[chunk][0] if chunk in _NUMBERS else r"(?:[.,]\d+)?" if chunk[0] in ".," else r"Z|[+-]\d\d:?(?:\d\d)?:?(?:\d\d)?"
        pattern += re.escape(layout[end : match.start()]) + f"({shape})"
        if chunk in ("05", "5") and layout[match.end() : match.end() + 1] not in (".", ","):
            pattern += r"([.,]\d+)?"  # a fraction is taken after seconds, also when the layout has none
            chunks.append(".")
        end = match.end()
    found = re.fullmatch(pattern + re.escape(layout[end:]), text)
    if found is None:
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "{layout}"')
    given, form, fraction, offset = [], [], 0, UTC
    for chunk, value in zip(chunks, found.groups(), strict=True):
        if chunk[0] in ".,":
            fraction = int(value[1:7].ljust(6, "0")) if value else 0
        elif chunk[0] in "-Z":
            offset = datetime.strptime("+0000" if value == "Z" else value, "%z").tzinfo or UTC  # type: ignore[assignment]
        elif _NUMBERS[chunk][1]:
            given.append(value.strip())
            form.append(_NUMBERS[chunk][1])
    if "%Y" not in form and "%y" not in form:
        given.append("0001")
        form.append("%Y")
    try:
        return datetime.strptime(" ".join(given), " ".join(form)).replace(microsecond=fraction, tzinfo=offset)
    except ValueError as error:
        raise ValueError(f'parsing time "{text}": {error}') from error


def _chunk(when: datetime, chunk: str) -> str:
    if chunk[0] in ".,":
        digits = f"{when.microsecond:06d}000"[: len(chunk) - 1]
        if chunk[1] == "9":
            digits = digits.rstrip("0")
        return chunk[0] + digits if digits else ""
    if chunk[0] in "-Z":
        return _offset(when, chunk)
    hour = when.hour % 12 or 12
    simple = {
        "January": _MONTHS[when.month - 1], "Jan": _MONTHS[when.month - 1][:3], "Monday": _DAYS[when.weekday()],
        "Mon": _DAYS[when.weekday()][:3], "MST": zone_name(when), "2006": f"{when.year:04d}", "06": f"{when.year % 100:02d}",
        "01": f"{when.month:02d}", "1": str(when.month), "02": f"{when.day:02d}", "_2": f"{when.day:2d}", "2": str(when.day),
        "002": f"{when.timetuple().tm_yday:03d}", "__2": f"{when.timetuple().tm_yday:3d}", "15": f"{when.hour:02d}", "03": f"{hour:02d}",
        "3": str(hour), "04": f"{when.minute:02d}", "4": str(when.minute), "05": f"{when.second:02d}", "5": str(when.second),
        "PM": "PM" if when.hour >= 12 else "AM", "pm": "pm" if when.hour >= 12 else "am",
    }  # fmt: skip
    return simple[chunk]


def _offset(when: datetime, chunk: str) -> str:
    seconds = int((when.utcoffset() or timedelta()).total_seconds())
    if chunk[0] == "Z" and seconds == 0:
        return "Z"
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    parts = [f"{seconds // 3600:02d}"]
    if len(chunk) > 3:
        parts.append(f"{seconds // 60 % 60:02d}")
    if len(chunk) > 6:
        parts.append(f"{seconds % 60:02d}")
    return sign + (":" if ":" in chunk else "").join(parts)


def zone_name(when: datetime) -> str:
    """`CET`; `+0200` of an offset without a name."""
    name = when.tzname() or "UTC"
    if name.startswith("UTC"):
        return _offset(when, "-0700") if when.utcoffset() else "UTC"
    return name


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, as a float."""

    seconds: float

    template_type: ClassVar[str] = "time.Duration"
    template_names: ClassVar[Mapping[str, str]] = {
        "Seconds": "as_seconds", "Minutes": "as_minutes", "Hours": "as_hours", "Milliseconds": "as_milliseconds", "String": "text",
        "Round": "rounded", "Truncate": "truncated", "Abs": "absolute",
    }  # fmt: skip
    template_string: ClassVar[str] = "text"

    def as_seconds(self) -> float:
        return self.seconds

    def as_minutes(self) -> float:
        return self.seconds / 60

    def as_hours(self) -> float:
        return self.seconds / 3600

    def as_milliseconds(self) -> int:
        return int(self.seconds * 1000)

    def absolute(self) -> "Duration":
        return Duration(abs(self.seconds))

    def rounded(self, unit: "Duration") -> "Duration":
        return Duration(round(self.seconds / unit.seconds) * unit.seconds) if unit.seconds > 0 else self

    def truncated(self, unit: "Duration") -> "Duration":
        return Duration(int(self.seconds / unit.seconds) * unit.seconds) if unit.seconds > 0 else self

    def text(self) -> str:
        """`1h2m3.5s`, `1.5ms`."""
        nanos = round(abs(self.seconds) * 1e9)
        sign = "-" if self.seconds < 0 else ""
        if nanos == 0:
            return "0s"
        if nanos < 1_000_000_000:
            for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
                if nanos < size * 1000:
                    return f"{sign}{_decimal(nanos, size)}{unit}"
        minutes, rest = divmod(nanos, 60_000_000_000)
        hours, minutes = divmod(minutes, 60)
        text = f"{_decimal(rest, 1_000_000_000)}s"
        return sign + (f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text)


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    return f"{whole}.{str(rest).rjust(len(str(size)) - 1, '0')}".rstrip("0").rstrip(".") if rest else str(whole)


@dataclass(frozen=True, slots=True)
class Time:
    """`when` is aware."""

    when: datetime

    template_type: ClassVar[str] = "time.Time"
    template_names: ClassVar[Mapping[str, str]] = {
        "Format": "format", "Unix": "unix", "UnixMilli": "unix_milli", "UnixNano": "unix_nano", "UTC": "utc", "Local": "utc", "Add": "add",
        "Sub": "sub", "Before": "before", "After": "after", "Equal": "equal", "IsZero": "is_zero", "Year": "year", "Month": "month",
        "Day": "day", "Hour": "hour", "Minute": "minute", "Second": "second", "YearDay": "year_day", "Weekday": "weekday", "String": "text",
    }  # fmt: skip
    template_string: ClassVar[str] = "text"

    def format(self, layout: str) -> str:
        return format_time(self.when, layout)

    def text(self) -> str:
        return format_time(self.when, "2006-01-02 15:04:05.999999999 -0700 MST")

    def to_json(self) -> str:
        return rfc3339(self.when)

    def unix(self) -> int:
        return int((self.when - _EPOCH).total_seconds() // 1)

    def unix_milli(self) -> int:
        return (self.when - _EPOCH) // timedelta(milliseconds=1)

    def unix_nano(self) -> int:
        return (self.when - _EPOCH) // timedelta(microseconds=1) * 1000

    def utc(self) -> "Time":
        return Time(self.when.astimezone(UTC))

    def add(self, duration: Duration) -> "Time":
        return Time(self.when + timedelta(seconds=duration.seconds))

    def sub(self, other: "Time") -> Duration:
        return Duration((self.when - other.when).total_seconds())

    def before(self, other: "Time") -> bool:
        return self.when < other.when

    def after(self, other: "Time") -> bool:
        return self.when > other.when

    def equal(self, other: "Time") -> bool:
        return self.when == other.when

    def is_zero(self) -> bool:
        return self.when == ZERO

    def year(self) -> int:
        return self.when.year

    def month(self) -> str:
        return _MONTHS[self.when.month - 1]

    def day(self) -> int:
        return self.when.day

    def hour(self) -> int:
        return self.when.hour

    def minute(self) -> int:
        return self.when.minute

    def second(self) -> int:
        return self.when.second

    def year_day(self) -> int:
        return self.when.timetuple().tm_yday

    def weekday(self) -> str:
        return _DAYS[self.when.weekday()]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
