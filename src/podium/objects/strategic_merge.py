"""Strategic merge: a merge patch that knows which lists are sets of named things.

A list whose schema says `merge` is merged item by item: objects are matched by the merge key, scalars by themselves. Directives in the
patch say what a value cannot: `$patch: delete|replace|merge`, `$retainKeys: [fields]`, `$setElementOrder/FIELD: [...]`,
`$deleteFromPrimitiveList/FIELD: [...]`. Any other list is replaced.

Order of a merged list: the order that the directive (else the patch) gives to the items it names; the others keep their live order and
stay before the named items that they preceded. Worked example, by name: live [a b c], patch [c x]: x is new and c is named, so the
sequence c x is kept, a and b were before c: [a b c x].

Source: k8s.io/apimachinery pkg/util/strategicpatch (patch.go), pkg/util/mergepatch/errors.go (messages).
"""

from collections.abc import Callable
from typing import Any

from podium.objects.schema import Schema
from podium.objects.status import BadRequest, Invalid
from podium.objects.values import Object

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_BAD_RETAIN = "invalid patch format of retainKeys"
_BAD_ORDER = "invalid patch format of setElementOrder list"
_BAD_DELETE = "invalid patch format of primitive list"


def merge(doc: Object, patch: Object, schema: Schema | None) -> Object:
    """A new object; nothing of `doc` or `patch` is changed. Raises BadRequest or Invalid."""
    if _DIRECTIVE in patch:
        return _directed(doc, patch, schema)
    result = dict(doc)
    if _RETAIN in patch:
        _retain(result, patch)
    for field in _merge_fields(patch):
        node = _child(schema, field)
        order = patch.get(_ORDER + field)
        if field in patch:
            _merge_field(result, field, patch[field], node, order)
        if _DELETE + field in patch:
            result[field] = _without(result.get(field), patch[_DELETE + field])
        if order is not None and field in result and field not in patch:
            live = _list(result[field], _BAD_ORDER)
            result[field] = _ordered(live, _list(order, _BAD_ORDER), live, _key(node))
    return result


def _merge_fields(patch: Object) -> list[str]:
    """The fields a patch speaks of, by themselves or through a directive, in its order."""
    fields: dict[str, None] = {}
    for name in patch:
        if name.startswith((_ORDER, _DELETE)):
            fields[name.partition("/")[2]] = None
        elif name != _RETAIN:
            fields[name] = None
    return list(fields)


def _directed(doc: Object, patch: Object, schema: Schema | None) -> Object:
    directive = patch[_DIRECTIVE]
    rest = {k: v for k, v in patch.items() if k != _DIRECTIVE}
    if directive == "replace":
        return merge({}, rest, schema)
    if directive == "delete":
        return {}
    if directive == "merge":
        return merge(doc, rest, schema)
    raise Invalid(f"unknown patch type: {_go(directive)} in map: {_go(patch)}")


def _merge_field(result: Object, field: str, value: Any, node: Schema | None, order: Any) -> None:
    live = result.get(field)
    if value is None:
        result.pop(field, None)
    elif isinstance(value, dict):
        base = live if isinstance(live, dict) and "replace" not in _strategies(node) else {}
        result[field] = merge(base, value, node)
    elif isinstance(value, list):
        merging = "merge" in _strategies(node)
        result[field] = _merge_list(live if isinstance(live, list) else [], value, node, order) if merging else value
    else:
        result[field] = value


def _merge_list(live: list[Any], patch: list[Any], node: Schema | None, order: Any) -> list[Any]:
    if not live and not patch:
        return live
    _same_type(live, patch)
    items = node.items if node else None
    key = _key(node)
    if not isinstance((patch or live)[0], dict):
        merged, key = list(dict.fromkeys([*live, *patch])), ""
    elif not key:
        raise Invalid("cannot merge lists without merge key for type struct")
    else:
        live, patch = _apply_item_directives(live, patch, key)
        merged = _merge_items(live, patch, key, items)
    wanted = patch
    if order is not None:
        wanted = _list(order, _BAD_ORDER)
        _check_order(patch, wanted, key)
    return _ordered(merged, wanted, live, key)


def _apply_item_directives(live: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    kept: list[Any] = []
    deleted: list[Any] = []
    replace = False
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if directive is None or (directive == "merge" and key in item):
            kept.append({k: v for k, v in item.items() if k != _DIRECTIVE})
        elif directive == "delete":
            deleted.append(_identity(item, key))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise Invalid("merging lists cannot yet be specified in the patch")
        else:
            raise Invalid(f"unknown patch type: {_go(directive)} in map: {_go(item)}")
    if replace:
        return [], kept
    return [item for item in live if item.get(key) not in deleted], kept


def _merge_items(live: list[Any], patch: list[Any], key: str, items: Schema | None) -> list[Any]:
    merged = list(live)
    places = {_identity(item, key): i for i, item in reversed(list(enumerate(live))) if key in item}
    for item in patch:
        identity = _identity(item, key)
        place = places.get(identity)
        if place is None:
            places[identity] = len(merged)
            merged.append(merge({}, item, items))
        else:
            merged[place] = merge(merged[place], item, items)
    return merged


def _ordered(merged: list[Any], wanted: list[Any], live: list[Any], key: str) -> list[Any]:
    """`merged` with the items that `wanted` names in its order, and the others interleaved by their place in `live`."""
    name = _namer(key)
    rank = {name(item): i for i, item in reversed(list(enumerate(wanted)))}
    place = {name(item): i for i, item in reversed(list(enumerate(live)))}
    named = sorted((item for item in merged if name(item) in rank), key=lambda item: rank[name(item)])
    others = sorted((item for item in merged if name(item) not in rank), key=lambda item: place.get(name(item), len(place)))
    result: list[Any] = []
    for item in named:
        here = place.get(name(item), -1)
        while others and place.get(name(others[0]), here) < here:
            result.append(others.pop(0))
        result.append(item)
    return result + others


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """Every item of the patch must be in the order list, in the same sequence."""
    name = _namer(key)
    sequence = iter([name(item) for item in order])
    if order and any(name(item) not in sequence for item in patch):
        raise Invalid(f"The order in patch list:\n{_go(patch)}\n doesn't match $setElementOrder list:\n{_go(order)}\n")


def _retain(result: Object, patch: Object) -> None:
    keep = _list(patch[_RETAIN], _BAD_RETAIN)
    for field, value in patch.items():
        if value is not None and field not in keep and not field.startswith((_ORDER, _DELETE)) and field != _RETAIN:
            raise BadRequest(_BAD_RETAIN)
    for field in [field for field in result if field not in keep]:
        del result[field]


def _without(live: Any, gone: Any) -> list[Any]:
    removed = _list(gone, _BAD_DELETE)
    return [item for item in _list(live or [], _BAD_DELETE) if item not in removed]


def _same_type(*lists: list[Any]) -> None:
    types = {type(item) for items in lists for item in items}
    if list in types:
        raise Invalid("lists of lists are not supported")
    if len(types) > 1:
        raise Invalid(f"list element types are not identical: {_go(list(lists))}")


def _child(schema: Schema | None, field: str) -> Schema | None:
    return schema.properties.get(field) or schema.additional if schema else None


def _strategies(node: Schema | None) -> list[str]:
    return node.merge_strategy.split(",") if node else []


def _key(node: Schema | None) -> str:
    return node.merge_key if node else ""


def _namer(key: str) -> Callable[[Any], Any]:
    return (lambda item: _identity(item, key)) if key else _scalar


def _scalar(item: Any) -> Any:
    if isinstance(item, (dict, list)):
        raise BadRequest(_BAD_ORDER)
    return item


def _identity(item: Any, key: str) -> Any:
    identity = item.get(key) if isinstance(item, dict) else None
    if identity is None or isinstance(identity, (dict, list)):
        raise Invalid(f"map: {_go(item)} does not contain declared merge key: {key}")
    return identity


def _list(value: Any, message: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(message)
    return value


def _go(value: Any) -> str:
    """As Go's %v prints JSON values."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_go(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else str(value)
