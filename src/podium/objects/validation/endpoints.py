"""Endpoints and EndpointSlices: the addresses behind a service.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateEndpoints), pkg/apis/discovery/validation.
"""

from podium.objects import names
from podium.objects.validation.addresses import check_address, check_not_special, parse
from podium.objects.validation.containers import PROTOCOLS
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_labels
from podium.objects.values import Object

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_ENDPOINTS_MAX, _ADDRESSES_MAX, _PORTS_MAX, _ZONE_HINTS_MAX, _TOPOLOGY_MAX = 1000, 100, 20000, 8, 16


def check_endpoints(faults: Faults, value: Object) -> None:
    for i, subset in enumerate(value.get("subsets") or ()):
        at = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            faults.required(at, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(field) or ()):
                _check_endpoint_address(faults, address, f"{at}.{field}[{j}]")
        ports = subset.get("ports") or ()
        for j, port in enumerate(ports):
            _check_port(faults, port, f"{at}.ports[{j}]", named=len(ports) > 1)


def check_slice(faults: Faults, value: Object) -> None:
    kind = value.get("addressType")
    if not kind:
        faults.required("addressType")
    else:
        faults.one_of("addressType", kind, _ADDRESS_TYPES)
    endpoints, ports = value.get("endpoints") or (), value.get("ports") or ()
    if len(endpoints) > _ENDPOINTS_MAX:
        faults.too_many("endpoints", len(endpoints), _ENDPOINTS_MAX)
    else:
        for i, endpoint in enumerate(endpoints):
            _check_endpoint(faults, endpoint, kind or "", f"endpoints[{i}]")
    if len(ports) > _PORTS_MAX:
        faults.too_many("ports", len(ports), _PORTS_MAX)
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        name = port.get("name") or ""
        if name:
            faults.each(f"ports[{i}].name", name, names.dns_label(name))
        faults.unique(f"ports[{i}].name", name, seen)
        faults.one_of(f"ports[{i}].protocol", port.get("protocol"), PROTOCOLS)
        if port.get("appProtocol"):
            faults.each(f"ports[{i}].appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))


def check_slice_update(faults: Faults, new: Object, old: Object) -> None:
    check_slice(faults, new)
    faults.unchanged("addressType", new.get("addressType"), old.get("addressType"))


def _check_endpoint_address(faults: Faults, address: Object, path: str) -> None:
    check_address(faults, f"{path}.ip", address.get("ip", ""))
    if address.get("hostname"):
        faults.each(f"{path}.hostname", address["hostname"], names.dns_label(address["hostname"]))
    if address.get("nodeName"):
        faults.each(f"{path}.nodeName", address["nodeName"], names.dns_subdomain(address["nodeName"]))
    check_not_special(faults, f"{path}.ip", address.get("ip", ""), loopback=True)


def _check_port(faults: Faults, port: Object, path: str, *, named: bool) -> None:
    name, number = port.get("name"), port.get("port", 0)
    if name:
        faults.each(f"{path}.name", name, names.dns_label(name))
    elif named:
        faults.required(f"{path}.name")
    faults.each(f"{path}.port", number, names.port_number(number))
    faults.one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    if port.get("appProtocol"):
        faults.each(f"{path}.appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))


def _check_endpoint(faults: Faults, endpoint: Object, kind: str, path: str) -> None:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        faults.required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > _ADDRESSES_MAX:
        faults.too_many(f"{path}.addresses", len(addresses), _ADDRESSES_MAX)
    for i, text in enumerate(addresses):
        at = f"{path}.addresses[{i}]"
        if kind in ("IPv4", "IPv6"):
            address = parse(text)
            if address is None or f"IPv{address.version}" != kind:
                faults.invalid(at, text, f"must be a valid {kind} address")
            check_not_special(faults, at, text, loopback=True)
        elif kind == "FQDN":
            faults.each(at, text, _domain_name(text))
    if endpoint.get("nodeName"):
        faults.each(f"{path}.nodeName", endpoint["nodeName"], names.dns_subdomain(endpoint["nodeName"]))
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > _TOPOLOGY_MAX:
        faults.too_many(f"{path}.deprecatedTopology", len(topology), _TOPOLOGY_MAX)
    check_labels(faults, topology, f"{path}.deprecatedTopology")
    if endpoint.get("hostname"):
        faults.each(f"{path}.hostname", endpoint["hostname"], names.dns_label(endpoint["hostname"]))
    hints = (endpoint.get("hints") or {}).get("forZones") or ()
    if len(hints) > _ZONE_HINTS_MAX:
        faults.too_many(f"{path}.hints.forZones", len(hints), _ZONE_HINTS_MAX)
    seen: set[str] = set()
    for i, hint in enumerate(hints):
        faults.unique(f"{path}.hints.forZones[{i}].name", hint.get("name", ""), seen)


def _domain_name(text: str) -> list[str]:
    name = text.removesuffix(".")
    wrong = names.dns_subdomain(name)
    if wrong:
        return [",".join(wrong)]
    if "." not in name:
        return ["should be a domain with at least two segments separated by dots"]
    return []
