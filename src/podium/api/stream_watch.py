"""A watch over HTTP: a chunked response that lives until its timeout, the client's end, or the client's slowness."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from podium.api.core import Core
from podium.api.negotiation import Form
from podium.api.rendering import change_renderer, form_key, partial
from podium.api.request import Request
from podium.api.watching import BUFFERED_BYTES_MAX, Batch, Hubs, plan
from podium.objects.status import Expired
from podium.store.record import Record
from podium.world.http_server import Connection, Response, Stream

_HEADERS = ((b"cache-control", b"no-cache, private"), (b"content-type", b"application/json"))
INITIAL_BATCH = 500


class StreamWatcher:
    """Writes each batch as one chunk, rendered once for all watchers with the same form."""

    def __init__(self, stream: Stream, request: Request, form: Form, now: Callable[[], datetime], bookmarks: bool) -> None:
        self.bookmarks = bookmarks and form.as_kind != "Table"
        self.ended = asyncio.Event()
        self._stream = stream
        self._partial = bool(form.as_kind)
        self._key: tuple[Any, ...] = form_key(request, form)
        self._render = change_renderer(request, form, now)
        self._later = ((*self._key, "later"), change_renderer(request, form, now, columns=False)) if form.as_kind == "Table" else None

    def send(self, batch: Batch) -> bool:
        if self._stream.closed or self._stream.buffered_bytes > BUFFERED_BYTES_MAX:
            return False
        self._stream.write_framed(batch.rendered(self._key, self._render))
        if self._later is not None:  # a table's columns are told once
            (self._key, self._render), self._later = self._later, None
        return True

    def bookmark(self, value: dict[str, Any], encoded: bytes) -> bool:
        if self._stream.closed or self._stream.buffered_bytes > BUFFERED_BYTES_MAX:
            return False
        if self._partial:
            encoded = orjson.dumps(partial(value))
        self._stream.write(b'{"type":"BOOKMARK","object":%b}\n' % encoded)
        return True

    def end(self) -> None:
        self.ended.set()


async def serve_watch(core: Core, hubs: Hubs, request: Request, form: Form, connection: Connection) -> Response | None:
    """Raises StatusError before the stream starts; a revision that is too old is said in the stream, as upstream does."""
    todo = await plan(core, request)
    hub = hubs.of(request.resource)
    stream = connection.start_stream(200, _HEADERS)
    watcher = StreamWatcher(stream, request, form, core.world.clock.now, todo.bookmarks)
    await _send_initial(watcher, todo.initial, stream)
    if todo.end_bookmark and watcher.bookmarks:
        watcher.bookmark(*hub.bookmark(todo.revision, initial_end=True))
    try:
        hub.join(todo.view, todo.matches, todo.revision, watcher)
    except Expired as error:
        stream.write(b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.to_value()))
        stream.end()
        return None
    try:
        await _until_end(watcher, todo.timeout_s)
    finally:
        hub.leave(todo.view, watcher)
    if stream.buffered_bytes > BUFFERED_BYTES_MAX:
        connection.abort()
    elif not stream.closed:
        if watcher.bookmarks:
            watcher.bookmark(*hub.bookmark())
        stream.end()
    return None


async def _send_initial(watcher: StreamWatcher, records: Sequence[Record], stream: Stream) -> None:
    for start in range(0, len(records), INITIAL_BATCH):
        watcher.send(Batch([("ADDED", record) for record in records[start : start + INITIAL_BATCH]]))
        await stream.drain()


async def _until_end(watcher: StreamWatcher, timeout_s: float) -> None:
    """Returns when the hub has ended the watch or the time is over. (When the client goes, its connection cancels this task.)"""
    try:
        async with asyncio.timeout(timeout_s):
            await watcher.ended.wait()
    except TimeoutError:
        return
