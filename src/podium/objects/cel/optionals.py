"""Optional values: making, asking, unwrapping. Selection (`?.`), indexing (`[?`) and optMap are syntax.

Source: cel-spec, proposal 246 (optional values).
"""

from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, PARAMETER_A, list_of, optional_of
from podium.objects.cel.values import NANOS, NONE, TIMESTAMP_MIN_S, Duration, Optional, Timestamp

A = PARAMETER_A
OPTIONAL_A = optional_of(A)


def of_non_zero(value: Any) -> Optional:
    if value is None or value is False:
        return NONE
    if isinstance(value, (int, float)):
        return Optional(value) if value else NONE
    if type(value) is Duration:
        return Optional(value) if value.nanos else NONE
    if type(value) is Timestamp:
        return NONE if value.nanos == TIMESTAMP_MIN_S * NANOS else Optional(value)
    try:
        return Optional(value) if len(value) else NONE
    except TypeError:
        return Optional(value)


def unwrap(value: Optional) -> Any:
    if not value.present:
        raise CelRuntimeError("optional.none() dereference")
    return value.value


def _first(items: list[Any]) -> Optional:
    return Optional(items[0]) if items else NONE


OVERLOADS: list[Overload] = [
    plain("optional.of", (A,), OPTIONAL_A, Optional),
    plain("optional.ofNonZeroValue", (A,), OPTIONAL_A, of_non_zero),
    plain("optional.none", (), OPTIONAL_A, lambda: NONE),
    member("value", (OPTIONAL_A,), A, unwrap),
    member("hasValue", (OPTIONAL_A,), BOOL, lambda o: o.present),
    member("or", (OPTIONAL_A, OPTIONAL_A), OPTIONAL_A, lambda o, other: o if o.present else other),
    member("orValue", (OPTIONAL_A, A), A, lambda o, other: o.value if o.present else other),
    plain("optional.unwrap", (list_of(OPTIONAL_A),), list_of(A), lambda items: [i.value for i in items if i.present], costs.WALK),
    member("unwrapOpt", (list_of(OPTIONAL_A),), list_of(A), lambda items: [i.value for i in items if i.present], costs.WALK),
    member("first", (list_of(A),), OPTIONAL_A, _first),
    member("last", (list_of(A),), OPTIONAL_A, lambda items: Optional(items[-1]) if items else NONE),
]
