"""The cluster's root certificate in every namespace, as ConfigMap kube-root-ca.crt: by it pods verify the API server.

Source: k8s.io/kubernetes pkg/controller/certificates/rootcacertpublisher.
"""

from podium.client.events import EventRecorder
from podium.client.interface import Client, Object
from podium.client.mirrors import Mirrors
from podium.controllers.namespace_content import NamespaceContent
from podium.objects.resources import resource
from podium.world.interface import World

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION_KEY = "kubernetes.io/description"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or "
    "kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


class RootCaController:
    """`ca_pem` is the certificates."""

    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, ca_pem: str) -> None:
        def plan(current: Object | None) -> Object | None:
            return plan_bundle(current, ca_pem)

        self._content = NamespaceContent("root-ca", client, mirrors, world, resource("configmaps"), NAME, plan)

    async def run(self) -> None:
        await self._content.run()


def plan_bundle(current: Object | None, bundle: str) -> Object | None:
    """The ConfigMap to write; None when it is right as it is."""
    data, described = {KEY: bundle}, {DESCRIPTION_KEY: DESCRIPTION}
    if current is None:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "annotations": described}, "data": data}
    annotations = current["metadata"].get("annotations") or {}
    if current.get("data") == data and annotations.get(DESCRIPTION_KEY):
        return None
    return {**current, "metadata": {**current["metadata"], "annotations": {**annotations, **described}}, "data": data}
