"""OTLP requests, read: protobuf or JSON, perhaps gzipped; and attributes as text.

OTLP's JSON is protobuf's, but that identifiers of traces and spans are written in hexadecimal.

Source: the OpenTelemetry protocol, "OTLP/HTTP" and "JSON Protobuf Encoding"; pdata's AsString for attributes as text.
"""

import base64
import math
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.world.protobuf_messages import message_class

DESCRIPTORS = Path(__file__).parent / "generated" / "otlp.binpb"
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""Of one message, uncompressed."""
PROTOBUF, JSON = "application/x-protobuf", "application/json"
ATTRIBUTE_DEPTH_MAX = 16
"""Of lists and maps in an attribute's value."""
_IDENTIFIERS = ("traceId", "spanId", "trace_id", "span_id")


def request_message() -> Any:
    """The class of what is exported."""
    return message_class(DESCRIPTORS, "otlp.ExportMetricsServiceRequest")


def decode(body: bytes, content_type: str, encoding: str) -> Any:
    """The message in a body. Raises MessageRefused."""
    if content_type not in (PROTOBUF, JSON):
        raise MessageRefused(f"unsupported content type: {content_type}, supported: [{JSON}, {PROTOBUF}]")
    if encoding == "gzip":
        body = _gunzipped(body)
    elif encoding:
        raise MessageRefused(f'unsupported compression: {encoding}. Only "gzip" or no compression supported')
    return _of_protobuf(body) if content_type == PROTOBUF else _of_json(body)


def _gunzipped(body: bytes) -> bytes:
    reader = zlib.decompressobj(31)
    try:
        found = reader.decompress(body, MESSAGE_BYTES_MAX + 1)
    except zlib.error as error:
        raise MessageRefused(f"gzip: {error}") from error
    if len(found) > MESSAGE_BYTES_MAX:
        raise MessageRefused(f"the message has more than {MESSAGE_BYTES_MAX} bytes")
    if not reader.eof:
        raise MessageRefused("gzip: unexpected EOF")
    return found


def _of_protobuf(body: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return request_message().FromString(body)
    except DecodeError as error:
        raise MessageRefused(f"proto: {error}") from error


def _of_json(body: bytes) -> Any:
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        given = orjson.loads(body)
        if not isinstance(given, dict):
            raise MessageRefused("an object is wanted")
        return ParseDict(_with_identifiers(given), request_message()(), ignore_unknown_fields=True)
    except (orjson.JSONDecodeError, ParseError, ValueError, RecursionError) as error:
        raise MessageRefused(f"json: {error}") from error


def _with_identifiers(given: Any) -> Any:
    """As protobuf's JSON has bytes."""
    if isinstance(given, list):
        return [_with_identifiers(one) for one in given]
    if not isinstance(given, dict):
        return given
    return {
        name: base64.b64encode(bytes.fromhex(value)).decode()
        if name in _IDENTIFIERS and isinstance(value, str)
        else _with_identifiers(value)
        for name, value in given.items()
    }


def text_of(value: Any) -> str:
    """An AnyValue. Raises MessageRefused for one that is too deep."""
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    return _TEXTS[kind](getattr(value, kind)) if kind in _TEXTS else _json(value, 1)


def pairs_of(attributes: Iterable[Any]) -> list[tuple[str, str]]:
    return [(attribute.key, text_of(attribute.value)) for attribute in attributes]


def _json(value: Any, depth: int) -> str:
    """As Go writes it: keys sorted, whole numbers without a fraction."""
    if depth > ATTRIBUTE_DEPTH_MAX:
        raise MessageRefused(f"an attribute's value has more than {ATTRIBUTE_DEPTH_MAX} levels")
    match value.WhichOneof("value"):
        case None:
            return "null"
        case "array_value":
            return f"[{','.join(_json(one, depth + 1) for one in value.array_value.values)}]"
        case "kvlist_value":
            pairs = {one.key: one.value for one in value.kvlist_value.values}
            return f"{{{','.join(f'{orjson.dumps(key).decode()}:{_json(pairs[key], depth + 1)}' for key in sorted(pairs))}}}"
        case "double_value":
            return number_text(value.double_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case _:
            return orjson.dumps(text_of(value)).decode()


def number_text(value: float) -> str:
    """As JavaScript writes it."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = repr(value).partition("e")
        return f"{mantissa.removesuffix('.0')}e{'-' if exponent[0] == '-' else '+'}{exponent.lstrip('+-').lstrip('0')}"
    return plain_text(value)


def plain_text(value: float) -> str:
    """As few digits as say it, without an exponent: the bound of a bucket."""
    from decimal import Decimal

    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


_TEXTS: dict[str, Callable[[Any], str]] = {
    "string_value": str, "bool_value": lambda v: "true" if v else "false", "int_value": str, "double_value": number_text,
    "bytes_value": lambda v: base64.b64encode(v).decode(),
}  # fmt: skip
