"""What a store of samples does for those who write (scrapes, rules, remote write) and those who read (queries, federation, remote read).

Writing is by layout: whoever appends the same series again and again registers them once (`layout`), then hands over one array of values a
time. A layout is cheap to keep and to drop. Reading gives whole matrices (`Selection`).

Own store: telemetry/metrics/tsdb. For scripts and tests: memory_samples.py.
"""

import enum
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.labels import Labels, Matcher
from podium.telemetry.metrics.samples import Exemplar, Sample, Scan, Selection, Values


class Outcome(enum.IntEnum):
    """What became of one sample of an append."""

    TAKEN = 0
    KNOWN = 1  # the same is there already: left out in silence
    OUT_OF_ORDER = 2
    TOO_OLD = 3  # outside of the out-of-order window
    DUPLICATE = 4  # another value at a time that has one
    OVER_LIMIT = 5  # of a series that is new, in a store that has no room for it


Outcomes = npt.NDArray[np.int8]
"""(N,) `Outcome` of each sample, in the order they came in."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """How many samples of an append were not taken, and why. Upstream counts the first three."""

    out_of_order: int = 0
    too_old: int = 0
    duplicate: int = 0
    over_limit: int = 0
    outcomes: Outcomes | None = field(default=None, compare=False, repr=False)
    """Sample by sample; None: all were taken. What is ABSENT counts as taken."""

    def __bool__(self) -> bool:
        return bool(self.out_of_order or self.too_old or self.duplicate or self.over_limit)

    @property
    def count(self) -> int:
        return self.out_of_order + self.too_old + self.duplicate + self.over_limit

    @classmethod
    def of(cls, outcomes: Outcomes) -> "Rejected":
        if not outcomes.any():
            return cls()
        counts = np.bincount(outcomes, minlength=len(Outcome)).tolist()
        return cls(counts[Outcome.OUT_OF_ORDER], counts[Outcome.TOO_OLD], counts[Outcome.DUPLICATE], counts[Outcome.OVER_LIMIT], outcomes)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Of a metric family: its type as in OpenMetrics (counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown)."""

    type: str
    help: str = ""
    unit: str = ""


class Layout(Protocol):
    """Series that are appended together, in an order of the writer's."""

    @property
    def size(self) -> int: ...


class Appendable(Protocol):
    """All synchronous and in memory; what was appended survives a crash once `await synced()` returned."""

    def layout(self, series: Sequence[Labels]) -> Layout:
        """Registers the series (those that are new appear in the index with their first sample). Raises LimitExceeded."""
        ...

    def joined(self, layouts: Sequence[Any], places: npt.NDArray[np.int32] | None = None) -> Layout:
        """One layout of the series of these, one after another; of those at `places` alone, in that order, when they are given."""
        ...

    def labels_of(self, layout: Any) -> Sequence[Labels]:
        """Of the layout's series, in its order; made anew at each call."""
        ...

    def append(self, layout: Any, time_ms: int, values: Values) -> Rejected:
        """One value for each series of the layout (one that this store made), at one time; ABSENT for those that have none."""
        ...

    def append_samples(self, samples: Sequence[Sample], *, partly: bool = False) -> Rejected:
        """Samples of any series at any times (within the out-of-order window), histograms among them. New series beyond the store's limit:
        none of the samples is taken, and LimitExceeded raised; `partly`: theirs are left out and counted."""
        ...

    def append_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> Rejected:
        """(series, exemplar). Bounded: the oldest make room. Those of new series beyond the store's limit are left out, and counted."""
        ...

    def set_metadata(self, target: Labels, metadata: dict[str, Metadata]) -> None:
        """Metric families that the target (its labels) exposes, by family name: all of them, those of before are forgotten."""
        ...

    async def synced(self) -> None:
        """Returns when all that was appended before is on disk. Raises StorageFailed."""
        ...


class Queryable(Protocol):
    """Reads see a consistent state: all appends before the call, none after."""

    def deciding(self, matchers: Sequence[Matcher]) -> Generator[None, None, None]:
        """What a read with these matchers begins with, in steps: expressions are matched against values. To be gone through before a read
        that others should not wait for; not needed otherwise. Raises LimitExceeded when they are too many."""
        ...

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        """Series that match all, with their samples in [start_ms, end_ms], both inclusive. No matchers: all series. Raises StorageFailed."""
        ...

    def scan(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Scan:
        """The same, still to be read. Raises StorageFailed."""
        ...

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        """Labels of the series that match all matchers of one set at least (no set: all) and may have samples in the range; sorted. limit 0: none."""
        ...

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        """Sorted."""
        ...

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        """Sorted."""
        ...

    def exemplars(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[tuple[Labels, list[Exemplar]]]:
        """By series, sorted; exemplars ascending by time."""
        ...

    def metadata(self) -> dict[Labels, dict[str, Metadata]]:
        """By target."""
        ...


class Storage(Appendable, Queryable, Protocol):
    """Both."""
