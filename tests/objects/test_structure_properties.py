"""The two readings of conform agree, whatever comes in."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.objects import apply, field_sets, schema
from podium.objects.decoding import decode
from podium.objects.schema import Schema
from podium.objects.status import StatusError
from podium.objects.structure import FINDINGS_MAX, Findings, _check_of, _Enough, _Walk, conform
from podium.objects.values import Object, copy

KINDS = [
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
]

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 2**31, 2**40, 0.5]),
    st.sampled_from(["", "x", "1", "100m", "1Gi", "aGk=", "2026-01-02T03:04:05Z", "25%"]),
)
_ANYTHING = st.recursive(
    _SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3), max_leaves=5
)


def _rightly(node: Schema, depth: int) -> st.SearchStrategy[Any]:
    """Values of the node's type."""
    if node.properties:
        names = sorted(node.properties) if depth > 0 else []
        wanted = st.lists(st.sampled_from(names), max_size=4, unique=True) if names else st.just([])
        return wanted.flatmap(lambda ns: st.fixed_dictionaries({n: _nearly(node.properties[n], depth - 1) for n in (*ns, *node.required)}))
    if node.type == "array" and node.items is not None:
        return st.lists(_nearly(node.items, depth - 1), max_size=2)
    if node.type == "object" and node.additional is not None:
        return st.dictionaries(st.sampled_from("abc"), _nearly(node.additional, depth - 1), max_size=2)
    if node.type == "object":
        return st.just({})
    right = {"boolean": st.booleans(), "integer": st.integers(-(2**31), 2**31 - 1), "number": st.floats(allow_nan=False)}
    return right.get(node.type, st.sampled_from(["", "aGk=", "1", "2026-01-02T03:04:05Z"]))


def _nearly(node: Schema, depth: int) -> st.SearchStrategy[Any]:
    """Mostly the right type."""
    return st.integers(0, 15).flatmap(lambda n: _ANYTHING if n == 0 else _rightly(node, depth))


def _objects() -> st.SearchStrategy[tuple[tuple[str, str], Object]]:
    def of_kind(kind: tuple[str, str]) -> st.SearchStrategy[tuple[tuple[str, str], Object]]:
        return _rightly(schema.load(*kind), 5).map(lambda value: (kind, value))

    return st.sampled_from(KINDS).flatmap(of_kind)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_objects())
def test_the_first_reading_passes_exactly_what_the_second_leaves_alone(generated: tuple[tuple[str, str], Object]) -> None:
    kind, value = generated
    node = schema.load(*kind)
    walked, findings = copy(value), Findings()
    with contextlib.suppress(_Enough):
        _Walk(findings).object(walked, node, "", True)
    quick = copy(value)
    if _check_of(node, True)(quick):
        assert (findings.unknown, findings.causes) == ([], [])
        assert quick == walked
    else:
        assert findings.unknown or findings.causes or walked != value


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_objects())
def test_conforming_is_idempotent_and_leaves_no_unknown_field(generated: tuple[tuple[str, str], Object]) -> None:
    kind, value = generated
    first = conform(value, *kind)
    once = copy(value)
    second = conform(value, *kind)
    assert (second.unknown, value) == ([], once)
    assert second.causes == first.causes


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "data", "kind", "x"]), _ANYTHING, max_size=4))
def test_no_object_makes_conform_fail(value: Object) -> None:
    for kind in KINDS:
        conform(copy(value), *kind)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=40), st.sampled_from(["application/json", "application/yaml"]))
def test_no_bytes_make_decode_fail_otherwise_than_with_a_status(body: bytes, media: str) -> None:
    try:
        assert isinstance(decode(body, media).value, dict)
    except StatusError as error:
        assert error.code == 400


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet="ab:{}[],&*!<>-|?\"' \n#1.~", max_size=25))
def test_no_text_like_yaml_makes_decode_fail_otherwise_than_with_a_status(text: str) -> None:
    try:
        decode(text.encode(), "application/yaml")
    except StatusError as error:
        assert error.code == 400


@pytest.mark.parametrize("fields", [10, FINDINGS_MAX * 3])
def test_findings_are_bounded_but_every_unknown_field_is_dropped(fields: int) -> None:
    value = {"spec": {f"x{n}": n for n in range(fields)}, "metadata": {"labels": {f"l{n}": n for n in range(fields)}}}
    findings = conform(value, "v1", "ConfigMap")
    assert len(findings.unknown) == 1
    value["metadata"] = {}
    value |= {f"x{n}": n for n in range(fields)}  # type: ignore[arg-type]
    assert len(conform(value, "v1", "ConfigMap").unknown) == min(fields, FINDINGS_MAX)
    assert value == {"metadata": {}}
    assert len(findings.causes) == min(fields, FINDINGS_MAX)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_objects(), st.dictionaries(st.sampled_from(["metadata", "spec", "status", "data", "kind", "x"]), _ANYTHING, max_size=4))
def test_what_a_creation_owns_is_what_changes_from_nothing(generated: tuple[tuple[str, str], Object], other: Object) -> None:
    kind, value = generated
    node = schema.load(*kind)
    for new in (value, other, value | other):
        changed, removed = apply.changes({}, new, node)
        assert (apply.created(new, node), removed) == (field_sets.to_wire(changed), {})
        assert list(apply.created(new, node)) == list(field_sets.to_wire(changed))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_ANYTHING, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([None, (", ", ": "), (" ,", "\t:\n")]))
def test_duplicates_are_told_however_the_text_is_spaced(value: Any, indent: int | None, escape: bool, separators: Any) -> None:
    text = json.dumps({"x": value, "y z": [value]}, indent=indent, ensure_ascii=escape, separators=separators)
    assert decode(text.encode(errors="replace"), "application/json").duplicates == []
    twice = text[:-1] + ', "x" : 1}'
    assert decode(twice.encode(errors="replace"), "application/json").duplicates == ['duplicate field "x"']
