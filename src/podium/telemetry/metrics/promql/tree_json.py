"""A tree as JSON: what Prometheus' parse_query answers, for query builders and explainers.

Durations that are computed when the query starts have no milliseconds: they are 0, as upstream's.
"""

from collections.abc import Mapping, Sequence

from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.promql.printer import print_number
from podium.telemetry.metrics.promql.quoting import valid
from podium.telemetry.metrics.promql.signatures import SIGNATURES
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    AtModifier,
    Binary,
    Call,
    Duration,
    Expression,
    Matching,
    MatrixSelector,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None
Object = dict[str, Json]


def tree_json(tree: Expression) -> Object:
    match tree:
        case NumberLiteral():
            return {"type": "numberLiteral", "val": print_number(tree.value)}
        case StringLiteral():
            return {"type": "stringLiteral", "val": valid(tree.value)}
        case VectorSelector():
            return {"type": "vectorSelector", **_selector(tree)}
        case MatrixSelector():
            return {"type": "matrixSelector", "range": _milliseconds(tree.range_ms), **_selector(tree.selector)}
        case Subquery():
            return _subquery(tree)
        case Unary():
            return {"type": "unaryExpr", "op": tree.operator, "expr": tree_json(tree.operand)}
        case Parentheses():
            return {"type": "parenExpr", "expr": tree_json(tree.expression)}
        case Binary():
            return _binary(tree)
        case Aggregation():
            return _aggregation(tree)
        case Call():
            return {"type": "call", "func": _function(tree.function), "args": [tree_json(a) for a in tree.arguments]}


def _milliseconds(duration: Duration) -> int:
    return duration if isinstance(duration, int) else 0


def _times(node: VectorSelector | Subquery) -> Object:
    at = node.at
    return {
        "offset": _milliseconds(node.offset_ms),
        "timestamp": at if isinstance(at, int) else None,
        "startOrEnd": at.value.removesuffix("()") if isinstance(at, AtModifier) else None,
    }


def _selector(node: VectorSelector) -> Object:
    extended: Object = {"anchored": node.extension == "anchored", "smoothed": node.extension == "smoothed"}
    return {"name": node.name, "matchers": [_matcher(m) for m in node.matchers], **_times(node), **extended}


def _matcher(matcher: Matcher) -> Object:
    return {"name": matcher.name, "value": matcher.value, "type": matcher.type.value}


def _subquery(node: Subquery) -> Object:
    durations: Object = {"range": _milliseconds(node.range_ms), "step": _milliseconds(node.step_ms)}
    return {"type": "subquery", "expr": tree_json(node.expression), **durations, **_times(node)}


def _binary(node: Binary) -> Object:
    return {
        "type": "binaryExpr",
        "op": node.operator,
        "lhs": tree_json(node.left),
        "rhs": tree_json(node.right),
        "matching": None if node.matching is None else _matching(node.matching),
        "bool": node.return_bool,
    }


def _matching(matching: Matching) -> Object:
    return {
        "card": matching.cardinality.value,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    }


def _aggregation(node: Aggregation) -> Object:
    return {
        "type": "aggregation",
        "op": node.operator,
        "expr": tree_json(node.expression),
        "param": None if node.parameter is None else tree_json(node.parameter),
        "grouping": node.grouping,
        "without": node.without,
    }


def _function(name: str) -> Object:
    signature = SIGNATURES[name]
    types = [t.value for t in signature.arguments]
    return {"name": name, "argTypes": types, "variadic": signature.variadic, "returnType": signature.returns.value}
