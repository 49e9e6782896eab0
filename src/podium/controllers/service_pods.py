"""Which pods stand behind which Services, and when that matters anew.

Shared by the EndpointSlice and the Endpoints controller. A change of a pod counts only when something that endpoints show has changed; it
then concerns the Services that its labels, old or new, match. Changes are gathered for TURN_S_PER_POD times the number of pods behind the
Service (TURN_S_MAX at most), so that thousands of pods do not rewrite thousands of endpoints each."""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from podium.client.indexes import BY_NAMESPACE, by_namespace
from podium.client.interface import Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.pod_conditions import is_finished, is_ready
from podium.objects.resources import resource
from podium.objects.selectors import LabelSelector, from_labels
from podium.objects.values import key_of, namespace_of

TURN_S_PER_POD = 0.0004
TURN_S_MAX = 2.0


class ServicePods:
    """Feeds `queue` with the keys of Services whose endpoints may have changed, between `start` and what it returns."""

    def __init__(self, mirrors: Mirrors, queue: WorkQueue) -> None:
        self.services = mirrors.of(resource("services"))
        self.pods = mirrors.of(resource("pods"))
        self.services.add_index(BY_NAMESPACE, by_namespace)
        self.pods.add_index(BY_NAMESPACE, by_namespace)
        self._queue = queue
        self._selectors: dict[str, tuple[Object, LabelSelector]] = {}
        self._sizes: dict[str, int] = {}

    async def synced(self) -> None:
        await self.services.synced()
        await self.pods.synced()

    def start(self) -> Callable[[], None]:
        cancellations = [self.services.subscribe(self._service_changed), self.pods.subscribe(self._pod_changed)]

        def cancel() -> None:
            for one in cancellations:
                one()

        return cancel

    def behind(self, service: Object) -> list[Object]:
        """The pods that its selector matches, whatever their state."""
        selector = self._selector(service)
        if selector is None:
            return []
        matches = selector.matches
        found = [pod for pod in self.pods.by_index(BY_NAMESPACE, namespace_of(service)) if matches(pod["metadata"].get("labels"))]
        self._sizes[key_of(service)] = len(found)
        return found

    def turn_s(self, key: str) -> float:
        """How long to gather changes for the Service of that key before a turn."""
        return min(TURN_S_MAX, TURN_S_PER_POD * self._sizes.get(key, 0))

    def requeue_all(self) -> None:
        for service in self.services.all():
            self._queue.add(key_of(service))

    def _selector(self, service: Object) -> LabelSelector | None:
        """None for a Service whose endpoints are somebody else's business."""
        spec = service.get("spec") or {}
        labels = spec.get("selector")
        if not labels or spec.get("type") == "ExternalName":
            return None
        key = key_of(service)
        cached = self._selectors.get(key)
        if cached is None or cached[0] != labels:
            cached = self._selectors[key] = (labels, from_labels(labels))
        return cached[1]

    def _service_changed(self, change: Change) -> None:
        key = key_of(change.object)
        if change.type == "deleted":
            self._selectors.pop(key, None)
            self._sizes.pop(key, None)
        self._queue.add(key)

    def _pod_changed(self, change: Change) -> None:
        services = self.services.by_index(BY_NAMESPACE, namespace_of(change.object))
        if not services:
            return
        old, new = change.old, change.new
        if change.type == "modified" and old is not None and new is not None and shown(old) == shown(new):
            return
        for service in services:
            selector = self._selector(service)
            if selector is None:
                continue
            if any(pod is not None and selector.matches(pod["metadata"].get("labels")) for pod in (old, new)):
                key = key_of(service)
                self._queue.add_after(key, self.turn_s(key))


def shown(pod: Object) -> tuple[Any, ...]:
    """What endpoints tell of a pod, and what decides whether it is among them."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    return (
        metadata.get("labels"),
        "deletionTimestamp" in metadata,
        spec.get("nodeName"),
        spec.get("hostname"),
        status.get("podIP"),
        status.get("podIPs"),
        is_finished(pod),
        is_ready(pod),
    )


def is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") == "None"


def families(service: Object) -> list[str]:
    """IPv4, IPv6 or both, in the Service's order."""
    listed = service["spec"].get("ipFamilies")
    if listed:
        return list(listed)
    address = service["spec"].get("clusterIP") or ""
    return ["IPv6"] if ":" in address else ["IPv4"]


def addresses_of(pod: Object, family: str) -> list[str]:
    status = pod.get("status") or {}
    listed = [entry["ip"] for entry in status.get("podIPs") or ()] or ([status["podIP"]] if status.get("podIP") else [])
    return [address for address in listed if (":" in address) == (family == "IPv6")]


def hostname_of(pod: Object, service: Object) -> str:
    """The name by which a headless Service knows the pod; empty when it has none."""
    spec = pod["spec"]
    return spec.get("hostname", "") if spec.get("subdomain") == service["metadata"]["name"] else ""


def reference_to(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def ports_of(pod: Object, service: Object) -> list[Object]:
    """The Service's ports as this pod has them; a named port that it lacks is left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        number = _port_number(pod, port)
        if number is None:
            continue
        found = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
        if port.get("appProtocol"):
            found["appProtocol"] = port["appProtocol"]
        ports.append(found)
    return ports


def _port_number(pod: Object, port: Object) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and candidate.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return candidate["containerPort"]
    return None


def ports_key(ports: list[Object]) -> bytes:
    """Equal for equal sets of ports; an empty name is none."""
    plain = ({field: value for field, value in port.items() if value not in ("", None)} for port in ports)
    return b"\n".join(sorted(orjson.dumps(port, option=orjson.OPT_SORT_KEYS) for port in plain))


@lru_cache(maxsize=16384)
def address_order(address: str) -> int:
    return int(ipaddress.ip_address(address))
