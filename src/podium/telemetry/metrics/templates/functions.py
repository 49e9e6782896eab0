"""The functions that every template has: comparison, logic, index, slice, len, call, printing, escaping.

`and` and `or` evaluate their arguments one by one, so the evaluator knows them by name.

Source: Go's text/template/funcs.go for truth, order and words.
"""

import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from podium.telemetry.metrics.templates.errors import FunctionError
from podium.telemetry.metrics.templates.printf import sprint, sprintf, sprintln
from podium.telemetry.metrics.templates.quoting import is_printable
from podium.telemetry.metrics.templates.values import ANY, Function, function_of, kind, truth, type_name

BASIC = ("bool", "int", "float", "string")
_HTML = {0: "\ufffd", 34: "&#34;", 39: "&#39;", 38: "&amp;", 60: "&lt;", 62: "&gt;"}


def html_escape(text: str) -> str:
    return text.translate(_HTML)


_JS = {ord("\\"): "\\\\", ord("'"): "\\'", ord('"'): '\\"', 60: "\\u003C", 62: "\\u003E", 38: "\\u0026", 61: "\\u003D"}


def js_escape(text: str) -> str:
    return "".join(_JS.get(ord(c)) or (f"\\u{ord(c):04X}" if c < " " or not (c < "\x80" or is_printable(c)) else c) for c in text)


def equal(first: Any, *others: Any) -> bool:
    """Whether `first` equals any of the others. Raises FunctionError for kinds that cannot be compared."""
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(first: Any, other: Any) -> bool:
    one, two = kind(first), kind(other)
    if one != two:
        if first is None or other is None:
            return False
        raise FunctionError(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")
    if one in ("slice", "map", "func"):
        raise FunctionError(f"non-comparable type {sprintf('%s', (other,))}: {type_name(other)}")
    return bool(first == other)


def less(first: Any, other: Any) -> bool:
    one, two = kind(first), kind(other)
    if one not in BASIC or two not in BASIC:
        raise FunctionError("invalid type for comparison")
    if one != two:
        raise FunctionError(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")
    if one == "bool":
        raise FunctionError("invalid type for comparison")
    if one == "string":
        return bool(first.encode(errors="surrogateescape") < other.encode(errors="surrogateescape"))
    return bool(first < other)


def not_equal(first: Any, other: Any) -> bool:
    return not equal(first, other)


def less_or_equal(first: Any, other: Any) -> bool:
    return less(first, other) or equal(first, other)


def greater(first: Any, other: Any) -> bool:
    return not less_or_equal(first, other)


def greater_or_equal(first: Any, other: Any) -> bool:
    return not less(first, other)


def length(item: Any) -> int:
    match kind(item):
        case "slice" | "map":
            return len(item)
        case "string":
            return len(item.encode(errors="surrogateescape"))
        case "invalid":
            raise FunctionError("len of nil pointer")
    raise FunctionError(f"len of type {type_name(item)}")


def index(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise FunctionError("index of untyped nil")
    for key in indexes:
        match kind(item):
            case "slice":
                item = item[_position(key, len(item) - 1)]
            case "string":
                data = item.encode(errors="surrogateescape")
                item = data[_position(key, len(data) - 1)]
            case "map":
                if kind(key) != "string":
                    raise FunctionError(
                        "value is nil; should be of type string" if key is None else f"value has type {type_name(key)}; should be string"
                    )
                item = item.get(key, getattr(type(item), "template_missing", None))
            case "invalid":
                raise FunctionError("index of nil pointer")
            case _:
                raise FunctionError(f"can't index item of type {type_name(item)}")
    return item


def _position(key: Any, most: int) -> int:
    if key is None:
        raise FunctionError("cannot index slice/array with nil")
    if kind(key) != "int":
        raise FunctionError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= most:
        raise FunctionError(f"index out of range: {key}")
    return int(key)


def slice_of(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise FunctionError("slice of untyped nil")
    if len(indexes) > 3:
        raise FunctionError(f"too many slice indexes: {len(indexes)}")
    is_text = kind(item) == "string"
    if is_text and len(indexes) == 3:
        raise FunctionError("cannot 3-index slice a string")
    if not is_text and kind(item) != "slice":
        raise FunctionError(f"can't slice item of type {type_name(item)}")
    whole = item.encode(errors="surrogateescape") if is_text else item
    bounds = [0, len(whole), len(whole)]
    for i, key in enumerate(indexes):
        bounds[i] = _position(key, len(whole))
    if bounds[0] > bounds[1]:
        raise FunctionError(f"invalid slice index: {bounds[0]} > {bounds[1]}")
    if bounds[1] > bounds[2]:
        raise FunctionError(f"invalid slice index: {bounds[1]} > {bounds[2]}")
    part = whole[bounds[0] : bounds[1]]
    return part.decode(errors="surrogateescape") if is_text else part


def call(function: Any, *arguments: Any) -> Any:
    if function is None:
        raise FunctionError("call of nil")
    if kind(function) != "func":
        raise FunctionError(f"non-function of type {type_name(function)}")
    return function_of(function).call(*arguments)


def negate(value: Any) -> bool:
    return not truth(value)


def _joined(values: tuple[Any, ...]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else sprint(["<no value>" if v is None else v for v in values])


def html(*values: Any) -> str:
    return html_escape(_joined(values))


def js(*values: Any) -> str:
    return js_escape(_joined(values))


def urlquery(*values: Any) -> str:
    return quote_plus(_joined(values), safe="", errors="surrogateescape")


def printf(form: str, *values: Any) -> str:
    return sprintf(form, values)


def print_(*values: Any) -> str:
    return sprint(values)


def println(*values: Any) -> str:
    return sprintln(values)


def title(text: str) -> str:
    """Each word with one capital: golang.org/x/text/cases.Title, which lowers the rest."""
    parts: list[str] = []
    inside = False
    for character in text:
        is_word = character.isalnum() or (inside and (character in "'’_" or unicodedata.category(character) == "Mn"))
        parts.append(character.lower() if inside and is_word else character.title() if is_word else character)
        inside = is_word
    return "".join(parts)


_PAIR = (ANY, ANY)
_MANY = (ANY, ANY)
BUILTINS: dict[str, Function] = {
    "and": Function(lambda *_: None, _MANY, True),
    "or": Function(lambda *_: None, _MANY, True),
    "not": Function(negate, (ANY,)),
    "call": Function(call, _MANY, True),
    "eq": Function(equal, _MANY, True),
    "ne": Function(not_equal, _PAIR),
    "lt": Function(less, _PAIR),
    "le": Function(less_or_equal, _PAIR),
    "gt": Function(greater, _PAIR),
    "ge": Function(greater_or_equal, _PAIR),
    "len": Function(length, (ANY,)),
    "index": Function(index, _MANY, True),
    "slice": Function(slice_of, _MANY, True),
    "html": Function(html, (ANY,), True),
    "js": Function(js, (ANY,), True),
    "urlquery": Function(urlquery, (ANY,), True),
    "print": Function(print_, (ANY,), True),
    "printf": Function(printf, ("string", ANY), True),
    "println": Function(println, (ANY,), True),
}
Functions = dict[str, Callable[..., Any] | Function]
