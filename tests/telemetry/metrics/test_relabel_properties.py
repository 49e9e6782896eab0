"""Relabelling of anything by anything: the same as a model that has no tricks, which knows Go's rules for `$1` letter by letter."""

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.labels import compile_anchored
from podium.telemetry.metrics.names import NameScheme, is_label_name
from podium.telemetry.metrics.relabel import Action, Relabeling, RelabelRule

NAMES = st.sampled_from(["a", "b", "__name__", "__address__", "über", "x.y", "a b", "1", "é", "label_" * 20])
VALUES = st.sampled_from(["", "1", "abc", "ABC", "ab;cd", "ü", "İı", "ß", "a\nb", "$1", "\U0001f600", "x" * 300])
PATTERNS = st.sampled_from(
    [
        "(.*)", "", ".*", ".+", "a(.*)", "(a)(b)?(c)?", "(?i:abc)", "(?P<name>.)(.*)", "[^;]*;(.*)", "(a|ab)(c|bcd)?", r"\w+", r"(\pL+)", "^a", "b$",
        r"\Qa b\E", "(?s).*", "(.{1,3}){1,2}", "x{0,300}", "é|ü", ".", "(", "a{1001}", "(?=a)", r"\Z", "[[:alpha:]]+", "((((a))))",
    ]
)  # fmt: skip
TEMPLATES = st.sampled_from(
    ["$1", "", "x", "${1}", "$0", "$2-$1", "${name}", "$name", "$name_", "$$1", "$", "${", "${}", "$9", "${1}_${2}",
     "a$1b", "é$1", "${1", "$ $1", "$01"]
)  # fmt: skip
RULES = st.builds(
    RelabelRule,
    action=st.sampled_from(list(Action)), source_labels=st.lists(NAMES, max_size=3).map(tuple), separator=st.sampled_from([";", "", ";;", "é"]),
    regex=PATTERNS, modulus=st.sampled_from([0, 1, 7, 2**63, 2**64 - 1]), target_label=NAMES | TEMPLATES, replacement=TEMPLATES,
)  # fmt: skip
PLAIN = st.one_of(
    st.builds(RelabelRule, action=st.sampled_from([Action.KEEP, Action.DROP]), source_labels=st.lists(NAMES, max_size=3).map(tuple), regex=PATTERNS),
    st.builds(RelabelRule, action=st.sampled_from([Action.LABEL_KEEP, Action.LABEL_DROP]), regex=PATTERNS),
    st.builds(RelabelRule, action=st.just(Action.LABEL_MAP), regex=PATTERNS, replacement=TEMPLATES),
    st.builds(
        RelabelRule, action=st.sampled_from([Action.KEEP_EQUAL, Action.DROP_EQUAL, Action.LOWERCASE, Action.UPPERCASE]),
        source_labels=st.lists(NAMES, max_size=3).map(tuple), target_label=NAMES,
    ),
    st.builds(
        RelabelRule, action=st.just(Action.REPLACE), source_labels=st.lists(NAMES, max_size=2).map(tuple), regex=PATTERNS, target_label=NAMES,
        replacement=TEMPLATES,
    ),
    RULES,
)  # fmt: skip
LABELS = st.dictionaries(NAMES, VALUES.filter(bool), max_size=6)


def expanded(template: str, match: re.Match[str]) -> str:
    """As Go's Regexp.Expand reads it: `$name` takes as many letters as there are, `${name}` what is between; a bad `$` is itself."""
    out, at = "", 0
    while at < len(template):
        if template[at] != "$":
            out, at = out + template[at], at + 1
        elif template.startswith("$$", at):
            out, at = out + "$", at + 2
        else:
            braced = template.startswith("${", at)
            end = start = at + 1 + braced
            while end < len(template) and (template[end].isalnum() or template[end] == "_"):
                end += 1
            if end == start or (braced and not template.startswith("}", end)):
                out, at = out + "$", at + 1
                continue
            out, at = out + group(match, template[start:end]), end + braced
    return out


def group(match: re.Match[str], name: str) -> str:
    if name.isdecimal() and (name == "0" or not name.startswith("0")):
        return (match.group(int(name)) or "") if int(name) <= match.re.groups else ""
    return (match.group(name) or "") if name in match.re.groupindex else ""


def model(rule: RelabelRule, labels: dict[str, str]) -> dict[str, str] | None:
    """None: dropped."""
    source = rule.separator.join(labels.get(name, "") for name in rule.source_labels)
    pattern, out = compile_anchored(rule.regex), dict(labels)
    match = pattern.fullmatch(source)
    if rule.action in (Action.KEEP, Action.DROP):
        return out if bool(match) is (rule.action is Action.KEEP) else None
    if rule.action in (Action.KEEP_EQUAL, Action.DROP_EQUAL):
        return out if (labels.get(rule.target_label, "") == source) is (rule.action is Action.KEEP_EQUAL) else None
    if rule.action is Action.REPLACE and match:
        target = expanded(rule.target_label, match)
        if is_label_name(target, NameScheme.UTF8):
            out[target] = expanded(rule.replacement, match)
    elif rule.action is Action.HASH_MOD:
        out[rule.target_label] = str(int.from_bytes(hashlib.md5(source.encode()).digest()[8:], "big") % rule.modulus)
    elif rule.action is Action.LABEL_MAP:
        for name, value in labels.items():
            if found := pattern.fullmatch(name):
                out[expanded(rule.replacement, found)] = value
    elif rule.action in (Action.LABEL_KEEP, Action.LABEL_DROP):
        return {n: v for n, v in labels.items() if bool(pattern.fullmatch(n)) is (rule.action is Action.LABEL_KEEP)}
    elif rule.action in (Action.LOWERCASE, Action.UPPERCASE):
        out[rule.target_label] = source.lower() if rule.action is Action.LOWERCASE else source.upper()
    return {n: v for n, v in out.items() if v}


@settings(max_examples=600, deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=5), LABELS)
def test_rules_do_what_the_model_does_or_are_refused_when_they_are_read(rules: list[RelabelRule], labels: dict[str, str]) -> None:
    good = []
    for rule in rules:
        try:
            rule.check()
        except ConfigurationError:
            continue
        good.append(rule)
    wanted: dict[str, str] | None = dict(labels)
    for rule in good:
        wanted = model(rule, wanted) if wanted is not None else None
    got = dict(labels)
    assert Relabeling(good).apply(got) is (wanted is not None)
    if wanted is not None:
        assert got == wanted


@pytest.mark.parametrize(
    ("template", "made"), [("$01", ""), ("${01}", ""), ("$1", "abc"), ("$" + "9" * 5000, ""), ("$00", ""), ("$0", "abc"), ("$١", "")]
)
def test_a_number_with_a_leading_zero_is_no_number_of_a_group(template: str, made: str) -> None:
    labels = {"a": "abc"}
    assert Relabeling([RelabelRule(source_labels=("a",), target_label="b", replacement=template)]).apply(labels)
    assert labels.get("b", "") == made


def test_labels_that_grow_and_grow_are_bounded_by_their_rules() -> None:
    doubling = RelabelRule(source_labels=("a", "a"), separator="", regex="(.*)", target_label="a", replacement="$1")
    labels = {"a": "x"}
    assert Relabeling([doubling] * 20).apply(labels)
    assert len(labels["a"]) == 2**20
