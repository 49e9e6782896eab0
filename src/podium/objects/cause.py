"""Causes: why an object is refused, one per field path, worded as upstream's field errors.

Source: k8s.io/apimachinery util/validation/field (error types and their messages), api/errors.NewInvalid (the summary).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from podium.objects.status import Invalid


@dataclass(frozen=True, slots=True)
class Cause:
    """`reason` is a metav1.CauseType (FieldValueRequired...), `field` the path (`spec.containers[0].name`), `message` upstream's text
    without the leading path."""

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", field, _with("Required value", detail))


def invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", field, _with(f"Invalid value: {show(value)}", detail))


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueTypeInvalid", field, _with(f"Invalid value: {show(value)}", detail))


def duplicate(field: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {show(value)}")


def forbidden(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", field, _with("Forbidden", detail))


def missing(field: str, value: Any) -> Cause:
    """A reference to something that is not there."""
    return Cause("FieldValueNotFound", field, f"Not found: {show(value)}")


def not_supported(field: str, value: Any, supported: Sequence[str]) -> Cause:
    detail = "supported values: " + ", ".join(show(s) for s in supported) if supported else ""
    return Cause("FieldValueNotSupported", field, _with(f"Unsupported value: {show(value)}", detail))


def too_long(field: str, length_max: int) -> Cause:
    return Cause("FieldValueTooLong", field, f"Too long: may not be more than {length_max} bytes")


def too_many(field: str, count: int, count_max: int) -> Cause:
    return Cause("FieldValueTooMany", field, f"Too many: {count}: must have at most {count_max} items")


def show(value: Any) -> str:
    """A value as Go prints it in these messages: strings quoted, objects as JSON."""
    return orjson.dumps(value).decode()


def _with(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head


def invalid_error(group: str, kind: str, name: str, causes: Sequence[Cause]) -> Invalid:
    """`Pod "x" is invalid: spec.a: Required value`, or with brackets for several; details carry every cause."""
    qualified = f"{kind}.{group}" if group else kind
    texts = list(dict.fromkeys(str(c) for c in causes))
    summary = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {
        "name": name,
        "group": group,
        "kind": kind,
        "causes": [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes],
    }
    return Invalid(f'{qualified} "{name}" is invalid: {summary}', details={k: v for k, v in details.items() if v})
