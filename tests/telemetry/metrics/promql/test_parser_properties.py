"""Whatever the text: a tree that prints as a query for the same tree, or ParseError."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import EVERYTHING, parse
from podium.telemetry.metrics.promql.printer import pretty, print_query
from podium.telemetry.metrics.promql.syntax import Expression
from podium.telemetry.metrics.promql.tree_json import tree_json
from tests.telemetry.metrics.promql.oracle import queries

WORDS = (
    "sum", "quantile", "count_values", "rate", "time", "label_replace", "up", "a:b", "le", "by", "without", "on", "ignoring", "group_left",
    "group_right", "bool", "offset", "anchored", "smoothed", "fill", "fill_left", "start", "end", "step", "range", "min_of", "and", "unless",
    "atan2", "inf", "NaN", "(", ")", "(", ")", "[", "]", "[5m]", "[1h:]", "{", "}", '{a="b"}', '{"x.y"}', ",", ":", "=", "==", "!=", "=~", "!~",
    "<", ">=", "</", "+", "-", "*", "/", "%", "^", "@", "1", "0x1f", "1e3", "5m", "1y2w", ".5", "1_000", '"s"', "'é'", "`raw`", '"\\xff"',
    "'", "\\", "#c\n", "é", "\ud800", "\0", "$",
)  # fmt: skip
SOME = st.lists(st.sampled_from(WORDS), max_size=25)
TEXTS = st.text(max_size=40) | SOME.map(" ".join) | SOME.map("".join)


RENAMED = ("holt_winters", "double_exponential_smoothing")


def check_printed(tree: Expression) -> None:
    printed = print_query(tree)
    assert print_query(parse(printed, EVERYTHING)) == printed
    assert print_query(parse(pretty(tree), EVERYTHING)) == printed
    json.dumps(tree_json(tree), allow_nan=False)


@given(TEXTS)
@settings(max_examples=500)
def test_any_text_is_a_query_or_an_error_with_its_place(text: str) -> None:
    try:
        tree = parse(text, EVERYTHING)
    except ParseError as error:
        assert error.query == text
        assert 0 <= error.start <= error.end <= len(text)
    else:
        check_printed(tree)


@given(st.integers(0, 2**32), st.data())
@settings(max_examples=300)
def test_queries_survive_printing_and_a_changed_letter(seed: int, data: st.DataObject) -> None:
    query = queries.generate(seed, 1)[0].query.replace(*RENAMED)
    check_printed(parse(query, EVERYTHING))
    place = data.draw(st.integers(0, len(query) - 1))
    changed = query[:place] + data.draw(st.sampled_from("()[]{}, :@\"'5me=~!-")) + query[place + 1 :]
    try:
        tree = parse(changed, EVERYTHING)
    except ParseError:
        return
    check_printed(tree)
