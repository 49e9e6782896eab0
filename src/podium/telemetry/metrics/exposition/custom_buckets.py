"""Classic histograms as native ones with custom buckets: convert_classic_histograms_to_nhcb.

The buckets, the sum and the count of a classic histogram (by the type of its family) become one native histogram whose bounds are the values of
`le`. Which rows belong together is worked out once a layout. A histogram whose buckets make no sense at a scrape (they fall, or a bound is no
number) is left out of that scrape. A family that has native histograms anyway is not touched.

Source: Prometheus' configuration option of that name; the native histogram specification (schema -53).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from podium.telemetry.metrics.exposition.heads import Keys
from podium.telemetry.metrics.exposition.numbers import parse_number
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageExemplar, PageLayout
from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, Histogram
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.samples import ABSENT, Values
from podium.telemetry.metrics.storage import Metadata

_SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(slots=True)
class _Group:
    """The rows of one classic histogram; `buckets` by bound."""

    labels: Labels
    buckets: dict[float, int] = field(default_factory=dict)
    count: int = -1
    sum: int = -1
    wrong: bool = False

    def rows(self) -> list[int]:
        return [row for row in (*self.buckets.values(), self.count, self.sum) if row >= 0]

    def read(self, values: Values) -> Histogram | None:
        bounds = sorted(self.buckets)
        cumulative = [values[self.buckets[bound]].item() for bound in bounds]
        count = values[self.count].item() if self.count >= 0 else cumulative[-1]
        if bounds[-1] != math.inf:
            bounds.append(math.inf)
            cumulative.append(count)
        own = [after - before for before, after in zip([0.0, *cumulative], cumulative, strict=False)]
        if self.wrong or not all(number >= 0 for number in own):  # NaN is not either
            return None
        total = values[self.sum].item() if self.sum >= 0 else 0.0
        positive = {index: number for index, number in enumerate(own) if number}
        return Histogram(CUSTOM_BUCKETS_SCHEMA, cumulative[-1], total, positive=positive, custom_bounds=tuple(bounds[:-1]))


class ConvertedLayout:
    """Rows of another layout, then one for each histogram that was made."""

    def __init__(self, base: PageLayout, rows: Sequence[int], groups: Sequence[_Group]) -> None:
        self.base = base
        self.rows = rows
        self.groups = groups
        self.size = len(rows) + len(groups)

    @property
    def metadata(self) -> Mapping[str, Metadata]:
        return self.base.metadata

    def row_keys(self) -> Keys:
        made = [hash(("custom buckets", group.labels)) for group in self.groups]
        return np.concatenate([self.base.row_keys()[np.array(self.rows, np.intp)], np.array(made, np.int64)])

    def labels_at(self, rows: Sequence[int], interned: dict[tuple[str, str], tuple[str, str]] | None = None) -> list[Labels]:
        kept = len(self.rows)
        plain = iter(self.base.labels_at([self.rows[row] for row in rows if row < kept], interned))
        return [next(plain) if row < kept else self.groups[row - kept].labels for row in rows]

    def line(self, row: int) -> int:
        return self.base.line(self.rows[row] if row < len(self.rows) else min(self.groups[row - len(self.rows)].rows()))


def base_layout(layout: PageLayout | None) -> PageLayout | None:
    """What the next page is to be compared with when it is read."""
    return layout.base if isinstance(layout, ConvertedLayout) else layout


def with_custom_buckets(page: Page, previous: PageLayout | None, *, classic: bool) -> Page:
    """The page with its classic histograms converted; `classic`: they stay as well. Raises PageError."""
    known = isinstance(previous, ConvertedLayout) and previous.base is page.layout
    layout = previous if isinstance(previous, ConvertedLayout) and known else _converted(page, classic)
    kept = len(layout.rows)
    made = [(kept + number, histogram) for number, group in enumerate(layout.groups) if (histogram := group.read(page.values)) is not None]
    values = np.concatenate([page.values[layout.rows], np.full(len(layout.groups), ABSENT)])
    times = page.times_ms
    if times is not None:
        of_groups = [max(times[row] for row in group.rows()) for group in layout.groups]
        times = np.concatenate([times[layout.rows], np.array(of_groups, np.int64)])
    row_of = {row: position for position, row in enumerate(layout.rows)}
    native = [(row_of[row], histogram) for row, histogram in page.histograms]
    return Page(layout, values, times, _exemplars(page, layout, row_of), [*native, *made])


def _exemplars(page: Page, layout: ConvertedLayout, row_of: Mapping[int, int]) -> list[PageExemplar]:
    """Those of buckets that are gone are their histogram's, if they have a time, which such exemplars need."""
    if not page.exemplars:
        return []
    of_group = {row: len(layout.rows) + number for number, group in enumerate(layout.groups) for row in group.rows()}
    found = []
    for exemplar in page.exemplars:
        row = row_of.get(exemplar.row)
        if row is None and exemplar.time_ms != NO_TIME:
            row = of_group.get(exemplar.row)
        if row is not None:
            found.append(replace(exemplar, row=row))
    return found


def _converted(page: Page, classic: bool) -> ConvertedLayout:
    layout = page.layout
    native = {row for row, _ in page.histograms}
    groups: dict[Labels, _Group] = {}
    taken: set[int] = set()
    all_labels = layout.labels_at(range(layout.size))
    natives = {all_labels[row] for row in native}
    for row, labels in enumerate(all_labels):
        name = next((value for label, value in labels if label == METRIC_NAME), "")
        suffix = next((end for end in _SUFFIXES if name.endswith(end)), "")
        family = name.removesuffix(suffix)
        if not suffix or layout.metadata.get(family, Metadata("unknown")).type != "histogram":
            continue
        own = tuple((n, family if n == METRIC_NAME else v) for n, v in labels if suffix != "_bucket" or n != "le")
        if own in natives:
            continue
        group = groups.setdefault(own, _Group(own))
        _place(group, suffix, row, dict(labels).get("le", ""))
        taken.add(row)
    whole = [group for group in groups.values() if group.buckets]
    used = {row for group in whole for row in group.rows()}
    rows = [row for row in range(layout.size) if classic or row not in (used & taken)]
    return ConvertedLayout(layout, rows, whole)


def _place(group: _Group, suffix: str, row: int, bound: str) -> None:
    if suffix == "_count":
        group.count = row
    elif suffix == "_sum":
        group.sum = row
    elif (number := parse_number(bound.encode())) is None or math.isnan(number):
        group.wrong = True
    else:
        group.buckets.setdefault(number, row)
