"""Matchers in both notations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.telemetry.metrics.alertmanager.errors import BadMatcher
from podium.telemetry.metrics.alertmanager.matchers import Matcher, MatchType, match_all, matchers_text, parse_matcher, parse_matchers

PARSED = [
    ("foo=bar", [("foo", "=", "bar")]),
    ('{foo = "bar", dings != "bums", }', [("foo", "=", "bar"), ("dings", "!=", "bums")]),
    ("foo=bar,dings!=bums", [("foo", "=", "bar"), ("dings", "!=", "bums")]),
    ('{quote="She said: \\"Hi, ladies! That\'s gender-neutral…\\""}', [("quote", "=", 'She said: "Hi, ladies! That\'s gender-neutral…"')]),
    ('statuscode=~"5.."', [("statuscode", "=~", "5..")]),
    ("tricky=~~~", [("tricky", "=~", "~~")]),
    ('trickier==\\\\=\\=\\"', [("trickier", "=", '=\\=\\="')]),
    ("foo=", [("foo", "=", "")]),
    ("foo=a b", [("foo", "=", "a b")]),
    ("{}", []),
    ("", []),
    ('"überwachung"=ja', [("überwachung", "=", "ja")]),
    ("überwachung!~nein", [("überwachung", "!~", "nein")]),
    ('foo="a\\nb"', [("foo", "=", "a\nb")]),
    ('{foo="bar" , "a b"="c,d"}', [("foo", "=", "bar"), ("a b", "=", "c,d")]),
    ('{foo="bar"', [("foo", "=", "bar")]),  # the classic notation trims one brace without the other
]


@pytest.mark.parametrize(("text", "expected"), PARSED)
def test_matchers_are_read(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(m.name, m.type.value, m.value) for m in parse_matchers(text)] == expected


BAD = ["foo", "=bar", "foo=~(", 'foo="ba"r"', 'foo="bar', "ü", "{foo=bar},baz", '"a"="b" "c"="d"']


@pytest.mark.parametrize("text", BAD)
def test_bad_matchers_are_refused(text: str) -> None:
    with pytest.raises(BadMatcher):
        parse_matchers(text)


def test_one_matcher_has_no_braces() -> None:
    assert parse_matcher('a="b"') == Matcher(MatchType.EQUAL, "a", "b")
    for text in ("{a=b}", "", '"a"="b","c"="d"'):
        with pytest.raises(BadMatcher):
            parse_matcher(text)


MATCHES = [
    ("a=b", {"a": "b"}, True), ("a=b", {}, False), ("a!=b", {}, True), ("a=", {}, True), ("a=~b.*", {"a": "bc"}, True),
    ("a=~b", {"a": "bc"}, False), ("a!~b|c", {"a": "c"}, False), ("a=~'.*'", {}, False), ('a=~".*"', {}, True), ('a=~"x|"', {}, True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "labels", "expected"), MATCHES)
def test_matchers_match_whole_values_and_absent_labels_are_empty(text: str, labels: dict[str, str], expected: bool) -> None:
    assert match_all(parse_matchers(text), labels) is expected


@given(st.text(min_size=1), st.text(), st.sampled_from(["=", "!="]))
def test_what_is_printed_reads_as_the_same(name: str, value: str, sign: str) -> None:
    matcher = Matcher(MatchType(sign), name, value)
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    if plain or any(c.isspace() or c in "{}!=~,\\\"'`" for c in name):
        assert parse_matchers(matchers_text([matcher])) == (matcher,)


@given(st.text(alphabet='ab=!~{},"\\ \n~ü', max_size=20))
def test_any_text_is_matchers_or_refused(text: str) -> None:
    try:
        parse_matchers(text)
    except BadMatcher:
        pass
