"""Sets of fields: which parts of an object somebody manages. Pure.

A set is a trie of nested dicts whose keys are path elements as FieldsV1 writes them: `f:NAME` a field or map key, `k:{...}` a list item by its key
fields, `v:VALUE` an item of a set, and `.` (True) where the path itself is a member. On the wire a lone member is `{}`:

    {"f:data": {"f:k": {".": True}}}    <->    {"f:data": {"f:k": {}}}

Which parts exist on their own is the schema's to say: objects and maps are granular unless their map type is atomic, lists only with list
type map or set; everything else is one leaf.

Source: sigs.k8s.io/structured-merge-diff fieldpath; metav1.FieldsV1.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from podium.objects.schema import Schema

FieldSet = dict[str, Any]
MEMBER = "."


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """`left` itself when `right` adds nothing."""
    found = left
    for element, child in right.items():
        mine = left.get(element)
        if mine is None:
            both = child
        elif element == MEMBER or (both := union(mine, child)) is mine:
            continue
        if found is left:
            found = dict(left)
        found[element] = both
    return found


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """The members of `left` that are not members of `right`; `left` itself when these are all."""
    if left.keys().isdisjoint(right):
        return left
    found: FieldSet = {}
    same = True
    for element, child in left.items():
        other = right.get(element)
        if other is None:
            found[element] = child
        elif element == MEMBER:
            same = False
        else:
            rest = difference(child, other)
            same = same and rest is child
            if rest:
                found[element] = rest
    return left if same else found


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    found: FieldSet = {}
    for element, child in left.items():
        other = right.get(element)
        if other is None:
            continue
        if element == MEMBER:
            found[element] = True
        elif both := intersection(child, other):
            found[element] = both
    return found


def from_wire(fields: Mapping[str, Any]) -> FieldSet:
    """The set of a FieldsV1 value. Raises TypeError or AttributeError on other shapes."""
    return {e: True if e == MEMBER else (from_wire(c) if c else {MEMBER: True}) for e, c in fields.items()}


def to_wire(fields: FieldSet) -> dict[str, Any]:
    return {e: {} if e == MEMBER or (len(c) == 1 and MEMBER in c) else to_wire(c) for e, c in sorted(fields.items())}


def paths(fields: FieldSet) -> Iterator[str]:
    """Every member as upstream prints it: `.spec.containers[name="x"].image`, in order of the elements."""
    yield from _paths(fields, "")


def _paths(fields: FieldSet, prefix: str) -> Iterator[str]:
    for element, child in sorted(fields.items()):
        if element == MEMBER:
            yield prefix
        else:
            yield from _paths(child, prefix + _shown(element))


def _shown(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "k":
        return "[" + ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in sorted(orjson.loads(text).items())) + "]"
    return f"[{'=' if kind == 'v' else ''}{text}]"


def item_element(item: Any, node: Schema, defaults: Mapping[str, Any] | None = None) -> str:
    """How an item of a granular list is named. Key fields that are absent take the defaults that the API gives them. Asked before validation:
    an item of the wrong type is named by its value."""
    if node.list_type == "set" or not node.list_map_keys or not isinstance(item, dict):
        return "v:" + orjson.dumps(item).decode()
    keys = {k: item.get(k, node.key_defaults.get(k)) for k in node.list_map_keys}
    return "k:" + orjson.dumps({k: v for k, v in keys.items() if v is not None}, option=orjson.OPT_SORT_KEYS).decode()


def is_granular_list(node: Schema | None) -> bool:
    return node is not None and node.type == "array" and node.list_type in ("map", "set")


def is_granular_object(value: Any, node: Schema | None) -> bool:
    return isinstance(value, dict) and (node is None or node.granular)


def child_node(node: Schema | None, name: str) -> Schema | None:
    return (node.properties.get(name) or node.additional) if node is not None else None


def of(value: Any, node: Schema | None, *, containers: bool = False) -> FieldSet:
    """The members of `value`: its leaves and list items, with `containers` also the maps and objects themselves (as when they are new)."""
    if is_granular_object(value, node) and value:
        found: FieldSet = {f"f:{k}": of(v, child_node(node, k), containers=containers) for k, v in value.items()}
        if containers:
            found[MEMBER] = True
        return found
    if is_granular_list(node) and isinstance(value, list) and value:
        assert node is not None
        found = {}
        for item in value:
            element = item_element(item, node)
            found[element] = {**of(item, node.items, containers=True), MEMBER: True} if element[0] == "k" else {MEMBER: True}
        if containers:
            found[MEMBER] = True
        return found
    return {MEMBER: True}


def wire_of(value: Any, node: Schema | None) -> dict[str, Any]:
    """`to_wire` of `of(value, node, containers=True)` as a member, in one go: what a write of something new owns is asked for most often."""
    if type(value) is dict:
        if not value or (node is not None and not node.granular):
            return {}
        found: dict[str, Any] = {MEMBER: {}}
        if node is None:
            for name in sorted(value):
                found["f:" + name] = wire_of(value[name], None)
            return found
        properties, additional = node.properties, node.additional
        for name in sorted(value):
            child = value[name]
            found["f:" + name] = wire_of(child, properties.get(name) or additional) if type(child) in _CONTAINERS else {}
        return found
    if type(value) is list and value and is_granular_list(node):
        assert node is not None
        elements = {element: item for item in value if (element := item_element(item, node))}
        return {MEMBER: {}} | {e: wire_of(elements[e], node.items) if e[0] == "k" else {} for e in sorted(elements)}
    return {}


_CONTAINERS = (dict, list)


def compare(old: Any, new: Any, node: Schema | None) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed) between two versions of the same object."""
    if old is new or old == new:
        return {}, {}
    if is_granular_object(old, node) and is_granular_object(new, node):
        properties, additional = (node.properties, node.additional) if node is not None else ({}, None)
        return _compare_children(old, new, "f:", lambda name: properties.get(name) or additional)
    if is_granular_list(node) and isinstance(old, list) and isinstance(new, list):
        assert node is not None
        items = node.items
        return _compare_children(by_element(old, node), by_element(new, node), "", lambda element: items)
    return {MEMBER: True}, {}


def _compare_children(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str, node_of: Callable[[str], Schema | None]
) -> tuple[FieldSet, FieldSet]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    for name, before in old.items():
        if name not in new:
            removed[prefix + name] = _whole(before, node_of(name))
            continue
        after = new[name]
        if before is after or before == after:
            continue
        child_changed, child_removed = compare(before, after, node_of(name))
        if child_changed:
            changed[prefix + name] = child_changed
        if child_removed:
            removed[prefix + name] = child_removed
    for name, after in new.items():
        if name not in old:
            changed[prefix + name] = _whole(after, node_of(name))
    return changed, removed


def _whole(value: Any, node: Schema | None) -> FieldSet:
    return {**of(value, node, containers=True), MEMBER: True}


def by_element(items: Iterable[Any], node: Schema) -> dict[str, Any]:
    """The items of a granular list by the name of each; of duplicates the last."""
    return {item_element(item, node): item for item in items}
