"""Labels, and selectors over them, wherever they stand in an object.

Source: k8s.io/apimachinery pkg/apis/meta/v1/validation/validation.go.
"""

from typing import Any

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.values import Object


def check_labels(faults: Faults, labels: Object | None, path: str) -> None:
    for key, value in (labels or {}).items():
        faults.each(path, key, names.label_key(key))
        faults.each(path, value, names.label_value(value))


def check_label_selector(faults: Faults, selector: Object | None, path: str) -> None:
    if not selector:
        return
    check_labels(faults, selector.get("matchLabels"), f"{path}.matchLabels")
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{i}]"
        check_operator(faults, expression, at, ())
        faults.each(f"{at}.key", expression.get("key", ""), names.label_key(expression.get("key", "")))
        for j, value in enumerate(expression.get("values") or ()):
            faults.each(f"{at}.values[{j}]", value, names.label_value(value))


def check_operator(faults: Faults, requirement: Object, path: str, comparisons: tuple[str, ...]) -> None:
    """That the operator exists and its values fit it; `comparisons` are those allowed besides the four set operators."""
    operator: Any = requirement.get("operator", "")
    values = requirement.get("values")
    if operator in ("In", "NotIn"):
        if not values:
            faults.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            faults.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in comparisons:
        if len(values or ()) != 1:
            faults.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        faults.invalid(f"{path}.operator", operator, "not a valid selector operator")
