"""What an operator may ask of the store over HTTP. Source: Prometheus' HTTP API, "TSDB Stats", "TSDB Admin APIs"."""

from collections.abc import Iterator, Sequence
from typing import Any

from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.tsdb import deletion
from podium.telemetry.metrics.tsdb.tsdb import Tsdb


class StoreAdministration:
    def __init__(self, store: Tsdb) -> None:
        self._store = store

    async def delete_series(self, selectors: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> None:
        await deletion.delete_series(self._store, selectors, start_ms, end_ms)

    async def clean_tombstones(self) -> None:
        await deletion.clean_tombstones(self._store)

    async def snapshot(self, *, skip_head: bool) -> str:
        from podium.telemetry.metrics.tsdb import snapshots

        return await snapshots.snapshot(self._store, skip_head=skip_head)

    def status(self, limit: int) -> dict[str, Any]:
        from podium.telemetry.metrics.tsdb import statistics

        return statistics.status(self._store, limit)

    def measurements(self) -> Iterator[tuple[str, str, str, float]]:
        """(name, type, help, value), under upstream's names."""
        from podium.telemetry.metrics.tsdb import statistics

        yield from statistics.measurements(self._store)
