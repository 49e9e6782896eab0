"""Packing a Service's endpoints into slices so that few slices change. Pure.

Endpoints with equal ports share slices of at most ENDPOINTS_MAX. What is in a slice stays there; what is gone leaves a hole; new endpoints
first fill slices that change anyway, then the fullest slice they all fit in, then new slices. A slice that would be deleted is rewritten
instead where one would be created. A Service without endpoints keeps one empty slice, so that readers can tell "none" from "not yet".

Source: k8s.io/endpointslice (reconciler.go, utils.go).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from podium.client.interface import Object
from podium.controllers.ownership import controller_reference
from podium.controllers.pod_conditions import is_finished, is_ready
from podium.controllers.service_pods import addresses_of, families, hostname_of, is_headless, ports_key, ports_of, reference_to

ENDPOINTS_MAX = 100

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
ZONE = "topology.kubernetes.io/zone"


@dataclass(slots=True)
class Plan:
    """Whole slices: those to create without a name, those to update with the revision they were read at."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """The endpoints of one set of ports, by identity."""

    ports: list[Object]
    endpoints: dict[str, Object] = field(default_factory=dict)


def plan_slices(service: Object, pods: Iterable[Object], slices: Sequence[Object], zone_of: Callable[[str], str]) -> Plan:
    """`pods` match its selector, `slices` are those we manage for it, `zone_of` gives a node's zone or ""."""
    plan = Plan()
    pods = [pod for pod in pods if not is_finished(pod)]
    wanted_families = families(service)
    for family in wanted_families:
        existing = sorted((s for s in slices if s["addressType"] == family), key=lambda s: s["metadata"]["name"])
        _plan_family(plan, service, family, _groups(service, pods, family, zone_of), existing)
    plan.delete += [s for s in slices if s["addressType"] not in wanted_families]
    return plan


def slice_labels(service: Object) -> dict[str, str]:
    """The Service's own labels, and ours."""
    labels = dict(service["metadata"].get("labels") or {})
    labels.pop(HEADLESS, None)
    if is_headless(service):
        labels[HEADLESS] = ""
    return {**labels, SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}


def endpoint_of(pod: Object, service: Object, address: str, zone_of: Callable[[str], str]) -> Object:
    serving = is_ready(pod)
    terminating = "deletionTimestamp" in pod["metadata"]
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: Object = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": reference_to(pod),
    }
    node = pod["spec"].get("nodeName")
    if node:
        endpoint["nodeName"] = node
        zone = zone_of(node)
        if zone:
            endpoint["zone"] = zone
    hostname = hostname_of(pod, service)
    if hostname:
        endpoint["hostname"] = hostname
    return endpoint


def _groups(service: Object, pods: Iterable[Object], family: str, zone_of: Callable[[str], str]) -> dict[bytes, _Group]:
    groups: dict[bytes, _Group] = {}
    named = any(isinstance(port.get("targetPort"), str) for port in service["spec"].get("ports") or ())
    shared: tuple[bytes, list[Object]] | None = None
    for pod in pods:
        addresses = addresses_of(pod, family)
        if not addresses:
            continue
        if named or shared is None:
            ports = ports_of(pod, service)
            shared = (ports_key(ports), ports)
        group = groups.setdefault(shared[0], _Group(shared[1]))
        endpoint = endpoint_of(pod, service, addresses[0], zone_of)
        group.endpoints[_identity(endpoint)] = endpoint
    return groups


def _identity(endpoint: Object) -> str:
    return f"{(endpoint.get('targetRef') or {}).get('uid', '')}/{endpoint['addresses'][0]}"


def _plan_family(plan: Plan, service: Object, family: str, groups: Mapping[bytes, _Group], existing: Sequence[Object]) -> None:
    labels = slice_labels(service)
    create: list[Object] = []
    update: list[Object] = []
    delete: list[Object] = []
    by_ports: dict[bytes, list[Object]] = {}
    for one in existing:
        by_ports.setdefault(ports_key(one.get("ports") or []), []).append(one)
    for key, mine in by_ports.items():
        if key not in groups:
            delete += mine
    for key in sorted(groups):
        packing = _Packing(groups[key], by_ports.get(key, ()), labels)
        packing.place()
        create += [_new_slice(service, family, labels, groups[key].ports, endpoints) for endpoints in packing.created]
        update += packing.updated
        delete += packing.emptied
    if len(delete) == len(existing) and not create:  # nothing would be left
        placeholder = next((s for s in delete if not s.get("endpoints") and not s.get("ports") and _labels(s) == labels), None)
        if placeholder is not None:
            delete.remove(placeholder)
        else:
            create.append(_new_slice(service, family, labels, [], []))
    while create and delete:
        update.append(_rewritten(delete.pop(0), create.pop(0)))
    plan.create += create
    plan.update += update
    plan.delete += delete


class _Packing:
    """Places one group's endpoints into its slices."""

    def __init__(self, group: _Group, slices: Sequence[Object], labels: dict[str, str]) -> None:
        self._left = dict(group.endpoints)
        self._slices = slices
        self._labels = labels
        self.created: list[list[Object]] = []
        self.updated: list[Object] = []
        self.emptied: list[Object] = []

    def place(self) -> None:
        changed: list[tuple[Object, list[Object]]] = []
        unchanged: list[Object] = []
        for one in self._slices:
            before = one.get("endpoints") or []
            kept = [self._left.pop(identity) for identity in map(_identity, before) if identity in self._left]
            if not kept:
                self.emptied.append(one)
            elif kept != before or _labels(one) != self._labels:
                changed.append((one, kept))
            else:
                unchanged.append(one)
        for _, kept in sorted(changed, key=lambda pair: -len(pair[1])):
            self._fill(kept)
        self._place_rest(changed, unchanged)
        self.updated = [_with_endpoints(one, kept, self._labels) for one, kept in changed]

    def _place_rest(self, changed: list[tuple[Object, list[Object]]], unchanged: list[Object]) -> None:
        while self._left:
            fitting = [s for s in unchanged if len(s["endpoints"]) + len(self._left) <= ENDPOINTS_MAX]
            if fitting:
                fullest = max(fitting, key=lambda s: len(s["endpoints"]))
                unchanged.remove(fullest)
                endpoints = list(fullest["endpoints"])
                changed.append((fullest, endpoints))
            else:
                endpoints = []
                self.created.append(endpoints)
            self._fill(endpoints)

    def _fill(self, endpoints: list[Object]) -> None:
        for identity in list(self._left)[: ENDPOINTS_MAX - len(endpoints)]:
            endpoints.append(self._left.pop(identity))


def _labels(one: Object) -> dict[str, str]:
    return one["metadata"].get("labels") or {}


def _with_endpoints(one: Object, endpoints: list[Object], labels: dict[str, str]) -> Object:
    return {**one, "metadata": {**one["metadata"], "labels": labels}, "endpoints": endpoints}


def _rewritten(old: Object, new: Object) -> Object:
    metadata = {**old["metadata"], "labels": new["metadata"]["labels"]}
    return {**old, "metadata": metadata, "endpoints": new["endpoints"], "ports": new["ports"]}


def _new_slice(service: Object, family: str, labels: dict[str, str], ports: list[Object], endpoints: list[Object]) -> Object:
    metadata = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": metadata["name"] + "-",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [controller_reference({"apiVersion": "v1", "kind": "Service", "metadata": metadata})],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    }
