"""ValidatingAdmissionPolicy: asks every policy about the final object; what a failed validation does is the binding's to say.

All are asked, in the order of their names; the first denial is the answer, warnings and audit annotations are kept of all.

Source: k8s.io/apiserver pkg/admission/plugin/policy/validating (dispatcher.go, validator.go).
"""

from dataclasses import dataclass, field

import orjson

from podium.api.admission.plugin import Operation
from podium.api.admission.policies import BoundPolicy, selected
from podium.api.admission.policy_evaluation import Evaluation, ExpressionFault, namespace_of
from podium.api.admission.policy_params import ParamsFault, params_of
from podium.api.core import Core
from podium.api.request import Request
from podium.objects.admission_policies import Binding, Policy, Validation
from podium.objects.cel.values import type_name
from podium.objects.status import StatusError, from_value, qualified, resource_details
from podium.objects.values import Object

MESSAGE_BYTES_MAX = 5 * 1024
ANNOTATION_BYTES_MAX = 10 * 1024
FAILURE_ANNOTATION = "validation.policy.admission.k8s.io/validation_failure"
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}


@dataclass(frozen=True, slots=True)
class Denial:
    message: str
    reason: str = "Invalid"
    place: int = 0
    """Which validation it was."""


@dataclass(slots=True)
class _Findings:
    """The first denial with its policy and binding; annotations by key."""

    first: tuple[str, str | None, Denial] | None = None
    annotations: dict[str, list[str]] = field(default_factory=dict)

    def deny(self, policy: Policy, binding: Binding | None, denial: Denial) -> None:
        if self.first is None:
            self.first = (policy.name, None if binding is None else binding.name, denial)


async def validate(
    core: Core, policies: list[BoundPolicy], request: Request, operation: Operation, new: Object | None, old: Object | None
) -> None:
    """Raises StatusError: the first denial."""
    labels = None
    if request.namespace:
        facts = core.admission.namespaces.get(request.namespace)
        labels = facts.labels if facts is not None else {}
    asked = [(bound, bindings) for bound in policies if (bindings := selected(bound, request, operation, labels, new, old))]
    if not asked:
        return
    namespace = await namespace_of(core, request, [bound for bound, _ in asked])
    findings = _Findings()
    for bound, bindings in asked:
        findings.annotations = {}
        for binding in bindings:
            await _ask(core, bound, binding, Evaluation(core, bound, request, operation, namespace), request, new, old, findings)
        for key, texts in findings.annotations.items():
            request.annotate(f"{bound.policy.name}/{key}", ", ".join(texts))
    if findings.first is not None:
        raise _refusal(request, *findings.first)


async def _ask(
    core: Core,
    bound: BoundPolicy,
    binding: Binding,
    evaluation: Evaluation,
    request: Request,
    new: Object | None,
    old: Object | None,
    findings: _Findings,
) -> None:
    policy = bound.policy
    try:
        params = await params_of(core, request, policy, binding)
    except ParamsFault as fault:
        if not policy.ignores_failure:
            findings.deny(policy, binding, Denial(f"failed to configure binding: {fault}"))
        return
    for param in params:
        evaluation.show(new, old, param)
        try:
            if not evaluation.conditions_met(policy):
                continue
        except ExpressionFault as fault:
            if not policy.ignores_failure:
                _act(request, policy, binding, Denial(str(fault)), findings)
            continue
        for denial in _denials(policy, evaluation):
            _act(request, policy, binding, denial, findings)
        _annotate(policy, binding, evaluation, findings)


def _denials(policy: Policy, evaluation: Evaluation) -> list[Denial]:
    found: list[Denial] = []
    for place, validation in enumerate(policy.validations):
        try:
            if evaluation.value(validation.condition) is not True:
                found.append(Denial(_message(validation, evaluation), validation.reason, place))
        except ExpressionFault as fault:
            if not policy.ignores_failure:
                found.append(Denial(str(fault), place=place))
            if evaluation.budget.remaining < 0:
                break
    return found


def _message(validation: Validation, evaluation: Evaluation) -> str:
    """messageExpression, when it gives one line of sensible length; else message; else the expression."""
    text = ""
    if validation.message_expression is not None:
        try:
            value = evaluation.value(validation.message_expression)
            text = value.strip() if isinstance(value, str) else ""
        except ExpressionFault:
            text = ""
        if len(text.encode()) > MESSAGE_BYTES_MAX or "\n" in text:
            text = ""
    return text or validation.message or f"failed expression: {validation.condition.source.strip()}"


def _act(request: Request, policy: Policy, binding: Binding, denial: Denial, findings: _Findings) -> None:
    if "Deny" in binding.actions:
        findings.deny(policy, binding, denial)
    if "Audit" in binding.actions:
        failure = {
            "message": denial.message, "policy": policy.name, "binding": binding.name, "expressionIndex": denial.place,
            "validationActions": sorted(binding.actions),
        }  # fmt: skip
        request.annotate(FAILURE_ANNOTATION, orjson.dumps([failure]).decode())
    if "Warn" in binding.actions:
        request.warn(f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}': {denial.message}")


def _annotate(policy: Policy, binding: Binding, evaluation: Evaluation, findings: _Findings) -> None:
    for key, expression in policy.annotations:
        try:
            value = evaluation.value(expression)
        except ExpressionFault as fault:
            if not policy.ignores_failure:
                findings.deny(policy, binding, Denial(str(fault)))
            continue
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if not isinstance(value, str):
            why = f"valueExpression '{expression.source}' resulted in unsupported return type: {type_name(value)}. "
            findings.deny(policy, binding, Denial(why + "Return type must be either string or null."))
            continue
        texts = findings.annotations.setdefault(key, [])
        text = value.strip().encode()[:ANNOTATION_BYTES_MAX].decode(errors="ignore")
        if text not in texts:
            texts.append(text)


def _refusal(request: Request, policy: str, binding: str | None, denial: Denial) -> StatusError:
    with_binding = f" with binding '{binding}'" if binding is not None else ""
    message = f"ValidatingAdmissionPolicy '{policy}'{with_binding} denied request: {denial.message}"
    details = resource_details(request.resource.group, request.resource.plural, request.name)
    details["causes"] = [{"message": message}]
    what = qualified(request.resource.group, request.resource.plural)
    text = f'{what} "{request.name}" is forbidden: {message}'
    code = _CODES.get(denial.reason, 422)
    return from_value(code, {"kind": "Status", "message": text, "reason": denial.reason, "code": code, "details": details})
