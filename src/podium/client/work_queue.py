"""A queue of keys to reconcile.

Contract:
* A key waits at most once however often it is added: what must be done is in the mirrors, the key only says where to look.
* A key is never handed out while it is being processed; added meanwhile, it waits until `done` and then runs once more.
* `retry` delays grow per key, from 5 ms doubling up to 1000 s, until `forget`.
* Order is that of adding. The queue holds no more than one entry per living key, so it is bounded by the objects it is about.

Source: client-go util/workqueue (queue, delaying queue, item exponential failure rate limiter).
"""

import asyncio
from collections import deque

from podium.client.queue_metrics import QueueFamilies, QueueMetrics
from podium.instrument import component
from podium.world.interface import World

RETRY_FIRST_S = 0.005
RETRY_MAX_S = 1000.0


class WorkQueue:
    def __init__(self, world: World, *, retry_first_s: float = RETRY_FIRST_S, retry_max_s: float = RETRY_MAX_S) -> None:
        self._clock = world.clock
        self._retry_first_s = retry_first_s
        self._retry_max_s = retry_max_s
        self._ready: deque[str] = deque()
        self._dirty: dict[str, None] = {}  # waiting, or to be added again when done
        self._processing: dict[str, None] = {}
        self._failures: dict[str, int] = {}
        self._delayed: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._metrics: QueueMetrics | None = None

    def measure(self, name: str) -> None:
        """Counts from now on, under that name, in the registry of the component that this runs in; in none when there is none."""
        registry = component.current()
        if registry is not None:
            self._metrics = registry.shared(QueueFamilies).of(name, self, self._clock)

    def add(self, key: str) -> None:
        if key in self._dirty:
            return
        self._dirty[key] = None
        if self._metrics is not None:
            self._metrics.added(key)
        if key not in self._processing:
            self._ready.append(key)
            self._wake()

    def add_after(self, key: str, delay_s: float) -> None:
        """Adds the key when `delay_s` has passed; of several delays for one key the earliest counts. Needs a running loop."""
        if delay_s <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + delay_s
        waiting = self._delayed.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._delayed[key] = (due, asyncio.get_running_loop().call_later(delay_s, self._due, key))

    def retry(self, key: str) -> None:
        """Adds the key after its backoff, and counts a failure."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        if self._metrics is not None:
            self._metrics.retried()
        self.add_after(key, min(self._retry_max_s, self._retry_first_s * 2.0 ** min(failures, 62)))

    def forget(self, key: str) -> None:
        """The key succeeded: its next retry starts from the first delay again."""
        self._failures.pop(key, None)

    def failures(self, key: str) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> str:
        """The next key; the caller owes a `done(key)`."""
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # this wake-up was for a key that is still there
                raise
        key = self._ready.popleft()
        self._processing[key] = None
        del self._dirty[key]
        if self._metrics is not None:
            self._metrics.taken(key)
        return key

    def done(self, key: str) -> None:
        del self._processing[key]
        if self._metrics is not None:
            self._metrics.done(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake()

    def close(self) -> None:
        """Drops what is delayed, so that no timer outlives the queue's owner."""
        for _, handle in self._delayed.values():
            handle.cancel()
        self._delayed.clear()

    def __len__(self) -> int:
        """Keys ready to be handed out."""
        return len(self._ready)

    def _due(self, key: str) -> None:
        del self._delayed[key]
        self.add(key)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
