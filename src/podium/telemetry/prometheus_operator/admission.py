"""What a validating webhook says of the operator's resources: pure, from the body of a request to the body of its answer.

Paths and first words of messages are upstream's; what is wrong follows them, for clients that show no causes. Unlike upstream's, the details
name the kind and the object: kubectl shows them.

Source: the Prometheus operator's pkg/admission; admission.k8s.io/v1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.prometheus_operator.alertmanager_configuration import check_config
from podium.telemetry.prometheus_operator.alertmanager_conversion import to_v1alpha1
from podium.telemetry.prometheus_operator.definitions import BY_PLURAL, KINDS, Kind
from podium.telemetry.prometheus_operator.enforcement import label_of
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.field_effects import unsupported, without_effect
from podium.telemetry.prometheus_operator.rule_groups import groups_of
from podium.telemetry.prometheus_operator.schemas import GROUP
from podium.telemetry.prometheus_operator.scrape_classes import scrape_classes
from podium.telemetry.prometheus_operator.server_settings import settings_of

RULES_PATH = "/admission-prometheusrules/validate"
CONFIGS_PATH = "/admission-alertmanagerconfigs/validate"
FIELDS_PATH = "/admission-fields/validate"
"""Podium's own: servers and monitors, which upstream's operator looks at when it acts on them."""
PROBLEMS_MAX = 100
"""Told of one object; the rest is counted."""
Object = dict[str, Any]


def _rule_problems(kind: Kind, given: Object) -> list[str]:
    try:
        groups_of(given)
    except RuleFileError as error:
        return error.problems
    return _unknown_fields(kind, given)


def _config_problems(kind: Kind, given: Object) -> list[str]:
    """Told in the words of the version that is stored."""
    try:
        check_config(to_v1alpha1(given))
    except ResourceRefused as error:
        return [str(error)]
    return []


def _unknown_fields(kind: Kind, given: Object) -> list[str]:
    return unsupported(given["spec"], kind.spec)


def _server_problems(kind: Kind, given: Object) -> list[str]:
    if problems := _unknown_fields(kind, given):
        return problems
    try:
        settings_of(given["spec"])
        label_of(given["spec"])
        if "scrapeClasses" in kind.spec["properties"]:
            scrape_classes(given["spec"])
    except ResourceRefused as error:
        return [str(error)]
    return []


@dataclass(frozen=True, slots=True)
class _Check:
    resources: tuple[str, ...]
    message: str
    problems: Callable[[Kind, Object], list[str]]


_CHECKS: Mapping[str, _Check] = {
    RULES_PATH: _Check(("prometheusrules",), "Rules are not valid", _rule_problems),
    CONFIGS_PATH: _Check(("alertmanagerconfigs",), "AlertmanagerConfig is invalid", _config_problems),
    FIELDS_PATH: _Check(
        tuple(kind.plural for kind in KINDS if kind.plural not in ("prometheusrules", "alertmanagerconfigs")),
        "not supported by Podium",
        lambda kind, given: _server_problems(kind, given) if kind.server else _unknown_fields(kind, given),
    ),
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
        # What is there already may be labelled and deleted, finalizers and all, whatever is wrong with it.
        said = {"uid": uid, **({"allowed": True} if _is_unchanged(request) else _response(path, asked, given))}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return 400, f"Unable to deserialize request: {error!r}\n".encode()
    return 200, orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": said})


def _is_unchanged(request: Object) -> bool:
    old = request.get("oldObject")
    return isinstance(old, dict) and "spec" in old and old["spec"] == request["object"]["spec"]


def _response(path: str, asked: Mapping[str, str], given: Object) -> Object:
    check = _CHECKS[path]
    if asked["group"] != GROUP or asked["resource"] not in check.resources:
        about = {"group": GROUP, "kind": BY_PLURAL[check.resources[0]].kind, "name": given.get("metadata", {}).get("name", "")}
        expected = " or ".join(check.resources)
        return _failure("Unexpected resource kind", about, [f"expected resource to be {expected}, but received {asked['resource']}"])
    kind = BY_PLURAL[asked["resource"]]
    if problems := check.problems(kind, given):
        return _failure(check.message, {"group": GROUP, "kind": kind.kind, "name": given["metadata"].get("name", "")}, problems)
    told = without_effect(kind.kind, given["spec"])
    return {"allowed": True, "warnings": told} if told else {"allowed": True}


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
