"""How extension API servers know this one, and their clients: an authority of its own for this server's identity in front of them, and
the ConfigMap kube-system/extension-apiserver-authentication, in which they find whom and which headers to believe.

Source: k8s.io/kubernetes pkg/controlplane/controller/clusterauthenticationtrust (keys and form of the ConfigMap).
"""

from dataclasses import dataclass
from pathlib import Path

import orjson

from podium.api import writing
from podium.api.authority import Authority
from podium.api.bootstrap import API_SERVER
from podium.api.core import Core
from podium.api.request import Request
from podium.objects import values
from podium.objects.resources import resource

CLIENT_NAME = "front-proxy-client"
CONFIG_MAP = "extension-apiserver-authentication"
_CONFIG_MAPS = resource("configmaps")


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """`ca_pem` is whose certificates may speak for others; `client_ca_pem` whose certificates speak for themselves."""

    certificate_path: Path
    key_path: Path
    ca_pem: str
    client_ca_pem: str

    @classmethod
    def load_or_create(cls, authority: Authority) -> "FrontProxy":
        """Kept beside the cluster's authority, in a directory of its own."""
        own = Authority.load_or_create(authority.directory / "front-proxy")
        certificate, key = own.issue_files(CLIENT_NAME, CLIENT_NAME)
        return cls(certificate, key, own.ca_pem.decode(), authority.ca_pem.decode())


def trust(front_proxy: FrontProxy) -> dict[str, str]:
    """The ConfigMap's data."""

    def names(*values: str) -> str:
        return orjson.dumps(values).decode()

    return {
        "client-ca-file": front_proxy.client_ca_pem,
        "requestheader-allowed-names": names(CLIENT_NAME),
        "requestheader-client-ca-file": front_proxy.ca_pem,
        "requestheader-extra-headers-prefix": names("X-Remote-Extra-"),
        "requestheader-group-headers": names("X-Remote-Group"),
        "requestheader-uid-headers": names("X-Remote-Uid"),
        "requestheader-username-headers": names("X-Remote-User"),
    }


async def publish(core: Core, front_proxy: FrontProxy) -> None:
    """Makes the ConfigMap, or mends it."""
    data = trust(front_proxy)
    record = await core.store.get(_CONFIG_MAPS.key("kube-system", CONFIG_MAP))
    if record is None:
        value = {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP, "namespace": "kube-system"}, "data": data,
        }  # fmt: skip
        await writing.create(core, Request("create", _CONFIG_MAPS, API_SERVER, "kube-system", CONFIG_MAP, value=value))
    elif record.value.get("data") != data:
        value = values.copy(record.value) | {"data": data}
        await writing.update(core, Request("update", _CONFIG_MAPS, API_SERVER, "kube-system", CONFIG_MAP, value=value))
