"""Aggregated ClusterRoles: a role with an aggregationRule gets the rules of all roles that its selectors match.

The rules come in the order of the selectors, then of the roles' names, each once; what somebody wrote into such a role by hand is replaced.
An aggregated role may itself be gathered (view into edit into admin): each change leads to the next until nothing changes.

Source: k8s.io/kubernetes pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go.
"""

from collections.abc import Sequence

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects import selectors
from podium.objects.resources import resource
from podium.objects.values import name_of
from podium.world.interface import World


class ClusterRoleAggregationController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._resource = resource("clusterroles", "rbac.authorization.k8s.io")
        self._roles = mirrors.of(self._resource)
        self._queue = WorkQueue(world)
        self._loop = ControlLoop("cluster-role-aggregation", self._queue, self.reconcile)

    async def run(self) -> None:
        await self._roles.synced()
        cancel = self._roles.subscribe(self._changed)
        try:
            await self._loop.run()
        finally:
            cancel()

    def _changed(self, change: Change) -> None:
        """Any role may be a part of any aggregated one: those are few."""
        for role in self._roles.all():
            if role.get("aggregationRule"):
                self._queue.add(name_of(role))

    async def reconcile(self, key: str) -> None:
        role = self._roles.get("", key)
        if role is None:
            return
        rules = plan_rules(role, self._roles.all())
        if rules is not None:
            await self._client.update(self._resource, {**role, "rules": rules})


def plan_rules(role: Object, roles: Sequence[Object]) -> list[Object] | None:
    """What the rules of `role` must become; None when they are right. `roles` in the order of their names."""
    if not role.get("aggregationRule"):
        return None
    rules: list[Object] = []
    for value in role["aggregationRule"].get("clusterRoleSelectors") or ():
        selector = selectors.from_value(value)
        for member in roles:
            if name_of(member) != name_of(role) and selector.matches(member["metadata"].get("labels")):
                rules.extend(r for r in member.get("rules") or () if r not in rules)
    return None if rules == (role.get("rules") or []) else rules
