"""Stores for tests: small windows, the disk's work in place, a clock that stands still."""

from pathlib import Path

import numpy as np

from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.virtual import VirtualWorld
from tests.telemetry.metrics.tsdb.answers import Found, found

WINDOW_MS = 60_000
STEP_MS = 1_000
EVERYTHING: list[Matcher] = []


def opened(directory: Path | None, **changed: int) -> Tsdb:
    return Tsdb.open(directory, VirtualWorld(0), options(**changed), threads=False)


def options(**changed: int) -> Options:
    settings = {"window_ms": WINDOW_MS, "retention_ms": 0, "block_max_ms": 9 * WINDOW_MS}
    return Options(**{**settings, **changed})  # type: ignore[arg-type]


def series(count: int, name: str = "m") -> list[Labels]:
    return [labels_of({"__name__": name, "i": str(i)}) for i in range(count)]


def scraped(store: Tsdb, start: int, end: int, count: int = 5, name: str = "m") -> None:
    """Columns start..end of `count` series: value = 100 * series + column."""
    layout = store.layout(series(count, name))
    for k in range(start, end):
        assert not store.append(layout, k * STEP_MS, np.arange(count) * 100.0 + k)


def all_of(store: Tsdb) -> Found:
    return found(store.select(EVERYTHING, -(2**60), 2**60))


def expected(start: int, end: int, count: int = 5, name: str = "m") -> Found:
    return {
        s: {k * STEP_MS: int(np.float64(i * 100 + k).view(np.uint64)) for k in range(start, end)} for i, s in enumerate(series(count, name))
    }


def named(name: str) -> list[Matcher]:
    return [Matcher(MatchType.EQUAL, "__name__", name)]


def abandon(store: Tsdb) -> None:
    """As kill -9 would: nothing is written, the lock is free."""
    assert store.lock is not None
    store.lock.release()
