"""A query that sees no series but those with a given value of a label.

Every selector of the tree gets the condition, whatever it says of that label itself; parts that upstream's enforcer passes over (the parameter
of an aggregation) get it, too. The rest of the tree stays as it is, so that it prints as it was written but for the selectors.

Source: what the Prometheus operator and prom-label-proxy do to the expressions of rules.
"""

from dataclasses import replace

from podium.telemetry.metrics.labels import Matcher, MatchType
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expression,
    MatrixSelector,
    Parentheses,
    Subquery,
    Unary,
    VectorSelector,
)


def enforced(tree: Expression, label: str, value: str) -> Expression:
    """With `label="value"` in every selector, in place of what the selector said of `label`. `tree` is a checked one: of bounded depth."""
    match tree:
        case VectorSelector():
            kept = tuple(matcher for matcher in tree.matchers if matcher.name != label)
            written = len(kept) - (1 if tree.name else 0)  # the name before the braces is the last condition
            return replace(tree, matchers=(*kept[:written], Matcher(MatchType.EQUAL, label, value), *kept[written:]))
        case MatrixSelector():
            selector = enforced(tree.selector, label, value)
            assert isinstance(selector, VectorSelector)
            return replace(tree, selector=selector)
        case Subquery() | Parentheses():
            return replace(tree, expression=enforced(tree.expression, label, value))
        case Unary():
            return replace(tree, operand=enforced(tree.operand, label, value))
        case Binary():
            return replace(tree, left=enforced(tree.left, label, value), right=enforced(tree.right, label, value))
        case Aggregation():
            parameter = None if tree.parameter is None else enforced(tree.parameter, label, value)
            return replace(tree, expression=enforced(tree.expression, label, value), parameter=parameter)
        case Call():
            return replace(tree, arguments=tuple(enforced(argument, label, value) for argument in tree.arguments))
    return tree
