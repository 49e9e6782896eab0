"""Server-side apply: what an object becomes when one manager applies its part of it. Pure.

Theory: `live` is what is stored, `applied` what the manager wants to be true of the fields it names, `managers` who owns what. The result is `live`
merged with `applied`, without the fields that this manager owned before, names no longer and nobody else owns. A field that another
manager owns and that would change is a conflict, unless forced; then it changes hands.

Source: KEP-555; sigs.k8s.io/structured-merge-diff merge/update.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.objects import field_sets
from podium.objects.field_sets import (
    MEMBER,
    FieldSet,
    by_element,
    child_node,
    compare,
    difference,
    intersection,
    is_granular_list,
    is_granular_object,
)
from podium.objects.schema import Schema

Object = dict[str, Any]

_ROOT_STRIPPED = ("f:apiVersion", "f:kind")
_METADATA_STRIPPED = (
    "f:name", "f:namespace", "f:uid", "f:resourceVersion", "f:creationTimestamp", "f:generation", "f:managedFields", "f:selfLink",
    "f:deletionTimestamp", "f:deletionGracePeriodSeconds", MEMBER,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of managedFields. `operation` is Apply or Update."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


Managers = Mapping[Manager, FieldSet]


class ApplyConflict(Exception):
    """Fields that others own would change. `conflicts` says which of whose."""

    def __init__(self, conflicts: Mapping[Manager, FieldSet]) -> None:
        super().__init__("apply conflict")
        self.conflicts = dict(conflicts)


def strip(fields: FieldSet, *, structs: bool = True) -> FieldSet:
    """Without what the server alone decides, and the root itself. `structs`: spec and status are always there, so nobody owns them as such."""
    found = {e: c for e, c in fields.items() if e not in _ROOT_STRIPPED and e != MEMBER}
    if metadata := found.get("f:metadata"):
        kept = {e: c for e, c in metadata.items() if e not in _METADATA_STRIPPED}
        if kept:
            found["f:metadata"] = kept
        else:
            del found["f:metadata"]
    for name in ("f:spec", "f:status") if structs else ():
        if name in found and len(found[name]) > 1:
            found[name] = {e: c for e, c in found[name].items() if e != MEMBER}
    return found


def apply(
    live: Object, applied: Object, manager: Manager, managers: Managers, node: Schema, *, force: bool
) -> tuple[Object, dict[Manager, FieldSet]]:
    """(the new object, who manages what now). Neither argument is changed; the new object may share parts with both. Raises ApplyConflict."""
    before = managers.get(manager, {})
    wanted = strip(field_sets.of(applied, node))
    now = {**managers, manager: wanted}
    merged = _merge(live, applied, node)
    owned: FieldSet = {}
    for fields in now.values():
        owned = field_sets.union(owned, fields)
    if gone := difference(before, owned):
        merged = _without(merged, gone, owned, node)
    return merged, _hand_over(live, merged, manager, now, node, force=force)


def changes(old: Object, new: Object, node: Schema) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed) by a write, without what the server alone decides."""
    changed, removed = compare(old, new, node)
    structs = bool(node.definition)
    return strip(changed, structs=structs), strip(removed, structs=structs)


def created(new: Object, node: Schema) -> dict[str, Any]:
    """What the first writer of an object manages, as FieldsV1: on the wire, `changes` from nothing."""
    wire = field_sets.wire_of(new, node)
    for name in (MEMBER, *_ROOT_STRIPPED):
        wire.pop(name, None)
    if kept := {e: c for e, c in wire.pop("f:metadata", {}).items() if e not in _METADATA_STRIPPED}:
        wire["f:metadata"] = kept
    for name in ("f:spec", "f:status") if node.definition else ():
        if name in wire and len(wire[name]) > 1:
            wire[name].pop(MEMBER, None)
    return dict(sorted(wire.items()))


def update(changed: FieldSet, removed: FieldSet, manager: Manager, managers: Managers) -> dict[Manager, FieldSet]:
    """Who manages what after a write that is not an apply: the writer owns what it changed, nobody what is gone."""
    found: dict[Manager, FieldSet] = {}
    for other, fields in managers.items():
        rest = difference(difference(fields, changed) if other != manager else fields, removed)
        if rest:
            found[other] = rest
    if mine := field_sets.union(found.get(manager, {}), changed):
        found[manager] = mine
    return found


def _hand_over(live: Object, new: Object, manager: Manager, managers: Managers, node: Schema, *, force: bool) -> dict[Manager, FieldSet]:
    changed, removed = compare(live, new, node)
    conflicts = {m: both for m, fields in managers.items() if m != manager and (both := intersection(fields, changed))}
    if conflicts and not force:
        raise ApplyConflict(conflicts)
    found: dict[Manager, FieldSet] = {}
    for other, fields in managers.items():
        rest = fields if other == manager else difference(difference(fields, conflicts.get(other, {})), removed)
        if rest:
            found[other] = rest
    return found


def _merge(live: Any, applied: Any, node: Schema | None) -> Any:
    if is_granular_object(live, node) and is_granular_object(applied, node):
        merged = dict(live)
        for name, value in applied.items():
            merged[name] = _merge(live[name], value, child_node(node, name)) if name in live else value
        return merged
    if is_granular_list(node) and isinstance(live, list) and isinstance(applied, list):
        assert node is not None
        return _merge_items(live, applied, node)
    return applied


def _merge_items(live: list[Any], applied: list[Any], node: Schema) -> list[Any]:
    """Items of both come in the order that was applied, in the places where they were; others stay; new ones follow."""
    before, wanted = by_element(live, node), by_element(applied, node)
    shared = iter([e for e in wanted if e in before])
    merged = []
    for element, item in before.items():
        if element in wanted:
            element = next(shared)
            item = _merge(before[element], wanted[element], node.items)
        merged.append(item)
    return merged + [item for element, item in wanted.items() if element not in before]


def _without(value: Any, gone: FieldSet, owned: FieldSet, node: Schema | None) -> Any:
    """`value` without the members of `gone`; an item or object of which anything is owned stays."""
    if is_granular_object(value, node):
        kept = {}
        for name, child in value.items():
            element = f"f:{name}"
            rest = _rest(child, gone.get(element), owned.get(element, {}), child_node(node, name))
            if rest is not None:
                kept[name] = rest
        return kept
    if is_granular_list(node) and isinstance(value, list):
        assert node is not None
        items = ((e, i) for e, i in by_element(value, node).items())
        rests = [_rest(item, gone.get(element), owned.get(element, {}), node.items) for element, item in items]
        return [r for r in rests if r is not None]
    return value


def _rest(child: Any, gone: FieldSet | None, owned: FieldSet, node: Schema | None) -> Any:
    """What is left of a part: None when nothing is."""
    if gone is None:
        return child
    if MEMBER in gone and not owned:
        return None
    rest = _without(child, gone, owned, node)
    return None if rest in ({}, []) and child not in ({}, []) and not owned else rest
