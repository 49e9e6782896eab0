"""Schemas of custom kinds: which values are valid, and what is said of the others."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.objects.custom.embedded import embedded_faults
from podium.objects.custom.validity import compile_check
from podium.objects.custom.violations import go_number, repetitions, violations

TEXT, INT, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def spec(**node: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": node}}


CASES: list[tuple[str, dict[str, Any], Any, list[str]]] = [
    ("text", TEXT, "a", []),
    ("type", INT, "x", ['spec: Invalid value: "string": spec in body must be of type integer: "string"']),
    ("whole float", INT, 3.0, []),
    ("fraction", INT, 3.5, ['spec: Invalid value: "number": spec in body must be of type integer: "number"']),
    ("integer as number", NUMBER, 3, []),
    ("true is no number", NUMBER, True, ['spec: Invalid value: "boolean": spec in body must be of type number: "boolean"']),
    ("null", TEXT, None, ['spec: Invalid value: "null": spec in body must be of type string: "null"']),
    ("nullable", {**TEXT, "nullable": True}, None, []),
    ("wrong with format", {**INT, "format": "int32"}, "x", ['spec: Invalid value: "string": spec in body must be of type integer: "string"']),
    ("minimum", {**INT, "minimum": 1}, 0, ["spec: Invalid value: 0: spec in body should be greater than or equal to 1"]),
    ("maximum", {**NUMBER, "maximum": 0.5}, 0.75, ["spec: Invalid value: 0.75: spec in body should be less than or equal to 0.5"]),
    ("above", {**INT, "minimum": 1, "exclusiveMinimum": True}, 1, ["spec: Invalid value: 1: spec in body should be greater than 1"]),
    ("below", {**INT, "maximum": 9, "exclusiveMaximum": True}, 9, ["spec: Invalid value: 9: spec in body should be less than 9"]),
    ("multiple", {**INT, "multipleOf": 5}, 7, ["spec: Invalid value: 7: spec in body should be a multiple of 5"]),
    ("large", {**INT, "maximum": 1_000_000}, 1_000_001, ["spec: Invalid value: 1000001: spec in body should be less than or equal to 1000000"]),
    ("large fraction", {**NUMBER, "maximum": 1e6}, 1000000.5, ["spec: Invalid value: 1000000.5: spec in body should be less than or equal to 1e+06"]),
    ("int32", {**INT, "format": "int32"}, 1 << 31, ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec']),
    ("short", {**TEXT, "minLength": 3}, "ab", ['spec: Invalid value: "ab": spec in body should be at least 3 chars long']),
    ("long", {**TEXT, "maxLength": 3}, "abcd", ["spec: Too long: may not be more than 3 bytes"]),
    ("characters, not bytes", {**TEXT, "maxLength": 3}, "äöü", []),
    ("pattern", {**TEXT, "pattern": "^a+$"}, "b", ["spec: Invalid value: \"b\": spec in body should match '^a+$'"]),
    ("pattern anywhere", {**TEXT, "pattern": "a+"}, "bab", []),
    ("pattern to the very end", {**TEXT, "pattern": "^a$"}, "a\n", ['spec: Invalid value: "a\\n": spec in body should match \'^a$\'']),
    ("enum", {**TEXT, "enum": ["a", "b"]}, "c", ['spec: Unsupported value: "c": supported values: "a", "b"']),
    ("enum of numbers", {**INT, "enum": [1, 2]}, 3, ['spec: Unsupported value: 3: supported values: "1", "2"']),
    ("true is not 1", {"enum": [1]}, True, ['spec: Unsupported value: true: supported values: "1"']),
    ("format", {**TEXT, "format": "ipv4"}, "x", ['spec: Invalid value: "x": spec in body must be of type ipv4: "x"']),
    ("unknown format", {**TEXT, "format": "phone"}, "x", []),
    ("int or string", {"x-kubernetes-int-or-string": True}, "50%", []),
    (
        "neither", {"x-kubernetes-int-or-string": True}, True,
        ['spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean"'],
    ),
    ("few", {"type": "array", "items": TEXT, "minItems": 1}, [], ["spec: Invalid value: 0: spec in body should have at least 1 items"]),
    ("many", {"type": "array", "items": TEXT, "maxItems": 1}, ["a", "b"], ["spec: Too many: 2: must have at most 1 items"]),
    ("item", {"type": "array", "items": INT}, [1, "x"], ['spec[1]: Invalid value: "string": spec[1] in body must be of type integer: "string"']),
    ("required", {"type": "object", "required": ["a"], "properties": {"a": TEXT}}, {}, ["spec.a: Required value"]),
    (
        "map", {"type": "object", "additionalProperties": INT}, {"a": 1, "b": "x"},
        ['spec.b: Invalid value: "string": spec.b in body must be of type integer: "string"'],
    ),
    ("empty map", {"type": "object", "minProperties": 1}, {}, ["spec: Invalid value: 0: spec in body should have at least 1 properties"]),
    ("full map", {"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, ["spec: Too many: 2: must have at most 1 items"]),
    (
        "none of", {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {},
        ['<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid', "spec.a: Required value"],
    ),
    (
        "both of", {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1},
        ['<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    ),
    (
        "any of", {**INT, "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 3,
        [
            '<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)',
            "spec: Invalid value: 3: spec in body should be greater than or equal to 5",
        ],
    ),
    (
        "all of", {**INT, "allOf": [{"minimum": 5}, {"maximum": 9}]}, 3,
        [
            "spec: Invalid value: 3: spec in body should be greater than or equal to 5",
            '<nil>: Invalid value: "": "spec" must validate all the schemas (allOf)',
        ],
    ),
    ("not", {**TEXT, "not": {"enum": ["a"]}}, "a", ['<nil>: Invalid value: "": "spec" must not validate the schema (not)']),
]  # fmt: skip


@pytest.mark.parametrize(("node", "value", "told"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_value_is_valid_or_told_why(node: dict[str, Any], value: Any, told: list[str]) -> None:
    schema, whole = spec(**node), {"spec": value}
    assert compile_check(schema)(whole) is (not told)
    assert [str(c) for c in violations(schema, whole)] == told


SETS = spec(type="array", items=TEXT, **{"x-kubernetes-list-type": "set"})
MAPS = spec(
    type="array", items={"type": "object", "properties": {"name": TEXT, "port": INT}},
    **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "items", "told"),
    [
        (SETS, ["a", "b"], []),
        (SETS, ["a", "b", "a", "a"], ['spec[2]: Duplicate value: "a"']),
        (MAPS, [{"name": "a", "port": 1}, {"name": "a", "port": 2}], ['spec[1]: Duplicate value: {"name":"a"}']),
        (MAPS, [{"name": "a", "port": 1}, {"name": "b", "port": 1}], []),
    ],
)
def test_items_of_sets_and_maps_are_unique(schema: dict[str, Any], items: list[Any], told: list[str]) -> None:
    assert [str(c) for c in repetitions(schema, {"spec": items})] == told
    assert compile_check(schema)({"spec": items}) is (not told)


EMBEDDED = [
    ({"apiVersion": "v1", "kind": "Pod"}, []),
    ({"apiVersion": "v1"}, ["spec.kind: Required value"]),
    (
        {"apiVersion": "", "kind": 1},
        ['spec.apiVersion: Invalid value: "": must not be empty', "spec.kind: Invalid value: 1: must be a string"],
    ),
    ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b"}}, ["spec.metadata.name: Invalid value: \"a/b\": may not contain '/'"]),
]


@pytest.mark.parametrize(("value", "told"), EMBEDDED)
def test_an_embedded_resource_is_an_object(value: Any, told: list[str]) -> None:
    schema = spec(type="object", **{"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True})
    assert [str(c) for c in embedded_faults(schema, {"spec": value})] == told


OLD_AND_NEW = [
    ("a field as it was", {"a": "long", "b": 1}, {"a": "long", "b": 2}, []),
    ("a field that changed", {"a": "long", "b": 1}, {"a": "longer", "b": 1}, ["spec.a: Too long: may not be more than 3 bytes"]),
    ("a new field", {"b": 1}, {"a": "long", "b": 1}, ["spec.a: Too long: may not be more than 3 bytes"]),
    ("an item by its key", {"items": [{"name": "x", "v": "long"}]}, {"items": [{"name": "y"}, {"name": "x", "v": "long"}]}, []),
    ("a list without keys", {"list": ["long"]}, {"list": ["long", "a"]}, ["spec.list[0]: Too long: may not be more than 3 bytes"]),
]


@pytest.mark.parametrize(("old", "new", "told"), [c[1:] for c in OLD_AND_NEW], ids=[c[0] for c in OLD_AND_NEW])
def test_what_did_not_change_is_not_complained_of(old: Any, new: Any, told: list[str]) -> None:
    short = {**TEXT, "maxLength": 3}
    items = {
        "type": "array", "items": {"type": "object", "properties": {"name": TEXT, "v": short}}, "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    }  # fmt: skip
    schema = spec(type="object", properties={"a": short, "b": INT, "items": items, "list": {"type": "array", "items": short}})
    assert [str(c) for c in violations(schema, {"spec": new}, {"spec": old})] == told


NUMBERS = [
    (0, "0"), (3, "3"), (3.0, "3"), (0.5, "0.5"), (1e6, "1e+06"), (1234567, "1.234567e+06"), (1e-5, "1e-05"), (-100, "-100"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "text"), NUMBERS)
def test_numbers_are_shown_as_go_shows_them(number: float, text: str) -> None:
    assert go_number(number) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 15) | st.sampled_from(["", "a", "abcd", "10.0.0.1", 1.5, 2.0]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=6,
)
LEAVES = st.sampled_from([
    TEXT, INT, NUMBER, {"type": "boolean"}, {**TEXT, "maxLength": 2}, {**INT, "minimum": 3, "maximum": 9}, {**TEXT, "enum": ["a"]},
    {**TEXT, "nullable": True}, {**TEXT, "format": "ipv4"}, {"x-kubernetes-int-or-string": True}, {"x-kubernetes-preserve-unknown-fields": True},
    {**TEXT, "not": {"enum": ["a"]}}, {**NUMBER, "multipleOf": 0.5}, {**INT, "anyOf": [{"minimum": 5}, {"enum": [1]}]},
])  # fmt: skip
SCHEMAS = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        below.map(lambda n: {"type": "array", "items": n, "maxItems": 2}),
        below.map(lambda n: {"type": "object", "additionalProperties": n}),
        st.dictionaries(st.sampled_from("abc"), below, max_size=3).map(
            lambda p: {"type": "object", "properties": p, "required": sorted(p)[:1]}
        ),
        st.dictionaries(st.sampled_from("abc"), below, max_size=2).map(
            lambda p: {"type": "object", "properties": p, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, VALUES)
def test_both_readings_agree(schema: dict[str, Any], value: Any) -> None:
    assert compile_check(schema)(value) is (not violations(schema, value)), (schema, value)
