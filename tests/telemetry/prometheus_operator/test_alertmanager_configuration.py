"""AlertmanagerConfigs become the alertmanager.yml that upstream's operator would write; stock amtool reads it."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.telemetry.prometheus_operator.alertmanager_configuration import check_config, matchers, plan_alertmanager
from podium.telemetry.prometheus_operator.errors import ResourceRefused

BASE = """
global: {resolve_timeout: 3m, slack_api_url: "http://chat.example/hook"}
route: {receiver: all, routes: [{receiver: pages, matchers: [severity="page"]}]}
receivers: [{name: all}, {name: pages, webhook_configs: [{url: "http://pager.example/"}]}]
"""
SECRETS = {"url": "http://hook.example/x\n", "user": "alice", "word": "not one that is used"}


def encoded(data: dict[str, str]) -> dict[str, Any]:
    return {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def lookup(kind: str, namespace: str, name: str) -> dict[str, Any] | None:
    found = {("secrets", "shop", "login"): SECRETS, ("secrets", "monitoring", "alertmanager-main"): {"alertmanager.yaml": BASE}}
    data = found.get((kind, namespace, name))
    return encoded(data) if data else None


def config(text: str, name: str = "web", namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": yaml.safe_load(text)}


def plan(*configs: dict[str, Any], **spec: Any) -> Any:
    spec = {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}, **spec}
    alertmanager = {"metadata": {"namespace": "monitoring", "name": "main"}, "spec": spec}
    everything = {"alertmanagerconfigs": configs, "namespaces": [{"metadata": {"name": n}} for n in ("shop", "bank", "monitoring")]}
    return plan_alertmanager(alertmanager, lambda name: everything[name], lookup)


def rendered(*configs: dict[str, Any], **spec: Any) -> Any:
    found = plan(*configs, **spec)
    assert found.problems == ()
    return yaml.safe_load(found.text)


WEB = config("""
route:
  receiver: team
  groupBy: [alertname]
  groupWait: 5s
  groupInterval: 1m
  repeatInterval: 2h
  matchers: [{name: tier, value: 'a"b\\c', matchType: "!="}]
  muteTimeIntervals: [nights]
  routes:
  - {receiver: other, matchers: [{name: severity, value: page}], continue: true, activeTimeIntervals: [nights]}
  - matchers: [{name: x, value: "y.*", regex: true}]
receivers:
- name: team
  webhookConfigs:
  - urlSecret: {name: login, key: url}
    sendResolved: false
    maxAlerts: 3
    httpConfig: {basicAuth: {username: {name: login, key: user}, password: {name: login, key: word}}}
- name: other
  slackConfigs:
  - channel: "#x"
    titleLink: "http://t/"
    fields: [{title: a, value: b, short: true}]
    actions: [{type: button, text: go, url: "http://u/"}]
inhibitRules:
- sourceMatch: [{name: severity, value: page}, {name: namespace, value: elsewhere}]
  targetMatch: [{name: severity, value: "w.*", matchType: "=~"}]
  equal: [alertname]
muteTimeIntervals:
- name: nights
  timeIntervals:
  - times: [{startTime: "22:00", endTime: "24:00"}]
    weekdays: ["Monday:Friday"]
    daysOfMonth: [{start: 1, end: 7}, {start: -1}]
    months: [January]
    years: ["2030:2031"]
""")


def test_routes_are_nested_named_and_matched_to_the_namespace() -> None:
    route = rendered(WEB)["route"]
    assert route["receiver"] == "all"
    assert route["routes"][1] == {"receiver": "pages", "matchers": ['severity="page"']}, "the base's come last"
    assert route["routes"][0] == {
        "receiver": "shop/web/team", "group_by": ["alertname"], "group_wait": "5s", "group_interval": "1m", "repeat_interval": "2h",
        "matchers": ['tier!="a\\"b\\\\c"', 'namespace="shop"'], "mute_time_intervals": ["shop/web/nights"], "continue": True,
        "routes": [
            {"receiver": "shop/web/other", "matchers": ['severity="page"'], "continue": True, "active_time_intervals": ["shop/web/nights"]},
            {"matchers": ['x=~"y.*"']},
        ],
    }  # fmt: skip


def test_receivers_hold_what_secrets_hold() -> None:
    team, other = rendered(WEB)["receivers"][2:]
    assert team == {"name": "shop/web/team", "webhook_configs": [{
        "url": "http://hook.example/x", "send_resolved": False, "max_alerts": 3,
        "http_config": {"basic_auth": {"username": "alice", "password": SECRETS["word"]}},
    }]}  # fmt: skip
    assert other["slack_configs"] == [{
        "channel": "#x", "title_link": "http://t/", "fields": [{"title": "a", "value": "b", "short": True}],
        "actions": [{"type": "button", "text": "go", "url": "http://u/"}],
    }]  # fmt: skip


def test_inhibition_is_of_the_namespace() -> None:
    assert rendered(WEB)["inhibit_rules"] == [{
        "source_matchers": ['severity="page"', 'namespace="shop"'], "target_matchers": ['severity=~"w.*"', 'namespace="shop"'],
        "equal": ["alertname"],
    }]  # fmt: skip


def test_time_intervals_are_written_as_ranges() -> None:
    assert rendered(WEB)["mute_time_intervals"] == [{"name": "shop/web/nights", "time_intervals": [{
        "times": [{"start_time": "22:00", "end_time": "24:00"}], "weekdays": ["monday:friday"], "days_of_month": ["1:7", "-1:-1"],
        "months": ["january"], "years": ["2030:2031"],
    }]}]  # fmt: skip


SMALL = "{route: {receiver: r, matchers: [{name: a, value: b}]}, receivers: [{name: r}]}"


@pytest.mark.parametrize(
    ("strategy", "namespace", "expected"),
    [
        ("OnNamespace", "shop", ['a="b"', 'namespace="shop"']),
        ("OnNamespace", "monitoring", ['a="b"', 'namespace="monitoring"']),
        ("OnNamespaceExceptForAlertmanagerNamespace", "shop", ['a="b"', 'namespace="shop"']),
        ("OnNamespaceExceptForAlertmanagerNamespace", "monitoring", ['a="b"']),
        ("None", "shop", ['a="b"']),
    ],
)
def test_the_strategy_says_whether_the_namespace_is_matched(strategy: str, namespace: str, expected: list[str]) -> None:
    given = config(SMALL, namespace=namespace)
    found = rendered(given, alertmanagerConfigMatcherStrategy={"type": strategy})["route"]["routes"][0]
    assert (found["matchers"], found["continue"]) == (expected, True)


def test_an_absent_selector_takes_none_and_an_absent_namespace_selector_only_its_own() -> None:
    own, other = config(SMALL, namespace="monitoring"), config(SMALL)
    for spec, expected in (
        ({"alertmanagerConfigSelector": None}, []),
        ({"alertmanagerConfigNamespaceSelector": None}, ["monitoring/web/r"]),
        ({}, ["monitoring/web/r", "shop/web/r"]),
    ):
        routes = rendered(own, other, **spec)["route"]["routes"][:-1]
        assert [r["receiver"] for r in routes] == expected


KEY = "{name: login, key: word}"
ENTRIES = {
    "opsgenieConfigs": f"{{apiKey: {KEY}, apiURL: 'http://o.example/', responders: [{{name: ops, type: team}}], details: [{{key: a, value: b}}]}}",
    "pagerdutyConfigs": f"{{routingKey: {KEY}, severity: error, pagerDutyLinkConfigs: [{{href: 'http://l/', alt: see}}]}}",
    "slackConfigs": "{apiURL: {name: login, key: url}, channel: '#a', iconEmoji: ':x:', mrkdwnIn: [text], shortFields: true}",
    "emailConfigs": f"{{to: a@b, from: c@d, smarthost: 'mail:25', authUsername: u, authPassword: {KEY}, headers: [{{key: X, value: y}}]}}",
    "victoropsConfigs": f"{{apiKey: {KEY}, apiUrl: 'http://v.example/', routingKey: r, customFields: [{{key: a, value: b}}]}}",
    "pushoverConfigs": f"{{userKey: {KEY}, token: {KEY}, retry: 1m, expire: 1d}}",
    "snsConfigs": f"{{topicARN: 'arn:aws:sns:us-east-2:6985:T', sigv4: {{region: us-east-2, accessKey: {KEY}, secretKey: {KEY}}}}}",
    "telegramConfigs": f"{{botToken: {KEY}, chatID: 12, parseMode: HTML}}",
    "webhookConfigs": f"{{url: 'http://w.example/', httpConfig: {{authorization: {{credentials: {KEY}}}, tlsConfig: {{serverName: s}}}}}}",
}
NEWER = {
    "discordConfigs": "{apiURL: {name: login, key: url}, title: t}",
    "msteamsConfigs": "{webhookUrl: {name: login, key: url}, title: t}",
    "msteamsv2Configs": "{webhookURL: {name: login, key: url}, text: t}",
    "webexConfigs": "{roomID: r, httpConfig: {authorization: {credentials: {name: login, key: word}}}}",
}
"""Integrations that amtool 0.25 has not."""


@pytest.mark.parametrize("name", [*ENTRIES, *NEWER])
def test_every_integration_is_rendered(name: str) -> None:
    found = rendered(config(f"{{route: {{receiver: r}}, receivers: [{{name: r, {name}: [{(ENTRIES | NEWER)[name]}]}}]}}"))
    (receiver,) = found["receivers"][2:]
    assert len(receiver) == 2


@pytest.mark.skipif(not shutil.which("amtool"), reason="no amtool here")
def test_stock_amtool_accepts_what_is_rendered(tmp_path: Path) -> None:
    receivers = "\n".join(f"- {{name: {n}, {n}: [{entry}]}}" for n, entry in ENTRIES.items())
    found = plan(WEB, config(f"route: {{receiver: slackConfigs}}\nreceivers:\n{receivers}", name="all"))
    assert found.problems == ()
    (tmp_path / "alertmanager.yml").write_text(found.text)
    done = subprocess.run(
        ["amtool", "check-config", tmp_path / "alertmanager.yml"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " - 13 receivers" in done.stdout


BAD = [
    ("{route: {receiver: r}, receivers: []}", 'spec.route.receiver: receiver "r" not found'),
    ("{route: {groupBy: [a]}, receivers: [{name: r}]}", "a root route must have a receiver"),
    ("{route: {receiver: r, routes: [{reciever: r}]}, receivers: [{name: r}]}", 'spec.route.routes[0]: unknown field "reciever"'),
    ("{route: {receiver: r, routes: [7]}, receivers: [{name: r}]}", "spec.route.routes[0]: a route is an object"),
    ("{route: {receiver: r, routes: [{matchers: x}]}, receivers: [{name: r}]}", "spec.route.routes[0].matchers: a list of matchers"),
    ("{route: {receiver: r, muteTimeIntervals: [n]}, receivers: [{name: r}]}", 'time interval "n" not found'),
    ("{route: {receiver: r, groupBy: [a, a]}, receivers: [{name: r}]}", 'duplicated label "a" in group_by'),
    ("{route: {receiver: r, matchers: [{name: a, value: '(', matchType: '=~'}]}, receivers: [{name: r}]}", "error parsing regexp"),
    ("{route: {receiver: r}, receivers: [{name: r, webhookConfigs: [{}]}]}", "one of url or url_file must be configured"),
    ("{route: {receiver: r}, receivers: [{name: r, webhookConfigs: [{urlSecret: {name: none, key: k}}]}]}", "no Secret shop/none"),
    ("{route: {receiver: r}, receivers: [{name: r, webhookConfigs: [{urlSecret: {name: login, key: k}}]}]}", "has no key 'k'"),
    ("{route: {receiver: r}, receivers: [{name: r, wechatConfigs: [{}]}]}", "wechatConfigs is not supported: use webhookConfigs"),
    ("{route: {receiver: r}, receivers: [{name: r, telegramConfigs: [{chatID: 1, botTokenFile: /f}]}]}", "botTokenFile is not supported"),
    (
        "{route: {receiver: r}, receivers: [{name: r, webhookConfigs: [{url: 'http://a/', httpConfig: {tlsConfig: {caFile: /f}}}]}]}",
        "spec.receivers[0].webhookConfigs[0].httpConfig.tlsConfig.caFile is not supported: use a Secret",
    ),
    ("{route: {receiver: r}, receivers: [{name: r, emailConfigs: [{to: a@b}]}]}", "no global SMTP smarthost set"),
    ("{receivers: [{name: r, webhookConfigs: [{urlSecret: {name: none, key: k}}]}]}", "no Secret shop/none"),
    (
        "{route: {receiver: r}, receivers: [{name: r, webhookConfigs: [{url: 'http://a/', httpConfig: {basicAuth: {username: "
        "{name: login, key: user}}, authorization: {credentials: {name: login, key: word}}}}]}]}",
        "at most one of basic_auth, oauth2 & authorization must be configured",
    ),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_is_wrong_is_left_out_and_told_and_harms_no_other(text: str, reason: str) -> None:
    found = plan(config(text, name="bad"), config(SMALL, name="good"))
    (problem,) = found.problems
    assert (problem.resource, problem.namespace, problem.name) == ("alertmanagerconfigs", "shop", "bad")
    assert reason in problem.reason
    assert list(found.configuration.receivers) == ["all", "pages", "shop/good/r"]


def test_routes_nested_without_end_are_refused() -> None:
    route: dict[str, Any] = {"receiver": "r"}
    for _ in range(200):
        route = {"receiver": "r", "routes": [route]}
    given = {"metadata": {"namespace": "shop", "name": "deep"}, "spec": {"route": route, "receivers": [{"name": "r"}]}}
    assert "nested deeper than 40" in plan(given).problems[0].reason


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"replicas": 3}, "spec.replicas"),
        ({"web": {"x": 1}}, "spec.web is not supported"),
        ({"alertmanagerConfiguration": {"name": "nobody"}}, "AlertmanagerConfig monitoring/nobody is not there"),
        ({"alertmanagerConfiguration": {"name": "going-on"}}, "spec.route.continue: the root route has no siblings"),
        ({"alertmanagerConfiguration": {"name": "x", "templates": [{}]}}, "alertmanagerConfiguration.templates is not supported"),
    ],
)
def test_an_alertmanager_that_cannot_be_is_refused(spec: dict[str, Any], reason: str) -> None:
    going_on = config("{route: {receiver: r, continue: true}, receivers: [{name: r}]}", "going-on", "monitoring")
    with pytest.raises(ResourceRefused, match=reason):
        plan(going_on, **spec)


def test_without_a_route_only_what_is_inhibited_counts() -> None:
    found = rendered(config("{receivers: [{name: r}], inhibitRules: [{sourceMatch: [{name: a, value: b}], targetMatch: [{name: c}]}]}"))
    assert [r["name"] for r in found["receivers"]] == ["all", "pages"]
    assert found["inhibit_rules"] == [{"source_matchers": ['a="b"', 'namespace="shop"'], "target_matchers": ['c=""', 'namespace="shop"']}]


def test_an_alertmanager_config_may_be_the_base() -> None:
    found = rendered(config(SMALL.replace(", matchers: [{name: a, value: b}]", ""), "base", "monitoring"), config(SMALL),
                     alertmanagerConfiguration={"name": "base"}, alertmanagerConfigSelector={"matchLabels": {"none": "such"}})  # fmt: skip
    assert found["route"] == {"receiver": "monitoring/base/r", "routes": []}


def test_without_a_secret_nobody_is_told() -> None:
    assert list(plan(configSecret="none-such").configuration.receivers) == ["null"]


def test_a_config_is_checked_alone_as_if_its_secrets_were_there() -> None:
    check_config(WEB)
    check_config(config("{route: {receiver: r}, receivers: [{name: r, emailConfigs: [{to: a@b}]}]}"))
    with pytest.raises(ResourceRefused, match="not found"):
        check_config(config("{route: {receiver: r}, receivers: []}"))


def test_matchers_keep_their_kind() -> None:
    given = [{"name": "a", "value": "b", "matchType": kind} for kind in ("=", "!=", "=~", "!~")]
    assert matchers([*given, {"name": "c"}], "") == ['a="b"', 'a!="b"', 'a=~"b"', 'a!~"b"', 'c=""']
