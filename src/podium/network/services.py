"""What Services and their EndpointSlices demand of the network: a pure plan that every applier carries out in its own way.

A `Forward` is one port of one Service: the addresses at which it is reached and the endpoints behind it, in a fixed order. Endpoints are
those that are ready; when none is, those that still serve while they terminate (KEP-1669). A forward without endpoints is kept: to
refuse a connection at once is part of the promise.
Source: Kubernetes documentation, "Virtual IPs and Service Proxies"; k8s.io/api discovery/v1 (EndpointConditions).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

Object = dict[str, Any]
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    ip: str
    port: int
    pod: str = ""
    """`namespace/name` of the pod behind it, for messages."""


@dataclass(frozen=True, slots=True)
class Forward:
    """`addresses` are the cluster IPs (IPv4) and external IPs; `node_port` is 0 when there is none; `node_endpoints` are behind the node
    port (they differ from `endpoints` by the traffic policies). `sticky`: sessionAffinity ClientIP."""

    namespace: str
    name: str
    port_name: str
    protocol: str
    port: int
    addresses: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    node_port: int = 0
    node_endpoints: tuple[Endpoint, ...] = ()
    sticky: bool = False

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Unique in a plan."""
        return self.namespace, self.name, self.protocol, self.port


def plan_forwards(services: Iterable[Object], slices: Iterable[Object], node_name: str = "") -> tuple[Forward, ...]:
    """Every port of every Service that has a cluster IP, sorted by key. Headless and ExternalName Services have none."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for piece in slices:
        if piece.get("addressType") == "IPv4":
            metadata = piece["metadata"]
            owner = (metadata.get("namespace", ""), (metadata.get("labels") or {}).get(SERVICE_LABEL, ""))
            by_service.setdefault(owner, []).append(piece)
    found: list[Forward] = []
    for service in services:
        metadata = service["metadata"]
        pieces = by_service.get((metadata["namespace"], metadata["name"]), [])
        found.extend(_forwards_of(service, pieces, node_name))
    return tuple(sorted(found, key=lambda forward: forward.key))


def _forwards_of(service: Object, pieces: list[Object], node_name: str) -> Iterator[Forward]:
    spec, metadata = service.get("spec", {}), service["metadata"]
    addresses = tuple(dict.fromkeys(ip for ip in _addresses(spec) if _is_ipv4(ip)))
    if not addresses or spec.get("type") == "ExternalName":
        return
    for port in spec.get("ports") or ():
        protocol = port.get("protocol", "TCP")
        candidates = list(_candidates(pieces, port.get("name", ""), protocol))
        internal = _usable(candidates, node_name if spec.get("internalTrafficPolicy") == "Local" else "")
        external = _usable(candidates, node_name if spec.get("externalTrafficPolicy") == "Local" else "")
        yield Forward(
            namespace=metadata["namespace"],
            name=metadata["name"],
            port_name=port.get("name", ""),
            protocol=protocol,
            port=port["port"],
            addresses=addresses,
            endpoints=internal,
            node_port=port.get("nodePort", 0),
            node_endpoints=external if port.get("nodePort") else (),
            sticky=spec.get("sessionAffinity") == "ClientIP",
        )


def _addresses(spec: Object) -> list[str]:
    cluster_ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [] if "None" in cluster_ips else [*cluster_ips, *(spec.get("externalIPs") or ())]


@dataclass(frozen=True, slots=True)
class _Candidate:
    endpoint: Endpoint
    node: str
    ready: bool
    serving: bool


def _candidates(pieces: list[Object], port_name: str, protocol: str) -> Iterator[_Candidate]:
    for piece in pieces:
        for port in piece.get("ports") or ():
            if (port.get("name") or "") != port_name or port.get("protocol", "TCP") != protocol or not port.get("port"):
                continue
            for entry in piece.get("endpoints") or ():
                conditions = entry.get("conditions") or {}
                ready = conditions.get("ready") is not False
                serving = ready if conditions.get("serving") is None else conditions["serving"]
                target = entry.get("targetRef") or {}
                pod = f"{target.get('namespace', '')}/{target['name']}" if target.get("kind") == "Pod" else ""
                for address in entry.get("addresses") or ():
                    if _is_ipv4(address):
                        yield _Candidate(Endpoint(address, port["port"], pod), entry.get("nodeName", ""), ready, bool(serving))


def _usable(candidates: list[_Candidate], only_node: str) -> tuple[Endpoint, ...]:
    """Sorted and without repeats. `only_node` restricts to endpoints of that node."""
    here = [c for c in candidates if not only_node or c.node == only_node]
    chosen = [c for c in here if c.ready] or [c for c in here if c.serving]
    unique = {(c.endpoint.ip, c.endpoint.port): c.endpoint for c in chosen}
    return tuple(unique[key] for key in sorted(unique))


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
