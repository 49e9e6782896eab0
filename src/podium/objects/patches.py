"""Patches: the three ways to say what should change.

JSON patch (a list of operations, RFC 6902), JSON merge patch (RFC 7386) and strategic merge patch (strategic_merge.py). All give a new
value and leave `doc` as it was; what they did not touch is shared between the two, so neither may be changed afterwards.

A JSON patch that does not apply is 422 with upstream's summary, followed by the reason, which upstream keeps to itself.

Source: RFC 6901, RFC 6902, RFC 7386; gopkg.in/evanphx/json-patch.v4 (messages); apiserver endpoints/handlers/patch.go (limits, codes).
"""

from collections.abc import Callable
from typing import Any

import orjson

from podium.objects.schema import load
from podium.objects.status import BadRequest, Invalid, TooLarge
from podium.objects.strategic_merge import merge
from podium.objects.values import Object

OPERATIONS_MAX = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024
REJECTED = "the server rejected our request due to an error in our request"


def apply_strategic(doc: Object, patch: Any, api_version: str, kind: str) -> Object:
    """Raises BadRequest for a patch in a wrong form, Invalid for one that cannot be applied, KeyError for a kind without a schema."""
    if not isinstance(patch, dict):
        raise BadRequest("invalid JSON document")
    return merge(doc, patch, load(api_version, kind))


def apply_merge(doc: Any, patch: Any) -> Any:
    """RFC 7386. For API objects both are objects; anything else is a BadRequest."""
    if not isinstance(patch, dict):
        raise BadRequest("Invalid JSON Patch")
    return _merged(doc, patch)


def _merged(doc: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(doc) if isinstance(doc, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


class _Failed(Exception):
    """An operation that does not apply; the message is json-patch's."""


class _Draft:
    """The document being patched. Containers are copied when first written to; `owned` holds those copies, by id."""

    def __init__(self, doc: Any) -> None:
        self.doc = doc
        self.owned: dict[int, Any] = {}
        self.copied_bytes = 0

    def own(self, container: Any) -> Any:
        """The container itself when it is ours already, else a copy that is."""
        if id(container) in self.owned:
            return container
        mine = container.copy()
        self.owned[id(mine)] = mine
        return mine


def apply_json(doc: Object, ops: Any) -> Object:
    """RFC 6902. Raises BadRequest for what is no patch, TooLarge above OPERATIONS_MAX, Invalid when an operation does not apply."""
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        raise BadRequest(f"json: cannot unmarshal {_go_type(ops)} into Go value of type jsonpatch.Patch")
    if len(ops) > OPERATIONS_MAX:
        raise TooLarge(f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(ops)}")
    draft = _Draft(doc)
    try:
        for op in ops:
            kind = op.get("op", "unknown")
            apply = _OPERATIONS.get(kind) if isinstance(kind, str) else None
            if apply is None:
                raise _Failed(f"Unexpected kind: {kind}")
            apply(draft, op)
    except _Failed as failed:
        raise Invalid(f"{REJECTED}: {failed}") from None
    if not isinstance(draft.doc, dict):
        raise BadRequest(f"json: cannot unmarshal {_go_type(draft.doc)} into Go value of type map[string]interface {{}}")
    return draft.doc


def _add(draft: _Draft, op: Object) -> None:
    _insert(draft, _pointer(op, "path"), _value(op), "add")


def _remove(draft: _Draft, op: Object) -> None:
    _take(draft, _pointer(op, "path"), "remove")


def _replace(draft: _Draft, op: Object) -> None:
    parts = _pointer(op, "path")
    if not parts:
        draft.doc = _value(op)
        return
    parent, key = _open(draft, parts, "replace operation does not apply: doc is missing path: {}: missing value")
    if isinstance(parent, dict):
        if key not in parent:
            raise _Failed(f"replace operation does not apply: doc is missing key: {_text(parts)}: missing value")
        parent[key] = _value(op)
    else:
        index = _index(parent, key)
        if index is None:
            raise _Failed(f"replace operation does not apply: doc is missing key: {_text(parts)}: missing value")
        parent[index] = _value(op)


def _move(draft: _Draft, op: Object) -> None:
    source, target = _pointer(op, "from"), _pointer(op, "path")
    if target[: len(source)] == source and len(target) > len(source):
        raise _Failed(f"move operation does not apply: {_text(target)} is inside {_text(source)}")
    _insert(draft, target, _take(draft, source, "move"), "move")


def _copy(draft: _Draft, op: Object) -> None:
    try:
        encoded = orjson.dumps(_read(draft, _pointer(op, "from"), "copy"))
    except orjson.JSONEncodeError as error:
        raise _Failed(f"copy operation does not apply: {error}") from None  # nested too deep
    draft.copied_bytes += len(encoded)
    if draft.copied_bytes > COPIED_BYTES_MAX:
        raise _Failed(f"Unable to complete the copy, the accumulated size increase is over {COPIED_BYTES_MAX}")
    _insert(draft, _pointer(op, "path"), orjson.loads(encoded), "copy")


def _test(draft: _Draft, op: Object) -> None:
    parts = _pointer(op, "path")
    found: Any = draft.doc
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(found, dict):
            if part not in found and not last:
                raise _Failed(f"test operation does not apply: is missing path: {_text(parts)}: missing value")
            found = found.get(part)  # an absent key equals null, as in json-patch
        else:
            index = _index(found, part) if isinstance(found, list) else None
            if index is None:
                why = f"error in test for path: '{_text(parts)}': Unable to access invalid index: {part}: invalid index referenced"
                raise _Failed(why if last else f"test operation does not apply: is missing path: {_text(parts)}: missing value")
            found = found[index]
    if not _equal(found, op.get("value")):
        raise _Failed(f"testing value {_text(parts)} failed: test failed")


_OPERATIONS: dict[str, Callable[[_Draft, Object], None]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip


def _pointer(op: Object, field: str) -> list[str]:
    """The reference tokens of an RFC 6901 pointer; none means the whole document."""
    text = op.get(field)
    if not isinstance(text, str):
        raise _Failed(f"{op['op']} operation failed to decode path: missing value")
    if not text:
        return []
    if not text.startswith("/"):
        raise _Failed(f'{op["op"]} operation does not apply: doc is missing path: "{text}": missing value')
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _value(op: Object) -> Any:
    if "value" not in op:
        raise _Failed(f"{op['op']} operation does not apply: the operation has no value: missing value")
    return op["value"]


def _open(draft: _Draft, parts: list[str], missing: str) -> tuple[Any, str]:
    """The container that holds the last part, ours to change, and that part; `missing` has a place for the path."""
    if not isinstance(draft.doc, (dict, list)):
        raise _Failed(missing.format(_text(parts)))
    draft.doc = container = draft.own(draft.doc)
    for part in parts[:-1]:
        step: Any = _index(container, part) if isinstance(container, list) else part
        below = container.get(step) if isinstance(container, dict) else container[step] if step is not None else None
        if not isinstance(below, (dict, list)):
            raise _Failed(missing.format(_text(parts)))
        container[step] = container = draft.own(below)
    return container, parts[-1]


def _insert(draft: _Draft, parts: list[str], value: Any, kind: str) -> None:
    if not parts:
        draft.doc = value
        return
    where = 'doc is missing path: "{}"' if kind == "add" else "doc is missing destination path: {}"
    parent, key = _open(draft, parts, f"{kind} operation does not apply: {where}: missing value")
    if isinstance(parent, dict):
        parent[key] = value
        return
    index = len(parent) if key == "-" else _number(key)
    if index is not None and index < 0:
        index += len(parent) + 1
    if index is None or not 0 <= index <= len(parent):
        raise _Failed(f"error in {kind} for path: '{_text(parts)}': Unable to access invalid index: {key}: invalid index referenced")
    parent.insert(index, value)


def _take(draft: _Draft, parts: list[str], kind: str) -> Any:
    if not parts:
        raise _Failed(f'{kind} operation does not apply: doc is missing path: "": missing value')
    where = "doc is missing from path: {}" if kind == "move" else 'doc is missing path: "{}"'
    parent, key = _open(draft, parts, f"{kind} operation does not apply: {where}: missing value")
    if isinstance(parent, dict):
        if key not in parent:
            raise _Failed(f"error in {kind} for path: '{_text(parts)}': Unable to remove nonexistent key: {key}: missing value")
        return parent.pop(key)
    index = _index(parent, key)
    if index is None:
        raise _Failed(f"error in {kind} for path: '{_text(parts)}': Unable to access invalid index: {key}: invalid index referenced")
    return parent.pop(index)


def _read(draft: _Draft, parts: list[str], kind: str) -> Any:
    found = draft.doc
    for part in parts:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and (index := _index(found, part)) is not None:
            found = found[index]
        else:
            raise _Failed(f"{kind} operation does not apply: doc is missing from path: {_text(parts)}: missing value")
    return found


def _index(items: list[Any], part: str) -> int | None:
    """Negative indexes count from the end, as json-patch allows."""
    index = _number(part)
    if index is None or not -len(items) <= index < len(items):
        return None
    return index


def _number(part: str) -> int | None:
    digits = part[1:] if part.startswith("-") else part
    return int(part) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _equal(one: Any, other: Any) -> bool:
    """JSON equality: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _text(parts: list[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _go_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return names.get(type(value), "null")
