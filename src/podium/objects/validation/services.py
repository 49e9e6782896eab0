"""Services.

Addresses are allocated before this is asked, so `clusterIPs` may be there on creation; what defaults fill is not asked for again.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateService, ValidateServiceUpdate, ValidateServiceClusterIPsRelatedFields).
"""

from podium.objects import names
from podium.objects.cause import Cause, show
from podium.objects.validation.addresses import check_address, check_not_special, check_range, family
from podium.objects.validation.containers import PROTOCOLS
from podium.objects.validation.faults import IMMUTABLE, Faults
from podium.objects.validation.labels import check_labels
from podium.objects.values import Object

NODE_PORT_MIN, NODE_PORT_MAX = 30000, 32767
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITY_SECONDS_MAX = 86400
_ONLY_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_SET_ONCE = "may not change once set"


def check_service(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    kind, ports = spec.get("type", "ClusterIP"), spec.get("ports") or []
    headless = _is_headless(spec)
    if not ports and not headless and kind != "ExternalName":
        faults.required("spec.ports")
    if headless and kind in ("LoadBalancer", "NodePort"):
        faults.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        _check_external_name(faults, spec)
    _check_ports(faults, ports, kind)
    check_labels(faults, spec.get("selector"), "spec.selector")
    _check_affinity(faults, spec)
    _check_cluster_ips(faults, spec)
    for i, ip in enumerate(spec.get("externalIPs") or ()):
        if check_address(faults, f"spec.externalIPs[{i}]", ip):
            check_not_special(faults, f"spec.externalIPs[{i}]", ip)
    faults.one_of("spec.type", kind, _TYPES)
    _check_balancer(faults, value, kind)
    _check_policies(faults, spec, kind)


def check_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    kinds = (spec.get("type"), before.get("type"))
    if "ExternalName" not in kinds:
        _check_ips_kept(faults, spec, before)
        _check_families_kept(faults, spec, before)
    if kinds == ("LoadBalancer", "LoadBalancer") and spec.get("loadBalancerClass") != before.get("loadBalancerClass"):
        faults.invalid("spec.loadBalancerClass", spec.get("loadBalancerClass"), _SET_ONCE)
    if _needs_health_check(spec) and _needs_health_check(before) and spec.get("healthCheckNodePort") != before.get("healthCheckNodePort"):
        faults.forbidden("spec.healthCheckNodePort", IMMUTABLE)
    check_service(faults, new)


def check_status(faults: Faults, new: Object, old: Object) -> None:
    ingress = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if ingress and (new.get("spec") or {}).get("type") != "LoadBalancer":
        faults.forbidden("status.loadBalancer.ingress", 'may only be used when `spec.type` is "LoadBalancer"')
    for i, point in enumerate(ingress):
        at = f"status.loadBalancer.ingress[{i}]"
        if point.get("ip"):
            check_address(faults, f"{at}.ip", point["ip"])
        if point.get("hostname"):
            faults.each(f"{at}.hostname", point["hostname"], names.dns_subdomain(point["hostname"]))


def _cluster_ips(spec: Object) -> list[str]:
    return spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])


def _is_headless(spec: Object) -> bool:
    return _cluster_ips(spec) == ["None"]


def _check_external_name(faults: Faults, spec: Object) -> None:
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field) and (field != "clusterIPs" or _cluster_ips(spec)):
            faults.forbidden(f"spec.{field}", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        faults.required("spec.externalName")
    else:
        faults.each("spec.externalName", name, names.dns_subdomain(name))


def _check_ports(faults: Faults, ports: list[Object], kind: str) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at, name, number = f"spec.ports[{i}]", port.get("name"), port.get("port", 0)
        if name:
            faults.each(f"{at}.name", name, names.dns_label(name))
            faults.unique(f"{at}.name", name, seen)
        elif len(ports) > 1:
            faults.required(f"{at}.name")
        faults.each(f"{at}.port", number, names.port_number(number))
        faults.one_of(f"{at}.protocol", port.get("protocol"), PROTOCOLS)
        faults.port(f"{at}.targetPort", port.get("targetPort"))
        if port.get("appProtocol"):
            faults.each(f"{at}.appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))
    _check_port_numbers(faults, ports, kind)


def _check_port_numbers(faults: Faults, ports: list[Object], kind: str) -> None:
    node_ports: set[tuple[str, int]] = set()
    service_ports: set[tuple[str, int]] = set()
    for i, port in enumerate(ports):
        at, protocol, node_port = f"spec.ports[{i}]", port.get("protocol", "TCP"), port.get("nodePort") or 0
        if node_port:
            if kind == "ClusterIP":
                faults.forbidden(f"{at}.nodePort", "may not be used when `type` is 'ClusterIP'")
            elif not NODE_PORT_MIN <= node_port <= NODE_PORT_MAX:
                why = f"provided port is not in the valid range. The range of valid ports is {NODE_PORT_MIN}-{NODE_PORT_MAX}"
                faults.invalid(f"{at}.nodePort", node_port, why)
            if (protocol, node_port) in node_ports:
                faults.duplicate(f"{at}.nodePort", node_port)
            node_ports.add((protocol, node_port))
        number = port.get("port", 0)
        if (protocol, number) in service_ports:
            faults.append(Cause("FieldValueDuplicate", at, f"Duplicate value: {show({'port': number, 'protocol': protocol})}"))
        service_ports.add((protocol, number))


def _check_affinity(faults: Faults, spec: Object) -> None:
    kind, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    faults.one_of("spec.sessionAffinity", kind, ("ClientIP", "None"))
    at = "spec.sessionAffinityConfig"
    if kind == "ClientIP" and config is not None:
        seconds = (config.get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            missing = at if config.get("clientIP") is not None else f"{at}.clientIP"
            faults.required(missing, "when session affinity type is ClientIP")
        elif not 0 < seconds <= _AFFINITY_SECONDS_MAX:
            faults.invalid(f"{at}.clientIP.timeoutSeconds", seconds, f"must be greater than 0 and less than {_AFFINITY_SECONDS_MAX}")
    elif kind == "None" and config is not None:
        faults.forbidden(at, "must not be set when session affinity is None")


def _check_cluster_ips(faults: Faults, spec: Object) -> None:
    if spec.get("type") == "ExternalName":
        return
    ips, first = spec.get("clusterIPs") or [], spec.get("clusterIP")
    if first and ips and ips[0] != first:
        faults.invalid("spec.clusterIPs", ips, "first value must match `clusterIP`")
    if ips and not first:
        faults.invalid("spec.clusterIPs", ips, "must be empty when `clusterIP` is not specified")
    seen: set[str] = set()
    for i, one in enumerate(spec.get("ipFamilies") or ()):
        faults.one_of(f"spec.ipFamilies[{i}]", one, ("IPv4", "IPv6"))
        faults.unique(f"spec.ipFamilies[{i}]", one, seen)
    faults.one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), ("PreferDualStack", "RequireDualStack", "SingleStack"))
    sound = True
    for i, ip in enumerate(ips or ([first] if first else [])):
        if i == 0 and ip == "None":
            if len(ips) > 1:
                sound = False
                faults.invalid("spec.clusterIPs", ips, "'None' must be the first and only value")
            continue
        sound = check_address(faults, f"spec.clusterIPs[{i}]", ip) and sound
    if len(ips) > 2:
        faults.invalid("spec.clusterIPs", ips, "may only hold up to 2 values")
    if sound:
        _check_families(faults, spec, ips)


def _check_families(faults: Faults, spec: Object, ips: list[str]) -> None:
    families = [family(ip) for ip in ips]
    if len(ips) > 1 and len(set(families)) < 2:
        faults.invalid("spec.clusterIPs", ips, "may specify no more than one IP for each IP family")
    if _is_headless(spec):
        return
    for i, (ip, expected) in enumerate(zip(ips, spec.get("ipFamilies") or (), strict=False)):
        if expected in ("IPv4", "IPv6") and family(ip) != expected:
            faults.invalid(f"spec.clusterIPs[{i}]", ip, f"expected an {expected} value as indicated by `ipFamilies[{i}]`")


def _check_ips_kept(faults: Faults, spec: Object, before: Object) -> None:
    """The addresses of a service stay; a second one may come and go."""
    if _is_headless(spec) and _is_headless(before):
        return
    new, old = _cluster_ips(spec), _cluster_ips(before)
    if len(new) == len(old):
        for i, (now, was) in enumerate(zip(new, old, strict=True)):
            if now != was:
                faults.invalid(f"spec.clusterIPs[{i}]", new, _SET_ONCE)
        return
    if old and not new:
        faults.invalid("spec.clusterIPs[0]", new, "primary clusterIP can not be unset")
    elif old and new[0] != old[0]:
        faults.invalid("spec.clusterIPs[0]", new, _SET_ONCE)
    if len(new) == 1 and len(old) > 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        why = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        faults.invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), why)


def _check_families_kept(faults: Faults, spec: Object, before: Object) -> None:
    new, old = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
    if not _is_headless(spec) and not _is_headless(before) and new and old and new[0] != old[0]:
        faults.invalid("spec.ipFamilies[0]", new, _SET_ONCE)


def _check_balancer(faults: Faults, value: Object, kind: str) -> None:
    spec = value.get("spec") or {}
    ranges = spec.get("loadBalancerSourceRanges") or ()
    if kind != "LoadBalancer":
        if ranges:
            faults.forbidden("spec.LoadBalancerSourceRanges", _ONLY_BALANCER)
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(field) is not None:
                faults.forbidden(f"spec.{field}", _ONLY_BALANCER)
    elif spec.get("loadBalancerClass") is not None:
        faults.each("spec.loadBalancerClass", spec["loadBalancerClass"], names.label_key(spec["loadBalancerClass"]))
    for i, one in enumerate(ranges):
        check_range(faults, f"spec.LoadBalancerSourceRanges[{i}]", one.strip())


def _check_policies(faults: Faults, spec: Object, kind: str) -> None:
    policy = spec.get("externalTrafficPolicy")
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        faults.one_of("spec.externalTrafficPolicy", policy, ("Cluster", "Local"))
    elif policy:
        faults.invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    port = spec.get("healthCheckNodePort") or 0
    if port and not _needs_health_check(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        faults.invalid("spec.healthCheckNodePort", port, why)
    elif port:
        faults.each("spec.healthCheckNodePort", port, names.port_number(port))
    faults.one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    faults.one_of("spec.trafficDistribution", spec.get("trafficDistribution"), ("PreferClose", "PreferSameNode", "PreferSameZone"))


def _needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
