"""A watch: the feed with a bounded buffer, for those who read at their own pace."""

import asyncio
from collections import deque

from podium.store.errors import WatchLagged
from podium.store.record import Event


class BufferedWatch:
    """`hear` is the feed's listener. Overflow drops everything buffered and ends the watch with WatchLagged: the reader starts again from
    the last revision it saw. For one reader at a time."""

    def __init__(self, history: list[Event], after_revision: int, buffer_events_max: int) -> None:
        self._batches: deque[list[Event]] = deque([history] if history else ())
        self._buffered = 0
        self._after_revision = after_revision
        self._buffer_events_max = buffer_events_max
        self._lagged = False
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self.cancel = lambda: None
        """Set by the store: takes `hear` off the feed."""

    def hear(self, events: list[Event]) -> None:
        if events[0].revision <= self._after_revision:  # a watch from a revision that was yet to come
            events = [event for event in events if event.revision > self._after_revision]
            if not events:
                return
        self._batches.append(events)
        self._buffered += len(events)
        if self._buffered > self._buffer_events_max:
            self._lagged = True
            self._batches.clear()
            self.cancel()
        self._wake()

    def close(self) -> None:
        self._closed = True
        self._batches.clear()
        self.cancel()
        self._wake()

    def __aiter__(self) -> "BufferedWatch":
        return self

    async def __anext__(self) -> list[Event]:
        while not self._batches:
            if self._lagged:
                raise WatchLagged(f"more than {self._buffer_events_max} events waited to be read; watch again from the last revision seen")
            if self._closed:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        batch = self._batches.popleft()
        self._buffered = max(0, self._buffered - len(batch))  # the history part was never counted
        return batch

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
