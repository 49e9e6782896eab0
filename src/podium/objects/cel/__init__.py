"""CEL, the expression language of rules and policies, with the Kubernetes functions.

`compile(expression, Environment({"self": type}))` gives a `Program`; `program.evaluate({"self": value}, budget)` its value.
Stages: lexer, parser, checker (types), compiler (closures); beside them estimates (cost before running) and the library of functions.
Source: cel-spec; k8s.io/apiserver pkg/cel. Why our own: docs/decisions/0010-cel.md.
"""

from podium.objects.cel.errors import CelCompileError, CelRuntimeError, CostExceeded
from podium.objects.cel.program import Budget, Environment, Program, compile
from podium.objects.cel.schema_types import resource_type, structural_type

__all__ = [
    "Budget",
    "CelCompileError",
    "CelRuntimeError",
    "CostExceeded",
    "Environment",
    "Program",
    "compile",
    "resource_type",
    "structural_type",
]
