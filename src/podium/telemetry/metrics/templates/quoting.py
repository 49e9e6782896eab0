"""Go's quoted strings: strconv.Quote and strconv.Unquote. Source: the Go language's section on string literals."""

import re

_SHORT = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\"}
_LONG = {value[1]: chr(key) for key, value in _SHORT.items()} | {'"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|\\|[^\\]+")


def quote(text: str, delimiter: str = '"', *, ascii_only: bool = False) -> str:
    """A Go string literal. Lone surrogates of `surrogateescape` are the bytes they stand for."""
    return delimiter + "".join(quoted_character(c, delimiter, ascii_only=ascii_only) for c in text) + delimiter


def quoted_character(character: str, delimiter: str, *, ascii_only: bool = False) -> str:
    code = ord(character)
    if character == delimiter:
        return "\\" + character
    if code in _SHORT:
        return _SHORT[code]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if (code < 128 or not ascii_only) and is_printable(character):
        return character
    if code < 32 or code == 127:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_printable(character: str) -> bool:
    """unicode.IsPrint: of all spaces only the ASCII one."""
    return character == " " or (character.isprintable() and not character.isspace())


def unquote(literal: str) -> str:
    """The text of a literal in double quotes, backquotes or, for one character, single quotes. Raises ValueError."""
    if len(literal) < 2 or literal[0] != literal[-1] or literal[0] not in "\"`'":
        raise ValueError("invalid syntax")
    inner, delimiter = literal[1:-1], literal[0]
    if delimiter == "`":
        return inner.replace("\r", "")
    if "\\" in inner:
        inner = _unescaped(inner, delimiter)
    elif delimiter in inner or "\n" in inner:
        raise ValueError("invalid syntax")
    if delimiter == "'" and len(inner) != 1:
        raise ValueError("invalid syntax")
    return inner


def _unescaped(inner: str, delimiter: str) -> str:
    parts: list[bytes] = []
    other = "'" if delimiter == '"' else '"'
    for match in _ESCAPE.finditer(inner):
        short, hexadecimal, octal, *wide = match.groups()
        if match[0] == "\\" or short == other:
            raise ValueError("invalid syntax")
        if short is not None:
            parts.append(_LONG[short].encode())
        elif hexadecimal or octal:
            value = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
            if value > 255:
                raise ValueError("invalid syntax")
            parts.append(bytes([value]) if delimiter == '"' else chr(value).encode())
        elif wide[0] or wide[1]:
            parts.append(_scalar(int(wide[0] or wide[1], 16)))
        elif delimiter in match[0] or "\n" in match[0]:
            raise ValueError("invalid syntax")
        else:
            parts.append(match[0].encode(errors="surrogateescape"))
    return b"".join(parts).decode(errors="surrogateescape")


def _scalar(code: int) -> bytes:
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError("invalid syntax")
    return chr(code).encode()
