"""Status of ValidatingAdmissionPolicies: the warnings of type checking, once per generation.

Source: k8s.io/kubernetes pkg/controller/validatingadmissionpolicystatus.
"""

from collections.abc import Iterable

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects.resources import Resource, resource
from podium.objects.values import name_of
from podium.world.interface import World


class PolicyStatusController:
    """`resources` are those that the server serves."""

    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, resources: Iterable[Resource]) -> None:
        self._client = client
        self._resources = resources
        self._kind = resource("validatingadmissionpolicies", "admissionregistration.k8s.io")
        self._policies = mirrors.of(self._kind)
        self._queue = WorkQueue(world)
        self._loop = ControlLoop("policy-status", self._queue, self.reconcile)

    async def run(self) -> None:
        self._policies.subscribe(self._changed)
        await self._policies.synced()
        await self._loop.run()

    def _changed(self, change: Change) -> None:
        if change.new is not None:
            self._queue.add(name_of(change.new))

    async def reconcile(self, name: str) -> None:
        policy = self._policies.get("", name)
        if policy is not None and (status := plan_status(policy, self._resources)) is not None:
            await self._client.update(self._kind, {**policy, "status": status}, subresource="status")


def plan_status(policy: Object, resources: Iterable[Resource]) -> Object | None:
    """The status to write; None when it speaks of this generation."""
    from podium.objects.policy_type_checking import expression_warnings

    generation, status = policy["metadata"].get("generation", 0), policy.get("status") or {}
    if status.get("observedGeneration", 0) >= generation:
        return None
    warnings = expression_warnings(policy, resources)
    checking: Object = {"expressionWarnings": warnings} if warnings else {}
    return {**status, "observedGeneration": generation, "typeChecking": checking}
