"""AlertmanagerConfigs in v1beta1 are stored in v1alpha1 and come back as they were written."""

from typing import Any

import orjson
import pytest
import yaml

from podium.telemetry.prometheus_operator.alertmanager_conversion import ROUTES_DEPTH_MAX, answer, to_v1alpha1, to_v1beta1

Object = dict[str, Any]
JSON = "application/json"
METADATA = {"name": "web", "namespace": "shop", "uid": "u", "labels": {"a": "b"}}
BETA = yaml.safe_load("""
route:
  receiver: team
  continue: true
  matchers: [{name: severity, value: page, matchType: "="}]
  muteTimeIntervals: [nights]
  routes:
  - matchers: [{name: a, value: "b.*", matchType: "=~"}]
    routes: [{receiver: team, matchers: [{name: c, value: d, matchType: "!="}]}]
receivers:
- name: team
  slackConfigs:
  - apiURL: {name: s, key: k}
    httpConfig: {bearerTokenSecret: {name: s, key: t}, basicAuth: {username: {name: s, key: u, optional: true}}}
  discordConfigs: [{apiURL: {name: s, key: k, optional: true}}]
  webhookConfigs: [{url: "http://a/", timeout: 5s}]
inhibitRules: [{sourceMatch: [{name: a, value: b, matchType: "="}], targetMatch: [{name: c, value: d, matchType: "!~"}], equal: [x]}]
timeIntervals: [{name: nights, timeIntervals: [{weekdays: [Monday], times: [{startTime: "22:00", endTime: "24:00"}]}]}]
""")


def stored(spec: Object, version: str = "v1alpha1", **more: Any) -> Object:
    return {"apiVersion": f"monitoring.coreos.com/{version}", "kind": "AlertmanagerConfig", "metadata": METADATA, "spec": spec, **more}


def review(*objects: Object, wanted: str = "v1beta1") -> Object:
    request = {"uid": "u1", "desiredAPIVersion": f"monitoring.coreos.com/{wanted}", "objects": list(objects)}
    status, body = answer(f"{JSON}; charset=utf-8", orjson.dumps({"request": request}))
    assert status == 200
    found: Object = orjson.loads(body)
    assert (found["apiVersion"], found["kind"]) == ("apiextensions.k8s.io/v1", "ConversionReview")
    assert found["response"]["uid"] == "u1"
    response: Object = found["response"]
    return response


def test_what_is_written_in_v1beta1_comes_back_as_it_was() -> None:
    written = stored(BETA, "v1beta1", status={"x": 1})
    inside = to_v1alpha1(written)
    assert inside["apiVersion"] == "monitoring.coreos.com/v1alpha1"
    assert "timeIntervals" not in inside["spec"]
    assert inside["spec"]["muteTimeIntervals"] == BETA["timeIntervals"]
    assert to_v1beta1(inside) == written


@pytest.mark.parametrize(
    ("alpha", "beta"),
    [
        ({"route": {"matchers": [{"name": "a", "value": "b"}]}}, {"route": {"matchers": [{"name": "a", "value": "b", "matchType": "="}]}}),
        (
            {"route": {"routes": [{"matchers": [{"name": "a", "regex": True}]}]}},
            {"route": {"routes": [{"matchers": [{"name": "a", "matchType": "=~"}]}]}},
        ),
        (
            {"inhibitRules": [{"sourceMatch": [{"name": "a", "regex": False, "matchType": "!="}]}]},
            {"inhibitRules": [{"sourceMatch": [{"name": "a", "matchType": "!="}]}]},
        ),
        (
            {"receivers": [{"name": "r", "opsgenieConfigs": [{"apiKey": {"name": "n", "key": "k", "optional": True}}]}]},
            {"receivers": [{"name": "r", "opsgenieConfigs": [{"apiKey": {"name": "n", "key": "k"}}]}]},
        ),
        ({"muteTimeIntervals": []}, {"timeIntervals": []}),
        ({}, {}),
    ],
)
def test_v1alpha1_is_shown_in_v1beta1(alpha: Object, beta: Object) -> None:
    assert to_v1beta1(stored(alpha))["spec"] == beta


def test_what_is_wrong_with_a_child_route_does_not_keep_a_list_from_being_read() -> None:
    deep: Any = "no route"
    for _ in range(ROUTES_DEPTH_MAX + 10):
        deep = {"routes": [deep]}
    for route in ("no route", {"routes": "none"}, {"routes": [1, None, {"matchers": ["x", {"name": "a"}]}]}, deep):
        assert review(stored({"route": route}), stored({}))["result"] == {"status": "Success"}


def test_a_list_is_converted_in_its_order_and_metadata_stay() -> None:
    response = review(stored({"muteTimeIntervals": []}), stored({}, "v1beta1"), stored({}))
    assert [(o["apiVersion"], o["spec"], o["metadata"]) for o in response["convertedObjects"]] == [
        ("monitoring.coreos.com/v1beta1", {"timeIntervals": []}, METADATA),
        ("monitoring.coreos.com/v1beta1", {}, METADATA),
        ("monitoring.coreos.com/v1beta1", {}, METADATA),
    ]


def test_what_cannot_be_converted_is_a_failure_with_a_message() -> None:
    assert review(stored({}), wanted="v2")["result"] == {
        "status": "Failure",
        "message": "there is no conversion of AlertmanagerConfig to monitoring.coreos.com/v2",
    }
    assert review({**stored({}), "kind": "Probe"})["result"]["status"] == "Failure"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [("text/plain", b"{}", 415), (JSON, b"", 400), (JSON, b"[]", 400), (JSON, b'{"request": {}}', 400), (JSON, b"[" * 100_000, 400)],
)
def test_what_is_no_review_is_answered_with_an_error(content_type: str, body: bytes, status: int) -> None:
    assert answer(content_type, body)[0] == status
