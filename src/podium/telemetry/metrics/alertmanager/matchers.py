"""Matchers: conditions on labels, in routes, inhibition rules, silences and filters of the API. And how they are written.

Two notations, as upstream has them: the UTF-8 one (`"überwachung"="ja"`, names and values quoted or free of signs) and the classic one
(only ASCII names, almost anything as a value). `parse_matchers` tries both: what only one of them understands is taken from that one, and
where they disagree the classic one has it.

Regular expressions are RE2's, anchored at both ends. Source: upstream's matcher/parse, pkg/labels and matcher/compat packages.
"""

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.metrics.alertmanager.errors import BadMatcher
from podium.telemetry.metrics.templates.quoting import quote, unquote

INPUT_CHARS_MAX = 64 * 1024


class MatchType(enum.Enum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEXP = "=~"
    NOT_REGEXP = "!~"


_ORDER = {MatchType.EQUAL: 0, MatchType.NOT_EQUAL: 1, MatchType.REGEXP: 2, MatchType.NOT_REGEXP: 3}
_RESERVED = "{}!=~,\\\"'`"


def compile_regexp(text: str) -> Any:
    """An RE2 pattern for fullmatch. Raises BadMatcher with RE2's words."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except UnicodeEncodeError as error:
        raise BadMatcher("error parsing regexp: invalid UTF-8") from error
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise BadMatcher(f"error parsing regexp: {said.decode() if isinstance(said, bytes) else said}") from error


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition; a label that is not there has the value ''."""

    type: MatchType
    name: str
    value: str
    _compiled: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Raises BadMatcher for a bad regular expression."""
        if self.is_regex:
            object.__setattr__(self, "_compiled", compile_regexp(self.value))

    @classmethod
    def of(cls, name: str, value: str, *, is_equal: bool = True, is_regex: bool = False) -> "Matcher":
        kind = (
            (MatchType.REGEXP if is_equal else MatchType.NOT_REGEXP) if is_regex else MatchType.EQUAL if is_equal else MatchType.NOT_EQUAL
        )
        return cls(kind, name, value)

    @property
    def is_regex(self) -> bool:
        return self.type in (MatchType.REGEXP, MatchType.NOT_REGEXP)

    @property
    def is_equal(self) -> bool:
        return self.type in (MatchType.EQUAL, MatchType.REGEXP)

    def matches(self, value: str) -> bool:
        if not self.is_regex:
            return (value == self.value) is self.is_equal
        return (self._compiled.fullmatch(value) is not None) is self.is_equal

    def __str__(self) -> str:
        if any(c.isspace() or c in _RESERVED for c in self.name):
            return f"{quote(self.name)}{self.type.value}{quote(self.value)}"
        escaped = self.value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return f'{self.name}{self.type.value}"{escaped}"'


Matchers = tuple[Matcher, ...]


def sorted_matchers(matchers: Iterable[Matcher]) -> Matchers:
    return tuple(sorted(matchers, key=lambda m: (m.name, m.value, _ORDER[m.type])))


def match_all(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    return all(m.matches(labels.get(m.name, "")) for m in matchers)


def matchers_text(matchers: Sequence[Matcher]) -> str:
    return "{" + ",".join(map(str, matchers)) + "}"


def parse_matchers(text: str) -> Matchers:
    """Any number of them, with or without braces. Raises BadMatcher."""
    if len(text) > INPUT_CHARS_MAX:
        raise BadMatcher(f"longer than {INPUT_CHARS_MAX} characters")
    try:
        modern = _Modern(text).parse()
    except BadMatcher:
        return parse_classic(text)
    try:
        classic = parse_classic(text)
    except BadMatcher:
        return modern
    return classic


def parse_matcher(text: str) -> Matcher:
    """Exactly one, without braces. Raises BadMatcher."""
    if text.startswith("{") or text.endswith("}"):
        raise BadMatcher(f"unexpected open or close brace: {text}")
    try:
        found = _Modern(text).parse()
        if len(found) != 1:
            raise BadMatcher(f"expected 1 matcher, found {len(found)}" if found else "no matchers")
    except BadMatcher:
        return _classic_matcher(text)
    try:
        return _classic_matcher(text)
    except BadMatcher:
        return found[0]


# The classic notation

_CLASSIC = re.compile(r"^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|=|!=|!~)\s*((?s:.*?))\s*$")
_PIECE = re.compile(r"\\(.)|(\\)|(\")|([^\\\"]+)", re.DOTALL)


def parse_classic(text: str) -> Matchers:
    text = text.removeprefix("{").removesuffix("}")
    tokens: list[str] = []
    token, is_quoted, is_escaped = "", False, False
    for character in text:
        if character == "," and not is_quoted:
            tokens.append(token)
            token = ""
            continue
        if character == '"' and not is_escaped:
            is_quoted = not is_quoted
        is_escaped = character == "\\" and not is_escaped
        token += character
    if token.strip():
        tokens.append(token.strip())
    return tuple(_classic_matcher(t) for t in tokens)


def _classic_matcher(text: str) -> Matcher:
    match = _CLASSIC.match(text)
    if match is None:
        raise BadMatcher(f"bad matcher format: {text}")
    raw = match[3]
    is_quoted = raw.startswith('"')
    inner = raw[1:] if is_quoted else raw
    parts: list[str] = []
    closed = not is_quoted
    for piece in _PIECE.finditer(inner):
        escaped, backslash, mark, plain = piece.groups()
        if mark:
            if not is_quoted or piece.end() != len(inner):
                raise BadMatcher(f"matcher value contains unescaped double quote: {raw}")
            closed = True
        elif escaped is not None:
            parts.append({"n": "\n", '"': '"', "\\": "\\"}.get(escaped, "\\" + escaped))
        else:
            parts.append(backslash or plain)
    if not closed:
        raise BadMatcher(f"matcher value contains unescaped double quote: {raw}")
    return Matcher(MatchType(match[2]), match[1], "".join(parts))


# The UTF-8 notation

_TOKEN = re.compile(r'\s*(?:([{},])|(=~|!=|!~|=)|("(?:[^"\\]|\\.)*")|([^\s{}!=~,\\"\'`]+))', re.DOTALL)


class _Modern:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> Matchers:
        found: list[Matcher] = []
        has_brace = self._take("{")
        while not self._ended() and self._peek()[0] != "}":
            found.append(self._matcher())
            if self._ended() or self._peek()[0] == "}":
                break
            if not self._take(","):
                raise self._error(f"unexpected {self._peek()[0]}: expected a comma or close brace")
        if has_brace != self._take("}"):
            raise self._error("end of input: expected close brace" if has_brace else "}: expected opening brace")
        if not self._ended():
            raise self._error(f"{self._peek()[0]}: expected end of input")
        return tuple(found)

    def _matcher(self) -> Matcher:
        name = self._word("label name")
        if self._ended():
            raise self._error("end of input: expected an operator such as '=', '!=', '=~' or '!~'")
        operator = self._peek()[0]
        if operator not in ("=", "!=", "=~", "!~"):
            raise self._error(f"unexpected {operator}: expected an operator such as '=', '!=', '=~' or '!~'")
        self._at = self._peek()[1]
        return Matcher(MatchType(operator), name, self._word("label value"))

    def _word(self, what: str) -> str:
        if self._ended():
            raise self._error(f"end of input: expected {what}")
        token, end, is_word = self._peek()
        if not is_word:
            raise self._error(f"unexpected {token}: expected {what}")
        self._at = end
        try:
            return unquote(token) if token.startswith('"') else token
        except ValueError:
            raise self._error(f"{token}: invalid input") from None

    def _ended(self) -> bool:
        return not self._text[self._at :].strip()

    def _peek(self) -> tuple[str, int, bool]:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise self._error(f"{self._text[self._at :].strip()[:20]}: invalid input")
        sign, operator, quoted, plain = match.groups()
        return sign or operator or quoted or plain, match.end(), bool(quoted or plain)

    def _take(self, sign: str) -> bool:
        if self._ended() or self._peek()[0] != sign:
            return False
        self._at = self._peek()[1]
        return True

    def _error(self, message: str) -> BadMatcher:
        return BadMatcher(f"0:{self._at}: {message}")
