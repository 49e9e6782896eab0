"""The functions of alert templates: text in, text out."""

import re

import pytest

pytest.importorskip("podium.telemetry.metrics.templates.template")

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.promql.syntax import NumberLiteral
from podium.telemetry.metrics.rules.alert_templates import AlertTemplates, check_template
from podium.telemetry.metrics.rules.rule import AlertingRule
from podium.telemetry.metrics.rules.template_functions import Surroundings

RESULTS = {"up": [(labels_of({"job": "b"}), 2.0), (labels_of({"job": "a"}), 1.0)], "none": []}
CASES = [
    ("plain", "plain"),
    ("{{ $labels.instance }} {{ $value }} {{ .ExternalLabels.dc }} {{ $labels.missing }}.", "i:9090 1.5 x ."),
    ("{{ humanize 1234567.0 }} {{ humanize 0.00012 }} {{ humanize 0.0 }} {{ humanize 999.9 }}", "1.235M 120u 0 999.9"),
    ("{{ humanize1024 1048576.0 }} {{ humanize1024 3.0 }}", "1Mi 3"),
    (
        "{{ humanizeDuration 0.0 }} {{ humanizeDuration 59.9 }} {{ humanizeDuration 61.0 }} {{ humanizeDuration 90061.0 }}",
        "0s 59.9s 1m 1s 1d 1h 1m 1s",
    ),
    ("{{ humanizeDuration 0.012 }} {{ humanizeDuration -61.0 }}", "12ms -1m 1s"),
    ("{{ humanizePercentage 0.1234567 }} {{ humanizeTimestamp 1435065584.128 }}", "12.35% 2015-06-23 13:19:44.128 +0000 UTC"),
    ("{{ $value | humanize }} {{ printf `%.2f` $value }}", "1.5 1.50"),
    ("{{ range query `up` | sortByLabel `job` }}{{ .Labels.job }}={{ .Value }} {{ end }}", "a=1 b=2 "),
    ("{{ with query `up` }}{{ . | first | value }} {{ . | first | label `job` }}{{ end }}", "2 b"),
    ("{{ title `aa bb` }} {{ toUpper `x` }} {{ match `a+` `caab` }} {{ reReplaceAll `(.*)b` `x$1` `ab` }}", "Aa Bb X true xa"),
    (
        "{{ stripPort `[::1]:80` }} {{ stripPort `h.x:80` }} {{ stripDomain `h.x.y:80` }} {{ stripDomain `10.0.0.1:80` }}",
        "::1 h.x h:80 10.0.0.1:80",
    ),
    ("{{ parseDuration `1h2m` }} {{ (toTime 1435065584.0).Year }}", "3720 2015"),
    ('{{ graphLink `up{job="a"}` }}', "/graph?g0.expr=up%7Bjob%3D%22a%22%7D&g0.tab=0"),
    ("{{ externalURL }} {{ pathPrefix }}", "http://p.example/x /x"),
    ("{{ query `none` | first }}", None),
    ("{{ humanize `x` }}", None),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_template_expands(text: str, expected: str | None) -> None:
    rule = AlertingRule("Down", "up", NumberLiteral(1), annotations={"a": text}, labels={"severity": "page"})
    templates = AlertTemplates(Surroundings(lambda query: RESULTS[query], 0.0, "http://p.example/x"), {"dc": "x"})
    found = templates.expand(rule, labels_of({"__name__": "up", "instance": "i:9090"}), 1.5)
    if expected is None:
        assert found.annotations["a"].startswith("<error expanding template: ")
    else:
        assert found.annotations["a"] == expected
    assert found.labels == labels_of({"instance": "i:9090", "severity": "page", "alertname": "Down"})


@pytest.mark.parametrize(("text", "wrong"), [("{{ $labels.a }}", False), ("{{ $nope }}", True), ("{{ nope }}", True), ("{{ if }}", True)])
def test_a_bad_template_is_found_before_it_is_used(text: str, wrong: bool) -> None:
    assert bool(check_template(text)) is wrong


GROWN = "{{ $x := `aaaaaaaaaaaaaaaa` }}" + "{{ $x = printf `%s%s%s%s%s%s%s%s` $x $x $x $x $x $x $x $x }}" * 5
BOMBS = [
    (GROWN + "{{ len (reReplaceAll `a` $x $x) }}", "error calling reReplaceAll: the result is longer than 4194304 characters"),
    (GROWN + "{{ len (reReplaceAll `a+` `$0$0$0$0$0$0$0$0$0$0$0$0` $x) }}", "the result is longer than 4194304 characters"),
    (GROWN + "{{ len (reReplaceAll `a` `b` $x) }}", "more than 200000 matches"),
    (GROWN + "{{ toUpper $x }}{{ toUpper $x }}{{ toUpper $x }}" * 100, "more than 1000000 steps|output is longer"),
    (GROWN + "{{ len (toUpper $x) }}" * 200, "more than 1000000 steps"),
    ("{{ reReplaceAll `(a)` `$99999999999999999999999999` `a` }}", ""),
]


@pytest.mark.parametrize(("text", "message"), BOMBS)
def test_templates_that_grow_are_stopped(text: str, message: str) -> None:
    rule = AlertingRule("A", "1", NumberLiteral(1.0), annotations={"a": text})
    surroundings = Surroundings(RESULTS.__getitem__, 0.0, "")
    shown = dict(AlertTemplates(surroundings, {}).expand(rule, (), 1.0).annotations)["a"]
    assert re.search(message, shown) if message else shown == ""
