"""Reads a mapping of a configuration file field by field: what is not taken is unknown, and refused by name.

Every error says where (`modules.http_2xx.http.method`) and what was expected.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import re2

from podium.telemetry.exporters.errors import BadConfiguration

T = TypeVar("T")
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS_S = (365 * 86400, 7 * 86400, 86400, 3600, 60, 1, 0.001)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?i?B)?")
_SIZES = {
    "": 1,
    "B": 1,
    "KB": 1 << 10,
    "KiB": 1 << 10,
    "MB": 1 << 20,
    "MiB": 1 << 20,
    "GB": 1 << 30,
    "GiB": 1 << 30,
    "TB": 1 << 40,
    "TiB": 1 << 40,
}
PATTERN_CHARS_MAX = 4096


class Settings:
    """One mapping. `end` raises BadConfiguration for what was not taken."""

    def __init__(self, value: Any, where: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise BadConfiguration(f"{where}: expected a mapping, found {_kind(value)}")
        self._left = {str(key): item for key, item in value.items()}
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def text(self, name: str, default: str = "") -> str:
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._wrong(name, "a text", value)
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def integer(self, name: str, default: int = 0) -> int:
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "a whole number", value)
        return value

    def duration_s(self, name: str, default_s: float = 0.0) -> float:
        """Prometheus' durations: 1m30s, 500ms."""
        if name not in self._left:
            return default_s
        value = self._take(name, "")
        match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
        if match is None and value not in (0, "0"):
            raise self._wrong(name, "a duration such as 5s", value)
        return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True) if part) if match else 0.0

    def size_bytes(self, name: str, default: int) -> int:
        """10MB, 512KiB or a plain number; units are powers of 1024."""
        if name not in self._left:
            return default
        value = self._take(name, "")
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            raise self._wrong(name, "a size such as 10MB", value)
        return int(float(match[1]) * _SIZES[match[2] or ""])

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise BadConfiguration(f"{self.where}.{name}: expected one of {', '.join(a or repr(a) for a in allowed)}, found {value!r}")
        return value

    def list(self, name: str, item: Callable[[Any, str], T]) -> tuple[T, ...]:
        """`item` reads one entry, given where it is."""
        value = self._take(name, None)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return tuple(item(entry, f"{self.where}.{name}[{n}]") for n, entry in enumerate(value))

    def texts(self, name: str) -> tuple[str, ...]:
        return self.list(name, as_text)

    def integers(self, name: str) -> tuple[int, ...]:
        return self.list(name, as_integer)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """A mapping of texts, in its order."""
        part = self.part(name)
        return tuple((key, part.text(key)) for key in list(part._left))

    def pattern(self, name: str) -> Any:
        """A compiled expression, None when there is none."""
        return as_pattern(self._take(name, None), f"{self.where}.{name}") if name in self._left else None

    def patterns(self, name: str) -> tuple[Any, ...]:
        return self.list(name, as_pattern)

    def part(self, name: str) -> "Settings":
        return Settings(self._take(name, None), f"{self.where}.{name}")

    def refuse(self, *names: str, why: str = "is not supported by Podium yet") -> None:
        for name in names:
            if self._left.get(name) not in (None, False, "", {}, []):
                raise BadConfiguration(f"{self.where}.{name} {why}")
            self._left.pop(name, None)

    def end(self) -> None:
        if self._left:
            raise BadConfiguration(f"{self.where}: unknown field {sorted(self._left)[0]!r}")

    def _take(self, name: str, default: Any) -> Any:
        return self._left.pop(name, default)

    def _wrong(self, name: str, what: str, value: Any) -> BadConfiguration:
        return BadConfiguration(f"{self.where}.{name}: expected {what}, found {_kind(value)}")


def as_text(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadConfiguration(f"{where}: expected a text, found {_kind(value)}")
    return str(value)


def as_integer(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadConfiguration(f"{where}: expected a whole number, found {_kind(value)}")
    return value


def as_pattern(value: Any, where: str) -> Any:
    """RE2, as upstream: no expression takes more than linear time."""
    text = as_text(value, where)
    if len(text) > PATTERN_CHARS_MAX:
        raise BadConfiguration(f"{where}: the expression is longer than {PATTERN_CHARS_MAX} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise BadConfiguration(f"{where}: error parsing regexp {text!r}: {error}") from error


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
