"""Values: what CEL's kinds are in Python, when two are equal, and what kind one has.

int, double, string, bytes, bool, null, list and map are Python's own (JSON values need no copy); the others are classes here.
Python holds True equal to 1 and finds it under the key 1; CEL does not, so comparisons of unknown kinds go through `equal`.

Source: cel-spec, "Values" and "Equality".
"""

from datetime import UTC, datetime, timedelta
from functools import total_ordering
from typing import Any

from podium.objects.cel.errors import CelRuntimeError

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
UINT_MAX = 2**64 - 1
NANOS = 10**9
TIMESTAMP_MIN_S, TIMESTAMP_MAX_S = -62_135_596_800, 253_402_300_799
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Uint(int):
    """An unsigned 64-bit integer. Arithmetic on it gives plain ints: the operators wrap them again."""

    __slots__ = ()


@total_ordering
class Timestamp:
    """A point in time: nanoseconds since 1970-01-01T00:00:00Z, from year 1 to 9999."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        if not TIMESTAMP_MIN_S * NANOS <= nanos < (TIMESTAMP_MAX_S + 1) * NANOS:
            raise CelRuntimeError("timestamp overflow")
        self.nanos = nanos

    def __eq__(self, other: object) -> bool:
        return type(other) is Timestamp and other.nanos == self.nanos

    def __lt__(self, other: "Timestamp") -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(("timestamp", self.nanos))

    def moment(self) -> datetime:
        """In UTC, cut to microseconds."""
        return _EPOCH + timedelta(microseconds=self.nanos // 1000)

    def __str__(self) -> str:
        moment, fraction = self.moment(), self.nanos % NANOS
        text = f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}"
        return text + (f".{fraction:09}".rstrip("0") if fraction else "") + "Z"


@total_ordering
class Duration:
    """A span of time in nanoseconds, a signed 64-bit number."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        if not INT_MIN <= nanos <= INT_MAX:
            raise CelRuntimeError("duration overflow")
        self.nanos = nanos

    def __eq__(self, other: object) -> bool:
        return type(other) is Duration and other.nanos == self.nanos

    def __lt__(self, other: "Duration") -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(("duration", self.nanos))

    def __str__(self) -> str:
        sign = "-" if self.nanos < 0 else ""
        seconds, rest = divmod(abs(self.nanos), NANOS)
        fraction = f".{rest:09}".rstrip("0") if rest else ""
        return f"{sign}{seconds}{fraction}s"


class Optional:
    """A value or none. `NONE` is the only empty one."""

    __slots__ = ("present", "value")

    def __init__(self, value: Any, present: bool = True) -> None:
        self.value = value
        self.present = present

    def __eq__(self, other: object) -> bool:
        return type(other) is Optional and other.present == self.present and (not self.present or equal(self.value, other.value))

    __hash__ = None  # type: ignore[assignment]  # its value may be a list


NONE = Optional(None, False)


class TypeValue:
    """A type as a value: what `type(x)` gives and what `int` names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return type(other) is TypeValue and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


_KINDS: dict[type, str] = {
    bool: "bool", int: "int", Uint: "uint", float: "double", str: "string", bytes: "bytes", type(None): "null", list: "list",
    dict: "map", Timestamp: "timestamp", Duration: "duration", Optional: "optional_type", TypeValue: "type",
}  # fmt: skip

_TYPE_NAMES = {"null": "null_type", "timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}


def kind_of(value: Any) -> str:
    """The kind's name as in `types`; `opaque` for the library's own classes."""
    kind = _KINDS.get(type(value))
    if kind is None:
        kind = "map" if isinstance(value, dict) else "opaque"
    return kind


def type_name(value: Any) -> str:
    """As messages and `type()` name it."""
    kind = kind_of(value)
    if kind == "opaque":
        return str(getattr(value, "cel_type", "opaque"))
    return _TYPE_NAMES.get(kind, kind)


_NUMBERS = (int, Uint, float)


def equal(one: Any, other: Any) -> bool:
    """CEL's equality of any two values: numbers by value whatever their kinds, others only within their kind."""
    kind, other_kind = type(one), type(other)
    if kind is other_kind:
        if kind is list:
            return len(one) == len(other) and all(map(equal, one, other))
        if kind is dict:
            return _equal_maps(one, other)
        return bool(one == other)
    if kind in _NUMBERS and other_kind in _NUMBERS:
        return bool(one == other)
    if isinstance(one, dict) and isinstance(other, dict):
        return _equal_maps(one, other)
    return False


def _equal_maps(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    if len(one) != len(other):
        return False
    return all(key in other and equal(value, other[key]) for key, value in one.items())


def contains(items: list[Any], wanted: Any) -> bool:
    """Membership by `equal`."""
    if type(wanted) is str:
        return wanted in items
    return any(equal(item, wanted) for item in items)


def in_int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise CelRuntimeError("integer overflow")


def in_uint(value: int) -> Uint:
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise CelRuntimeError("unsigned integer overflow")


def size_of(value: Any) -> int:
    """For costs: the size of what has one, else 1."""
    try:
        return len(value)
    except TypeError:
        return 1
