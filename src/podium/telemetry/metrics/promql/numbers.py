"""Numbers as text, as Go writes them: in annotations, in labels that count_values and histogram_quantiles make.

Source: Go's strconv.FormatFloat.
"""

import math


def format_general(value: float, digits: int = 0) -> str:
    """Go's %g: the shortest text that reads back as the number (or `digits` significant ones), with an exponent where it is below -4 or
    at least 6 (`digits`)."""
    special = _special(value)
    if special:
        return special
    sign, significant, exponent = _decompose(f"{value:.{digits - 1}e}" if digits else repr(value))
    if -4 <= exponent < (digits or 6):
        return sign + _plain(significant, exponent)
    point = significant[0] + ("." + significant[1:] if len(significant) > 1 else "")
    return f"{sign}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def format_plain(value: float) -> str:
    """Go's 'f' with the shortest precision: never an exponent."""
    special = _special(value)
    if special:
        return special
    sign, significant, exponent = _decompose(repr(value))
    return sign + _plain(significant, exponent)


def format_open_metrics(value: float) -> str:
    """As OpenMetrics wants numbers in labels (le, quantile): with a decimal point or an exponent."""
    special = _special(value)
    if special:
        return special
    text = format_general(value)
    return text if "e" in text or "." in text else text + ".0"


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return ""


def _decompose(text: str) -> tuple[str, str, int]:
    """(sign, significant digits, exponent) of a number in Python's spelling: sign d.ddd times 10 to the exponent."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    return sign, digits.rstrip("0") or "0", int(exponent or 0) + len(whole) - 1 - leading if digits else 0


def _plain(digits: str, exponent: int) -> str:
    """Digits d.ddd times 10 to the exponent, without one."""
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
