"""ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings: expressions must compile.

Source: k8s.io/kubernetes pkg/apis/admissionregistration/validation/validation.go.
"""

import re
from collections.abc import Mapping
from typing import Any

from podium.objects import names
from podium.objects.admission_policies import APPLY_RESULT, PATCH_RESULT, scope_of
from podium.objects.cel.types import BOOL, NULL, STRING, Type
from podium.objects.policy_expressions import (
    MUTATION_STRUCTS,
    Scope,
    cel,
)
from podium.objects.validation.expressions import check_conditions, check_expression
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.validation.webhooks import check_rule
from podium.objects.values import Object

_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
ANNOTATIONS_MAX = 20
EXPRESSION_BYTES_MAX = 5 * 1024
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})  # fmt: skip


def check_validating(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    _check_common(faults, spec, Scope(has_params=spec.get("paramKind") is not None))
    scope = scope_of(spec)
    types = _check_variables(faults, scope, spec)
    quiet = Scope(has_params=scope.has_params, has_authorizer=False).environment(types)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        faults.required("spec.validations", "validations or auditAnnotations must contain at least one item")
        faults.required("spec.auditAnnotations", "validations or auditAnnotations must contain at least one item")
    for i, row in enumerate(spec.get("validations") or ()):
        _check_validation(faults, row, f"spec.validations[{i}]", scope.environment(types), quiet)
    _check_annotations(faults, value, spec, quiet)


def _check_validation(faults: Faults, row: Object, path: str, environment: cel.Environment, quiet: cel.Environment) -> None:
    check_expression(faults, row.get("expression") or "", f"{path}.expression", environment, BOOL, required="expression is not specified")
    if row.get("messageExpression"):
        check_expression(faults, row["messageExpression"], f"{path}.messageExpression", quiet, STRING)
    message = row.get("message") or ""
    if message and not message.strip():
        faults.invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip():
        faults.invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in (row.get("expression") or "").strip() and not message.strip():
        faults.required(f"{path}.message", "message must be specified if expression contains line breaks")
    faults.one_of(f"{path}.reason", row.get("reason"), _REASONS)


def _check_annotations(faults: Faults, value: Object, spec: Object, environment: cel.Environment) -> None:
    rows = spec.get("auditAnnotations") or ()
    if len(rows) > ANNOTATIONS_MAX:
        faults.invalid("spec.auditAnnotations", list(rows), f"must not have more than {ANNOTATIONS_MAX} auditAnnotations")
    seen: set[Any] = set()
    for i, row in enumerate(rows):
        path, key = f"spec.auditAnnotations[{i}]", row.get("key") or ""
        if not key:
            faults.required(f"{path}.key")
        else:
            faults.each(f"{path}.key", key, names.label_key(f"{(value.get('metadata') or {}).get('name') or 'policy'}/{key}"))
            faults.unique(f"{path}.key", key, seen)
        text = row.get("valueExpression") or ""
        if len(text.encode()) > EXPRESSION_BYTES_MAX:
            faults.invalid(f"{path}.valueExpression", text, f"must not exceed {EXPRESSION_BYTES_MAX} bytes in length")
        required = "valueExpression is not specified"
        check_expression(faults, text, f"{path}.valueExpression", environment, STRING, NULL, required=required)


def check_mutating(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    _check_common(faults, spec, scope_of(spec))
    scope = scope_of(spec, structs=MUTATION_STRUCTS)
    types = _check_variables(faults, scope, spec)
    if not spec.get("mutations"):
        faults.required("spec.mutations", "mutations must contain at least one item")
    for i, row in enumerate(spec.get("mutations") or ()):
        _check_mutation(faults, row, f"spec.mutations[{i}]", scope.environment(types))
    if not spec.get("reinvocationPolicy"):
        faults.required("spec.reinvocationPolicy")
    else:
        faults.one_of("spec.reinvocationPolicy", spec["reinvocationPolicy"], ("IfNeeded", "Never"))


def _check_mutation(faults: Faults, row: Object, path: str, environment: cel.Environment) -> None:
    kinds: Mapping[str, tuple[str, Type]] = {
        "ApplyConfiguration": ("applyConfiguration", APPLY_RESULT), "JSONPatch": ("jsonPatch", PATCH_RESULT),
    }  # fmt: skip
    given = row.get("patchType") or ""
    if not given:
        faults.required(f"{path}.patchType")
        return
    if given not in kinds:
        faults.one_of(f"{path}.patchType", given, tuple(kinds))
        return
    for kind, (field, result) in kinds.items():
        body = row.get(field)
        if kind != given:
            if body is not None:
                faults.forbidden(f"{path}.{field}", f"must not be specified when patchType is {given}")
            continue
        if body is None:
            faults.required(f"{path}.{field}", f"must be specified when patchType is {given}")
            continue
        required = "expression is not specified"
        check_expression(faults, body.get("expression") or "", f"{path}.{field}.expression", environment, result, required=required)


def _check_common(faults: Faults, spec: Object, scope: Scope) -> None:
    faults.one_of("spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    if (kind := spec.get("paramKind")) is not None:
        for field in ("apiVersion", "kind"):
            if not kind.get(field):
                faults.required(f"spec.paramKind.{field}")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        faults.required("spec.matchConstraints")
    else:
        _check_match(faults, constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            faults.required("spec.matchConstraints.resourceRules")
    check_conditions(faults, spec.get("matchConditions") or (), "spec.matchConditions", scope)


def _check_variables(faults: Faults, scope: Scope, spec: Object) -> dict[str, Type]:
    """The types of those that compile, for the expressions that read them."""
    types: dict[str, Type] = {}
    seen: set[Any] = set()
    for i, row in enumerate(spec.get("variables") or ()):
        path, name = f"spec.variables[{i}]", row.get("name") or ""
        if not name:
            faults.required(f"{path}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            faults.invalid(f"{path}.name", name, "name is not a valid CEL identifier")
        else:
            faults.unique(f"{path}.name", name, seen)
        required = "expression is not specified"
        environment = scope.environment(dict(types))
        program = check_expression(faults, row.get("expression") or "", f"{path}.expression", environment, required=required)
        if program is not None and name:
            types[name] = program.type
    return types


def _check_match(faults: Faults, resources: Object, path: str) -> None:
    faults.one_of(f"{path}.matchPolicy", resources.get("matchPolicy"), ("Equivalent", "Exact"))
    for field in ("namespaceSelector", "objectSelector"):
        if resources.get(field):
            check_label_selector(faults, resources[field], f"{path}.{field}")
    for field in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(resources.get(field) or ()):
            check_rule(faults, rule, f"{path}.{field}[{i}]")
            seen: set[Any] = set()
            for j, name in enumerate(rule.get("resourceNames") or ()):
                faults.unique(f"{path}.{field}[{i}].resourceNames[{j}]", name, seen)


def check_validating_binding(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    _check_binding(faults, spec)
    actions = spec.get("validationActions") or []
    if not actions:
        faults.required("spec.validationActions", "at least one validation action is required")
    seen: set[Any] = set()
    for i, action in enumerate(actions):
        faults.one_of(f"spec.validationActions[{i}]", action, _ACTIONS)
        faults.unique(f"spec.validationActions[{i}]", action, seen)
    if "Deny" in actions and "Warn" in actions:
        faults.invalid("spec.validationActions", actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)")  # fmt: skip  # noqa: E501 (one text of upstream's)


def check_mutating_binding(faults: Faults, value: Object) -> None:
    _check_binding(faults, value.get("spec") or {})


def _check_binding(faults: Faults, spec: Object) -> None:
    if not spec.get("policyName"):
        faults.required("spec.policyName")
    else:
        faults.each("spec.policyName", spec["policyName"], names.dns_subdomain(spec["policyName"]))
    if (reference := spec.get("paramRef")) is not None:
        _check_param_reference(faults, reference, "spec.paramRef")
    if (resources := spec.get("matchResources")) is not None:
        _check_match(faults, resources, "spec.matchResources")


def _check_param_reference(faults: Faults, reference: Object, path: str) -> None:
    name, selector = reference.get("name"), reference.get("selector")
    if name:
        faults.each(f"{path}.name", name, names.dns_subdomain(name))
        if selector is not None:
            faults.forbidden(f"{path}.name", "name and selector are mutually exclusive")
    elif selector is not None:
        check_label_selector(faults, selector, f"{path}.selector")
    else:
        faults.required(path, "one of name or selector must be specified")
    if not reference.get("parameterNotFoundAction"):
        faults.required(f"{path}.parameterNotFoundAction")
    else:
        faults.one_of(f"{path}.parameterNotFoundAction", reference["parameterNotFoundAction"], ("Allow", "Deny"))
