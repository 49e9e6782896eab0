"""Who computes next, when several queries are evaluated.

Work on arrays holds the event loop, so queries take turns: one piece of work of one query in each round of the loop, and everything else
(scrapes, rules, answers) between two pieces, however many queries there are. A query that turns out to be long (it has computed for
LONG_AFTER_S, or is about to make LONG_SAMPLES) needs one of LONG_MAX places to go on: more at a time would end none of them sooner, and each
holds its arrays. What is short never waits for what is long.

Invariants: whoever is inside `Turn` and not waiting holds the baton; a place is given back when its query ends, however it ends.
Bounds: those who wait are the engine's running queries, so at most its concurrency and the server's own.
"""

import asyncio
from types import TracebackType

from podium.telemetry.metrics.promql.errors import QueryTimeout
from podium.world.interface import Clock

LONG_AFTER_S = 0.05
LONG_SAMPLES = 1_000_000
LONG_MAX = 4
EXPRESSION = "expression evaluation"


class Turns:
    def __init__(self) -> None:
        self.baton = asyncio.Lock()
        self.places = asyncio.Semaphore(LONG_MAX)


class Turn:
    """One query's: computing inside `async with`. `own`: the server's own queries need no place."""

    def __init__(self, turns: Turns, clock: Clock, deadline: float, *, own: bool = False) -> None:
        self._turns = turns
        self._clock = clock
        self._deadline = deadline
        self._own = own
        self._holding = self._placed = False
        self._used_s = 0.0

    async def __aenter__(self) -> "Turn":
        await self._take()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._give()
        if self._placed:
            self._placed = False
            self._turns.places.release()

    async def passed(self, used_s: float) -> None:
        """Lets others go first, after a piece of work that took so long. Raises QueryTimeout."""
        self._used_s += used_s
        await asyncio.sleep(0)  # with the baton: no other query computes in this round of the loop
        self._give()
        if self._used_s > LONG_AFTER_S:
            await self._place()
        await self._take()

    async def expect(self, samples: int) -> None:
        """Before so many are held. Raises QueryTimeout."""
        if samples > LONG_SAMPLES and not self._placed and not self._own:
            self._give()
            await self._place()
            await self._take()

    async def _place(self) -> None:
        if self._placed or self._own:
            return
        await self._in_time(self._turns.places)
        self._placed = True

    async def _take(self) -> None:
        await self._in_time(self._turns.baton)
        self._holding = True

    def _give(self) -> None:
        if self._holding:
            self._holding = False
            self._turns.baton.release()

    async def _in_time(self, what: asyncio.Lock | asyncio.Semaphore) -> None:
        if not what.locked():
            await what.acquire()
            return
        try:
            async with asyncio.timeout(max(0.0, self._deadline - self._clock.monotonic())):
                await what.acquire()
        except TimeoutError:
            raise QueryTimeout(EXPRESSION) from None
