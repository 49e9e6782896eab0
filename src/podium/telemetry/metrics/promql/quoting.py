"""Strings as Go writes and reads them: in error messages, in printed queries, and in the literals of PromQL.

Source: Go's strconv.Quote and strconv.Unquote, and the string literals of PromQL's documentation.
"""

import re

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_NAMED = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_ESCAPE = re.compile(r"\\(?:[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


def quote(text: str, mark: str = '"') -> str:
    """In double quotes (or another mark), with what cannot be printed escaped."""
    if _PLAIN.fullmatch(text) and mark == '"':
        return f'"{text}"'
    return mark + "".join(_escaped(c, mark) for c in text) + mark


def quote_character(character: str) -> str:
    """In single quotes, as error messages name a character."""
    return quote(character, "'")


def code_point(character: str) -> str:
    """`U+0063 'c'`, as error messages name a character of an escape sequence."""
    return f"U+{ord(character):04X}" + (f" '{character}'" if character.isprintable() else "")


def quote_start(text: str, length: int = 10) -> str:
    """The first characters, quoted, as error messages name a long token."""
    return f"{quote(text[:length])}..." if len(text) > length else quote(text)


def unquote(literal: str, *, keep_bytes: bool = False) -> str:
    """The text of a literal in double, single or back quotes, whose escapes are known to be well formed (the lexer checked).

    Escapes of bytes that are not UTF-8 together become U+FFFD, as they would in any JSON answer; `keep_bytes`: lone surrogates, as
    Python's surrogateescape has it, which `quote` writes as they were and `valid` replaces.
    """
    inner = literal[1:-1]
    if literal[0] == "`" or "\\" not in inner:
        return inner
    if not _has_bytes(inner):
        return _ESCAPE.sub(_unescape, inner)
    return _bytes(inner).decode("utf-8", "surrogateescape" if keep_bytes else "replace")


def valid(text: str) -> str:
    """With U+FFFD for bytes that are not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escaped(character: str, mark: str) -> str:
    if character == mark:
        return "\\" + mark
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() and character != "\ufffd":  # which no literal may hold unescaped
        return character
    code = ord(character)
    if 0xDC80 <= code < 0xDD00:
        return f"\\x{code - 0xDC00:02x}"  # a byte that is not UTF-8
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _has_bytes(inner: str) -> bool:
    return any(match[0][1] in "x01234567" for match in _ESCAPE.finditer(inner))


def _code(escape: str) -> int:
    kind = escape[1]
    if kind in "xuU":
        return int(escape[2:], 16)
    return int(escape[1:], 8) if kind.isdigit() else _NAMED[kind]


def _unescape(match: re.Match[str]) -> str:
    return chr(_code(match[0]))


def _bytes(inner: str) -> bytes:
    parts: list[bytes] = []
    end = 0
    for match in _ESCAPE.finditer(inner):
        parts.append(inner[end : match.start()].encode())
        escape = match[0]
        code = _code(escape)
        parts.append(bytes((code,)) if escape[1] in "x01234567" else chr(code).encode())
        end = match.end()
    parts.append(inner[end:].encode())
    return b"".join(parts)
