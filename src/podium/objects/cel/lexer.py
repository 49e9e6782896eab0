"""Lexer: the tokens of an expression.

Source: cel-spec, "Syntax".
"""

import re
from dataclasses import dataclass
from typing import Any

from podium.objects.cel.values import INT_MAX, UINT_MAX, Uint

SOURCE_CHARS_MAX = 100_000
"""cel-go's limit of an expression."""

_TOKEN = re.compile(
    r"""(?P<blank>[\t\n\f\r ]+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"|'''|"|'))
    |(?P<number>0x[0-9a-fA-F]+[uU]?|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[uU]?)
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var",
    "void", "while",
})  # fmt: skip
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "'": "'", "\\": "\\", "?": "?", "`": "`",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: name, symbol, literal or end. `text` as written; `value` of a literal."""

    kind: str
    text: str
    at: int
    value: Any = None


class SyntaxFault(Exception):
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


def tokens(source: str) -> list[Token]:
    """The last token is of kind end. Raises SyntaxFault."""
    found: list[Token] = []
    position, end = 0, len(source)
    if end > SOURCE_CHARS_MAX:
        raise SyntaxFault(0, f"expression code point size exceeds limit: size: {end}, limit {SOURCE_CHARS_MAX}")
    while position < end:
        match = _TOKEN.match(source, position)
        if match is None:
            raise SyntaxFault(position, f"Syntax error: token recognition error at: '{source[position]}'")
        at, position = position, match.end()
        kind, text = match.lastgroup, match[0]
        if kind == "blank":
            continue
        if kind == "string":
            value, position = _string(source, at, text)
            found.append(Token("literal", source[at:position], at, value))
        elif kind == "number":
            found.append(Token("literal", text, at, _number(text, at, _follows_minus(found))))
        else:
            assert kind is not None
            found.append(Token(kind, text, at))
    found.append(Token("end", "<EOF>", end))
    return found


def _follows_minus(found: list[Token]) -> bool:
    """-9223372036854775808 is written as a minus and a number that alone is too large."""
    return bool(found) and found[-1].text == "-"


def _number(text: str, at: int, negative: bool) -> Any:
    unsigned = text[-1] in "uU"
    digits = text[:-1] if unsigned else text
    if digits.startswith("0x"):
        value = int(digits, 16)
    elif not digits.isdecimal():
        return float(digits)
    else:
        value = int(digits) if len(digits) < 40 else UINT_MAX + 1
    if unsigned:
        if value > UINT_MAX:
            raise SyntaxFault(at, "invalid uint literal")
        return Uint(value)
    if value > INT_MAX + negative:
        raise SyntaxFault(at, "invalid int literal")
    return value


def _string(source: str, at: int, opening: str) -> tuple[str | bytes, int]:
    """The value and the offset behind the closing quotes."""
    prefix = opening.rstrip("\"'").lower()
    quotes = opening[len(prefix) :]
    raw = "r" in prefix
    position = at + len(opening)
    end = _closing(source, at, position, quotes, raw)
    body = source[position:end]
    is_bytes = "b" in prefix
    if not raw and "\\" in body:
        body = _unescaped_bytes(body, position) if is_bytes else _ESCAPE.sub(lambda m: _unescape(m[1], position + m.start()), body)  # type: ignore[assignment]
    value: str | bytes = body.encode() if is_bytes and isinstance(body, str) else body
    return value, end + len(quotes)


def _closing(source: str, at: int, position: int, quotes: str, raw: bool) -> int:
    while True:
        end = source.find(quotes, position)
        if end < 0 or (len(quotes) == 1 and "\n" in source[at:end]):
            raise SyntaxFault(at, f"Syntax error: token recognition error at: '{source[at:].splitlines()[0]}'")
        if raw:
            return end
        slashes = 0
        while end - slashes - 1 >= position and source[end - slashes - 1] == "\\":
            slashes += 1
        if slashes % 2 == 0:
            return end
        position = end + 1


def _unescape(code: str, at: int) -> str:
    if len(code) == 1:
        if code not in _ESCAPES:
            raise SyntaxFault(at, "unable to unescape string")
        return _ESCAPES[code]
    point = int(code[1:], 16) if code[0] in "xXuU" else int(code, 8)
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        raise SyntaxFault(at, "invalid unicode code point")
    return chr(point)


def _unescaped_bytes(body: str, at: int) -> bytes:
    parts: list[bytes] = []
    position = 0
    for match in _ESCAPE.finditer(body):
        parts.append(body[position : match.start()].encode())
        code = match[1]
        if code[0] in "uU":
            raise SyntaxFault(at + match.start(), "unable to unescape bytes")
        text = _unescape(code, at + match.start())
        parts.append(bytes([ord(text)]) if len(code) > 1 else text.encode())
        position = match.end()
    parts.append(body[position:].encode())
    return b"".join(parts)
