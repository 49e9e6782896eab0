"""The store in memory: for tests and rehearsals. Every write is visible, and as durable as it gets, when `put` returns."""

from collections.abc import Callable
from typing import Any

from podium.store.errors import StoreError
from podium.store.interface import Page, Watch
from podium.store.record import Event, Record
from podium.store.versions import HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX, Versions, check_expected, delete_event, put_event


class MemoryStore:
    """A `Store` (see interface.py)."""

    def __init__(self, *, history_events_max: int = HISTORY_EVENTS_MAX, history_bytes_max: int = HISTORY_BYTES_MAX) -> None:
        self._versions = Versions(events_max=history_events_max, bytes_max=history_bytes_max)
        self._closed = False

    @property
    def revision(self) -> int:
        return self._versions.revision

    @property
    def oldest_revision(self) -> int:
        return self._versions.oldest_revision

    async def get(self, key: str) -> Record | None:
        return self._versions.current(key)

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        return self._versions.range(prefix, after, limit, revision)

    async def put(self, key: str, encoded: bytes, *, expected: int | None, value: dict[str, Any] | None = None) -> Record:
        self._check_open()
        versions = self._versions
        current = versions.current(key)
        check_expected(key, current, expected)
        event = put_event(key, current, encoded, versions.revision + 1, value)
        self._apply(event)
        return event.record

    async def delete(self, key: str, *, expected: int | None) -> Record | None:
        self._check_open()
        current = self._versions.current(key)
        check_expected(key, current, expected)
        if current is None:
            return None
        event = delete_event(current, self._versions.revision + 1)
        self._apply(event)
        return event.record

    def watch(self, prefix: str, after_revision: int, *, buffer_events_max: int = 100_000) -> Watch:
        return self._versions.watch(prefix, after_revision, buffer_events_max)

    def feed(self, prefix: str, listener: Callable[[list[Event]], None]) -> Callable[[], None]:
        return self._versions.feed(prefix, listener)

    def history(self, prefix: str, after_revision: int) -> list[Event]:
        return self._versions.history(prefix, after_revision)

    def count(self, prefix: str) -> int:
        return self._versions.count(prefix)

    async def compact(self, revision: int) -> None:
        self._versions.compact(revision)

    def rest(self) -> None:
        self._versions.rest()

    async def close(self) -> None:
        self._closed = True
        self._versions.end_watches()

    def _apply(self, event: Event) -> None:
        self._versions.apply([event])
        if self._versions.over_limit():
            self._versions.forget_to_limit()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
