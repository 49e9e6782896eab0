"""Who may talk to whom, and by which addresses: NetworkPolicy, IPAddress, ServiceCIDR.

Source: k8s.io/kubernetes pkg/apis/networking/validation/validation.go, k8s.io/apimachinery pkg/util/validation/ip.go.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from podium.objects import names
from podium.objects.validation.addresses import check_range, parse
from podium.objects.validation.faults import IMMUTABLE, Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.values import Object

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")
_RANGES_MAX = 2
_FAMILIES = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


def check_policy(faults: Faults, value: Object) -> None:
    _check_policy(faults, value.get("spec") or {}, ())


def check_policy_update(faults: Faults, new: Object, old: Object) -> None:
    """A range that is in the old policy may be anywhere in the new one, whatever it is."""
    _check_policy(faults, new.get("spec") or {}, tuple(_ranges(old.get("spec") or {})))


def _ranges(spec: Object) -> Iterator[str]:
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction) or ():
            for peer in rule.get(peers) or ():
                block = peer.get("ipBlock") or {}
                yield from (block.get("cidr") or "", *(block.get("except") or ()))


def _check_policy(faults: Faults, spec: Object, known: tuple[str, ...]) -> None:
    check_label_selector(faults, spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{i}]"
            for j, port in enumerate(rule.get("ports") or ()):
                _check_port(faults, port, f"{path}.ports[{j}]")
            for j, peer in enumerate(rule.get(peers) or ()):
                _check_peer(faults, peer, f"{path}.{peers}[{j}]", known)
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        faults.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for i, type_ in enumerate(types):
        faults.one_of(f"spec.policyTypes[{i}]", type_, _TYPES)


def _check_port(faults: Faults, port: Object, path: str) -> None:
    faults.one_of(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    if number is None and end is not None:
        faults.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")
    elif isinstance(number, str) and end is not None:
        faults.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
    faults.port(f"{path}.port", number)
    if isinstance(number, int) and end is not None:
        if end < number:
            faults.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")
        faults.each(f"{path}.endPort", end, names.port_number(end))


def _check_peer(faults: Faults, peer: Object, path: str, known: tuple[str, ...]) -> None:
    for field in ("podSelector", "namespaceSelector"):
        check_label_selector(faults, peer.get(field), f"{path}.{field}")
    if (block := peer.get("ipBlock")) is not None:
        _check_block(faults, block, f"{path}.ipBlock", known)
    given = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(field) is not None]
    if not given:
        faults.required(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        faults.forbidden(path, "may not specify both ipBlock and another peer")


def _check_block(faults: Faults, block: Object, path: str, known: tuple[str, ...]) -> None:
    text = block.get("cidr") or ""
    if not text:
        faults.required(f"{path}.cidr")
        return
    whole = _network(faults, text, f"{path}.cidr", known)
    if whole is None:
        return
    for i, part in enumerate(block.get("except") or ()):
        at = f"{path}.except[{i}]"
        network = _network(faults, part, at, known)
        if network is None:
            continue
        inside = network.version == whole.version and network.network_address in whole
        if not inside or whole.prefixlen >= network.prefixlen:
            faults.invalid(at, part, "must be a strict subset of `cidr`")


def _network(faults: Faults, text: str, path: str, known: tuple[str, ...]) -> IPv4Network | IPv6Network | None:
    """None for what is no range, told unless it is known."""
    if text not in known:
        check_range(faults, path, text)
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def check_address(faults: Faults, value: Object) -> None:
    name = value["metadata"].get("name") or ""
    address = parse(name)
    if name and address is None:
        faults.invalid("metadata.name", name, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    elif name and str(address) != name:
        faults.invalid("metadata.name", name, f'must be in canonical form ("{address}")')
    reference, path = (value.get("spec") or {}).get("parentRef"), "spec.parentRef"
    if reference is None:
        faults.required(path)
        return
    if group := reference.get("group"):
        faults.each(f"{path}.group", group, names.dns_subdomain(group))
    for field in ("resource", "name"):
        if not reference.get(field):
            faults.required(f"{path}.{field}")
    for field in ("resource", "name", "namespace"):
        faults.each(f"{path}.{field}", reference.get(field) or "", names.path_segment(reference.get(field) or ""))


def check_address_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec.parentRef", (new.get("spec") or {}).get("parentRef"), (old.get("spec") or {}).get("parentRef"))


def check_service_range(faults: Faults, value: Object) -> None:
    ranges, path = (value.get("spec") or {}).get("cidrs") or [], "spec.cidrs"
    if not ranges:
        faults.required(path, "at least one CIDR required")
        return
    if len(ranges) > _RANGES_MAX:
        faults.invalid(path, value["spec"], "may only hold up to 2 values")
        return
    networks = []
    for i, text in enumerate(ranges):
        before = len(faults)
        check_range(faults, f"{path}[{i}]", text)
        if len(faults) == before:
            network = ip_network(text, strict=False)
            networks.append(network)
            if str(network) != text:
                _not_canonical(faults, f"{path}[{i}]", text, network)
    if len(networks) == _RANGES_MAX and networks[0].version == networks[1].version:
        faults.invalid(path, ranges, _FAMILIES)


def _not_canonical(faults: Faults, path: str, text: str, network: IPv4Network | IPv6Network) -> None:
    address = parse(text.partition("/")[0])
    if address is not None and address != network.network_address:
        faults.invalid(path, text, "must not have bits set beyond the prefix length")
    else:
        faults.invalid(path, text, f'must be in canonical form ("{network}")')


def check_service_range_update(faults: Faults, new: Object, old: Object) -> None:
    """Nothing changes, but a second family may be added."""
    ranges, before = (new.get("spec") or {}).get("cidrs") or [], (old.get("spec") or {}).get("cidrs") or []
    if len(ranges) == len(before):
        for i, (text, past) in enumerate(zip(ranges, before, strict=True)):
            faults.unchanged(f"spec.cidrs[{i}]", text, past)
    elif len(before) == 1 and len(ranges) == _RANGES_MAX:
        faults.unchanged("spec.cidrs[0]", ranges[0], before[0])
        check_service_range(faults, new)
    else:
        faults.invalid("spec.cidrs", ranges, IMMUTABLE)
