"""The in-process transport: the API server's own pipeline, without bytes.

Requests pass the same authorization, admission and validation as over HTTPS; answers are the stored values themselves (shared, read-only).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from podium.api.measurements import labels_of
from podium.api.request import ObjectResult, Request, User
from podium.api.server import ApiServer
from podium.api.watching import QUEUED_EVENTS_MAX, Batch, plan
from podium.client.interface import DEFAULT_DELETE, DeleteOptions, ListPage, Object, PatchType, WatchEvent
from podium.objects import values
from podium.objects.resources import Resource, builtin
from podium.objects.status import NotFound, ServiceUnavailable, StatusError

_STRICT = {"fieldValidation": "Strict"}
"""Our own components make no mistakes in silence."""


class InProcessClient:
    """A Client on an ApiServer of the same process, as `user`."""

    def __init__(self, server: ApiServer, user: User, user_agent: str = "") -> None:
        self._server = server
        self._user = user
        self._user_agent = user_agent or user.name.removeprefix("system:")

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> Object:
        return await self._call("get", resource, namespace, name, subresource, None)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "",
        limit: int = 0, continue_token: str = "", revision: str = "",
    ) -> ListPage:  # fmt: skip
        options = {"labelSelector": labels, "fieldSelector": fields, "continue": continue_token, "resourceVersion": revision}
        if limit:
            options["limit"] = str(limit)
        result = await self._server.execute(self._request("list", resource, namespace, _given(options)))
        if isinstance(result, ObjectResult):
            return _page(result.to_value())
        return ListPage([r.value for r in result.records], str(result.revision), result.continue_token, result.remaining)

    async def create(
        self, resource: Resource, value: Object, namespace: str | None = None, *, subresource: str = "", name: str = ""
    ) -> Object:
        namespace = namespace or value.get("metadata", {}).get("namespace")
        return await self._call("create", resource, namespace, name, subresource, value)

    async def update(self, resource: Resource, value: Object, *, subresource: str = "") -> Object:
        metadata = value["metadata"]
        return await self._call("update", resource, metadata.get("namespace"), metadata["name"], subresource, value)

    async def patch(
        self, resource: Resource, name: str, patch: Any, namespace: str | None = None, *, type: PatchType = "merge", subresource: str = ""
    ) -> Object:
        return await self._call("patch", resource, namespace, name, subresource, patch, type)

    async def apply(self, resource: Resource, value: Object, manager: str, *, force: bool = False) -> Object:
        metadata = value["metadata"]
        options = {**_STRICT, "fieldManager": manager, **({"force": "true"} if force else {})}
        return await self._call("patch", resource, metadata.get("namespace"), metadata["name"], "", value, "apply", options)

    async def delete(self, resource: Resource, name: str, namespace: str | None = None, options: DeleteOptions = DEFAULT_DELETE) -> Object:
        return await self._call("delete", resource, namespace, name, "", options.to_value())

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, revision: str, labels: str = "", fields: str = "", timeout_s: int = 0
    ) -> AsyncIterator[WatchEvent]:
        options = {"labelSelector": labels, "fieldSelector": fields, "resourceVersion": revision, "allowWatchBookmarks": "true"}
        if timeout_s:
            options["timeoutSeconds"] = str(timeout_s)
        request = self._request("watch", resource, namespace, _given(options))
        self._server.core.authorizer.authorize(request)
        todo = await plan(self._server.core, request)
        hub = self._server.hubs.of(request.resource)
        watcher = QueueWatcher(todo.timeout_s)
        measurements, counted, code = self._server.measurements, labels_of(request), 200
        running = measurements.started(counted)
        watcher.queue.extend(WatchEvent("ADDED", record.value) for record in todo.initial)
        try:
            hub.join(todo.view, todo.matches, todo.revision, watcher)
            while (event := await watcher.next()) is not None:
                yield event if event.type == "BOOKMARK" else await self._seen(request.resource, event)
        except StatusError as error:
            code = error.code
            raise
        finally:
            hub.leave(todo.view, watcher)
            watcher.end()
            running.value -= 1
            measurements.finished(counted, code, None)

    async def aclose(self) -> None:
        return None

    async def _seen(self, resource: Resource, event: WatchEvent) -> WatchEvent:
        """What a webhook converts comes from the hub as it is stored."""
        kind = resource.custom
        if kind is None or not kind.converts_by_webhook or event.object["apiVersion"] == kind.api_version:
            return event
        return WatchEvent(event.type, await self._server.core.views.shown(kind, event.object))

    def _request(self, verb: str, resource: Resource, namespace: str | None, options: dict[str, str]) -> Request:
        if resource.custom is not None or builtin().lookup(resource.group, resource.version, resource.plural) is None:
            resource = self._current(resource)
        request = Request(verb, resource, self._user, (namespace or None) if resource.namespaced else None, options=options)
        request.user_agent = self._user_agent
        return request

    def _current(self, resource: Resource) -> Resource:
        """Callers hold on to custom resources while their definitions change or go: for them, too, a resource is but a name."""
        found = self._server.core.catalog.lookup(resource.group, resource.version, resource.plural)
        if found is None and resource.custom is None:
            return resource  # an aggregated API's, which no catalog has
        if found is None:
            raise NotFound("the server could not find the requested resource")
        return found

    async def _call(
        self, verb: str, resource: Resource, namespace: str | None, name: str, subresource: str, value: Any, patch_type: str = "",
        options: dict[str, str] = _STRICT,
    ) -> Object:  # fmt: skip
        request = self._request(verb, resource, namespace, options)
        request.name, request.subresource, request.patch_type = name, subresource, patch_type
        if value is not None:
            request.value = values.copy(value)
        result = await self._server.execute(request)
        assert isinstance(result, ObjectResult)
        return result.to_value()


def _page(value: Object) -> ListPage:
    """A list as an aggregated API answers it."""
    kind, metadata = str(value.get("kind", "")).removesuffix("List"), value.get("metadata") or {}
    items = [{"apiVersion": value.get("apiVersion", ""), "kind": kind, **item} for item in value.get("items") or ()]
    revision, token = str(metadata.get("resourceVersion", "")), metadata.get("continue") or ""
    return ListPage(items, revision, token, metadata.get("remainingItemCount"))


def _given(options: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in options.items() if v}


class QueueWatcher:
    """Hands the changes to a consumer in the same loop; ends the watch when it lags by more than QUEUED_EVENTS_MAX."""

    bookmarks = True

    def __init__(self, timeout_s: float) -> None:
        self.queue: deque[WatchEvent] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._lagged = False
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self.end)

    def send(self, batch: Batch) -> bool:
        if len(self.queue) > QUEUED_EVENTS_MAX:
            self._lagged = True
            return False
        self.queue.extend(WatchEvent(kind, record.value) for kind, record in batch.changes)
        self._arrived.set()
        return not self._ended

    def bookmark(self, value: Object, encoded: bytes) -> bool:
        self.queue.append(WatchEvent("BOOKMARK", value))
        self._arrived.set()
        return not self._ended

    def end(self) -> None:
        self._ended = True
        self._timer.cancel()
        self._arrived.set()

    async def next(self) -> WatchEvent | None:
        """None at the end of the watch. Raises ServiceUnavailable when the consumer lagged: resume from the last revision seen."""
        while not self.queue:
            if self._ended:
                if self._lagged:
                    raise ServiceUnavailable("the watch was cut off: its consumer lagged")
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self.queue.popleft()
