"""How queries are printed: `printed.txt` in one line, `formatted.txt` over several."""

import json
from pathlib import Path

import pytest

from podium.telemetry.metrics.promql.parser import EVERYTHING, parse
from podium.telemetry.metrics.promql.printer import pretty, print_query
from podium.telemetry.metrics.promql.tree_json import tree_json

HERE = Path(__file__).parent
PRINTED = [
    (line.split(" ---> ") * 2)[:2]
    for line in (HERE / "printed.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
FORMATTED = [
    case.split("\n--->\n") for case in (HERE / "formatted.txt").read_text(encoding="utf-8").partition("\n")[2].strip().split("\n\n")
]


@pytest.mark.parametrize(("query", "printed"), PRINTED, ids=[query for query, _ in PRINTED])
def test_a_query_prints_in_one_form_that_parses_to_the_same_tree(query: str, printed: str) -> None:
    tree = parse(query, EVERYTHING)
    assert print_query(tree) == printed
    if query != "NaN" and not query.startswith("{"):
        assert print_query(parse(printed, EVERYTHING)) == printed


@pytest.mark.parametrize(("query", "formatted"), FORMATTED, ids=[query for query, _ in FORMATTED])
def test_a_long_query_is_split_where_it_is_too_long(query: str, formatted: str) -> None:
    tree = parse(query, EVERYTHING)
    assert pretty(tree, 10) == formatted
    assert parse(formatted, EVERYTHING) == parse(print_query(tree), EVERYTHING)


def test_a_query_that_fits_stays_in_one_line() -> None:
    assert pretty(parse("sum(rate(foo[5m]))by(job)")) == "sum by (job) (rate(foo[5m]))"


def test_a_tree_as_upstreams_parse_query_answers_it() -> None:
    found = json.loads(json.dumps(tree_json(parse('sum by (x) (rate(foo{a=~"b"}[5m] offset 1m @ end())) / 2'))))
    matchers = [{"name": "a", "value": "b", "type": "=~"}, {"name": "__name__", "value": "foo", "type": "="}]
    selector = {
        "type": "matrixSelector", "name": "foo", "range": 300000, "offset": 60000, "matchers": matchers, "timestamp": None, "startOrEnd": "end",
        "anchored": False, "smoothed": False,
    }  # fmt: skip
    call = {
        "type": "call",
        "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
        "args": [selector],
    }
    aggregation = {"type": "aggregation", "op": "sum", "expr": call, "param": None, "grouping": ["x"], "without": False}
    two = {"type": "numberLiteral", "val": "2"}
    assert found == {"type": "binaryExpr", "op": "/", "lhs": aggregation, "rhs": two, "matching": None, "bool": False}


def test_matching_subqueries_and_the_rest_as_json() -> None:
    found = json.loads(json.dumps(tree_json(parse("a * on (x) group_left (y) (-b)"))))
    assert found["matching"] == {
        "card": "many-to-one",
        "labels": ["x"],
        "on": True,
        "include": ["y"],
        "fillValues": {"lhs": None, "rhs": None},
    }
    assert found["rhs"]["expr"]["op"] == "-"
    subquery = tree_json(parse("rate(a[1m])[1h:5m] @ 1.5"))
    assert (subquery["type"], subquery["range"], subquery["step"], subquery["timestamp"]) == ("subquery", 3600000, 300000, 1500)


def test_a_byte_that_is_not_utf8_prints_as_it_was_written_and_is_replaced_in_json() -> None:
    tree = parse(r'"a\xc5\x9f\xc5"')
    assert print_query(tree) == r'"aş\xc5"'
    assert tree_json(tree)["val"] == "aş\ufffd"
