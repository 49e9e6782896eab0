"""A watch over HTTP: a chunked response that lives until its timeout, the client's end, or the client's slowness."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from podium.api.core import Core
from podium.api.custom.converted_watch import ConvertedWatcher
from podium.api.negotiation import Form
from podium.api.rendering import change_renderer, form_key, partial
from podium.api.request import Request
from podium.api.sharing import shared
from podium.api.watching import BUFFERED_BYTES_MAX, Batch, Hub, Hubs, Plan, View, Watcher, plan
from podium.objects.status import Expired, StatusError
from podium.store.record import Record
from podium.world.http_server import Connection, Response, Stream, frame

_HEADERS = ((b"cache-control", b"no-cache, private"), (b"content-type", b"application/json"))
INITIAL_BATCH = 500


class StreamWatcher:
    """Writes each batch as one chunk, rendered once for all watchers with the same form. It lives without a task: its hub, the hub's deadlines
    and its connection call it, so that ten thousand of them are little more than their sockets. What has ended holds no connection."""

    __slots__ = ("_hub", "_key", "_later", "_partial", "_render", "_stream", "_view", "bookmarks", "deadline_s", "ended", "waiting")

    def __init__(self, stream: Stream, request: Request, form: Form, now: Callable[[], datetime], bookmarks: bool) -> None:
        self.bookmarks = bookmarks and form.as_kind != "Table"
        self.ended = False
        self._stream: Stream | None = stream
        self._partial = bool(form.as_kind)
        self._key: tuple[Any, ...] = shared(form_key(request, form))
        self._render = change_renderer(request, form, now)
        self._later = ((*self._key, "later"), change_renderer(request, form, now, columns=False)) if form.as_kind == "Table" else None
        self._hub: Hub | None = None
        self._view: View | None = None
        self.deadline_s = 0.0
        self.waiting = False

    def __lt__(self, other: "StreamWatcher") -> bool:
        return self.deadline_s < other.deadline_s

    def send(self, batch: Batch) -> bool:
        if self._stream is None or not self._stream.push(batch.rendered(self._key, self._render), BUFFERED_BYTES_MAX):
            return False
        if self._later is not None:  # a table's columns are told once
            (self._key, self._render), self._later = self._later, None
        return True

    def bookmark(self, value: dict[str, Any], encoded: bytes) -> bool:
        if self._stream is None:
            return False
        if self._partial:
            encoded = orjson.dumps(partial(value))
        return self._stream.push(frame(b'{"type":"BOOKMARK","object":%b}\n' % encoded), BUFFERED_BYTES_MAX)

    def go_on(self, hub: Hub, view: View, timeout_s: float) -> None:
        """It has joined: from here on until its timeout, the client's end or the hub's."""
        assert self._stream is not None
        self._hub, self._view = hub, view
        self.deadline_s = asyncio.get_running_loop().time() + timeout_s
        hub.deadlines.add(self)
        self._stream.detach(self._leave)

    def end(self) -> None:
        """The hub's word: one that lags is cut off without another word, otherwise the hub closes."""
        if (stream := self._forget()) is None:
            return
        if stream.buffered_bytes > BUFFERED_BYTES_MAX:
            stream.abort()
        else:
            stream.end()

    def time_out(self) -> None:
        """Its deadline's word."""
        hub, view = self._hub, self._view
        if hub is not None and view is not None:
            hub.leave(view, self)
            if self.bookmarks:
                self.bookmark(*hub.bookmark())
        if (stream := self._forget()) is not None:
            stream.end()

    def _leave(self) -> None:
        if self._hub is not None and self._view is not None:
            self._hub.leave(self._view, self)
        self._forget()

    def _forget(self) -> Stream | None:
        """Its stream, the first time."""
        self.ended = True
        stream, self._stream = self._stream, None
        if self._hub is not None:
            self._hub.deadlines.remove(self)
        self._hub = self._view = None
        return stream


async def serve_watch(core: Core, hubs: Hubs, request: Request, form: Form, connection: Connection) -> Response | None:
    """Returns when the watch has begun. Raises StatusError before the stream starts; a revision that is too old is said in the stream, as
    upstream does."""
    todo = await plan(core, request)
    hub = hubs.of(request.resource)
    stream = connection.start_stream(200, (*_HEADERS, (b"audit-id", request.audit_id.encode("latin-1"))))
    watcher = StreamWatcher(stream, request, form, core.world.clock.now, todo.bookmarks)
    await _send_initial(watcher, todo.initial, stream)
    if todo.end_bookmark and watcher.bookmarks:
        watcher.bookmark(*hub.bookmark(todo.revision, initial_end=True))
    kind = request.resource.custom
    if kind is not None and kind.converts_by_webhook:
        await _serve_converted(hub, todo, watcher, ConvertedWatcher(watcher, core.views, kind), stream)
        return None
    if _join(hub, todo, watcher, stream) and not watcher.ended:
        watcher.go_on(hub, todo.view, todo.timeout_s)
    return None


def _join(hub: Hub, todo: Plan, watcher: Watcher, stream: Stream) -> bool:
    try:
        hub.join(todo.view, todo.matches, todo.revision, watcher)
    except Expired as error:
        stream.write(b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.to_value()))
        stream.end()
        return False
    return True


async def _serve_converted(hub: Hub, todo: Plan, watcher: StreamWatcher, converted: ConvertedWatcher, stream: Stream) -> None:
    """With a task, which waits for the webhook: until the hub has ended the watch or the time is over. (When the client goes, its connection
    cancels the task.)"""
    if not _join(hub, todo, converted, stream):
        return
    try:
        async with asyncio.timeout(todo.timeout_s):
            await converted.pump()
    except TimeoutError:
        pass
    except StatusError as error:
        stream.write(b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.to_value()))
    finally:
        hub.leave(todo.view, converted)
    watcher.end()


async def _send_initial(watcher: StreamWatcher, records: Sequence[Record], stream: Stream) -> None:
    for start in range(0, len(records), INITIAL_BATCH):
        watcher.send(Batch([("ADDED", record) for record in records[start : start + INITIAL_BATCH]]))
        await stream.drain()
