"""Durations inside brackets and after `offset`: a literal, or an expression that is computed when the query starts.

After `offset` a bare literal ends the duration, so that `foo offset 1m + 1` is (foo offset 1m) + 1; an expression stands in parentheses there.

Source: Prometheus 3.14, which has them without a flag.
"""

from podium.telemetry.metrics.promql.durations import DURATION_MS_MAX, seconds_to_ms
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.lexer import DURATION, NUMBER
from podium.telemetry.metrics.promql.syntax import Duration, DurationExpression, NumberLiteral, Span
from podium.telemetry.metrics.promql.token_stream import TokenStream

DEPTH_MAX = 50
"""Levels of a duration expression."""

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}
_SIGN, _POWER = 3, 3
_CALLS = {"step": "step", "range": "range", "min_of": "min", "max_of": "max"}
_EXPECTED = "number, duration, step(), or range()"

Term = DurationExpression | NumberLiteral


def range_durations(stream: TokenStream) -> tuple[Duration, Duration | None]:
    """(range, step) of `[range]` or `[range:step]`, the bracket next. Step None: there is no colon; 0: none after it. Raises ParseError."""
    stream.index += 1
    range_ms = _positive(stream, "subquery or range selector", _EXPECTED)
    step_ms: Duration | None = None
    if stream.accept(":"):
        step_ms = 0
        if stream.kinds[stream.index] != "]":
            step_ms = _positive(stream, "subquery selector", 'number, duration, step(), range(), or "]"')
        stream.expect("]", "subquery selector", '"]"')
    else:
        stream.expect("]", "subquery or range", '":" or "]"')
    return range_ms, step_ms


def offset_duration(stream: TokenStream) -> Duration:
    """What follows `offset`. Raises ParseError."""
    parser = _DurationParser(stream, "offset", _EXPECTED)
    kind = stream.kinds[stream.index]
    if kind not in ("+", "-"):
        return _duration(parser.primary(0))
    index = stream.index
    stream.index += 1
    return _duration(parser.signed(index, parser.primary(0)))


def _positive(stream: TokenStream, context: str, expected: str) -> Duration:
    term = _DurationParser(stream, context, expected).expression(1, 0)
    if isinstance(term, NumberLiteral) and term.value <= 0:
        raise ParseError("duration must be greater than 0", stream.query, term.span.start, term.span.end)
    return _duration(term)


def _duration(term: Term) -> Duration:
    return seconds_to_ms(term.value) if isinstance(term, NumberLiteral) else term


class _DurationParser:
    """Precedence climbing, as the parser's; errors are told in the words of what the duration stands in."""

    __slots__ = ("context", "expected", "stream")

    def __init__(self, stream: TokenStream, context: str, expected: str) -> None:
        self.stream = stream
        self.context = context
        self.expected = expected

    def expression(self, precedence: int, depth: int) -> Term:
        stream = self.stream
        left = self.operand(depth + 1)
        levels = depth
        while (level := _PRECEDENCE.get(stream.kinds[stream.index], 0)) >= precedence:
            levels += 1
            self.limit(levels)
            index = stream.index
            operator = stream.take()
            right = self.expression(level if level == _POWER else level + 1, depth + 1)
            if operator in "/%" and isinstance(right, NumberLiteral) and right.value == 0:
                message = "division by zero" if operator == "/" else "modulo by zero"
                raise ParseError(message, stream.query, stream.starts[index], stream.starts[index] + 1)
            left = DurationExpression(operator, (left, right), span=Span(left.span.start, right.span.end))
        return left

    def operand(self, depth: int) -> Term:
        stream = self.stream
        if stream.kinds[stream.index] not in ("+", "-"):
            return self.primary(depth)
        self.limit(depth)
        index = stream.index
        stream.index += 1
        return self.signed(index, self.expression(_SIGN, depth + 1))

    def signed(self, index: int, term: Term) -> Term:
        """A term after the sign at `index`."""
        minus = self.stream.kinds[index] == "-"
        span = Span(self.stream.starts[index], term.span.end)
        if isinstance(term, NumberLiteral):
            return NumberLiteral(-term.value if minus else term.value, term.duration, span=span)
        return DurationExpression("-", (term,), span=span) if minus else term

    def primary(self, depth: int) -> Term:
        stream = self.stream
        index, kind = stream.index, stream.kinds[stream.index]
        if kind in (NUMBER, DURATION):
            literal = stream.number()
            if not literal.value * 1000 <= DURATION_MS_MAX:
                raise ParseError("duration out of range", stream.query, literal.span.start, literal.span.end)
            return literal
        self.limit(depth)
        if kind == "(":
            stream.index += 1
            inner = self.expression(1, depth + 1)
            self.expect(")")
            return self.parenthesised(inner, Span(stream.starts[index], stream.end))
        if kind not in _CALLS:
            stream.unexpected(self.context, self.expected)
        stream.index += 1
        operands = self.arguments(kind, depth + 1)
        return DurationExpression(_CALLS[kind], operands, span=Span(stream.starts[index], stream.end))

    def arguments(self, kind: str, depth: int) -> tuple[Term, ...]:
        self.expect("(")
        found: tuple[Term, ...] = ()
        if kind in ("min_of", "max_of"):
            left = self.expression(1, depth)
            self.expect(",")
            found = (left, self.expression(1, depth))
        self.expect(")")
        return found

    def parenthesised(self, term: Term, span: Span) -> Term:
        if isinstance(term, NumberLiteral):
            return DurationExpression("+", (term,), parenthesised=True, span=span)
        return DurationExpression(term.operator, term.operands, parenthesised=True, span=span)

    def expect(self, kind: str) -> None:
        self.stream.expect(kind, self.context, self.expected)

    def limit(self, depth: int) -> None:
        if depth > DEPTH_MAX:
            stream = self.stream
            message = f"duration expression is nested too deeply, more than {DEPTH_MAX} levels"
            raise ParseError(message, stream.query, stream.starts[stream.index], stream.starts[stream.index])
