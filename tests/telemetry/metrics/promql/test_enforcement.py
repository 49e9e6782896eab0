"""What a query becomes that may see one namespace only."""

import pytest

from podium.telemetry.metrics.promql.enforcement import enforced
from podium.telemetry.metrics.promql.parser import parse
from podium.telemetry.metrics.promql.printer import print_query

CASES = """
up                                          => up{ns="a"}
up{ns="b"}                                  => up{ns="a"}
up{ns!="a",ns=~"b|c",job="x"}               => up{job="x",ns="a"}
{__name__="up",ns!~"a"}                     => {__name__="up",ns="a"}
rate(x[5m] offset 1h)                       => rate(x{ns="a"}[5m] offset 1h)
sum by (ns) (x) / on (ns) group_left () y   => sum by (ns) (x{ns="a"}) / on (ns) group_left () y{ns="a"}
max_over_time((-x @ 10)[1h:5m])             => max_over_time((-x{ns="a"} @ 10.000)[1h:5m])
topk(scalar(x), y)                          => topk(scalar(x{ns="a"}), y{ns="a"})
quantile(0.9, x) > bool 1                   => quantile(0.9, x{ns="a"}) > bool 1
absent(x{ns="b"}) or vector(1)              => absent(x{ns="a"}) or vector(1)
label_replace(x, "ns", "b", "", "")         => label_replace(x{ns="a"}, "ns", "b", "", "")
1 + time()                                  => 1 + time()
"""


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_every_selector_gets_the_label_and_the_rest_stays(line: str) -> None:
    query, expected = (part.strip() for part in line.split("=>"))
    tree = enforced(parse(query), "ns", "a")
    assert print_query(tree) == expected
    assert parse(expected) == tree, "what is printed is what is evaluated"


def test_a_value_is_quoted() -> None:
    assert print_query(enforced(parse("up"), "ns", 'a"b\\')) == 'up{ns="a\\"b\\\\"}'
