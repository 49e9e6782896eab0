"""math.*: extremes, rounding, signs, bits.

Source: cel-go ext/math.go.
"""

import math
from collections.abc import Callable
from typing import Any

from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, plain
from podium.objects.cel.types import BOOL, DOUBLE, DYN, INT, UINT, Type, list_of
from podium.objects.cel.values import UINT_MAX, Uint, in_int, in_uint, kind_of

_NUMBERS: tuple[Type, ...] = (INT, UINT, DOUBLE)
ARGUMENTS_MAX = 8
"""How many `math.least` and `math.greatest` take beside a list."""


def _extreme(name: str, choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        items = values[0] if len(values) == 1 and type(values[0]) is list else list(values)
        if not items:
            raise CelRuntimeError(f"math.{name}(list) argument must not be empty")
        if any(kind_of(i) not in ("int", "uint", "double") for i in items):
            raise CelRuntimeError("no such overload")
        return choose(items)

    return run


def _extremes() -> list[Overload]:
    rows: list[Overload] = []
    for name, choose in (("greatest", max), ("least", min)):
        run = _extreme(name, choose)
        for kind in _NUMBERS:
            rows.append(plain(f"math.{name}", (kind,), kind, run))
            rows.append(plain(f"math.{name}", (list_of(kind),), kind, run))
            rows += [plain(f"math.{name}", (kind,) * count, kind, run) for count in range(2, ARGUMENTS_MAX + 1)]
        for one in _NUMBERS:
            rows += [plain(f"math.{name}", (one, other), DYN, run) for other in _NUMBERS if other is not one]
    return rows


def _rounded(value: float) -> float:
    """Half away from zero."""
    if math.isnan(value) or math.isinf(value):
        return value
    return math.copysign(math.floor(abs(value) + 0.5), value) if abs(value) < 2**52 else value


def _whole(run: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: value if math.isnan(value) or math.isinf(value) else float(run(value))


def _sign_of_double(value: float) -> float:
    return value if math.isnan(value) or value == 0 else math.copysign(1.0, value)


def _shift_left(value: int, bits: int) -> int:
    if bits < 0:
        raise CelRuntimeError(f"math.bitShiftLeft() negative offset: {bits}")
    return _signed((value << bits) & UINT_MAX) if bits < 64 else 0


def _shift_right(value: int, bits: int) -> int:
    """The sign is a bit as any other."""
    if bits < 0:
        raise CelRuntimeError(f"math.bitShiftRight() negative offset: {bits}")
    return _signed((value & UINT_MAX) >> bits) if bits < 64 else 0


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _square_root(value: float) -> float:
    return math.nan if value < 0 or math.isnan(value) else math.sqrt(value)


def _bits() -> list[Overload]:
    rows: list[Overload] = []
    for name, run in (("And", int.__and__), ("Or", int.__or__), ("Xor", int.__xor__)):
        rows.append(plain(f"math.bit{name}", (INT, INT), INT, run))
        rows.append(plain(f"math.bit{name}", (UINT, UINT), UINT, lambda a, b, run=run: Uint(run(int(a), int(b)))))
    rows += [
        plain("math.bitNot", (INT,), INT, lambda a: ~a),
        plain("math.bitNot", (UINT,), UINT, lambda a: Uint(UINT_MAX ^ int(a))),
        plain("math.bitShiftLeft", (INT, INT), INT, _shift_left),
        plain("math.bitShiftLeft", (UINT, INT), UINT, lambda a, b: Uint(_shift_left(int(a), b) & UINT_MAX)),
        plain("math.bitShiftRight", (INT, INT), INT, _shift_right),
        plain("math.bitShiftRight", (UINT, INT), UINT, lambda a, b: Uint(_shift_right(int(a), b) & UINT_MAX)),
    ]
    return rows


OVERLOADS: list[Overload] = [
    *_extremes(),
    *_bits(),
    plain("math.ceil", (DOUBLE,), DOUBLE, _whole(math.ceil)),
    plain("math.floor", (DOUBLE,), DOUBLE, _whole(math.floor)),
    plain("math.trunc", (DOUBLE,), DOUBLE, _whole(math.trunc)),
    plain("math.round", (DOUBLE,), DOUBLE, _rounded),
    plain("math.abs", (INT,), INT, lambda a: in_int(abs(a))),
    plain("math.abs", (UINT,), UINT, lambda a: a),
    plain("math.abs", (DOUBLE,), DOUBLE, abs),
    plain("math.sign", (INT,), INT, lambda a: (a > 0) - (a < 0)),
    plain("math.sign", (UINT,), UINT, lambda a: in_uint(int(a > 0))),
    plain("math.sign", (DOUBLE,), DOUBLE, _sign_of_double),
    plain("math.sqrt", (DOUBLE,), DOUBLE, _square_root),
    plain("math.sqrt", (INT,), DOUBLE, lambda a: _square_root(float(a))),
    plain("math.sqrt", (UINT,), DOUBLE, lambda a: _square_root(float(a))),
    plain("math.isNaN", (DOUBLE,), BOOL, math.isnan),
    plain("math.isInf", (DOUBLE,), BOOL, math.isinf),
    plain("math.isFinite", (DOUBLE,), BOOL, math.isfinite),
]
