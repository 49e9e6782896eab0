"""The virtual world: a clock that jumps, chance from a seed.

`run(main, seed)` is the only door: it makes a world with its own loop, runs `main(world)` in it, and takes down what is left in
reverse order of creation. The wall clock starts at a fixed instant and moves with the loop.

Each stream of randomness is seeded by (seed, name) alone, through SHA-256: not by the order of first use, and not by
Python's hash seed. `unseed()` condenses what a run has done (time passed, callbacks run, the next draw of each stream): two
runs that did the same things agree on it, two that differed anywhere almost surely do not.
"""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from podium.world.interface import Clock
from podium.world.real import SAFE_ALPHABET
from podium.world.supervisor import STOP_PATIENCE_S
from podium.world.virtual_loop import VirtualDeadlock, VirtualLivelock, VirtualLoop

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._second = -1
        self._text = ""

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Raises RuntimeError inside another loop than the world's, where it would stand still."""
        running = asyncio._get_running_loop()
        if running is not None and running is not self._loop:
            raise RuntimeError("this virtual world's clock stands still: another loop is running; use podium.world.virtual.run")
        return self._loop.time()

    def timestamp(self) -> str:
        second = int(self._loop.time())  # START is a whole second too
        if second != self._second:
            self._second, self._text = second, self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._text

    def micro_timestamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class VirtualWorld:
    """Fit for plain synchronous tests too (the clock then stands at the start); for anything that waits, see `run`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self._clock = VirtualClock(self.loop)
        self._streams: dict[str, random.Random] = {}

    @property
    def clock(self) -> Clock:
        return self._clock

    def random(self, name: str) -> random.Random:
        stream = self._streams.get(name)
        if stream is None:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            stream = self._streams[name] = random.Random(int.from_bytes(digest, "big"))
        return stream

    def uid(self) -> str:
        return str(uuid.UUID(int=self.random("uid").getrandbits(128), version=4))

    def token(self, length: int) -> str:
        return "".join(self.random("token").choices(SAFE_ALPHABET, k=length))

    def unseed(self) -> str:
        """16 hex digits. Draws from every stream: call it once, last."""
        parts = [str(self.seed), repr(self.loop.time()), str(self.loop.callbacks_run)]
        parts += [f"{name}={self._streams[name].getrandbits(64):016x}" for name in sorted(self._streams)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def run(main: Callable[[VirtualWorld], Awaitable[T]], seed: int = 0) -> T:
    """What `main(world)` returns. Raises what it raises, and VirtualDeadlock when everything waits for nothing."""
    world = VirtualWorld(seed)
    loop = world.loop

    async def entry() -> T:
        return await main(world)

    try:
        return loop.run_until_complete(loop.create_task(entry(), name="main"))
    finally:
        try:
            _cancel_remaining(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def _cancel_remaining(loop: VirtualLoop) -> None:
    """Newest first, one after another. A task that ignores cancellation for STOP_PATIENCE_S, or waits for nothing, is left."""
    for task in reversed(loop.tasks()):
        task.cancel()
        try:
            loop.run_until_complete(asyncio.wait([task], timeout=STOP_PATIENCE_S))
        except (VirtualDeadlock, VirtualLivelock):
            continue
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": "a task failed while it was cancelled", "exception": error, "task": task})
