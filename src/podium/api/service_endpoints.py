"""How this server reaches a Service that it calls itself (webhooks, aggregated APIs): by one of its ready endpoints.

The API server runs outside the cluster's network rules, so it picks an endpoint as a node's proxy would, at random.
Source: k8s.io/apiserver pkg/util/proxy (ResolveEndpoint: messages).
"""

from podium.api.core import Core
from podium.objects.resources import resource
from podium.objects.status import ServiceUnavailable, not_found
from podium.objects.values import Object

_SERVICES, _SLICES = resource("services"), resource("endpointslices", "discovery.k8s.io")
_SERVICE_NAME = "kubernetes.io/service-name"


async def endpoint_of(core: Core, namespace: str, name: str, port: int) -> tuple[str, int]:
    """(address, port) to connect to. Raises NotFound, ServiceUnavailable."""
    record = await core.store.get(_SERVICES.key(namespace, name))
    if record is None:
        raise not_found("", "services", name)
    spec = record.value["spec"]
    if spec.get("type") == "ExternalName":
        return spec["externalName"], port
    wanted = next((p for p in spec.get("ports") or () if p["port"] == port), None)
    if wanted is None:
        raise ServiceUnavailable(f'no service port {port} found for service "{name}"')
    page = await core.store.range(f"{_SLICES.prefix}{namespace}/")
    found: list[tuple[str, int]] = []
    for slice_ in page.records:
        if slice_.value["metadata"].get("labels", {}).get(_SERVICE_NAME) == name:
            found += _ready(slice_.value, wanted.get("name") or "")
    if not found:
        raise ServiceUnavailable(f'no endpoints available for service "{name}"')
    return core.world.random("service-endpoints").choice(sorted(found))


def _ready(slice_: Object, port_name: str) -> list[tuple[str, int]]:
    port = next((p["port"] for p in slice_.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")), None)
    if port is None:
        return []
    return [
        (address, port)
        for endpoint in slice_.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
    ]
