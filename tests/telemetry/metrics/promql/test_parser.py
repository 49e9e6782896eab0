"""What is PromQL and what is not. `refused.txt` is a table: a query, and what is said about it."""

from pathlib import Path

import pytest

from podium.telemetry.metrics.labels import Matcher, MatchType
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import (
    EVERYTHING,
    PARSED_KEPT_LENGTH_MAX,
    QUERY_LENGTH_MAX,
    parse,
    parse_metric,
    parse_selector,
)
from podium.telemetry.metrics.promql.preprocessing import resolve
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.syntax import (
    AtModifier,
    Binary,
    Cardinality,
    Matching,
    MatrixSelector,
    NumberLiteral,
    Span,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)

REFUSED = [
    line.split(" ---> ")
    for line in Path(__file__).with_name("refused.txt").read_text(encoding="utf-8").splitlines()
    if line and (not line.startswith("#") or " ---> " in line)
]


def named(name: str) -> VectorSelector:
    return VectorSelector(name, (Matcher(MatchType.EQUAL, "__name__", name),))


@pytest.mark.parametrize(("query", "said"), REFUSED, ids=[query for query, _ in REFUSED])
def test_what_is_no_promql_is_refused_in_upstreams_words(query: str, said: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(query, EVERYTHING)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "unknown position: parse error: no expression found in input"),
        ("foo\n  bar", '2:3: parse error: unexpected identifier "bar"'),
        ('foo{a="\ufffd"}', "1:7: parse error: invalid UTF-8 rune"),
        ('"a\nb"', "1:1: parse error: unterminated quoted string"),
    ],
)
def test_positions_are_lines_and_columns(query: str, said: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(query)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("mad_over_time(foo[5m])", '1:1: parse error: function "mad_over_time" is not enabled'),
        (
            "limitk(2, foo)",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        ("foo[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled"),
        ("foo + fill(0) bar", "1:1: parse error: binop fill modifiers are experimental and not enabled"),
    ],
)
def test_experimental_parts_are_refused_unless_they_are_on(query: str, said: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(query)
    assert str(refused.value) == said
    parse(query, EVERYTHING)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("+Inf", float("inf")), ("-inf", float("-inf")), (".5", 0.5), ("5.", 5), ("123.4567", 123.4567), ("5e-3", 0.005), ("5e3", 5000),
        ("0xc", 12), ("0755", 493), ("-0755", -493), ("089", 89), ("0x_1F", 31), ("1_000", 1000), ("1_000.5e1_0", 1000.5e10), ("0XFf", 255),
        ("5m", 300), ("1h30m", 5400), ("-1ms", -0.001), ("--1", 1),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    tree = parse(text)
    assert isinstance(tree, NumberLiteral) and tree.value == value


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"double \" quoted"', 'double " quoted'),
        (r"'single \' quoted'", "single ' quoted"),
        ("`raw\\n\n`", "raw\\n\n"),
        (r'"\a\b\f\n\r\t\v\\"', "\a\b\f\n\r\t\v\\"),
        (r'"\u1234\U00010111☺"', "\u1234\U00010111☺"),
        (r'"\xe2\x98\xba\101"', "☺A"),
        (r'"\xff"', "\udcff"),
    ],
)
def test_strings(literal: str, value: str) -> None:
    assert parse(literal) == StringLiteral(value)


def test_a_power_binds_tighter_than_a_sign_and_groups_to_the_right() -> None:
    assert parse("-1^2") == Unary("-", Binary("^", NumberLiteral(1), NumberLiteral(2)))
    assert parse("2^3^2") == Binary("^", NumberLiteral(2), Binary("^", NumberLiteral(3), NumberLiteral(2)))
    assert parse("2^-1*3") == Binary("*", Binary("^", NumberLiteral(2), NumberLiteral(-1)), NumberLiteral(3))


def test_and_and_unless_bind_tighter_than_or_and_group_to_the_left() -> None:
    sets = Matching(Cardinality.MANY_TO_MANY)
    inner = Binary("unless", Binary("and", named("a"), named("b"), sets), named("c"), sets)
    assert parse("a and b unless c or d") == Binary("or", inner, named("d"), sets)


def test_matching_and_grouping_of_an_operator() -> None:
    tree = parse("a / on(x, 'y z') group_right(t) b")
    assert tree == Binary("/", named("a"), named("b"), Matching(Cardinality.ONE_TO_MANY, ("x", "y z"), True, ("t",)))
    fills = parse("a + ignoring(x) group_left fill_right(-2) fill_left(1) b", EVERYTHING)
    assert fills == Binary("+", named("a"), named("b"), Matching(Cardinality.MANY_TO_ONE, ("x",), False, (), 1, -2))


def test_a_selector_with_a_time_and_an_offset_in_either_order() -> None:
    expected = VectorSelector("foo", named("foo").matchers, offset_ms=-420_000, at=3334)
    assert parse("foo offset -7m @ 3.3335") == parse("foo @ 3.3335 offset -7m") == expected
    assert parse("foo[5m] @ end()") == MatrixSelector(VectorSelector("foo", named("foo").matchers, at=AtModifier.END), 300_000)
    assert parse("foo[10m:] offset 1.5") == Subquery(named("foo"), 600_000, 0, offset_ms=1500)


def test_an_offset_ends_with_its_literal() -> None:
    tree = parse("foo offset 5s-8", EVERYTHING)
    assert tree == Binary("-", VectorSelector("foo", named("foo").matchers, offset_ms=5000), NumberLiteral(8))


def test_words_of_the_language_are_names_where_a_name_stands() -> None:
    for word in ("sum", "by", "offset", "start", "step", "anchored", "fill", "min_of", "and", "LIMITK"):
        assert parse(word, EVERYTHING) == named(word)
    assert parse("foo + sum") == Binary("+", named("foo"), named("sum"), Matching())
    matchers = (Matcher(MatchType.EQUAL, "NaN", "a"), Matcher(MatchType.EQUAL, "by", "b"))
    assert parse("{NaN='a', by='b'}") == VectorSelector("", matchers)


def test_a_name_inside_the_braces_is_a_matcher_where_it_stands() -> None:
    parsed = parse_selector('{"my.metric", "a b"=~"x"}')
    assert parsed == (Matcher(MatchType.EQUAL, "__name__", "my.metric"), Matcher(MatchType.REGEXP, "a b", "x"))


def test_a_selector_for_match_may_match_everything_but_is_nothing_else() -> None:
    assert parse_selector("{}") == ()
    for text in ("foo[5m]", "sum(foo)", "1", "", "foo offset 5m"):
        with pytest.raises(ParseError):
            parse_selector(text)


def test_a_series_of_a_test_file() -> None:
    assert parse_metric('foo{a="1", "b c"="2"} 1 2 3') == ({"__name__": "foo", "a": "1", "b c": "2"}, 21)
    assert parse_metric('{"foo.bar"} 1') == ({"__name__": "foo.bar"}, 11)


@pytest.mark.parametrize(
    "query",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "-" * 5000 + "a",
        "1" + "+1" * 5000,
        "a" + "[1m:]" * 5000,
        "sum(" * 5000 + "a" + ")" * 5000,
        "a[" + "(" * 5000 + "1m" + ")" * 5000 + "]",
        "a[1m" + "+1m" * 5000 + "]",
        "a offset " + "(" * 5000 + "1m" + ")" * 5000,
    ],
)
def test_deep_nesting_is_refused(query: str) -> None:
    with pytest.raises(ParseError, match="nested too deeply"):
        parse(query, EVERYTHING)


def test_a_query_may_be_a_hundred_levels_deep() -> None:
    parse("sum(" * 100 + "a" + ")" * 100)
    parse(" or ".join("abcdefghij" * 10))


def test_a_long_query_is_refused() -> None:
    with pytest.raises(ParseError, match="too long"):
        parse("a" * (QUERY_LENGTH_MAX + 1))


def test_a_node_knows_where_it_stands() -> None:
    tree = parse('sum by (x) (rate(foo{a="b"}[5m] offset 1m)) + 1')
    assert isinstance(tree, Binary)
    assert (tree.span, tree.left.span, tree.right.span) == (Span(0, 47), Span(0, 43), Span(46, 47))


def test_the_tree_of_a_query_is_kept_and_that_of_a_long_one_is_not() -> None:
    assert parse("rate(a[5m])") is parse("rate(a[5m])")
    assert parse("sum(a)", EVERYTHING) is not parse("sum(a)")
    long = "a" * (PARSED_KEPT_LENGTH_MAX + 1)
    assert parse(long) == parse(long) and parse(long) is not parse(long)


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("sum by (x) (rate(a[5m] offset 1m)) / on(x) -b @ 7 + 1", True), ("topk(3, a) or absent(b)", True),
        ("sum(rate(a[5m] @ start()))", False), ("a @ end()", False), ("-(a @ end())", False), ("1 + (a @ end())", False),
    ],
)  # fmt: skip
def test_what_does_not_depend_on_the_times_of_a_query_is_the_same_tree_when_they_are_known(query: str, same: bool) -> None:
    tree = parse(query)
    resolved = resolve(tree, 1_000, 2_000, 10)
    assert (resolved is tree) is same
    if not same:
        assert "start()" not in print_query(resolved) and "end()" not in print_query(resolved)
        assert resolve(resolved, 5_000, 6_000, 10) is resolved
