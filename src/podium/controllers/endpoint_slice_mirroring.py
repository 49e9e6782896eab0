"""EndpointSlice mirroring: an Endpoints object that somebody writes for a Service without a selector, shown as slices.

Readers of addresses look at slices alone; who still writes Endpoints by hand must be heard by them. One slice for each set of ports and
address family of the Endpoints, named after both, so that a turn on a mirror that lags cannot make the same slice twice. The slices belong to
the Endpoints and go with it.

Source: k8s.io/kubernetes pkg/controller/endpointslicemirroring (reconciler.go, utils.go).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.ownership import controller_reference
from podium.controllers.service_pods import ports_key
from podium.objects.resources import resource
from podium.objects.values import is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

SERVICE_NAME, MANAGED_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
ADDRESSES_MAX = 1000
"""Of one subset; the rest is not mirrored."""

_NOT_COPIED = ("endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration")
_BY_SERVICE = "mirrored"
WORKERS = 5


def by_service(value: Object) -> tuple[str, ...]:
    labels = value["metadata"].get("labels") or {}
    return (f"{namespace_of(value)}/{labels.get(SERVICE_NAME, '')}",) if labels.get(MANAGED_BY) == MANAGER else ()


def is_mirrored(endpoints: Object | None, service: Object | None) -> bool:
    """Whether it is somebody's own: not the work of a controller, not a lock, and its Service selects no pods."""
    if endpoints is None or service is None or is_deleting(endpoints) or service["spec"].get("selector"):
        return False
    metadata = endpoints["metadata"]
    return (metadata.get("labels") or {}).get(SKIP) != "true" and LEADER not in (metadata.get("annotations") or {})


@dataclass(slots=True)
class Plan:
    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


def plan_mirror(endpoints: Object, existing: Sequence[Object]) -> Plan:
    """`existing` are our slices for it."""
    plan, held = Plan(), {name_of(one): one for one in existing}
    for wanted in slices_of(endpoints):
        current = held.pop(name_of(wanted), None)
        if current is None:
            plan.create.append(wanted)
        elif any(current.get(f) != wanted[f] for f in ("endpoints", "ports")) or not _same_marks(current, wanted):
            metadata = {**current["metadata"], **{f: wanted["metadata"][f] for f in ("labels", "annotations")}}
            plan.update.append({**wanted, "metadata": metadata})
    plan.delete = list(held.values())
    return plan


def _same_marks(current: Object, wanted: Object) -> bool:
    return all((current["metadata"].get(f) or {}) == wanted["metadata"][f] for f in ("labels", "annotations"))


def slices_of(endpoints: Object) -> list[Object]:
    """In order of their names. Subsets with equal ports share a slice."""
    found: dict[tuple[str, bytes], Object] = {}
    for subset in endpoints.get("subsets") or ():
        ports = [{k: port[k] for k in ("name", "port", "protocol", "appProtocol") if k in port} for port in subset.get("ports") or ()]
        ports = [{"name": "", **port} for port in ports]
        for endpoint in _endpoints_of(subset):
            family = f"IPv{ipaddress.ip_address(endpoint['addresses'][0]).version}"
            key = (family, ports_key(ports))
            one = found.get(key)
            if one is None:
                one = found[key] = _new_slice(endpoints, family, ports, key)
            one["endpoints"].append(endpoint)
    return sorted(found.values(), key=name_of)


def _endpoints_of(subset: Object) -> Iterable[Object]:
    marked = [(a, True) for a in subset.get("addresses") or ()] + [(a, False) for a in subset.get("notReadyAddresses") or ()]
    for address, ready in marked[:ADDRESSES_MAX]:
        endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
        endpoint |= {k: address[k] for k in ("hostname", "nodeName", "targetRef") if address.get(k)}
        yield endpoint


def _new_slice(endpoints: Object, family: str, ports: list[Object], key: tuple[str, bytes]) -> Object:
    metadata = endpoints["metadata"]
    digest = blake2b(f"{metadata['uid']}/{key[0]}/".encode() + key[1], digest_size=5).hexdigest()
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _NOT_COPIED}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"], MANAGED_BY: MANAGER},
            "annotations": annotations,
            "ownerReferences": [controller_reference({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata})],
        },
        "addressType": family,
        "endpoints": [],
        "ports": ports,
    }


class EndpointSliceMirroringController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._slice = resource("endpointslices", "discovery.k8s.io")
        self._slices = mirrors.of(self._slice)
        self._endpoints = mirrors.of(resource("endpoints"))
        self._services = mirrors.of(resource("services"))
        self._slices.add_index(_BY_SERVICE, by_service)
        self._queue = WorkQueue(world)

    async def run(self) -> None:
        mirrors = (self._slices, self._endpoints, self._services)
        for mirror in mirrors:
            await mirror.synced()
        cancellations = [self._slices.subscribe(self._slice_changed), *(m.subscribe(self._changed) for m in mirrors[1:])]
        try:
            await ControlLoop("endpoint-slice-mirroring", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    def _changed(self, change: Change) -> None:
        self._queue.add(key_of(change.object))

    def _slice_changed(self, change: Change) -> None:
        for key in by_service(change.object):
            self._queue.add(key)

    async def reconcile(self, key: str) -> None:
        endpoints = self._endpoints.by_key(key)
        mine = self._slices.by_index(_BY_SERVICE, key)
        if is_mirrored(endpoints, self._services.by_key(key)):
            assert endpoints is not None
            plan = plan_mirror(endpoints, mine)
        else:
            plan = Plan(delete=mine)
        for value in plan.create:
            await self._client.create(self._slice, value)
        for value in plan.update:
            await self._client.update(self._slice, value)
        for value in plan.delete:
            await self._client.delete(self._slice, name_of(value), namespace_of(value), DeleteOptions(uid=value["metadata"]["uid"]))
