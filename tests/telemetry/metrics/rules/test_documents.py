"""Rule files: what is read, and every mistake at its place."""

import pytest

from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.rules.rule import AlertingRule, RecordingRule

FILE = """
groups:
- name: shop
  interval: 30s
  query_offset: 10s
  limit: 5
  labels: {team: shop, tier: one}
  rules:
  - record: shop:requests:rate5m
    expr: sum(rate(http_requests_total[5m]))
    labels: {tier: two}
  - alert: ShopDown
    expr: up == 0
    for: 5m
    keep_firing_for: 1m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.instance }} is down"}
- name: empty
"""


def test_groups_and_rules_are_read_with_their_defaults() -> None:
    shop, empty = read(FILE, "f.yml")
    assert (shop.interval_ms, shop.query_offset_ms, shop.limit, shop.key) == (30_000, 10_000, 5, "f.yml;shop")
    recording, alerting = shop.rules
    assert isinstance(recording, RecordingRule)
    assert isinstance(alerting, AlertingRule)
    assert recording.labels == {"team": "shop", "tier": "two"}
    assert (alerting.for_ms, alerting.keep_firing_for_ms) == (300_000, 60_000)
    assert (empty.rules, empty.interval_ms, empty.query_offset_ms) == ((), 0, None)


@pytest.mark.parametrize("text", ["", "groups:", "groups: []", "# nothing"])
def test_an_empty_file_has_no_groups(text: str) -> None:
    assert read(text, "f.yml") == []


def rules(text: str) -> str:
    return "groups:\n- name: g\n  rules:\n" + "".join(f"  {line}\n" for line in text.strip("\n").splitlines())


BAD = [
    ("groups:\n- name: ''\n", "2:3: Groupname must not be empty"),
    ("groups:\n- name: a\n- name: a\n", '3:3: groupname: "a" is repeated in the same file'),
    ("groups:\n- name: a\n  nope: 1\n", "3:3: field nope not found in type rulefmt.RuleGroup"),
    ("groups:\n- name: a\n  name: b\n", 'mapping key "name" already defined at line 2'),
    ("groups: 1\n", "1:9: cannot unmarshal !!int `1` into []rulefmt.RuleGroup"),
    ("- a\n", "1:1: cannot unmarshal !!seq into rulefmt.RuleGroups"),
    ("groups:\n- name: a\n  interval: soon\n", "3:13: "),
    ("groups:\n- name: a\n  limit: x\n", "3:10: cannot unmarshal !!str `x` into int"),
    ("a: {", "yaml: "),
    (rules("- record: a\n  alert: b\n  expr: x"), "only one of 'record' and 'alert' must be set"),
    (rules("- expr: x"), "one of 'record' or 'alert' must be set"),
    (rules("- record: a"), "field 'expr' must be set in rule"),
    (rules("- record: a\n  expr: sum("), 'group "g", rule 1, "a": could not parse expression: 1:5: parse error: unclosed left parenthesis'),
    (rules("- record: a\n  expr: x\n  for: 5m"), "invalid field 'for' in recording rule"),
    (rules("- record: a\n  expr: x\n  annotations: {b: c}"), "invalid field 'annotations' in recording rule"),
    (rules("- record: 'a{b}'\n  expr: x"), "braces present in the recording rule name; should it be in expr?: a{b}"),
    (rules("- record: a\n  expr: x\n  labels: {__name__: b}"), "invalid label name: __name__"),
    (rules("- alert: a\n  expr: x\n  labels: {b: '{{ .Nope }'}"), 'label "b": template: __alert:1'),
    (rules("- alert: a\n  expr: x\n  annotations: {b: '{{ nope }}'}"), 'annotation "b": template: __alert:1: function "nope" not defined'),
]


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_a_mistake_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(RuleFileError) as refused:
        read(text, "f.yml")
    assert any(problem in p for p in refused.value.problems), refused.value.problems
    assert str(refused.value).startswith("f.yml: ")


@pytest.mark.parametrize("depth", [1, 30, 300])
def test_a_name_that_is_none_is_told_however_deep_it_is(depth: int) -> None:
    for line in (
        f"- {{record: a, expr: b, labels: {{{'{' * depth}{'}' * depth}: x}}}}",
        f"- {{record: a, expr: b, {'{' * depth}{'}' * depth}: x}}",
    ):
        with pytest.raises(RuleFileError, match="cannot unmarshal !!map into string"):
            read(rules(line), "f.yml")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RuleFileError) as refused:
        read(rules("- record: a\n- alert: b\n  expr: ')'\n  odd: 1"), "f.yml")
    assert len(refused.value.problems) == 3
