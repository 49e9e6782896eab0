"""Overloads: one way to call a function. The library is a table of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from podium.objects.cel.costs import ORDINARY, Cost
from podium.objects.cel.types import Type
from podium.objects.cel.values import kind_of


@dataclass(frozen=True, slots=True)
class Overload:
    """`arguments` include the target of a member call. `run` gets the values; it may rely on their kinds."""

    name: str
    member: bool
    arguments: tuple[Type, ...]
    result: Type
    run: Callable[..., Any]
    cost: Cost = ORDINARY

    def takes(self, values: tuple[Any, ...]) -> bool:
        """At run time, when the checker could not know."""
        return len(values) == len(self.arguments) and all(map(_fits, self.arguments, values))


def member(name: str, arguments: tuple[Type, ...], result: Type, run: Callable[..., Any], cost: Cost = ORDINARY) -> Overload:
    return Overload(name, True, arguments, result, run, cost)


def plain(name: str, arguments: tuple[Type, ...], result: Type, run: Callable[..., Any], cost: Cost = ORDINARY) -> Overload:
    return Overload(name, False, arguments, result, run, cost)


def _fits(wanted: Type, value: Any) -> bool:
    kind = wanted.kind
    if kind in ("dyn", "parameter"):
        return True
    given = kind_of(value)
    if kind == "opaque":
        return given == "opaque" and value.cel_type == wanted.name
    if kind == "list" and given == "list" and wanted.parameters[0].kind in _CHECKED:
        return all(kind_of(item) == wanted.parameters[0].kind for item in value)
    return given == kind


_CHECKED = frozenset({"string", "int", "uint", "double", "duration", "timestamp", "bool", "list"})
