"""Strings: searching, cutting, joining. `format` is in `text_format`, patterns in `patterns`.

Invariant: no result is longer than TEXT_CHARS_MAX.
Source: cel-spec (standard definitions); cel-go ext/strings.go.
"""

from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.text_format import format_text
from podium.objects.cel.types import BOOL, DYN, INT, STRING, list_of

TEXT_CHARS_MAX = 16 * 1024 * 1024

_LOWER = {ord(c): c.lower() for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_UPPER = {ord(c): c.upper() for c in "abcdefghijklmnopqrstuvwxyz"}
_BLANKS = " \t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_QUOTED = {
    ord("\a"): "\\a", ord("\b"): "\\b", ord("\f"): "\\f", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", ord("\v"): "\\v",
    ord("\\"): "\\\\", ord('"'): '\\"',
}  # fmt: skip


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelRuntimeError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not part:
        return start
    if not 0 <= start <= len(text):
        if start > len(text):
            return -1
        raise CelRuntimeError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if start is None:
        return text.rfind(part)
    if start < 0:
        raise CelRuntimeError(f"index out of range: {start}")
    if not part:
        return min(start, len(text))
    return text.rfind(part, 0, start + len(part)) if start < len(text) else -1


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old)
    if count >= 0:
        times = min(times, count)
    if len(text) + times * (len(new) - len(old)) > TEXT_CHARS_MAX:
        raise CelRuntimeError("result of replace is too long")
    return text.replace(old, new, count if count >= 0 else -1)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if count == 1:
        return [text]
    if not separator:
        if count < 0 or count >= len(text):
            return list(text)
        return [*text[: count - 1], text[count - 1 :]]
    return text.split(separator, count - 1 if count > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise CelRuntimeError(f"index out of range: {start}")
    if not 0 <= last <= len(text):
        raise CelRuntimeError(f"index out of range: {last}")
    if last < start:
        raise CelRuntimeError(f"invalid substring range. start: {start}, end: {last}")
    return text[start:last]


def _join(items: list[Any], separator: str = "") -> str:
    if not all(type(i) is str for i in items):
        raise CelRuntimeError("no such overload")
    if sum(map(len, items)) + len(separator) * len(items) > TEXT_CHARS_MAX:
        raise CelRuntimeError("result of join is too long")
    return separator.join(items)


def _quote(text: str) -> str:
    return '"' + text.translate(_QUOTED) + '"'


TEXTS = list_of(STRING)

OVERLOADS: list[Overload] = [
    member("contains", (STRING, STRING), BOOL, lambda s, t: t in s, costs.CONTAINED),
    member("startsWith", (STRING, STRING), BOOL, str.startswith, costs.PREFIX),
    member("endsWith", (STRING, STRING), BOOL, str.endswith, costs.PREFIX),
    member("charAt", (STRING, INT), STRING, _char_at),
    member("indexOf", (STRING, STRING), INT, _index_of, costs.TRAVERSAL),
    member("indexOf", (STRING, STRING, INT), INT, _index_of, costs.TRAVERSAL),
    member("lastIndexOf", (STRING, STRING), INT, _last_index_of, costs.TRAVERSAL),
    member("lastIndexOf", (STRING, STRING, INT), INT, _last_index_of, costs.TRAVERSAL),
    member("lowerAscii", (STRING,), STRING, lambda s: s.translate(_LOWER), costs.SAME),
    member("upperAscii", (STRING,), STRING, lambda s: s.translate(_UPPER), costs.SAME),
    member("replace", (STRING, STRING, STRING), STRING, _replace, costs.REPLACEMENT),
    member("replace", (STRING, STRING, STRING, INT), STRING, _replace, costs.REPLACEMENT),
    member("split", (STRING, STRING), TEXTS, _split, costs.SPLIT),
    member("split", (STRING, STRING, INT), TEXTS, _split, costs.SPLIT),
    member("substring", (STRING, INT), STRING, _substring, costs.SAME),
    member("substring", (STRING, INT, INT), STRING, _substring, costs.SAME),
    member("trim", (STRING,), STRING, lambda s: s.strip(_BLANKS), costs.SAME),
    member("reverse", (STRING,), STRING, lambda s: s[::-1], costs.SAME),
    member("join", (TEXTS,), STRING, _join, costs.JOINING),
    member("join", (TEXTS, STRING), STRING, _join, costs.JOINING),
    member("format", (STRING, list_of(DYN)), STRING, format_text, costs.FORMATTING),
    plain("strings.quote", (STRING,), STRING, _quote, costs.traversal(same_size=True, most_times=3)),
]
