"""Network: services, what stands behind them, and what leads to them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from podium.api.tables.columns import AGE, NAME, NONE, UNSET, WIDE, Column, Table, age, at, labels, name, selector, some, spec
from podium.objects.values import Object


def _service(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    ips = wanted.get("clusterIPs") or ([wanted["clusterIP"]] if wanted.get("clusterIP") else [])
    ports = ",".join(map(_port, wanted.get("ports") or ()))
    return [
        name(value), wanted.get("type", ""), ips[0] if ips else NONE, _external(value), ports or NONE, age(value, now),
        labels(wanted.get("selector")),
    ]  # fmt: skip


def _port(port: Object) -> str:
    number = f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else str(port["port"])
    return f"{number}/{port.get('protocol', 'TCP')}"


def _external(value: Object) -> str:
    wanted = spec(value)
    own = wanted.get("externalIPs") or []
    kind = wanted.get("type")
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(own) or NONE
    if kind == "LoadBalancer":
        return ",".join([*_ingress(value), *own]) or "<pending>"
    return str(wanted.get("externalName", "")) if kind == "ExternalName" else "<unknown>"


def _ingress(value: Object) -> list[str]:
    """Where a load balancer answers: addresses and names, sorted."""
    points = at(value, "status", "loadBalancer", "ingress", default=())
    return sorted({p.get("ip") or p.get("hostname") or "" for p in points} - {""})


def _endpoints(value: Object, now: datetime) -> list[Any]:
    return [name(value), some(_addresses(value), 3) or NONE, age(value, now)]


def _addresses(value: Object) -> Iterator[str]:
    for subset in value.get("subsets") or ():
        hosts = [f"[{a['ip']}]" if ":" in a["ip"] else a["ip"] for a in subset.get("addresses") or ()]
        ports = subset.get("ports")
        if ports:
            yield from (f"{host}:{port['port']}" for port in ports for host in hosts)
        else:
            yield from (a["ip"] for a in subset.get("addresses") or ())


def _endpoint_slice(value: Object, now: datetime) -> list[Any]:
    ports = (str(p["port"]) if p.get("port") is not None else p.get("name", "*") for p in value.get("ports") or ())
    addresses = (a for e in value.get("endpoints") or () for a in e.get("addresses") or ())
    return [name(value), value.get("addressType", ""), some(ports, 3) or UNSET, some(addresses, 3) or UNSET, age(value, now)]


def _ingress_cells(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    ports = "80, 443" if wanted.get("tls") else "80"
    return [name(value), wanted.get("ingressClassName") or NONE, _hosts(wanted), ",".join(_ingress(value)), ports, age(value, now)]


def _hosts(wanted: Object) -> str:
    """The first three; what follows is counted by rules, as upstream does."""
    rules = wanted.get("rules") or []
    shown: list[str] = []
    for rule in rules:
        if len(shown) == 3:
            return f"{','.join(shown)} + {len(rules) - 3} more..."
        if rule.get("host"):
            shown.append(rule["host"])
    return ",".join(shown) or "*"


def _ingress_class(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    given = wanted.get("parameters")
    shown = NONE
    if given:
        group = f".{given['apiGroup']}" if given.get("apiGroup") else ""
        shown = f"{given.get('kind', '')}{group}/{given.get('name', '')}"
    return [name(value), wanted.get("controller", ""), shown, age(value, now)]


def _address(value: Object, now: datetime) -> list[Any]:
    parent = spec(value).get("parentRef")
    shown = NONE
    if parent:
        group = f".{parent['group']}" if parent.get("group") else ""
        scope = f"/{parent['namespace']}" if parent.get("namespace") else ""
        shown = f"{parent.get('resource', '')}{group}".lower() + f"{scope}/{parent.get('name', '')}"
    return [name(value), shown, age(value, now)]


_SERVICE = "core.v1.ServiceSpec"
_SLICE = "discovery.v1.EndpointSlice"

TABLES = {
    ("", "services"): Table(
        (
            NAME,
            Column("Type", field=f"{_SERVICE}.type"),
            Column("Cluster-IP", field=f"{_SERVICE}.clusterIP"),
            Column("External-IP", field=f"{_SERVICE}.externalIPs"),
            Column("Port(s)", field=f"{_SERVICE}.ports"),
            AGE,
            Column("Selector", field=f"{_SERVICE}.selector", priority=WIDE),
        ),
        _service,
    ),
    ("", "endpoints"): Table((NAME, Column("Endpoints", field="core.v1.Endpoints.subsets"), AGE), _endpoints),
    ("discovery.k8s.io", "endpointslices"): Table(
        (
            NAME,
            Column("AddressType", field=f"{_SLICE}.addressType"),
            Column("Ports", field=f"{_SLICE}.ports"),
            Column("Endpoints", field=f"{_SLICE}.endpoints"),
            AGE,
        ),
        _endpoint_slice,
    ),
    ("networking.k8s.io", "ingresses"): Table(
        (
            NAME,
            Column("Class", text="The name of the IngressClass resource that should be used for additional configuration"),
            Column("Hosts", text="Hosts that incoming requests are matched against before the ingress rule"),
            Column("Address", text="Address is a list containing ingress points for the load-balancer"),
            Column("Ports", text="Ports of TLS configurations that open"),
            AGE,
        ),
        _ingress_cells,
    ),
    ("networking.k8s.io", "ingressclasses"): Table(
        (
            NAME,
            Column("Controller", text="Controller that is responsible for handling this class"),
            Column("Parameters", text="A reference to a resource with additional parameters"),
            AGE,
        ),
        _ingress_class,
    ),
    ("networking.k8s.io", "networkpolicies"): Table(
        (NAME, Column("Pod-Selector", field="networking.v1.NetworkPolicySpec.podSelector"), AGE),
        lambda value, now: [name(value), selector(spec(value).get("podSelector") or {}), age(value, now)],
    ),
    ("networking.k8s.io", "servicecidrs"): Table(
        (NAME, Column("CIDRs", field="networking.v1.ServiceCIDRSpec.cidrs"), AGE),
        lambda value, now: [name(value), ",".join(spec(value).get("cidrs") or ()), age(value, now)],
    ),
    ("networking.k8s.io", "ipaddresses"): Table((NAME, Column("ParentRef", field="networking.v1.IPAddressSpec.parentRef"), AGE), _address),
}
