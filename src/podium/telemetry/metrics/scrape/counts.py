"""What scraping counts of itself, under upstream's names.

The distances between scrapes are kept as the last LENGTHS_KEPT_MAX of each interval, of which quantiles are computed when they are asked for.
Source: Prometheus' scrape/metrics.go.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from podium.instrument.exposition import Family, Page
from podium.telemetry.metrics.durations import format_duration

LENGTHS_KEPT_MAX = 1000
_QUANTILES = ("0.01", "0.05", "0.5", "0.9", "0.99")


@dataclass(slots=True)
class _Lengths:
    kept: deque[float] = field(default_factory=lambda: deque(maxlen=LENGTHS_KEPT_MAX))
    count: int = 0
    sum: float = 0.0


@dataclass(slots=True)
class ScrapeCounts:
    """Of all jobs together; `syncs` and `over_target_limit` by job."""

    exceeded_sample_limit: int = 0
    exceeded_bucket_limit: int = 0
    exceeded_body_size: int = 0
    exceeded_label_limits: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0
    syncs: dict[str, int] = field(default_factory=dict)
    over_target_limit: int = 0
    _lengths: dict[int, _Lengths] = field(default_factory=dict)

    def synced(self, job: str) -> None:
        self.syncs[job] = self.syncs.get(job, 0) + 1

    def interval(self, interval_ms: int, length_s: float) -> None:
        """A scrape began that long after the one before."""
        lengths = self._lengths.setdefault(interval_ms, _Lengths())
        lengths.kept.append(length_s)
        lengths.count += 1
        lengths.sum += length_s

    def limit_met(self, message: str) -> None:
        if message.startswith("sample limit"):
            self.exceeded_sample_limit += 1
        elif message.startswith("histogram bucket limit"):
            self.exceeded_bucket_limit += 1
        elif message.startswith("label_"):
            self.exceeded_label_limits += 1

    def families(self) -> list[Family]:
        page = Page()
        for name, text, value in (
            ("scrapes_exceeded_sample_limit_total", "Scrapes that met the sample limit.", self.exceeded_sample_limit),
            ("scrapes_exceeded_native_histogram_bucket_limit_total", "Scrapes that met the limit of buckets.", self.exceeded_bucket_limit),
            ("scrapes_exceeded_body_size_limit_total", "Scrapes that met the limit of the body's size.", self.exceeded_body_size),
            ("scrape_pool_exceeded_label_limits_total", "Scrapes that met a limit of labels.", self.exceeded_label_limits),
            ("scrape_pool_exceeded_target_limit_total", "Times that a job had too many targets.", self.over_target_limit),
            ("scrapes_sample_duplicate_timestamp_total", "Samples dropped: their series had one of that time.", self.duplicates),
            ("scrapes_sample_out_of_order_total", "Samples dropped: older than their series.", self.out_of_order),
            ("scrapes_sample_out_of_bounds_total", "Samples dropped: too old or from the future.", self.out_of_bounds),
        ):
            page.counter(f"prometheus_target_{name}", text, value)
        for job, count in self.syncs.items():
            page.counter("prometheus_target_scrape_pool_sync_total", "Times that targets were synced.", count, (("scrape_job", job),))
        family = page.family("prometheus_target_interval_length_seconds", "summary", "Time between scrapes.")
        for interval_ms, lengths in sorted(self._lengths.items()):
            labels = (("interval", format_duration(interval_ms)),)
            values = np.quantile(np.array(lengths.kept), [float(q) for q in _QUANTILES]).tolist()
            for quantile, value in zip(_QUANTILES, values, strict=True):
                family.samples["", (*labels, ("quantile", quantile))] = value
            family.samples["_sum", labels] = lengths.sum
            family.samples["_count", labels] = lengths.count
        return list(page.families.values())
