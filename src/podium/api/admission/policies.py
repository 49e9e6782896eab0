"""Admission policies and their bindings, compiled when they change, and which of them a write concerns.

A policy without a binding does nothing. Which policies a (operation, resource, subresource) concerns is worked out once per change, so a write
that no policy is about pays a dictionary lookup.

Source: k8s.io/apiserver pkg/admission/plugin/policy/generic, pkg/admission/plugin/policy/matching.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podium.api.admission.plugin import Operation
from podium.api.admission_matching import Criteria, compile_criteria, equivalents
from podium.api.live_objects import LiveObjects
from podium.api.request import Request
from podium.objects.resources import Resource, resource
from podium.objects.values import Object

if TYPE_CHECKING:
    from podium.api.core import Core
    from podium.objects.admission_policies import Binding, Policy
    from podium.store.interface import Store

CACHED_MAX = 4096
GROUP = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class BoundPolicy:
    """`form` is the resource in whose version the policy sees the object."""

    policy: Policy
    criteria: Criteria
    form: Resource
    bindings: tuple[tuple[Binding, Criteria | None], ...]


def _compile_with_criteria(compile_policy: Callable[[Object], Policy]) -> Callable[[Object], tuple[Policy, Criteria]]:
    def run(value: Object) -> tuple[Policy, Criteria]:
        constraints = value["spec"].get("matchConstraints") or {}
        return compile_policy(value), compile_criteria(constraints, "resourceRules")

    return run


def _compile_binding(value: Object) -> tuple[Binding, Criteria | None]:
    from podium.objects.admission_policies import compile_binding

    resources = (value.get("spec") or {}).get("matchResources")
    return compile_binding(value), compile_criteria(resources, "resourceRules") if resources is not None else None


class PolicyTable:
    """The policies of one kind (`validating` or `mutating`) by what they are asked about."""

    def __init__(self, store: Store, kind: str, compile_policy: Callable[[Object], Policy]) -> None:
        self._policies = LiveObjects(store, resource(f"{kind}admissionpolicies", GROUP), _compile_with_criteria(compile_policy))
        self._bindings = LiveObjects(store, resource(f"{kind}admissionpolicybindings", GROUP), _compile_binding)
        self._known: dict[tuple[Operation, Resource, str], list[BoundPolicy]] = {}
        self._generation = (-1, -1, -1)

    async def start(self) -> None:
        await self._policies.start()
        await self._bindings.start()

    def matching(self, core: Core, operation: Operation, request: Request) -> list[BoundPolicy]:
        """Those whose rules are about this kind of request, by name. Selectors are asked with the object: `selected`."""
        if self._policies.empty:
            return []
        generation = (self._policies.generation, self._bindings.generation, core.catalog.generation)
        if generation != self._generation or len(self._known) >= CACHED_MAX:
            self._generation = generation
            self._known.clear()
        key = (operation, request.resource, request.subresource)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(core, *key)
        return found

    def _find(self, core: Core, operation: Operation, asked: Resource, subresource: str) -> list[BoundPolicy]:
        policies = self._policies.all()
        if not policies:
            return []
        others = equivalents(core.catalog, asked)
        bindings: dict[str, list[tuple[Binding, Criteria | None]]] = {}
        for binding, criteria in self._bindings.all():
            if criteria is None or _concerns(criteria, operation, asked, subresource, others):
                bindings.setdefault(binding.policy, []).append((binding, criteria))
        found = []
        for policy, criteria in policies:
            form = criteria.form_for(operation, asked, subresource, others)
            if form is not None and policy.name in bindings:
                found.append(BoundPolicy(policy, criteria, form, tuple(bindings[policy.name])))
        return found


def _concerns(criteria: Criteria, operation: str, asked: Resource, subresource: str, others: list[Resource]) -> bool:
    """A binding without rules takes whatever its policy takes."""
    if criteria.rules:
        return criteria.form_for(operation, asked, subresource, others) is not None
    return not any(not rule.names and rule.matches(operation, asked, subresource) for rule in criteria.excluded)


def selected(
    bound: BoundPolicy, request: Request, operation: Operation, labels: Mapping[str, str] | None, new: Object | None, old: Object | None
) -> list[Binding]:
    """The bindings by which the policy is asked about these objects."""
    if not _selects(bound.criteria, bound.form, request, operation, labels, new, old):
        return []
    return [
        binding
        for binding, criteria in bound.bindings
        if criteria is None or _selects(criteria, request.resource, request, operation, labels, new, old)
    ]


def _selects(
    criteria: Criteria,
    form: Resource,
    request: Request,
    operation: Operation,
    labels: Mapping[str, str] | None,
    new: Object | None,
    old: Object | None,
) -> bool:
    name = request.name or ((new or {}).get("metadata") or {}).get("name", "")
    return criteria.names_match(operation, form, request.subresource, name) and criteria.selects(request.resource, labels, new, old)
