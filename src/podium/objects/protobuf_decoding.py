"""Request bodies in Kubernetes' protobuf form, as the plain values they stand for.

Podium answers in JSON, but stock clients (kubectl create; client-go and controller-runtime for built-in kinds) send protobuf without asking,
and do not try again in JSON. So bodies are understood: the envelope, and every served kind by its field numbers (field_numbers.txt) and
its schema.

Go writes every field that is not a pointer, also when it is empty; JSON leaves those out. So an empty value of such a field is dropped here, and
everything behind the decoder sees the same object as from JSON.

Source: API concepts (protobuf encoding); protobuf.dev/programming-guides/encoding; the message forms of Quantity, IntOrString, Time, RawExtension.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources as package_files
from typing import Any

import orjson

from podium.objects import schema
from podium.objects.schema import Schema
from podium.objects.status import BadRequest

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
DEPTH_MAX = 100
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_RAW = frozenset({"io.k8s.apimachinery.pkg.runtime.RawExtension", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON"})
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Message:
    """`names` maps a number to (JSON name, is a pointer); `inlined` a number to the definition whose fields stand in the outer object."""

    names: dict[int, tuple[str, bool]]
    inlined: dict[int, str]


def decode(body: bytes, kind: str = "") -> dict[str, Any]:
    """The object in an enveloped body, with apiVersion and kind. Raises BadRequest."""
    if not body.startswith(MAGIC):
        raise BadRequest(f"the body is not {MEDIA_TYPE}: its first bytes are not k8s\\x00")
    try:
        return _decode_envelope(body[len(MAGIC) :])
    except (IndexError, ValueError, KeyError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise BadRequest(f"{kind or 'the object'} in the body cannot be decoded as {MEDIA_TYPE}: {error}") from error


def _decode_envelope(body: bytes) -> dict[str, Any]:
    api_version = kind = ""
    raw = b""
    for number, value in _fields(body):
        if number == 1 and isinstance(value, bytes):
            texts = {n: v.decode() for n, v in _fields(value) if isinstance(v, bytes)}
            api_version, kind = texts.get(1, ""), texts.get(2, "")
        elif number == 2 and isinstance(value, bytes):
            raw = value
    name = schema.kinds().get((api_version, kind)) or _shared(kind)
    if name is None or name not in _messages():
        raise ValueError(f"no kind {kind!r} in version {api_version!r} is registered")
    return {"apiVersion": api_version, "kind": kind, **_decode_message(raw, schema.named(name), _messages()[name], 0)}


def _shared(kind: str) -> str | None:
    """DeleteOptions and their like come in every group's version."""
    return _META + kind if _META + kind in _messages() else None


def _decode_message(body: bytes, node: Schema, message: _Message, depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")
    found: dict[str, Any] = {}
    for number, wire in _fields(body):
        if number in message.inlined:
            assert isinstance(wire, bytes)
            found |= _decode_message(wire, node, _messages()[message.inlined[number]], depth + 1)
            continue
        named = message.names.get(number)
        if named is None:
            continue
        name, pointer = named
        child = node.properties.get(name)
        if child is None:
            continue
        if child.type == "array" and not child.int_or_string:
            found.setdefault(name, []).extend(_items(wire, child.items, depth))
        elif child.additional is not None and child.type == "object" and isinstance(wire, bytes):
            key, value = _entry(wire, child.additional, depth)
            found.setdefault(name, {})[key] = value
        else:
            value = _value(wire, child, depth)
            if pointer or value not in ("", 0, False, None, {}):
                found[name] = value
    return found


def _items(wire: int | bytes, node: Schema | None, depth: int) -> list[Any]:
    assert node is not None
    if node.type in ("integer", "boolean") and isinstance(wire, bytes):
        return [_value(number, node, depth) for number in _packed(wire)]
    return [_value(wire, node, depth)]


def _entry(wire: bytes, node: Schema, depth: int) -> tuple[str, Any]:
    key, value = "", None
    for number, content in _fields(wire):
        if number == 1 and isinstance(content, bytes):
            key = content.decode()
        elif number == 2:
            value = content
    if node.type == "array":  # a map of lists: each list is a message with items = 1
        items = [c for n, c in _fields(value) if n == 1] if isinstance(value, bytes) else []
        return key, [_value(item, node.items, depth) for item in items] if node.items is not None else []
    return key, _value(value if value is not None else _empty(node), node, depth)


def _empty(node: Schema) -> int | bytes:
    return 0 if node.type in ("integer", "boolean", "number") else b""


def _value(wire: int | bytes, node: Schema, depth: int) -> Any:
    special = _special(wire, node) if isinstance(wire, bytes) else _NONE
    if special is not _NONE:
        return special
    if isinstance(wire, int):
        return bool(wire) if node.type == "boolean" else wire - (1 << 64) if wire >= 1 << 63 else wire
    if node.type == "string":
        return base64.b64encode(wire).decode() if node.format == "byte" else wire.decode()
    message = _messages().get(node.definition)
    if message is None:
        raise ValueError(f"a field of type {node.definition or node.type} has no message form")
    return _decode_message(wire, node, message, depth + 1)


_NONE = object()


def _special(wire: bytes, node: Schema) -> Any:
    """The messages that are one scalar in JSON."""
    if node.quantity:
        return next((v.decode() for n, v in _fields(wire) if n == 1 and isinstance(v, bytes)), "0")
    if node.int_or_string:
        parts = dict(_fields(wire))
        text, number = parts.get(3, b""), parts.get(2, 0)
        return text.decode() if parts.get(1) == 1 and isinstance(text, bytes) else _signed(number)
    if node.format == "date-time":
        parts = dict(_fields(wire))
        return _time(_signed(parts.get(1, 0)), _signed(parts.get(2, 0)), micro=node.definition.endswith("MicroTime")) if parts else None
    if node.definition == _META + "FieldsV1" or node.definition in _RAW:
        raw = next((v for n, v in _fields(wire) if n == 1 and isinstance(v, bytes)), b"")
        return orjson.loads(raw) if raw else None
    return _NONE


def _signed(number: int | bytes) -> int:
    if not isinstance(number, int):
        raise ValueError("a number was expected")
    return number - (1 << 64) if number >= 1 << 63 else number


def _time(seconds: int, nanoseconds: int, *, micro: bool) -> str:
    at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of a message: an integer for the number types, bytes for the rest. Raises IndexError, ValueError."""
    position, end = 0, len(body)
    while position < end:
        tag, position = _varint(body, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(body, position)
            yield number, value
        elif wire_type == _BYTES:
            length, position = _varint(body, position)
            if position + length > end:
                raise ValueError("unexpected end of the message")
            yield number, body[position : position + length]
            position += length
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
            yield number, int.from_bytes(body[position : position + length], "little")
            position += length
        else:
            raise ValueError(f"wire type {wire_type} is not used by Kubernetes")


def _packed(body: bytes) -> Iterator[int]:
    position = 0
    while position < len(body):
        value, position = _varint(body, position)
        yield value


def _varint(body: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = body[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


@cache
def _messages() -> dict[str, _Message]:
    text = (package_files.files("podium.objects") / "field_numbers.txt").read_text()
    return {name: _message(words) for name, *words in (line.split() for line in text.splitlines())}


def _message(words: list[str]) -> _Message:
    names: dict[int, tuple[str, bool]] = {}
    inlined: dict[int, str] = {}
    for word in words:
        name, equals, number = word.partition("=")
        if equals:
            names[int(number.rstrip("*"))] = (name, number.endswith("*"))
        else:
            plain, _, definition = word.partition(">")
            inlined[int(plain)] = definition
    return _Message(names, inlined)
