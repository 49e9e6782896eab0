"""Prints a tree as a query: in one line, or over several lines where one would be too long.

What is printed parses to an equal tree. Durations, numbers and matchers have one form, so that equal queries print alike; parentheses stay.

Source: the forms that Prometheus gives in format_query, rules and its query log.
"""

from decimal import Decimal

from podium.telemetry.metrics.labels import METRIC_NAME, Matcher, MatchType
from podium.telemetry.metrics.promql.durations import format_duration
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    AtModifier,
    Binary,
    Call,
    Cardinality,
    Duration,
    DurationExpression,
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

LINE_LENGTH_MAX = 100
"""Bytes of what stays in one line."""
INDENT = "  "

_DURATION_CALLS = {"min": "min_of", "max": "max_of"}
_GROUPS = {Cardinality.MANY_TO_ONE: "group_left", Cardinality.ONE_TO_MANY: "group_right"}


def print_query(tree: Expression) -> str:
    """In one line."""
    return _Printer().line(tree)


def pretty(tree: Expression, line_length_max: int = LINE_LENGTH_MAX) -> str:
    """Split where a part is longer than the limit, inner parts indented by two spaces a level."""
    return _Printer(line_length_max).split(tree, 0)


def print_number(value: float) -> str:
    """Without an exponent, as short as gives the number again; NaN, +Inf, -Inf."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")


def print_matcher(matcher: Matcher) -> str:
    return f"{print_label(matcher.name)}{matcher.type.value}{quote(matcher.value)}"


def print_label(name: str) -> str:
    """Quoted where it is none of the old names, letters, digits and underscores."""
    return name if name.isascii() and name.isidentifier() else quote(name)


def print_duration(duration: Duration) -> str:
    return format_duration(duration) if isinstance(duration, int) else _term(duration)


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(print_label(name) for name in names)


def _term(term: DurationExpression | NumberLiteral) -> str:
    if isinstance(term, NumberLiteral):
        return _number(term)
    operands = [_term(operand) for operand in term.operands]
    if term.operator in ("step", "range"):
        text = f"{term.operator}()"
    elif term.operator in _DURATION_CALLS:
        text = f"{_DURATION_CALLS[term.operator]}({', '.join(operands)})"
    elif len(operands) == 1:
        text = f"{'-' if term.operator == '-' else ''}{operands[0]}"
    else:
        text = f" {term.operator} ".join(operands)
    return f"({text})" if term.parenthesised else text


def _number(node: NumberLiteral) -> str:
    return format_duration(round(node.value * 1000)) if node.duration else print_number(node.value)


def _at(at: int | AtModifier | None) -> str:
    if at is None:
        return ""
    return f" @ {at.value}" if isinstance(at, AtModifier) else f" @ {at / 1000:.3f}"


def _offset(offset: Duration) -> str:
    return "" if offset == 0 else f" offset {print_duration(offset)}"


def _selector(node: VectorSelector) -> str:
    def is_name(m: Matcher) -> bool:
        return m.name == METRIC_NAME and m.type is MatchType.EQUAL and m.value == node.name != ""

    matchers = sorted(print_matcher(m) for m in node.matchers if not is_name(m))
    braces = f"{{{','.join(matchers)}}}" if matchers or not node.name else ""
    return node.name + braces


def _extension(node: VectorSelector) -> str:
    return f" {node.extension}" if node.extension else ""


def _grouping(node: Aggregation) -> str:
    if node.without:
        return f" without ({_labels(node.grouping)}) "
    return f" by ({_labels(node.grouping)}) " if node.grouping else ""


def _subquery_suffix(node: Subquery) -> str:
    step = "" if node.step_ms == 0 else print_duration(node.step_ms)
    return f"[{print_duration(node.range_ms)}:{step}]{_at(node.at)}{_offset(node.offset_ms)}"


def _matching(matching: Matching | None) -> str:
    if matching is None:
        return ""
    group = _GROUPS.get(matching.cardinality)
    text = ""
    if matching.labels or matching.on or group:
        text += f" {'on' if matching.on else 'ignoring'} ({_labels(matching.labels)})"
    if group:
        text += f" {group} ({_labels(matching.include)})"
    left, right = matching.fill_left, matching.fill_right
    if left is not None and (left == right or (left != left and right is not None and right != right)):
        return f"{text} fill ({print_number(left)})"
    if left is not None:
        text += f" fill_left ({print_number(left)})"
    return text if right is None else f"{text} fill_right ({print_number(right)})"


def _operator(node: Binary) -> str:
    return f"{node.operator}{' bool' if node.return_bool else ''}{_matching(node.matching)}"


class _Printer:
    """Keeps the line of every node printed, so that to look whether a part fits costs nothing."""

    def __init__(self, line_length_max: int = LINE_LENGTH_MAX) -> None:
        self.line_length_max = line_length_max
        self.lines: dict[int, str] = {}

    def line(self, node: Expression) -> str:
        found = self.lines.get(id(node))
        if found is None:
            found = self.lines[id(node)] = self.text(node)
        return found

    def text(self, node: Expression) -> str:
        match node:
            case NumberLiteral():
                return _number(node)
            case StringLiteral():
                return quote(node.value)
            case VectorSelector():
                return f"{_selector(node)}{_at(node.at)}{_extension(node)}{_offset(node.offset_ms)}"
            case MatrixSelector():
                inner = node.selector
                around = f"{_extension(inner)}{_at(inner.at)}{_offset(inner.offset_ms)}"
                return f"{_selector(inner)}[{print_duration(node.range_ms)}]{around}"
            case Subquery():
                return f"{self.line(node.expression)}{_subquery_suffix(node)}"
            case Unary():
                return f"{node.operator}{self.line(node.operand)}"
            case Parentheses():
                return f"({self.line(node.expression)})"
            case Binary():
                return f"{self.line(node.left)} {_operator(node)} {self.line(node.right)}"
            case Aggregation():
                parameter = "" if node.parameter is None else f"{self.line(node.parameter)}, "
                return f"{node.operator}{_grouping(node)}({parameter}{self.line(node.expression)})"
            case Call():
                return f"{node.function}({', '.join(self.line(a) for a in node.arguments)})"

    def split(self, node: Expression, level: int) -> str:
        indent = INDENT * level
        line = self.line(node)
        if isinstance(node, Unary):
            return f"{indent}{node.operator}{self.split(node.operand, level).strip()}"
        if len(line.encode()) <= self.line_length_max:
            return line if isinstance(node, Subquery) else indent + line  # as Prometheus has it
        match node:
            case Aggregation():
                parts = [node.expression] if node.parameter is None else [node.parameter, node.expression]
                return f"{indent}{node.operator}{_grouping(node)}(\n{self.parts(parts, level)}\n{indent})"
            case Call(arguments=arguments) if arguments:
                return f"{indent}{node.function}(\n{self.parts(arguments, level)}\n{indent})"
            case Binary():
                left, right = self.split(node.left, level + 1), self.split(node.right, level + 1)
                return f"{left}\n{indent}{_operator(node)}\n{right}"
            case Parentheses():
                return f"{indent}(\n{self.split(node.expression, level + 1)}\n{indent})"
            case Subquery():
                return f"{self.split(node.expression, level)}{_subquery_suffix(node)}"
            case _:
                return indent + line

    def parts(self, nodes: list[Expression] | tuple[Expression, ...], level: int) -> str:
        return ",\n".join(self.split(part, level + 1) for part in nodes)
