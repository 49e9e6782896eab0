"""Functions from one instant vector to another: mathematics, rounding, limits, dates. Float samples only; histograms are left out.

Dates are UTC; a sample is seconds since 1970, its fraction ignored. Results are floats, of NaN too where a value is no number.

Source: Prometheus' functions; days of civil dates by numpy's proleptic Gregorian calendar, as Go's.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.samples import Values

Function = Callable[[Values], Values]

MATHEMATICS: dict[str, Function] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "rad": lambda v: v * np.pi / 180,
    "deg": lambda v: v * 180 / np.pi,
    "sgn": lambda v: np.where(v < 0, -1.0, np.where(v > 0, 1.0, v)),
}


def rounded(values: Values, nearest: Values) -> Values:
    """To a multiple of `nearest` (T,); ties up."""
    inverse = 1.0 / nearest
    return np.floor(values * inverse + 0.5) / inverse


def clamped(values: Values, lowest: Values, highest: Values) -> Values:
    """Within bounds (T,); NaN bounds give NaN."""
    return np.maximum(lowest, np.minimum(highest, values))


_SECONDS_MAX = 2.0**62


def _days(values: Values) -> npt.NDArray[np.int64]:
    return np.floor_divide(_seconds(values), 86400)


def _seconds(values: Values) -> npt.NDArray[np.int64]:
    """Whole seconds; what is no number or beyond any date counts as the earliest there is."""
    usable = np.abs(values) < _SECONDS_MAX
    return np.where(usable, np.trunc(np.where(usable, values, 0.0)), -_SECONDS_MAX).astype(np.int64)


def _civil(values: Values) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(year, month 1..12, day 1..31). Source: Hinnant, chrono-compatible low-level date algorithms."""
    shifted = _days(values) + 719468
    era, day_of_era = np.divmod(shifted, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = np.where(shifted_month < 10, shifted_month + 3, shifted_month - 9)
    return year_of_era + era * 400 + (month <= 2), month, day


_LENGTHS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_BEFORE = np.concatenate([[0, 0], np.cumsum(_LENGTHS[1:12])])


def _leap(year: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))


def _days_in_month(values: Values) -> npt.NDArray[np.int64]:
    year, month, _ = _civil(values)
    return _LENGTHS[month] + ((month == 2) & _leap(year))


def _day_of_year(values: Values) -> npt.NDArray[np.int64]:
    year, month, day = _civil(values)
    return _BEFORE[month] + day + ((month > 2) & _leap(year))


_Part = Callable[[Values], npt.NDArray[np.int64]]
_DATE_PARTS: dict[str, _Part] = {
    "days_in_month": _days_in_month,
    "day_of_month": lambda v: _civil(v)[2],
    "day_of_week": lambda v: (_days(v) + 4) % 7,
    "day_of_year": _day_of_year,
    "hour": lambda v: _seconds(v) % 86400 // 3600,
    "minute": lambda v: _seconds(v) % 3600 // 60,
    "month": lambda v: _civil(v)[1],
    "year": lambda v: _civil(v)[0],
}


def _floats(part: _Part) -> Function:
    return lambda values: part(values).astype(np.float64)


DATES: dict[str, Function] = {name: _floats(part) for name, part in _DATE_PARTS.items()}
