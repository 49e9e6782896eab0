"""The expressions that choose devices: what they see, and whether they are sound. Pure.

`device.driver`, `device.attributes["domain"].name`, `device.capacity["domain"].name`, `device.allowMultipleAllocations`. An attribute's
type is known only when there is a device, so an expression may turn out to be of an unknown type; it must not be of a wrong one.

Source: k8s.io/dynamic-resource-allocation/cel/compile.go.
"""

from dataclasses import dataclass

from podium.objects import cel
from podium.objects.cel.amounts import QUANTITY
from podium.objects.cel.types import BOOL, DYN, Field, ObjectType, Type

COST_MAX = 1_000_000
_DOMAIN_LENGTH_MAX, _NAME_LENGTH_MAX, _ENTRIES_MAX = 63, 32, 32
_DOMAIN = Type("string", max_elements=_DOMAIN_LENGTH_MAX, min_serialized=2)
_NAME = Type("string", max_elements=_NAME_LENGTH_MAX, min_serialized=2)


def _by_name(value: Type) -> Type:
    """Of a domain, then of a name in it."""
    inner = Type("map", (_NAME, value), max_elements=_ENTRIES_MAX)
    return Type("map", (_DOMAIN, inner), max_elements=_ENTRIES_MAX)


_FIELDS = {
    "driver": _DOMAIN,
    "attributes": _by_name(DYN),
    "capacity": _by_name(QUANTITY),
    "allowMultipleAllocations": BOOL,
}
_DEVICE = ObjectType("kubernetes.DRADevice", lambda: {name: Field(name, type_) for name, type_ in _FIELDS.items()})
_ENVIRONMENT = cel.Environment({"device": _DEVICE})


@dataclass(frozen=True, slots=True)
class Problem:
    text: str
    too_costly: bool = False


def problem(expression: str, *, derived: bool = False) -> Problem | None:
    """What is wrong with it; None when nothing is. `derived`: it computes an attribute, of any type that one can have."""
    try:
        program = cel.compile(expression, _ENVIRONMENT)
    except cel.CelCompileError as error:
        return Problem(f"compilation failed: {error.message}")
    if not derived and program.type.kind not in ("bool", "dyn"):
        return Problem(f"must evaluate to bool or the unknown type, not {program.type}")
    if program.estimate().most > COST_MAX:
        return Problem("too complex, exceeds cost limit", too_costly=True)
    return None
