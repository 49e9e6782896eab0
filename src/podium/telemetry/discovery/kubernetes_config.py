"""The section kubernetes_sd_configs. Source: Prometheus' <kubernetes_sd_config>; discovery/kubernetes for checks and words."""

import enum
from dataclasses import dataclass, field, replace
from typing import ClassVar

from podium.objects import selectors
from podium.objects.resources import resource
from podium.objects.status import StatusError
from podium.telemetry.metrics.configuration.decoding import inline
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.configuration.values import NO_URL, FilePath, Url
from podium.telemetry.metrics.errors import ConfigurationError


class Role(enum.Enum):
    POD = "pod"
    SERVICE = "service"
    ENDPOINTS = "endpoints"
    ENDPOINT_SLICE = "endpointslice"
    NODE = "node"
    INGRESS = "ingress"

    @staticmethod
    def complaint(text: str) -> str:
        return f'unknown Kubernetes SD role "{text}"'


RESOURCES = {
    Role.POD: ("pods", ""),
    Role.SERVICE: ("services", ""),
    Role.ENDPOINTS: ("endpoints", ""),
    Role.ENDPOINT_SLICE: ("endpointslices", "discovery.k8s.io"),
    Role.NODE: ("nodes", ""),
    Role.INGRESS: ("ingresses", "networking.k8s.io"),
}
"""(plural, group) of a role."""

_SELECTABLE = {
    Role.ENDPOINT_SLICE: (Role.POD, Role.SERVICE, Role.ENDPOINT_SLICE),
    Role.ENDPOINTS: (Role.POD, Role.SERVICE, Role.ENDPOINTS),
}
ADDRESS_TYPES = ("InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname")
"""Of nodes, the one wanted most first."""


@dataclass(frozen=True, slots=True)
class NamespacesConfig:
    GO_TYPE: ClassVar[str] = "kubernetes.plain"

    own_namespace: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SelectorConfig:
    GO_TYPE: ClassVar[str] = "kubernetes.plain"

    role: Role | None = None
    label: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class AttachMetadataConfig:
    """Which labels of other objects targets get: those of their node, those of their namespace."""

    GO_TYPE: ClassVar[str] = "kubernetes.plain"

    node: bool = False
    namespace: bool = False


@dataclass(frozen=True, slots=True)
class KubernetesDiscoveryConfig:
    """Without `api_server` and `kubeconfig_file`: the cluster that the server runs in."""

    GO_TYPE: ClassVar[str] = "kubernetes.plain"

    api_server: Url = NO_URL
    role: Role | None = None
    kubeconfig_file: FilePath = ""
    http: HttpConfig = field(default=HttpConfig(), metadata=inline())
    namespaces: NamespacesConfig = field(default=NamespacesConfig())
    selectors: tuple[SelectorConfig, ...] = ()
    attach_metadata: AttachMetadataConfig = field(default=AttachMetadataConfig())

    def checked(self) -> "KubernetesDiscoveryConfig":
        if self.role is None:
            raise ConfigurationError("role missing (one of: pod, service, endpoints, endpointslice, node, ingress)")
        http = self.http.checked()
        custom = http != HttpConfig()
        if self.api_server and self.kubeconfig_file:
            raise ConfigurationError("cannot use 'kubeconfig_file' and 'api_server' simultaneously")
        if self.kubeconfig_file and custom:
            raise ConfigurationError("cannot use a custom HTTP client configuration together with 'kubeconfig_file'")
        if not self.api_server and custom:
            raise ConfigurationError("to use custom HTTP client configuration please provide the 'api_server' URL explicitly")
        if self.api_server and self.namespaces.own_namespace:
            raise ConfigurationError("cannot use 'api_server' and 'namespaces.own_namespace' simultaneously")
        if self.kubeconfig_file and self.namespaces.own_namespace:
            raise ConfigurationError("cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously")
        _check_access(self.api_server, http)
        self._check_selectors(self.role)
        return replace(self, http=http)

    def _check_selectors(self, role: Role) -> None:
        allowed = _SELECTABLE.get(role, (role,))
        seen: set[Role] = set()
        for selector in self.selectors:
            if selector is None or selector.role is None:
                raise ConfigurationError("role missing in a selector")
            if selector.role in seen:
                raise ConfigurationError(f"duplicated selector role: {selector.role.value}")
            seen.add(selector.role)
            if selector.role not in allowed:
                raise ConfigurationError(f"{role.value} role supports only {', '.join(r.value for r in allowed)} selectors")
            try:
                selectors.parse_labels(selector.label)
                selectors.parse_fields(resource(*RESOURCES[selector.role]), selector.field)
            except StatusError as error:
                raise ConfigurationError(str(error)) from error


def _check_access(api_server: str, http: HttpConfig) -> None:
    """What the Kubernetes client does not do is refused rather than ignored."""
    if api_server and not str.__str__(api_server).startswith("https://"):
        raise ConfigurationError("api_server must be an https:// address")
    proxied = http.proxy.proxy_url or http.proxy.proxy_from_environment
    if http.basic_auth or http.oauth2 or http.http_headers or proxied:
        raise ConfigurationError("kubernetes_sd_configs supports authorization and tls_config only, or kubeconfig_file")
    tls = http.tls_config
    if tls.insecure_skip_verify or tls.server_name or tls.ca or tls.cert or tls.min_version or tls.max_version:
        raise ConfigurationError("tls_config of kubernetes_sd_configs supports ca_file, cert_file and key_file only")
