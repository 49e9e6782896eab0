"""The Services by which Prometheus and Alertmanager objects are found: `prometheus-operated`, `prometheus-agent-operated` and
`alertmanager-operated`, one of each in a namespace that has such objects, as upstream makes them for its StatefulSets.

They are headless and select no pods: their Endpoints (which the control plane mirrors in EndpointSlices) have a port for each object, where it
answers at `/`, as its pod would. So `alerting.alertmanagers: [{name: alertmanager-operated, port: web}]` finds the namespace's Alertmanagers,
and a ServiceMonitor can scrape them. Ports are free ones, and others after a restart: whoever goes by the Service follows.

Objects own the Services, which go with the last of them. A Service of that name that somebody else has made is left alone, and told of in the
log once.

Source: the Prometheus operator's makeStatefulSetService, and its EnsureCustomGoverningService.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.client.interface import Client
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import Conflict
from podium.telemetry.monitoring.surroundings import Door

MANAGER = "podium-monitoring"
SERVICES, ENDPOINTS = resource("services"), resource("endpoints")
Object = dict[str, Any]
Key = tuple[str, str, str]
"""Resource, namespace, name."""


@dataclass(frozen=True, slots=True)
class Governing:
    service: str
    label: str
    port: int
    """Of the Service; a headless one is not connected to by it."""


GOVERNING: Mapping[str, Governing] = {
    "prometheuses": Governing("prometheus-operated", "operated-prometheus", 9090),
    "prometheusagents": Governing("prometheus-agent-operated", "operated-prometheus-agent", 9090),
    "alertmanagers": Governing("alertmanager-operated", "operated-alertmanager", 9093),
}
_log = logger("monitoring")


@dataclass(slots=True)
class Published:
    """An object, and where it answers."""

    door: Door
    port_name: str
    owner: Object


class GoverningServices:
    """`open_door` makes what listens."""

    def __init__(self, client: Client, mirrors: Mirrors, open_door: Callable[[Key], Awaitable[Door]]) -> None:
        self._client, self._open_door = client, open_door
        self._services, self._endpoints = mirrors.of(SERVICES), mirrors.of(ENDPOINTS)
        self._published: dict[Key, Published] = {}
        self._left: set[tuple[str, str]] = set()

    async def publish(self, key: Key, found: Object) -> None:
        """`found` is the object; to be called again whenever it may have changed, or somebody may have deleted a Service: what is as it should
        be costs nothing. Raises OSError, StatusError."""
        published = self._published.get(key)
        if published is None:
            published = self._published[key] = Published(await self._open_door(key), "", {})
        published.port_name, published.owner = found["spec"].get("portName") or "web", _owner(found)
        await self._write(key)

    async def withdraw(self, key: Key) -> None:
        """Raises StatusError."""
        published = self._published.pop(key, None)
        if published is None:
            return
        await published.door.close()
        await self._write(key)

    async def stop(self) -> None:
        """Nothing listens any more; the objects stay, for the process that comes next."""
        for published in self._published.values():
            await published.door.close()
        self._published.clear()

    async def _write(self, key: Key) -> None:
        governing, namespace = GOVERNING[key[0]], key[1]
        found = [self._published[k] for k in sorted(self._published) if k[0] == key[0] and k[1] == namespace]
        if not found or (namespace, governing.service) in self._left:
            return  # without owners the garbage collector takes what there was
        service, endpoints = plan(governing, namespace, found)
        try:
            for kind, mirror, value in ((SERVICES, self._services, service), (ENDPOINTS, self._endpoints, endpoints)):
                live = mirror.get(namespace, governing.service)
                if live is None or not _has(live, value):
                    await self._client.apply(kind, value, MANAGER)
        except Conflict as error:
            self._left.add((namespace, governing.service))
            _log.warning("a Service is left as others have made it", namespace=namespace, name=governing.service, reason=error.message)


def plan(governing: Governing, namespace: str, published: Sequence[Published]) -> tuple[Object, Object]:
    """(Service, Endpoints). Pure."""
    metadata = {
        "name": governing.service, "namespace": namespace, "labels": {governing.label: "true", "app.kubernetes.io/managed-by": "podium"},
        "ownerReferences": [one.owner for one in published],
    }  # fmt: skip
    numbers = {one.port_name: one.door.port for one in reversed(published)}
    names = sorted(numbers)
    ports = [
        {"name": name, "port": governing.port if name == names[0] else numbers[name], "protocol": "TCP", "targetPort": numbers[name]}
        for name in names
    ]
    subsets = [
        {"addresses": [{"ip": one.door.host}], "ports": [{"name": one.port_name, "port": one.door.port, "protocol": "TCP"}]}
        for one in sorted(published, key=lambda one: (one.port_name, one.door.port))
    ]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None", "ports": ports}}
    return service, {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}


def _owner(found: Object) -> Object:
    metadata = found["metadata"]
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "name": metadata["name"], "uid": metadata["uid"]}


def _has(live: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there, lists in full."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(name in live and _has(live[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(_has(a, b) for a, b in zip(live, wanted, strict=True))
    return bool(live == wanted)
