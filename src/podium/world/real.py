"""The real world: the machine's clock, its entropy."""

import os
import random
import time
from datetime import UTC, datetime

from podium.world.interface import Clock

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, no lookalikes: so that no word comes out. Source: k8s.io/apimachinery util/rand."""


UIDS_AT_ONCE = 128
"""So many identifiers are made of what the kernel is asked for at once: to ask is most of the work."""

_uids: list[str] = []
os.register_at_fork(after_in_child=_uids.clear)


def _uid(digits: str) -> str:
    """A version 4 UUID of 32 random hexadecimal digits (RFC 9562, section 5.4)."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


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
        self._random = random.Random()  # seeded by the system

    @property
    def clock(self) -> Clock:
        return self._clock

    def random(self, name: str) -> random.Random:
        """One stream for all: nothing repeats here, and each takes 2.5 kB."""
        return self._random

    def uid(self) -> str:
        if not _uids:
            digits = os.urandom(16 * UIDS_AT_ONCE).hex()
            _uids.extend(_uid(digits[start : start + 32]) for start in range(0, len(digits), 32))
        return _uids.pop()

    def token(self, length: int) -> str:
        return "".join(self.random("token").choices(SAFE_ALPHABET, k=length))
