"""The pods of owners that let the server name them: ReplicaSets, ReplicationControllers, DaemonSets, Jobs.

What all of them do with pods is here: claim those that match, create and delete, tell of it in events, and note what the mirror is yet to show
(expectations.py). How many and which is their own business.

Source: k8s.io/kubernetes pkg/controller/controller_utils.go (RealPodControl) for events.
"""

from podium.client.control_loop import namespace_is_terminating
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, ORPHANS
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Mirror
from podium.controllers.expectations import Expectations
from podium.controllers.ownership import apply_claims, plan_claims
from podium.controllers.pod_conditions import is_active
from podium.objects.resources import Resource, resource
from podium.objects.selectors import LabelSelector
from podium.objects.status import NotFound
from podium.objects.values import name_of, namespace_of
from podium.world.interface import Clock


class OwnedPods:
    """Of owners of one kind. `pods` is indexed by controller. `key` is the owner's in the controller's queue."""

    def __init__(self, client: Client, events: EventRecorder, owners: Resource, pods: Mirror, clock: Clock) -> None:
        self.expectations = Expectations(pods, clock)
        self._client, self._events, self._owners, self._pods = client, events, owners, pods
        self._pod = resource("pods")

    async def claimed(self, owner: Object, selector: LabelSelector) -> list[Object]:
        """Those that it controls, once orphans that match are adopted and what does not match is released. Raises Conflict, NotFound."""
        controlled = self._pods.by_index(BY_CONTROLLER, owner["metadata"]["uid"])
        orphans = [pod for pod in self._pods.by_index(BY_CONTROLLER, ORPHANS + namespace_of(owner)) if is_active(pod)]
        claims = plan_claims(owner, selector, controlled, orphans)
        if not claims.adopt and not claims.release:
            return claims.held
        return await apply_claims(self._client, self._owners, owner, self._pod, claims)

    async def create(self, key: str, owner: Object, pod: Object) -> None:
        """Raises what the server says."""
        try:
            made = await self._client.create(self._pod, pod)
        except Exception as error:
            if not namespace_is_terminating(error):
                self._events.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self.expectations.created(key, made)
        self._events.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(made)}")

    async def delete(self, key: str, owner: Object, pod: Object) -> None:
        """Raises what the server says, unless it is gone already."""
        try:
            await self._client.delete(self._pod, name_of(pod), namespace_of(pod), DeleteOptions(uid=pod["metadata"]["uid"]))
        except NotFound:
            self.expectations.deleted(key, [pod])
            return
        except Exception as error:
            self._events.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self.expectations.deleted(key, [pod])
        self._events.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
