"""The real world: the machine's clock, its entropy."""

import random
import time
import uuid
from datetime import UTC, datetime

from podium.world.interface import Clock

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, no lookalikes: so that no word comes out. Source: k8s.io/apimachinery util/rand."""


class RealClock:
    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def timestamp(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        return self._text

    def micro_timestamp(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class RealWorld:
    def __init__(self) -> None:
        self._clock = RealClock()
        self._streams: dict[str, random.Random] = {}

    @property
    def clock(self) -> Clock:
        return self._clock

    def random(self, name: str) -> random.Random:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = random.Random()  # seeded by the system
        return stream

    def uid(self) -> str:
        return str(uuid.uuid4())

    def token(self, length: int) -> str:
        return "".join(self.random("token").choices(SAFE_ALPHABET, k=length))
