"""Pruning and defaulting: a custom object brought into the shape of its schema.

Fields that the schema does not name are dropped, unless it preserves them; defaults are filled in where a field is absent, or null though it must
not be; other nulls that must not be are dropped. A compiled reading says whether there is anything to drop: mostly there is not.

Source: apiextensions-apiserver pkg/apiserver/schema/pruning/algorithm.go, schema/defaulting/{algorithm,prune}.go.
"""

from collections.abc import Callable, Mapping
from typing import Any

from podium.objects.custom.validity import EMBEDDED, Node
from podium.objects.values import copy

Clean = Callable[[Any], bool]
Fill = Callable[[Any], None]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
META = ("apiVersion", "kind", "metadata")


# Is there anything to drop?


def compile_clean(node: Node, *, root: bool = False) -> Clean | None:
    """Whether a value has no field to prune and no null to drop; None when that is so of all values of the node's type."""
    embedded = root or bool(node.get(EMBEDDED))
    if node.get("type") == "array" or "items" in node:
        return _clean_array(node)
    if node.get("type") == "object" or "properties" in node or "additionalProperties" in node or embedded:
        return _clean_object(node, embedded)
    return None


def _clean_array(node: Node) -> Clean | None:
    below = node.get("items")
    if not isinstance(below, Mapping):
        return None
    item = compile_clean(below)
    if item is None:
        return None
    clean = item
    return lambda value: type(value) is not list or all(map(clean, value))


def _clean_object(node: Node, embedded: bool) -> Clean:
    fields = {name: compile_clean(below) for name, below in node.get("properties", {}).items()}
    leaves = frozenset(name for name, clean in fields.items() if clean is None)
    nullable = frozenset(name for name, below in node.get("properties", {}).items() if below.get("nullable"))
    others = node.get("additionalProperties")
    other = compile_clean(others) if isinstance(others, Mapping) else None
    open_, others_null = bool(node.get(PRESERVE)), isinstance(others, Mapping) and bool(others.get("nullable"))
    skipped = frozenset(META) if embedded else frozenset()

    def clean(value: Any) -> bool:
        if type(value) is not dict:
            return True
        for name, below in value.items():
            if below is None:
                if name in nullable or (name not in fields and (open_ or others_null)):
                    continue
                return False
            if name in leaves:
                if type(below) is dict and not open_:
                    return False
                continue
            if name in skipped:
                continue
            deeper = fields.get(name)
            if deeper is not None:
                if not deeper(below):
                    return False
            elif others is not None and others is not False:
                if other is not None and not other(below):
                    return False
                if others is True and type(below) in (dict, list) and not open_:
                    return False
            elif not open_:
                return False
        return True

    return clean


# What is dropped


def prune(value: Any, node: Node) -> list[str]:
    """Drops, in place, what the schema of a whole object does not name; the paths of what was dropped, sorted."""
    dropped: list[str] = []
    _prune(value, {**node, EMBEDDED: True}, "", dropped)
    return sorted(dropped)


def _prune(value: Any, node: Node | None, path: str, dropped: list[str]) -> None:
    keep = node is not None and bool(node.get(PRESERVE))
    if type(value) is list:
        below = node.get("items") if node is not None else None
        for index, item in enumerate(value):
            if below is not None or not keep:
                _prune(item, below, f"{path}[{index}]", dropped)
        return
    if type(value) is not dict:
        return
    node = node or {}
    known, others = node.get("properties", {}), node.get("additionalProperties")
    for name in list(value):
        if node.get(EMBEDDED) and name in META:
            continue
        here = f"{path}.{name}" if path else name
        if name in known:
            _prune(value[name], known[name], here, dropped)
        elif isinstance(others, Mapping):
            _prune(value[name], others, here, dropped)
        elif others is True:
            if not keep:
                _prune(value[name], None, here, dropped)
        elif not keep:
            del value[name]
            dropped.append(here)


def drop_nulls(value: Any, node: Node | None) -> None:
    """Drops the nulls of fields that must not be null, in place."""
    if node is None:
        return
    if type(value) is list:
        for item in value:
            drop_nulls(item, node.get("items"))
    elif type(value) is dict:
        known, others = node.get("properties", {}), node.get("additionalProperties")
        for name in list(value):
            below = known.get(name, others)
            below = below if isinstance(below, Mapping) else None
            if value[name] is None and below is not None and not below.get("nullable"):
                del value[name]
            else:
                drop_nulls(value[name], below)


# Defaults


def compile_fill(node: Node) -> Fill | None:
    """What fills in the defaults of a node and below, in place; None when there are none."""
    if "items" in node:
        return _fill_array(node)
    given = {name: below["default"] for name, below in node.get("properties", {}).items() if below.get("default") is not None}
    deeper = {name: found for name, below in node.get("properties", {}).items() if (found := compile_fill(below)) is not None}
    null = frozenset(name for name in given if not node["properties"][name].get("nullable"))
    others = node.get("additionalProperties")
    other = compile_fill(others) if isinstance(others, Mapping) else None
    other_default = others.get("default") if isinstance(others, Mapping) and not others.get("nullable") else None
    if not given and not deeper and other is None and other_default is None:
        return None

    def fill(value: Any) -> None:
        if type(value) is not dict:
            return
        for name, default in given.items():
            if name not in value or (value[name] is None and name in null):
                value[name] = copy(default) if type(default) in (dict, list) else default
        for name, below in deeper.items():
            if name in value:
                below(value[name])
        if other is not None or other_default is not None:
            for name in value:
                if name not in node.get("properties", {}):
                    if value[name] is None and other_default is not None:
                        value[name] = copy(other_default)
                    if other is not None:
                        other(value[name])

    return fill


def _fill_array(node: Node) -> Fill | None:
    below = node["items"]
    if not isinstance(below, Mapping):
        return None
    item = compile_fill(below)
    default = None if below.get("nullable") else below.get("default")
    if item is None and default is None:
        return None

    def fill_items(value: Any) -> None:
        if type(value) is not list:
            return
        for index, element in enumerate(value):
            if element is None and default is not None:
                value[index] = copy(default)
            if item is not None:
                item(value[index])

    return fill_items
