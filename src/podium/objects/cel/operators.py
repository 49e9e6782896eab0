"""Operators: arithmetic, order, membership, indexing, and the sizes of things.

Source: cel-spec, "List of Standard Definitions".
"""

import math
import operator
from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError, no_such_key, no_such_overload
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    PARAMETER_A,
    PARAMETER_B,
    STRING,
    TIMESTAMP,
    UINT,
    Type,
    list_of,
    map_of,
    optional_of,
)
from podium.objects.cel.values import NONE, Duration, Optional, Timestamp, Uint, contains, equal, in_int, in_uint, kind_of

A, B = PARAMETER_A, PARAMETER_B
LIST_A, MAP_AB = list_of(A), map_of(A, B)


def _truncated(one: int, other: int) -> int:
    if other == 0:
        raise CelRuntimeError("division by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise CelRuntimeError("modulus by zero")
    return int(math.fmod(one, other)) if abs(one) < 2**53 and abs(other) < 2**53 else one - other * _truncated(one, other)


def divide_double(one: float, other: float) -> float:
    if other == 0.0:
        if one == 0.0 or math.isnan(one):
            return math.nan
        return math.copysign(math.inf, one) * math.copysign(1.0, other)
    return one / other


def _times(one: float, other: float) -> float:
    return one * other


def index_list(items: list[Any], index: Any) -> Any:
    place = _place(index)
    if 0 <= place < len(items):
        return items[place]
    raise CelRuntimeError(f"index out of bounds: {place}")


def _place(index: Any) -> int:
    """An index of a kind unknown before: a double or uint without a fraction will do."""
    kind = type(index)
    if kind is int or kind is Uint:
        return int(index)
    if kind is float and index.is_integer():
        return int(index)
    raise CelRuntimeError(f"unsupported index type '{kind_of(index)}' in list")


def index_map(entries: dict[Any, Any], key: Any) -> Any:
    try:
        return entries[key]
    except KeyError:
        raise no_such_key(key) from None
    except TypeError:
        raise no_such_overload() from None


def index(container: Any, key: Any) -> Any:
    """When the checker does not know what is indexed or by what."""
    if type(container) is list:
        return index_list(container, key)
    if isinstance(container, dict):
        return index_map(container, key)
    raise no_such_overload()


def optional_index(container: Any, key: Any) -> Optional:
    """`container[?key]`; an optional container is looked into."""
    if type(container) is Optional:
        if not container.present:
            return NONE
        container = container.value
    if type(container) is list:
        place = _place(key)
        return Optional(container[place]) if 0 <= place < len(container) else NONE
    if isinstance(container, dict):
        try:
            return Optional(container[key]) if key in container else NONE
        except TypeError:
            raise no_such_overload() from None
    raise no_such_overload()


def in_map(key: Any, entries: dict[Any, Any]) -> bool:
    try:
        return key in entries
    except TypeError:
        raise no_such_overload() from None


def _negative_timestamp_difference(one: Timestamp, other: Timestamp) -> Duration:
    return Duration(one.nanos - other.nanos)


def _arithmetic() -> list[Overload]:
    rows: list[Overload] = []
    for name, ints, doubles in (
        ("_+_", operator.add, operator.add),
        ("_-_", operator.sub, operator.sub),
        ("_*_", operator.mul, _times),
        ("_/_", _truncated, divide_double),
    ):
        rows.append(plain(name, (INT, INT), INT, lambda a, b, run=ints: in_int(run(a, b))))
        rows.append(plain(name, (UINT, UINT), UINT, lambda a, b, run=ints: in_uint(run(int(a), int(b)))))
        rows.append(plain(name, (DOUBLE, DOUBLE), DOUBLE, doubles))
    rows += [
        plain("_%_", (INT, INT), INT, lambda a, b: in_int(_remainder(a, b))),
        plain("_%_", (UINT, UINT), UINT, lambda a, b: in_uint(_remainder(int(a), int(b)))),
        plain("-_", (INT,), INT, lambda a: in_int(-a)),
        plain("-_", (DOUBLE,), DOUBLE, operator.neg),
        plain("_+_", (STRING, STRING), STRING, operator.add, costs.CONCATENATION),
        plain("_+_", (BYTES, BYTES), BYTES, operator.add, costs.CONCATENATION),
        plain("_+_", (LIST_A, LIST_A), LIST_A, operator.add, costs.LIST_CONCATENATION),
        plain("_+_", (TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: Timestamp(a.nanos + b.nanos)),
        plain("_+_", (DURATION, TIMESTAMP), TIMESTAMP, lambda a, b: Timestamp(a.nanos + b.nanos)),
        plain("_+_", (DURATION, DURATION), DURATION, lambda a, b: Duration(a.nanos + b.nanos)),
        plain("_-_", (TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: Timestamp(a.nanos - b.nanos)),
        plain("_-_", (TIMESTAMP, TIMESTAMP), DURATION, _negative_timestamp_difference),
        plain("_-_", (DURATION, DURATION), DURATION, lambda a, b: Duration(a.nanos - b.nanos)),
    ]
    return rows


def _order() -> list[Overload]:
    numbers: tuple[Type, ...] = (INT, UINT, DOUBLE)
    rows: list[Overload] = []
    for name, run in (("_<_", operator.lt), ("_<=_", operator.le), ("_>_", operator.gt), ("_>=_", operator.ge)):
        rows += [plain(name, (one, other), BOOL, run) for one in numbers for other in numbers]
        rows += [plain(name, (kind, kind), BOOL, run) for kind in (BOOL, TIMESTAMP, DURATION)]
        rows.append(plain(name, (STRING, STRING), BOOL, run, costs.COMPARISON))
        rows.append(plain(name, (BYTES, BYTES), BOOL, run, costs.COMPARISON))
    return rows


def _size(value: Any) -> int:
    return len(value)


def _sizes() -> list[Overload]:
    kinds: tuple[Type, ...] = (STRING, BYTES, LIST_A, MAP_AB)
    return [plain("size", (k,), INT, _size) for k in kinds] + [member("size", (k,), INT, _size) for k in kinds]


OVERLOADS: list[Overload] = [
    *_arithmetic(),
    *_order(),
    *_sizes(),
    plain("_==_", (A, A), BOOL, equal, costs.COMPARISON),
    plain("_!=_", (A, A), BOOL, lambda a, b: not equal(a, b), costs.COMPARISON),
    plain("!_", (BOOL,), BOOL, operator.not_),
    plain("@in", (A, LIST_A), BOOL, lambda a, b: contains(b, a), costs.MEMBERSHIP),
    plain("@in", (A, MAP_AB), BOOL, in_map),
    plain("_[_]", (LIST_A, INT), A, index_list),
    plain("_[_]", (MAP_AB, A), B, index_map),
    plain("_[?_]", (LIST_A, INT), optional_of(A), optional_index),
    plain("_[?_]", (MAP_AB, A), optional_of(B), optional_index),
    plain("_[?_]", (optional_of(LIST_A), INT), optional_of(A), optional_index),
    plain("_[?_]", (optional_of(MAP_AB), A), optional_of(B), optional_index),
    plain("dyn", (A,), DYN, lambda a: a),
]
