"""Structural schemas: what the schema of a custom kind may look like.

A schema is structural when every field has one type, said outside of allOf, anyOf, oneOf and not: only then can objects be pruned and
defaulted by it. `check_schema` asks for that, and for what our and upstream's validators support of JSON Schema; `path` is that of the schema.

Source: apiextensions-apiserver pkg/apiserver/schema/{validation,complete}.go, pkg/apis/apiextensions/validation/validation.go,
pkg/apiserver/schema/defaulting/validation.go.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from podium.objects.custom.patterns import compile_pattern
from podium.objects.custom.pruning import PRESERVE, prune
from podium.objects.custom.validity import EMBEDDED, INT_OR_STRING, LIST_KEYS, LIST_TYPE, RULES, Node, has_rules
from podium.objects.custom.violations import violations
from podium.objects.validation.faults import Faults
from podium.objects.values import copy

MAP_TYPE = "x-kubernetes-map-type"
TYPES = ("array", "boolean", "integer", "number", "object", "string")
META = ("apiVersion", "kind", "metadata")
ROOT, ITEM, FIELD = "the root", "specified array items", "specified object fields"
COMBINATIONS = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING_ANY = [{"type": "integer"}, {"type": "string"}]
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")


def check_schema(faults: Faults, schema: Node, path: str) -> None:
    before = len(faults)
    if schema.get("nullable"):
        faults.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    _check_language(faults, schema, path, root=True)
    structural = Faults()
    _check_invariants(structural, schema, ROOT, path)
    _check_completeness(structural, schema, schema, path, path)
    faults += sorted(structural, key=str)
    if len(faults) == before and has_rules(schema):
        from podium.objects.validation.rules import check_rules

        check_rules(faults, schema, path)
    if len(faults) == before:
        _check_defaults(faults, schema, path, root=True)


# What of JSON Schema is supported


def _check_language(faults: Faults, s: Node, path: str, *, root: bool = False, inside_meta: bool = False, no_defaults: str = "") -> None:
    if s.get("type") and s["type"] not in TYPES and s["type"] != "null":
        faults.one_of(f"{path}.type", s["type"], TYPES)
    if s.get("default") is not None and no_defaults:
        faults.forbidden(f"{path}.default", f"must not be set {no_defaults}")
    for name in _UNSUPPORTED:
        if s.get(name):
            faults.forbidden(f"{path}.{name}", f"{name} is not supported")
    if s.get("type") == "null":
        faults.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(s.get("items"), list):
        faults.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if inside_meta and s.get(EMBEDDED):
        faults.forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta")
    if s.get("uniqueItems"):
        faults.forbidden(f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
    if s.get("properties") and s.get("additionalProperties") not in (None, True):
        faults.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    _check_extensions(faults, s, path)
    _check_lists(faults, s, path)
    if isinstance(s.get("additionalProperties"), Mapping):
        reason = "inside additionalProperties applying to object metadata" if inside_meta else no_defaults
        _check_language(faults, s["additionalProperties"], f"{path}.additionalProperties", inside_meta=inside_meta, no_defaults=reason)
    for name, below in (s.get("properties") or {}).items():
        meta = (root or bool(s.get(EMBEDDED))) and name in META
        reason = f"in top-level {name}" if meta and root else no_defaults
        _check_language(faults, below, f"{path}.properties[{name}]", inside_meta=inside_meta or meta, no_defaults=reason)
    for name, below in _nested(s):
        _check_language(faults, below, f"{path}.{name}", inside_meta=inside_meta, no_defaults=no_defaults)
    if isinstance(s.get("items"), Mapping):
        _check_language(faults, s["items"], f"{path}.items", inside_meta=inside_meta, no_defaults=no_defaults)


def _nested(s: Node) -> list[tuple[str, Node]]:
    """The schemas of a combination, with their place."""
    found = [(f"{name}[{i}]", below) for name in COMBINATIONS for i, below in enumerate(s.get(name) or ())]
    return [("not", s["not"]), *found] if isinstance(s.get("not"), Mapping) else found


def _check_extensions(faults: Faults, s: Node, path: str) -> None:
    if s.get(PRESERVE) is False:
        faults.invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")
    if (map_type := s.get(MAP_TYPE)) is not None:
        _check_type_is(faults, s, path, "object", f"must be object if {MAP_TYPE} is specified")
        faults.one_of(f"{path}.{MAP_TYPE}", map_type, ("atomic", "granular"))
    if (list_type := s.get(LIST_TYPE)) is not None:
        _check_type_is(faults, s, path, "array", f"must be array if {LIST_TYPE} is specified")
        faults.one_of(f"{path}.{LIST_TYPE}", list_type, ("atomic", "set", "map"))


def _check_type_is(faults: Faults, s: Node, path: str, wanted: str, why: str) -> None:
    if not s.get("type"):
        faults.required(f"{path}.type", why)
    elif s["type"] != wanted:
        faults.invalid(f"{path}.type", s["type"], why)


def _check_lists(faults: Faults, s: Node, path: str) -> None:
    list_type, keys, items = s.get(LIST_TYPE), s.get(LIST_KEYS) or [], s.get("items")
    if keys and list_type is None:
        faults.required(f"{path}.{LIST_TYPE}", f"must be map if {LIST_KEYS} is non-empty")
    elif keys and list_type != "map":
        faults.invalid(f"{path}.{LIST_TYPE}", list_type, f"must be map if {LIST_KEYS} is non-empty")
    if list_type not in ("set", "map"):
        return
    if list_type == "map":
        if not keys:
            faults.required(f"{path}.{LIST_KEYS}", f"must not be empty if {LIST_TYPE} is map")
        if items is None:
            faults.required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")
    if not isinstance(items, Mapping):
        return
    if items.get("nullable"):
        faults.forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is {list_type}")
    if list_type == "map":
        _check_keys(faults, keys, items, path)
    elif items.get("type") == "array" and items.get(LIST_TYPE) not in (None, "atomic"):
        faults.invalid(f"{path}.items.{LIST_TYPE}", items[LIST_TYPE], f"must be atomic as item of a list with {LIST_TYPE}=set")
    elif items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        faults.invalid(f"{path}.items.{MAP_TYPE}", items.get(MAP_TYPE), f"must be atomic as item of a list with {LIST_TYPE}=set")


def _check_keys(faults: Faults, keys: list[str], items: Node, path: str) -> None:
    if items.get("type") != "object":
        faults.invalid(f"{path}.items.type", items.get("type", ""), f"must be object if parent array's {LIST_TYPE} is map")
        return
    for index, key in enumerate(keys):
        field = (items.get("properties") or {}).get(key)
        if key in keys[:index]:
            faults.invalid(f"{path}.{LIST_KEYS}", keys, "must not contain duplicate entries")
        if field is None:
            faults.invalid(f"{path}.{LIST_KEYS}", keys, "entries must all be names of item properties")
            continue
        here = f"{path}.items.properties[{key}]"
        if field.get("type") in ("array", "object"):
            faults.invalid(f"{here}.type", items["type"], f"must be a scalar type if parent array's {LIST_TYPE} is map")
        if key not in (items.get("required") or ()) and field.get("default") is None:
            faults.required(f"{here}.default", f"this property is in {LIST_KEYS}, so it must have a default or be a required property")
        if field.get("nullable"):
            faults.forbidden(f"{here}.nullable", f"this property is in {LIST_KEYS}, so it cannot be nullable")


# Structure


def _check_invariants(faults: Faults, s: Node, level: str, path: str) -> None:
    if s.get("type") == "array" and s.get("items") is None:
        faults.required(f"{path}.items", "must be specified")
    if isinstance(s.get("items"), Mapping):
        _check_invariants(faults, s["items"], ITEM, f"{path}.items")
    for name, below in (s.get("properties") or {}).items():
        _check_invariants(faults, below, FIELD, f"{path}.properties[{name}]")
    others = s.get("additionalProperties")
    if others is not None and level == ROOT:
        faults.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(others, Mapping):
        _check_invariants(faults, others, FIELD, f"{path}.additionalProperties")
    if s.get(INT_OR_STRING):
        for name in (PRESERVE, EMBEDDED):
            if s.get(name):
                faults.invalid(f"{path}.{name}", True, f"must be false if {INT_OR_STRING} is true")
    _check_values(faults, s, path, skip_any=s.get("anyOf") == _INT_OR_STRING_ANY, skip_first_all=_is_int_or_string_all(s))
    _check_own_type(faults, s, level, path)
    if s.get(EMBEDDED) and others is not None:
        faults.forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set")
    if level == ROOT and s.get("type") and s["type"] != "object":
        faults.invalid(f"{path}.type", s["type"], "must be object at the root")
    _check_metadata(faults, s, level, path)
    if s.get(EMBEDDED) and not s.get(PRESERVE) and not s.get("properties"):
        faults.required(f"{path}.properties", f"must not be empty if {EMBEDDED} is true without {PRESERVE}")


def _is_int_or_string_all(s: Node) -> bool:
    every = s.get("allOf") or []
    return len(every) > 0 and every[0].get("anyOf") == _INT_OR_STRING_ANY


def _check_own_type(faults: Faults, s: Node, level: str, path: str) -> None:
    if s.get(EMBEDDED):
        _check_type_is(faults, s, path, "object", f"must be object if {EMBEDDED} is true")
    elif not s.get("type") and not s.get(INT_OR_STRING) and not s.get(PRESERVE):
        faults.required(f"{path}.type", f"must not be empty {'at' if level == ROOT else 'for'} {level}")


def _check_metadata(faults: Faults, s: Node, level: str, path: str) -> None:
    fields = s.get("properties") or {}
    resource = level == ROOT or bool(s.get(EMBEDDED))
    for name in ("kind", "apiVersion"):
        if resource and name in fields and fields[name].get("type") != "string":
            faults.invalid(f"{path}.properties[{name}].type", fields[name].get("type", ""), "must be string")
    metadata = fields.get("metadata")
    if metadata is None or not resource:
        return
    here = f"{path}.properties[metadata]"
    if metadata.get("type") != "object":
        faults.invalid(f"{here}.type", metadata.get("type", ""), "must be object")
    if level == ROOT:
        rest = {k: v for k, v in metadata.items() if k in (*_GENERIC, "items", "additionalProperties", EMBEDDED, PRESERVE, INT_OR_STRING)}
        if rest or not set(metadata.get("properties") or ()) <= {"name", "generateName"}:
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            faults.forbidden(here, text)


_GENERIC = ("title", "description", "nullable")


def _check_values(faults: Faults, v: Node, path: str, *, skip_any: bool, skip_first_all: bool) -> None:
    for place, below in _nested(v):
        if not (skip_any and place.startswith("anyOf")):
            _check_nested(faults, below, f"{path}.{place}", skip_any=skip_first_all and place == "allOf[0]")
    if v.get("pattern"):
        try:
            compile_pattern(v["pattern"])
        except ValueError as error:
            faults.invalid(f"{path}.pattern", v["pattern"], f"must be a valid regular expression, but isn't: {error}")


_NESTED_EMPTY = ("type", "title", "description")
_NESTED_FALSE = ("nullable", PRESERVE, EMBEDDED, INT_OR_STRING)
_NESTED_UNDEFINED = ("additionalProperties", "default", "externalDocs", LIST_TYPE, MAP_TYPE)


def _check_nested(faults: Faults, v: Node, path: str, *, skip_any: bool = False) -> None:
    _check_values(faults, v, path, skip_any=skip_any, skip_first_all=False)
    if isinstance(v.get("items"), Mapping):
        _check_nested(faults, v["items"], f"{path}.items")
    for name, below in (v.get("properties") or {}).items():
        _check_nested(faults, below, f"{path}.properties[{name}]")
    for names, state in (
        (_NESTED_EMPTY, "empty"),
        (_NESTED_FALSE, "false"),
        (_NESTED_UNDEFINED, "undefined"),
        ((LIST_KEYS, RULES), "empty"),
    ):
        for name in names:
            if v.get(name) or (state == "undefined" and v.get(name) is not None):
                faults.forbidden(f"{path}.{name}", f"must be {state} to be structural")
    if "metadata" in (v.get("properties") or {}):
        faults.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _check_completeness(faults: Faults, v: Node, s: Node | None, path: str, place: str) -> None:
    """Whatever a combination speaks of must have its own place outside of it. `place` is where `v` is, `path` where `s` is or should be."""
    for name, below in _nested(v):
        _check_nested_completeness(faults, below, s, path, f"{place}.{name}")


def _check_nested_completeness(faults: Faults, v: Node, s: Node | None, path: str, place: str) -> None:
    if s is None:
        faults.required(path, f"because it is defined in {place}")
        return
    _check_completeness(faults, v, s, path, place)
    if isinstance(v.get("items"), Mapping):
        _check_nested_completeness(faults, v["items"], s.get("items"), f"{path}.items", f"{place}.items")
    for name, below in (v.get("properties") or {}).items():
        field = (s.get("properties") or {}).get(name)
        _check_nested_completeness(faults, below, field, f"{path}.properties[{name}]", f"{place}.properties[{name}]")


# Defaults


def _check_defaults(faults: Faults, s: Node, path: str, *, root: bool = False) -> None:
    default: Any = s.get("default")
    if default is not None:
        trimmed = copy(default)
        if isinstance(trimmed, dict | list) and prune({"_": trimmed}, {"properties": {"_": s}}):
            faults.invalid(f"{path}.default", default, "must not have unknown fields")
        for cause in violations(s, default):
            at = "" if cause.field == "<nil>" else f".{cause.field}"
            faults.append(replace(cause, field=f"{path}.default{at}"))
    if isinstance(s.get("items"), Mapping):
        _check_defaults(faults, s["items"], f"{path}.items")
    for name, below in (s.get("properties") or {}).items():
        _check_defaults(faults, below, f"{path}.properties[{name}]")
    if isinstance(s.get("additionalProperties"), Mapping):
        _check_defaults(faults, s["additionalProperties"], f"{path}.additionalProperties")
