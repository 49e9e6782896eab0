"""EndpointSlices: which addresses serve each Service that has a selector.

Decided in endpoint_slice_plan.py from the pods behind the Service and the slices there are. Slices are named by the server, so a turn
planned on a mirror that does not show the slices of the turn before would create them twice: each write is remembered until the mirror
shows it, and no turn is planned before that.

Source: k8s.io/kubernetes pkg/controller/endpointslice.
"""

from podium.client.control_loop import ControlLoop, namespace_is_terminating
from podium.client.events import EventRecorder
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.endpoint_slice_plan import MANAGED_BY, MANAGER, SERVICE_NAME, ZONE, Plan, plan_slices
from podium.controllers.service_pods import ServicePods
from podium.objects.resources import resource
from podium.objects.status import NotFound, StatusError
from podium.objects.values import is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

BY_SERVICE = "service"
WORKERS = 5
AWAITED_S_MAX = 60.0
"""A write that the mirror has not shown by then was undone by somebody else before it was seen."""

_DELETED = 0


def by_service(value: Object) -> tuple[str, ...]:
    """The key of the Service, for slices that are ours."""
    labels = value["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return ()
    return (f"{value['metadata']['namespace']}/{labels[SERVICE_NAME]}",)


class EndpointSliceController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._slice = resource("endpointslices", "discovery.k8s.io")
        self._slices = mirrors.of(self._slice)
        self._nodes = mirrors.of(resource("nodes"))
        self._slices.add_index(BY_SERVICE, by_service)
        self._queue = WorkQueue(world, retry_first_s=1.0, retry_max_s=1000.0)
        self._behind = ServicePods(mirrors, self._queue)
        self._awaited: dict[str, dict[str, tuple[int, float]]] = {}  # service -> slice -> (revision or _DELETED, since)

    async def run(self) -> None:
        await self._behind.synced()
        await self._slices.synced()
        await self._nodes.synced()
        cancellations = [self._slices.subscribe(self._slice_changed), self._nodes.subscribe(self._node_changed), self._behind.start()]
        try:
            await ControlLoop("endpoint-slices", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in reversed(cancellations):
                cancel()

    def _slice_changed(self, change: Change) -> None:
        """Our own writes only tell that the mirror has caught up; anybody else's are put right."""
        for service in dict.fromkeys(key for value in (change.old, change.new) if value is not None for key in by_service(value)):
            if not self._seen(service, change):
                self._queue.add_after(service, self._behind.turn_s(service))

    def _seen(self, service: str, change: Change) -> bool:
        """Whether the change is one that we wrote."""
        awaited = self._awaited.get(service, {})
        name = name_of(change.object)
        if name not in awaited:
            return False
        revision, _ = awaited[name]
        if change.type == "deleted":
            del awaited[name]
            return revision == _DELETED
        if revision == _DELETED or int(change.object["metadata"]["resourceVersion"]) < revision:
            return True
        del awaited[name]
        return int(change.object["metadata"]["resourceVersion"]) == revision

    def _node_changed(self, change: Change) -> None:
        zones = [_zone(value) if value is not None else "" for value in (change.old, change.new)]
        if change.type != "deleted" and zones[0] != zones[1]:
            self._behind.requeue_all()

    def _zone_of(self, node: str) -> str:
        value = self._nodes.get("", node)
        return _zone(value) if value is not None else ""

    async def reconcile(self, key: str) -> None:
        service = self._behind.services.by_key(key)
        if service is None:  # its slices go with it, by their owner reference
            self._awaited.pop(key, None)
            return
        spec = service["spec"]
        if spec.get("type") == "ExternalName" or not spec.get("selector") or is_deleting(service):
            return
        if self._is_behind(key):
            self._queue.add_after(key, 0.05)
            return
        mine = [s for s in self._slices.by_index(BY_SERVICE, key) if not is_deleting(s)]
        plan = plan_slices(service, self._behind.behind(service), mine, self._zone_of)
        try:
            await self._apply(key, plan)
        except StatusError as error:
            if not isinstance(error, NotFound) and not namespace_is_terminating(error):
                message = f"Error updating Endpoint Slices for Service {key}: {error}"
                self._events.event(service, "Warning", "FailedToUpdateEndpointSlices", message)
            raise

    def _is_behind(self, key: str) -> bool:
        awaited = self._awaited.get(key, {})
        now = self._clock.monotonic()
        for name in [name for name, (_, since) in awaited.items() if now - since > AWAITED_S_MAX]:
            del awaited[name]
        return bool(awaited)

    async def _apply(self, key: str, plan: Plan) -> None:
        for value in plan.create:
            self._await(key, await self._client.create(self._slice, value))
        for value in plan.update:
            self._await(key, await self._client.update(self._slice, value))
        for value in plan.delete:
            try:
                await self._client.delete(self._slice, name_of(value), namespace_of(value), DeleteOptions(uid=value["metadata"]["uid"]))
            except NotFound:
                continue
            if self._slices.by_key(key_of(value)) is not None:
                self._awaited.setdefault(key, {})[name_of(value)] = (_DELETED, self._clock.monotonic())

    def _await(self, key: str, written: Object) -> None:
        """Notes a write, unless the mirror has it already."""
        revision = int(written["metadata"]["resourceVersion"])
        held = self._slices.by_key(key_of(written))
        if held is None or int(held["metadata"]["resourceVersion"]) < revision:
            self._awaited.setdefault(key, {})[name_of(written)] = (revision, self._clock.monotonic())


def _zone(node: Object) -> str:
    return (node["metadata"].get("labels") or {}).get(ZONE, "")
