"""Protobuf bodies: what client-go sends for built-in kinds, read into the same values that JSON gives.

Theory: client-go since 1.32 (kubectl create, and every program with typed clients) writes protobuf and does not fall back to JSON. A body is
the magic `k8s\\0` and a runtime.Unknown: apiVersion, kind and the message of that kind. The schemas say the type of each field, so all that
is added here is the fields' numbers (`protobuf_fields.txt`, see tools/extract_protobuf.py). Readers are compiled per message when first met.

Go writes fields that are no pointers even when they are zero; the table marks those whose zero value its JSON leaves out, and so do we.
Answers are always JSON: every such client accepts it.

Source: k8s.io/apimachinery runtime/serializer/protobuf; the types' own marshalling (Quantity, IntOrString, Time, RawExtension, JSON).
"""

import base64
import re
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources as package_files
from typing import Any

import orjson

from podium.objects import schema as schemas
from podium.objects.schema import Schema

MAGIC = b"k8s\x00"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

Reader = Callable[[Any, int], Any]
"""(what the wire holds: an int or bytes, how deep) -> a JSON value; None for nothing."""

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ProtobufError(ValueError):
    """The bytes are no such message; the message says why."""


def read_protobuf(body: bytes, *, depth_max: int) -> dict[str, Any]:
    """The object in an enveloped body, with its apiVersion and kind. Raises ProtobufError."""
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        return _envelope(body[len(MAGIC) :], depth_max)
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError, TypeError, AttributeError) as error:
        raise ProtobufError(f"unexpected EOF or wrong wire type ({type(error).__name__})") from error


def _envelope(body: bytes, depth: int) -> dict[str, Any]:
    api_version = kind = ""
    raw = b""
    for number, content in _fields(body):
        if number == 1:
            named = dict(_fields(content))
            api_version, kind = named.get(1, b"").decode(), named.get(2, b"").decode()
        elif number == 2:
            raw = content
        elif number == 3 and content:
            raise ProtobufError(f"content encoding {content.decode()!r} is not supported")
    definition = schemas.kinds().get((api_version, kind)) or schemas.kinds().get(("v1", kind))
    if definition is None or (not definition.startswith(_META) and (api_version, kind) not in schemas.kinds()):
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
    value = _message_reader(definition)(raw, depth)
    return {"apiVersion": api_version, "kind": kind, **value}


# The wire


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, int or bytes) in the order they come."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 2:
            size, at = _varint(message, at)
            if at + size > end:
                raise ProtobufError("unexpected EOF")
            yield key >> 3, message[at : at + size]
            at += size
        elif wire == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > end:
                raise ProtobufError("unexpected EOF")
            yield key >> 3, message[at : at + size]
            at += size
        else:
            raise ProtobufError(f"illegal wireType {wire}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    byte = message[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while shift < 70:
        at += 1
        byte = message[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + 1
        shift += 7
    raise ProtobufError("integer overflow")


# Readers of one value


def _string(content: bytes, depth: int) -> str:
    return content.decode()


def _integer(content: int, depth: int) -> int:
    return content - (1 << 64) if content >= 1 << 63 else content + 0


def _boolean(content: int, depth: int) -> bool:
    return content + 0 != 0


def _number(content: Any, depth: int) -> float:
    if isinstance(content, int):
        return content
    (value,) = struct.unpack("<d" if len(content) == 8 else "<f", content)
    return float(value)


def _base64(content: bytes, depth: int) -> str:
    return base64.b64encode(content).decode()


def _time(content: bytes, depth: int) -> str | None:
    return _timestamp(content, micro=False)


def _micro_time(content: bytes, depth: int) -> str | None:
    return _timestamp(content, micro=True)


def _timestamp(content: bytes, micro: bool) -> str | None:
    if not content:
        return None
    parts = dict(_fields(content))
    moment = _EPOCH + timedelta(seconds=_integer(parts.get(1, 0), 0), microseconds=_integer(parts.get(2, 0), 0) // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ").rjust(27 if micro else 20, "0")


def _quantity(content: bytes, depth: int) -> str:
    text: bytes = dict(_fields(content)).get(1, b"")
    return text.decode() or "0"


def _int_or_string(content: bytes, depth: int) -> int | str:
    parts = dict(_fields(content))
    if parts.get(1, 0) == 1:
        text: bytes = parts.get(3, b"")
        return text.decode()
    return _integer(parts.get(2, 0), depth)


def _raw_json(content: bytes, depth: int) -> Any:
    raw = dict(_fields(content)).get(1, b"")
    if raw.startswith(MAGIC):
        return _envelope(raw[len(MAGIC) :], _deeper(depth))
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"raw JSON: {error}") from error


def _deeper(depth: int) -> int:
    if depth <= 0:
        raise ProtobufError("exceeded max depth")
    return depth - 1


def _properties_or(other: str) -> Reader:
    """JSONSchemaPropsOrBool and its like: message 1 and 2 are the alternatives."""

    def read(content: bytes, depth: int) -> Any:
        schema_at = 2 if other == "bool" else 1
        properties = _message_reader(_EXTENSIONS + "JSONSchemaProps")
        allowed, several, schema = True, [], None
        for number, inner in _fields(content):
            if number == schema_at:
                schema = properties(inner, _deeper(depth))
            elif other == "bool":
                allowed = _boolean(inner, depth)
            else:
                several.append(properties(inner, _deeper(depth)) if other == "array" else _string(inner, depth))
        if schema is not None:
            return schema
        return allowed if other == "bool" else several

    return read


_SPECIAL: dict[str, Reader] = {
    _META + "Time": _time,
    _META + "MicroTime": _micro_time,
    _META + "FieldsV1": _raw_json,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _raw_json,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    schemas.QUANTITY: _quantity,
    _EXTENSIONS + "JSON": _raw_json,
    _EXTENSIONS + "JSONSchemaPropsOrBool": _properties_or("bool"),
    _EXTENSIONS + "JSONSchemaPropsOrArray": _properties_or("array"),
    _EXTENSIONS + "JSONSchemaPropsOrStringArray": _properties_or("strings"),
}


def _reader_of(node: Schema) -> Reader:
    """The reader of a single value of that type."""
    if node.definition in _SPECIAL:
        return _SPECIAL[node.definition]
    if node.definition:
        return _message_reader(node.definition)
    if node.type == "array":
        assert node.items is not None
        return _wrapped_list(_reader_of(node.items))
    if node.type == "string":
        return _base64 if node.format == "byte" else _string
    return {"integer": _integer, "boolean": _boolean, "number": _number}[node.type]


def _wrapped_list(item: Reader) -> Reader:
    """A list that is a map's value is a message of its own, with the items at 1."""
    return lambda content, depth: [item(inner, depth) for number, inner in _fields(content) if number == 1]


# Messages


class _Field:
    """One numbered field. `shape`: one, list, map, or inside (its fields are the enclosing object's)."""

    __slots__ = ("absent", "name", "packed", "read", "shape", "zero")

    def __init__(self, name: str, node: Schema, absent: bool) -> None:
        self.name, self.absent, self.shape, self.zero = name, absent, "one", None
        self.packed = False
        inner = node
        if node.definition not in _SPECIAL and node.type == "array":
            assert node.items is not None
            self.shape, inner = "list", node.items
            self.packed = inner.type in ("integer", "boolean")
        elif node.definition not in _SPECIAL and node.additional is not None:
            self.shape, inner = "map", node.additional
            self.zero = {"string": "", "array": []}.get(inner.type)
        self.read = _reader_of(inner)

    def read_into(self, value: dict[str, Any], item: Any, depth: int) -> None:
        if self.shape == "one":
            read = self.read(item, depth)
            if read is not None and (read or not self.absent):
                value[self.name] = read
        elif self.shape == "list":
            items = value.setdefault(self.name, [])
            if self.packed and isinstance(item, bytes):
                items += [self.read(number, depth) for number in _unpack(item)]
            else:
                items.append(self.read(item, depth))
        else:
            pair = dict(_fields(item))
            key: bytes = pair.get(1, b"")
            value.setdefault(self.name, {})[key.decode()] = self.read(pair[2], depth) if 2 in pair else self.zero


class _Message:
    """A message's fields by number; `inside`: the messages whose fields are this one's own."""

    __slots__ = ("fields", "inside")

    def __init__(self, name: str, node: Schema) -> None:
        self.fields: dict[int, _Field] = {}
        self.inside: dict[int, _Message] = {}
        for entry in _table().get(name, "").split():
            number, mark, field = re.split("([:>])", entry)
            if mark == ">":
                self.inside[int(number)] = _Message(f"{name.rpartition('.')[0]}.{field}", node)
            elif (below := node.properties.get(field.rstrip("?"))) is not None:
                self.fields[int(number)] = _Field(field.rstrip("?"), below, field.endswith("?"))

    def read_into(self, value: dict[str, Any], content: bytes, depth: int) -> None:
        for number, item in _fields(content):
            field = self.fields.get(number)
            if field is not None:
                field.read_into(value, item, depth)
            elif number in self.inside:
                self.inside[number].read_into(value, item, depth)


@cache
def _message_reader(definition: str) -> Reader:
    message: _Message | None = None

    def read(content: bytes, depth: int) -> dict[str, Any]:
        nonlocal message
        if message is None:  # not before its first use: definitions may contain themselves
            message = _Message(definition, schemas.named(definition))
        value: dict[str, Any] = {}
        message.read_into(value, content, _deeper(depth))
        return value

    return read


def _unpack(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        number, at = _varint(content, at)
        yield number


@cache
def _table() -> dict[str, str]:
    text = (package_files.files("podium.objects") / "protobuf_fields.txt").read_text()
    return dict(line.split("\t") for line in text.splitlines())
