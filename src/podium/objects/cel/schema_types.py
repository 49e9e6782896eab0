"""Types from schemas: of custom resources (structural, as JSON) and of built-in kinds (`podium.objects.schema`).

What a schema leaves open has no type and is no field: a rule must not rely on it. Bounds come from maxLength, maxItems and maxProperties,
else from what fits into one request. Texts with a format (date-time, duration, byte) are timestamps, durations and bytes: `convert` makes
them, also inside lists and maps; objects convert field by field, when a field is selected.

Source: k8s.io/apiserver pkg/cel/common/schemas.go.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.escaping import escape
from podium.objects.cel.times import parse_duration, parse_timestamp
from podium.objects.cel.types import BOOL, DOUBLE, DYN, INT, STRING, Convert, Field, ObjectType, Type
from podium.objects.schema import Schema

REQUEST_BYTES_MAX = 3 * 1024 * 1024
"""What upstream's sizes are estimated from."""

DATE_CHARS = 12
DURATION_CHARS_MIN, DURATION_CHARS_MAX = 3, 32
TIMESTAMP_CHARS_MIN, TIMESTAMP_CHARS_MAX = 21, 37
"""Of their JSON, with quotes."""

Structural = Mapping[str, Any]


@lru_cache(maxsize=512)
def resource_type(node: Schema) -> Type:
    """The type of a built-in kind, or of a part of one: all its fields."""
    made = _of_node(node)
    return DYN if made is None else made


def structural_type(schema: Structural, *, root: bool = False) -> Type | None:
    """The type of a structural schema, None when it is not exposed. `root`: of a whole resource, whose apiVersion, kind, metadata.name and
    metadata.generateName are always there."""
    if schema.get("x-kubernetes-int-or-string"):
        length = schema.get("maxLength")
        return Type("dyn", min_serialized=1, max_elements=4 * length if length is not None else REQUEST_BYTES_MAX - 2)
    kind = schema.get("type")
    if root:
        schema = {**schema, "properties": {**schema.get("properties", {}), **_ROOT}}
        kind = "object"
    match kind:
        case "array":
            return _structural_list(schema)
        case "object":
            return _structural_map(schema) if isinstance(schema.get("additionalProperties"), Mapping) else _structural_object(schema)
        case "string":
            return _text(schema.get("format", ""), schema.get("maxLength"), schema.get("enum"))
        case "boolean":
            return BOOL
        case "number":
            return _DOUBLE
        case "integer":
            return INT
    return None


_TEXT: Structural = {"type": "string"}
_ROOT: Structural = {
    "apiVersion": _TEXT,
    "kind": _TEXT,
    "metadata": {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}},
}


def _below(schema: Structural) -> Type | None:
    return structural_type(schema, root=bool(schema.get("x-kubernetes-embedded-resource")))


def _structural_list(schema: Structural) -> Type | None:
    items = schema.get("items")
    below = _below(items) if isinstance(items, Mapping) else None
    if below is None:
        return None
    list_type = schema.get("x-kubernetes-list-type", "")
    keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    return _list(below, schema.get("maxItems"), list_type, keys)


def _structural_map(schema: Structural) -> Type | None:
    below = _below(schema["additionalProperties"])
    return None if below is None else _map(below, schema.get("maxProperties"))


def _structural_object(schema: Structural) -> Type:
    properties: Structural = schema.get("properties", {})
    required = set(schema.get("required", ()))
    least = 2
    for name, node in properties.items():
        if name in required and "default" not in node and (below := _below(node)) is not None:
            least += len(name) + below.min_serialized + 4

    def make() -> dict[str, Field]:
        return _fields((name, _below(node)) for name, node in properties.items())

    return ObjectType("object", make, min_serialized=least)


def _fields(found: Any) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for name, below in found:
        written = escape(name)
        if below is not None and written is not None:
            fields[written] = Field(name, below)
    return fields


def _of_node(node: Schema) -> Type | None:
    if node.int_or_string or node.quantity:
        return Type("dyn", min_serialized=1, max_elements=REQUEST_BYTES_MAX - 2) if node.int_or_string else STRING
    if node.properties:
        return ObjectType(_short(node.definition), lambda: _fields((n, _of_node(below)) for n, below in node.properties.items()))
    if node.preserve_unknown:
        return DYN
    match node.type:
        case "array":
            below = _of_node(node.items) if node.items is not None else None
            return None if below is None else _list(below, None, node.list_type, node.list_map_keys)
        case "object":
            below = _of_node(node.additional) if node.additional is not None else None
            return ObjectType(_short(node.definition), dict) if below is None else _map(below, None)
        case "string":
            return _text(node.format, None, None)
    return {"boolean": BOOL, "number": _DOUBLE, "integer": INT}.get(node.type)


def _short(definition: str) -> str:
    return definition or "object"


def _list(below: Type, items_max: int | None, list_type: str, keys: tuple[str, ...]) -> Type:
    most = max(0, items_max) if items_max is not None else (REQUEST_BYTES_MAX - 2) // (below.min_serialized + 1)
    convert = below.convert
    whole = None if convert is None else _each_item(convert)
    return Type("list", (below,), max_elements=most, min_serialized=2, list_type=list_type, map_keys=keys, convert=whole)


def _map(below: Type, entries_max: int | None) -> Type:
    most = max(0, entries_max) if entries_max is not None else (REQUEST_BYTES_MAX - 2) // (below.min_serialized + 6)
    convert = below.convert
    whole = None if convert is None else _each_entry(convert)
    key = Type("string", min_serialized=2, max_elements=0)
    return Type("map", (key, below), max_elements=most, min_serialized=2, convert=whole)


def _each_item(convert: Convert) -> Convert:
    return lambda items: [convert(i) for i in items] if type(items) is list else items


def _each_entry(convert: Convert) -> Convert:
    return lambda entries: {k: convert(v) for k, v in entries.items()} if isinstance(entries, dict) else entries


def _text(form: str, length_max: int | None, values: list[Any] | None) -> Type:
    match form:
        case "byte":
            most = max(0, length_max) if length_max is not None else REQUEST_BYTES_MAX - 2
            return Type("bytes", min_serialized=2, max_elements=most, convert=_from_text(_decoded))
        case "duration":
            return Type("duration", min_serialized=DURATION_CHARS_MIN, max_elements=DURATION_CHARS_MAX, convert=_from_text(parse_duration))
        case "date":
            return Type("timestamp", min_serialized=DATE_CHARS, max_elements=DATE_CHARS, convert=_from_text(_date))
        case "date-time":
            convert = _from_text(parse_timestamp)
            return Type("timestamp", min_serialized=TIMESTAMP_CHARS_MIN, max_elements=TIMESTAMP_CHARS_MAX, convert=convert)
    if length_max is not None:
        most = 4 * max(0, length_max)
    elif values:
        most = max((len(v) for v in values if isinstance(v, str)), default=0)
    else:
        most = REQUEST_BYTES_MAX - 2
    return Type("string", min_serialized=2, max_elements=most)


def _from_text(convert: Callable[[str], Any]) -> Convert:
    return lambda value: convert(value) if type(value) is str else value


convert_timestamp = _from_text(parse_timestamp)
"""JSON text to a timestamp; what is one already stays."""


def _date(text: str) -> Any:
    return parse_timestamp(text + "T00:00:00Z")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise CelRuntimeError("illegal base64 data") from None


def _as_double(value: Any) -> Any:
    return float(value) if type(value) is int else value


_DOUBLE = Type("double", min_serialized=DOUBLE.min_serialized, convert=_as_double)
