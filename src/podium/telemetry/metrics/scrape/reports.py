"""What is said of every scrape, as series of the target: `up`, how long it took, how many samples.

Source: Prometheus' automatically generated labels and time series; extra_scrape_metrics for the last three.
"""

from dataclasses import dataclass

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.samples import STALE
from podium.telemetry.metrics.storage import Appendable

NAMES = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
EXTRA_NAMES = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")


@dataclass(frozen=True, slots=True)
class Report:
    """Of one scrape; `body_bytes` is -1 when the body was too large."""

    up: bool
    duration_s: float
    samples_scraped: int = 0
    samples_kept: int = 0
    series_added: int = 0
    body_bytes: int = 0


class ReportWriter:
    def __init__(self, storage: Appendable, target: Labels, extra: tuple[float, float] | None) -> None:
        """`extra`: (timeout in seconds, sample limit) when the extra series are wanted."""
        names = NAMES if extra is None else NAMES + EXTRA_NAMES
        series = [tuple(sorted(((METRIC_NAME, name), *((n, v) for n, v in target)))) for name in names]
        self._storage = storage
        self._layout = storage.layout(series)
        self._extra = extra

    def write(self, report: Report, time_ms: int) -> None:
        values = [float(report.up), report.duration_s, report.samples_scraped, report.samples_kept, report.series_added]
        if self._extra is not None:
            values += [*self._extra, report.body_bytes]
        self._storage.append(self._layout, time_ms, np.array(values, np.float64))

    def end(self, time_ms: int) -> None:
        self._storage.append(self._layout, time_ms, np.full(self._layout.size, STALE))
