"""Endpoints: the older form of EndpointSlices, one object per Service with a selector, for those who still read it.

It holds at most ADDRESSES_MAX addresses, ready ones first, and says in an annotation when there are more.

Source: k8s.io/kubernetes pkg/controller/endpoint, pkg/api/v1/endpoints.
"""

from collections.abc import Iterable
from typing import Any

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.pod_conditions import is_finished, is_ready
from podium.controllers.service_pods import (
    ServicePods,
    address_order,
    addresses_of,
    families,
    hostname_of,
    is_headless,
    ports_key,
    ports_of,
    reference_to,
)
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.objects.values import is_deleting, key_of, split_key
from podium.world.interface import World

ADDRESSES_MAX = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
HEADLESS = "service.kubernetes.io/headless"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
WORKERS = 5


class EndpointsController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._endpoints_resource = resource("endpoints")
        self._endpoints = mirrors.of(self._endpoints_resource)
        self._queue = WorkQueue(world)
        self._behind = ServicePods(mirrors, self._queue)

    async def run(self) -> None:
        await self._behind.synced()
        await self._endpoints.synced()
        cancellations = [self._endpoints.subscribe(self._changed), self._behind.start()]
        try:
            await ControlLoop("endpoints", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in reversed(cancellations):
                cancel()

    def _changed(self, change: Change) -> None:
        key = key_of(change.object)
        self._queue.add_after(key, self._behind.turn_s(key))

    async def reconcile(self, key: str) -> None:
        service = self._behind.services.by_key(key)
        current = self._endpoints.by_key(key)
        if service is None:
            await self._remove(key, current)
            return
        if service["spec"].get("type") == "ExternalName" or not service["spec"].get("selector") or is_deleting(service):
            return
        wanted = plan_endpoints(service, self._behind.behind(service), current)
        if current is None:
            await self._client.create(self._endpoints_resource, wanted)
        elif wanted != current:
            await self._client.update(self._endpoints_resource, wanted)

    async def _remove(self, key: str, current: Object | None) -> None:
        """Only what we made: the rest outlives its Service."""
        if current is None or (current["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
            return
        namespace, name = split_key(key)
        try:
            await self._client.delete(self._endpoints_resource, name, namespace)
        except NotFound:
            return


def plan_endpoints(service: Object, pods: Iterable[Object], current: Object | None) -> Object:
    """The whole object as it should be; equal to `current` when nothing is to be written."""
    subsets = _subsets(service, pods)
    truncated = _truncate(subsets)
    labels = dict(service["metadata"].get("labels") or {})
    labels.pop(HEADLESS, None)
    if is_headless(service):
        labels[HEADLESS] = ""
    labels[MANAGED_BY] = MANAGER
    old = current or {"apiVersion": "v1", "kind": "Endpoints", "metadata": {k: service["metadata"][k] for k in ("name", "namespace")}}
    annotations = {k: v for k, v in (old["metadata"].get("annotations") or {}).items() if k != OVER_CAPACITY}
    if truncated:
        annotations[OVER_CAPACITY] = "truncated"
    metadata: Object = {**old["metadata"], "labels": labels, "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    value = {**old, "metadata": metadata, "subsets": subsets}
    if not subsets:
        del value["subsets"]
    return value


def _subsets(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Addresses with equal ports together; ready and not ready apart; by address."""
    tolerant = bool(service["spec"].get("publishNotReadyAddresses"))
    family = families(service)[0]
    grouped: dict[bytes, tuple[list[Object], list[Object], list[Object]]] = {}
    for pod in pods:
        addresses = addresses_of(pod, family)
        if not addresses or is_finished(pod) or ("deletionTimestamp" in pod["metadata"] and not tolerant):
            continue
        ports = ports_of(pod, service)
        if not ports and service["spec"].get("ports"):
            continue  # it has none of the named ports
        group = grouped.setdefault(ports_key(ports), (ports, [], []))
        group[1 if tolerant or is_ready(pod) else 2].append(_address(pod, service, addresses[0]))
    subsets = []
    for key in sorted(grouped):
        ports, ready, not_ready = grouped[key]
        subset: Object = {}
        if ready:
            subset["addresses"] = sorted(ready, key=_order)
        if not_ready:
            subset["notReadyAddresses"] = sorted(not_ready, key=_order)
        if ports:
            subset["ports"] = [{k: v for k, v in port.items() if v != ""} for port in ports]
        subsets.append(subset)
    return subsets


def _address(pod: Object, service: Object, address: str) -> Object:
    value: Object = {"ip": address}
    hostname = hostname_of(pod, service)
    if hostname:
        value["hostname"] = hostname
    if pod["spec"].get("nodeName"):
        value["nodeName"] = pod["spec"]["nodeName"]
    value["targetRef"] = reference_to(pod)
    return value


def _order(address: Object) -> tuple[Any, ...]:
    return address_order(address["ip"]), address["targetRef"]["uid"]


def _truncate(subsets: list[Object]) -> bool:
    """Cuts to ADDRESSES_MAX in place, ready addresses first; whether anything was cut."""
    left, cut = ADDRESSES_MAX, False
    for part in ("addresses", "notReadyAddresses"):
        for subset in subsets:
            addresses = subset.get(part)
            if not addresses:
                continue
            if len(addresses) > left:
                cut = True
                subset[part] = addresses[:left]
            left -= len(subset[part])
            if not subset[part]:
                del subset[part]
    subsets[:] = [s for s in subsets if "addresses" in s or "notReadyAddresses" in s]
    return cut
