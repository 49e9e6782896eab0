"""Durations as Prometheus writes them: `1d12h`, `90s`, `5m30s500ms`.

Units from the largest to the smallest, each at most once; whole numbers. Source: Prometheus' time durations (querying basics) and its
common library, whose error texts these are.
"""

import re

from podium.telemetry.metrics.promql.quoting import quote

UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
DURATION_MS_MAX = (2**63 - 1) // 10**6
"""292 years: what fits upstream's nanoseconds."""

_ORDER = {unit: n for n, unit in enumerate(UNITS_MS)}
_PART = re.compile(r"([0-9]+)([^0-9]+)")


def parse_duration(text: str) -> int:
    """Milliseconds, never negative. Raises ValueError in upstream's words."""
    if text == "0":
        return 0
    if not text:
        raise ValueError("empty duration string")
    total, last, end = 0, -1, 0
    while end < len(text):
        part = _PART.match(text, end)
        if part is None:
            raise ValueError(f"not a valid duration string: {quote(text)}")
        number, unit = part.groups()
        if unit not in UNITS_MS:
            raise ValueError(f"unknown unit {quote(unit)} in duration {quote(text)}")
        if _ORDER[unit] <= last or len(number) > 19:
            raise ValueError(f"not a valid duration string: {quote(text)}")
        last, end = _ORDER[unit], part.end()
        total += int(number) * UNITS_MS[unit]
        if total > DURATION_MS_MAX:
            raise ValueError("duration out of range")
    return total


def parse_signed_duration(text: str) -> int:
    """Milliseconds; a leading minus is allowed. Raises ValueError."""
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)


def format_duration(milliseconds: int) -> str:
    """The shortest of upstream's forms: years and weeks only when nothing remains, as 90d is easier to read than 12w6d."""
    if milliseconds == 0:
        return "0s"
    text, rest = "", abs(milliseconds)
    for unit, size in UNITS_MS.items():
        if unit in ("y", "w") and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            text += f"{count}{unit}"
    return f"-{text}" if milliseconds < 0 else text


def seconds_to_ms(seconds: float) -> int:
    """Milliseconds of a duration written as a number: to the nanosecond first, then cut, as upstream."""
    nanoseconds = int(abs(seconds) * 1e9 + 0.5)
    whole = nanoseconds // 1_000_000
    return -whole if seconds < 0 else whole
