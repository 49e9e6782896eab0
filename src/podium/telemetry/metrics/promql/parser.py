"""Parses PromQL: precedence climbing over the tokens of a query.

Operators from the loosest to the tightest: or; and, unless; comparisons and trims; + -; * / % atan2; unary minus and plus; ^ (which alone
groups to the right); offset, @ and ranges bind to the nearest expression. A sign before a number is part of it, but -1^2 is -(1^2).

First comes the form, mistakes in which are reported from the left; then meaning (`checks.py`). A query longer than QUERY_LENGTH_MAX or nested
deeper than DEPTH_MAX is refused. Positions are characters of the query.

Source: Prometheus' querying documentation and feature flags, 3.14; error texts are upstream's.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NoReturn

from podium.telemetry.metrics.labels import METRIC_NAME, Matcher, MatchType
from podium.telemetry.metrics.promql.checks import DEPTH_MAX, SET_OPERATORS, check, too_deep
from podium.telemetry.metrics.promql.duration_parser import offset_duration, range_durations
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.lexer import DURATION, EOF, ERROR, IDENTIFIER, KEYWORDS, METRIC, NUMBER, STRING
from podium.telemetry.metrics.promql.lexer import PREPROCESSORS as FUNCTION_KEYWORDS
from podium.telemetry.metrics.promql.quoting import quote, unquote
from podium.telemetry.metrics.promql.signatures import AGGREGATORS, EXPERIMENTAL_AGGREGATORS, PARAMETER_TYPES, SIGNATURES
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    AtModifier,
    Binary,
    Call,
    Cardinality,
    DurationExpression,
    Expression,
    Matching,
    MatrixSelector,
    NumberLiteral,
    Parentheses,
    Span,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from podium.telemetry.metrics.promql.token_stream import Features, TokenStream

STABLE = Features()
EVERYTHING = Features(functions=True, extended_ranges=True, fill_modifiers=True)
QUERY_LENGTH_MAX = 500_000
"""Characters."""

PRECEDENCE = {
    "or": 1,
    "and": 2, "unless": 2,
    "==": 3, "!=": 3, ">": 3, "<": 3, ">=": 3, "<=": 3, "</": 3, ">/": 3,
    "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5, "atan2": 5,
    "^": 6,
}  # fmt: skip
_POWER = PRECEDENCE["^"]

_NOT_NAMES = frozenset(("bool", "on", "ignoring", "group_left", "group_right", "atan2", "fill", "fill_left", "fill_right"))
_NAME_KINDS = (KEYWORDS - _NOT_NAMES) | {IDENTIFIER, METRIC}
_LABEL_KINDS = KEYWORDS | {IDENTIFIER, METRIC}
_CALL_KINDS = FUNCTION_KEYWORDS | {IDENTIFIER}
_STARTS = _NAME_KINDS | {NUMBER, DURATION, STRING, "(", "{", "+", "-"}
_MATCH_TYPES = {t.value: t for t in MatchType}
_MATCHING = frozenset(("on", "ignoring"))
_GROUPS = {"group_left": Cardinality.MANY_TO_ONE, "group_right": Cardinality.ONE_TO_MANY}
_ONE_TO_ONE = Matching()
_MANY_TO_MANY = Matching(Cardinality.MANY_TO_MANY)
_SELECTORS = "an instant vector selector or range vector selector or a subquery"
_TIMESTAMP_MAX = float(2**63)


PARSED_KEPT_MAX, PARSED_KEPT_LENGTH_MAX = 512, 4096
"""Queries that are asked again and again, as dashboards do, and are not longer than that: their trees are kept."""


def parse(query: str, features: Features = STABLE) -> Expression:
    """The query's tree, well formed and well typed. Raises ParseError."""
    return _parse_again(query, features) if len(query) <= PARSED_KEPT_LENGTH_MAX else _parse(query, features)


def _parse(query: str, features: Features) -> Expression:
    parser = _Parser(_limited(query), features)
    if parser.kinds[0] == EOF:
        raise ParseError("no expression found in input", query)
    tree = parser.expression(1)
    parser.expect_end()
    check(tree, query)
    return tree


_parse_again = lru_cache(PARSED_KEPT_MAX)(_parse)


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of `name{label="value"}`, as in match[]; they may match everything. Raises ParseError."""
    parser = _Parser(_limited(text), STABLE)
    if parser.kinds[0] not in _NAME_KINDS and parser.kinds[0] != "{":
        parser.unexpected()
    selector = parser.selector()
    parser.expect_end()
    return selector.matchers


def parse_metric(text: str) -> tuple[dict[str, str], int]:
    """(labels, where they end) of `name{label="value"}` at the start of a text: a series as test files write it. Raises ParseError."""
    parser = _Parser(text, STABLE)
    labels: dict[str, str] = {}
    if parser.kinds[0] in _NAME_KINDS:
        labels[METRIC_NAME] = parser.take()
    start = parser.starts[parser.index]
    if parser.kinds[parser.index] == "{" and not text.startswith("{{", start):
        parser.labels_into(labels)
    return labels, parser.end if parser.index else 0


def _limited(query: str) -> str:
    if len(query) > QUERY_LENGTH_MAX:
        raise ParseError(f"query is too long: {len(query)} characters, at most {QUERY_LENGTH_MAX} are allowed", query)
    return query


@dataclass(frozen=True, slots=True)
class _Modifiers:
    """What stands between an operator and its right side."""

    return_bool: bool
    matching: Matching


_PLAIN = _Modifiers(False, _ONE_TO_ONE)


class _Parser(TokenStream):
    __slots__ = ("depth",)

    def __init__(self, query: str, features: Features) -> None:
        super().__init__(query, features)
        self.depth = 0

    def expect_end(self) -> None:
        if self.kinds[self.index] != EOF:
            self.unexpected()

    def expression(self, precedence: int) -> Expression:
        """An expression of operators that bind at least as tightly as `precedence`."""
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise too_deep(self.query, self.starts[self.index])
        kinds = self.kinds
        left = self.operand()
        chain = self.depth
        while (level := PRECEDENCE.get(operator := kinds[self.index], 0)) >= precedence:
            chain += 1
            if chain > DEPTH_MAX:
                raise too_deep(self.query, self.starts[self.index])
            self.index += 1
            modifiers = self.modifiers() if kinds[self.index] in KEYWORDS else _PLAIN
            right = self.expression(level if level == _POWER else level + 1)
            left = self.binary(operator, left, right, modifiers)
        self.depth -= 1
        return left

    def binary(self, operator: str, left: Expression, right: Expression, modifiers: _Modifiers) -> Binary:
        matching: Matching | None = modifiers.matching
        assert matching is not None
        if _is_scalar(left) or _is_scalar(right):
            if not matching.labels and matching.fill_left is None and matching.fill_right is None:
                matching = None
        elif operator in SET_OPERATORS and matching.cardinality is Cardinality.ONE_TO_ONE:
            matching = _MANY_TO_MANY if matching is _ONE_TO_ONE else replace(matching, cardinality=Cardinality.MANY_TO_MANY)
        span = Span(left.span.start, right.span.end)
        if (
            matching is not None
            and not self.features.fill_modifiers
            and (matching.fill_left is not None or matching.fill_right is not None)
        ):
            raise ParseError("binop fill modifiers are experimental and not enabled", self.query, span.start, span.end)
        return Binary(operator, left, right, matching, modifiers.return_bool, span=span)

    def modifiers(self) -> _Modifiers:
        """`bool on(a, b) group_left(c) fill(0)`, each optional."""
        return_bool = self.accept("bool")
        kind = self.kinds[self.index]
        on, cardinality = False, Cardinality.ONE_TO_ONE
        labels: tuple[str, ...] = ()
        include: tuple[str, ...] = ()
        if kind in _MATCHING:
            self.index += 1
            on, labels = kind == "on", self.grouping()
            group = self.kinds[self.index]
            if group in _GROUPS:
                self.index += 1
                cardinality = _GROUPS[group]
                include = self.grouping() if self.kinds[self.index] == "(" else ()
        fill_left, fill_right = self.fills()
        return _Modifiers(return_bool, Matching(cardinality, labels, on, include, fill_left, fill_right))

    def fills(self) -> tuple[float | None, float | None]:
        if self.accept("fill"):
            value = self.fill_value()
            return value, value
        left = right = None
        while self.kinds[self.index] in ("fill_left", "fill_right"):
            is_left = self.kinds[self.index] == "fill_left"
            if (left if is_left else right) is not None:
                self.unexpected()
            self.index += 1
            if is_left:
                left = self.fill_value()
            else:
                right = self.fill_value()
        return left, right

    def fill_value(self) -> float:
        self.expect("(", "fill modifier", '"("')
        value = self.signed_number("fill modifier", "number")
        self.expect(")", "fill modifier", '")"')
        return value

    def operand(self) -> Expression:
        """An expression without operators other than signs, with the ranges, offsets and times that follow it."""
        kinds, index = self.kinds, self.index
        kind = kinds[index]
        if kind in _NAME_KINDS:
            if kinds[index + 1] == "(" and kind in _CALL_KINDS:
                node: Expression = self.call()
            elif kind in AGGREGATORS and kinds[index + 1] in ("(", "by", "without"):
                node = self.aggregation()
            else:
                node = self.selector()
        elif kind == "{":
            node = self.selector()
        elif kind in (NUMBER, DURATION):
            node = self.number()
        elif kind == "(":
            node = self.parentheses()
        elif kind in ("+", "-"):
            return self.signed()
        elif kind == STRING:
            self.index += 1
            node = StringLiteral(unquote(self.texts[index], keep_bytes=True), span=self.span(index))
        else:
            self.unexpected()
        while (kind := kinds[self.index]) in _POSTFIXES:
            node = _POSTFIXES[kind](self, node)
        return node

    def signed(self) -> Expression:
        sign, start = self.kinds[self.index], self.starts[self.index]
        self.index += 1
        operand = self.expression(_POWER)
        span = Span(start, operand.span.end)
        if isinstance(operand, NumberLiteral):
            return NumberLiteral(-operand.value if sign == "-" else operand.value, operand.duration, span=span)
        return Unary(sign, operand, span=span)

    def parentheses(self) -> Parentheses:
        start = self.starts[self.index]
        self.index += 1
        inner = self.expression(1)
        self.expect(")")
        return Parentheses(inner, span=Span(start, self.end))

    def arguments(self) -> tuple[Expression, ...]:
        """Between parentheses, the left one of which is next."""
        self.expect("(")
        found: list[Expression] = []
        while self.kinds[self.index] != ")":
            found.append(self.expression(1))
            if self.kinds[self.index] != ",":
                break
            comma = self.index
            self.index += 1
            if self.kinds[self.index] not in _STARTS:
                if self.kinds[self.index] == ERROR:
                    self.unexpected()
                start = self.starts[comma]
                raise ParseError("trailing commas not allowed in function call args", self.query, start, start + 1)
        self.expect(")")
        return tuple(found)

    def call(self) -> Call:
        index = self.index
        name = self.take()
        arguments = self.arguments()
        signature = SIGNATURES.get(name)
        if signature is None:
            self.fail(index, f"unknown function with name {quote(name)}")
        if signature.experimental and not self.features.functions:
            self.fail(index, f"function {quote(name)} is not enabled")
        return Call(name, arguments, span=Span(self.starts[index], self.end))

    def aggregation(self) -> Aggregation:
        start, operator = self.starts[self.index], self.kinds[self.index]
        self.index += 1
        grouping: tuple[str, ...] = ()
        before = self.kinds[self.index]
        if before != "(":
            self.index += 1
            grouping = self.grouping()
        arguments = self.arguments()
        if before == "(" and self.kinds[self.index] in ("by", "without"):
            before = self.take().lower()
            grouping = self.grouping()
        span = Span(start, self.end)
        if self.kinds[self.index] == ERROR:
            self.unexpected()
        if not arguments:
            raise ParseError("no arguments for aggregate expression provided", self.query, start, span.end)
        if operator in EXPERIMENTAL_AGGREGATORS and not self.features.functions:
            flag = "--enable-feature=promql-experimental-functions"
            raise ParseError(f"{operator}() is experimental and must be enabled with {flag}", self.query, start, span.end)
        wanted = 2 if operator in PARAMETER_TYPES else 1
        if len(arguments) != wanted:
            count = f"expected {wanted}, got {len(arguments)}"
            raise ParseError(f"wrong number of arguments for aggregate expression provided, {count}", self.query, start, span.end)
        parameter = arguments[0] if wanted == 2 else None
        return Aggregation(operator, arguments[-1], parameter, grouping, before == "without", span=span)

    def grouping(self) -> tuple[str, ...]:
        """Label names between parentheses."""
        self.expect("(", "grouping opts", '"("')
        found: list[str] = []
        while not self.accept(")"):
            index = self.index
            if self.kinds[index] not in _LABEL_KINDS and self.kinds[index] != STRING:
                self.unexpected("grouping opts", "label")
            text = self.take()
            label = unquote(text) if self.kinds[index] == STRING else text
            if not label:
                self.fail(index, f"invalid label name {quote(label)}")
            found.append(label)
            if self.kinds[self.index] != ")":
                self.expect(",", "grouping opts", '"," or ")"')
        return tuple(found)

    def selector(self) -> VectorSelector:
        index, name = self.index, ""
        if self.kinds[index] != "{":
            name = self.take()
        matchers = self.matchers() if self.kinds[self.index] == "{" else []
        if name:
            matchers.append(Matcher(MatchType.EQUAL, METRIC_NAME, name))
        return VectorSelector(name, tuple(matchers), span=Span(self.starts[index], self.end))

    def matchers(self) -> list[Matcher]:
        self.index += 1
        found: list[Matcher] = []
        while not self.accept("}"):
            found.append(self.matcher())
            if self.kinds[self.index] != "}":
                self.expect(",", "label matching", '"," or "}"')
        return found

    def matcher(self) -> Matcher:
        index, kind = self.index, self.kinds[self.index]
        if kind not in (IDENTIFIER, STRING):
            self.unexpected("label matching", 'identifier or "}"')
        text = self.take()
        label = unquote(text) if kind == STRING else text
        match_type = _MATCH_TYPES.get(self.kinds[self.index])
        if match_type is None:
            if kind == STRING:
                return Matcher(MatchType.EQUAL, METRIC_NAME, label)
            self.unexpected("label matching", "label matching operator")
        self.index += 1
        if self.kinds[self.index] != STRING:
            self.unexpected("label matching", "string")
        value = unquote(self.take())
        try:
            return Matcher(match_type, label, value)
        except ValueError as error:
            raise ParseError(f"error parsing regexp: {error}", self.query, self.starts[index], self.end) from error

    def labels_into(self, labels: dict[str, str]) -> None:
        """The labels of one series, as matchers are written but with = only."""
        self.index += 1
        while not self.accept("}"):
            kind = self.kinds[self.index]
            if kind not in (IDENTIFIER, STRING):
                self.unexpected("label set", 'identifier or "}"')
            text = self.take()
            name = unquote(text) if kind == STRING else text
            if kind == STRING and self.kinds[self.index] != "=":
                labels[METRIC_NAME] = name
            else:
                self.expect("=", "label set", '"="')
                if self.kinds[self.index] != STRING:
                    self.unexpected("label set", "string")
                labels[name] = unquote(self.take())
            if self.kinds[self.index] != "}":
                self.expect(",", "label set", '"," or "}"')

    def brackets(self, node: Expression) -> Expression:
        """`[5m]` or `[5m:10s]`."""
        bracket = self.index
        range_ms, step_ms = range_durations(self)
        span = Span(node.span.start, self.end)
        if step_ms is not None:
            return Subquery(node, range_ms, step_ms, span=span)
        message = ""
        if not isinstance(node, VectorSelector):
            message = "ranges only allowed for vector selectors"
        elif node.offset_ms != 0:
            message = "no offset modifiers allowed before range"
        elif node.at is not None:
            message = "no @ modifiers allowed before range"
        if message:
            raise ParseError(message, self.query, self.starts[bracket], self.end)
        assert isinstance(node, VectorSelector)
        return MatrixSelector(node, range_ms, span=span)

    def offset(self, node: Expression) -> Expression:
        self.index += 1
        offset_ms = offset_duration(self)
        span = Span(node.span.start, self.end)
        match node:
            case VectorSelector(offset_ms=0) | Subquery(offset_ms=0):
                return replace(node, offset_ms=offset_ms, span=span)
            case MatrixSelector(selector=VectorSelector(offset_ms=0)):
                return replace(node, selector=replace(node.selector, offset_ms=offset_ms), span=span)
            case VectorSelector() | Subquery() | MatrixSelector():
                message = "offset may not be set multiple times"
            case _:
                message = f"offset modifier must be preceded by {_SELECTORS}"
        raise ParseError(message, self.query, node.span.start, node.span.end)

    def at(self, node: Expression) -> Expression:
        self.index += 1
        moment = self.moment(node)
        span = Span(node.span.start, self.end)
        match node:
            case VectorSelector(at=None) | Subquery(at=None):
                return replace(node, at=moment, span=span)
            case MatrixSelector(selector=VectorSelector(at=None)):
                return replace(node, selector=replace(node.selector, at=moment), span=span)
            case VectorSelector() | Subquery() | MatrixSelector():
                message = "@ <timestamp> may not be set multiple times"
            case _:
                message = f"@ modifier must be preceded by {_SELECTORS}"
        raise ParseError(message, self.query, node.span.start, node.span.end)

    def moment(self, node: Expression) -> int | AtModifier:
        kind = self.kinds[self.index]
        if kind in ("start", "end"):
            self.index += 1
            self.expect("(", "@", "timestamp")
            self.expect(")", "@", "timestamp")
            return AtModifier.START if kind == "start" else AtModifier.END
        seconds = self.signed_number("@", "timestamp")
        if not -_TIMESTAMP_MAX < seconds < _TIMESTAMP_MAX:
            shown = f"{seconds:f}" if abs(seconds) < float("inf") else f"{seconds:+}".title() if seconds == seconds else "NaN"
            raise ParseError(f"timestamp out of bounds for @ modifier: {shown}", self.query, node.span.start, node.span.end)
        milliseconds = int(abs(seconds) * 1000 + 0.5)
        return -milliseconds if seconds < 0 else milliseconds

    def extension(self, node: Expression) -> Expression:
        """anchored and smoothed."""
        word = self.take().lower()
        message = ""
        selector = node.selector if isinstance(node, MatrixSelector) else node
        if not self.features.extended_ranges:
            message = f"{word} modifier is experimental and not enabled"
        elif isinstance(selector, Subquery):
            message = f"{word} modifier is not supported for subqueries"
        elif not isinstance(selector, VectorSelector):
            message = f"{word} modifier not implemented"
        elif selector.extension not in ("", word):
            message = "anchored and smoothed modifiers cannot be used together"
        if message:
            raise ParseError(message, self.query, node.span.start, node.span.end)
        assert isinstance(selector, VectorSelector)
        extended = replace(selector, extension=word)
        return replace(node, selector=extended) if isinstance(node, MatrixSelector) else extended

    def fail(self, index: int, message: str) -> NoReturn:
        raise ParseError(message, self.query, self.starts[index], self.tokens.end(index))


_POSTFIXES = {
    "[": _Parser.brackets,
    "offset": _Parser.offset,
    "@": _Parser.at,
    "anchored": _Parser.extension,
    "smoothed": _Parser.extension,
}


def _is_scalar(node: Expression) -> bool:
    """Whether it is a scalar; a tree whose types are wrong is found out later."""
    while isinstance(node, Parentheses | Unary):
        node = node.expression if isinstance(node, Parentheses) else node.operand
    if isinstance(node, Call):
        signature = SIGNATURES[node.function]
        return signature.returns.value == "scalar"
    if isinstance(node, Binary):
        return node.matching is None and _is_scalar(node.left) and _is_scalar(node.right)
    return isinstance(node, NumberLiteral)


__all__ = ["EVERYTHING", "QUERY_LENGTH_MAX", "STABLE", "DurationExpression", "Features", "parse", "parse_metric", "parse_selector"]
