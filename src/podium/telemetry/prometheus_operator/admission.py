"""What a validating webhook says of rules and of AlertmanagerConfigs: pure, from the body of a request to the body of its answer.

Paths and first words of messages are upstream's; what is wrong follows them, for clients that show no causes. Unlike upstream's, the details
name the kind and the object: kubectl shows them.

Source: the Prometheus operator's pkg/admission; admission.k8s.io/v1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.prometheus_operator.alertmanager_configuration import check_config
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.rule_groups import groups_of
from podium.telemetry.prometheus_operator.schemas import GROUP

RULES_PATH = "/admission-prometheusrules/validate"
CONFIGS_PATH = "/admission-alertmanagerconfigs/validate"
PROBLEMS_MAX = 100
"""Told of one object; the rest is counted."""
Object = dict[str, Any]


def _rule_problems(given: Object) -> list[str]:
    try:
        groups_of(given)
    except RuleFileError as error:
        return error.problems
    return []


def _config_problems(given: Object) -> list[str]:
    try:
        check_config(given)
    except ResourceRefused as error:
        return [str(error)]
    return []


_CHECKS: Mapping[str, tuple[str, str, str, Callable[[Object], list[str]]]] = {
    RULES_PATH: ("prometheusrules", "PrometheusRule", "Rules are not valid", _rule_problems),
    CONFIGS_PATH: ("alertmanagerconfigs", "AlertmanagerConfig", "AlertmanagerConfig is invalid", _config_problems),
}


def answer(path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    """(status, body)."""
    if path not in _CHECKS:
        return 404, b"404 page not found\n"
    if not body:
        return 400, b"request has no body\n"
    if content_type.partition(";")[0].strip() != "application/json":
        return 415, b"invalid Content-Type, want `application/json`\n"
    try:
        review = orjson.loads(body)
        request = review["request"]
        uid, asked, given = request["uid"], request["resource"], request["object"]
        said = {"uid": uid, **_response(path, asked, given)}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return 400, f"Unable to deserialize request: {error!r}\n".encode()
    return 200, orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": said})


def _response(path: str, asked: Mapping[str, str], given: Object) -> Object:
    plural, kind, message, problems_of = _CHECKS[path]
    about = {"group": GROUP, "kind": kind, "name": given.get("metadata", {}).get("name", "")}
    if (asked["group"], asked["resource"]) != (GROUP, plural):
        return _failure("Unexpected resource kind", about, [f"expected resource to be {plural}, but received {asked['resource']}"])
    problems = problems_of(given)
    return _failure(message, about, problems) if problems else {"allowed": True}


def _failure(message: str, about: Mapping[str, str], problems: Sequence[str]) -> Object:
    shown = [*problems[:PROBLEMS_MAX], *([f"and {len(problems) - PROBLEMS_MAX} more"] if len(problems) > PROBLEMS_MAX else [])]
    causes = [{"reason": "FieldValueInvalid", "field": "spec", "message": problem} for problem in shown]
    return {
        "allowed": False,
        "status": {
            "status": "Failure", "reason": "Invalid", "code": 422, "message": f"{message}: {'; '.join(shown)}",
            "details": {**about, "causes": causes},
        },
    }  # fmt: skip
