"""Pruning and defaults: the shape that custom objects are brought into."""

from typing import Any

import pytest

from podium.objects.custom.pruning import compile_clean, compile_fill, drop_nulls, prune
from podium.objects.values import copy

TEXT = {"type": "string"}
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
EMBEDDED = {"x-kubernetes-embedded-resource": True}


def root(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


PRUNED: list[tuple[str, dict[str, Any], Any, Any, list[str]]] = [
    ("named fields stay", root(a=TEXT), {"a": "x"}, {"a": "x"}, []),
    ("others go", root(a=TEXT), {"a": "x", "b": 1}, {"a": "x"}, ["b"]),
    ("metadata is not the schema's", root(), {"kind": "A", "apiVersion": "b/v1", "metadata": {"x": 1}},
     {"kind": "A", "apiVersion": "b/v1", "metadata": {"x": 1}}, []),
    ("in lists", root(l={"type": "array", "items": root(a=TEXT)}), {"l": [{"a": "x"}, {"b": 1}]}, {"l": [{"a": "x"}, {}]}, ["l[1].b"]),
    ("in maps", root(m={"type": "object", "additionalProperties": root(a=TEXT)}), {"m": {"k": {"b": 1}}}, {"m": {"k": {}}}, ["m.k.b"]),
    ("preserved", root(p={"type": "object", **PRESERVE}), {"p": {"a": {"b": 1}}}, {"p": {"a": {"b": 1}}}, []),
    ("named ones below a preserving node are pruned", root(p={**root(a=root(b=TEXT)), **PRESERVE}), {"p": {"a": {"c": 1}, "z": 1}},
     {"p": {"a": {}, "z": 1}}, ["p.a.c"]),
    ("embedded metadata", root(e={**root(s=TEXT), **EMBEDDED}), {"e": {"kind": "A", "metadata": {"q": 1}, "s": "x", "t": 1}},
     {"e": {"kind": "A", "metadata": {"q": 1}, "s": "x"}}, ["e.t"]),
    ("an object that is no embedded one", root(e=root(s=TEXT)), {"e": {"kind": "A"}}, {"e": {}}, ["e.kind"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "kept", "dropped"), [c[1:] for c in PRUNED], ids=[c[0] for c in PRUNED])
def test_what_the_schema_does_not_name_goes(schema: dict[str, Any], value: Any, kept: Any, dropped: list[str]) -> None:
    clean = compile_clean(schema, root=True)
    assert (clean is None or clean(value)) is (not dropped)
    value = copy(value)
    assert prune(value, schema) == dropped
    assert value == kept


DEFAULTS: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("absent", root(a={**TEXT, "default": "x"}), {}, {"a": "x"}),
    ("present", root(a={**TEXT, "default": "x"}), {"a": "y"}, {"a": "y"}),
    ("null that must not be", root(a={**TEXT, "default": "x"}), {"a": None}, {"a": "x"}),
    ("null that may be", root(a={**TEXT, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
    ("null without a default", root(a=TEXT), {"a": None}, {}),
    ("below an absent object", root(o=root(a={**TEXT, "default": "x"})), {}, {}),
    ("below a default", root(o={**root(a={**TEXT, "default": "x"}), "default": {}}), {}, {"o": {"a": "x"}}),
    ("in items", root(l={"type": "array", "items": root(a={**TEXT, "default": "x"})}), {"l": [{}]}, {"l": [{"a": "x"}]}),
    ("in maps", root(m={"type": "object", "additionalProperties": root(a={**TEXT, "default": "x"})}), {"m": {"k": {}}}, {"m": {"k": {"a": "x"}}}),
    ("false and zero", root(b={"type": "boolean", "default": False}, i={"type": "integer", "default": 0}), {}, {"b": False, "i": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "filled"), [c[1:] for c in DEFAULTS], ids=[c[0] for c in DEFAULTS])
def test_defaults_stand_where_nothing_is_said(schema: dict[str, Any], value: Any, filled: Any) -> None:
    fill = compile_fill(schema)
    value = copy(value)
    if fill is not None:
        fill(value)
    drop_nulls(value, schema)
    assert value == filled


def test_defaults_are_not_shared_between_objects() -> None:
    fill = compile_fill(root(o={"type": "object", "default": {"a": "x"}}))
    assert fill is not None
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    fill(one)
    one["o"]["a"] = "changed"
    fill(other)
    assert other == {"o": {"a": "x"}}
