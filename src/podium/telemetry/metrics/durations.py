"""Durations as Prometheus writes them: `1h30m`, `500ms`; in milliseconds here.

Units go from large to small, each at most once, without signs or fractions. Source: Prometheus' configuration page (<duration>), model.Duration.
"""

import re

DURATION_MS_MAX = (2**63 - 1) // 1_000_000
"""What nanoseconds in 64 bits hold: some 292 years."""

_UNITS_MS = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_PATTERN = re.compile("".join(rf"(?:(\d+){unit}(?![a-z]))?" if unit == "m" else rf"(?:(\d+){unit})?" for unit, _ in _UNITS_MS), re.ASCII)
_WRITTEN_ONLY_WHOLE = ("y", "w", "d")


def parse_duration(text: str) -> int:
    """Milliseconds. Raises ValueError in upstream's words."""
    if text == "0":
        return 0
    if not text:
        raise ValueError("empty duration string")
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f'not a valid duration string: "{text}"')
    total = sum(int(number) * ms for number, (_, ms) in zip(match.groups(), _UNITS_MS, strict=True) if number)
    if total > DURATION_MS_MAX:
        raise ValueError("duration out of range")
    return total


def format_duration(milliseconds: int) -> str:
    """Years, weeks and days only where nothing is left over, as upstream does: `1w` but `168h1m`."""
    if milliseconds == 0:
        return "0s"
    text, rest = "", milliseconds
    for unit, ms in _UNITS_MS:
        if unit in _WRITTEN_ONLY_WHOLE and rest % ms:
            continue
        if count := rest // ms:
            text += f"{count}{unit}"
            rest -= count * ms
    return text
