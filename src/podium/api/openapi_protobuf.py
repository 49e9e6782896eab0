"""The OpenAPI version 2 document as protobuf: the only form in which client-go reads it.

Theory: the messages are few and flat, so each is written from a table of its fields' numbers; nothing is generated. A map becomes a list of
(name, value) messages; a value of no declared type (vendor extensions, defaults) becomes YAML text, for which JSON serves.

Source: github.com/google/gnostic-models openapiv2/OpenAPIv2.proto (field numbers).
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

Encoder = Callable[[Any], bytes]


def encode_document(document: Mapping[str, Any]) -> bytes:
    """`document` as an openapi.v2.Document message. It must have the shape openapi.py gives it."""
    return _message(document, _DOCUMENT)


# Wire format


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _bool_field(number: int, value: bool) -> bytes:
    return _varint(number << 3) + (b"\x01" if value else b"\x00")


# Field encoders: number -> (value -> bytes)


def _text(number: int) -> Encoder:
    return lambda value: _bytes_field(number, value.encode())


def _texts(number: int) -> Encoder:
    return lambda values: b"".join(_bytes_field(number, value.encode()) for value in values)


def _flag(number: int) -> Encoder:
    return lambda value: _bool_field(number, value)


def _one(number: int, encode: Encoder) -> Encoder:
    return lambda value: _bytes_field(number, encode(value))


def _many(number: int, encode: Encoder) -> Encoder:
    return lambda values: b"".join(_bytes_field(number, encode(value)) for value in values)


def _map(number: int, encode: Encoder) -> Encoder:
    """A map as the message at `number`, whose field 1 repeats (name = 1, value = 2)."""
    return lambda values: _bytes_field(number, b"".join(_named(1, name, encode(value)) for name, value in values.items()))


def _named(number: int, name: str, value: bytes) -> bytes:
    return _bytes_field(number, _bytes_field(1, name.encode()) + _bytes_field(2, value))


def _message(value: Mapping[str, Any], fields: Mapping[str, Encoder], extension: int = 0) -> bytes:
    """Fields in the order of their table; vendor extensions at `extension`."""
    out = [encode(value[name]) for name, encode in fields.items() if name in value]
    if extension:
        out += [_named(extension, name, _any(below)) for name, below in value.items() if name.startswith("x-")]
    return b"".join(out)


def _any(value: Any) -> bytes:
    return _bytes_field(2, orjson.dumps(value) + b"\n")


# Messages, lowest first


def _schema(value: Mapping[str, Any]) -> bytes:
    return _message(value, _SCHEMA, extension=31)


def _type(value: str) -> bytes:
    return _bytes_field(1, value.encode())


def _additional(value: Any) -> bytes:
    return _bool_field(2, value) if isinstance(value, bool) else _bytes_field(1, _schema(value))


def _items(value: Mapping[str, Any]) -> bytes:
    return _bytes_field(1, _schema(value))


_SCHEMA: dict[str, Encoder] = {
    "$ref": _text(1),
    "format": _text(2),
    "description": _text(4),
    "default": _one(5, _any),
    "required": _texts(19),
    "enum": _many(20, _any),
    "additionalProperties": _one(21, _additional),
    "type": _one(22, _type),
    "items": _one(23, _items),
    "properties": _map(25, _schema),
}

_BODY: dict[str, Encoder] = {"description": _text(1), "name": _text(2), "in": _text(3), "required": _flag(4), "schema": _one(5, _schema)}
_QUERY: dict[str, Encoder] = {
    "required": _flag(1), "in": _text(2), "description": _text(3), "name": _text(4), "type": _text(6), "uniqueItems": _flag(20),
}  # fmt: skip
_PATH: dict[str, Encoder] = {
    "required": _flag(1), "in": _text(2), "description": _text(3), "name": _text(4), "type": _text(5), "uniqueItems": _flag(18),
}  # fmt: skip


def _parameter(value: Mapping[str, Any]) -> bytes:
    """A ParametersItem holding a Parameter: a body, or one of the others (query 3, path 4)."""
    if value["in"] == "body":
        return _bytes_field(1, _bytes_field(1, _message(value, _BODY)))
    number, fields = (3, _QUERY) if value["in"] == "query" else (4, _PATH)
    return _bytes_field(1, _bytes_field(2, _bytes_field(number, _message(value, fields))))


def _response(value: Mapping[str, Any]) -> bytes:
    """A ResponseValue holding a Response, its schema a SchemaItem."""
    item: dict[str, Encoder] = {"description": _text(1), "schema": _one(2, lambda below: _bytes_field(1, _schema(below)))}
    return _bytes_field(1, _message(value, item))


_OPERATION: dict[str, Encoder] = {
    "tags": _texts(1),
    "description": _text(3),
    "operationId": _text(5),
    "produces": _texts(6),
    "consumes": _texts(7),
    "parameters": _many(8, _parameter),
    "responses": _map(9, _response),
    "schemes": _texts(10),
}


def _operation(value: Mapping[str, Any]) -> bytes:
    return _message(value, _OPERATION, extension=13)


_PATH_ITEM: dict[str, Encoder] = {
    "get": _one(2, _operation),
    "put": _one(3, _operation),
    "post": _one(4, _operation),
    "delete": _one(5, _operation),
    "patch": _one(8, _operation),
    "parameters": _many(9, _parameter),
}


def _paths(values: Mapping[str, Any]) -> bytes:
    return b"".join(_named(2, name, _message(value, _PATH_ITEM)) for name, value in values.items())


_DOCUMENT: dict[str, Encoder] = {
    "swagger": _text(1),
    "info": _one(2, lambda value: _message(value, {"title": _text(1), "version": _text(2)})),
    "paths": _one(8, _paths),
    "definitions": _map(9, _schema),
}
