"""What is done to a syntax tree before it is evaluated: durations computed, start() and end() filled in, constant parts found.

A part of a query is step-invariant when it gives the same at every step: it reads nothing, or only at fixed times (@), and none of its
functions looks at the step's time. Such a part is evaluated once.

Source: Prometheus' duration expressions and step-invariant expressions.
"""

import math
from dataclasses import replace

from podium.telemetry.metrics.promql.errors import EvaluationError, InvalidDuration
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    AtModifier,
    Binary,
    Call,
    Duration,
    DurationExpression,
    Expression,
    MatrixSelector,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
    children,
)

STEP_DEPENDENT = frozenset(
    (
        "days_in_month",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "hour",
        "minute",
        "month",
        "year",
        "predict_linear",
        "time",
        "timestamp",
    )
)
"""Functions whose result depends on the step's time, whatever their arguments are."""


def resolve(node: Expression, start_ms: int, end_ms: int, interval_ms: int) -> Expression:
    """With numbers in place of duration expressions and of @ start(), @ end(); what has neither is given as it is. Raises EvaluationError."""
    times = (start_ms, end_ms, interval_ms)
    match node:
        case VectorSelector():
            offset_ms, at = _milliseconds(node.offset_ms, times, signed=True), _at(node.at, times)
            return node if offset_ms == node.offset_ms and at == node.at else replace(node, offset_ms=offset_ms, at=at)
        case MatrixSelector():
            selector, range_ms = resolve(node.selector, *times), _milliseconds(node.range_ms, times)
            assert isinstance(selector, VectorSelector)
            return node if selector is node.selector and range_ms == node.range_ms else replace(node, selector=selector, range_ms=range_ms)
        case Subquery():
            return replace(
                node,
                expression=resolve(node.expression, *times),
                range_ms=_milliseconds(node.range_ms, times),
                step_ms=_milliseconds(node.step_ms, times) if node.step_ms != 0 else 0,
                offset_ms=_milliseconds(node.offset_ms, times, signed=True),
                at=_at(node.at, times),
            )
        case Unary():
            operand = resolve(node.operand, *times)
            return node if operand is node.operand else replace(node, operand=operand)
        case Parentheses():
            inner = resolve(node.expression, *times)
            return node if inner is node.expression else replace(node, expression=inner)
        case Binary():
            left, right = resolve(node.left, *times), resolve(node.right, *times)
            return node if left is node.left and right is node.right else replace(node, left=left, right=right)
        case Aggregation():
            parameter = None if node.parameter is None else unwrapped(resolve(node.parameter, *times))
            inner = unwrapped(resolve(node.expression, *times))
            return (
                node if parameter is node.parameter and inner is node.expression else replace(node, expression=inner, parameter=parameter)
            )
        case Call():
            arguments = tuple([unwrapped(resolve(a, *times)) for a in node.arguments])
            same = all(a is b for a, b in zip(arguments, node.arguments, strict=True))
            return node if same else replace(node, arguments=arguments)
        case _:
            return node


def unwrapped(node: Expression) -> Expression:
    """Without parentheses around it."""
    while isinstance(node, Parentheses):
        node = node.expression
    return node


def _at(at: int | AtModifier | None, times: tuple[int, int, int]) -> int | None:
    if isinstance(at, AtModifier):
        return times[0] if at is AtModifier.START else times[1]
    return at


def _milliseconds(duration: Duration, times: tuple[int, int, int], *, signed: bool = False) -> int:
    if isinstance(duration, int):
        return duration
    seconds = _seconds(duration, times)
    if seconds <= 0 and not signed:
        raise InvalidDuration("duration must be greater than 0", *_bounds(duration))
    if not math.isfinite(seconds) or abs(seconds) > 2**63 / 1e9:
        raise InvalidDuration("duration is out of range", *_bounds(duration))
    return int(seconds * 1000)


def _bounds(node: DurationExpression | NumberLiteral) -> tuple[int, int]:
    """Where it stands, as upstream has it: without parentheses around it, and without the name of min_of and max_of."""
    if isinstance(node, NumberLiteral) or not node.operands:
        return node.span.start, node.span.end
    (start, _), (_, end) = _bounds(node.operands[0]), _bounds(node.operands[-1])
    signed = len(node.operands) == 1 and not node.parenthesised
    return (node.span.start if signed else start), end


def _seconds(node: DurationExpression | NumberLiteral, times: tuple[int, int, int]) -> float:
    if isinstance(node, NumberLiteral):
        return node.value
    values = [_seconds(operand, times) for operand in node.operands]
    start_ms, end_ms, interval_ms = times
    match node.operator, values:
        case "step", _:
            return interval_ms / 1000
        case "range", _:
            return (end_ms - start_ms) / 1000
        case "min" | "min_of", [a, b]:
            return min(a, b)
        case "max" | "max_of", [a, b]:
            return max(a, b)
        case "+", [a]:
            return a
        case "-", [a]:
            return -a
        case "+", [a, b]:
            return a + b
        case "-", [a, b]:
            return a - b
        case "*", [a, b]:
            return a * b
        case "/" | "%", [_, 0]:
            message = "division by zero" if node.operator == "/" else "modulo by zero"
            raise InvalidDuration(message, *_bounds(node))
        case "/", [a, b]:
            return a / b
        case "%", [a, b]:
            return math.fmod(a, b)
        case "^", [a, b]:
            try:
                return math.pow(a, b)
            except (OverflowError, ValueError):
                return math.nan
    raise EvaluationError(f"unexpected duration expression operator {node.operator!r}")


def statistics_only(node: Expression) -> frozenset[int]:
    """id() of the selectors of which only histograms' counts and sums are looked at: below histogram_count, histogram_sum or histogram_avg,
    with nothing that needs buckets above them, however far. Their samples' resets are detected when they are read."""
    found: set[int] = set()

    def visit(node: Expression, marked: bool) -> None:
        if isinstance(node, VectorSelector) and marked:
            found.add(id(node))
        if _needs_buckets(node):
            return
        marked = marked or (isinstance(node, Call) and node.function in _COUNTING)
        for child in children(node):
            visit(child, marked)

    visit(node, False)
    return frozenset(found)


def _needs_buckets(node: Expression) -> bool:
    """A subquery does for the resets between its steps."""
    match node:
        case Call():
            return node.function in _BUCKETS
        case Binary():
            return node.operator in ("</", ">/")
        case _:
            return isinstance(node, Subquery)


_COUNTING = frozenset(("histogram_count", "histogram_sum", "histogram_avg"))
_BUCKETS = frozenset(("histogram_quantile", "histogram_quantiles", "histogram_fraction", "histogram_stddev", "histogram_stdvar"))


def is_invariant(node: Expression) -> bool:
    """Whether a resolved expression gives the same at every step."""
    match node:
        case VectorSelector() | Subquery():
            return node.at is not None
        case MatrixSelector():
            return node.selector.at is not None
        case Unary():
            return is_invariant(node.operand)
        case Parentheses():
            return is_invariant(node.expression)
        case Binary():
            return is_invariant(node.left) and is_invariant(node.right)
        case Aggregation():
            return is_invariant(node.expression) and (node.parameter is None or is_invariant(node.parameter))
        case Call():
            return node.function not in STEP_DEPENDENT and all(is_invariant(a) for a in node.arguments)
        case NumberLiteral() | StringLiteral():
            return True
