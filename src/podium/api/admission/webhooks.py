"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook.

Configurations are compiled when they change; which webhooks a (operation, resource, subresource) concerns is worked out once per change, so a
write that no webhook is about pays a dictionary lookup. Mutating webhooks are called one after the other, by the name of their configuration
and their place in it, each on what the ones before left; validating ones at once, on the final object, and the first refusal in that same
order is the answer. A webhook that cannot be asked refuses (Fail) or is passed over (Ignore).

Source: k8s.io/apiserver pkg/admission/plugin/webhook/{generic,mutating,validating}.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from podium.api.admission import review
from podium.api.admission.plugin import Operation, forbidden
from podium.api.admission.policies import BoundPolicy
from podium.api.admission.review import Answer, BadAnswer
from podium.api.admission_matching import Criteria, compile_criteria, equivalents
from podium.api.live_objects import LiveObjects
from podium.api.request import OWN_PARTS, Request
from podium.api.webhook_client import CallFailed, Place, compile_place
from podium.instrument.log import logger
from podium.objects import conversion, patches
from podium.objects.kinds import kind_of
from podium.objects.resources import Resource
from podium.objects.status import BadRequest, ServerError, StatusError
from podium.objects.validation.webhooks import REVIEW_VERSIONS
from podium.objects.values import Object, copy

if TYPE_CHECKING:
    from podium.api.core import Core
    from podium.objects.admission_policies import Policy

log = logger("api.admission.webhooks")
CACHED_MAX = 4096
_KEPT = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "generation",
    "managedFields",
    "namespace",
)


@dataclass(frozen=True, slots=True)
class Webhook:
    configuration: str
    name: str
    criteria: Criteria
    place: Place
    ignores_failure: bool
    timeout_s: int
    has_side_effects: bool
    reinvoked: bool
    review_version: str = "v1"
    conditions: "Policy | None" = None
    """Its match conditions, in the form of a policy that has nothing else."""


def compile_webhooks(value: Object) -> list[Webhook]:
    return [
        Webhook(
            value["metadata"]["name"], hook["name"], compile_criteria(hook), compile_place(hook.get("clientConfig") or {}),
            hook.get("failurePolicy") == "Ignore", hook.get("timeoutSeconds") or 10,
            hook.get("sideEffects") not in ("None", "NoneOnDryRun"), hook.get("reinvocationPolicy") == "IfNeeded",
            next((v for v in hook.get("admissionReviewVersions") or () if v in REVIEW_VERSIONS), "v1"), _compile_conditions(hook),
        ) for hook in value.get("webhooks") or ()
    ]  # fmt: skip


def _compile_conditions(hook: Object) -> "Policy | None":
    if not hook.get("matchConditions"):
        return None
    from podium.objects.admission_policies import compile_conditions  # loads the expression language: only who has conditions

    return compile_conditions(hook["name"], hook)


Matches = list[tuple[Webhook, Resource]]
"""Webhooks in the order of their calls, each with the resource in whose version it is shown the object."""


class WebhookTable:
    """The webhooks of one kind of configuration, by what they are asked about."""

    def __init__(self, configurations: LiveObjects[list[Webhook]]) -> None:
        self._configurations = configurations
        self._known: dict[tuple[Operation, Resource, str], Matches] = {}
        self._generation = (-1, -1)

    def matching(self, core: "Core", operation: Operation, request: Request) -> Matches:
        if self._configurations.empty:
            return []
        generation = (self._configurations.generation, core.catalog.generation)
        if generation != self._generation or len(self._known) >= CACHED_MAX:
            self._generation = generation
            self._known.clear()
        key = (operation, request.resource, request.subresource)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(core, *key)
        return found

    def _find(self, core: "Core", operation: Operation, resource: Resource, subresource: str) -> Matches:
        configurations = self._configurations.all()
        if not configurations:
            return []
        others = equivalents(core.catalog, resource)
        found: Matches = []
        for hook in (hook for configuration in configurations for hook in configuration):
            form = hook.criteria.form_for(operation, resource, subresource, others)
            if form is not None:
                found.append((hook, form))
        return found


def _selects(core: "Core", hook: Webhook, request: Request, new: Object | None, old: Object | None) -> bool:
    labels = None
    if request.namespace:
        facts = core.admission.namespaces.get(request.namespace)
        labels = facts.labels if facts is not None else {}
    return hook.criteria.selects(request.resource, labels, new, old)


async def _wanted(
    core: "Core", hook: Webhook, form: Resource, request: Request, operation: Operation, new: Object | None, old: Object | None
) -> bool:
    """Whether the webhook is asked about this object. Raises Forbidden for a condition that fails, unless failures are passed over."""
    if not _selects(core, hook, request, new, old):
        return False
    if hook.conditions is None:
        return True
    from podium.api.admission.policy_evaluation import Evaluation, ExpressionFault, namespace_of

    bound = BoundPolicy(hook.conditions, hook.criteria, form, ())
    evaluation = Evaluation(core, bound, request, operation, await namespace_of(core, request, [bound]))
    evaluation.show(new, old, None)
    try:
        return evaluation.conditions_met(hook.conditions)
    except ExpressionFault as fault:
        if hook.ignores_failure:
            return False
        raise forbidden(request, str(fault)) from None


async def mutate(core: "Core", hooks: Matches, request: Request, operation: Operation, new: Object | None, old: Object | None) -> "Round":
    """The first round: every webhook once, in order, each if it wants the object as the ones before left it. Raises StatusError."""
    round_ = Round(core, request, operation, old)
    for place, (hook, form) in enumerate(hooks):
        if await _wanted(core, hook, form, request, operation, new, old):
            await round_.call(hook, form, new, 0, place)
    return round_


class Round:
    """Calls of mutating webhooks on one object, and what they changed."""

    def __init__(self, core: "Core", request: Request, operation: Operation, old: Object | None) -> None:
        self._core, self._request, self._operation, self._old = core, request, operation, old
        self._again: list[tuple[Webhook, Resource, bytes]] = []
        self.changed = False

    async def call(self, hook: Webhook, form: Resource, new: Object | None, number: int, place: int) -> None:
        answer = await _ask(self._core, hook, form, self._request, self._operation, new, self._old, mutating=True)
        changed = False
        if answer is not None and answer.patch:
            if new is None or self._operation in ("DELETE", "CONNECT"):
                raise _internal(
                    f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this operation'
                )
            changed = await _patch(self._core, self._request, form, new, self._old, answer.patch)
            self.changed = self.changed or changed
        note = {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
        self._request.annotate(f"mutation.webhook.admission.k8s.io/round_{number}_index_{place}", orjson.dumps(note).decode())
        if hook.reinvoked and number == 0 and new is not None:
            self._again.append((hook, form, orjson.dumps(new)))

    async def again(self, new: Object) -> None:
        """The second round: those that ask for it, when the object is not as they left it."""
        for place, (hook, form, left) in enumerate(self._again):
            if orjson.dumps(new) != left:
                await self.call(hook, form, new, 1, place)


async def _patch(core: "Core", request: Request, form: Resource, new: Object, old: Object | None, patch: list[Object]) -> bool:
    """Changes `new` in place, as far as a webhook may; then it is what a client could have sent. Whether anything changed."""
    shown = await _shown(core, request, form, new)
    assert shown is not None
    try:
        patched = patches.apply_json(shown, patch)
    except StatusError as error:
        raise _internal(error.message) from error
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata", {}), dict):
        raise _internal("the patch of a webhook does not leave an object")
    if form.custom is not None and form != request.resource:
        form, patched = request.resource, await _in_version(core, request.resource, patched)
    return replace(core, request, form, new, old, patched)


def replace(core: "Core", request: Request, form: Resource, new: Object, old: Object | None, patched: Object) -> bool:
    """Makes `new`, in place, what `patched` (the caller's to give away) says in the version of `form`. Whether anything changed."""
    before, patched = copy(new), copy(patched)
    if request.subresource == "scale":
        from podium.api.subresources import set_replicas

        set_replicas(request.resource, new, (patched.get("spec") or {}).get("replicas", 0))
        return new != before
    if old is None and request.subresource:  # the body of a binding, an eviction, a token request: no stored object
        new.clear()
        new.update(patched)
        return new != before
    findings = kind_of(form).conform(patched)
    wrong = [cause for cause in findings.causes if cause.reason != "FieldValueRequired"]
    if wrong:
        raise _internal(str(wrong[0]))
    patched = conversion.to_storage(form, patched)
    if form.custom is not None:
        patched["apiVersion"] = request.resource.api_version
    new.clear()
    new.update(patched)
    metadata = new.setdefault("metadata", {})
    for field in _KEPT:
        metadata.pop(field, None)
        if field in before["metadata"]:
            metadata[field] = before["metadata"][field]
    if metadata.get("name") != before["metadata"].get("name") and before["metadata"].get("name"):
        metadata["name"] = before["metadata"]["name"]
    stored = core.stored_as(request.resource)
    strategy = core.strategy(stored)
    if old is None:
        strategy.prepare_create(core, new)
    elif request.subresource == "status":
        strategy.prepare_status(core, new, old)
    elif request.subresource in OWN_PARTS:
        strategy.prepare_part(core, new, old, request.subresource)
    else:
        strategy.prepare_update(core, new, old)
    kind_of(stored).default(new)
    return new != before


def _internal(why: str) -> ServerError:
    return ServerError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})


async def validate(core: "Core", hooks: Matches, request: Request, operation: Operation, new: Object | None, old: Object | None) -> None:
    """Raises the refusal of the first webhook, in their order, that refuses."""
    selected = [(hook, form) for hook, form in hooks if await _wanted(core, hook, form, request, operation, new, old)]
    if not selected:
        return
    if len(selected) == 1:
        await _ask(core, *selected[0], request, operation, new, old, mutating=False)
        return
    calls = [_ask(core, hook, form, request, operation, new, old, mutating=False) for hook, form in selected]
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _ask(
    core: "Core",
    hook: Webhook,
    form: Resource,
    request: Request,
    operation: Operation,
    new: Object | None,
    old: Object | None,
    *,
    mutating: bool,
) -> Answer | None:
    """The webhook's consent; None when it could not be asked and that is to be ignored. Raises StatusError."""
    if request.dry_run and hook.has_side_effects:
        raise BadRequest(f'admission webhook "{hook.name}" does not support dry run')
    uid = core.world.uid()
    kind = _kind(request, form)
    after, before = await _shown(core, request, form, new), await _shown(core, request, form, old)
    body = review.question(uid, request, operation, form, kind, after, before, hook.review_version)
    try:
        said = await core.admission.webhook_client.post(hook.place, body, hook.timeout_s)
        answer = review.answer(uid, said, mutating=mutating, version=hook.review_version)
    except (CallFailed, BadAnswer) as error:
        what = "failed to call webhook" if isinstance(error, CallFailed) else "received invalid webhook response"
        why = f'failed calling webhook "{hook.name}": {what}: {error}'
        if hook.ignores_failure:
            log.warning("a webhook was passed over", webhook=hook.name, configuration=hook.configuration, error=str(error))
            phase = "mutation" if mutating else "validating"
            request.annotate(f"failed-open.{phase}.webhook.admission.k8s.io/{hook.name}", hook.name)
            return None
        raise _internal(why) from error
    for text in answer.warnings:
        request.warn(text)
    for key, text in answer.annotations.items():
        request.annotate(f"{hook.name}/{key}", text)
    if not answer.allowed:
        raise review.refusal(hook.name, answer.result)
    return answer


def _kind(request: Request, form: Resource) -> tuple[str, str, str]:
    if request.subresource and (sub := form.subresource(request.subresource)) is not None:
        return sub.group, sub.version, sub.kind
    return form.group, form.version, form.kind


async def _shown(core: "Core", request: Request, form: Resource, value: Object | None) -> Object | None:
    """An object as the webhook is shown it."""
    if value is None or "metadata" not in value:
        return value
    if request.subresource == "scale":
        from podium.api.subresources import scale_of

        return scale_of(request.resource, value)
    return conversion.from_storage(form, value) if form.custom is None else await _in_version(core, form, value)


async def _in_version(core: "Core", resource: Resource, value: Object) -> Object:
    """A custom resource in another of its versions. Raises StatusError when its webhook fails."""
    kind = resource.custom
    if kind is None or value.get("apiVersion") == resource.api_version:
        return value
    return await core.views.shown(kind, value) if kind.converts_by_webhook else {**value, "apiVersion": resource.api_version}
