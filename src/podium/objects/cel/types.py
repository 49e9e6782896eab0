"""Types: what the checker knows of a value before it is there.

A type is a kind, its parameters and, for what came from a schema, how large it can get. Types are compared by `assignable`, never by
identity: `list(string)` of a schema with a bound is the `list(string)` of a literal.

Invariants: types are immutable and shared; an object's fields are made when first asked for, so recursive schemas are finite.
Source: cel-spec (gradual typing), cel-go checker/types.go, k8s.io/apiserver pkg/cel/types.go (sizes).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Convert = Callable[[Any], Any]


class Type:
    """`name` for opaque, object and parameter kinds; `max_elements` the largest size (code points, bytes, items, entries), None when unbounded;
    `min_serialized` the fewest bytes of its JSON; `list_type` and `map_keys` those of the schema; `convert` makes the CEL value of the JSON
    one, None when it is the same."""

    __slots__ = ("convert", "kind", "list_type", "map_keys", "max_elements", "min_serialized", "name", "parameters")

    def __init__(
        self,
        kind: str,
        parameters: tuple["Type", ...] = (),
        *,
        name: str = "",
        max_elements: int | None = None,
        min_serialized: int = 0,
        convert: Convert | None = None,
        list_type: str = "",
        map_keys: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.parameters = parameters
        self.name = name or kind
        self.max_elements = max_elements
        self.min_serialized = min_serialized
        self.convert = convert
        self.list_type = list_type
        self.map_keys = map_keys

    def __str__(self) -> str:
        if self.kind in ("list", "map", "optional_type", "type") and self.parameters:
            return f"{self.name}({', '.join(map(str, self.parameters))})"
        return self.name

    def __repr__(self) -> str:
        return f"Type({self})"


@dataclass(frozen=True, slots=True)
class Field:
    """`name` is the one in the JSON; `type` what it holds."""

    name: str
    type: Type


class ObjectType(Type):
    """An object with declared fields, by their names as expressions write them (see `escaping`)."""

    __slots__ = ("__dict__", "_make")

    def __init__(self, name: str, make: Callable[[], Mapping[str, Field]], *, min_serialized: int = 2) -> None:
        super().__init__("object", name=name, min_serialized=min_serialized)
        self._make = make

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        return self._make()


DYN = Type("dyn")
ERROR = Type("error", name="!error!")
NULL = Type("null")
BOOL = Type("bool", min_serialized=4)
INT = Type("int", min_serialized=1)
UINT = Type("uint", min_serialized=1)
DOUBLE = Type("double", min_serialized=1)
STRING = Type("string", min_serialized=2)
BYTES = Type("bytes", min_serialized=2)
TIMESTAMP = Type("timestamp")
DURATION = Type("duration")

PARAMETER_A, PARAMETER_B = Type("parameter", name="A"), Type("parameter", name="B")

SCALARS = frozenset({"bool", "int", "uint", "double", "timestamp", "duration"})
"""Kinds whose values have size 1."""


def list_of(item: Type, **more: Any) -> Type:
    return Type("list", (item,), **more)


def map_of(key: Type, value: Type, **more: Any) -> Type:
    return Type("map", (key, value), **more)


def optional_of(value: Type) -> Type:
    return Type("optional_type", (value,))


def type_of_type(value: Type) -> Type:
    return Type("type", (value,))


def opaque(name: str) -> Type:
    return Type("opaque", name=name)


LIST_DYN = list_of(DYN)
MAP_DYN = map_of(DYN, DYN)

Bindings = dict[str, Type]

_NULLABLE = frozenset({"object", "timestamp", "duration", "optional_type", "opaque"})


def assignable(wanted: Type, given: Type, bound: Bindings) -> bool:
    """May a value of `given` stand where `wanted` is asked for? Parameters of `wanted` are bound on the way."""
    if wanted.kind == "parameter":
        known = bound.get(wanted.name)
        if known is None or (known.kind == "dyn" and given.kind != "dyn"):
            bound[wanted.name] = given
            return True
        if assignable(known, given, bound):
            return True
        if assignable(given, known, bound):
            bound[wanted.name] = given
            return True
        return False
    if wanted.kind in ("dyn", "error") or given.kind in ("dyn", "error"):
        return True
    if wanted.kind != given.kind:
        if wanted.kind == "null":
            return given.kind in _NULLABLE
        return given.kind == "null" and wanted.kind in _NULLABLE
    if wanted.kind == "opaque":
        return wanted.name == given.name
    if wanted.kind == "object":
        return wanted.name == given.name or wanted is given
    if wanted.kind == "type":
        return True
    return all(assignable(w, g, bound) for w, g in zip(wanted.parameters, given.parameters, strict=True))


def substitute(pattern: Type, bound: Bindings) -> Type:
    """The type with its parameters replaced; an unbound one is dyn."""
    if pattern.kind == "parameter":
        return bound.get(pattern.name, DYN)
    if not pattern.parameters:
        return pattern
    return Type(pattern.kind, tuple(substitute(p, bound) for p in pattern.parameters), name=pattern.name)


def join(one: Type | None, other: Type) -> Type | None:
    """The type that holds both; None when they do not fit together."""
    if one is None:
        return other
    if not assignable(one, other, {}):
        return None if not assignable(other, one, {}) else other
    if one.kind == "dyn" or other.kind == "dyn":
        return DYN
    return other if one.kind == "null" else one
