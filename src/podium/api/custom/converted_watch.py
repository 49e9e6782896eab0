"""Watches of kinds whose versions a webhook converts: what happened waits its turn until the webhook has answered.

A hub hands out what is stored and must not wait; so a `ConvertedWatcher` stands between it and the watcher, takes everything at once, and
passes it on in order, converted, for as long as `pump` runs. Past QUEUED_EVENTS_MAX waiting changes the watch is cut off.

Source: apiextensions-apiserver pkg/apiserver/conversion (watch events are converted as they are sent).
"""

import asyncio
from collections import deque
from typing import Any

from podium.api.custom.views import Views
from podium.api.watching import QUEUED_EVENTS_MAX, Batch, Change, Watcher
from podium.objects.custom.kind import CustomKind
from podium.store.record import Record


class ConvertedWatcher:
    def __init__(self, inner: Watcher, views: Views, kind: CustomKind) -> None:
        self.bookmarks = inner.bookmarks
        self._inner = inner
        self._views = views
        self._kind = kind
        self._waiting: deque[Batch | tuple[dict[str, Any], bytes]] = deque()
        self._events = 0
        self._arrived = asyncio.Event()
        self._ended = False

    def send(self, batch: Batch) -> bool:
        self._events += len(batch.changes)
        if self._events > QUEUED_EVENTS_MAX:
            return False
        self._waiting.append(batch)
        self._arrived.set()
        return not self._ended

    def bookmark(self, value: dict[str, Any], encoded: bytes) -> bool:
        self._waiting.append((value, encoded))
        self._arrived.set()
        return not self._ended

    def end(self) -> None:
        self._ended = True
        self._arrived.set()

    async def pump(self) -> None:
        """Until the hub or the watcher has ended. Raises StatusError when the webhook fails."""
        while True:
            while self._waiting:
                if not await self._pass_on(self._waiting.popleft()):
                    return
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _pass_on(self, item: Batch | tuple[dict[str, Any], bytes]) -> bool:
        if isinstance(item, tuple):
            return self._inner.bookmark(*item)
        self._events -= len(item.changes)
        seen: list[Record] = await self._views.all_seen(self._kind, [record for _, record in item.changes])
        changes: list[Change] = [(kind, record) for (kind, _), record in zip(item.changes, seen, strict=True)]
        return self._inner.send(Batch(changes))
