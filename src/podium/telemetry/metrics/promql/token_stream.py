"""Reading tokens one by one: what every part of the parser does. And which experimental parts of the language are on."""

from dataclasses import dataclass
from typing import NoReturn

from podium.telemetry.metrics.promql.durations import parse_duration
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.lexer import DURATION, ERROR, NUMBER, tokenize
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.promql.syntax import NumberLiteral, Span


@dataclass(frozen=True, slots=True)
class Features:
    """Experimental parts of the language; each is a flag of upstream's --enable-feature. Computed durations are not experimental any more."""

    functions: bool = False  # promql-experimental-functions
    extended_ranges: bool = False  # promql-extended-range-selectors
    fill_modifiers: bool = False  # promql-binop-fill-modifiers


class TokenStream:
    """`index` is the next token; the last one is never passed."""

    __slots__ = ("features", "index", "kinds", "query", "starts", "texts", "tokens")

    def __init__(self, query: str, features: Features) -> None:
        self.query = query
        self.features = features
        self.tokens = tokenize(query)
        self.kinds, self.texts, self.starts = self.tokens.kinds, self.tokens.texts, self.tokens.starts
        self.index = 0

    @property
    def end(self) -> int:
        """Where the token before ends."""
        index = self.index - 1
        return self.starts[index] + len(self.texts[index])

    def span(self, index: int) -> Span:
        start = self.starts[index]
        return Span(start, start + len(self.texts[index]))

    def take(self) -> str:
        """The next token's text."""
        self.index += 1
        return self.texts[self.index - 1]

    def accept(self, kind: str) -> bool:
        if self.kinds[self.index] != kind:
            return False
        self.index += 1
        return True

    def expect(self, kind: str, context: str = "", expected: str = "") -> None:
        if self.kinds[self.index] != kind:
            self.unexpected(context, expected)
        self.index += 1

    def unexpected(self, context: str = "", expected: str = "") -> NoReturn:
        """Raises ParseError about the next token."""
        index = self.index
        start = self.starts[index]
        if self.kinds[index] == ERROR:
            raise ParseError(self.texts[index], self.query, start, len(self.query))
        message = f"unexpected {self.tokens.describe(index)}"
        if context:
            message += f" in {context}"
        if expected:
            message += f", expected {expected}"
        raise ParseError(message, self.query, start, self.tokens.end(index))

    def number(self) -> NumberLiteral:
        """A number or a duration, which is next."""
        index = self.index
        text, span = self.texts[index], self.span(index)
        self.index += 1
        try:
            if self.kinds[index] == DURATION:
                return NumberLiteral(parse_duration(text) / 1000, True, span=span)
            return NumberLiteral(number_value(text), span=span)
        except ValueError as error:
            raise ParseError(str(error), self.query, span.start, span.end) from error

    def signed_number(self, context: str, expected: str) -> float:
        sign = self.kinds[self.index]
        if sign in ("+", "-"):
            self.index += 1
        if self.kinds[self.index] not in (NUMBER, DURATION):
            self.unexpected(context, expected)
        value = self.number().value
        return -value if sign == "-" else value


def number_value(text: str) -> float:
    """Of a decimal, octal (0755) or hexadecimal number, with underscores between digits. Raises ValueError in upstream's words."""
    digits = text.replace("_", "")
    lower = digits.lower()
    try:
        if lower.startswith("0x"):
            return float(int(lower[2:], 16))
        if len(digits) > 1 and digits[0] == "0" and all(c in "01234567" for c in digits):
            return float(int(digits, 8))
        value = float(digits)
    except (ValueError, OverflowError):
        raise ValueError(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from None
    if value in (float("inf"), float("-inf")) and lower != "inf":
        raise ValueError(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value
