"""Admission policies, compiled: what a ValidatingAdmissionPolicy or MutatingAdmissionPolicy asks and does. Pure.

Source: k8s.io/apiserver pkg/admission/plugin/policy/{validating,mutating}.
"""

from dataclasses import dataclass

from podium.objects import policy_expressions
from podium.objects.cel.types import BOOL, NULL, STRING, Type, list_of
from podium.objects.policy_expressions import MUTATION_STRUCTS, Expression, Scope, compile_variables, compiled
from podium.objects.values import Object

APPLY_RESULT = Type("object", name="Object")
PATCH_RESULT = list_of(Type("object", name="JSONPatch"))


@dataclass(frozen=True, slots=True)
class Validation:
    condition: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """`kind` is ApplyConfiguration or JSONPatch."""

    kind: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Policy:
    """`param_kind` is (apiVersion, kind) or None; `reinvoked` of a mutating policy whose reinvocationPolicy is IfNeeded."""

    name: str
    ignores_failure: bool
    param_kind: tuple[str, str] | None
    conditions: tuple[Expression, ...]
    variables: dict[str, Expression]
    validations: tuple[Validation, ...] = ()
    annotations: tuple[tuple[str, Expression], ...] = ()
    mutations: tuple[Mutation, ...] = ()
    reinvoked: bool = False
    needs_namespace: bool = False
    """Whether any expression reads namespaceObject."""


@dataclass(frozen=True, slots=True)
class Binding:
    name: str
    policy: str
    actions: frozenset[str]
    param: Object | None
    """The paramRef as it is."""


def scope_of(spec: Object, *, structs: frozenset[str] = frozenset()) -> Scope:
    return Scope(has_params=spec.get("paramKind") is not None, structs=structs)


def compile_validating(value: Object) -> Policy:
    spec = value["spec"]
    scope = scope_of(spec)
    quiet = Scope(has_params=scope.has_params, has_authorizer=False)
    variables, types = compile_variables(scope, spec.get("variables") or ())
    with_variables, in_messages = scope.environment(types), quiet.environment(types)
    validations = tuple(
        Validation(
            compiled(row["expression"], with_variables, BOOL),
            (row.get("message") or "").strip(),
            compiled(row["messageExpression"], in_messages, STRING) if row.get("messageExpression") else None,
            row.get("reason") or "Invalid",
        )
        for row in spec.get("validations") or ()
    )
    annotations = tuple(
        (row["key"], compiled(row["valueExpression"], in_messages, STRING, NULL)) for row in spec.get("auditAnnotations") or ()
    )
    conditions = _conditions(scope, spec)
    every = [*conditions, *variables.values(), *(e for _, e in annotations), *(v.condition for v in validations)]
    every += [v.message_expression for v in validations if v.message_expression is not None]
    return Policy(
        value["metadata"]["name"], spec.get("failurePolicy") == "Ignore", _param_kind(spec), conditions, variables, validations, annotations,
        needs_namespace=policy_expressions.uses(every, "namespaceObject"),
    )  # fmt: skip


def compile_mutating(value: Object) -> Policy:
    spec = value["spec"]
    scope = scope_of(spec, structs=MUTATION_STRUCTS)
    variables, types = compile_variables(scope, spec.get("variables") or ())
    environment = scope.environment(types)
    mutations = tuple(_mutation(row, environment) for row in spec.get("mutations") or ())
    conditions = _conditions(scope_of(spec), spec)
    every = [*conditions, *variables.values(), *(m.expression for m in mutations)]
    return Policy(
        value["metadata"]["name"], spec.get("failurePolicy") == "Ignore", _param_kind(spec), conditions, variables, mutations=mutations,
        reinvoked=spec.get("reinvocationPolicy") == "IfNeeded", needs_namespace=policy_expressions.uses(every, "namespaceObject"),
    )  # fmt: skip


def compile_conditions(name: str, hook: Object) -> Policy:
    """The match conditions of a webhook, as a policy that does nothing."""
    conditions = _conditions(Scope(), hook)
    return Policy(
        name, hook.get("failurePolicy") == "Ignore", None, conditions, {},
        needs_namespace=policy_expressions.uses(conditions, "namespaceObject"),
    )  # fmt: skip


def _mutation(row: Object, environment: policy_expressions.cel.Environment) -> Mutation:
    if row.get("patchType") == "JSONPatch":
        return Mutation("JSONPatch", compiled((row.get("jsonPatch") or {}).get("expression", ""), environment, PATCH_RESULT))
    return Mutation("ApplyConfiguration", compiled((row.get("applyConfiguration") or {}).get("expression", ""), environment, APPLY_RESULT))


def _conditions(scope: Scope, spec: Object) -> tuple[Expression, ...]:
    environment = scope.environment()
    return tuple(compiled(row["expression"], environment, BOOL) for row in spec.get("matchConditions") or ())


def _param_kind(spec: Object) -> tuple[str, str] | None:
    kind = spec.get("paramKind")
    return None if kind is None else (kind.get("apiVersion", ""), kind.get("kind", ""))


def compile_binding(value: Object) -> Binding:
    spec = value.get("spec") or {}
    actions = frozenset(spec.get("validationActions") or ())
    return Binding(value["metadata"]["name"], spec.get("policyName", ""), actions, spec.get("paramRef"))
