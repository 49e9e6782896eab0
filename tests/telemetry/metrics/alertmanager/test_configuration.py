"""alertmanager.yml: what is taken, what is refused and in which words, and what is shown of it."""

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.alertmanager import fields
from podium.telemetry.metrics.alertmanager.configuration import Configuration, load, load_file
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import parse_duration, parse_go_duration
from podium.telemetry.metrics.alertmanager.routes import build

MINIMAL = "route: {receiver: x}\nreceivers:\n- name: x\n"


def receiver(kind: str, fields: str, general: str = "") -> str:
    return f"global: {{{general}}}\nroute: {{receiver: x}}\nreceivers:\n- name: x\n  {kind}_configs: [{{{fields}}}]\n"


REFUSED = [
    ("", "no route provided in config"),
    ("receivers: [{name: x}]", "no routes provided"),
    ("route: {}", "root route must specify a default receiver"),
    ("route: {receiver: y}\nreceivers: [{name: x}]", 'undefined receiver "y" used in route'),
    ("route: {receiver: x, continue: true}\nreceivers: [{name: x}]", "cannot have continue in root route"),
    ("route: {receiver: x, match: {a: b}}\nreceivers: [{name: x}]", "root route must not have any matchers"),
    ("route: {receiver: x, mute_time_intervals: [a]}\nreceivers: [{name: x}]", "root route must not have any mute time intervals"),
    (MINIMAL + "- name: x", 'notification config name "x" is not unique'),
    (MINIMAL + "- labels: {a: b}", "line 4: missing name in receiver"),
    (MINIMAL + "colour: red", "line 4: field colour not found in type config.Config"),
    ("route:\n  receiver: x\n  group_bye: [a]\n", "line 3: field group_bye not found in type config.Route"),
    ("route:\n  receiver: x\n  receiver: y\n", 'line 3: key "receiver" already set in map'),
    ("route: {receiver: x, group_by: [a, a]}", 'line 1: duplicated label "a" in group_by'),
    ("route: {receiver: x, group_by: [a, ...]}", "line 1: cannot have wildcard group_by (`...`) and other labels at the same time"),
    ("route: {receiver: x, group_by: ['']}", 'line 1: invalid label name "" in group_by list'),
    ("route: {receiver: x, group_interval: 0s}", "line 1: group_interval cannot be zero"),
    ("route: {receiver: x, group_wait: 5}", 'line 1: not a valid duration string: "5"'),
    ("route: {receiver: x, group_wait: 5x}", 'line 1: unknown unit "x" in duration "5x"'),
    ("route: {receiver: x, group_wait: [a]}", "line 1: cannot unmarshal !!seq into string"),
    ("route: {receiver: x, continue: 7}", "line 1: cannot unmarshal !!int `7` into bool"),
    ("route: {receiver: x, matchers: ['a=~(']}", "line 1: error parsing regexp: missing ): ("),
    ("route: {receiver: x, matchers: [nonsense]}", "line 1: bad matcher format: nonsense"),
    ("route: {receiver: x, match: {a-b: c}}", 'line 1: invalid label name "a-b"'),
    ("route: {receiver: x, routes: [{mute_time_intervals: [a]}]}\nreceivers: [{name: x}]", 'undefined time interval "a" used in route'),
    (MINIMAL + "time_intervals: [{name: a}, {name: a}]", 'time interval "a" is not unique'),
    (MINIMAL + "time_intervals: [{time_intervals: []}]", "line 4: missing name in time interval"),
    (MINIMAL + "inhibit_rules: [{equal: ['']}]", 'line 4: invalid label name "" in equal list'),
    (MINIMAL + "global: {opsgenie_api_key: a, opsgenie_api_key_file: b}",
     "at most one of opsgenie_api_key & opsgenie_api_key_file must be configured"),
    (MINIMAL + "tracing: {endpoint: x}", "line 4: tracing is not supported"),
    (MINIMAL + "global: {http_config: {proxy_url: 'http://x'}}", "line 4: proxies are not supported: Podium connects to receivers directly"),
    (receiver("pagerduty", "routing_key: x, details: 7"), "line 5: cannot unmarshal !!int `7` into map[string]interface {}"),
    (receiver("webhook", "url: 'http://x', payload: !!int seven"), "line 5: cannot unmarshal !!int `seven` into interface {}"),
    (receiver("webhook", "url: 'http://x', payload: !!python/name:os.system x"),
     "line 5: cannot unmarshal tag:yaml.org,2002:python/name:os.system `x` into interface {}"),
    ("a: [", "line 2: yaml: did not find expected node content"),
    ("a\x00", "yaml: control characters are not allowed"),
    ("\tx", "line 1: yaml: found character that cannot start any token"),
    (receiver("jira", "project: x"), "line 5: jira_configs is not supported: use webhook_configs"),
    (receiver("webhook", ""), "line 5: one of url or url_file must be configured"),
    (receiver("webhook", "url: 'ftp://x'"), 'line 5: unsupported scheme "ftp" for URL'),
    (receiver("webhook", "url: 'http://x', url_file: y"), "line 5: at most one of url & url_file must be configured"),
    (receiver("email", "to: x"), "no global SMTP smarthost set"),
    (receiver("email", "to: x, smarthost: a"), "line 5: address a: missing port in address"),
    (receiver("email", "to: x, smarthost: 'a:25'"), "no global SMTP from set"),
    (receiver("email", "headers: {}"), "line 5: missing to address in email config"),
    (receiver("email", "to: x, headers: {subject: a, Subject: b}"), 'line 5: duplicate header "Subject" in email config'),
    (receiver("slack", "channel: x"), "no Slack API URL nor App token set either inline or in a file"),
    (receiver("slack", "api_url: 'http://x', actions: [{type: button}]"), "line 5: missing text in Slack action configuration"),
    (receiver("pagerduty", "url: 'http://x'"), "line 5: missing service or routing key in PagerDuty config"),
    (receiver("opsgenie", "message: x"), "no global OpsGenie API Key set either inline or in a file"),
    (receiver("victorops", "api_key: x"), "line 5: missing Routing key in VictorOps config"),
    (receiver("telegram", "bot_token: x"), "line 5: missing chat_id or chat_id_file on telegram_config"),
    (receiver("telegram", "bot_token: x, chat_id: 1, parse_mode: y"),
     "line 5: unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string"),
    (receiver("pushover", "token: x"), "line 5: one of user_key or user_key_file must be configured"),
    (receiver("webex", "room_id: x"), "line 5: missing webex_configs.http_config.authorization"),
    (receiver("sns", "sigv4: {}"), "line 5: must provide either a Target ARN, Topic ARN, or Phone Number for SNS config"),
    (receiver("discord", ""), "line 5: one of webhook_url or webhook_url_file must be configured"),
    (receiver("webhook", "url: 'http://x', http_config: {basic_auth: {username: a}, bearer_token: b}"),
     "line 5: at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured"),
    (receiver("webhook", "url: 'http://x', http_config: {authorization: {type: Basic}}"),
     'line 5: authorization type cannot be set to "basic", use "basic_auth" instead'),
    (receiver("webhook", "url: 'http://x', http_config: {oauth2: {client_id: a}}"), "line 5: oauth2 token_url must be configured"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(text)
    assert str(raised.value) == message


def test_aliases_cannot_make_it_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "NODES_MAX", 10_000)
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9)]
    text = "templates:\n" + "\n".join(lines)
    with pytest.raises(ConfigurationError):
        load(text)
    payload = "x: &a0 [x]\n" + "\n".join(f"x{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9))
    inner = "\n".join("      " + line for line in payload.splitlines())
    with pytest.raises(ConfigurationError, match="more than 10000 values"):
        load(f"route: {{receiver: x}}\nreceivers:\n- name: x\n  webhook_configs:\n  - url: http://x\n    payload:\n{inner}\n")


FULL = """
global:
  resolve_timeout: 10m
  smtp_smarthost: 'mail.example.org:587'
  smtp_from: am@example.org
  smtp_auth_username: am
  smtp_auth_password: hunter2
  slack_api_url: 'https://hooks.slack.example/services/secret'
templates: ['*.tmpl']
route:
  receiver: mail
  group_by: ['alertname', "überwachung"]
  routes:
  - matchers: ['severity="critical"', 'team=~"a|b"', '"ü"!="x"']
    receiver: all
    mute_time_intervals: [offhours]
    routes: [{match: {a: b}, match_re: {c: 'd.*'}, continue: true, group_by: ['...']}]
inhibit_rules:
- source_match: {severity: critical}
  target_matchers: [severity="warning"]
  equal: [cluster]
mute_time_intervals:
- name: offhours
  time_intervals: [{weekdays: ['monday:friday'], location: Europe/Berlin}]
receivers:
- name: mail
  email_configs: [{to: ops@example.org}]
- name: all
  labels: {owner: ops}
  webhook_configs:
  - url: 'http://user:word@hook.example/path?token=x'
    http_config: {tls_config: {ca_file: ca.pem}, authorization: {credentials: topsecret}}
  slack_configs: [{channel: '#a'}]
  pagerduty_configs: [{routing_key: topsecret, details: {a: {b: [1, x]}}}]
"""


@pytest.fixture(scope="module")
def full() -> Configuration:
    return load(FULL, Path("/etc/am"))


def test_defaults_come_from_the_global_section(full: Configuration) -> None:
    mail = full.receivers["mail"].integrations[0].settings
    assert (mail["smarthost"], mail["from"], mail["auth_password"]) == (("mail.example.org", "587"), "am@example.org", "hunter2")
    assert (mail["require_tls"], mail["send_resolved"], mail["hello"]) == (True, False, "localhost")
    kinds = {i.kind: i.settings for i in full.receivers["all"].integrations}
    assert kinds["slack"]["api_url"] == "https://hooks.slack.example/services/secret"
    assert kinds["pagerduty"]["url"] == "https://events.pagerduty.com/v2/enqueue"
    assert full.resolve_timeout_s == 600


def test_relative_files_count_from_the_configuration_s_folder(full: Configuration) -> None:
    assert full.templates == ("/etc/am/*.tmpl",)
    webhook = full.receivers["all"].integrations[0]
    assert webhook.http["tls_config"]["ca_file"] == "/etc/am/ca.pem"


def test_what_is_shown_has_no_secrets_and_is_the_same_otherwise(full: Configuration) -> None:
    for secret in ("hunter2", "topsecret", "services/secret", "token=x", "word@"):
        assert secret not in full.shown

    def without_secrets(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_secrets(v) for k, v in value.items()}
        if isinstance(value, list):
            return [without_secrets(v) for v in value]
        return "?" if isinstance(value, str) and any(s in value for s in ("hunter2", "secret", "hook.example")) else value

    assert without_secrets(yaml.safe_load(full.shown)) == without_secrets(yaml.safe_load(FULL))


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
@pytest.mark.slow
def test_amtool_takes_what_is_shown(full: Configuration, tmp_path: Path) -> None:
    path = tmp_path / "shown.yml"
    shown = full.shown.replace("  labels: {owner: ops}\n", "").replace('"ü"!="x"', "z!=x").replace("überwachung", "u")
    shown = shown.replace("{a: {b: [1, x]}}", "{a: b}")  # what Debian's 0.25 does not know yet
    path.write_text(shown)
    done = subprocess.run(["amtool", "check-config", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


DURATIONS = [("0", 0), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86400), ("2w", 1209600), ("1y", 31536000)]
BAD_DURATIONS = ["", "1", "-1s", "1m1h", "1s1s", "s", "1.5h", "999999999y"]
GO_DURATIONS = [("1.5h", 5400), ("300ms", 0.3), ("-2s", -2), ("1h2m3s", 3723), (".5s", 0.5), ("1us", 1e-6)]


def test_durations_are_read_in_both_notations() -> None:
    assert [parse_duration(text) for text, _ in DURATIONS] == [seconds for _, seconds in DURATIONS]
    assert [parse_go_duration(text) for text, _ in GO_DURATIONS] == [seconds for _, seconds in GO_DURATIONS]
    for text in BAD_DURATIONS:
        with pytest.raises(ConfigurationError):
            parse_duration(text)
    for text in ("", "1", "1d", "x", "1s2"):
        with pytest.raises(ConfigurationError):
            parse_go_duration(text)


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        load_file(tmp_path / "no.yml")


ODD = st.sampled_from(
    [None, 0, -1, 2**70, 1.5, float("nan"), True, "", "x", "{{", "\x00", "1h", "<<", [], {}, [None], [[]], {"a": None}, [{}], {"a": ["b"]}]
)
SHAPES = [
    yaml.safe_load(FULL),
    *(yaml.safe_load(receiver(kind, given_fields)) for kind, given_fields in (
        ("telegram", "bot_token: x, chat_id: 1"), ("pushover", "token: a, user_key: b"), ("sns", "topic_arn: a, sigv4: {region: b}"),
        ("opsgenie", "api_key: a, responders: [{id: b, type: team}]"), ("slack", "api_url: 'http://x', fields: [{title: a, value: b}]"),
        ("victorops", "api_key: a, routing_key: b, custom_fields: {c: d}"), ("webex", "room_id: a, http_config: {authorization: {type: b}}"),
    )),
]  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: list[tuple[Any, Any]] = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [path, *(place for key, item in items for place in _places(item, (*path, key)))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_odd_value_anywhere_is_taken_or_refused(data: st.DataObject) -> None:
    tree = copy.deepcopy(data.draw(st.sampled_from(SHAPES)))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([place for place in _places(tree) if place]))
        holder = tree
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = copy.deepcopy(data.draw(ODD))
    try:
        found = load(yaml.safe_dump(tree), Path("/etc"))
    except ConfigurationError:
        return
    build(found.route).matching({"a": "b"})


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="{}[]:,-&*!|>'\"%@`#?~ \n\tab<", max_size=40))
def test_any_text_is_refused_with_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        load(text)
