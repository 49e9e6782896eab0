"""Numbers, durations and strings character by character: where they end, and what is wrong with them. For what the lexer's patterns do not match.

Source: the literals of PromQL's documentation; error texts are upstream's.
"""

from podium.telemetry.metrics.promql.quoting import code_point

DIGITS = "0123456789"
_HEX_DIGITS = "0123456789abcdefABCDEF"
_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class LexicalError(Exception):
    """What stands at `start` is no token. Never leaves the lexer."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.message = message
        self.start = start


def scan_number(text: str, position: int) -> tuple[bool, int]:
    """(whether a number stands here, where looking stopped). What looks like one need not be one: `08` is, `0x` is for the parser to refuse."""
    start, digits = position, DIGITS
    if text.startswith("0", position):
        position += 1
        if position < len(text) and text[position] in "xX":
            position += 1
            digits = _HEX_DIGITS
            position += text.startswith("_", position)
    position += text.startswith(".", position) or 0
    dotted = exponent = False
    while position < len(text) and (text[position] in digits or text[position] in "._eE"):
        character = text[position]
        position += 1
        following = text[position : position + 1]
        if character == ".":
            if dotted or (following and following in "_.") or digits is _HEX_DIGITS:
                return False, position + (not dotted and bool(following) and following in "_.")
            dotted = True
        elif character in digits:
            continue
        elif character == "_":
            if not following or following in "._eE":
                return False, position + bool(following)
        else:
            if exponent:
                return False, position
            exponent = True
            position += bool(following) and following in "+-"
            following = text[position : position + 1]
            if not following or following in "._eE":
                return False, position + bool(following)
    following = text[position : position + 1]
    return position > start and following not in _ALPHANUMERIC, position


def scan_duration(text: str, position: int) -> tuple[bool, int]:
    """The rest of a duration whose first number ends at `position`: (whether it is one, where looking stopped)."""
    if text[position : position + 1] not in tuple("smhdwy"):
        return False, position
    position += 1
    position += text.startswith("s", position)
    while text[position : position + 1] in tuple(DIGITS):
        while text[position : position + 1] in tuple(DIGITS):
            position += 1
        if text[position : position + 1] not in tuple("smhdw"):
            return False, position
        position += 1
        position += text.startswith("s", position)
    if text[position : position + 1] in _ALPHANUMERIC:
        return False, position + 1
    return True, position


def scan_string(text: str, start: int) -> int:
    """Where the literal that begins at `start` ends."""
    mark, position = text[start], start + 1
    while position < len(text):
        character = text[position]
        position += 1
        if character == mark:
            return position
        if character == "\ufffd" or "\ud800" <= character <= "\udfff":
            raise LexicalError("invalid UTF-8 rune", start)
        if mark != "`" and character == "\n":
            break
        if mark != "`" and character == "\\":
            position = _scan_escape(text, position, mark, start)
    raise LexicalError("unterminated raw string" if mark == "`" else "unterminated quoted string", start)


def _scan_escape(text: str, position: int, mark: str, start: int) -> int:
    """Where the escape whose backslash stands before `position` ends."""
    kind = text[position : position + 1]
    if not kind:
        raise LexicalError("escape sequence not terminated", start)
    if kind in "abfnrtv\\" or kind == mark:
        return position + 1
    if kind in "01234567":
        count, base, largest = 3, 8, 255
    elif kind in "xuU":
        count, base, largest = {"x": 2, "u": 4, "U": 8}[kind], 16, 255 if kind == "x" else 0x10FFFF
        position += 1
    else:
        raise LexicalError(f"unknown escape sequence {code_point(kind)}", start)
    value = 0
    for _ in range(count):
        digit = text[position : position + 1]
        if not digit:
            raise LexicalError("escape sequence not terminated", start)
        if digit not in _HEX_DIGITS or int(digit, 16) >= base:
            raise LexicalError(f"illegal character {code_point(digit)} in escape sequence", start)
        value = value * base + int(digit, 16)
        position += 1
    if value > largest or 0xD800 <= value < 0xE000:
        raise LexicalError("escape sequence is an invalid Unicode code point", start)
    return position
