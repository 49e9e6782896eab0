"""Which cluster a kubernetes_sd_config means, and a client of it.

In this order: `api_server` with its authorization and tls_config, `kubeconfig_file`, the cluster that the server was given as its own, the
service account of the pod that it runs in. Credentials in files are read when the client is made.

Source: client-go's rest.InClusterConfig and clientcmd; Prometheus' discovery/kubernetes.
"""

import base64
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from podium.client.https import Endpoint, HttpsClient
from podium.client.interface import Client
from podium.client.mirrors import Mirrors
from podium.telemetry.discovery.kubernetes import KubernetesDiscoverer
from podium.telemetry.discovery.kubernetes_config import KubernetesDiscoveryConfig
from podium.telemetry.metrics.discovery.groups import Discoverer
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.outbound.credentials import read_secret
from podium.world.interface import World
from podium.world.supervisor import Supervisor

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KUBECONFIG_BYTES_MAX = 16 * 1024 * 1024


class KubernetesAccess:
    """Clients and mirrors by cluster, shared by all jobs. `own` is the server's own cluster, if it has one."""

    def __init__(
        self, world: World, supervisor: Supervisor, own: Client | None = None, own_namespace: str = "",
        own_mirrors: Mirrors | None = None,
    ) -> None:  # fmt: skip
        self._world = world
        self._supervisor = supervisor
        self._own = own
        self._own_namespace, self._own_mirrors = own_namespace, own_mirrors
        self._clients: dict[Any, Client] = {}
        self._mirrors: dict[Any, Mirrors] = {}

    def discoverer(self, config: KubernetesDiscoveryConfig) -> Discoverer:
        """Raises ConfigurationError when the cluster cannot be told. It is the maker of `kubernetes_sd_configs` for a DiscoveryRunner."""
        key = (str.__str__(config.api_server), config.kubeconfig_file, repr(config.http))
        if key not in self._mirrors:
            self._clients[key] = self._client(config)
            shared = self._own_mirrors if self._clients[key] is self._own else None
            self._mirrors[key] = shared or Mirrors(self._clients[key], self._world, self._supervisor, packed=True)
        return KubernetesDiscoverer(config, self._mirrors[key], self._own_namespace or _account_namespace())

    def _client(self, config: KubernetesDiscoveryConfig) -> Client:
        if config.api_server:
            return HttpsClient(_endpoint(config), user_agent="podium-metrics", trim=True)
        if config.kubeconfig_file:
            return HttpsClient(read_kubeconfig(Path(config.kubeconfig_file)), user_agent="podium-metrics", trim=True)
        if self._own is not None:
            return self._own
        return HttpsClient(_in_cluster(os.environ), user_agent="podium-metrics", trim=True)

    async def aclose(self) -> None:
        for client in self._clients.values():
            if client is not self._own:
                await client.aclose()


def _endpoint(config: KubernetesDiscoveryConfig) -> Endpoint:
    tls, authorization = config.http.tls_config, config.http.authorization
    token = ""
    if authorization is not None:
        token = read_secret(authorization.credentials, authorization.credentials_file, "authorization credentials")
    if not tls.ca_file:
        raise ConfigurationError("kubernetes_sd_configs with api_server needs tls_config.ca_file")
    certificate, key = (Path(path) if path else None for path in (tls.cert_file, tls.key_file))
    return Endpoint(str.__str__(config.api_server), Path(tls.ca_file), certificate, key, token)


def _account_namespace() -> str:
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        return ""


def _in_cluster(environment: Mapping[str, str]) -> Endpoint:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise ConfigurationError(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined:"
            " give api_server or kubeconfig_file"
        )
    token = read_secret("", str(SERVICE_ACCOUNT / "token"), "the service account's token")
    return Endpoint(f"https://{f'[{host}]' if ':' in host else host}:{port}", SERVICE_ACCOUNT / "ca.crt", token=token)


def read_kubeconfig(path: Path) -> Endpoint:
    """Its current context. Embedded data is written to files of our own. Raises ConfigurationError."""
    try:
        data = path.read_bytes()
        if len(data) > KUBECONFIG_BYTES_MAX:
            raise ConfigurationError(f"kubeconfig {path} is larger than {KUBECONFIG_BYTES_MAX} bytes")
        value = yaml.safe_load(data)
        contexts, clusters, users = (_named(value, section) for section in ("contexts", "clusters", "users"))
        context = contexts[value["current-context"]]["context"]
        cluster, user = clusters[context["cluster"]]["cluster"], users[context["user"]]["user"] or {}
        server = cluster["server"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationError(f"kubeconfig {path}: {type(error).__name__}: {error}") from error
    for name in ("exec", "auth-provider", "username", "password"):
        if name in user:
            raise ConfigurationError(f"kubeconfig {path}: users with {name} are not supported, only tokens and client certificates")
    token = user.get("token", "") or (read_secret("", user["tokenFile"], "the token") if "tokenFile" in user else "")
    files = _Files(path)
    authority = files.path(cluster, "certificate-authority")
    if authority is None:
        raise ConfigurationError(f"kubeconfig {path}: the cluster has no certificate-authority")
    return Endpoint(server, authority, files.path(user, "client-certificate"), files.path(user, "client-key"), token)


def _named(value: Any, section: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in value.get(section) or ()}


class _Files:
    """Data of a kubeconfig as files, in a directory that is readable by us alone."""

    def __init__(self, kubeconfig: Path) -> None:
        self._beside = kubeconfig.parent
        self._directory: Path | None = None

    def path(self, entry: Mapping[str, Any], name: str) -> Path | None:
        if data := entry.get(f"{name}-data"):
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="podium-kubeconfig-"))
            file = self._directory / name
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(data))
            return file
        return self._beside / entry[name] if entry.get(name) else None
