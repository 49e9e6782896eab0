"""The world: where time, chance and identifiers come from.

Product code takes a `World` and never imports `time`, `random`, `uuid` or `secrets`. Waiting is asyncio's (`asyncio.sleep`,
`asyncio.timeout`): in the virtual world the event loop itself is virtual. Each consumer of randomness asks for a stream by name, so an
unrelated consumer never shifts another's draws.
"""

import random
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. Equals the running loop's time()."""
        ...

    def timestamp(self) -> str:
        """metav1.Time of now: `2026-01-02T03:04:05Z`."""
        ...

    def micro_timestamp(self) -> str:
        """metav1.MicroTime of now: `2026-01-02T03:04:05.000006Z`."""
        ...


class World(Protocol):
    @property
    def clock(self) -> Clock: ...

    def random(self, name: str) -> random.Random:
        """The stream of that name: seeded by (seed, name) in a virtual world, by the system in the real one. The same object each time."""
        ...

    def uid(self) -> str:
        """A new object UID, in UUID form."""
        ...

    def token(self, length: int) -> str:
        """`length` characters from Kubernetes' safe alphabet (bcdfghjklmnpqrstvwxz2456789), for generateName and pod hashes."""
        ...
