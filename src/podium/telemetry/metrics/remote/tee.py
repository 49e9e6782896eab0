"""A store whose appends are offered to remote writers, too: of each append, what the store took.

What the store refuses (out of order, doubled), and what it has already, goes nowhere: so two servers that write to one another do not send
the same sample for ever. Reads are the store's.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.labels import Labels, Matcher
from podium.telemetry.metrics.remote.sending import RemoteWriter
from podium.telemetry.metrics.samples import Exemplar, Sample, Scan, Selection, Values, is_absent
from podium.telemetry.metrics.storage import Layout, Metadata, Outcome, Rejected, Storage

T = TypeVar("T")


@dataclass(slots=True)
class TeeLayout:
    inner: Layout
    series: Sequence[Labels] = ()  # once a writer needed them: they take more memory than the samples

    @property
    def size(self) -> int:
        return self.inner.size


class Tee:
    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.writers: list[RemoteWriter] = []

    def layout(self, series: Sequence[Labels]) -> TeeLayout:
        return TeeLayout(self.storage.layout(series))

    def joined(self, layouts: Sequence[TeeLayout], places: npt.NDArray[np.int32] | None = None) -> TeeLayout:
        return TeeLayout(self.storage.joined([layout.inner for layout in layouts], places))

    def labels_of(self, layout: TeeLayout) -> Sequence[Labels]:
        return self.storage.labels_of(layout.inner)

    def append(self, layout: Layout, time_ms: int, values: Values) -> Rejected:
        assert isinstance(layout, TeeLayout)
        rejected = self.storage.append(layout.inner, time_ms, values)
        if self.writers:
            series = layout.series = layout.series or self.storage.labels_of(layout.inner)
            there = ~is_absent(values)
            if rejected.outcomes is not None:
                there &= rejected.outcomes == Outcome.TAKEN
            numbers = values.tolist()
            samples = [(series[i], time_ms, numbers[i]) for i in np.flatnonzero(there).tolist()]
            for writer in self.writers:
                writer.offer(samples)
        else:
            layout.series = ()
        return rejected

    def append_samples(self, samples: Sequence[Sample], *, partly: bool = False) -> Rejected:
        rejected = self.storage.append_samples(samples, partly=partly)
        if self.writers:
            taken = [(s.labels, s.time_ms, s.value) for s in _taken(samples, rejected)]
            for writer in self.writers:
                writer.offer(taken)
        return rejected

    def append_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> Rejected:
        rejected = self.storage.append_exemplars(exemplars)
        if self.writers and (taken := _taken(exemplars, rejected)):
            for writer in self.writers:
                writer.offer_exemplars(taken)
        return rejected

    def set_metadata(self, target: Labels, metadata: dict[str, Metadata]) -> None:
        self.storage.set_metadata(target, metadata)

    async def synced(self) -> None:
        await self.storage.synced()

    def deciding(self, matchers: Sequence[Matcher]) -> Generator[None, None, None]:
        return self.storage.deciding(matchers)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        return self.storage.select(matchers, start_ms, end_ms)

    def scan(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Scan:
        return self.storage.scan(matchers, start_ms, end_ms)

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        return self.storage.series(matchers, start_ms, end_ms, limit)

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        return self.storage.label_names(matchers, start_ms, end_ms)

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        return self.storage.label_values(name, matchers, start_ms, end_ms)

    def exemplars(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[tuple[Labels, list[Exemplar]]]:
        return self.storage.exemplars(matchers, start_ms, end_ms)

    def metadata(self) -> dict[Labels, dict[str, Metadata]]:
        return self.storage.metadata()


def _taken(given: Sequence[T], rejected: Rejected) -> Sequence[T]:
    if rejected.outcomes is None:
        return given
    return [given[i] for i in np.flatnonzero(rejected.outcomes == Outcome.TAKEN).tolist()]
