"""Cuts a query into tokens.

Three modes, as upstream's lexer has them: statements, label matchers inside braces (where keywords are plain names), durations inside
brackets. A query is cut as a whole before it is parsed; where cutting fails the last token is an `error` that carries the message, and the
parser reports it only when it gets there, so that of two mistakes the one further left is told, as upstream does.

Regular expressions recognise what is usual; numbers, durations and strings that they do not match are looked at character by character
(`literals.py`), which finds out what is wrong with them.

Source: the lexical part of PromQL's documentation; error texts are upstream's.
"""

import re
from dataclasses import dataclass, field

from podium.telemetry.metrics.promql.literals import DIGITS, LexicalError, scan_duration, scan_number, scan_string
from podium.telemetry.metrics.promql.quoting import quote, quote_character, quote_start
from podium.telemetry.metrics.promql.signatures import AGGREGATORS

IDENTIFIER, METRIC, NUMBER, DURATION, STRING, EOF, ERROR = "identifier", "metric identifier", "number", "duration", "string", "EOF", "error"
"""Kinds of tokens. Any other token's kind is its text, keywords in lower case."""

OPERATORS = frozenset("+ - * / % ^ == != > < >= <= </ >/ =~ !~ @ and or unless atan2".split())  # noqa: SIM905
MODIFIERS = frozenset(
    (
        "bool",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "offset",
        "anchored",
        "smoothed",
        "fill",
        "fill_left",
        "fill_right",
    )
)
PREPROCESSORS = frozenset(("start", "end", "step", "range", "min_of", "max_of"))
WORD_OPERATORS = frozenset(("and", "or", "unless", "atan2"))
KEYWORDS = AGGREGATORS | MODIFIERS | PREPROCESSORS | WORD_OPERATORS

_FILLS = frozenset(("fill", "fill_left", "fill_right"))
_DURATION_WORDS = PREPROCESSORS - {"start", "end"}
_CLASSES = {"number": NUMBER, "duration": DURATION, "string": STRING}

_SPACE = r"(?P<space>[ \t\r\n]+|\#[^\r\n]*)"
_NUMBER = r"(?P<number>(?:[1-9][0-9]*|0)(?:\.[0-9]+)?(?![0-9A-Za-z_.]))"
_DURATION = r"(?P<duration>[0-9]+(?:ms|[smhdwy])(?:[0-9]+(?:ms|[smhdw]))*(?![0-9A-Za-z_]))"
_PLAIN_STRING = r"""(?P<string>"[^"\\\n\ufffd\ud800-\udfff]*"|'[^'\\\n\ufffd\ud800-\udfff]*'|`[^`\ufffd\ud800-\udfff]*`)"""
_STATEMENT = re.compile(
    rf"{_SPACE}|(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<sign>==|!=|<=|>=|</|>/|=(?!~)|[-+*/%^<>@(){{}}\[\],])|{_NUMBER}|{_DURATION}|{_PLAIN_STRING}"
)
_BRACES = re.compile(rf"{_SPACE}|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>=~|!~|!=|=|,|\}})|{_PLAIN_STRING}")
_BRACKETS = re.compile(rf"{_SPACE}|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[-+*/%^(),:\]])|{_NUMBER}|{_DURATION}")
_FOLLOWING = re.compile(r"[ \t\r\n]*\(")


@dataclass(slots=True)
class Tokens:
    """Parallel lists, the last token is EOF or ERROR. An ERROR token's text is the message."""

    query: str
    kinds: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def add(self, kind: str, text: str, start: int) -> None:
        self.kinds.append(kind)
        self.texts.append(text)
        self.starts.append(start)

    def end(self, index: int) -> int:
        """Where a token ends (an error ends with the query)."""
        if self.kinds[index] == ERROR:
            return len(self.query)
        return self.starts[index] + len(self.texts[index])

    def describe(self, index: int) -> str:
        """As error messages name a token."""
        kind, text = self.kinds[index], self.texts[index]
        if kind == EOF:
            return "end of input"
        if kind in (IDENTIFIER, METRIC):
            return f"{kind} {quote(text)}"
        if kind in (STRING, NUMBER, DURATION):
            return f"{kind} {quote_start(text)}"
        if kind in OPERATORS:
            return f"<op:{text}>"
        if kind in AGGREGATORS:
            return f"<aggr:{text}>"
        return f"<{text}>" if kind in MODIFIERS else quote(text)


def tokenize(query: str) -> Tokens:
    """Never raises: the last token says what is wrong. Linear in the query's length."""
    tokens = Tokens(query)
    try:
        _Lexer(query, tokens).statements()
    except LexicalError as error:
        tokens.add(ERROR, error.message, error.start)
    return tokens


class _Lexer:
    __slots__ = ("open_parentheses", "query", "tokens")

    def __init__(self, query: str, tokens: Tokens) -> None:
        self.query = query
        self.tokens = tokens
        self.open_parentheses = 0

    def statements(self) -> None:
        query, tokens = self.query, self.tokens
        position, end = 0, len(query)
        match_token = _STATEMENT.match
        while position < end:
            found = match_token(query, position)
            if found is None:
                position = self._unusual(position)
                continue
            name, start = found.lastgroup, position
            position = found.end()
            if name == "space":
                continue
            text = found[0]
            if name == "word":
                tokens.add(self._word(text, position), text, start)
            elif name == "sign":
                tokens.add(text, text, start)
                position = self._sign(text, position)
            else:
                tokens.add(_CLASSES[name or ""], text, start)
        if self.open_parentheses:
            raise LexicalError("unclosed left parenthesis", end)
        tokens.add(EOF, "", end)

    def _word(self, text: str, end: int) -> str:
        lower = text.lower()
        if lower in KEYWORDS:
            return IDENTIFIER if lower in _FILLS and _FOLLOWING.match(self.query, end) is None else lower
        if lower in ("inf", "nan"):
            return NUMBER
        return METRIC if ":" in text else IDENTIFIER

    def _sign(self, sign: str, position: int) -> int:
        """What a parenthesis, brace or bracket leads to; the position after it."""
        if sign == "{":
            return self._braces(position)
        if sign == "[":
            return self._brackets(position)
        if sign == "}":
            self._replace_last(f"unexpected character: {quote_character(sign)}", position - 1)
        if sign == "]":
            self._replace_last(f"unexpected right bracket {quote_character(sign)}", position - 1)
        if sign in "()":
            self._parenthesis(sign, position)
        return position

    def _parenthesis(self, sign: str, position: int) -> None:
        self.open_parentheses += 1 if sign == "(" else -1
        if self.open_parentheses < 0:
            self._replace_last(f"unexpected right parenthesis {quote_character(sign)}", position)

    def _replace_last(self, message: str, start: int) -> None:
        for part in (self.tokens.kinds, self.tokens.texts, self.tokens.starts):
            part.pop()
        raise LexicalError(message, start)

    def _unusual(self, position: int) -> int:
        query, character = self.query, self.query[position]
        following = query[position + 1 : position + 2]
        if character in DIGITS or (character == "." and following and following in DIGITS):
            return self._number(position)
        if character in "\"'`":
            return self._string(position)
        if character in "=!":
            shown = quote_character(following) if following else "'\\uffff'"
            raise LexicalError(f"unexpected character after '{character}': {shown}", position)
        raise LexicalError(f"unexpected character: {quote_character(character)}", position)

    def _number(self, start: int) -> int:
        is_number, position = scan_number(self.query, start)
        if not is_number:
            is_duration, position = scan_duration(self.query, position)
            if not is_duration:
                raise LexicalError(f"bad number or duration syntax: {quote(self.query[start:position])}", start)
        self.tokens.add(NUMBER if is_number else DURATION, self.query[start:position], start)
        return position

    def _string(self, start: int) -> int:
        end = scan_string(self.query, start)
        self.tokens.add(STRING, self.query[start:end], start)
        return end

    def _braces(self, position: int) -> int:
        """Label matchers, from after the left brace to after the right one."""
        query, tokens = self.query, self.tokens
        while position < len(query):
            found = _BRACES.match(query, position)
            if found is None:
                position = self._unusual_in_braces(position)
                continue
            name, start = found.lastgroup, position
            position = found.end()
            if name == "space":
                continue
            text = found[0]
            tokens.add(text if name == "sign" else IDENTIFIER if name == "word" else STRING, text, start)
            if text == "}":
                return position
        raise LexicalError("unexpected end of input inside braces", len(query))

    def _unusual_in_braces(self, position: int) -> int:
        character, following = self.query[position], self.query[position + 1 : position + 2]
        if character in "\"'`":
            return self._string(position)
        if character == "{":
            raise LexicalError("unexpected left brace '{'", position)
        if character == "!":
            shown = quote_character(following) if following else "'\\uffff'"
            raise LexicalError(f"unexpected character after '!' inside braces: {shown}", position)
        raise LexicalError(f"unexpected character inside braces: {quote_character(character)}", position)

    def _brackets(self, position: int) -> int:
        """A range or a subquery, from after the left bracket to after the right one."""
        query, tokens = self.query, self.tokens
        has_duration = has_colon = False
        while position < len(query):
            found = _BRACKETS.match(query, position)
            if found is None:
                position = self._unusual_in_brackets(position, has_duration)
                has_duration = True
                continue
            name, start = found.lastgroup, position
            position = found.end()
            if name == "space":
                continue
            text = found[0]
            if name == "word":
                tokens.add(self._duration_word(text, start, has_duration), text, start)
                has_duration = True
            elif name == "sign":
                tokens.add(text, text, start)
                if text == "]":
                    return position
                if text == ":":
                    self._colon(position, has_duration, has_colon)
                    has_colon = True
                elif text in "()":
                    self._parenthesis(text, position)
            else:
                tokens.add(_CLASSES[name or ""], text, start)
                has_duration = True
        raise self._unclosed(has_duration)

    def _colon(self, position: int, has_duration: bool, has_colon: bool) -> None:
        if not has_duration:
            self._replace_last("unexpected colon before duration in duration expression", position)
        if has_colon:
            self._replace_last("unexpected colon ':'", position - 1)

    def _duration_word(self, text: str, start: int, has_duration: bool) -> str:
        if text.lower() in _DURATION_WORDS:
            return text.lower()
        if has_duration:
            raise LexicalError(f"unexpected character: {quote_character(text[0])}, expected ':'", start)
        raise LexicalError(f"unexpected character in duration expression: {quote_character(text[0])}", start)

    def _unusual_in_brackets(self, position: int, has_duration: bool) -> int:
        character, following = self.query[position], self.query[position + 1 : position + 2]
        if character in DIGITS or (character == "." and following and following in DIGITS):
            return self._number(position)
        if not has_duration:
            raise LexicalError(f"unexpected character in duration expression: {quote_character(character)}", position)
        if character == "[":
            raise LexicalError("unexpected left bracket '['", position)
        found = _STATEMENT.match(self.query, position)
        if found is None or found.lastgroup != "sign":
            return self._unusual(position)
        self.tokens.add(found[0], found[0], position)
        return self._sign(found[0], found.end())

    def _unclosed(self, has_duration: bool) -> LexicalError:
        if not has_duration:
            return LexicalError("unexpected end of input in duration expression", len(self.query))
        if self.open_parentheses:
            return LexicalError("unclosed left parenthesis", len(self.query))
        return LexicalError("unclosed left bracket", len(self.query))
