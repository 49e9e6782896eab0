"""A page: what a target shows at one scrape, as a layout (which series, in which order) and the numbers.

A target's layout seldom changes, so readers keep the last one and compare by identity: `page.layout is before.layout` says that the series
are the same, row by row, and only the numbers are new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from podium.telemetry.metrics.exposition.heads import Keys
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.samples import Times, Values
from podium.telemetry.metrics.storage import Metadata

NO_TIME = -(2**63)
"""In place of a time in milliseconds: the page gives none."""


class PageLayout(Protocol):
    @property
    def size(self) -> int:
        """Rows."""
        ...

    @property
    def metadata(self) -> Mapping[str, Metadata]:
        """By family name, as the page gives it."""
        ...

    def row_keys(self) -> Keys:
        """(rows,): rows with equal keys, in this layout or another one of the same format, are the same series (see heads.py)."""
        ...

    def labels_at(self, rows: Sequence[int], interned: dict[tuple[str, str], tuple[str, str]] | None = None) -> list[Labels]:
        """Of those rows, made anew at each call; equal pairs become one object, over several calls with the same `interned`.

        A label with an empty value is kept: it says that nobody shall attach one of that name. Raises PageError when a row has no name or a
        label twice."""
        ...

    def line(self, row: int) -> int:
        """Where the row is on the page, from 1; 0 for a format without lines."""
        ...


@dataclass(frozen=True, slots=True)
class PageExemplar:
    row: int
    labels: Labels
    value: float
    time_ms: int = NO_TIME


@dataclass(frozen=True, slots=True)
class Page:
    layout: PageLayout
    values: Values  # (rows,); ABSENT in rows of native histograms
    times_ms: Times | None = None  # (rows,) with NO_TIME where there is none; None: there is none at all
    exemplars: Sequence[PageExemplar] = ()
    histograms: Sequence[tuple[int, Histogram]] = ()  # (row, histogram), ascending


class PageSource(Protocol):
    """A target in the same process, which is asked for its page rather than for its text."""

    def page(self) -> tuple[Page, int]:
        """The page as of now, and the bytes that its text would have. Cheap: it is called between other work. Its rows are neither histograms
        nor summaries, and have no time of their own."""
        ...


def series_of(layout: PageLayout) -> list[Labels]:
    """The series of each row, in which an empty value is no label. A series may be in several rows. Raises PageError."""
    return [
        labels if all(v for _, v in labels) else tuple((n, v) for n, v in labels if v) for labels in layout.labels_at(range(layout.size))
    ]
