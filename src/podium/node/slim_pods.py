"""A client for fleets that keeps of each pod only what simulating it needs, and shares what pods have in common.

A decoded pod of a Deployment takes about 20 KB; a fleet holds thousands of them, nearly alike. Here a pod loses what no simulated node
reads (volumes, tolerations, environment, labels, managed fields), and equal parts become one object (objects/parts.py). A version that comes twice,
as a patch's answer and as the watch's event, is the same object both times.
Pods that come out of this client are for reading, and must never be written back whole.

Bound: RECENT_MAX pods are remembered for that.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

from podium.client.interface import DEFAULT_DELETE, Client, DeleteOptions, ListPage, Object, PatchType, WatchEvent
from podium.objects.parts import share
from podium.objects.resources import Resource

RECENT_MAX = 1024
"""Of pods as they came last; an answer and its event are milliseconds apart."""
_METADATA = (
    "name", "namespace", "uid", "resourceVersion", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip
_SPEC = (
    "nodeName", "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "hostNetwork", "readinessGates", "overhead",
    "priority",
)  # fmt: skip
_CONTAINER = (
    "name", "image", "imagePullPolicy", "restartPolicy", "lifecycle", "startupProbe", "livenessProbe", "readinessProbe", "ports", "resources",
    "resizePolicy",
)  # fmt: skip
_OURS = "podium.dev/"


class SlimPods:
    """Implements Client; only pods are changed on their way in."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._recent: OrderedDict[str, Object] = OrderedDict()  # by uid

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> Object:
        return self._taken(resource, await self._client.get(resource, name, namespace, subresource=subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_token: str = "",
        revision: str = "",
    ) -> ListPage:
        page = await self._client.list(
            resource, namespace, labels=labels, fields=fields, limit=min(limit, 500), continue_token=continue_token, revision=revision
        )
        items = [self._taken(resource, item) for item in page.items]
        return ListPage(items, page.revision, page.continue_token, page.remaining)

    async def create(
        self, resource: Resource, value: Object, namespace: str | None = None, *, subresource: str = "", name: str = ""
    ) -> Object:
        return await self._client.create(resource, value, namespace, subresource=subresource, name=name)

    async def update(self, resource: Resource, value: Object, *, subresource: str = "") -> Object:
        assert resource.plural != "pods", "a slim pod must not be written back"
        return await self._client.update(resource, value, subresource=subresource)

    async def patch(
        self, resource: Resource, name: str, patch: Any, namespace: str | None = None, *, type: PatchType = "merge", subresource: str = ""
    ) -> Object:
        return self._taken(resource, await self._client.patch(resource, name, patch, namespace, type=type, subresource=subresource))

    async def apply(self, resource: Resource, value: Object, manager: str, *, force: bool = False) -> Object:
        return self._taken(resource, await self._client.apply(resource, value, manager, force=force))

    async def delete(self, resource: Resource, name: str, namespace: str | None = None, options: DeleteOptions = DEFAULT_DELETE) -> Object:
        return self._taken(resource, await self._client.delete(resource, name, namespace, options))

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, revision: str, labels: str = "", fields: str = "", timeout_s: int = 0
    ) -> AsyncIterator[WatchEvent]:
        events = self._client.watch(resource, namespace, revision=revision, labels=labels, fields=fields, timeout_s=timeout_s)
        try:
            async for event in events:
                yield event if event.type == "BOOKMARK" else WatchEvent(event.type, self._taken(resource, event.object))
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    async def aclose(self) -> None:
        await self._client.aclose()

    def _taken(self, resource: Resource, value: Object) -> Object:
        if resource.plural != "pods" or "spec" not in value:
            return value
        uid, revision = value["metadata"].get("uid", ""), value["metadata"].get("resourceVersion")
        before = self._recent.pop(uid, None)
        if before is None or before["metadata"].get("resourceVersion") != revision:
            before = self.slim(value)
        self._recent[uid] = before
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        return before

    def slim(self, pod: Object) -> Object:
        metadata, spec = pod["metadata"], pod["spec"]
        kept: Object = {key: metadata[key] for key in _METADATA if key in metadata}
        annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(_OURS)}
        if annotations:
            kept["annotations"] = annotations
        less: Object = {key: spec[key] for key in _SPEC if key in spec}
        for field in ("containers", "initContainers", "ephemeralContainers"):
            if spec.get(field):
                less[field] = [{k: c[k] for k in _CONTAINER if k in c} for c in spec[field]]
        status = dict(pod.get("status") or {})
        own: Object = {"metadata": kept, "status": status, "": {"spec": less}}  # a level deeper, the spec may be shared as a whole
        share(own)
        return {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": own[""]["spec"], "status": status}
