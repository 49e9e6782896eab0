"""Exemplars: a ring of the newest, whatever series they are of."""

from collections import deque
from collections.abc import Iterator

from podium.telemetry.metrics.samples import Exemplar
from podium.telemetry.metrics.storage import Outcome


class Exemplars:
    """At most `limit`; the oldest make room. By series they ascend in time."""

    def __init__(self, limit: int) -> None:
        self._ring: deque[tuple[int, Exemplar]] = deque()
        self._limit = limit
        self._newest: dict[int, Exemplar] = {}

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, series: int, exemplar: Exemplar) -> Outcome:
        """An exemplar equal to the series' last is KNOWN, and so is every one where none is kept."""
        last = self._newest.get(series)
        if last is not None:
            if last == exemplar:
                return Outcome.KNOWN
            if exemplar.time_ms <= last.time_ms:
                return Outcome.DUPLICATE if exemplar.time_ms == last.time_ms else Outcome.OUT_OF_ORDER
        if self._limit <= 0:
            return Outcome.KNOWN
        if len(self._ring) >= self._limit:
            gone, oldest = self._ring.popleft()
            if self._newest.get(gone) is oldest:
                del self._newest[gone]
        self._ring.append((series, exemplar))
        self._newest[series] = exemplar
        return Outcome.TAKEN

    def between(self, series: set[int], start_ms: int, end_ms: int) -> dict[int, list[Exemplar]]:
        """Of these series, in [start_ms, end_ms]."""
        found: dict[int, list[Exemplar]] = {}
        for i, exemplar in self._ring:
            if i in series and start_ms <= exemplar.time_ms <= end_ms:
                found.setdefault(i, []).append(exemplar)
        return found

    def series(self) -> set[int]:
        return set(self._newest)

    def drop(self, series: set[int], start_ms: int, end_ms: int) -> None:
        """Removes those of these series in [start_ms, end_ms]."""
        self._ring = deque(e for e in self._ring if not (e[0] in series and start_ms <= e[1].time_ms <= end_ms))
        self._newest = dict(self._ring)

    def __iter__(self) -> Iterator[tuple[int, Exemplar]]:
        return iter(self._ring)
