"""A bad rule is refused when it is written, with what is wrong; everything that is no rule is answered as upstream's webhook does."""

from typing import Any

import orjson
import pytest

from podium.telemetry.monitoring.admission import webhook_configuration
from podium.telemetry.prometheus_operator.admission import CONFIGS_PATH, FIELDS_PATH, PROBLEMS_MAX, RULES_PATH, answer

JSON = "application/json"


def asked(path: str, spec: Any, resource: str = "prometheusrules", version: str = "v1", **more: Any) -> dict[str, Any]:
    request = {
        **more,
        "uid": "u1", "resource": {"group": "monitoring.coreos.com", "version": version, "resource": resource},
        "object": {"metadata": {"namespace": "shop", "name": "r"}, "spec": spec},
    }  # fmt: skip
    status, body = answer(path, JSON, orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}))
    assert status == 200
    said = orjson.loads(body)
    assert (said["apiVersion"], said["kind"], said["response"]["uid"]) == ("admission.k8s.io/v1", "AdmissionReview", "u1")
    response: dict[str, Any] = said["response"]
    return response


def rules(*given: dict[str, Any]) -> dict[str, Any]:
    return {"groups": [{"name": "g", "partial_response_strategy": "warn", "rules": list(given)}]}


GOOD = {"alert": "Down", "expr": "up == 0", "for": "1m", "annotations": {"summary": "{{ $labels.instance }} is down"}}


def test_good_rules_are_allowed() -> None:
    assert asked(RULES_PATH, rules(GOOD, {"record": "a:b", "expr": 1})) == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (rules({**GOOD, "expr": "up ="}), "could not parse expression"),
        (rules({**GOOD, "annotations": {"summary": "{{ $labels.instance"}}), 'annotation "summary"'),
        (rules({**GOOD, "labels": {"severity": "{{ nothing }}"}}), 'label "severity"'),
        ({"groups": [{"name": "g"}, {"name": "g"}]}, 'groupname: "g" is repeated in the same file'),
        (rules({**GOOD, "record": "x"}), "only one of 'record' and 'alert' must be set"),
        (rules({"alert": "x"}), "field 'expr' must be set in rule"),
    ],
)
def test_a_bad_rule_is_refused_with_what_is_wrong(spec: Any, problem: str) -> None:
    response = asked(RULES_PATH, rules_with_good(spec))
    status = response["status"]
    assert (response["allowed"], status["reason"], status["code"]) == (False, "Invalid", 422)
    assert status["message"].startswith("Rules are not valid: ")
    assert problem in status["message"]
    assert any(problem in cause["message"] for cause in status["details"]["causes"])


def rules_with_good(spec: dict[str, Any]) -> dict[str, Any]:
    return {"groups": [{"name": "fine", "rules": [GOOD]}, *spec["groups"]]}


def test_many_problems_are_counted() -> None:
    status = asked(RULES_PATH, rules(*[{**GOOD, "expr": "up ="}] * (PROBLEMS_MAX + 20)))["status"]
    assert len(status["details"]["causes"]) == PROBLEMS_MAX + 1
    assert status["message"].endswith("and 20 more")


def test_a_bad_alertmanager_config_is_refused() -> None:
    bad = {"route": {"receiver": "r"}, "receivers": []}
    status = asked(CONFIGS_PATH, bad, "alertmanagerconfigs", "v1alpha1")["status"]
    assert status["message"] == 'AlertmanagerConfig is invalid: spec.route.receiver: receiver "r" not found'
    secret = {"route": {"receiver": "r"}, "receivers": [{"name": "r", "webhookConfigs": [{"urlSecret": {"name": "later", "key": "k"}}]}]}
    assert asked(CONFIGS_PATH, secret, "alertmanagerconfigs", "v1alpha1")["allowed"]


def test_alertmanager_configs_are_checked_in_both_versions() -> None:
    good = {
        "route": {"receiver": "r", "muteTimeIntervals": ["n"]}, "receivers": [{"name": "r", "webhookConfigs": [{"url": "http://a/"}]}],
        "timeIntervals": [{"name": "n", "timeIntervals": [{"years": ["2026"]}]}],
    }  # fmt: skip
    assert asked(CONFIGS_PATH, good, "alertmanagerconfigs", "v1beta1") == {"uid": "u1", "allowed": True}
    bad = {**good, "timeIntervals": []}
    assert 'time interval "n" not found' in asked(CONFIGS_PATH, bad, "alertmanagerconfigs", "v1beta1")["status"]["message"]


@pytest.mark.parametrize(
    ("resource", "spec", "said"),
    [
        ("prometheuses", {"replicas": 2}, "spec.replicas: there is one telemetry process"),
        ("prometheuses", {"thanos": {"version": "1"}}, "spec.thanos is not supported: write to Thanos Receive"),
        ("prometheuses", {"enforcedNamespaceLabel": "__name__"}, "spec.enforcedNamespaceLabel"),
        ("alertmanagers", {"web": {"httpConfig": {"http2": True}}}, "spec.web is not supported"),
        ("servicemonitors", {"selector": {}, "endpoints": [{"colour": "red"}]}, "spec.endpoints[0].colour is not supported"),
        ("scrapeconfigs", {"nomadSDConfigs": [{"server": "x"}]}, "spec.nomadSDConfigs is not supported: use httpSDConfigs"),
    ],
)
def test_what_podium_cannot_do_is_refused_when_it_is_written(resource: str, spec: dict[str, Any], said: str) -> None:
    response = asked(FIELDS_PATH, spec, resource)
    assert (response["allowed"], response["status"]["reason"]) == (False, "Invalid")
    assert said in response["status"]["message"]


def test_what_has_no_effect_is_warned_of() -> None:
    spec = {"replicas": 1, "image": "x", "resources": {"limits": {"cpu": 1}}, "storage": {}}
    assert asked(FIELDS_PATH, spec, "prometheuses")["warnings"] == [
        "spec.image has no effect: Podium brings one version",
        "spec.resources has no effect: no pods run it: it is part of Podium's telemetry",
    ]
    assert asked(FIELDS_PATH, {"selector": {}, "podMetricsEndpoints": [{}]}, "podmonitors") == {"uid": "u1", "allowed": True}


def test_what_is_there_already_may_be_labelled_and_deleted() -> None:
    bad = {"replicas": 2}
    assert asked(FIELDS_PATH, bad, "prometheuses", oldObject={"metadata": {}, "spec": bad}) == {"uid": "u1", "allowed": True}
    assert not asked(FIELDS_PATH, bad, "prometheuses", oldObject={"metadata": {}, "spec": {}})["allowed"]
    assert not asked(FIELDS_PATH, bad, "prometheuses", oldObject=None)["allowed"]


def test_another_kind_is_refused() -> None:
    assert asked(RULES_PATH, {}, "probes")["status"]["message"].startswith(
        "Unexpected resource kind: expected resource to be prometheusrules"
    )


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        ("/elsewhere", JSON, b"{}", 404),
        (RULES_PATH, JSON, b"", 400),
        (RULES_PATH, "text/plain", b"{}", 415),
        (RULES_PATH, JSON, b"{", 400),
        (RULES_PATH, JSON, b"[]", 400),
        (RULES_PATH, JSON, b'{"request": {"uid": "u"}}', 400),
        (FIELDS_PATH, JSON, b'{"request": {"uid": "u", "resource": {}, "object": {"spec": []}}}', 400),
        (FIELDS_PATH, JSON, b'{"request": {"uid": "u", "resource": {}, "object": {}, "oldObject": []}}', 400),
        (RULES_PATH, JSON, b"[" * 100_000, 400),
    ],
)
def test_what_is_no_review_is_answered_with_an_error(path: str, content_type: str, body: bytes, status: int) -> None:
    assert answer(path, content_type, body)[0] == status


def test_failures_of_the_webhook_are_passed_over() -> None:
    webhooks: Any = webhook_configuration("https://127.0.0.1:1", b"ca")["webhooks"]
    assert {(w["failurePolicy"], w["sideEffects"]) for w in webhooks} == {("Ignore", "None")}
    assert [w["clientConfig"]["url"] for w in webhooks] == [
        f"https://127.0.0.1:1{path}" for path in (RULES_PATH, CONFIGS_PATH, FIELDS_PATH)
    ]
