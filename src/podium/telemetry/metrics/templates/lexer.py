"""Text to tokens. Between actions there is text; within `{{` and `}}` words, literals and signs; comments leave nothing.

`{{- ` and ` -}}` trim the white space of the neighbouring text; that is done here, so the parser never sees it.
The last token is EOF or ERROR (whose `value` is the message); `position` is an index into the text, `line` counts from 1.

Source: Go's text/template/parse (lexer's states and words).
"""

import re
from dataclasses import dataclass
from typing import Final

from podium.telemetry.metrics.templates.quoting import quote

ERROR: Final = "error"
EOF: Final = "EOF"
TEXT: Final = "text"
LEFT: Final = "{{"
RIGHT: Final = "}}"
SPACE: Final = "space"
KEYWORD: Final = "keyword"
IDENTIFIER: Final = "identifier"
FIELD: Final = "field"
VARIABLE: Final = "variable"
NUMBER: Final = "number"
STRING: Final = "string"
CHARACTER: Final = "character"
BOOL: Final = "bool"
ASSIGN: Final = "="
DECLARE: Final = ":="
PIPE: Final = "|"
OPEN: Final = "("
CLOSE: Final = ")"
SIGN: Final = "sign"

KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"})
_SPACES = " \t\r\n"
_RIGHT_TRIM = re.compile(r"[ \t\r\n]-\}\}")
_WORD = re.compile(r"[^\W]+")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)"
)
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_RAW = re.compile(r"`[^`]*`")
_SIMPLE = {"=": ASSIGN, "|": PIPE}


@dataclass(frozen=True, slots=True)
class Token:
    type: str
    position: int
    value: str
    line: int

    def __str__(self) -> str:
        if self.type in (EOF, ERROR):
            return self.value
        if self.type == KEYWORD or self.value == ".":
            return f"<{self.value}>"
        return quote(self.value[:10]) + "..." if len(self.value.encode(errors="replace")) > 10 else quote(self.value)


class _Failed(Exception):
    pass


class Lexer:
    def __init__(self, text: str, functions: frozenset[str] = frozenset()) -> None:
        """`functions` that are called break or continue take these words for themselves."""
        self._text = text
        self._position = self._start = 0
        self._line = 1
        self._depth = 0
        self._tokens: list[Token] = []
        self._keywords = KEYWORDS - functions.intersection({"break", "continue"})

    def tokens(self) -> list[Token]:
        try:
            while self._text_then_action():
                pass
            self._tokens.append(Token(EOF, self._position, "EOF", self._line))
        except _Failed as failure:
            self._tokens.append(Token(ERROR, self._start, str(failure), self._line))
        return self._tokens

    def _emit(self, kind: str, end: int) -> None:
        value = self._text[self._position : end]
        self._tokens.append(Token(kind, self._position, value, self._line))
        self._move(end)

    def _move(self, end: int) -> None:
        self._line += self._text.count("\n", self._position, end)
        self._position = self._start = end

    def _text_then_action(self) -> bool:
        """False at the end of the text."""
        text, start = self._text, self._position
        found = text.find("{{", start)
        if found < 0:
            if start < len(text):
                self._emit(TEXT, len(text))
            return False
        trims = found + 3 < len(text) and text[found + 2] == "-" and text[found + 3] in _SPACES
        end = start + len(text[start:found].rstrip(_SPACES)) if trims else found
        if end > start:
            self._emit(TEXT, end)
        self._move(found)
        inside = found + 4 if trims else found + 2
        if text.startswith("/*", inside):
            self._comment(inside)
        else:
            self._tokens.append(Token(LEFT, found, "{{", self._line))
            self._move(inside)
            self._depth = 0
            while self._inside():
                pass
        return True

    def _comment(self, inside: int) -> None:
        self._move(inside)
        end = self._text.find("*/", inside + 2)
        if end < 0:
            raise _Failed("unclosed comment")
        if not self._at_right(end + 2):
            raise _Failed("comment ends before closing delimiter")
        self._move(end + 2)
        self._right(emit=False)

    def _at_right(self, position: int) -> bool:
        return self._text.startswith("}}", position) or _RIGHT_TRIM.match(self._text, position) is not None

    def _right(self, *, emit: bool = True) -> None:
        text = self._text
        trims = not text.startswith("}}", self._position)
        if trims:
            self._move(self._position + 2)
        if emit:
            self._emit(RIGHT, self._position + 2)
        else:
            self._move(self._position + 2)
        if trims:
            rest = text[self._position :]
            self._move(self._position + len(rest) - len(rest.lstrip(_SPACES)))

    def _inside(self) -> bool:
        """One token within an action; False when it was the right delimiter."""
        text, at = self._text, self._position
        if self._at_right(at):
            if self._depth:
                raise _Failed("unclosed left paren")
            self._right()
            return False
        if at >= len(text):
            raise _Failed("unclosed action")
        character = text[at]
        if character in _SPACES:
            end = at + 1
            while end < len(text) and text[end] in _SPACES and not _RIGHT_TRIM.match(text, end):
                end += 1
            self._emit(SPACE, end)
        elif character in _SIMPLE:
            self._emit(_SIMPLE[character], at + 1)
        elif character == ":":
            if not text.startswith("=", at + 1):
                raise _Failed("expected :=")
            self._emit(DECLARE, at + 2)
        elif character in "\"`'":
            self._quoted(character)
        elif character == "$" or (character == "." and not text[at + 1 : at + 2].isdecimal()):
            self._name(at + 1, VARIABLE if character == "$" else FIELD)
        elif character in ".+-" or ("0" <= character <= "9"):
            self._number()
        elif _WORD.match(character):
            self._name(at, IDENTIFIER)
        else:
            self._sign(character)
        return True

    def _sign(self, character: str) -> None:
        at = self._position
        if character == "(":
            self._depth += 1
            self._emit(OPEN, at + 1)
        elif character == ")":
            self._depth -= 1
            if self._depth < 0:
                raise _Failed("unexpected right paren")
            self._emit(CLOSE, at + 1)
        elif " " <= character <= "~":
            self._emit(SIGN, at + 1)
        else:
            raise _Failed(f"unrecognized character in action: {described(character)}")

    def _quoted(self, character: str) -> None:
        pattern, kind, name = {
            '"': (_STRING, STRING, "quoted string"),
            "`": (_RAW, STRING, "raw quoted string"),
            "'": (_CHARACTER, CHARACTER, "character constant"),
        }[character]
        match = pattern.match(self._text, self._position)
        if match is None:
            raise _Failed(f"unterminated {name}")
        self._emit(kind, match.end())

    def _name(self, start: int, kind: str) -> None:
        match = _WORD.match(self._text, start)
        end = match.end() if match else start
        following = self._text[end : end + 1]
        if following and following not in " \t\r\n.,|:()" and not self._text.startswith("}}", end):
            raise _Failed(f"bad character {described(following)}")
        word = self._text[self._position : end]
        if kind == IDENTIFIER:
            kind = KEYWORD if word in self._keywords else BOOL if word in ("true", "false") else IDENTIFIER
        self._emit(kind, end)

    def _number(self) -> None:
        text, at = self._text, self._position
        match = _NUMBER.match(text, at)
        end = match.end() if match else at + 1
        if text.startswith("i", end):
            raise _Failed(f"complex numbers are not supported: {quote(text[at : end + 1])}")
        if _WORD.match(text, end):
            raise _Failed(f"bad number syntax: {quote(text[at : end + 1])}")
        if text[end : end + 1] in ("+", "-"):
            second = _NUMBER.match(text, end)
            raise _Failed(f"bad number syntax: {quote(text[at : second.end() if second else end])}")
        self._emit(NUMBER, end)


def described(character: str) -> str:
    """Go's %#U: `U+0040 '@'`."""
    return f"U+{ord(character):04X}" + (f" '{character}'" if character.isprintable() else "")
