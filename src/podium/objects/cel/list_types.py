"""List types: lists that the schema calls a set or a map compare without order and add by key.

Source: k8s.io/apiserver pkg/cel/common/values.go (unstructuredSetList, unstructuredMapList).
"""

from collections.abc import Callable
from typing import Any

from podium.objects.cel.types import ObjectType, Type
from podium.objects.cel.values import equal

Comparison = Callable[[Any, Any], bool]
_DEPTH_MAX = 32


def comparison(type_: Type) -> Comparison | None:
    """How two values of the type are compared when `equal` would not do: when it is, or has inside, a set or a map list."""
    return _comparison(type_, ())


def _comparison(type_: Type, above: tuple[Type, ...]) -> Comparison | None:
    if type_ in above or len(above) > _DEPTH_MAX:
        return None
    above = (*above, type_)
    if isinstance(type_, ObjectType):
        inside = {field.name: found for field in type_.fields.values() if (found := _comparison(field.type, above)) is not None}
        return _objects(inside) if inside else None
    if type_.kind == "list":
        item = _comparison(type_.parameters[0], above)
        if type_.list_type in ("set", "map"):
            return _unordered(item or equal)
        return _lists(item) if item is not None else None
    if type_.kind == "map":
        value = _comparison(type_.parameters[1], above)
        return _maps(value) if value is not None else None
    return None


def _objects(inside: dict[str, Comparison]) -> Comparison:
    def compare(one: Any, other: Any) -> bool:
        if not isinstance(one, dict) or not isinstance(other, dict):
            return equal(one, other)
        return one.keys() == other.keys() and all(inside.get(k, equal)(v, other[k]) for k, v in one.items())

    return compare


def _unordered(item: Comparison) -> Comparison:
    def compare(one: Any, other: Any) -> bool:
        if type(one) is not list or type(other) is not list:
            return equal(one, other)
        if len(one) != len(other):
            return False
        try:
            return set(map(_hashable, one)) == set(map(_hashable, other))
        except TypeError:
            return all(any(item(i, o) for o in other) for i in one)

    return compare


def _hashable(value: Any) -> Any:
    return (type(value) is bool, value)


def _lists(item: Comparison) -> Comparison:
    def compare(one: Any, other: Any) -> bool:
        if type(one) is not list or type(other) is not list:
            return equal(one, other)
        return len(one) == len(other) and all(map(item, one, other))

    return compare


def _maps(value: Comparison) -> Comparison:
    def compare(one: Any, other: Any) -> bool:
        if not isinstance(one, dict) or not isinstance(other, dict):
            return equal(one, other)
        return one.keys() == other.keys() and all(value(v, other[k]) for k, v in one.items())

    return compare


def concatenation(type_: Type) -> Callable[[Any, Any], Any] | None:
    """How two lists of the type are added, None for the plain way: a set takes what it lacks, a map's entries replace those of their key."""
    if type_.list_type == "set":
        return _add_set
    if type_.list_type == "map":
        return lambda one, other: _add_map(one, other, type_.map_keys)
    return None


def _add_set(one: list[Any], other: list[Any]) -> list[Any]:
    return one + [o for o in other if not any(equal(o, i) for i in one)]


def _add_map(one: list[Any], other: list[Any], keys: tuple[str, ...]) -> list[Any]:
    merged = {tuple(str(i.get(k)) for k in keys): i for i in one}
    for item in other:
        merged[tuple(str(item.get(k)) for k in keys)] = item
    return list(merged.values())
