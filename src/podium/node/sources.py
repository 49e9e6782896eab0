"""What pods refer to: ConfigMaps, Secrets, Services, service account tokens. Read through the API, kept for a moment.

A value may be up to `fresh_s` old, so that twenty pods of one Deployment that start together cost one read each of what they share.
Entries are dropped after KEPT_S without use; there are at most ENTRIES_MAX, the oldest going first. Nothing is listed beyond Services of a
namespace: a node reads only what its pods name.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from podium.client.interface import Client
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.objects.values import Object
from podium.world.interface import World

FRESH_S = 1.0
KEPT_S = 120.0
ENTRIES_MAX = 4_096
ROOT_CA = "kube-root-ca.crt"


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    refresh_at_s: float
    """Monotonic: when it should be replaced."""


class Sources:
    def __init__(self, client: Client, world: World, *, fresh_s: float = FRESH_S, ca_pem: str = "") -> None:
        """`ca_pem` stands in for a namespace's ConfigMap kube-root-ca.crt until its controller has made it: pods need not wait for that."""
        self._client = client
        self._clock = world.clock
        self._fresh_s = fresh_s
        self._ca_pem = ca_pem
        self._entries: OrderedDict[tuple[str, str, str], tuple[float, Any]] = OrderedDict()

    async def config_map(self, namespace: str, name: str) -> Object | None:
        found = await self._get("configmaps", namespace, name)
        if found is None and name == ROOT_CA and self._ca_pem:
            return {"data": {"ca.crt": self._ca_pem}}
        return found

    async def secret(self, namespace: str, name: str) -> Object | None:
        return await self._get("secrets", namespace, name)

    async def runtime_class(self, name: str) -> Object | None:
        return await self._get("runtimeclasses", "", name, "node.k8s.io")

    async def services(self, namespace: str) -> list[Object]:
        """Those with a cluster address, by name; the API's own (default/kubernetes) is always among them."""
        found = await self._services_of(namespace)
        if namespace != "default":
            found = [*found, *(s for s in await self._services_of("default") if s["metadata"]["name"] == "kubernetes")]
        return found

    async def token(self, pod: Object, audience: str, expires_s: int) -> Token:
        """A service account token bound to the pod, to be replaced at four fifths of its life, and daily. Not cached here.
        Raises StatusError."""
        metadata, account = pod["metadata"], pod["spec"].get("serviceAccountName") or "default"
        spec: Object = {
            "audiences": [audience] if audience else [],
            "expirationSeconds": expires_s,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]},
        }
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self._client.create(resource("serviceaccounts"), request, metadata["namespace"], subresource="token", name=account)
        life_s = min(float(expires_s), 86_400.0)
        return Token(answer["status"]["token"], self._clock.monotonic() + life_s * 0.8)

    async def _get(self, plural: str, namespace: str, name: str, group: str = "") -> Object | None:
        key = (plural, namespace, name)
        found, value = self._kept(key)
        if not found:
            try:
                value = await self._client.get(resource(plural, group), name, namespace or None)
            except NotFound:
                value = None
            self._keep(key, value)
        return value

    async def _services_of(self, namespace: str) -> list[Object]:
        key = ("services", namespace, "")
        found, value = self._kept(key)
        if not found:
            page = await self._client.list(resource("services"), namespace)
            value = [s for s in page.items if s["spec"].get("clusterIP") not in (None, "", "None")]
            self._keep(key, value)
        return value

    def _kept(self, key: tuple[str, str, str]) -> tuple[bool, Any]:
        entry = self._entries.get(key)
        if entry is None or self._clock.monotonic() - entry[0] > self._fresh_s:
            return False, None
        return True, entry[1]

    def _keep(self, key: tuple[str, str, str], value: Any) -> None:
        now_s = self._clock.monotonic()
        self._entries[key] = (now_s, value)
        self._entries.move_to_end(key)
        while self._entries:
            oldest = next(iter(self._entries))
            if len(self._entries) <= ENTRIES_MAX and now_s - self._entries[oldest][0] <= KEPT_S:
                break
            del self._entries[oldest]
