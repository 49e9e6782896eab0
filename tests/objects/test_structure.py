import orjson
import pytest

from podium.objects.structure import conform
from podium.objects.values import Object, copy


def pod(**container: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", **container}]},
    }


def check(value: Object, expected: list[str], api_version: str = "v1", kind: str = "Pod") -> None:
    findings = conform(value, api_version, kind)
    assert [str(c) for c in findings.causes] == expected


def test_a_good_object_is_left_as_it_is() -> None:
    value = pod(ports=[{"containerPort": 80}], resources={"limits": {"cpu": "1", "memory": "64Mi"}})
    before = orjson.dumps(value)
    findings = conform(value, "v1", "Pod")
    assert (findings.unknown, findings.causes, orjson.dumps(value)) == ([], [], before)


def test_unknown_fields_are_dropped_and_named_with_indexes() -> None:
    value = pod(foo=1, env=[{"name": "A"}, {"name": "B", "bar": None}])
    value["spec"]["colour"] = {"x": 1}
    findings = conform(value, "v1", "Pod")
    assert findings.unknown == [
        'unknown field "spec.containers[0].foo"',
        'unknown field "spec.containers[0].env[1].bar"',
        'unknown field "spec.colour"',
    ]
    assert value == pod(env=[{"name": "A"}, {"name": "B"}])


@pytest.mark.parametrize("extra", [{}, {"foo": 1}], ids=["first reading", "second reading"])
def test_nulls_are_dropped(extra: Object) -> None:
    value = pod(env=None, resources={"limits": None}, **extra)
    value["metadata"]["creationTimestamp"] = None
    value["status"] = None
    assert conform(value, "v1", "Pod").causes == []
    assert value == pod(resources={})


def test_a_null_inside_a_list_or_map_is_the_zero_value_of_its_type() -> None:
    value = pod(args=["a", None], resources={"limits": {"cpu": None}}, env=[{"name": "A"}])
    value["metadata"]["labels"] = {"a": None}
    assert conform(value, "v1", "Pod").causes == []
    assert value["metadata"]["labels"] == {"a": ""}
    assert value["spec"]["containers"][0]["args"] == ["a", ""]
    assert value["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "0"}}


def test_quantities_given_as_numbers_become_text() -> None:
    value = pod(resources={"limits": {"cpu": 2, "memory": 1.5}, "requests": {"cpu": "100m", "memory": "1Gi"}})
    assert conform(value, "v1", "Pod").causes == []
    assert value["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "1.5"},
        "requests": {"cpu": "100m", "memory": "1Gi"},
    }


_AT = "spec.containers[0]."


@pytest.mark.parametrize(
    ("container", "cause"),
    [
        ({"image": 3}, 'image: Invalid value: "integer": spec.containers[0].image in body must be of type string: "integer"'),
        ({"tty": "true"}, 'tty: Invalid value: "string": spec.containers[0].tty in body must be of type boolean: "string"'),
        ({"args": "x"}, 'args: Invalid value: "string": spec.containers[0].args in body must be of type array: "string"'),
        ({"args": [["x"]]}, 'args[0]: Invalid value: "array": spec.containers[0].args[0] in body must be of type string: "array"'),
        ({"env": [1.5]}, 'env[0]: Invalid value: "number": spec.containers[0].env[0] in body must be of type object: "number"'),
        ({"resources": []}, 'resources: Invalid value: "array": spec.containers[0].resources in body must be of type object: "array"'),
        ({"ports": [{"containerPort": True}]}, 'ports[0].containerPort: Invalid value: "boolean": '
         'spec.containers[0].ports[0].containerPort in body must be of type integer: "boolean"'),
        ({"ports": [{"containerPort": 80.5}]}, 'ports[0].containerPort: Invalid value: "number": '
         'spec.containers[0].ports[0].containerPort in body must be of type integer: "number"'),
        ({"ports": [{"containerPort": 2**31}]}, "ports[0].containerPort: Invalid value: 2147483648: "
         "spec.containers[0].ports[0].containerPort in body must be of type int32"),
        ({"securityContext": {"runAsUser": 2**63}}, "securityContext.runAsUser: Invalid value: 9223372036854775808: "
         "spec.containers[0].securityContext.runAsUser in body must be of type int64"),
        ({"livenessProbe": {"tcpSocket": {"port": []}}}, 'livenessProbe.tcpSocket.port: Invalid value: "array": '
         'spec.containers[0].livenessProbe.tcpSocket.port in body must be of type integer or string: "array"'),
        ({"resources": {"limits": {"cpu": "1 core"}}}, 'resources.limits.cpu: Invalid value: "1 core": '
         "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ({"ports": [{}]}, "ports[0].containerPort: Required value"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_a_cause_with_its_path(container: Object, cause: str) -> None:
    check(pod(**container), [_AT + cause])


def test_every_wrong_field_has_its_cause() -> None:
    value = pod(image=1, tty=2)
    del value["spec"]["containers"][0]["name"]
    fields = [c.field for c in conform(value, "v1", "Pod").causes]
    assert fields == ["spec.containers[0].image", "spec.containers[0].tty", "spec.containers[0].name"]


@pytest.mark.parametrize(
    ("api_version", "kind", "value", "expected"),
    [
        ("v1", "Pod", {"spec": {}}, ["spec.containers: Required value"]),
        ("apps/v1", "Deployment", {}, ["spec.selector: Required value", "spec.template: Required value"]),
        ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": {"maxReplicas": 1}},
         ["spec.scaleTargetRef.kind: Required value", "spec.scaleTargetRef.name: Required value"]),
        ("v1", "Secret", {"data": {"a": "a=b", "b": "aGk="}},
         ['data.a: Invalid value: "a=b": data.a in body must be of type byte: illegal base64 data']),
        ("coordination.k8s.io/v1", "Lease", {"spec": {"renewTime": "yesterday"}},
         ['spec.renewTime: Invalid value: "yesterday": spec.renewTime in body must be of type date-time: "yesterday" is not RFC 3339']),
        ("coordination.k8s.io/v1", "Lease", {"spec": {"renewTime": "2026-01-02T03:04:05.000006Z"}}, []),
        ("apps/v1", "ReplicaSet", {"spec": {"selector": {}}, "status": {"conditions": [{}]}}, []),
        ("events.k8s.io/v1", "Event", {"metadata": {"name": "e"}}, []),
        ("v1", "Pod", {"metadata": {"ownerReferences": [{}]}, "spec": {"containers": []}}, []),
    ],
)  # fmt: skip
def test_required_fields_are_asked_for_where_upstream_does(api_version: str, kind: str, value: Object, expected: list[str]) -> None:
    check(value, expected, api_version, kind)


def test_free_form_content_is_kept_whole() -> None:
    fields = {"f:metadata": {"f:x": None, "v:1": {}}}
    value = {"metadata": {"managedFields": [{"fieldsV1": copy(fields)}]}, "data": {"anything": [None, {"a": None}]}, "revision": 1}
    findings = conform(value, "apps/v1", "ControllerRevision")
    assert (findings.unknown, findings.causes) == ([], [])
    assert value["metadata"]["managedFields"][0]["fieldsV1"] == fields
    assert value["data"] == {"anything": [None, {"a": None}]}


def test_recursive_schemas_are_checked_at_every_level() -> None:
    schema = {"properties": {"a": {"properties": {"b": {"typo": 1, "type": "string"}}}}}
    value = {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}}
    findings = conform(value, "apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert findings.unknown == ['unknown field "spec.versions[0].schema.openAPIV3Schema.properties.a.properties.b.typo"']


@pytest.mark.parametrize("seed", range(3))
def test_conforming_twice_changes_nothing_more(seed: int) -> None:
    values: list[Object] = [pod(foo=1, env=None), pod(args=[None], resources={"limits": {"cpu": 1}}), pod(image=1, bar=[])]
    value = values[seed]
    conform(value, "v1", "Pod")
    once = copy(value)
    again = conform(value, "v1", "Pod")
    assert (value, again.unknown) == (once, [])


def test_a_kind_without_a_schema_is_our_bug() -> None:
    with pytest.raises(KeyError):
        conform({}, "v1", "Nothing")
