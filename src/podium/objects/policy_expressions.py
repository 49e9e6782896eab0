"""The expressions of admission policies and of webhooks' match conditions: what they see, and how they are compiled. Pure.

`object`, `oldObject` and `params` are dyn: they are typed for warnings only (`typed`), since one policy may be about many kinds. Variables are
declared in order, each seeing the ones before it.

Source: k8s.io/apiserver pkg/admission/plugin/cel (compile.go, composition.go).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from podium.objects import cel
from podium.objects.cel.authorization import AUTHORIZER
from podium.objects.cel.schema_types import convert_timestamp
from podium.objects.cel.types import BOOL, DYN, INT, STRING, Field, ObjectType, Type, list_of, map_of
from podium.objects.values import Object

MATCH_CONDITIONS_MAX = 64
MUTATION_STRUCTS = frozenset({"Object", "JSONPatch"})

STRINGS = list_of(STRING)


def _object(name: str, fields: Mapping[str, Type]) -> ObjectType:
    declared = {field: Field(field, type_) for field, type_ in fields.items()}
    return ObjectType(name, lambda: declared)


_KIND = _object("kubernetes.GroupVersionKind", dict.fromkeys(("group", "version", "kind"), STRING))
_RESOURCE = _object("kubernetes.GroupVersionResource", dict.fromkeys(("group", "version", "resource"), STRING))
_USER = _object("kubernetes.UserInfo", {"username": STRING, "uid": STRING, "groups": STRINGS, "extra": map_of(STRING, STRINGS)})
REQUEST = _object("kubernetes.AdmissionRequest", {
    "kind": _KIND, "resource": _RESOURCE, "subResource": STRING, "requestKind": _KIND, "requestResource": _RESOURCE,
    "requestSubResource": STRING, "name": STRING, "namespace": STRING, "operation": STRING, "userInfo": _USER, "dryRun": BOOL, "options": DYN,
})  # fmt: skip
_NAMESPACE_METADATA = _object("kubernetes.NamespaceMetadata", {
    "name": STRING, "generateName": STRING, "namespace": STRING, "labels": map_of(STRING, STRING), "annotations": map_of(STRING, STRING),
    "UID": STRING, "creationTimestamp": Type("timestamp", convert=convert_timestamp),
    "deletionGracePeriodSeconds": INT, "deletionTimestamp": Type("timestamp", convert=convert_timestamp),
    "generation": INT, "resourceVersion": STRING, "finalizers": STRINGS,
})  # fmt: skip
NAMESPACE = _object("kubernetes.Namespace", {
    "metadata": _NAMESPACE_METADATA, "spec": _object("kubernetes.NamespaceSpec", {"finalizers": STRINGS}),
    "status": _object("kubernetes.NamespaceStatus", {"phase": STRING}),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """What the expressions of one policy may see beside the request and the objects."""

    has_params: bool = False
    has_authorizer: bool = True
    object_type: Type = DYN
    params_type: Type = DYN
    structs: frozenset[str] = frozenset()

    def environment(self, variables: Mapping[str, Type] | None = None) -> cel.Environment:
        found: dict[str, Type] = {
            "object": self.object_type, "oldObject": self.object_type, "request": REQUEST, "namespaceObject": NAMESPACE,
        }  # fmt: skip
        if self.has_params:
            found["params"] = self.params_type
        if self.has_authorizer:
            found["authorizer"] = AUTHORIZER
        if variables is not None:
            found["variables"] = _object("kubernetes.variables", variables)
        return cel.Environment(found, self.structs)


class NotThatType(Exception):
    """The expression gives another type than is asked for."""


def compile_expression(expression: str, environment: cel.Environment, *results: Type) -> cel.Program:
    """Raises CelCompileError, NotThatType. The type must be exactly one of `results` (none: any); dyn is not bool."""
    program = cel.compile(expression.strip(), environment)
    if results and not any(_exactly(result, program.type) for result in results):
        names = [str(r) if r.kind != "null" else "null_type" for r in results]
        raise NotThatType(f"must evaluate to {names[0]}" if len(names) == 1 else f"must evaluate to one of [{' '.join(names)}]")
    return program


def _exactly(wanted: Type, given: Type) -> bool:
    if wanted.kind == "list":
        return given.kind == "list" and given.parameters[0].kind in ("dyn", wanted.parameters[0].kind)
    return wanted.kind == given.kind and (wanted.kind != "object" or wanted.name == given.name)


def why(error: Exception) -> str:
    """As upstream tells a fault of an expression."""
    return f"compilation failed: {error.message}" if isinstance(error, cel.CelCompileError) else str(error)


@dataclass(frozen=True, slots=True)
class Expression:
    """`program` is None when it does not compile; `fault` says why."""

    source: str
    program: cel.Program | None
    fault: str = ""


def compiled(source: str, environment: cel.Environment, *results: Type) -> Expression:
    try:
        return Expression(source, compile_expression(source, environment, *results))
    except (cel.CelCompileError, NotThatType) as error:
        return Expression(source, None, why(error))


def compile_variables(scope: Scope, rows: Iterable[Object]) -> tuple[dict[str, Expression], dict[str, Type]]:
    """Expressions and types by name, in order. One that does not compile is not declared to the others."""
    expressions: dict[str, Expression] = {}
    types: dict[str, Type] = {}
    for row in rows:
        expression = compiled(row.get("expression", ""), scope.environment(dict(types)))
        expressions[row.get("name", "")] = expression
        if expression.program is not None:
            types[row.get("name", "")] = expression.program.type
    return expressions, types


def uses(expressions: Sequence[Expression], name: str) -> bool:
    return any(e.program is not None and name in e.program.uses for e in expressions)
