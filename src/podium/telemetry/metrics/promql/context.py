"""What every part of a query's evaluation shares: options, limits, annotations, statistics, and the pause between chunks of work.

Long work on arrays cannot be interrupted, so it is cut into chunks, and `pause` is called between them: it lets the event loop run when this
query has held it for PAUSE_AFTER_S, and raises when the query's time is up. (Under a virtual clock no time passes while arrays are worked on.)

Samples are counted before they are made: `reserve` raises TooManySamples when a frame of that size would be one too many.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.promql.annotations import Annotations
from podium.telemetry.metrics.promql.errors import QueryCanceled, QueryTimeout, TooManySamples
from podium.telemetry.metrics.promql.frames import METADATA_LABELS, Frame
from podium.telemetry.metrics.promql.statistics import Statistics
from podium.telemetry.metrics.promql.turns import EXPRESSION, Turn
from podium.telemetry.metrics.samples import Scan, Selection, Unread
from podium.telemetry.metrics.selections import matching, merged
from podium.telemetry.metrics.storage import Queryable
from podium.world.interface import Clock

PAUSE_AFTER_S = 0.005
LABEL_CHARACTERS_MAX = 100_000_000
"""Of all values of labels that a query's functions make."""
READ_CELLS = 1 << 21
"""Samples that are read, and worked on, between two pauses: some 20 ms of rates, several times that of quantiles."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an evaluation depends on, beside the expression and the data."""

    lookback_ms: int
    samples_max: int
    subquery_step_ms: int
    delayed_name_removal: bool
    type_and_unit_labels: bool
    start_timestamps: bool
    start_ms: int  # of the query, as start() and end() say
    end_ms: int
    interval_ms: int  # 0: an instant query


@dataclass(slots=True)
class Context:
    storage: Queryable
    settings: Settings
    clock: Clock
    deadline: float  # of clock.monotonic()
    annotations: Annotations = field(default_factory=Annotations)
    statistics: Statistics = field(default_factory=Statistics)
    samples: int = 0  # held now
    label_characters: int = 0  # made so far
    closing: Callable[[], bool] = lambda: False  # whether the engine ends
    elsewhere: Mapping[tuple[int, str], Sequence[Selection]] = field(default_factory=dict)
    """What other servers gave, by what it is read for (reads.Key)."""
    turn: Turn | None = None
    """None: nobody else is let in (a template's query), or there is nobody."""
    _resumed: float = 0.0

    def select(
        self, key: tuple[int, str], matchers: Sequence[Matcher], start_ms: int, end_ms: int, *, only: Sequence[Matcher] = ()
    ) -> Selection:
        """From the store, joined with what other servers gave for it; `only`: conditions that these were not told. Raises LimitExceeded."""
        local = self.storage.select(matchers, start_ms, end_ms)
        others = self.elsewhere.get(key)
        return local if not others else merged([local, *(matching(s, only) for s in others)])

    def scan(self, key: tuple[int, str], matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Scan:
        """The same; what only this store has is still to be read."""
        if not self.elsewhere.get(key):
            return self.storage.scan(matchers, start_ms, end_ms)
        return Scan.of(self.select(key, matchers, start_ms, end_ms))

    def reserve(self, samples: int) -> None:
        """Before that many samples are made. Raises TooManySamples."""
        self.samples += samples
        if self.samples > self.settings.samples_max:
            raise TooManySamples
        self.statistics.samples_peak = max(self.statistics.samples_peak, self.samples)

    async def expect(self, samples: int) -> None:
        """Before much is reserved: waits until it is this query's turn to hold so many. Raises QueryTimeout."""
        if self.turn is not None:
            await self.turn.expect(self.samples + samples)
            self.resume()

    def write(self, characters: int) -> None:
        """Before so many characters of labels' values are made. Raises LimitExceeded."""
        self.label_characters += characters
        if self.label_characters > LABEL_CHARACTERS_MAX:
            raise LimitExceeded(
                "label_characters_max", f"query processing would make more than {LABEL_CHARACTERS_MAX} characters of label values"
            )

    async def pause(self) -> None:
        """Raises QueryTimeout, and asyncio.CancelledError when the query's task is cancelled."""
        now = self.clock.monotonic()
        if now >= self.deadline:
            raise QueryTimeout(EXPRESSION)
        if self.closing():
            raise QueryCanceled(EXPRESSION)
        if now - self._resumed > PAUSE_AFTER_S:
            if self.turn is None:
                await asyncio.sleep(0)
            else:
                await self.turn.passed(now - self._resumed)
            self.resume()

    async def read(self, scan: Scan, work: Callable[[Unread], T]) -> list[T]:
        """[work(unread) for each of the scan], several at a time, in threads: `work` only touches what is its own. Raises ReadAgain."""
        found: list[T] = []
        batch: list[Unread] = []
        cells = 0
        for unread in scan.unread:
            if batch and cells + unread.cells > READ_CELLS:
                found += scan.each(work, batch)
                await self.pause()
                batch, cells = [], 0
            batch.append(unread)
            cells += unread.cells
        return found + scan.each(work, batch)

    def resume(self) -> None:
        self._resumed = self.clock.monotonic()


def metric_name(frame: Frame, row: int) -> str:
    column = frame.labels.columns.get(METADATA_LABELS[0])
    return column.values[column.codes[row]] if column is not None else ""
