"""Field sets and server-side apply, as tables of small ConfigMaps and Deployments."""

from typing import Any

import pytest

from podium.objects import field_sets, schema
from podium.objects.apply import ApplyConflict, Manager, apply, changes, update

CONFIGMAP = schema.load("v1", "ConfigMap")
SERVICE = schema.load("v1", "Service")
POD = schema.load("v1", "Pod")


def _manager(name: str) -> Manager:
    return Manager(name, "Apply", "v1")


def _configmap(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


WIRE = [
    ({"data": {"k": "v"}}, CONFIGMAP, {"f:data": {"f:k": {}}}),
    (
        {"metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]}},
        CONFIGMAP,
        {"f:metadata": {"f:finalizers": {'v:"x/y"': {}}, "f:labels": {"f:a": {}}}},
    ),
    (
        {"spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"a": "b"}}},
        SERVICE,
        {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}}, "f:selector": {}}},
    ),
    (
        {"spec": {"containers": [{"name": "c", "args": ["x"]}]}},
        POD,
        {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:args": {}, "f:name": {}}}}},
    ),
    ({"data": {}}, CONFIGMAP, {"f:data": {}}),
]


@pytest.mark.parametrize(("value", "node", "wire"), WIRE)
def test_the_members_of_an_object_follow_its_schema(value: Any, node: Any, wire: Any) -> None:
    fields = field_sets.of(value, node)
    assert field_sets.to_wire(fields) == wire
    assert field_sets.from_wire(wire) == fields


def test_paths_read_as_upstream_prints_them() -> None:
    wire = {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}}}}, "f:metadata": {"f:finalizers": {'v:"x"': {}}}}
    assert list(field_sets.paths(field_sets.from_wire(wire))) == [
        '.metadata.finalizers[="x"]',
        '.spec.containers[name="c"]',
        '.spec.containers[name="c"].image',
    ]


def test_a_field_that_is_named_no_longer_goes() -> None:
    live, managers = apply({}, _configmap(a="1", b="2"), _manager("one"), {}, CONFIGMAP, force=False)
    after, managers = apply(live, _configmap(a="1"), _manager("one"), managers, CONFIGMAP, force=False)
    assert after["data"] == {"a": "1"}


def test_a_field_that_others_manage_too_stays() -> None:
    live, managers = apply({}, _configmap(a="1", b="2"), _manager("one"), {}, CONFIGMAP, force=False)
    live, managers = apply(live, _configmap(b="2"), _manager("two"), managers, CONFIGMAP, force=False)
    after, managers = apply(live, _configmap(a="1"), _manager("one"), managers, CONFIGMAP, force=False)
    assert after["data"] == {"a": "1", "b": "2"}
    assert field_sets.to_wire(managers[_manager("two")]) == {"f:data": {"f:b": {}}}


def test_another_managers_field_is_a_conflict_unless_the_values_agree_or_it_is_forced() -> None:
    live, managers = apply({}, _configmap(a="1"), _manager("one"), {}, CONFIGMAP, force=False)
    apply(live, _configmap(a="1"), _manager("two"), managers, CONFIGMAP, force=False)
    with pytest.raises(ApplyConflict) as caught:
        apply(live, _configmap(a="2"), _manager("two"), managers, CONFIGMAP, force=False)
    assert {m.name: list(field_sets.paths(f)) for m, f in caught.value.conflicts.items()} == {"one": [".data.a"]}
    after, managers = apply(live, _configmap(a="2"), _manager("two"), managers, CONFIGMAP, force=True)
    assert after["data"] == {"a": "2"} and list(managers) == [_manager("two")]


def _pod(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": list(containers)}}


LISTS: list[tuple[str, list[Any], list[Any], list[Any], list[Any]]] = [
    ("an item by its key", [{"name": "a", "image": "1"}], [{"name": "a", "image": "2"}], [], [{"name": "a", "image": "2"}]),
    ("a new item comes last", [{"name": "a"}], [{"name": "a"}, {"name": "b"}], [], [{"name": "a"}, {"name": "b"}]),
    ("the applied order", [{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}], [], [{"name": "b"}, {"name": "a"}]),
    ("others' items stay", [{"name": "a"}], [{"name": "a"}], [{"name": "x", "image": "i"}], [{"name": "a"}, {"name": "x", "image": "i"}]),
    ("a removed item goes with its defaults", [{"name": "a"}, {"name": "b"}], [{"name": "a"}], [], [{"name": "a"}]),
]


@pytest.mark.parametrize(("case", "first", "second", "others", "expect"), LISTS, ids=[c[0] for c in LISTS])
def test_lists_merge_by_key(case: str, first: list[Any], second: list[Any], others: list[Any], expect: list[Any]) -> None:
    live, managers = apply({}, _pod(*first), _manager("one"), {}, POD, force=False)
    live = _pod(*live["spec"]["containers"], *others)
    if case.endswith("defaults"):
        live["spec"]["containers"] = [{**c, "imagePullPolicy": "Always"} for c in live["spec"]["containers"]]
        expect = [{**c, "imagePullPolicy": "Always"} for c in expect]
    after, _ = apply(live, _pod(*second), _manager("one"), managers, POD, force=False)
    assert after["spec"]["containers"] == expect


def test_a_plain_write_takes_over_what_it_changes() -> None:
    live, managers = apply({}, _configmap(a="1", b="2"), _manager("one"), {}, CONFIGMAP, force=False)
    writer = Manager("writer", "Update", "v1")
    new = _configmap(a="9")
    managers = update(*changes(live, new, CONFIGMAP), writer, managers)
    assert {m.name: field_sets.to_wire(f) for m, f in managers.items()} == {"writer": {"f:data": {"f:a": {}}}}


def test_neither_side_of_an_apply_is_changed() -> None:
    live, managers = apply({}, _configmap(a="1"), _manager("one"), {}, CONFIGMAP, force=False)
    before = str((live, managers))
    apply(live, _configmap(b="2"), _manager("one"), managers, CONFIGMAP, force=True)
    assert str((live, managers)) == before
