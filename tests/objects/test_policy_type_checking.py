"""Type checking of policies: warnings with their place, for the kinds that the rules name."""

from typing import Any

import pytest

from podium.objects.policy_type_checking import expression_warnings
from podium.objects.resources import builtin


def policy(expression: str, message: str = "", resources: tuple[str, ...] = ("deployments",), **spec: Any) -> dict[str, Any]:
    rule = {"apiGroups": ["apps", ""], "apiVersions": ["v1"], "operations": ["*"], "resources": list(resources)}
    validation = {"expression": expression, **({"messageExpression": message} if message else {})}
    return {"spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation], **spec}}


def test_right_types_give_no_warnings() -> None:
    assert expression_warnings(policy("object.spec.replicas > 1", "'got ' + string(object.spec.replicas)"), builtin()) == []


def test_confused_types_are_told_with_their_place() -> None:
    first, second = expression_warnings(policy("object.spec.replicas > '1'", "'got ' + object.spec.replicas"), builtin())
    assert first["fieldRef"] == "spec.validations[0].expression" and second["fieldRef"] == "spec.validations[0].messageExpression"
    head = "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'"
    assert first["warning"] == f"{head}\n | object.spec.replicas > '1'\n | .....................^\n"
    assert "found no matching overload for '_+_' applied to '(string, int)'" in second["warning"]


def test_every_kind_is_checked_by_itself() -> None:
    (warning,) = expression_warnings(policy("object.spec.replicas > 1", resources=("deployments", "pods", "pods/status")), builtin())
    assert warning["warning"].startswith("v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'replicas'")


def test_variables_have_types() -> None:
    variables = [{"name": "n", "expression": "object.spec.replicas"}]
    assert expression_warnings(policy("variables.n > 1", variables=variables), builtin()) == []
    (warning,) = expression_warnings(policy("variables.n > 'a'", variables=variables), builtin())
    assert "applied to '(int, string)'" in warning["warning"]


def test_params_have_types() -> None:
    value = policy("object.spec.replicas < int(params.data.most)", paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    assert expression_warnings(value, builtin()) == []
    value["spec"]["validations"][0]["expression"] = "params.nothing == 1"
    assert "undefined field 'nothing'" in expression_warnings(value, builtin())[0]["warning"]


@pytest.mark.parametrize(
    "expression", ["object.metadata.creationTimestamp.getFullYear() > 1", "object.metadata.labels['a'] == 'b'", "has(object.status)"]
)
def test_common_expressions_fit(expression: str) -> None:
    assert expression_warnings(policy(expression, resources=("deployments", "pods", "services")), builtin()) == []


def test_custom_kinds_are_checked_too() -> None:
    from podium.objects.custom.kind import CustomKind

    node = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": node}}
    names = {"kind": "Thing", "plural": "things"}
    definition = {
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]},
    }
    value = policy("object.spec.size > 'a'", resources=("things",))
    value["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"] = ["example.com"]
    (warning,) = expression_warnings(value, [CustomKind(definition, "v1").resource()])
    assert warning["warning"].startswith(
        "example.com/v1, Kind=Thing: ERROR: <input>:1:18: found no matching overload for '_>_' applied to '(int, string)'"
    )
    value["spec"]["validations"][0]["expression"] = "object.spec.size > 1 && object.metadata.labels['a'] != ''"
    assert expression_warnings(value, [CustomKind(definition, "v1").resource()]) == []
