"""Type checking of a ValidatingAdmissionPolicy: what its expressions would meet in the kinds it is about. Warnings, never refusals. Pure.

Source: k8s.io/apiserver pkg/admission/plugin/policy/validating/typechecking.go.
"""

from collections.abc import Iterable

from podium.objects import cel
from podium.objects.cel.types import DYN, Type
from podium.objects.kinds import schema_of
from podium.objects.policy_expressions import Scope, compile_variables
from podium.objects.resources import Resource
from podium.objects.values import Object

TYPES_MAX = 10
"""How many kinds of one rule are looked at."""


def expression_warnings(policy: Object, resources: Iterable[Resource]) -> list[Object]:
    """The `status.typeChecking.expressionWarnings`; `resources` are those served."""
    spec, served = policy["spec"], list(resources)
    kinds = [((r.api_version, r.kind), type_) for r in _matching(spec, served) if (type_ := _type(r)) is not None]
    params = spec.get("paramKind") or {}
    wanted = (params.get("apiVersion"), params.get("kind"))
    params_type = next((_type(r) for r in served if (r.api_version, r.kind) == wanted), None)
    warnings: list[Object] = []
    for i, validation in enumerate(spec.get("validations") or ()):
        for field in ("expression", "messageExpression"):
            expression = validation.get(field)
            if expression and (text := _check(expression, spec, kinds, params_type)):
                warnings.append({"fieldRef": f"spec.validations[{i}].{field}", "warning": text})
    return warnings


def _check(expression: str, spec: Object, kinds: list[tuple[tuple[str, str], Type]], params_type: Type | None) -> str:
    found: list[str] = []
    for (api_version, kind), type_ in kinds:
        scope = Scope(spec.get("paramKind") is not None, True, type_, params_type or DYN)
        types = compile_variables(scope, spec.get("variables") or ())[1]
        try:
            cel.compile(expression.strip(), scope.environment(types))
        except cel.CelCompileError as error:
            found.append(f"{api_version}, Kind={kind}: {error.message}\n")
    return "\n".join(found)


def _matching(spec: Object, resources: list[Resource]) -> list[Resource]:
    """Sorted by group, version, kind. A rule with a wildcard says nothing of kinds."""
    found: dict[tuple[str, str, str], Resource] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = rule.get("apiGroups") or [], rule.get("apiVersions") or []
        plurals = [r for r in rule.get("resources") or () if "*" not in r and "/" not in r]
        if any("*" in name for name in (*groups, *versions)):
            continue
        matching = [r for r in resources if r.group in groups and r.version in versions and r.plural in plurals]
        found.update(((r.group, r.version, r.kind), r) for r in matching[:TYPES_MAX])
    return [found[key] for key in sorted(found)]


def _type(resource: Resource) -> Type | None:
    try:
        return cel.resource_type(schema_of(resource, resource.api_version))
    except KeyError:
        return None
