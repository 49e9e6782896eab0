"""Waiting longer after each failure, with jitter so that many clients of one server do not come back together."""

import asyncio
import random


class Backoff:
    """Pauses of `first_s`, doubled up to `max_s`, each drawn from [half, whole] by `random`."""

    def __init__(self, random: random.Random, *, first_s: float, max_s: float) -> None:
        self.random = random
        self._first_s = first_s
        self._max_s = max_s
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    def next_s(self) -> float:
        """The next pause; counts a failure."""
        whole = min(self._max_s, self._first_s * 2.0 ** min(self._failures, 62))
        self._failures += 1
        return whole * (0.5 + self.random.random() / 2)

    async def pause(self, *, free: int = 0) -> None:
        """Sleeps for the next pause; not at all for the first `free` failures in a row."""
        pause_s = self.next_s()
        await asyncio.sleep(0 if self._failures <= free else pause_s)
