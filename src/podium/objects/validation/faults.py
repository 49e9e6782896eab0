"""Faults: the causes found so far, and short ways to add one.

Every check takes the list and adds to it; nothing is returned and nothing stops early unless a later check would make no sense.
Paths are written out (`spec.containers[0].name`), as clients read them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from podium.objects import cause, names
from podium.objects.cause import Cause

IMMUTABLE = "field is immutable"
NEGATIVE = "must be greater than or equal to 0"


class Faults(list[Cause]):
    def required(self, field: str, detail: str = "") -> None:
        self.append(cause.required(field, detail))

    def invalid(self, field: str, value: Any, detail: str) -> None:
        self.append(cause.invalid(field, value, detail))

    def forbidden(self, field: str, detail: str) -> None:
        self.append(cause.forbidden(field, detail))

    def duplicate(self, field: str, value: Any) -> None:
        self.append(cause.duplicate(field, value))

    def missing(self, field: str, value: Any) -> None:
        self.append(cause.missing(field, value))

    def too_long(self, field: str, length_max: int) -> None:
        self.append(cause.too_long(field, length_max))

    def too_many(self, field: str, count: int, count_max: int) -> None:
        self.append(cause.too_many(field, count, count_max))

    def each(self, field: str, value: Any, details: Iterable[str]) -> None:
        """One invalid value for several reasons, as the checks of `names` give them."""
        for detail in details:
            self.append(cause.invalid(field, value, detail))

    def one_of(self, field: str, value: Any, supported: Sequence[str]) -> None:
        """Absent values pass: defaults and required fields are others' concern."""
        if value is not None and value not in supported:
            self.append(cause.not_supported(field, value, supported))

    def not_negative(self, field: str, value: Any) -> None:
        if value is not None and value < 0:
            self.append(cause.invalid(field, value, NEGATIVE))

    def unchanged(self, field: str, new: Any, old: Any) -> None:
        if new != old:
            self.append(cause.invalid(field, new, IMMUTABLE))

    def unique(self, field: str, value: Any, seen: set[Any]) -> None:
        if value in seen:
            self.append(cause.duplicate(field, value))
        seen.add(value)

    def port(self, field: str, value: Any) -> None:
        """A port by number or by name."""
        if isinstance(value, str):
            self.each(field, value, names.port_name(value))
        elif value is not None:
            self.each(field, value, names.port_number(value))
