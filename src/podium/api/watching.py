"""Watches: one feed from the store, an event encoded once for all who see it the same way.

A `Hub` follows the store's feed of one resource and keeps its watchers in groups by `View` (scope, selectors, form). Committed batches are
gathered until the loop is free, then each view turns the batch into one chunk, and every watcher of the view is handed the same bytes.
So the cost of a watcher is one write per batch, not per event.

Joining is without gaps: the events since the watcher's revision are taken from the store's history in the same step in which it
joins its group. A watcher that does not take what it is sent (`BUFFERED_BYTES_MAX`, `QUEUED_EVENTS_MAX`) is cut off; it
resumes from its last revision, or lists again.

Source: API concepts (watch, bookmarks, sendInitialEvents), KEP-3157.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from podium.api import list_options
from podium.api.core import Core
from podium.api.deadlines import Deadlines
from podium.api.reading import Matcher, matcher, parse_revision, scope_prefix
from podium.api.request import Request
from podium.api.sharing import shared
from podium.objects.custom.kind import CustomKind
from podium.objects.resources import Resource
from podium.objects.status import BadRequest, Expired
from podium.store.errors import Compacted
from podium.store.record import Event, Record

BOOKMARK_PERIOD_S = 60.0
BUFFERED_BYTES_MAX = 8 * 1024 * 1024
QUEUED_EVENTS_MAX = 100_000
TIMEOUT_S_MIN = 1800

Change = tuple[str, Record]
"""(ADDED | MODIFIED | DELETED, the object as the watcher should see it)."""

See = Callable[[Record], Record]

Render = Callable[[Sequence[Change]], bytes]


class Watcher(Protocol):
    """Who receives. `send` gets a view's batch and must not wait; it returns False when the watcher is gone or must go."""

    bookmarks: bool

    def send(self, batch: "Batch") -> bool: ...
    def bookmark(self, value: dict[str, Any], encoded: bytes) -> bool: ...
    def end(self) -> None: ...


class Batch:
    """A view's changes, rendered at most once per form."""

    __slots__ = ("_rendered", "changes")

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self._rendered: dict[Any, bytes] = {}

    def rendered(self, form: Any, render: Render) -> bytes:
        data = self._rendered.get(form)
        if data is None:
            data = self._rendered[form] = render(self.changes)
        return data


@dataclass(frozen=True, slots=True)
class View:
    prefix: str
    labels: str
    fields: str


class _Group:
    """The watchers of one view."""

    __slots__ = ("matches", "see", "view", "watchers")

    def __init__(self, view: View, matches: Matcher | None, see: See | None) -> None:
        self.view = view
        self.see = see
        self.matches = matches
        self.watchers: dict[Watcher, None] = {}

    def changes(self, events: Sequence[Event]) -> list[Change]:
        prefix, matches = self.view.prefix, self.matches
        found: list[Change] = []
        for event in events:
            if event.record.key.startswith(prefix) and (change := _seen(_viewed(event, self.see), matches)) is not None:
                found.append(change)
        return found


def _viewed(event: Event, see: See | None) -> Event:
    """The event of a custom object as one version of its kind shows it."""
    if see is None:
        return event
    previous = see(event.previous) if event.previous is not None else None
    return Event(see(event.record), previous, event.deleted)


def _seen(event: Event, matches: Matcher | None) -> Change | None:
    """How an event looks through a selector: an object that stops matching is DELETED, one that starts to is ADDED."""
    record = event.record
    if matches is None:
        return ("DELETED" if event.deleted else "ADDED" if event.previous is None else "MODIFIED"), record
    before = event.previous is not None and matches(event.previous)
    after = not event.deleted and matches(record)
    if after:
        return ("MODIFIED" if before else "ADDED"), record
    return ("DELETED", record) if before else None


class Hub:
    """The watchers of one resource. `deadlines` is shared by all hubs."""

    def __init__(self, core: Core, resource: Resource, deadlines: Deadlines) -> None:
        self._core = core
        self.resource = resource
        self.deadlines = deadlines
        kind = resource.custom
        at_once = kind is not None and not kind.converts_by_webhook
        self._see: See | None = (lambda record: core.views.seen_now(kind, record)) if kind is not None and at_once else None
        self._groups: dict[View, _Group] = {}
        self.events_sent = 0
        self._pending: list[Event] = []
        self._loop = asyncio.get_running_loop()
        self._flushing = False
        self._cancel = core.store.feed(resource.prefix, self._on_events)
        self._bookmarks = self._loop.call_later(BOOKMARK_PERIOD_S, self._send_bookmarks)

    def _on_events(self, events: list[Event]) -> None:
        if not self._groups:
            return
        self._pending.extend(events)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._flushing = False
        events, self._pending = self._pending, []
        if not events:
            return
        for view, group in list(self._groups.items()):
            if changes := group.changes(events):
                self._send(view, group, Batch(changes))

    def _send(self, view: View, group: _Group, batch: Batch) -> None:
        self.events_sent += len(batch.changes) * len(group.watchers)
        for watcher in [w for w in group.watchers if not w.send(batch)]:
            self.leave(view, watcher)
            watcher.end()

    def _send_bookmarks(self) -> None:
        self.flush()
        value, encoded = self.bookmark()
        for view, group in list(self._groups.items()):
            for watcher in [w for w in group.watchers if w.bookmarks and not w.bookmark(value, encoded)]:
                self.leave(view, watcher)
                watcher.end()
        self._bookmarks = self._loop.call_later(BOOKMARK_PERIOD_S, self._send_bookmarks)

    def bookmark(self, revision: int = 0, *, initial_end: bool = False) -> tuple[dict[str, Any], bytes]:
        """A bookmark at `revision`, by default the newest: (its object, the encoded object)."""
        resource, revision = self.resource, revision or self._core.store.revision
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        extra = b""
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
            extra = b',"annotations":{"k8s.io/initial-events-end":"true"}'
        value = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        encoded = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%d","creationTimestamp":null%b}}' % (
            resource.kind.encode(), resource.api_version.encode(), revision, extra,
        )  # fmt: skip
        return value, encoded

    def join(self, view: View, matches: Matcher | None, after_revision: int, watcher: Watcher) -> None:
        """From now on `watcher` gets every change of the view after `after_revision`; the past ones at once. Raises Expired."""
        self.flush()
        group = self._groups.get(view)
        if group is None:
            group = self._groups[view] = _Group(view, matches, self._see)
        try:
            events = self._core.store.history(self.resource.prefix, after_revision) if after_revision < self._core.store.revision else []
        except Compacted as error:
            self._forget(group)
            raise Expired(f"too old resource version: {after_revision} ({error.oldest})") from error
        if (changes := group.changes(events)) and not watcher.send(Batch(changes)):
            self._forget(group)
            watcher.end()
            return
        group.watchers[watcher] = None

    def leave(self, view: View, watcher: Watcher) -> None:
        """Afterwards the watcher has been sent everything up to the store's newest revision."""
        self.flush()
        group = self._groups.get(view)
        if group is not None:
            group.watchers.pop(watcher, None)
            self._forget(group)

    def _forget(self, group: _Group) -> None:
        if not group.watchers:
            self._groups.pop(group.view, None)

    def close(self) -> None:
        self._cancel()
        self._bookmarks.cancel()
        for group in list(self._groups.values()):
            for watcher in list(group.watchers):
                watcher.end()
        self._groups.clear()

    @property
    def watcher_count(self) -> int:
        return sum(len(g.watchers) for g in self._groups.values())


class Hubs:
    """One hub per resource, made when first watched; one per version for custom ones."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._deadlines = Deadlines()
        self._hubs: dict[tuple[str, CustomKind | None], Hub] = {}

    def of(self, resource: Resource) -> Hub:
        key = (resource.prefix, resource.custom)
        hub = self._hubs.get(key)
        if hub is None:
            hub = self._hubs[key] = Hub(self._core, resource, self._deadlines)
        return hub

    def drop(self, resource: Resource) -> None:
        """Ends the watches of a resource that is not served any more, or not so."""
        hub = self._hubs.pop((resource.prefix, resource.custom), None)
        if hub is not None:
            hub.flush()
            hub.close()

    def events_sent(self) -> list[tuple[Resource, int]]:
        """How many events each resource's watchers were sent, initial states not counted."""
        return [(hub.resource, hub.events_sent) for hub in self._hubs.values()]

    def close(self) -> None:
        for hub in self._hubs.values():
            hub.close()
        self._hubs.clear()
        self._deadlines.close()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a watch starts: the objects to send first as ADDED, then the changes after `revision`."""

    view: View
    matches: Matcher | None
    initial: Sequence[Record]
    revision: int
    end_bookmark: bool
    bookmarks: bool
    timeout_s: float


def _check_fields(request: Request) -> None:
    """What a webhook converts is selected as it is stored: only metadata is the same there."""
    kind, fields = request.resource.custom, request.options.get("fieldSelector", "")
    if kind is not None and kind.converts_by_webhook and any(path[:9] != "metadata." for path in fields.split(",") if path):
        raise BadRequest("Podium does not watch by fields of the object where a webhook converts it: select by metadata or labels")


async def plan(core: Core, request: Request) -> Plan:
    """Raises BadRequest; Expired comes at the join."""
    list_options.check(request)
    matches = matcher(request)
    _check_fields(request)
    view = shared(View(scope_prefix(request), request.options.get("labelSelector", ""), request.options.get("fieldSelector", "")))
    text, send_initial = request.options.get("resourceVersion", ""), request.flag("sendInitialEvents")
    bookmarks = request.flag("allowWatchBookmarks")
    timeout_s = request.number("timeoutSeconds") or TIMEOUT_S_MIN * (1 + core.world.random("watch-timeout").random())
    if not send_initial and text not in ("", "0"):
        return Plan(view, matches, (), parse_revision(text), False, bookmarks, timeout_s)
    page = await core.store.range(view.prefix)
    if "sendInitialEvents" in request.options and not send_initial:
        return Plan(view, matches, (), page.revision, False, bookmarks, timeout_s)
    initial = [r for r in await core.seen(request.resource, page.records) if matches is None or matches(r)]
    return Plan(view, matches, initial, page.revision, send_initial and bookmarks, bookmarks, timeout_s)
