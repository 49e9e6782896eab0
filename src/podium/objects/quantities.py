"""Quantities: amounts such as `500m`, `1.5Gi`, `2e3`.

A quantity is an exact number of billionths (1 nano is the smallest amount; more precise ones round away from zero) and the family of
suffixes it was written in. Its canonical form is what the API server answers with: the mantissa has no fraction, the suffix is the
largest that allows that. Binary suffixes give way to decimal ones below 1024 and wherever they would lose precision.

Source: k8s.io/apimachinery pkg/api/resource (quantity.go, suffix.go).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

NANO = 10**9
_EXPONENT_MAX = 100  # 1e100 is refused: nobody has that much, and the integer would cost
_BINARY_MAX = (2**63 - 1) * NANO
_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_SUFFIX = ["", *_BINARY]

_FORM_ERROR = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SUFFIX_ERROR = "unable to parse quantity's suffix"

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """`nanos` is the amount in billionths, exact."""

    nanos: int
    format: Format

    def __str__(self) -> str:
        if not self.nanos:
            return "0"
        if self.format == "BinarySI" and abs(self.nanos) >= 1024 * NANO and not self.nanos % NANO:
            return _binary(self.nanos // NANO)
        return _decimal(self.nanos, self.format)


@lru_cache(maxsize=8192)
def parse(text: str) -> Quantity:
    """Raises ValueError, worded as upstream. Surrounding blanks are allowed, as in JSON upstream."""
    match = _FORM.fullmatch(text.strip())
    if match is None or not (match[2] or match[3]):
        raise ValueError(_FORM_ERROR)
    sign, whole_digits, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    numerator = int(whole_digits + fraction)
    denominator = 10 ** len(fraction)
    if sign == "-":
        numerator = -numerator
    form: Format
    if suffix in _DECIMAL:
        form, exponent = "DecimalSI", _DECIMAL[suffix]
    elif suffix in _BINARY:
        form, exponent = "BinarySI", 0
        numerator <<= _BINARY[suffix]
    else:
        form, exponent = "DecimalExponent", _exponent(suffix)
    if exponent >= -9:
        numerator *= 10 ** (exponent + 9)
    else:
        denominator *= 10 ** (-9 - exponent)
    nanos = _away_from_zero(numerator, denominator)
    if form == "BinarySI":
        nanos = min(nanos, _BINARY_MAX)
        if 0 < nanos < NANO:
            form = "DecimalSI"
    return Quantity(nanos, form)


def milli(text: str) -> int:
    """Thousandths, rounded up: how CPU is counted. Raises ValueError."""
    return -(-parse(text).nanos // 10**6)


def whole(text: str) -> int:
    """Units, rounded up: how memory, storage and pods are counted. Raises ValueError."""
    return -(-parse(text).nanos // NANO)


def canonical(text: str) -> str:
    """The form the API server answers with: `1000m` is `1`, `1024Ki` is `1Mi`. Raises ValueError."""
    return str(parse(text))


def _exponent(suffix: str) -> int:
    if len(suffix) < 2 or suffix[0] not in "eE":
        raise ValueError(_SUFFIX_ERROR)
    try:
        exponent = int(suffix[1:])
    except ValueError:
        raise ValueError(_SUFFIX_ERROR) from None
    if abs(exponent) > _EXPONENT_MAX:
        raise ValueError(_SUFFIX_ERROR)
    return exponent


def _away_from_zero(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator) if numerator > 0 else numerator // denominator


def _decimal(nanos: int, form: Format) -> str:
    exponent, mantissa = -9, nanos
    while not mantissa % 1000:
        mantissa //= 1000
        exponent += 3
    if form == "DecimalExponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    while exponent > 18:
        mantissa *= 1000
        exponent -= 3
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"


def _binary(mantissa: int) -> str:
    power = 0
    while not mantissa % 1024 and power < 6:
        mantissa //= 1024
        power += 1
    return f"{mantissa}{_BINARY_SUFFIX[power]}"
