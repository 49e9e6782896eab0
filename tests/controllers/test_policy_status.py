"""The status of policies: type checking once per generation."""

from podium.controllers.policy_status import plan_status
from podium.objects.resources import builtin
from podium.objects.values import Object


def policy(expression: str, generation: int = 1, **status: object) -> Object:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]}
    return {"metadata": {"name": "p", "generation": generation}, "spec": spec, "status": status}


def test_without_warnings_the_check_is_still_told() -> None:
    assert plan_status(policy("object.spec.replicas > 1"), builtin()) == {"observedGeneration": 1, "typeChecking": {}}


def test_warnings_are_told() -> None:
    status = plan_status(policy("object.spec.replicas > 'a'"), builtin())
    assert status is not None and status["typeChecking"]["expressionWarnings"][0]["fieldRef"] == "spec.validations[0].expression"


def test_a_generation_is_checked_once() -> None:
    assert plan_status(policy("object.nothing", observedGeneration=1), builtin()) is None
    assert plan_status(policy("object.nothing", 2, observedGeneration=1), builtin()) is not None
