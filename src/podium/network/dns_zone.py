"""The cluster's zone: what a name under the cluster domain means now, read straight from the mirrors. Pure but for those.

    SERVICE.NS.svc.DOMAIN                      A: the cluster IP, or the ready endpoints of a headless Service; CNAME for ExternalName
    ENDPOINT.SERVICE.NS.svc.DOMAIN             A: an endpoint of a headless Service, by its hostname or by its address (10-1-2-3)
    _PORT._PROTOCOL.SERVICE.NS.svc.DOMAIN      SRV
    10-1-2-3.NS.pod.DOMAIN                     A: the address itself, when the namespace exists
    3.2.1.10.in-addr.arpa                      PTR: a Service, or an endpoint with a hostname

A name that exists but has nothing of the asked type answers NOERROR without records; also a name above one that exists.
Source: kubernetes/dns docs/specification.md (1.1.0).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from podium.network import dns_wire
from podium.network.dns_wire import Name, Record

Object = dict[str, Any]
TTL_S = 5
SPECIFICATION = "1.1.0"


@dataclass(frozen=True)
class Directory:
    """Where the zone looks: `service(namespace, name)`, the EndpointSlices of a Service, whether a namespace exists, and who has an address:
    Services by cluster IP, and (Service, endpoint) pairs by endpoint address."""

    service: Callable[[str, str], Object | None]
    slices: Callable[[str, str], list[Object]]
    namespace_exists: Callable[[str], bool]
    services_at: Callable[[str], list[Object]]
    endpoints_at: Callable[[str], list[tuple[Object, Object]]]


@dataclass(frozen=True)
class Answer:
    """`alias` is an ExternalName's target outside the zone that is still to be resolved."""

    code: int = dns_wire.NO_ERROR
    records: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    alias: Name = ()


NO_SUCH_NAME = Answer(dns_wire.NAME_ERROR)
EMPTY = Answer()


class Zone:
    def __init__(self, domain: str, directory: Directory, networks: list[str]) -> None:
        self.name = dns_wire.name_of(domain)
        self._directory = directory
        self._networks = [IPv4Network(n) for n in networks]

    def holds(self, name: Name) -> bool:
        """Whether this zone answers for that name: under the domain, or the reverse of an address in its networks."""
        if name[-len(self.name) :] == self.name:
            return True
        address = _reversed_address(name)
        return address is not None and any(address in network for network in self._networks)

    def soa(self) -> Record:
        return dns_wire.soa_record(self.name, 1, TTL_S)

    def answer(self, name: Name, kind: int) -> Answer:
        """`name` is one that the zone holds."""
        found = self._find(name)
        if found is None:
            return NO_SUCH_NAME
        if any(record.type == dns_wire.CNAME for record in found.records) and kind != dns_wire.CNAME:
            return self._follow(found, kind)
        wanted = [r for r in found.records if kind in (r.type, dns_wire.ANY)]
        return Answer(records=wanted, additional=found.additional if kind == dns_wire.SRV else [])

    def _follow(self, found: Answer, kind: int) -> Answer:
        target, _ = dns_wire.read_name(found.records[0].data, 0)
        if not self.holds(target):
            return Answer(records=found.records, alias=target)
        there = self._find(target)
        return Answer(records=[*found.records, *(r for r in (there.records if there else ()) if kind in (r.type, dns_wire.ANY))])

    def _find(self, name: Name) -> Answer | None:
        if name[-len(self.name) :] != self.name:
            return self._find_reverse(name)
        match name[: len(name) - len(self.name)]:
            case ():
                server = Record(self.name, dns_wire.NS, TTL_S, dns_wire.encode_name(("ns", "dns", *self.name)))
                return Answer(records=[self.soa(), server])
            case ("dns-version",):
                return Answer(records=[dns_wire.txt_record(name, SPECIFICATION, TTL_S)])
            case ("svc",) | ("pod",):
                return EMPTY
            case (namespace, "svc" | "pod"):
                return EMPTY if self._directory.namespace_exists(namespace) else None
            case (dashed, namespace, "pod"):
                return self._find_pod(name, dashed, namespace)
            case (*rest, service, namespace, "svc"):
                return self._find_service(name, tuple(rest), service, namespace)
        return None

    def _find_pod(self, name: Name, dashed: str, namespace: str) -> Answer | None:
        try:
            address = str(IPv4Address(dashed.replace("-", ".")))
        except ValueError:
            return None
        if not self._directory.namespace_exists(namespace):
            return None
        return Answer(records=[dns_wire.a_record(name, address, TTL_S)])

    def _find_service(self, name: Name, rest: tuple[str, ...], service: str, namespace: str) -> Answer | None:
        value = self._directory.service(namespace, service)
        if value is None:
            return None
        spec = value.get("spec", {})
        if spec.get("type") == "ExternalName":
            target = dns_wire.name_of(spec.get("externalName", ""))
            return Answer(records=[dns_wire.cname_record(name, target, TTL_S)]) if not rest and target else None
        headless = spec.get("clusterIP") == "None"
        owner = name[len(rest) :]
        match rest:
            case ():
                addresses = [e.ip for e in self._endpoints(namespace, service)] if headless else _cluster_ips(spec)
                records = [dns_wire.a_record(name, ip, TTL_S) for ip in dict.fromkeys(addresses)]
                return Answer(records=records) if records or not headless else None
            case (port, protocol) if port.startswith("_") and protocol.startswith("_"):
                found = list(self._ports(value, namespace, service, owner, headless=headless))
                return _srv(name, [f for f in found if (f.port_name, f.protocol) == (port[1:], protocol[1:])])
            case (protocol,) if protocol in ("_tcp", "_udp", "_sctp"):
                return EMPTY
            case (endpoint,) if headless:
                addresses = [e.ip for e in self._endpoints(namespace, service) if e.label == endpoint]
                records = [dns_wire.a_record(name, ip, TTL_S) for ip in dict.fromkeys(addresses)]
                return Answer(records=records) if records else None
        return None

    def _endpoints(self, namespace: str, service: str) -> Iterator["_Endpoint"]:
        for piece in self._directory.slices(namespace, service):
            if piece.get("addressType") == "IPv4":
                for entry in piece.get("endpoints") or ():
                    if (entry.get("conditions") or {}).get("ready") is not False:
                        for ip in entry.get("addresses") or ():
                            yield _Endpoint(ip, entry.get("hostname") or ip.replace(".", "-"), piece.get("ports") or [])

    def _ports(self, value: Object, namespace: str, service: str, owner: Name, *, headless: bool) -> Iterator["_Port"]:
        if headless:
            for endpoint in self._endpoints(namespace, service):
                for port in endpoint.ports:
                    if port.get("port"):
                        yield _Port(
                            port.get("name", ""), port.get("protocol", "TCP").lower(), port["port"], (endpoint.label, *owner), endpoint.ip
                        )
            return
        addresses = _cluster_ips(value["spec"])
        for port in value["spec"].get("ports") or ():
            yield _Port(port.get("name", ""), port.get("protocol", "TCP").lower(), port["port"], owner, addresses[0] if addresses else "")

    def _find_reverse(self, name: Name) -> Answer | None:
        address = _reversed_address(name)
        targets: list[Name] = []
        for service in self._directory.services_at(str(address)):
            targets.append((service["metadata"]["name"], service["metadata"]["namespace"], "svc", *self.name))
        for service, entry in self._directory.endpoints_at(str(address)) if not targets else ():
            if entry.get("hostname"):
                targets.append((entry["hostname"], service["metadata"]["name"], service["metadata"]["namespace"], "svc", *self.name))
        return Answer(records=[dns_wire.ptr_record(name, target, TTL_S) for target in targets]) if targets else None


@dataclass(frozen=True, slots=True)
class _Endpoint:
    ip: str
    label: str
    ports: list[Object]


@dataclass(frozen=True, slots=True)
class _Port:
    port_name: str
    protocol: str
    port: int
    target: Name
    ip: str


def _srv(name: Name, found: list[_Port]) -> Answer | None:
    if not found:
        return None
    weight = max(1, 100 // len(found))
    records = [dns_wire.srv_record(name, weight, f.port, f.target, TTL_S) for f in found]
    additional = {f.target: dns_wire.a_record(f.target, f.ip, TTL_S) for f in found if f.ip}
    return Answer(records=records, additional=list(additional.values()))


def _cluster_ips(spec: Object) -> list[str]:
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    return [ip for ip in addresses if ip and ip != "None" and ":" not in ip]


def _reversed_address(name: Name) -> IPv4Address | None:
    if len(name) != 6 or name[4:] != ("in-addr", "arpa"):
        return None
    try:
        return IPv4Address(".".join(reversed(name[:4])))
    except ValueError:
        return None
