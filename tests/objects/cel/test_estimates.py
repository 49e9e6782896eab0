"""Estimated costs are upstream's to the unit: they decide which definitions a server takes.

The numbers are those that the Kubernetes project holds its own estimates to (apiextensions-apiserver, schema/cel).
"""

from typing import Any

import pytest

from podium.objects import cel
from podium.objects.cel import costs

Node = dict[str, Any]


def scalar(kind: str) -> Node:
    match kind:
        case "int-or-string":
            return {"x-kubernetes-int-or-string": True}
        case "duration" | "date" | "date-time" | "byte":
            return {"type": "string", "format": kind}
    return {"type": kind}


def bounded(node: Node, most: int | None) -> Node:
    name = {"array": "maxItems", "object": "maxProperties"}.get(node.get("type", ""), "maxLength")
    return node if most is None else {**node, name: most}


def of(item: Node) -> Node:
    return {"type": "array", "items": item}


def by_key(value: Node) -> Node:
    return {"type": "object", "additionalProperties": value}


OBJECT = {"type": "object", "required": ["required"], "properties": {"required": {"type": "string"}}}
TEXT = scalar("string")

CASES: list[tuple[Node, str, int, int, int]] = [
    # what, rule, cost without a bound (0: over the limit), bound, cost with it
    (of(scalar("number")), "self.all(x, true)", 4_718_591, 10, 32),
    (of(TEXT), "self.all(x, true)", 3_145_727, 20, 62),
    (of(scalar("boolean")), "self.all(x, true)", 1_887_437, 5, 17),
    (of(of(scalar("number"))), "self.all(x, true)", 3_145_727, 100, 302),
    (of(OBJECT), "self.all(x, true)", 555_128, 50, 152),
    (by_key(scalar("number")), "self.all(x, true)", 1_348_169, 10, 32),
    (by_key(TEXT), "self.all(x, true)", 1_179_647, 3, 11),
    (by_key(scalar("boolean")), "self.all(x, true)", 943_718, 100, 302),
    (TEXT, "self.contains('test')", 314_574, 10, 5),
    (TEXT, "self.startsWith('test')", 2, 15, 2),
    (TEXT, "self.endsWith('test')", 2, 30, 2),
    (TEXT, 'size(self + "hello") > size("hello")', 314_578, 4, 7),
    (of(scalar("number")), "self[1] == 0.0", 2, 5000, 2),
    (of(TEXT), "self[1] == self[1]", 314_577, 8, 314_577),
    (of(scalar("number")), "self.all(x, self.all(y, true))", 0, 10, 352),
    (of(scalar("number")), "self.all(x, self.all(y, self.all(z, true)))", 0, 10, 3552),
    (TEXT, 'self.matches("x")', 314_574, 50, 22),
    (TEXT, '"".matches("(((((((((())))))))))[0-9]")', 7, 10, 7),
    (TEXT, 'self.matches("")', 1, 100, 1),
    (by_key(TEXT), "self.all(x, x.contains(self[x]))", 2_752_507, 10, 72),
    (of(scalar("number")), "self[3] == 0.0", 2, 0, 2),
    (by_key(scalar("number")), 'self["x"] == 0.0', 2, 0, 2),
    (TEXT, 'self == "x"', 2, 0, 1),
    (scalar("byte"), 'self == b"x"', 2, 0, 1),
    (of(scalar("number")), "self.all(x, x == 0.0)", 6_291_454, 3 * 1024 * 2048, 25_165_826),
    (of(by_key(OBJECT)), 'self.all(x, x["y"].required == "z")', 7_340_027, 10, 72),
    (of(scalar("int-or-string")), "self.all(x, true)", 4_718_591, 10, 32),
    (of(scalar("int-or-string")), "self[0] == 5", 3, 10, 3),
    (of(scalar("boolean")), "self[0] == false", 2, 25, 2),
    (of(OBJECT), "self[0] == null", 2, 422, 2),
    (of(of(scalar("number"))), "self[0][0] == -1.0", 3, 51, 3),
    (of(by_key(scalar("number"))), "self.all(x, x.y == 25.2)", 6_291_452, 12, 74),
    (of(by_key(scalar("number"))), "self[0].x > 2.0", 4, 3000, 4),
    (of(scalar("duration")), "self.all(x, true)", 2_359_295, 5, 17),
    (of(scalar("duration")), "self[0].getHours() == 2", 4, 525, 4),
    (of(scalar("date")), "self.all(x, true)", 725_936, 15, 47),
    (of(scalar("date")), "self[2].getDayOfMonth() == 13", 4, 42, 4),
    (of(scalar("date-time")), "self.all(x, true)", 428_963, 25, 77),
    (of(scalar("date-time")), "self[2].getMinutes() == 45", 4, 99, 4),
    (by_key(scalar("int-or-string")), "self.all(x, true)", 1_348_169, 15, 47),
    (by_key(by_key(scalar("number"))), "self.all(x, true)", 1_179_647, 10, 32),
    (by_key(of(scalar("number"))), "self.all(x, true)", 1_179_647, 25, 77),
    (by_key(scalar("duration")), "self.all(x, true)", 1_048_577, 5, 17),
    (by_key(scalar("date")), "self.all(x, true)", 524_288, 10, 32),
    (by_key(scalar("date-time")), "self.all(x, true)", 349_526, 25, 77),
    (TEXT, "self.find('[0-9]+') == ''", 629_147, 10, 11),
    (TEXT, "self.lowerAscii() == 'lower!'", 314_575, 10, 6),
    (by_key(scalar("integer")), "oldSelf.size() == self.size()", 5, 10, 5),
    (by_key(scalar("date-time")), 'self["a"] == self["b"]', 8, 7, 8),
    (by_key(scalar("duration")), 'self["c"] == self["d"]', 8, 42, 8),
    ({"type": "string", "enum": ["A", "B", "C", "LongValue"]}, "self.contains('A')", 2, 1000, 401),
]


def cost(node: Node, rule: str) -> int:
    type_ = cel.structural_type(node)
    assert type_ is not None
    return cel.compile(rule, cel.Environment({"self": type_, "oldSelf": type_})).estimate().most


@pytest.mark.parametrize(("node", "rule", "free", "most", "with_bound"), CASES, ids=[f"{c[0].get('type')} {c[1]}" for c in CASES])
def test_the_estimate_is_upstreams(node: Node, rule: str, free: int, most: int, with_bound: int) -> None:
    found = cost(node, rule)
    assert found == free if free else found > costs.EXPRESSION_ESTIMATE_MAX
    assert cost(bounded(node, most), rule) == with_bound


def texts(most: int | None) -> Node:
    return bounded(of(bounded(TEXT, most)), most)


def test_functions_carry_sizes_on() -> None:
    assert cost(texts(None), "self.join(' ') == 'aa bb'") == 329_853_068_905
    assert cost(texts(10), "self.join(' ') == 'aa bb'") == 43
    assert cost(texts(10), "self.isSorted() == true") == 52
    parts = {"before": bounded(TEXT, 2), "after": bounded(TEXT, 4)}
    for most, wanted in ((None, 629_154), (4, 12)):
        node = {"type": "object", "properties": {"str": bounded(TEXT, most), **parts}}
        assert cost(node, "self.str.replace(self.before, self.after) == 'does not matter'") == wanted
    for most, wanted in ((None, 629_160), (10, 22)):
        node = {"type": "object", "properties": {"str": bounded(TEXT, most), "separator": bounded(TEXT, most)}}
        assert cost(node, "self.str.split(self.separator) == []") == wanted
