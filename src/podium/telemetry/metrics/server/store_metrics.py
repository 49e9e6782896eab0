"""What the store tells of itself on /metrics, under upstream's names. Source: the metrics of Prometheus' storage."""

from collections.abc import Iterable

from podium.instrument.exposition import Family, Page
from podium.telemetry.metrics.tsdb import status
from podium.telemetry.metrics.tsdb.tsdb import Tsdb


def families(store: Tsdb) -> Iterable[Family]:
    counts, page = status.counts(store), Page()
    head = status.head(store)
    page.counter("prometheus_tsdb_head_samples_appended_total", "Samples appended.", counts["samples_appended"])
    page.gauge("prometheus_tsdb_head_series", "Series in memory.", head["numSeries"])
    page.gauge("prometheus_tsdb_head_chunks", "Chunks that are in no block yet.", head["chunkCount"])
    page.gauge("prometheus_tsdb_head_min_time_seconds", "Time of the oldest sample that is in no block.", head["minTime"] / 1000)
    page.gauge("prometheus_tsdb_head_max_time_seconds", "Time of the newest sample.", head["maxTime"] / 1000)
    page.gauge("prometheus_tsdb_blocks_loaded", "Blocks.", counts["blocks"])
    page.gauge("prometheus_tsdb_storage_blocks_bytes", "Size of the blocks on disk.", counts["block_bytes"])
    page.gauge("prometheus_tsdb_wal_segment_current", "Number of the log segment that is written.", counts["wal_segment"])
    page.gauge("prometheus_tsdb_exemplar_exemplars_in_storage", "Exemplars kept.", counts["exemplars"])
    failures = {name.removeprefix("failures_"): count for name, count in counts.items() if name.startswith("failures_")}
    page.counter("prometheus_tsdb_compactions_failed_total", "Compactions that failed.", failures.pop("compaction", 0.0))
    page.counter("prometheus_tsdb_reloads_failures_total", "Files of the store that could not be read or written.", sum(failures.values()))
    return page.families.values()
