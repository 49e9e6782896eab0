"""Evaluation of a policy's expressions for one request: what they see, their shared budget, their variables.

What an expression does not read is not made: the request, the namespace and variables are values that come when they are asked for.

Source: k8s.io/apiserver pkg/admission/plugin/cel/condition.go, composition.go; pkg/admission/plugin/webhook/matchconditions/matcher.go.
"""

from typing import Any

from podium.api.admission import review
from podium.api.admission.plugin import Operation
from podium.api.admission.policies import BoundPolicy
from podium.api.core import Core
from podium.api.request import Request, User
from podium.objects import cel, conversion
from podium.objects.admission_policies import Policy
from podium.objects.cel.authorization import Authorizer
from podium.objects.policy_expressions import Expression
from podium.objects.resources import resource
from podium.objects.values import Object

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_NAMESPACE_METADATA = (
    "name", "generateName", "labels", "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
    "resourceVersion", "finalizers",
)  # fmt: skip


class ExpressionFault(Exception):
    """An expression gave no value: its policy fails."""


class Evaluation:
    """One policy, one parameter, one state of the object."""

    def __init__(self, core: Core, bound: BoundPolicy, request: Request, operation: Operation, namespace: Object | None) -> None:
        self._core, self._bound, self._request, self._operation = core, bound, request, operation
        self._namespace = namespace
        self.budget = cel.Budget()
        self.bindings: dict[str, Any] = {}

    def show(self, new: Object | None, old: Object | None, param: Object | None) -> None:
        """From now on the expressions see these."""
        bindings: dict[str, Any] = _Bindings(self._make)
        bindings["object"] = shown(self._request, self._bound, new)
        bindings["oldObject"] = shown(self._request, self._bound, old)
        bindings["namespaceObject"] = self._namespace
        bindings["params"] = param
        bindings["variables"] = _Variables(self._bound.policy, bindings, self.budget)
        self.bindings = bindings

    def _make(self, name: str) -> Any:
        if name == "request":
            return _request_value(self._core, self._bound, self._request, self._operation)
        if name == "authorizer":
            return _authorizer(self._core, self._request.user)
        raise KeyError(name)

    def value(self, expression: Expression) -> Any:
        """Raises ExpressionFault."""
        if expression.program is None:
            raise ExpressionFault(f"compilation error: {expression.fault}")
        try:
            return expression.program.evaluate(self.bindings, self.budget)
        except cel.CelRuntimeError as error:
            if self.budget.remaining < 0:
                raise ExpressionFault(OUT_OF_BUDGET) from None
            raise ExpressionFault(f"expression '{expression.source}' resulted in error: {error.message}") from None

    def conditions_met(self, policy: Policy) -> bool:
        """One that is false decides, whatever others fail. Raises ExpressionFault."""
        faults: list[str] = []
        for condition in policy.conditions:
            try:
                if self.value(condition) is not True:
                    return False
            except ExpressionFault as fault:
                faults.append(str(fault))
        if faults:
            raise ExpressionFault(faults[0] if len(faults) == 1 else "[" + ", ".join(faults) + "]")
        return True


class _Bindings(dict[str, Any]):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._make(name)
        return value


class _Variables(dict[str, Any]):
    """A variable is evaluated when it is first read."""

    def __init__(self, policy: Policy, bindings: dict[str, Any], budget: cel.Budget) -> None:
        super().__init__()
        self._policy, self._bindings, self._budget = policy, bindings, budget

    def __contains__(self, name: object) -> bool:
        return name in self._policy.variables

    def __missing__(self, name: str) -> Any:
        expression = self._policy.variables[name]
        if expression.program is None:
            raise cel.CelRuntimeError(f'composited variable "{name}" fails to compile: {expression.fault}')
        try:
            value = self[name] = expression.program.evaluate(self._bindings, self._budget)
        except cel.CostExceeded:
            raise
        except cel.CelRuntimeError as error:
            raise cel.CelRuntimeError(f'composited variable "{name}" fails to evaluate: {error.message}') from None
        return value


def shown(request: Request, bound: BoundPolicy, value: Object | None) -> Object | None:
    """An object in the version the policy speaks of."""
    if value is None or "metadata" not in value:
        return value
    if request.subresource == "scale":
        from podium.api.subresources import scale_of

        return scale_of(request.resource, value)
    return conversion.from_storage(bound.form, value)


async def namespace_of(core: Core, request: Request, policies: list[BoundPolicy]) -> Object | None:
    """What the expressions may see of the request's namespace, when any looks."""
    if not request.namespace or not any(bound.policy.needs_namespace for bound in policies):
        return None
    record = await core.store.get(resource("namespaces").key(None, request.namespace))
    if record is None:
        return None
    value = record.value
    metadata = {k: value["metadata"][k] for k in _NAMESPACE_METADATA if k in value["metadata"]}
    metadata["UID"] = value["metadata"].get("uid", "")
    seen: Object = {"metadata": metadata}
    if finalizers := (value.get("spec") or {}).get("finalizers"):
        seen["spec"] = {"finalizers": finalizers}
    if phase := (value.get("status") or {}).get("phase"):
        seen["status"] = {"phase": phase}
    return seen


def _request_value(core: Core, bound: BoundPolicy, request: Request, operation: Operation) -> Object:
    form = bound.form
    kind = (form.group, form.version, form.kind)
    if request.subresource and (sub := form.subresource(request.subresource)) is not None:
        kind = (sub.group, sub.version, sub.kind)
    asked: Object = review.question("", request, operation, form, kind, None, None)["request"]
    return {k: v for k, v in asked.items() if k not in ("uid", "object", "oldObject") and v not in ("", None)}


def _authorizer(core: Core, user: User) -> Authorizer:
    from podium.api.policy_authorizer import decide_for

    return Authorizer(decide_for(core, user))
