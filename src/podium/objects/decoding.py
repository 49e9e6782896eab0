"""Decoding: the bytes of a request body into one JSON value.

Theory: orjson decodes fast but keeps the last of several equal keys without a word, and upstream's strict decoding names each
(`duplicate field "spec.x"`). Most clients send compact JSON: then encoding the value again gives the same bytes, which proves that
nothing was lost. Only when it does not (spaces, escapes) does a second, slower reading look for duplicates, and only when it finds one
a third that builds their paths.

Invariants: what comes out can be encoded by orjson (no NaN, no integers beyond 64 bits that matter, at most DEPTH_MAX levels), and
YAML gives only JSON types, with aliases written out to at most NODES_MAX values.

Source: k8s.io/apimachinery runtime/serializer/json and sigs.k8s.io/json (names of duplicates), apiserver negotiation errors (messages).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from podium.objects.protobuf import MEDIA_TYPE as PROTOBUF
from podium.objects.protobuf import ProtobufError, read_protobuf
from podium.objects.status import BadRequest, TooLarge, UnsupportedMediaType

BODY_BYTES_MAX = 3 * 1024 * 1024
DEPTH_MAX = 200
"""Levels of nesting. Upstream allows 10,000; ours must leave room below orjson's 254 for the lists and events objects are put in."""
NODES_MAX = 250_000
"""Values in one YAML document with its aliases written out."""
DUPLICATES_MAX = 100
"""How many duplicate fields are named, as upstream's decoder."""
MEDIA_TYPES = ("application/json", "application/yaml", PROTOBUF)

_SUMMARY_BYTES = 30


@dataclass(frozen=True, slots=True)
class Decoded:
    """`duplicates` are upstream's phrases, ready for a Warning header or a strict refusal: `duplicate field "spec.x"`."""

    value: Any
    duplicates: list[str] = field(default_factory=list)


def decode(body: bytes, content_type: str, *, kind: str = "", allow_list: bool = False) -> Decoded:
    """One object, or with `allow_list` a list (a JSON patch). JSON, YAML (media types ending in +json and +yaml count) or protobuf.

    `kind`, if given, is the kind expected, for the message. Raises BadRequest, UnsupportedMediaType, TooLarge.
    """
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"Request entity too large: limit is {BODY_BYTES_MAX}")
    media = content_type.partition(";")[0].strip().lower()
    if not media or media == "application/json" or media.endswith("+json"):
        decoded = _decode_json(body, kind)
    elif media in ("application/yaml", "application/x-yaml", "text/yaml") or media.endswith("+yaml"):
        decoded = _decode_yaml(body, kind)
    elif media == PROTOBUF:
        return _decode_protobuf(body, kind)
    else:
        accepted = ", ".join(MEDIA_TYPES)
        raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {accepted}")
    if type(decoded.value) is dict or (allow_list and type(decoded.value) is list):
        return decoded
    detail = f"json: cannot unmarshal {type_name(decoded.value)} into Go value of type struct {{ APIVersion string; Kind string }}"
    raise _refused(f"couldn't get version/kind; json parse error: {detail}", body, kind)


def type_name(value: Any) -> str:
    """The JSON type of a value, as upstream's messages name it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    for kind, name in ((str, "string"), (float, "number"), (dict, "object"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "null"


def _decode_json(body: bytes, kind: str) -> Decoded:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _refused(f"couldn't get version/kind; json parse error: {_reason(error, body)}", body, kind) from error
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX:
        _check_depth(value, body, kind)
    plain = orjson.dumps(value)
    if plain == body.rstrip() or plain.translate(None, _SPACE) == body.translate(None, _SPACE):  # then no key was lost on the way
        return Decoded(value)
    return Decoded(value, _duplicates(body))


_SPACE = b" \t\r\n"
"""What may stand between the tokens of JSON. Two texts that are equal without it have equally many keys in each object."""


_GO_WORDS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}
"""What the standard library's parser says -> what Go's encoding/json says after `invalid character 'x' `, which users know."""


def _reason(error: orjson.JSONDecodeError, body: bytes) -> str:
    """What is wrong with the JSON, in Go's words; a second parser finds them, since orjson's are its own."""
    if not _is_text(body):
        return "invalid UTF-8"
    try:
        json.loads(body.decode(), parse_int=str, parse_float=str)
    except json.JSONDecodeError as second:
        text = second.doc.rstrip()
        if second.pos >= len(text) or second.msg.startswith("Unterminated string"):
            return "unexpected end of JSON input"
        return f"invalid character {text[second.pos]!r} {_GO_WORDS.get(second.msg, second.msg)}"
    except RecursionError:
        return f"exceeded max depth of {DEPTH_MAX}"
    return f"line {error.lineno} column {error.colno}: {error.msg}"


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refused(why: str, body: bytes, kind: str) -> BadRequest:
    if not kind:
        return BadRequest(why)
    return BadRequest(f"the object provided is unrecognized (must be of type {kind}): {why} ({_summary(body)})")


def _summary(body: bytes) -> str:
    """The beginning of the body: as text when it looks like JSON, else in hexadecimal."""
    if not body:
        return "<empty>"
    head = body[:_SUMMARY_BYTES]
    text = head.decode(errors="replace") if body[:1] == b"{" else head.hex()
    return text + " ..." if len(body) > _SUMMARY_BYTES else text


def _check_depth(value: Any, body: bytes, kind: str) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise _refused(f"couldn't get version/kind; json parse error: exceeded max depth of {DEPTH_MAX}", body, kind)
        inside = (child for node in level for child in (node.values() if type(node) is dict else node))
        level = [child for child in inside if type(child) in (dict, list)]


# Duplicates


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, equal keys and all."""


def _duplicates(body: bytes) -> list[str]:
    found = False

    def check(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) != len(pairs)

    _reread(body, check)
    if not found:
        return []
    paths: list[str] = []
    _collect_duplicates(_reread(body, _Pairs), "", paths.append)
    return _phrases(paths)


def _reread(body: bytes, hook: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """Numbers stay text: Python refuses to read some that orjson does."""
    return json.loads(body, object_pairs_hook=hook, parse_int=str, parse_float=str)


def _phrases(paths: list[str]) -> list[str]:
    return [f'duplicate field "{path}"' for path in list(dict.fromkeys(paths))[:DUPLICATES_MAX]]


def _collect_duplicates(node: Any, path: str, report: Callable[[str], None]) -> None:
    if type(node) is _Pairs:
        seen: set[str] = set()
        for key, below in node:
            here = f"{path}.{key}" if path else key
            if key in seen:
                report(here)
            seen.add(key)
            _collect_duplicates(below, here, report)
    elif type(node) is list:
        for index, below in enumerate(node):
            _collect_duplicates(below, f"{path}[{index}]", report)


def _decode_yaml(body: bytes, kind: str) -> Decoded:
    from podium.objects.yaml_values import YamlError, read_yaml  # programs speak JSON: the parser is loaded for people

    try:
        value, duplicates = read_yaml(body, depth_max=DEPTH_MAX, nodes_max=NODES_MAX)
    except YamlError as error:
        raise _refused(f"couldn't get version/kind; json parse error: yaml: {error}", body, kind) from error
    return Decoded(value, _phrases(duplicates))


def _decode_protobuf(body: bytes, kind: str) -> Decoded:
    try:
        return Decoded(read_protobuf(body, depth_max=DEPTH_MAX))
    except ProtobufError as error:
        raise _refused(str(error), body, kind) from error
