"""Expressions in objects, those of admission policies and of webhooks: they must compile, and give the type that is asked for.

Source: k8s.io/kubernetes pkg/apis/admissionregistration/validation/validation.go.
"""

from typing import Any

from podium.objects import names
from podium.objects.cel.errors import CelCompileError
from podium.objects.cel.types import BOOL, Type
from podium.objects.policy_expressions import MATCH_CONDITIONS_MAX, NotThatType, Scope, cel, compile_expression, why
from podium.objects.validation.faults import Faults


def check_conditions(faults: Faults, rows: Any, path: str, scope: Scope) -> None:
    """Match conditions, of policies and of webhooks."""
    if len(rows) > MATCH_CONDITIONS_MAX:
        faults.too_many(path, len(rows), MATCH_CONDITIONS_MAX)
    seen: set[Any] = set()
    for i, row in enumerate(rows):
        at = f"{path}[{i}]"
        required = "expression is not specified"
        check_expression(faults, row.get("expression") or "", f"{at}.expression", scope.environment(), BOOL, required=required)
        if not row.get("name"):
            faults.required(f"{at}.name")
        else:
            faults.each(f"{at}.name", row["name"], names.label_key(row["name"]))
            faults.unique(f"{at}.name", row["name"], seen)


def check_expression(
    faults: Faults, expression: str, path: str, environment: cel.Environment, *results: Type, required: str = ""
) -> cel.Program | None:
    if not expression.strip():
        faults.required(path, required)
        return None
    try:
        return compile_expression(expression, environment, *results)
    except (CelCompileError, NotThatType) as error:
        faults.invalid(path, expression, why(error))
    return None
