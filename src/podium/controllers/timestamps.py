"""Times as controllers compare them: seconds since 1970, from the text in objects."""

from datetime import datetime
from functools import lru_cache

from podium.world.interface import Clock


@lru_cache(maxsize=8192)
def seconds(text: str | None) -> float:
    """`2026-01-02T03:04:05Z`, with or without a fraction; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def now_s(clock: Clock) -> float:
    return clock.now().timestamp()
