"""`format`: text with values put in, as `'%s has %d'.format([name, count])`.

Source: cel-go ext/formatting.go.
"""

import math
import re
from typing import Any

import orjson

from podium.objects.cel.conversions import text_of_double
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.values import kind_of, type_name

_CLAUSE = re.compile(r"%(?:%|(\.(\d+))?(.)|$)", re.DOTALL)
PRECISION_MAX = 1000
TEXT_CHARS_MAX = 1024 * 1024


def format_text(pattern: str, values: list[Any]) -> str:
    remaining = iter(values)

    def clause(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        verb = match[3]
        if verb is None:
            raise CelRuntimeError("could not parse formatting clause: unexpected end of string")
        try:
            value = next(remaining)
        except StopIteration:
            raise CelRuntimeError(f"index {len(values)} out of range") from None
        precision = int(match[2]) if match[2] and len(match[2]) < 5 else None
        if match[2] and (precision is None or precision > PRECISION_MAX):
            raise CelRuntimeError(f"could not parse formatting clause: precision is larger than {PRECISION_MAX}")
        return _clause(verb, value, precision)

    text = _CLAUSE.sub(clause, pattern)
    if next(remaining, _NOTHING) is not _NOTHING:
        raise CelRuntimeError(f"too many arguments supplied to string.format (expected {_clauses(pattern)}, got {len(values)})")
    return text


_NOTHING = object()


def _clauses(pattern: str) -> int:
    return sum(1 for m in _CLAUSE.finditer(pattern) if m[0] != "%%")


def _clause(verb: str, value: Any, precision: int | None) -> str:
    kind = kind_of(value)
    match verb:
        case "s":
            return show(value)
        case "d" if kind in ("int", "uint"):
            return str(int(value))
        case "d" if kind == "double" and (math.isnan(value) or math.isinf(value)):
            return show(value)
        case "f" | "e" if kind == "double" or value in _SPECIAL:
            return _fixed(float(value), verb, 6 if precision is None else precision)
        case "b" if kind in ("int", "uint", "bool"):
            return f"{int(value):b}"
        case "o" if kind in ("int", "uint"):
            return f"{int(value):o}"
        case "x" | "X" if kind in ("int", "uint", "string", "bytes"):
            text = f"{int(value):x}" if kind in ("int", "uint") else (value.encode() if kind == "string" else value).hex()
            return text.upper() if verb == "X" else text
    if verb not in "sdfebox" and verb != "X":
        raise CelRuntimeError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')
    raise CelRuntimeError(f"error during formatting: {_NEEDS[verb]}, was given {type_name(value)}")


_TEXT_NEEDS = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
_NEEDS = {
    "d": "decimal clause can only be used on integers",
    "f": "fixed-point clause can only be used on doubles",
    "e": "scientific clause can only be used on doubles",
    "b": "only integers and bools can be formatted as binary",
    "o": "octal clause can only be used on integers",
    "x": "only integers, byte buffers, and strings can be formatted as hex",
    "X": "only integers, byte buffers, and strings can be formatted as hex",
}


_SPECIAL = ("NaN", "Infinity", "-Infinity")
_SUPERSCRIPTS = str.maketrans("+-0123456789", "\u207a\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def _fixed(value: float, verb: str, precision: int) -> str:
    """As upstream's English printer: thousands are grouped, powers of ten are written as such (1.5 × 10⁰³ with narrow spaces)."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "\u221e" if value > 0 else "-\u221e"
    if verb == "f":
        return f"{value:,.{precision}f}"
    mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
    return f"{mantissa}\u202f\u00d7\u202f10{exponent.removeprefix('+').translate(_SUPERSCRIPTS)}"


def show(value: Any) -> str:
    """As `%s` writes it, and messages."""
    text = _show(value)
    if len(text) > TEXT_CHARS_MAX:
        raise CelRuntimeError("result of format is too long")
    return text


def _show(value: Any) -> str:
    match kind_of(value):
        case "string":
            return str(value)
        case "bool":
            return "true" if value else "false"
        case "null":
            return "null"
        case "double":
            return text_of_double(value)
        case "bytes":
            return bytes(value).decode(errors="replace")
        case "list":
            return "[" + ", ".join(map(_inside, value)) + "]"
        case "map":
            return "{" + ", ".join(sorted(f"{_inside(k)}:{_inside(v)}" for k, v in value.items())) + "}"
        case "opaque" | "optional_type":
            raise CelRuntimeError(f"error during formatting: {_TEXT_NEEDS}, was given {type_name(value)}")
    return str(value)


def _inside(value: Any) -> str:
    """In a list or a map: as a literal of the language."""
    match kind_of(value):
        case "string":
            return _quoted(value)
        case "bytes":
            return "b" + _quoted(_show(value))
        case "double":
            return f"{value:.6f}" if math.isfinite(value) else _quoted(text_of_double(value))
        case "timestamp":
            return f'timestamp("{value}")'
        case "duration":
            return f'duration("{value}")'
    return _show(value)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
