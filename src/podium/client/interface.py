"""The one client interface, with two transports: HTTPS (`client/https.py`) and in-process (`client/in_process.py`).

Both give the same answers, run the same admission and authorization, and raise the classes of `objects/status.py`.
Objects that come back (from any method) may be shared with mirrors and the server: treat them as read-only, and
`objects.values.copy` them before a change.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from podium.objects.resources import Resource

Object = dict[str, Any]
PatchType = Literal["json", "merge", "strategic"]


@dataclass(frozen=True, slots=True)
class ListPage:
    """`revision` is the list's resourceVersion; `continue_token` is empty on the last page."""

    items: list[Object]
    revision: str
    continue_token: str = ""
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK (then `object` carries only metadata.resourceVersion)."""

    type: str
    object: Object


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    uid: str = ""
    revision: str = ""
    propagation: Literal["", "Background", "Foreground", "Orphan"] = ""
    grace_period_s: int | None = None

    def to_value(self) -> Object:
        """The DeleteOptions object that goes with a delete."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {k: v for k, v in (("uid", self.uid), ("resourceVersion", self.revision)) if v}
        if preconditions:
            body["preconditions"] = preconditions
        if self.propagation:
            body["propagationPolicy"] = self.propagation
        if self.grace_period_s is not None:
            body["gracePeriodSeconds"] = self.grace_period_s
        return body


DEFAULT_DELETE = DeleteOptions()


class Client(Protocol):
    """Every method raises a StatusError subclass on refusal and `ConnectionError` (ServiceUnavailable in-process) when there is no server."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> Object: ...

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
        """`labels` and `fields` are selector strings as on the wire. Every item carries its apiVersion and kind."""
        ...

    async def create(
        self, resource: Resource, value: Object, namespace: str | None = None, *, subresource: str = "", name: str = ""
    ) -> Object:
        """`namespace` defaults to the object's own; with `subresource` (binding, eviction, token) `name` is the parent's."""
        ...

    async def update(self, resource: Resource, value: Object, *, subresource: str = "") -> Object:
        """Replaces; name, namespace and the resourceVersion to insist on are the object's own."""
        ...

    async def patch(
        self, resource: Resource, name: str, patch: Any, namespace: str | None = None, *, type: PatchType = "merge", subresource: str = ""
    ) -> Object: ...

    async def apply(self, resource: Resource, value: Object, manager: str, *, force: bool = False) -> Object:
        """Server-side apply by the field manager `manager`: creates the object, or sets the fields that `value` (which names its apiVersion
        and kind) has. Raises Conflict, with a cause for each field, where another manager has set one differently, unless `force`."""
        ...

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, options: DeleteOptions = DEFAULT_DELETE
    ) -> Object: ...

    def watch(
        self, resource: Resource, namespace: str | None = None, *, revision: str, labels: str = "", fields: str = "", timeout_s: int = 0
    ) -> AsyncIterator[WatchEvent]:
        """Events after `revision`, with bookmarks, until the server ends the watch (normal: resume from the last revision seen).
        Raises Expired when `revision` is too old: list again."""
        ...

    async def aclose(self) -> None: ...
