"""Go's numbers as text: constants of templates, and strconv's and fmt's ways to write floats.

Source: the Go language's section on literals; strconv.FormatFloat.
"""

import math
import re

from podium.telemetry.metrics.templates.quoting import quote, unquote

_UNDERSCORES = re.compile(r"^[+-]?(0[xXoObB]_?)?[0-9a-fA-F]+(_[0-9a-fA-F]+)*$")


def parse_number(text: str) -> tuple[int | float, bool, bool]:
    """(value, may be an integer, may be a float). Raises ValueError in Go's words."""
    if text.startswith("'"):
        try:
            return ord(unquote(text)), True, True
        except (ValueError, TypeError):
            raise ValueError(f"malformed character constant: {text}") from None
    integer = _integer(text)
    if integer is not None:
        if not -(2**63) <= integer < 2**64:
            raise ValueError(f"integer overflow: {quote(text)}")
        return integer, True, True
    number = _float(text)
    if number is None:
        raise ValueError(f"illegal number syntax: {quote(text)}")
    if math.isinf(number):
        raise ValueError(f"illegal number syntax: {quote(text)}")
    if number == int(number) and not any(c in text for c in ".eEpP"):
        return int(number), True, True
    if number == int(number) and abs(number) < 2**63:
        return number, True, True
    return number, False, True


def _integer(text: str) -> int | None:
    """Base by its prefix (0x, 0o, 0b, 0), underscores between digits."""
    if not _UNDERSCORES.match(text):
        return None
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-").replace("_", "")
    try:
        if len(digits) > 1 and digits[0] == "0" and digits[1].isdecimal():
            return sign * int(digits, 8)
        return sign * int(digits, 0)
    except ValueError:
        return None


def _float(text: str) -> float | None:
    if "_" in text:
        return None
    try:
        return float.fromhex(text) if text.lstrip("+-")[:2] in ("0x", "0X") and ("p" in text or "P" in text) else float(text)
    except (ValueError, OverflowError):
        return None


def format_float(value: float, verb: str = "g", precision: int = -1) -> str:
    """strconv.FormatFloat(value, verb, precision, 64); verb e, E, f, F, g or G; -1 for as many digits as tell it from its neighbours."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    lower = verb.lower()
    if lower == "f":
        text = _shortest_fixed(value) if precision < 0 else f"{value:.{precision}f}"
    elif lower == "e":
        text = _exponent(value, precision)
    else:
        text = _general(value, precision)
    return text.upper() if verb in "EG" else text


def _digits(value: float) -> tuple[str, str, int]:
    """(sign, shortest digits, decimal exponent): 0.00123 is ("", "123", -3)."""
    mantissa, _, exponent = f"{float.__repr__(value)}".partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    return (sign, digits, point - 1) if digits else (sign, "0", 0)


def _shortest_fixed(value: float) -> str:
    sign, digits, exponent = _digits(value)
    if exponent < 0:
        return f"{sign}0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return sign + whole + (f".{fraction}" if fraction else "")


def _exponent(value: float, precision: int) -> str:
    if precision >= 0:
        mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
        return f"{mantissa}e{exponent}"
    sign, digits, power = _digits(value)
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _general(value: float, precision: int) -> str:
    if precision < 0:
        power = _digits(value)[2]
        return _exponent(value, -1) if power < -4 or power >= 6 else _shortest_fixed(value)
    precision = precision or 1
    rounded = f"{value:.{precision - 1}e}"
    mantissa, _, exponent = rounded.partition("e")
    power = int(exponent)
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    limit = precision
    count = len(mantissa.lstrip("-").replace(".", ""))
    if limit > count and count >= power + 1:
        limit = count
    if power < -4 or power >= limit:
        return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    text = f"{value:.{max(precision - 1 - power, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
