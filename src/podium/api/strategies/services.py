"""Services get a cluster IP and node ports from shared pools; both are given back with the service.

What is taken is known from the stored services: `restore` reads them at the start, afterwards the pools are kept by the writes themselves.
Source: k8s.io/kubernetes pkg/registry/core/service (allocation), KEP-3070 (the lower band of a range is kept for static addresses).
"""

import ipaddress
from typing import Any

from podium.api.core import Core, Object, Reservation, Strategy
from podium.objects.cause import Cause, invalid, invalid_error
from podium.objects.resources import Resource
from podium.objects.status import ServerError

NODE_PORTS = (30000, 32767)
"""Inclusive."""
_TRIES = 64


class ServiceStrategy(Strategy):
    def __init__(self, resource: Resource, cidr: str) -> None:
        super().__init__(resource)
        self.network = ipaddress.ip_network(cidr)
        self._addresses: dict[str, str] = {}  # address -> "namespace/name"
        self._ports: dict[int, str] = {}
        size = self.network.num_addresses
        self._static = min(max(16, size // 16), 256)

    def restore(self, services: list[Object]) -> None:
        for service in services:
            self._take(_owner(service), _addresses(service), _node_ports(service))

    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        new["status"] = {"loadBalancer": {}}

    def prepare_update(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_update(core, new, old)
        spec, before = new.get("spec") or {}, old["spec"]
        _drop_type_dependent(spec, before)
        _normalize_addresses(spec, before)
        if spec.get("type", "ClusterIP") != "ExternalName" and before.get("type") != "ExternalName":
            for name in ("clusterIP", "clusterIPs"):
                if not spec.get(name) and before.get(name):
                    spec[name] = before[name]
            _keep_node_ports(spec, before)

    def reserve(self, core: Core, new: Object, old: Object | None) -> Reservation | None:
        spec = new["spec"]
        owner = _owner(new)
        held = (_addresses(old), _node_ports(old)) if old is not None else ([], [])
        if spec.get("type") == "ExternalName":
            return _Given(self, owner, [], [], released=held)
        addresses = self._cluster_ip(core, owner, spec, held[0])
        try:
            ports = self._assign_node_ports(core, owner, spec, held[1])
        except BaseException:
            self._give_back(owner, addresses, [])
            raise
        freed_ports = [p for p in held[1] if p not in _node_ports(new)]
        return _Given(self, owner, addresses, ports, released=([], freed_ports))

    def _cluster_ip(self, core: Core, owner: str, spec: Object, held: list[str]) -> list[str]:
        """Newly taken addresses; fills in clusterIP and its companions."""
        asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs", ())), "")
        taken: list[str] = []
        if asked == "None":
            pass
        elif not asked:
            asked = self._free_address(core)
            taken = [asked]
        elif asked not in held:
            self._check_address(owner, asked)
            taken = [asked]
        self._take(owner, taken, [])
        spec["clusterIP"], spec["clusterIPs"] = asked, [asked]
        spec.setdefault("ipFamilies", ["IPv6" if self.network.version == 6 else "IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        return taken

    def _free_address(self, core: Core) -> str:
        size, chance = self.network.num_addresses, core.world.random("service-addresses")
        for _ in range(_TRIES):
            address = str(self.network[chance.randrange(self._static, size - 1)])
            if address not in self._addresses:
                return address
        for offset in (*range(self._static, size - 1), *range(1, self._static)):
            address = str(self.network[offset])
            if address not in self._addresses:
                return address
        raise ServerError("failed to allocate a serviceIP: range is full")

    def _check_address(self, owner: str, asked: str) -> None:
        try:
            inside = ipaddress.ip_address(asked) in self.network
        except ValueError:
            inside = False
        if not inside:
            why = f"failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid range. The range of valid IPs is {self.network}"
            raise _refused(owner, invalid("spec.clusterIPs", [asked], why))
        if self._addresses.get(asked, owner) != owner:
            raise _refused(owner, invalid("spec.clusterIPs", [asked], f"failed to allocate IP {asked}: provided IP is already allocated"))

    def _assign_node_ports(self, core: Core, owner: str, spec: Object, held: list[int]) -> list[int]:
        if spec.get("type") not in ("NodePort", "LoadBalancer") or spec.get("allocateLoadBalancerNodePorts") is False:
            return []
        taken: list[int] = []
        try:
            for index, port in enumerate(spec.get("ports", ())):
                asked = port.get("nodePort", 0)
                if asked and asked not in held and self._ports.get(asked, owner) != owner:
                    raise _refused(owner, invalid(f"spec.ports[{index}].nodePort", asked, "provided port is already allocated"))
                if not asked:
                    asked = port["nodePort"] = self._free_port(core)
                if asked not in held and asked not in taken:
                    taken.append(asked)
                    self._take(owner, [], [asked])
        except BaseException:
            self._give_back(owner, [], taken)
            raise
        return taken

    def _free_port(self, core: Core) -> int:
        chance = core.world.random("node-ports")
        for _ in range(_TRIES):
            port = chance.randint(*NODE_PORTS)
            if port not in self._ports:
                return port
        for port in range(NODE_PORTS[0], NODE_PORTS[1] + 1):
            if port not in self._ports:
                return port
        raise ServerError("failed to allocate a nodePort: range is full")

    def released(self, core: Core, old: Object) -> None:
        self._give_back(_owner(old), _addresses(old), _node_ports(old))

    def _take(self, owner: str, addresses: list[str], ports: list[int]) -> None:
        self._addresses.update(dict.fromkeys(addresses, owner))
        self._ports.update(dict.fromkeys(ports, owner))

    def _give_back(self, owner: str, addresses: list[str], ports: list[int]) -> None:
        for address in addresses:
            if self._addresses.get(address) == owner:
                del self._addresses[address]
        for port in ports:
            if self._ports.get(port) == owner:
                del self._ports[port]


class _Given:
    """What a write took, and what it lets go once it is done."""

    def __init__(
        self, pools: ServiceStrategy, owner: str, addresses: list[str], ports: list[int], released: tuple[list[str], list[int]]
    ) -> None:
        self._pools, self._owner, self._addresses, self._ports, self._released = pools, owner, addresses, ports, released

    def undo(self) -> None:
        self._pools._give_back(self._owner, self._addresses, self._ports)

    def keep(self) -> None:
        self._pools._give_back(self._owner, *self._released)


def _keep_node_ports(spec: Object, before: Object) -> None:
    if spec.get("type") not in ("NodePort", "LoadBalancer"):
        return
    known = {(p.get("protocol", "TCP"), p.get("port")): p["nodePort"] for p in before.get("ports", ()) if p.get("nodePort")}
    for port in spec.get("ports", ()):
        if not port.get("nodePort") and (old := known.get((port.get("protocol", "TCP"), port.get("port")))):
            port["nodePort"] = old


_EXTERNAL = ("NodePort", "LoadBalancer")
_ONLY_OF_TYPE = (
    (_EXTERNAL, ("externalTrafficPolicy",)),
    (("LoadBalancer",), ("healthCheckNodePort", "allocateLoadBalancerNodePorts", "loadBalancerClass")),
    (("ClusterIP", *_EXTERNAL), ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")),
)
"""(types, fields that only these have)."""


def _drop_type_dependent(spec: Object, before: Object) -> None:
    """A change of type takes along what only the old type had, where the writer left it as it was (upstream's dropTypeDependentFields)."""
    old_type, new_type = before.get("type", "ClusterIP"), spec.get("type", "ClusterIP")
    for types, names in _ONLY_OF_TYPE:
        if old_type in types and new_type not in types:
            for name in names:
                if name in spec and spec[name] == before.get(name):
                    del spec[name]
    if old_type in _EXTERNAL and new_type not in _EXTERNAL:
        kept = {p.get("nodePort") for p in before.get("ports", ())}
        for port in spec.get("ports", ()):
            if port.get("nodePort") in kept:
                port.pop("nodePort", None)


def _normalize_addresses(spec: Object, before: Object) -> None:
    """Who changes only one of clusterIP and clusterIPs means both (upstream's NormalizeClusterIPs)."""
    one, many = spec.get("clusterIP"), spec.get("clusterIPs")
    if one != before.get("clusterIP") and many == before.get("clusterIPs"):
        if one:
            spec["clusterIPs"] = [one]
        else:
            spec.pop("clusterIPs", None)


def _owner(service: Object) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def _addresses(service: Object) -> list[str]:
    return [a for a in service["spec"].get("clusterIPs", ()) if a and a != "None"]


def _node_ports(service: Object) -> list[int]:
    return [p["nodePort"] for p in service["spec"].get("ports", ()) if p.get("nodePort")]


def _refused(owner: str, cause: Cause) -> Any:
    return invalid_error("", "Service", owner.partition("/")[2], [cause])
