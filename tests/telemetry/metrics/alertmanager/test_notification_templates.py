"""Alertmanager's template functions and default templates, and the user's over them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.notification_data import Data, data_of
from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.world.virtual import START, VirtualWorld

CLOCK = VirtualWorld(0).clock


@pytest.fixture(scope="module")
def templates() -> NotificationTemplates:
    return NotificationTemplates.load((), CLOCK)


def sample() -> Data:
    then = START - timedelta(hours=1, minutes=2)
    alerts = [
        Alert({"alertname": "High", "job": "api", "i": i}, then, None if i == "1" else START, START, {"summary": f"s<{i}>"}, "http://p/")
        for i in "12"
    ]  # fmt: skip
    return data_of(
        alerts, START, receiver="a.b", group_labels={"alertname": "High"}, route_labels={"who": "team"}, reason="new alerts added",
        external_url="http://am",
    )  # fmt: skip


FUNCTIONS = [
    ('{{ toUpper "aé" }} {{ toLower "AB" }} {{ title "hello wORLD it\'s" }} [{{ trimSpace " x " }}]', "AÉ ab Hello World It's [x]"),
    ('{{ join "-" (stringSlice "a" "b") }} {{ .GroupLabels.Values.Join "," }}', "a-b High"),
    ('{{ match "^H.*h$" "High" }} {{ match "x" "High" }} {{ match "ig" "High" }}', "true false true"),
    ('{{ reReplaceAll "(a)(b)" "$2-${1}" "xaby" }} {{ reReplaceAll "a*" "x" "baac" }}', "xb-ay xbxcx"),
    ('{{ reReplaceAll "(?P<n>a)" "<${n}>$$" "ba" }} {{ reReplaceAll "(a)" "$1x|${9}" "ba" }}', "b<a>$ b|"),
    ('{{ urlUnescape "a%20b+c" }}', "a b c"),
    ('{{ base64encode "a?>" }} {{ base64decode "YT8-" }}', "YT8- a?>"),
    ('{{ date "2006-01-02" (index .Alerts 0).StartsAt }} {{ (tz "Europe/Berlin" now).Format "15:04 MST" }}', "2025-12-31 01:00 CET"),
    ("{{ since (index .Alerts 0).StartsAt }} {{ humanizeDuration (since (index .Alerts 0).StartsAt) }}", "1h2m0s 1h 2m 0s"),
    ('{{ humanizeDuration 0 }} {{ humanizeDuration 0.0123 }} {{ humanizeDuration 93784.5 }} {{ humanizeDuration "61" }}',
     "0s 12.3ms 1d 2h 3m 4s 1m 1s"),
    ("{{ humanizeDuration -1.5 }} {{ humanizeDuration 59.999 }} {{ humanizeDuration 0.0000001 }}", "-1.5s 60s 100ns"),
    ('{{ (toDate "2006-01-02" "2026-03-04").Unix }} {{ (toDate "2006" "x").IsZero }}', "1772582400 true"),
    ('{{ (dict "a" 1 "b" (list 1 "x")) | toJson }} {{ append (list 1) 2 3 }}', '{"a":1,"b":[1,"x"]} [1 2 3]'),
    ('{{ toJson .CommonLabels }} {{ toJson "<&>" }}', '{"alertname":"High","job":"api"} "\\u003c\\u0026\\u003e"'),
    ("{{ .CommonLabels }} {{ .CommonLabels.Remove .GroupLabels.Names }}", "alertname=High, job=api job=api"),
    ("{{ .Receiver }} {{ .Status }} {{ .NotificationReason }} {{ len .Alerts.Firing }}/{{ len .Alerts.Resolved }}",
     "a\\.b firing new alerts added 1/1"),
    ('{{ routeLabels "who" }}{{ routeLabels "nobody" }} {{ .RouteLabels.who }}', "team team"),
    ("{{ .CommonAnnotations.nothing }}|{{ range .GroupLabels.SortedPairs }}{{ .Name }}:{{ .Value }}{{ end }}", "|alertname:High"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS)
def test_functions_give(templates: NotificationTemplates, text: str, expected: str) -> None:
    assert templates.text(text, sample()) == expected


ERRORS = [
    ('{{ tz "Mars" now }}', "error calling tz: unknown time zone Mars"),
    ('{{ dict "a" }}', "error calling dict: dict requires an even number of arguments"),
    ("{{ dict 1 2 }}", "error calling dict: dict keys must be strings"),
    ('{{ match "(" "x" }}', "error calling match: error parsing regexp: missing \\): \\("),
    ('{{ base64decode "!" }}', "error calling base64decode: illegal base64 data"),
    ('{{ mustToDate "2006" "x" }}', "error calling mustToDate: parsing time"),
    ('{{ humanizeDuration "x" }}', "error calling humanizeDuration: can't convert str to float"),
    ("{{ .Labels }}", "can't evaluate field Labels in type \\*template.Data"),
    ('{{ template "nope" . }}', 'template "nope" not defined'),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_what_goes_wrong_is_said(templates: NotificationTemplates, text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        templates.text(text, sample())


DEFAULTS = [
    "slack.default.title", "slack.default.username", "slack.default.fallback", "slack.default.callbackid", "slack.default.pretext",
    "slack.default.titlelink", "slack.default.iconemoji", "slack.default.iconurl", "slack.default.text", "slack.default.footer",
    "slack.default.color", "pagerduty.default.description", "pagerduty.default.client", "pagerduty.default.clientURL",
    "opsgenie.default.message", "opsgenie.default.description", "opsgenie.default.source", "victorops.default.state_message",
    "victorops.default.entity_display_name", "victorops.default.monitoring_tool", "pushover.default.title", "pushover.default.message",
    "pushover.default.url", "sns.default.subject", "sns.default.message", "telegram.default.message", "discord.default.content",
    "discord.default.title", "discord.default.message", "webex.default.message", "msteams.default.summary", "msteams.default.title",
    "msteams.default.text", "msteamsv2.default.title", "msteamsv2.default.text", "email.default.subject", "email.default.html",
    "__alertmanager", "__alertmanagerURL", "__subject",
]  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_default_renders_and_can_be_replaced(templates: NotificationTemplates, tmp_path: Path, name: str) -> None:
    call = f'{{{{ template "{name}" . }}}}'
    assert "<no value>" not in templates.text(call, sample()) and "ZgotmplZ" not in templates.html(call, sample())
    (tmp_path / "mine.tmpl").write_text(f'{{{{ define "{name}" }}}}mine {{{{ .Status }}}}{{{{ end }}}}')
    mine = NotificationTemplates.load((str(tmp_path / "*.tmpl"), str(tmp_path / "none*")), CLOCK)
    assert mine.text(call, sample()) == "mine firing"


def test_lists_of_alerts_render_alone(templates: NotificationTemplates) -> None:
    for name in ("pagerduty.default.instances", "__text_alert_list", "__text_alert_list_markdown"):
        assert "s<1>" in templates.text(f'{{{{ template "{name}" .Alerts.Firing }}}}', sample())


def test_a_bad_file_is_a_configuration_error_with_its_name_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.tmpl").write_text("a\n{{ nope }}")
    with pytest.raises(ConfigurationError, match=r'bad\.tmpl: template: bad\.tmpl:2: function "nope" not defined'):
        NotificationTemplates.load((str(tmp_path / "bad.tmpl"),), CLOCK)


def test_json_of_alerts_has_upstream_s_names(templates: NotificationTemplates) -> None:
    [alert] = json.loads(templates.text("{{ .Alerts.Firing | toJson }}", sample()))
    assert list(alert) == ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"]
    assert datetime.fromisoformat(alert["startsAt"]).astimezone(UTC) == START - timedelta(hours=1, minutes=2)


GROWN = '{{ $x := "aaaaaaaaaaaaaaaa" }}' + '{{ $x = printf "%s%s%s%s%s%s%s%s" $x $x $x $x $x $x $x $x }}' * 5
BOMBS = [
    (GROWN + '{{ len (reReplaceAll "a" $x $x) }}', "the result is longer than 4194304 characters"),
    (GROWN + '{{ len (reReplaceAll "a" "b" $x) }}', "more than 200000 matches"),
    (GROWN + "{{ len (join $x (stringSlice $x $x $x $x $x $x $x $x $x)) }}", "the result is longer than 4194304 characters"),
    (GROWN + "{{ len (toUpper $x) }}" * 200, "more than 1000000 steps"),
]


@pytest.mark.parametrize(("text", "message"), BOMBS)
def test_templates_that_grow_are_stopped(templates: NotificationTemplates, text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        templates.text(text, sample())
