"""What the query engine says of itself, under upstream's names.

Not there: the summary `prometheus_engine_query_duration_seconds`, whose quantiles the histogram of the same times gives better.
"""

from collections.abc import Callable

from podium.instrument.metrics import Registry
from podium.telemetry.metrics.promql.statistics import Statistics

BUCKETS_S = (0.01, 0.1, 1.0, 10.0)


class EngineMetrics:
    def __init__(self, registry: Registry, queries: Callable[[], int], concurrency: int) -> None:
        duration = registry.histogram(
            "prometheus_engine_query_duration_histogram_seconds",
            "The duration of various parts of PromQL query execution.",
            ("slice",),
            BUCKETS_S,
        )
        self._samples = registry.counter(
            "prometheus_engine_query_samples_total", "The total number of samples loaded by all queries."
        ).labels()
        self._slices = {name: duration.labels(name) for name in ("queue_time", "prepare_time", "inner_eval", "result_sort")}
        text = "The current number of queries being executed or waiting."
        registry.read("prometheus_engine_queries", "gauge", text, (), lambda: [((), float(queries()))])
        registry.constant("prometheus_engine_queries_concurrent_max", "The max number of concurrent queries.", value=float(concurrency))

    def observe(self, statistics: Statistics) -> None:
        """Of a query that ended."""
        self._samples.add(statistics.samples_total)
        self._slices["queue_time"].observe(statistics.queue_s)
        self._slices["prepare_time"].observe(statistics.preparation_s)
        self._slices["inner_eval"].observe(statistics.inner_s)
        self._slices["result_sort"].observe(statistics.sort_s)
