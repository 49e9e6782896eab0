"""kubernetes_sd_configs: the objects of a cluster as targets, followed through mirrors.

An object of the role is a group, named by its source. What a group is made of besides (service, pods, node, namespace) is followed too:
a change there makes the groups anew that it is part of. Changes are gathered within one turn of the loop and told together, once all mirrors are
complete.

Mirrors are shared: jobs with the same role, namespace and selectors list and watch once.
"""

import asyncio
from collections.abc import Callable, Iterable

from podium.client.interface import Object
from podium.client.mirror import Change, Keys, Mirror
from podium.client.mirrors import Mirrors
from podium.objects.resources import resource
from podium.objects.values import key_of
from podium.telemetry.discovery.kubernetes_config import ADDRESS_TYPES, RESOURCES, KubernetesDiscoveryConfig, Role
from podium.telemetry.discovery.kubernetes_groups import (
    SERVICE_NAME,
    endpoint_slice_group,
    endpoints_group,
    ingress_group,
    node_group,
    pod_group,
    service_group,
)  # fmt: skip
from podium.telemetry.metrics.discovery.groups import Sink, TargetGroup

_BY_NODE, _BY_POD, _BY_SERVICE, _BY_NAMESPACE = "discovery/node", "discovery/pod", "discovery/service", "discovery/namespace"
_SOURCES = {
    Role.POD: "pod", Role.SERVICE: "svc", Role.ENDPOINTS: "endpoints", Role.ENDPOINT_SLICE: "endpointslice", Role.NODE: "node",
    Role.INGRESS: "ingress",
}  # fmt: skip

TOLD_MAX = 500
"""Groups that are made before they are told: they take more memory than what is kept of them."""


def _pod_node(pod: Object) -> tuple[str, ...]:
    name = (pod.get("spec") or {}).get("nodeName")
    return (name,) if name else ()


def _namespace(value: Object) -> tuple[str, ...]:
    return (value["metadata"]["namespace"],)


def _addresses(value: Object) -> Iterable[Object]:
    """Of Endpoints and EndpointSlices alike: what has a targetRef and a nodeName."""
    for subset in value.get("subsets") or ():
        yield from subset.get("addresses") or ()
        yield from subset.get("notReadyAddresses") or ()
    yield from value.get("endpoints") or ()


def _address_nodes(value: Object) -> list[str]:
    names = [address.get("nodeName") for address in _addresses(value)]
    references = [address.get("targetRef") or {} for address in _addresses(value)]
    names += [reference.get("name") for reference in references if reference.get("kind") == "Node"]
    return list(dict.fromkeys(name for name in names if name))


def _address_pods(value: Object) -> list[str]:
    references = [address.get("targetRef") or {} for address in _addresses(value)]
    return list(dict.fromkeys(f"{r.get('namespace', '')}/{r.get('name', '')}" for r in references if r.get("kind") == "Pod"))


def _slice_service(value: Object) -> tuple[str, ...]:
    name = (value["metadata"].get("labels") or {}).get(SERVICE_NAME)
    return (f"{value['metadata']['namespace']}/{name}",) if name else ()


def _endpoints_service(value: Object) -> tuple[str, ...]:
    return (key_of(value),)


class KubernetesDiscoverer:
    """`own_namespace` is that of the server itself, for `namespaces.own_namespace`."""

    def __init__(self, config: KubernetesDiscoveryConfig, mirrors: Mirrors, own_namespace: str = "") -> None:
        assert config.role is not None  # a checked section has one
        self._config = config
        self._role = config.role
        self._mirrors = mirrors
        names = list(config.namespaces.names)
        if config.namespaces.own_namespace and own_namespace:
            names.append(own_namespace)
        self._namespaces: list[str | None] = list(dict.fromkeys(names)) or [None]
        self._selectors = {selector.role: selector for selector in config.selectors}

    async def run(self, sink: Sink) -> None:
        dirty = asyncio.Event()
        scopes = [_Scope(self, namespace, dirty) for namespace in ([None] if self._role is Role.NODE else self._namespaces)]
        try:
            for scope in scopes:
                await scope.synced()
            while True:
                dirty.clear()
                for scope in scopes:
                    scope.tell(sink)
                await dirty.wait()
        finally:
            for scope in scopes:
                scope.close()

    def mirror(self, role: Role, namespace: str | None) -> Mirror:
        """Narrowed by the selector of that role."""
        selector = self._selectors.get(role)
        labels, fields = (selector.label, selector.field) if selector is not None else ("", "")
        return self._mirrors.of(resource(*RESOURCES[role]), namespace=namespace, labels=labels, fields=fields)

    def namespaces_mirror(self) -> Mirror:
        return self._mirrors.of(resource("namespaces"))

    @property
    def config(self) -> KubernetesDiscoveryConfig:
        return self._config


class _Scope:
    """One namespace (None: all of them): the mirrors, and which objects' groups have to be made anew."""

    def __init__(self, discoverer: KubernetesDiscoverer, namespace: str | None, dirty: asyncio.Event) -> None:
        role, attach = discoverer.config.role, discoverer.config.attach_metadata
        assert role is not None
        self._role = role
        self._dirty: dict[str, None] = {}
        self._wake = dirty
        self._cancellations: list[Callable[[], None]] = []
        self._main = discoverer.mirror(role, namespace)
        self._pods = self._services = self._nodes = self._spaces = None
        backed = role in (Role.ENDPOINTS, Role.ENDPOINT_SLICE)
        if backed:
            self._services = discoverer.mirror(Role.SERVICE, namespace)
            self._pods = discoverer.mirror(Role.POD, namespace)
            self._part_of(self._services, _BY_SERVICE, _slice_service if role is Role.ENDPOINT_SLICE else _endpoints_service)
            self._part_of(self._pods, _BY_POD, _address_pods)
        if attach.node and (backed or role is Role.POD):
            self._nodes = discoverer.mirror(Role.NODE, None)
            self._part_of(self._nodes, _BY_NODE, _address_nodes if backed else _pod_node)
        if attach.namespace and role is not Role.NODE:
            self._spaces = discoverer.namespaces_mirror()
            self._part_of(self._spaces, _BY_NAMESPACE, _namespace)
        self._follow(self._main, lambda change: self._mark(key_of(change.object)))

    def _part_of(self, mirror: Mirror, index: str, keys: Keys) -> None:
        """A change of an object in `mirror` concerns the objects of the role whose `keys` name it."""
        self._main.add_index(index, keys)

        def changed(change: Change) -> None:
            for value in self._main.by_index(index, key_of(change.object)):
                self._mark(key_of(value))

        self._follow(mirror, changed)

    def _follow(self, mirror: Mirror, handler: Callable[[Change], None]) -> None:
        self._cancellations.append(mirror.subscribe(handler))

    def _mark(self, key: str) -> None:
        self._dirty[key] = None
        self._wake.set()

    async def synced(self) -> None:
        for mirror in (self._main, self._services, self._pods, self._nodes, self._spaces):
            if mirror is not None:
                await mirror.synced()

    def tell(self, sink: Sink) -> None:
        """The groups of the objects that changed since the last call; one without targets for an object that is gone."""
        keys, self._dirty = list(self._dirty), {}
        for start in range(0, len(keys), TOLD_MAX):
            sink([self._group(key) for key in keys[start : start + TOLD_MAX]])

    def _group(self, key: str) -> TargetGroup:
        value = self._main.by_key(key)
        if value is None:
            return TargetGroup(f"{_SOURCES[self._role]}/{key}")
        space = self._spaces.get("", value["metadata"]["namespace"]) if self._spaces is not None else None
        match self._role:
            case Role.NODE:
                return node_group(value, ADDRESS_TYPES)
            case Role.POD:
                return pod_group(value, self._node("", (value.get("spec") or {}).get("nodeName", "")), space)
            case Role.SERVICE:
                return service_group(value, space)
            case Role.INGRESS:
                return ingress_group(value, space)
            case Role.ENDPOINTS:
                return endpoints_group(value, self._service(_endpoints_service(value)), self._pod, self._node, space)
            case Role.ENDPOINT_SLICE:
                return endpoint_slice_group(value, self._service(_slice_service(value)), self._pod, self._node, space)

    def _service(self, keys: tuple[str, ...]) -> Object | None:
        return self._services.by_key(keys[0]) if self._services is not None and keys else None

    def _pod(self, namespace: str, name: str) -> Object | None:
        return self._pods.get(namespace, name) if self._pods is not None else None

    def _node(self, namespace: str, name: str) -> Object | None:
        return self._nodes.get("", name) if self._nodes is not None and name else None

    def close(self) -> None:
        for cancel in self._cancellations:
            cancel()
