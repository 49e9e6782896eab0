"""What every cluster has from its first moment: the system namespaces, the built-in priority classes and the `kubernetes` Service with the
API server behind it.

Idempotent: runs at every start, and mends what was removed. Source: k8s.io/kubernetes pkg/controlplane (systemnamespaces, kubernetesservice).
"""

import ipaddress
from typing import Any

from podium.api import bootstrap_flows
from podium.api.admission import PROTECTED_NAMESPACES
from podium.api.admission.priority import SYSTEM_CLASSES
from podium.api.bootstrap_policy import write_policy
from podium.api.core import Core
from podium.api.encoding import encode
from podium.api.request import Request, User
from podium.api.writing import create, patch
from podium.objects.resources import Resource, resource
from podium.objects.status import AlreadyExists

Object = dict[str, Any]
API_SERVER = User("system:apiserver", ("system:masters", "system:authenticated"))


async def bootstrap(core: Core, service_cidr: str, api_endpoint: tuple[str, int] | None, client_ca: str = "") -> None:
    """`api_endpoint` is where pods reach this server (address, port); None when nothing listens. `client_ca`: PEM of the authority of client
    certificates."""
    for name in PROTECTED_NAMESPACES:
        await _ensure(core, resource("namespaces"), None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name, number, description in SYSTEM_CLASSES:
        await _ensure(
            core,
            resource("priorityclasses", "scheduling.k8s.io"),
            None,
            {
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": number,
                "description": description,
            },
        )  # fmt: skip
    await write_policy(core)
    for value in bootstrap_flows.objects():
        kind = core.catalog.by_kind(value["apiVersion"], value["kind"])
        assert kind is not None
        await _ensure(core, kind, None, value)
    address = str(ipaddress.ip_network(service_cidr)[1])
    labels = {"component": "apiserver", "provider": "kubernetes"}
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": api_endpoint[1] if api_endpoint else 6443}]
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": ports, "type": "ClusterIP"},
    }  # fmt: skip
    await _ensure(core, resource("services"), "default", service)
    if api_endpoint is not None:
        await _publish(core, api_endpoint)
    if client_ca:
        await _publish_authority(core, client_ca)


async def _ensure(core: Core, kind: Resource, namespace: str | None, value: Object) -> None:
    try:
        await create(core, Request("create", kind, API_SERVER, namespace, value["metadata"]["name"], value=value))
    except AlreadyExists:
        pass


async def _publish_authority(core: Core, client_ca: str) -> None:
    """For API servers beside this one, which authenticate its users: the role extension-apiserver-authentication-reader reads it."""
    kind, name, data = resource("configmaps"), "extension-apiserver-authentication", {"client-ca-file": client_ca}
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"}, "data": data}
    await _ensure(core, kind, "kube-system", value)
    request = Request("patch", kind, API_SERVER, "kube-system", name, value={"data": data}, patch_type="merge")
    await patch(core, request)


async def _publish(core: Core, api_endpoint: tuple[str, int]) -> None:
    """The Endpoints and EndpointSlice of the Service, straight into the store: a loopback address is right here and refused from others."""
    address, port = api_endpoint
    metadata: Object = {"name": "kubernetes", "namespace": "default"}
    endpoints: Object = {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {**metadata, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    }  # fmt: skip
    endpoint_slice: Object = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4", "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }  # fmt: skip
    for kind, value in ((resource("endpoints"), endpoints), (resource("endpointslices", "discovery.k8s.io"), endpoint_slice)):
        key = kind.key("default", "kubernetes")
        present = await core.store.get(key)
        if present is not None and all(present.value.get(k) == value[k] for k in value if k != "metadata"):
            continue
        value["metadata"] |= {"uid": core.world.uid(), "creationTimestamp": core.world.clock.timestamp()}
        if present is not None:
            value["metadata"] |= {k: present.value["metadata"][k] for k in ("uid", "creationTimestamp")}
        await core.store.put(key, encode(value), expected=present.revision if present else 0, value=value)
