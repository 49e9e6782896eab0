"""Kubernetes objects as target groups: pure, one function for each role.

Sources and meta labels are upstream's, name by name. Label and annotation names become label names: what is no letter, digit or underscore
becomes an underscore; `..._labelpresent_NAME` tells an empty value from none.

Source: Prometheus' <kubernetes_sd_config>, discovery/kubernetes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from podium.telemetry.metrics.discovery.groups import ADDRESS, META, TargetGroup

Object = Mapping[str, Any]
Labels = dict[str, str]
Find = Callable[[str, str], Object | None]
"""(namespace, name) -> the object, if it is there."""

PREFIX = META + "kubernetes_"
NAMESPACE = PREFIX + "namespace"
SERVICE_NAME = "kubernetes.io/service-name"
PRESENT = "true"
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_]")


def sanitized(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)


def no_object(namespace: str, name: str) -> Object | None:
    return None


def _metadata(value: Object) -> Object:
    found: Object = value["metadata"]
    return found


def _mapped(kind: str, values: Mapping[str, str] | None, what: str) -> Labels:
    labels: Labels = {}
    for name, text in (values or {}).items():
        labels[f"{PREFIX}{kind}_{what}_{sanitized(name)}"] = text
        labels[f"{PREFIX}{kind}_{what}present_{sanitized(name)}"] = PRESENT
    return labels


def object_labels(kind: str, value: Object) -> Labels:
    """Name, labels and annotations."""
    metadata = _metadata(value)
    return {
        f"{PREFIX}{kind}_name": metadata["name"],
        **_mapped(kind, metadata.get("labels"), "label"),
        **_mapped(kind, metadata.get("annotations"), "annotation"),
    }


def namespace_labels(namespace: Object | None) -> Labels:
    """For attach_metadata."""
    if namespace is None:
        return {}
    metadata = _metadata(namespace)
    return _mapped("namespace", metadata.get("labels"), "label") | _mapped("namespace", metadata.get("annotations"), "annotation")


def node_labels(node: Object | None) -> Labels:
    """For attach_metadata: name and labels."""
    if node is None:
        return {}
    metadata = _metadata(node)
    return {f"{PREFIX}node_name": metadata["name"], **_mapped("node", metadata.get("labels"), "label")}


def join(host: str, port: int | str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _given(labels: Mapping[str, Any]) -> Labels:
    """Without what is absent."""
    return {name: _text(value) for name, value in labels.items() if value is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- node


def node_group(node: Object, address_types: Sequence[str]) -> TargetGroup:
    metadata, status = _metadata(node), node.get("status") or {}
    source = f"node/{metadata['name']}"
    addresses: dict[str, str] = {}
    for address in status.get("addresses") or ():
        addresses.setdefault(address["type"], address["address"])
    host = next((addresses[kind] for kind in address_types if kind in addresses), "")
    if not host:
        return TargetGroup(source)
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 0)
    target = {ADDRESS: join(host, port), "instance": metadata["name"]}
    target |= {f"{PREFIX}node_address_{sanitized(kind)}": address for kind, address in addresses.items()}
    labels = object_labels("node", node)
    labels[f"{PREFIX}node_provider_id"] = (node.get("spec") or {}).get("providerID", "")
    return TargetGroup(source, (target,), labels)


# -- pod


def pod_labels(pod: Object) -> Labels:
    metadata, spec, status = _metadata(pod), pod.get("spec") or {}, pod.get("status") or {}
    conditions = status.get("conditions") or ()
    ready = next((condition.get("status", "Unknown") for condition in conditions if condition.get("type") == "Ready"), "Unknown")
    labels = object_labels("pod", pod) | {
        f"{PREFIX}pod_ip": status.get("podIP", ""),
        f"{PREFIX}pod_ready": ready.lower(),
        f"{PREFIX}pod_phase": status.get("phase", ""),
        f"{PREFIX}pod_node_name": spec.get("nodeName", ""),
        f"{PREFIX}pod_host_ip": status.get("hostIP", ""),
        f"{PREFIX}pod_uid": metadata.get("uid", ""),
    }
    owner = next((owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")), None)
    if owner is not None:
        labels |= {f"{PREFIX}pod_controller_kind": owner.get("kind", ""), f"{PREFIX}pod_controller_name": owner.get("name", "")}
    return labels


def _containers(pod: Object) -> Iterator[tuple[Object, bool]]:
    """(container, whether it is an init container)."""
    spec = pod.get("spec") or {}
    for container in spec.get("containers") or ():
        yield container, False
    for container in spec.get("initContainers") or ():
        yield container, True


def _container_labels(container: Object, init: bool) -> Labels:
    return {
        f"{PREFIX}pod_container_name": container["name"],
        f"{PREFIX}pod_container_image": container.get("image", ""),
        f"{PREFIX}pod_container_init": _text(init),
    }


def _port_labels(port: Object) -> Labels:
    return {
        f"{PREFIX}pod_container_port_name": port.get("name", ""),
        f"{PREFIX}pod_container_port_number": str(port["containerPort"]),
        f"{PREFIX}pod_container_port_protocol": port.get("protocol", ""),
    }


def pod_group(pod: Object, node: Object | None = None, namespace: Object | None = None) -> TargetGroup:
    """A target for each port of each container; one without a port for a container that has none."""
    metadata, status = _metadata(pod), pod.get("status") or {}
    source = f"pod/{metadata['namespace']}/{metadata['name']}"
    host = status.get("podIP", "")
    if not host:
        return TargetGroup(source)
    labels = pod_labels(pod) | {NAMESPACE: metadata["namespace"]} | node_labels(node) | namespace_labels(namespace)
    targets: list[Labels] = []
    for container, init in _containers(pod):
        own = _container_labels(container, init)
        own[f"{PREFIX}pod_container_id"] = _container_id(status, container["name"], init)
        ports = container.get("ports") or ()
        targets += [{ADDRESS: join(host, port["containerPort"]), **own, **_port_labels(port)} for port in ports]
        if not ports:
            targets.append({ADDRESS: host, **own})
    return TargetGroup(source, tuple(targets), labels)


def _container_id(status: Object, name: str, init: bool) -> str:
    statuses = status.get("initContainerStatuses" if init else "containerStatuses") or ()
    return next((found.get("containerID", "") for found in statuses if found.get("name") == name), "")


# -- service


def service_labels(service: Object) -> Labels:
    return object_labels("service", service) | {NAMESPACE: _metadata(service)["namespace"]}


def service_group(service: Object, namespace: Object | None = None) -> TargetGroup:
    metadata, spec = _metadata(service), service.get("spec") or {}
    place = metadata["namespace"], metadata["name"]
    kind = spec.get("type", "ClusterIP")
    targets: list[Labels] = []
    for port in spec.get("ports") or ():
        target = {
            ADDRESS: join(f"{place[1]}.{place[0]}.svc", port["port"]),
            f"{PREFIX}service_port_name": port.get("name", ""),
            f"{PREFIX}service_port_number": str(port["port"]),
            f"{PREFIX}service_port_protocol": port.get("protocol", ""),
            f"{PREFIX}service_type": kind,
        }
        if kind == "ExternalName":
            target[f"{PREFIX}service_external_name"] = spec.get("externalName", "")
        else:
            target[f"{PREFIX}service_cluster_ip"] = spec.get("clusterIP", "")
        if kind == "LoadBalancer":
            target[f"{PREFIX}service_loadbalancer_ip"] = spec.get("loadBalancerIP", "")
        targets.append(target)
    return TargetGroup(f"svc/{'/'.join(place)}", tuple(targets), service_labels(service) | namespace_labels(namespace))


# -- endpoints and endpointslice


class _Backends:
    """Targets of a service's addresses, and of the ports of its pods that no address has."""

    def __init__(self, pod_of: Find, node_of: Find) -> None:
        self.targets: list[Labels] = []
        self._pod_of = pod_of
        self._node_of = node_of
        self._pods: dict[tuple[str, str], tuple[Object, list[int]]] = {}

    def add(self, target: Labels, reference: Object | None, port: int | None, node_name: str | None) -> None:
        """`reference` is what the address belongs to."""
        kind, name = ((reference or {}).get("kind"), (reference or {}).get("name", ""))
        node = name if kind == "Node" else node_name
        if node:
            target |= node_labels(self._node_of("", node))
        pod = self._pod_of((reference or {}).get("namespace", ""), name) if kind == "Pod" else None
        self.targets.append(target)
        if pod is None:
            return
        target |= pod_labels(pod)
        place = _metadata(pod)["namespace"], _metadata(pod)["name"]
        covered = self._pods.setdefault(place, (pod, []))[1]
        if port is None:
            return
        covered.append(port)
        for container, init in _containers(pod):
            for own in container.get("ports") or ():
                if own["containerPort"] == port:
                    target |= _container_labels(container, init) | _port_labels(own)
                    break

    def uncovered(self) -> list[Labels]:
        found: list[Labels] = []
        for pod, covered in self._pods.values():
            host = (pod.get("status") or {}).get("podIP", "")
            if not host:
                continue
            for container, init in _containers(pod):
                for port in container.get("ports") or ():
                    if port["containerPort"] not in covered:
                        own = _container_labels(container, init) | _port_labels(port) | pod_labels(pod)
                        found.append({ADDRESS: join(host, port["containerPort"]), **own})
        return found


def endpoints_group(
    endpoints: Object, service: Object | None, pod_of: Find, node_of: Find = no_object, namespace: Object | None = None
) -> TargetGroup:
    metadata = _metadata(endpoints)
    labels = object_labels("endpoints", endpoints) | {NAMESPACE: metadata["namespace"]} | namespace_labels(namespace)
    if service is not None:
        labels |= service_labels(service)
    backends = _Backends(pod_of, node_of)
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            for ready, addresses in ((True, subset.get("addresses")), (False, subset.get("notReadyAddresses"))):
                for address in addresses or ():
                    reference = address.get("targetRef")
                    target = _endpoint_target(address, port, ready, reference)
                    backends.add(target, reference, port["port"], address.get("nodeName"))
    source = f"endpoints/{metadata['namespace']}/{metadata['name']}"
    return TargetGroup(source, (*backends.targets, *backends.uncovered()), labels)


def _endpoint_target(address: Object, port: Object, ready: bool, reference: Object | None) -> Labels:
    return _given(
        {
            ADDRESS: join(address["ip"], port["port"]),
            f"{PREFIX}endpoint_port_name": port.get("name", ""),
            f"{PREFIX}endpoint_port_protocol": port.get("protocol", ""),
            f"{PREFIX}endpoint_ready": ready,
            f"{PREFIX}endpoint_address_target_kind": (reference or {}).get("kind"),
            f"{PREFIX}endpoint_address_target_name": (reference or {}).get("name"),
            f"{PREFIX}endpoint_node_name": address.get("nodeName"),
            f"{PREFIX}endpoint_hostname": address.get("hostname") or None,
        }
    )


def endpoint_slice_group(
    slice_: Object, service: Object | None, pod_of: Find, node_of: Find = no_object, namespace: Object | None = None
) -> TargetGroup:
    metadata = _metadata(slice_)
    labels = object_labels("endpointslice", slice_) | {NAMESPACE: metadata["namespace"]} | namespace_labels(namespace)
    labels[f"{PREFIX}endpointslice_address_type"] = slice_.get("addressType", "")
    if service is not None:
        labels |= service_labels(service)
    backends = _Backends(pod_of, node_of)
    for endpoint in slice_.get("endpoints") or ():
        for port in slice_.get("ports") or ():
            for host in endpoint.get("addresses") or ():
                target = _slice_target(host, endpoint, port)
                backends.add(target, endpoint.get("targetRef"), port.get("port"), endpoint.get("nodeName"))
    source = f"endpointslice/{metadata['namespace']}/{metadata['name']}"
    return TargetGroup(source, (*backends.targets, *backends.uncovered()), labels)


def _slice_target(host: str, endpoint: Object, port: Object) -> Labels:
    number, conditions = port.get("port"), endpoint.get("conditions") or {}
    reference = endpoint.get("targetRef") or {}
    slice_prefix = f"{PREFIX}endpointslice_"
    target = {
        ADDRESS: host if number is None else join(host, number),
        f"{slice_prefix}port_name": port.get("name"),
        f"{slice_prefix}port_protocol": port.get("protocol"),
        f"{slice_prefix}port": number,
        f"{slice_prefix}port_app_protocol": port.get("appProtocol"),
        f"{slice_prefix}endpoint_conditions_ready": conditions.get("ready"),
        f"{slice_prefix}endpoint_conditions_serving": conditions.get("serving"),
        f"{slice_prefix}endpoint_conditions_terminating": conditions.get("terminating"),
        f"{slice_prefix}endpoint_hostname": endpoint.get("hostname"),
        f"{slice_prefix}endpoint_node_name": endpoint.get("nodeName"),
        f"{slice_prefix}endpoint_zone": endpoint.get("zone"),
        f"{slice_prefix}address_target_kind": reference.get("kind"),
        f"{slice_prefix}address_target_name": reference.get("name"),
    }
    for name, value in (endpoint.get("deprecatedTopology") or {}).items():
        target[f"{slice_prefix}endpoint_topology_{sanitized(name)}"] = value
        target[f"{slice_prefix}endpoint_topology_present_{sanitized(name)}"] = PRESENT
    return _given(target)


# -- ingress


def ingress_group(ingress: Object, namespace: Object | None = None) -> TargetGroup:
    """A target for each path of each rule."""
    metadata, spec = _metadata(ingress), ingress.get("spec") or {}
    labels = object_labels("ingress", ingress) | {NAMESPACE: metadata["namespace"]} | namespace_labels(namespace)
    if (class_name := spec.get("ingressClassName")) is not None:
        labels[f"{PREFIX}ingress_class_name"] = class_name
    patterns = [host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()]
    targets: list[Labels] = []
    for rule in spec.get("rules") or ():
        host = rule.get("host", "")
        scheme = "https" if any(_matches(pattern, host) for pattern in patterns) else "http"
        paths = [path.get("path") or "/" for path in (rule.get("http") or {}).get("paths") or ()] or ["/"]
        targets += [
            {
                ADDRESS: host,
                f"{PREFIX}ingress_scheme": scheme,
                f"{PREFIX}ingress_host": host,
                f"{PREFIX}ingress_path": path,
            }
            for path in paths
        ]
    return TargetGroup(f"ingress/{metadata['namespace']}/{metadata['name']}", tuple(targets), labels)


def _matches(pattern: str, host: str) -> bool:
    """`*.example.com` stands for one more part."""
    return pattern == host or (pattern.startswith("*.") and host.partition(".")[2] == pattern[2:])
