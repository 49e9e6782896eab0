"""Conversions between the basic types, and `type`.

Source: cel-spec, "Type Conversion"; cel-go common/types (messages).
"""

import math
import re
from decimal import Decimal
from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, plain
from podium.objects.cel.types import BOOL, BYTES, DOUBLE, DYN, INT, PARAMETER_A, STRING, UINT, type_of_type
from podium.objects.cel.values import INT_MAX, INT_MIN, UINT_MAX, TypeValue, Uint, in_int, in_uint, type_name

_INT = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_UINT = re.compile(r"[0-9]{1,40}", re.ASCII)
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
EXPONENT_FROM = 6
_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
_TRUE, _FALSE = frozenset({"1", "t", "T", "TRUE", "true", "True"}), frozenset({"0", "f", "F", "FALSE", "false", "False"})


def _fault(given: str, wanted: str) -> CelRuntimeError:
    return CelRuntimeError(f"type conversion error from '{given}' to '{wanted}'")


def _int_of_double(value: float) -> int:
    if math.isnan(value) or not INT_MIN < value < INT_MAX:
        raise CelRuntimeError("integer overflow")
    return int(value)


def _uint_of_double(value: float) -> Uint:
    if math.isnan(value) or not 0 <= value < UINT_MAX:
        raise CelRuntimeError("unsigned integer overflow")
    return Uint(value)


def _int_of_text(text: str) -> int:
    if not _INT.fullmatch(text):
        raise _fault("string", "int")
    value = int(text)
    if not INT_MIN <= value <= INT_MAX:
        raise _fault("string", "int")
    return value


def _uint_of_text(text: str) -> Uint:
    if not _UINT.fullmatch(text) or int(text) > UINT_MAX:
        raise _fault("string", "uint")
    return Uint(text)


def _double_of_text(text: str) -> float:
    special = _SPECIAL.get(text.lstrip("+-").lower())
    if special is not None and len(text) <= 9:
        return -special if text.startswith("-") else special
    if len(text) > 400 or not _DOUBLE.fullmatch(text):
        raise _fault("string", "double")
    return float(text)


def _bool_of_text(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _fault("string", "bool")


def text_of_double(value: float) -> str:
    """As Go writes `%g`: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(value)).normalize()
    exponent = number.adjusted() if value else 0
    if -4 <= exponent < EXPONENT_FROM:
        return f"{number:f}" if value else ("-0" if math.copysign(1, value) < 0 else "0")
    digits = "".join(map(str, number.as_tuple().digits))
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{'-' if value < 0 else ''}{digits[0]}{fraction}e{exponent:+03}"


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CelRuntimeError("invalid UTF-8 in bytes, cannot convert to string") from None


def _same(value: Any) -> Any:
    return value


OVERLOADS: list[Overload] = [
    plain("int", (INT,), INT, _same),
    plain("int", (UINT,), INT, lambda u: in_int(int(u))),
    plain("int", (DOUBLE,), INT, _int_of_double),
    plain("int", (STRING,), INT, _int_of_text),
    plain("uint", (UINT,), UINT, _same),
    plain("uint", (INT,), UINT, in_uint),
    plain("uint", (DOUBLE,), UINT, _uint_of_double),
    plain("uint", (STRING,), UINT, _uint_of_text),
    plain("double", (DOUBLE,), DOUBLE, _same),
    plain("double", (INT,), DOUBLE, float),
    plain("double", (UINT,), DOUBLE, float),
    plain("double", (STRING,), DOUBLE, _double_of_text),
    plain("bool", (BOOL,), BOOL, _same),
    plain("bool", (STRING,), BOOL, _bool_of_text),
    plain("string", (STRING,), STRING, _same),
    plain("string", (INT,), STRING, str),
    plain("string", (UINT,), STRING, lambda u: str(int(u))),
    plain("string", (DOUBLE,), STRING, text_of_double),
    plain("string", (BOOL,), STRING, lambda b: "true" if b else "false"),
    plain("string", (BYTES,), STRING, _text_of_bytes, costs.SAME),
    plain("bytes", (BYTES,), BYTES, _same),
    plain("bytes", (STRING,), BYTES, lambda s: s.encode(errors="surrogatepass"), costs.traversal(same_size=True, most_times=4)),
    plain("type", (PARAMETER_A,), type_of_type(DYN), lambda v: TypeValue(type_name(v))),
]
