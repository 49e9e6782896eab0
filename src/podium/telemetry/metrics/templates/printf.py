"""Go's fmt: Sprint, Sprintln, Sprintf with its verbs, flags, widths and the way it complains (`%!d(string=hi)`).

Bounds: WIDTH_MAX for widths and precisions (Go's own limit is a million), OUTPUT_CHARS_MAX for a result.

Source: the documentation of Go's package fmt.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podium.telemetry.metrics.templates.errors import FunctionError
from podium.telemetry.metrics.templates.numbers import format_float
from podium.telemetry.metrics.templates.quoting import quote
from podium.telemetry.metrics.templates.values import exposes, fields_of, kind, sorted_items, string_of, type_name

WIDTH_MAX = 10_000
OUTPUT_CHARS_MAX = 4 * 1024 * 1024
NESTING_MAX = 50

_DIRECTIVE = re.compile(r"%([-+# 0]*)((?:\[\d+\])?\*|\d+)?(?:\.((?:\[\d+\])?\*|\d+)?)?(\[\d+\])?(.)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Format:
    verb: str
    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None

    def pad(self, text: str, *, zero: bool = False) -> str:
        width = self.width or 0
        if self.minus:
            return text.ljust(width)
        if not zero or not self.zero:
            return text.rjust(width)
        sign = text[:1] if text[:1] in ("+", "-") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")


def sprint(values: Sequence[Any]) -> str:
    """Spaces between two values neither of which is a string."""
    parts: list[str] = []
    for i, value in enumerate(values):
        if i and kind(value) != "string" and kind(values[i - 1]) != "string":
            parts.append(" ")
        parts.append(show(value))
    return "".join(parts)


def sprintln(values: Sequence[Any]) -> str:
    return " ".join(show(value) for value in values) + "\n"


def show(value: Any) -> str:
    """%v."""
    return str(value) if isinstance(value, str) else _write(value, _Format("v"), 0)


def sprintf(text: str, values: Sequence[Any]) -> str:
    return _Printing(text, values).run()


class _Printing:
    def __init__(self, text: str, values: Sequence[Any]) -> None:
        self._text, self._values = text, values
        self._next = 0
        self._reordered = False

    def run(self) -> str:
        parts: list[str] = []
        end = size = 0
        for match in _DIRECTIVE.finditer(self._text):
            parts.append(self._text[end : match.start()])
            end = match.end()
            parts.append(self._directive(match))
            size += len(parts[-1])
            if size > OUTPUT_CHARS_MAX:
                raise FunctionError(f"the result is longer than {OUTPUT_CHARS_MAX} characters")
        parts.append(self._text[end:])
        if not self._reordered and self._next < len(self._values):
            extra = ", ".join("<nil>" if v is None else f"{type_name(v)}={show(v)}" for v in self._values[self._next :])
            parts.append(f"%!(EXTRA {extra})")
        return "".join(parts)

    def _directive(self, match: re.Match[str]) -> str:
        flags, width, precision, index, verb = match.groups()
        complaint = ""
        number = self._number(width) if width else None
        if width and number is None:
            complaint += "%!(BADWIDTH)"
        minus = "-" in flags
        if number is not None and number < 0:
            number, minus = -number, True
        digits: int | None = None
        if "." in match[0][: len(match[0]) - 1] and re.search(r"\.(?:\[\d+\]\*|\*|\d*)(?:\[\d+\])?.?$", match[0], re.DOTALL):
            digits = self._number(precision) if precision else 0
            if digits is None or digits < 0:
                complaint, digits = complaint + "%!(BADPREC)", None
        if not verb:
            return complaint + "%!(NOVERB)"
        if verb == "%":
            return complaint + "%"
        if index is not None and not self._seek(int(index[1:-1]) - 1):
            return f"{complaint}%!{verb}(BADINDEX)"
        if self._next >= len(self._values):
            return f"{complaint}%!{verb}(MISSING)"
        value = self._values[self._next]
        self._next += 1
        form = _Format(verb, "+" in flags, minus, "#" in flags, " " in flags, "0" in flags and not minus, number, digits)
        return complaint + _write(value, form, 0)

    def _seek(self, index: int) -> bool:
        self._reordered = True
        if not 0 <= index < len(self._values):
            return False
        self._next = index
        return True

    def _number(self, text: str) -> int | None:
        if text.endswith("*"):
            if text.startswith("[") and not self._seek(int(text[1:-2]) - 1):
                return None
            if self._next >= len(self._values):
                return None
            value = self._values[self._next]
            self._next += 1
            return value if kind(value) == "int" and abs(value) <= WIDTH_MAX else None
        return int(text) if len(text) < 8 and int(text) <= WIDTH_MAX else None


def _write(value: Any, form: _Format, depth: int) -> str:
    if depth > NESTING_MAX:
        raise FunctionError(f"values are nested deeper than {NESTING_MAX}")
    if form.verb == "T":
        return form.pad(type_name(value))
    if value is None:
        if depth:
            return "<nil>"
        return form.pad("<nil>") if form.verb == "v" else f"%!{form.verb}(<nil>)"
    if form.verb in "vsxXq" and not form.sharp and (text := string_of(value)) is not None:
        return _text(text, form)
    writer = _WRITERS.get(kind(value))
    if writer is not None:
        return writer(value, form)
    return _composite(value, form, depth)


def _bad(value: Any, form: _Format) -> str:
    return f"%!{form.verb}({type_name(value)}={_write(value, replace(form, verb='v'), 0)})"


def _bool(value: bool, form: _Format) -> str:
    return form.pad("true" if value else "false") if form.verb in "tv" else _bad(value, form)


_BASES: dict[str, tuple[str, str]] = {"d": ("d", ""), "v": ("d", ""), "b": ("b", "0b"), "o": ("o", "0"), "x": ("x", "0x"), "X": ("X", "0X")}


def _int(value: int, form: _Format) -> str:
    if form.verb == "c":
        return form.pad(chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd")
    if form.verb == "q":
        return form.pad(
            quote(chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd", "'", ascii_only=form.plus)
        )
    if form.verb == "U":
        return form.pad(f"U+{value:04X}" + (f" '{chr(value)}'" if form.sharp and 0 <= value <= 0x10FFFF else ""))
    if form.verb == "O":
        return form.pad(f"{'-' if value < 0 else ''}0o{abs(value):o}", zero=True)
    if form.verb not in _BASES:
        return _bad(value, form)
    code, prefix = _BASES[form.verb]
    digits = format(abs(value), code)
    if form.precision is not None:
        digits = "" if form.precision == 0 and value == 0 else digits.rjust(form.precision, "0")
    sign = "-" if value < 0 else "+" if form.plus and form.verb != "v" else " " if form.space else ""
    sign += prefix if form.sharp and form.verb != "v" else ""
    if form.zero and form.precision is None and form.width:
        return sign + digits.rjust(form.width - len(sign), "0")
    return form.pad(sign + digits)


def _float(value: float, form: _Format) -> str:
    if form.verb not in "veEfFgG":
        return _bad(value, form)
    if form.verb == "v":
        text = format_float(value, "g", -1 if form.precision is None else form.precision)
    else:
        default = -1 if form.verb in "gG" else 6
        text = format_float(value, form.verb, default if form.precision is None else form.precision)
    if text[0] not in "+-":
        text = ("+" if form.plus and form.verb != "v" else " " if form.space else "") + text
    return form.pad(text, zero=value == value and abs(value) != float("inf"))


def _text(value: str, form: _Format) -> str:
    if form.verb in "vs" and not (form.sharp and form.verb == "v"):
        cut = value if form.precision is None else value[: form.precision]
        return form.pad(cut, zero=True)
    if form.verb == "q" or form.verb == "v":
        cut = value if form.precision is None else value[: form.precision]
        if form.sharp and form.verb == "q" and "`" not in cut and cut.isprintable():
            return form.pad(f"`{cut}`")
        return form.pad(quote(cut, ascii_only=form.plus and form.verb == "q"))
    if form.verb in "xX":
        data = value.encode(errors="surrogateescape")[: form.precision]
        prefix = f"0{form.verb}" if form.sharp else ""
        digits = data.hex(" ") if form.space else data.hex()
        digits = digits.upper() if form.verb == "X" else digits
        return form.pad(" ".join(prefix + d for d in digits.split(" ")) if form.space else prefix + digits if data else "")
    return _bad(value, form)


def _function(value: Any, form: _Format) -> str:
    return _bad_pointer(form)


def _bad_pointer(form: _Format) -> str:
    return "0x0" if form.verb in "pv" else f"%!{form.verb}(func())"


_WRITERS: dict[str, Callable[[Any, _Format], str]] = {"bool": _bool, "int": _int, "float": _float, "string": _text, "func": _function}


def _composite(value: Any, form: _Format, depth: int) -> str:
    """Each element with the same verb and flags."""
    go = form.sharp and form.verb == "v"
    inner = replace(form, sharp=True) if go else form

    def each(item: Any) -> str:
        if go and item is None:
            return "interface {}(nil)"
        return _write(item, inner, depth + 1)

    match kind(value):
        case "slice":
            items = [each(item) for item in value]
            return f"{type_name(value)}{{{', '.join(items)}}}" if go else f"[{' '.join(items)}]"
        case "map":
            items = [f"{each(key)}:{each(item)}" for key, item in sorted_items(value)]
            return f"{type_name(value)}{{{', '.join(items)}}}" if go else f"map[{' '.join(items)}]"
    if not exposes(value):
        return f"%!{form.verb}({type_name(value)})"
    fields = fields_of(value)
    if go:
        return f"{type_name(value)}{{{', '.join(f'{name}:{each(field)}' for name, field in fields)}}}"
    return "{" + " ".join(f"{name}:{each(field)}" if form.plus else each(field) for name, field in fields) + "}"
