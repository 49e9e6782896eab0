"""Ages: how long ago, in the few characters a column has.

Source: k8s.io/apimachinery pkg/util/duration (HumanDuration).
"""

from datetime import datetime
from functools import lru_cache

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


@lru_cache(maxsize=4096)
def since(timestamp: str | None, now: datetime) -> str:
    """`3m20s` from a metav1.Time or MicroTime to `now` (aware). The rows of a table have one `now` and few times."""
    if not timestamp:
        return UNKNOWN
    moment = parse(timestamp)
    return human((now - moment).total_seconds()) if moment else UNKNOWN


def between(start: str, end: str) -> str:
    first, last = parse(start), parse(end)
    return human((last - first).total_seconds()) if first and last else UNKNOWN


def human(seconds: float) -> str:
    """Two units at most, the second one only where it still tells something."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 2 * _MINUTE:
        return f"{max(s, 0)}s"
    if s < 10 * _MINUTE:
        return _two(s, _MINUTE, "m", 1, "s")
    if s < 3 * _HOUR:
        return f"{s // _MINUTE}m"
    if s < 8 * _HOUR:
        return _two(s, _HOUR, "h", _MINUTE, "m")
    if s < 2 * _DAY:
        return f"{s // _HOUR}h"
    if s < 8 * _DAY:
        return _two(s, _DAY, "d", _HOUR, "h")
    if s < 2 * _YEAR:
        return f"{s // _DAY}d"
    if s < 8 * _YEAR:
        return _two(s, _YEAR, "y", _DAY, "d")
    return f"{s // _YEAR}y"


def _two(s: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = s % large // small
    return f"{s // large}{large_unit}{rest}{small_unit}" if rest else f"{s // large}{large_unit}"


@lru_cache(maxsize=4096)
def parse(timestamp: str) -> datetime | None:
    """None for what is no RFC 3339 time with a zone: a table shows it as unknown rather than failing."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
