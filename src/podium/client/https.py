"""The HTTPS transport: the Client interface over world/http_client, to any conformant API server."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from podium.client.interface import DEFAULT_DELETE, DeleteOptions, ListPage, Object, PatchType, WatchEvent
from podium.objects import status
from podium.objects.resources import Resource
from podium.world.http_client import HttpClient, HttpResponse

_PATCH_MEDIA = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and who we are there. A certificate or a token; `ca_path` verifies the server."""

    url: str
    ca_path: Path
    certificate_path: Path | None = None
    key_path: Path | None = None
    token: str = ""

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca_path))
        if self.certificate_path is not None:
            context.load_cert_chain(self.certificate_path, self.key_path)
        return context


class HttpsClient:
    """A Client over HTTPS. Raises ConnectionError (or TimeoutError) when the server cannot be reached, StatusError for refusals.

    With `trim`, lists and watches come without metadata.managedFields, for those who keep many objects and never ask who set what.
    """

    def __init__(self, endpoint: Endpoint, *, user_agent: str = "podium", connections_max: int = 32, trim: bool = False) -> None:
        self._trim = trim
        parts = urlsplit(endpoint.url)
        self._http = HttpClient(parts.hostname or "127.0.0.1", parts.port or 443, endpoint.tls(), connections_max=connections_max)
        self._headers = {"accept": "application/json", "user-agent": user_agent}
        if endpoint.token:
            self._headers["authorization"] = f"Bearer {endpoint.token}"

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> Object:
        return await self._call("GET", resource.path(namespace, name, subresource))

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "",
        limit: int = 0, continue_token: str = "", revision: str = "",
    ) -> ListPage:  # fmt: skip
        options = {
            "labelSelector": labels,
            "fieldSelector": fields,
            "continue": continue_token,
            "resourceVersion": revision,
            "limit": limit or "",
        }
        value = await self._call("GET", resource.path(namespace) + _query(options))
        items = value.get("items") or []
        for item in items:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
            if self._trim:
                item["metadata"].pop("managedFields", None)
        metadata = value["metadata"]
        return ListPage(items, metadata["resourceVersion"], metadata.get("continue", ""), metadata.get("remainingItemCount"))

    async def create(
        self, resource: Resource, value: Object, namespace: str | None = None, *, subresource: str = "", name: str = ""
    ) -> Object:
        namespace = namespace or value.get("metadata", {}).get("namespace")
        return await self._call("POST", resource.path(namespace, name, subresource), orjson.dumps(value))

    async def update(self, resource: Resource, value: Object, *, subresource: str = "") -> Object:
        metadata = value["metadata"]
        return await self._call("PUT", resource.path(metadata.get("namespace"), metadata["name"], subresource), orjson.dumps(value))

    async def patch(
        self, resource: Resource, name: str, patch: Any, namespace: str | None = None, *, type: PatchType = "merge", subresource: str = ""
    ) -> Object:
        return await self._call("PATCH", resource.path(namespace, name, subresource), orjson.dumps(patch), _PATCH_MEDIA[type])

    async def apply(self, resource: Resource, value: Object, manager: str, *, force: bool = False) -> Object:
        metadata = value["metadata"]
        query = _query({"fieldManager": manager, "force": "true" if force else ""})
        target = resource.path(metadata.get("namespace"), metadata["name"]) + query
        return await self._call("PATCH", target, orjson.dumps(value), "application/apply-patch+yaml")

    async def delete(self, resource: Resource, name: str, namespace: str | None = None, options: DeleteOptions = DEFAULT_DELETE) -> Object:
        return await self._call("DELETE", resource.path(namespace, name), orjson.dumps(options.to_value()))

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, revision: str, labels: str = "", fields: str = "", timeout_s: int = 0
    ) -> AsyncIterator[WatchEvent]:
        options = {
            "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": revision,
            "labelSelector": labels, "fieldSelector": fields, "timeoutSeconds": timeout_s or "",
        }  # fmt: skip
        async with await self._http.stream("GET", resource.path(namespace) + _query(options), headers=self._headers) as stream:
            if stream.status != 200:
                raise _error(HttpResponse(stream.status, stream.headers, await stream.read()))
            async for line in stream.lines():
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise status.from_value(event["object"].get("code", 500), event["object"])
                if self._trim:
                    event["object"]["metadata"].pop("managedFields", None)
                yield WatchEvent(event["type"], event["object"])

    async def aclose(self) -> None:
        await self._http.aclose()

    async def raw(self, method: str, target: str, body: bytes = b"", content_type: str = "application/json") -> HttpResponse:
        """A request outside the resource verbs (health, discovery); any status is returned."""
        return await self._http.request(method, target, body, {**self._headers, "content-type": content_type})

    async def _call(self, method: str, target: str, body: bytes = b"", content_type: str = "application/json") -> Any:
        headers = {**self._headers, "content-type": content_type} if body else self._headers
        response = await self._http.request(method, target, body, headers)
        if response.status >= 300:
            raise _error(response)
        return orjson.loads(response.body)


def _query(options: dict[str, Any]) -> str:
    given = {k: v for k, v in options.items() if v}
    return f"?{urlencode(given)}" if given else ""


def _error(response: HttpResponse) -> status.StatusError:
    try:
        value: Any = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        value = response.body[:500].decode("utf-8", "replace")
    return status.from_value(response.status, value)
