"""Amounts: quantity('1.5Gi') and its arithmetic, exact.

Source: k8s.io/apiserver pkg/cel/library/quantity.go.
"""

from podium.objects import quantities
from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, DOUBLE, INT, STRING, opaque
from podium.objects.cel.values import INT_MAX, INT_MIN
from podium.objects.quantities import NANO

QUANTITY = opaque("kubernetes.Quantity")
NANOS_MAX = 10**60
"""Further than any sum of two quantities that can be written."""


class Amount:
    """`nanos`: billionths."""

    __slots__ = ("form", "nanos")
    cel_type = QUANTITY.name

    def __init__(self, nanos: int, form: quantities.Format = "DecimalSI") -> None:
        if abs(nanos) > NANOS_MAX * NANO:
            raise CelRuntimeError("quantity out of range")
        self.nanos = nanos
        self.form = form

    def __eq__(self, other: object) -> bool:
        return type(other) is Amount and other.nanos == self.nanos

    def __hash__(self) -> int:
        return hash(("quantity", self.nanos))


def parse(text: str) -> Amount:
    try:
        found = quantities.parse(text)
    except ValueError as error:
        raise CelRuntimeError(str(error)) from None
    return Amount(found.nanos, found.format)


def _is_quantity(text: str) -> bool:
    try:
        quantities.parse(text)
    except ValueError:
        return False
    return True


def _is_integer(amount: Amount) -> bool:
    return amount.nanos % NANO == 0 and INT_MIN <= amount.nanos // NANO <= INT_MAX


def _as_integer(amount: Amount) -> int:
    if not _is_integer(amount):
        raise CelRuntimeError("cannot convert value to integer")
    return amount.nanos // NANO


def _compare(one: Amount, other: Amount) -> int:
    return (one.nanos > other.nanos) - (one.nanos < other.nanos)


def _as_float(amount: Amount) -> float:
    return amount.nanos / NANO


def _quotient(amount: Amount, divisor: int) -> Amount:
    """Whole units, toward zero."""
    if divisor == 0:
        raise CelRuntimeError("division by zero")
    units = abs(amount.nanos) // (abs(divisor) * NANO)
    return Amount((units if (amount.nanos < 0) == (divisor < 0) else -units) * NANO, amount.form)


OVERLOADS: list[Overload] = [
    plain("quantity", (STRING,), QUANTITY, parse, costs.TRAVERSAL),
    plain("isQuantity", (STRING,), BOOL, _is_quantity, costs.TRAVERSAL),
    member("sign", (QUANTITY,), INT, lambda q: (q.nanos > 0) - (q.nanos < 0)),
    plain("sign", (QUANTITY,), INT, lambda q: (q.nanos > 0) - (q.nanos < 0)),
    member("isGreaterThan", (QUANTITY, QUANTITY), BOOL, lambda a, b: a.nanos > b.nanos),
    member("isLessThan", (QUANTITY, QUANTITY), BOOL, lambda a, b: a.nanos < b.nanos),
    member("compareTo", (QUANTITY, QUANTITY), INT, _compare),
    member("asApproximateFloat", (QUANTITY,), DOUBLE, _as_float),
    member("asInteger", (QUANTITY,), INT, _as_integer),
    member("isInteger", (QUANTITY,), BOOL, _is_integer),
    member("add", (QUANTITY, QUANTITY), QUANTITY, lambda a, b: Amount(a.nanos + b.nanos, a.form)),
    member("add", (QUANTITY, INT), QUANTITY, lambda a, b: Amount(a.nanos + b * NANO, a.form)),
    member("sub", (QUANTITY, QUANTITY), QUANTITY, lambda a, b: Amount(a.nanos - b.nanos, a.form)),
    member("sub", (QUANTITY, INT), QUANTITY, lambda a, b: Amount(a.nanos - b * NANO, a.form)),
    member("mul", (QUANTITY, INT), QUANTITY, lambda a, b: Amount(a.nanos * b, a.form)),
    member("divInt", (QUANTITY, INT), QUANTITY, _quotient),
]
TYPES = (QUANTITY,)
