"""MutatingAdmissionPolicy: changes objects by expressions, before mutating webhooks.

Each policy sees what the ones before it left. What its expression builds is merged as server-side apply would (without owning the fields),
or is a JSON patch. When something changed, the built-in plugins and the policies that ask for it look again.

Source: k8s.io/apiserver pkg/admission/plugin/policy/mutating (dispatcher.go, patch/smd.go, patch/json_patch.go).
"""

from dataclasses import dataclass
from typing import Any

import orjson

from podium.api.admission import webhooks
from podium.api.admission.plugin import Operation
from podium.api.admission.policies import BoundPolicy, selected
from podium.api.admission.policy_evaluation import Evaluation, ExpressionFault, namespace_of, shown
from podium.api.admission.policy_params import ParamsFault, params_of
from podium.api.core import Core
from podium.api.request import Request
from podium.objects import apply, patches
from podium.objects.admission_policies import Binding, Mutation, Policy
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.json_values import to_json
from podium.objects.field_sets import is_granular_list, is_granular_object
from podium.objects.kinds import schema_of
from podium.objects.resources import Resource
from podium.objects.schema import Schema
from podium.objects.status import Forbidden, ServiceUnavailable, StatusError, resource_details
from podium.objects.values import Object

_MANAGER = apply.Manager("admission-policy", "Apply", "")
_TEST_FAILED = "test failed"


class PatchFault(Exception):
    """What the expression gave is no change that can be made: the policy fails."""


@dataclass(frozen=True, slots=True)
class _Invocation:
    bound: BoundPolicy
    binding: Binding
    param: Object | None


class PolicyRound:
    """The mutating policies of one request. `first` asks all of them, `again` those that want to see later changes."""

    def __init__(self, core: Core, request: Request, operation: Operation, new: Object, old: Object | None) -> None:
        self._core, self._request, self._operation = core, request, operation
        self._new, self._old = new, old
        self._faults: list[str] = []
        self._again: list[tuple[_Invocation, bytes]] = []
        self._namespace: Object | None = None
        self.changed = False

    async def first(self, policies: list[BoundPolicy]) -> None:
        """Raises StatusError."""
        invocations = await self._invocations(policies)
        for invocation in invocations:
            self._invoke(invocation)
            if invocation.bound.policy.reinvoked:
                self._again.append((invocation, orjson.dumps(self._new)))
        self._refuse()

    async def again(self) -> None:
        """The second round, for those whose object is not as they left it. Raises StatusError."""
        for invocation, left in self._again:
            if orjson.dumps(self._new) != left:
                self._invoke(invocation)
        self._refuse()

    async def _invocations(self, policies: list[BoundPolicy]) -> list[_Invocation]:
        request, labels = self._request, None
        if request.namespace:
            facts = self._core.admission.namespaces.get(request.namespace)
            labels = facts.labels if facts is not None else {}
        found: list[_Invocation] = []
        for bound in policies:
            for binding in selected(bound, request, self._operation, labels, self._new, self._old):
                try:
                    params = await params_of(self._core, request, bound.policy, binding)
                except ParamsFault as fault:
                    self._fail(bound.policy, binding, f"failed to configure binding: {fault}")
                    continue
                found += [_Invocation(bound, binding, param) for param in params]
        self._namespace = await namespace_of(self._core, request, [i.bound for i in found])
        return found

    def _invoke(self, invocation: _Invocation) -> None:
        bound, policy = invocation.bound, invocation.bound.policy
        evaluation = Evaluation(self._core, bound, self._request, self._operation, self._namespace)
        evaluation.show(self._new, self._old, invocation.param)
        try:
            if not evaluation.conditions_met(policy):
                return
        except ExpressionFault as fault:
            self._fail(policy, invocation.binding, str(fault))
            return
        for mutation in policy.mutations:
            try:
                self._mutate(bound, mutation, evaluation)
            except (ExpressionFault, PatchFault) as fault:
                self._fail(policy, invocation.binding, str(fault))
                continue
            evaluation.show(self._new, self._old, invocation.param)

    def _mutate(self, bound: BoundPolicy, mutation: Mutation, evaluation: Evaluation) -> None:
        value = evaluation.value(mutation.expression)
        live = shown(self._request, bound, self._new)
        assert live is not None
        try:
            built = to_json(value)
        except CelRuntimeError as error:
            raise PatchFault(f"type mismatch: {error.message}") from None
        if mutation.kind == "JSONPatch":
            patched = _patched(live, built)
        else:
            patched = _applied(live, {**built, "apiVersion": live["apiVersion"], "kind": live["kind"]}, bound.form)
        if patched is not None and webhooks.replace(self._core, self._request, bound.form, self._new, self._old, patched):
            self.changed = True

    def _fail(self, policy: Policy, binding: Binding, message: str) -> None:
        if not policy.ignores_failure:
            self._faults.append(f"policy '{policy.name}' with binding '{binding.name}' denied request: {message}")

    def _refuse(self) -> None:
        if not self._faults:
            return
        details = resource_details(self._request.resource.group, self._request.resource.plural, self._request.name)
        details["causes"] = [{"message": message} for message in self._faults]
        raise Forbidden(self._faults[0], details=details, reason="Invalid")


def _patched(live: Object, operations: Any) -> Any:
    """None when a test in the patch says that it is not meant."""
    if not isinstance(operations, list):
        raise PatchFault("type mismatch: JSONPatchType.expression should evaluate to array")
    try:
        return patches.apply_json(live, operations)
    except StatusError as error:
        if any(isinstance(o, dict) and o.get("op") == "test" for o in operations) and _TEST_FAILED in error.message:
            return None
        raise PatchFault(f"JSONPath: {error.message}") from error


def _applied(live: Object, configuration: Object, form: Resource) -> Object:
    try:
        node = schema_of(form, form.api_version)
    except KeyError:
        kind = f"{form.api_version}, Kind={form.kind}"
        text = f"Resource kind {kind} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available."
        raise ServiceUnavailable(text) from None
    if unknown := _unknown(configuration, node, ""):
        raise PatchFault(f"error applying patch: failed to convert patch object to typed object: {unknown}: field not declared in schema")
    if atomics := _atomics(configuration, node, ""):
        paths = ", ".join(atomics)
        raise PatchFault(f"error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}")
    return apply.apply(live, configuration, _MANAGER, {}, node, force=True)[0]


def _unknown(value: Any, node: Schema | None, path: str) -> str:
    """The first field that the schema does not know."""
    if node is None or node.preserve_unknown:
        return ""
    if isinstance(value, list):
        return next((found for i, item in enumerate(value) if (found := _unknown(item, node.items, f"{path}[{i}]"))), "")
    if not isinstance(value, dict) or node.additional is not None:
        return ""
    for name, below in value.items():
        child = node.properties.get(name)
        if child is None:
            return f"{path}.{name}"
        if found := _unknown(below, child, f"{path}.{name}"):
            return found
    return ""


def _atomics(value: Any, node: Schema | None, path: str) -> list[str]:
    """Lists and objects that would be replaced as a whole: what they do not name would be lost."""
    if node is None:
        return []
    if isinstance(value, list):
        found = [] if is_granular_list(node) else [path]
        return found + [a for i, item in enumerate(value) for a in _atomics(item, node.items, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    found = [] if is_granular_object(value, node) else [path]
    return found + [a for name, below in value.items() for a in _atomics(below, node.properties.get(name), f"{path}.{name}")]
