"""Structure: an object brought into the shape of its schema.

Theory: two readings. The first, compiled per kind to closures, only says whether the object is as it should be (and drops nulls on the
way); it makes no paths and no messages, and nearly every object of a program passes it. When it says no, the second walks the object
with its path, drops unknown fields, mends what upstream's decoder mends and collects what it refuses.

Invariants, after `conform` of an object that it does not refuse: no field is unknown, none is null (a null in a list or map becomes the
zero value of its type, as in Go), every field has its type, quantities are text. Free-form content (RawExtension, JSON) is untouched.
`conform` of a conforming object changes nothing.

Required fields: Go's decoder knows none; upstream's validation asks for them. So they are checked where users write (not below `status`,
nor in `metadata`), an absent struct counts as an empty one, and those that upstream lets be empty are exempt.

Source: sigs.k8s.io/json (names of unknown fields), apiextensions validation (wording of type errors), encoding/json (nulls).
"""

import binascii
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from podium.objects import schema as schemas
from podium.objects.cause import Cause, invalid, required, type_invalid
from podium.objects.decoding import type_name
from podium.objects.schema import Schema

Check = Callable[[Any], bool]

FINDINGS_MAX = 100
"""How many unknown fields and how many causes are named, as upstream's decoder. Further unknown fields are dropped without a word; at that
many causes the walk ends, since the object is refused anyway."""

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_QUANTITY = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
QUANTITY_CHARS_MAX = 100
_QUANTITY_RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)")

_CORE = "io.k8s.api.core.v1."
_MAY_BE_EMPTY = frozenset({
    (_CORE + "Event", "metadata"), (_CORE + "Event", "involvedObject"), (_CORE + "LimitRangeSpec", "limits"),
    (_CORE + "HTTPHeader", "value"), (_CORE + "Sysctl", "value"),
    (_CORE + "ISCSIVolumeSource", "lun"), (_CORE + "ISCSIPersistentVolumeSource", "lun"),
    ("io.k8s.api.events.v1.Event", "eventTime"), ("io.k8s.api.storage.v1.CSINodeSpec", "drivers"),
})  # fmt: skip
"""Required in the documents since Go always writes them; upstream accepts their absence (as it does of every boolean)."""
_UNASKED = frozenset({"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"})


@dataclass(slots=True)
class Findings:
    """`unknown` are upstream's phrases, ready for a Warning header or a strict refusal: `unknown field "spec.containers[0].foo"`.
    Each list has at most FINDINGS_MAX entries."""

    unknown: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)

    def add_unknown(self, path: str) -> None:
        if len(self.unknown) < FINDINGS_MAX:
            self.unknown.append(f'unknown field "{path}"')

    def add_cause(self, cause: Cause) -> None:
        self.causes.append(cause)
        if len(self.causes) == FINDINGS_MAX:
            raise _Enough


class _Enough(Exception):
    """Nothing more needs to be found."""


def conform(value: dict[str, Any], api_version: str, kind: str) -> Findings:
    """Bring `value` into the shape of its kind, in place. Raises KeyError for a kind without a schema."""
    node = schemas.load(api_version, kind)
    findings = Findings()
    if not _check_of(node, True)(value):
        with contextlib.suppress(_Enough):
            _Walk(findings).object(value, node, "", True)
    return findings


def conform_part(value: Any, node: Schema, path: str, findings: Findings) -> None:
    """The same for one part of an object (the metadata of a custom one); `path` is where it is."""
    if not _check_of(node, True)(value):
        with contextlib.suppress(_Enough):
            if type(value) is dict:
                _Walk(findings).object(value, node, path, True)
            else:
                findings.add_cause(type_invalid(path, type_name(value), f'{path} in body must be of type object: "{type_name(value)}"'))


# The first reading: is it as it should be?


@cache
def _check_of(node: Schema, asked: bool) -> Check:
    """`asked`: whether required fields are."""
    if node.quantity:
        return _is_quantity
    if node.int_or_string:
        return _is_int_or_string
    if node.properties:
        return _object_check(node, asked)
    if node.preserve_unknown:
        return _is_object if node.type == "object" else _is_anything
    match node.type:
        case "object":
            return _map_check(node.additional, asked) if node.additional is not None else _is_object
        case "array":
            assert node.items is not None
            return _array_check(node.items, asked)
        case "integer":
            return _is_int32 if node.format == "int32" else _is_int64
        case "number":
            return _is_number
        case "string":
            return {"byte": _is_base64, "date-time": _is_time}.get(node.format, _is_string)
        case "boolean":
            return _is_boolean
    return _is_anything


def _object_check(node: Schema, asked: bool) -> Check:
    """Compiled at its first use, since definitions may contain themselves."""
    simple: dict[str, type] = {}
    checks: dict[str, Check] = {}
    needed: frozenset[str] = frozenset()
    ready = False

    def compile_fields() -> None:
        nonlocal needed, ready
        for name, below in node.properties.items():
            check = _check_of(below, asked and _asked_below(node, name))
            if check is _is_string:
                simple[name] = str
            elif check is _is_boolean:
                simple[name] = bool
            checks[name] = check
        needed = frozenset(_required(node)) if asked else frozenset()
        ready = True

    def check(value: Any) -> bool:
        if type(value) is not dict:
            return False
        if not ready:
            compile_fields()
        nulls = False
        for name, below in value.items():
            if simple.get(name) is type(below):
                continue
            if below is None:
                nulls = True
            elif (deeper := checks.get(name)) is None or not deeper(below):
                return False
        if nulls:
            _drop_known_nulls(value, checks)
            if None in value.values():
                return False
        return needed <= value.keys()

    return check


def _drop_known_nulls(value: dict[str, Any], known: dict[str, Any]) -> None:
    for name in [name for name, below in value.items() if below is None and name in known]:
        del value[name]


def _asked_below(node: Schema, name: str) -> bool:
    return node.definition not in _UNASKED and not (name in ("status", "metadata") and "apiVersion" in node.properties)


def _required(node: Schema) -> tuple[str, ...]:
    if node.definition in _UNASKED:
        return ()
    return tuple(n for n in node.required if (node.definition, n) not in _MAY_BE_EMPTY and node.properties[n].type != "boolean")


def _array_check(items: Schema, asked: bool) -> Check:
    check = _check_of(items, asked)

    def check_array(value: Any) -> bool:
        return type(value) is list and all(map(check, value))

    return check_array


def _map_check(values: Schema, asked: bool) -> Check:
    check = _check_of(values, asked)

    def check_map(value: Any) -> bool:
        return type(value) is dict and all(map(check, value.values()))

    return check_map


def _is_anything(value: Any) -> bool:
    return True


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _is_string(value: Any) -> bool:
    return type(value) is str


def _is_boolean(value: Any) -> bool:
    return type(value) is bool


def _is_int32(value: Any) -> bool:
    return type(value) is int and INT32_MIN <= value <= INT32_MAX


def _is_int64(value: Any) -> bool:
    return type(value) is int and INT64_MIN <= value <= INT64_MAX


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _is_int_or_string(value: Any) -> bool:
    return type(value) is str or _is_int32(value)


def _is_quantity(value: Any) -> bool:
    return type(value) is str and len(value) <= QUANTITY_CHARS_MAX and _QUANTITY.fullmatch(value) is not None


def _is_time(value: Any) -> bool:
    return type(value) is str and _TIME.fullmatch(value) is not None


def _is_base64(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        return False
    return True


# The second reading: what is wrong, and where?


class _Walk:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def object(self, value: dict[str, Any], node: Schema, path: str, asked: bool) -> None:
        for name in list(value):
            here = f"{path}.{name}" if path else name
            below = node.properties.get(name)
            if below is None:
                del value[name]
                self._findings.add_unknown(here)
            elif value[name] is None:
                del value[name]
            else:
                value[name] = self._mended(value[name], below, here, asked and _asked_below(node, name))
        if asked:
            self._ask(value, node, path)

    def _ask(self, value: dict[str, Any], node: Schema, path: str) -> None:
        for name in _required(node):
            if name in value:
                continue
            here = f"{path}.{name}" if path else name
            below = node.properties[name]
            if _required(below):
                self._ask({}, below, here)
            else:
                self._findings.add_cause(required(here))

    def _mended(self, value: Any, node: Schema, path: str, asked: bool) -> Any:
        """The value as it is to be kept; a wrong one is kept as it is and reported."""
        if node.quantity:
            return self._quantity(value, path)
        if node.properties or (node.type == "object" and node.additional is None):
            if type(value) is not dict:
                self._wrong_type(value, "object", path)
            elif node.properties:
                self.object(value, node, path, asked)
            return value
        if node.type == "object" and node.additional is not None:
            return self._map(value, node.additional, path, asked)
        if node.type == "array" and node.items is not None:
            return self._array(value, node.items, path, asked)
        return self._scalar(value, node, path)

    def _map(self, value: Any, values: Schema, path: str, asked: bool) -> Any:
        if type(value) is not dict:
            self._wrong_type(value, "object", path)
            return value
        for key, below in value.items():
            value[key] = self._mended(_zero(values) if below is None else below, values, f"{path}.{key}", asked)
        return value

    def _array(self, value: Any, items: Schema, path: str, asked: bool) -> Any:
        if type(value) is not list:
            self._wrong_type(value, "array", path)
            return value
        for index, item in enumerate(value):
            value[index] = self._mended(_zero(items) if item is None else item, items, f"{path}[{index}]", asked)
        return value

    def _quantity(self, value: Any, path: str) -> Any:
        if type(value) in (int, float):
            value = repr(value)
        if type(value) is not str:
            self._wrong_type(value, "string", path)
        elif not _is_quantity(value):
            self._findings.add_cause(invalid(path, value, _QUANTITY_RULE))
        return value

    def _scalar(self, value: Any, node: Schema, path: str) -> Any:
        if _check_of(node, False)(value):
            return value
        add = self._findings.add_cause
        if node.int_or_string:
            self._wrong_type(value, "integer or string", path)
        elif node.type == "integer" and type(value) is int:
            add(invalid(path, value, f"{path} in body must be of type {node.format or 'int64'}"))
        elif node.type != "string" or type(value) is not str:
            self._wrong_type(value, node.type, path)
        elif node.format == "byte":
            add(invalid(path, value, f"{path} in body must be of type byte: illegal base64 data"))
        else:
            add(invalid(path, value, f"{path} in body must be of type date-time: {value!r} is not RFC 3339".replace("'", '"')))
        return value

    def _wrong_type(self, value: Any, wanted: str, path: str) -> None:
        name = type_name(value)
        self._findings.add_cause(type_invalid(path, name, f'{path} in body must be of type {wanted}: "{name}"'))


def _zero(node: Schema) -> Any:
    """What Go's decoder leaves where a list or map has a null."""
    if node.quantity:
        return "0"
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}.get(node.type, {})
