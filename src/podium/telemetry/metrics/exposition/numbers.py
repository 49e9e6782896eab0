"""Numbers of the text formats: read many at once, and written as OpenMetrics writes them.

What is a number is Go's strconv.ParseFloat without hexadecimal and underscores: Python's float accepts more (white space, underscores),
so bytes that belong to no number are looked for first, with one C call over all of them.
"""

import math

import numpy as np
import orjson

from podium.telemetry.metrics.samples import Values

_DECIMAL = b"0123456789+-.eE,"
_WORDS = b"nafityNAFITY"  # of NaN, Inf and Infinity
_SCIENTIFIC_BELOW, _SCIENTIFIC_FROM = -4, 6


def parse_numbers(texts: list[bytes]) -> Values | None:
    """All of them; None when one is not a number or out of a float's range."""
    return parse_joined(b",".join(texts), len(texts))


def parse_joined(joined: bytes, count: int) -> Values | None:
    """`parse_numbers` of so many texts with commas between them."""
    if not count:
        return np.empty(0, np.float64)
    rest = joined.translate(None, _DECIMAL)
    try:
        if rest:
            return None if rest.translate(None, _WORDS) else _parse_words(joined.split(b","), count)
        numbers = _parse_decimals(joined)
    except ValueError:
        return None
    if len(numbers) != count:
        return None
    values = np.array(numbers, np.float64)
    return None if np.isinf(values).any() else values


def _parse_decimals(joined: bytes) -> list[float]:
    """Raises ValueError."""
    if b"-0" not in joined or b"-0," not in joined + b",":  # as an integer it would lose its sign
        try:
            numbers: list[float] = orjson.loads(b"[%b]" % joined)
            return numbers
        except orjson.JSONDecodeError:  # a plain JSON number has neither a plus nor a leading or trailing point
            pass
    return list(map(float, joined.split(b",")))


def _parse_words(texts: list[bytes], count: int) -> Values | None:
    values = np.array(list(map(float, texts)), np.float64)
    if len(values) != count or any(b"n" not in texts[i].lower() for i in np.flatnonzero(np.isinf(values)).tolist()):
        return None
    values[np.isnan(values)] = np.nan
    return values


def parse_number(text: bytes) -> float | None:
    values = parse_numbers([text])
    return None if values is None else values.item()


def format_label_number(value: float) -> str:
    """As OpenMetrics' canonical `le` and `quantile`: the shortest digits, scientific below 1e-4 and from 1e+06 on, always with a point or
    an exponent. Source: formatOpenMetricsFloat in Prometheus' model/textparse, which uses Go's %g."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0.0"
    sign, digits, exponent = _shortest(value)
    if not _SCIENTIFIC_BELOW <= exponent < _SCIENTIFIC_FROM:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"


def _shortest(value: float) -> tuple[str, str, int]:
    """(sign, significant digits without trailing zeros, decimal exponent of the first digit)."""
    text = repr(abs(value))
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    first = len(whole) - 1 if whole.strip("0") else -(len(fraction) - len(fraction.lstrip("0")) + 1)
    return "-" if value < 0 else "", digits.rstrip("0"), first + int(exponent or 0)
