"""Relabelling rules: labels in, rules, labels out. Cases follow upstream's documentation and tests."""

import pytest

from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.names import NameScheme
from podium.telemetry.metrics.relabel import Action, Relabeling, RelabelRule

DROPPED = "dropped"


def rule(
    action: str = "replace", source: str = "", target: str = "", regex: str = "(.*)", replacement: str = "$1", **more: object
) -> RelabelRule:
    return RelabelRule(Action(action), tuple(source.split()), regex=regex, target_label=target, replacement=replacement, **more)  # type: ignore[arg-type]


CASES = [
    ("a=foo b=bar", [rule(source="a", target="d", regex="f(.*)", replacement="ch${1}-ch${1}")], "a=foo b=bar d=choo-choo"),
    ("a=foo b=bar", [rule(source="a b", target="a", regex="f(.*);(.*)r", replacement="b${1}${2}m", separator=";")], "a=boobam b=bar"),
    ("a=foo", [rule(source="a", target="b", regex="nothing")], "a=foo"),
    ("a=foo", [rule(source="a", target="a", regex="foo", replacement="")], ""),
    ("a=foo", [rule(source="a", target="b", regex="o", replacement="x")], "a=foo"),  # anchored
    ("a=foo", [rule(source="none", target="b", replacement="static")], "a=foo b=static"),
    ("a=foo", [rule(source="none", target="a", replacement="$1")], ""),  # matches the empty text, and so deletes
    ("a=x-y", [rule(source="a", target="${1}", regex="(x)-(y)", replacement="$2")], "a=x-y x=y"),
    ("a=x-y", [rule(source="a", target="b", regex="(?P<p>x)-(y)", replacement="${p}/$2/$3/$$/$-")], "a=x-y b=x/y//$/$-"),
    ("a=x", [rule(source="a", target="b", regex="(x)", replacement="$1y")], "a=x"),  # the group named 1y, which is not there
    ("a=some-name-value", [rule(source="a", target="${3}", regex="some-([^-]+)-([^,]+)", replacement="$2")], "a=some-name-value"),
    ("a=foo", [rule("keep", "a", regex="fo+")], "a=foo"),
    ("a=foo", [rule("keep", "a", regex="f")], DROPPED),
    ("a=foo", [rule("drop", "a", regex="foo")], DROPPED),
    ("a=foo", [rule("drop", "a b", regex="foo;")], DROPPED),
    ("a=foo", [rule("drop", "a", regex=".*o.*"), rule(source="a", target="b")], DROPPED),
    ("a=x b=x", [rule("keepequal", "a", "b")], "a=x b=x"),
    ("a=x b=y", [rule("keepequal", "a", "b")], DROPPED),
    ("a=x b=x", [rule("dropequal", "a", "b")], DROPPED),
    ("a=x", [rule("dropequal", "a", "b")], "a=x"),
    ("a=foo b=bar c=baz", [rule("hashmod", "c", "d", modulus=1000)], "a=foo b=bar c=baz d=976"),
    ("a=foo\nbar", [rule("hashmod", "a", "b", modulus=1000)], "a=foo\nbar b=734"),
    ("a=1 b1=2 b2=3", [rule("labelmap", regex="b(.*)", replacement="bar_${1}")], "a=1 b1=2 b2=3 bar_1=2 bar_2=3"),
    ("__meta_my=aaa __meta_other=x", [rule("labelmap", regex="__meta_(my)", replacement="${1}")], "__meta_my=aaa __meta_other=x my=aaa"),
    ("a=1 b1=2", [rule("labeldrop", regex="b.*")], "a=1"),
    ("a=1 b1=2", [rule("labelkeep", regex="b.*")], "b1=2"),
    ("a=FoO", [rule("lowercase", "a", "b"), rule("uppercase", "a", "c")], "a=FoO b=foo c=FOO"),
    ("a=foo\nbar", [rule(source="a", target="b", regex="foo(.*)", replacement="${1}")], "a=foo\nbar b=\nbar"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "rules", "expect"), CASES)
def test_rules_rewrite_labels(given: str, rules: list[RelabelRule], expect: str) -> None:
    for one in rules:
        one.check()
    labels = dict(pair.split("=") for pair in given.split(" "))
    if not Relabeling(rules).apply(labels):
        assert expect == DROPPED
        return
    assert " ".join(f"{n}={v}" for n, v in sorted(labels.items())) == expect


REFUSED = [
    (rule("hashmod", "a", "b"), "relabel configuration for hashmod requires non-zero modulus"),
    (rule(source="a"), "relabel configuration for replace action requires 'target_label' value"),
    (rule("lowercase", "a"), "relabel configuration for lowercase action requires 'target_label' value"),
    (rule("lowercase", "a", "b", replacement="x"), "'replacement' can not be set for lowercase action"),
    (rule("keepequal", "a", "b", regex="x"), "keepequal action requires only 'source_labels' and `target_label`, and no other fields"),
    (rule("labeldrop", "a"), "labeldrop action requires only 'regex', and no other fields"),
    (rule("labelkeep", replacement="x"), "labelkeep action requires only 'regex', and no other fields"),
    (rule("keep", "a", regex="("), "error parsing regexp: "),
    (rule("replace", "a", "x${"), "\"x${\" is invalid 'target_label' for replace action"),
    (rule("labelmap", regex="a", replacement="{"), "\"{\" is invalid 'replacement' for labelmap action"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
def test_a_rule_that_cannot_be_is_refused_in_upstreams_words(wrong: RelabelRule, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        wrong.check()
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("target", ["1x", "a-b", "ü", "${1}-x"])
def test_names_of_the_legacy_scheme_are_checked(target: str) -> None:
    good = rule(source="a", target=target)
    good.check(NameScheme.UTF8)
    with pytest.raises(ConfigurationError, match="is invalid 'target_label'"):
        good.check(NameScheme.LEGACY)


def test_a_target_that_comes_out_wrong_is_left_alone() -> None:
    labels = {"a": "9-x"}
    assert Relabeling([rule(source="a", target="${1}", regex="(.*)-.*")], NameScheme.LEGACY).apply(labels)
    assert labels == {"a": "9-x"}
