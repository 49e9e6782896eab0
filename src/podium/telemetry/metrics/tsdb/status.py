"""What the store says of itself: the numbers of /api/v1/status/tsdb, and those an operator looks at when memory grows.

Source: Prometheus' HTTP API, "TSDB Stats": head statistics, series by metric, values by label, memory by label, series by label pair.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.growing import NEVER

if TYPE_CHECKING:
    from podium.telemetry.metrics.tsdb.tsdb import Tsdb


def status(store: "Tsdb", limit: int) -> dict[str, Any]:
    """The `limit` largest of each list, largest first, ties by name."""
    values: list[tuple[str, int]] = []
    memory: list[tuple[str, int]] = []
    pairs: list[tuple[str, int]] = []
    by_metric: list[tuple[str, int]] = []
    live = store.index.live()
    for name, table in store.index.tables.items():
        counts = np.bincount(table.column.gather(live), minlength=len(table.values))
        counts[0] = 0
        used = np.flatnonzero(counts)
        values.append((name, len(used)))
        lengths = np.fromiter((len(table.values[code].encode()) for code in used.tolist()), np.int64, len(used))
        memory.append((name, int((lengths * counts[used]).sum())))
        largest = used[np.argsort(-counts[used], kind="stable")][: limit + 1]
        pairs.extend((f"{name}={table.values[code]}", int(counts[code])) for code in largest.tolist())
        if name == METRIC_NAME:
            by_metric = [(table.values[code], int(counts[code])) for code in used.tolist()]
    return {
        "headStats": head(store),
        "seriesCountByMetricName": _largest(by_metric, limit),
        "labelValueCountByLabelName": _largest(values, limit),
        "memoryInBytesByLabelName": _largest(memory, limit),
        "seriesCountByLabelValuePair": _largest(pairs, limit),
    }


def head(store: "Tsdb") -> dict[str, int]:
    """Times are those of samples that are not in blocks; 0 when there is none."""
    windows = [*store.cutting, *store.windows.values()]
    firsts = [c.first_ms for w in windows for c in w.chunks] + [int(g.times[0]) for g in store.head.groups.values() if g.count]
    firsts += [int(w.loose.columns()[1].min()) for w in windows if w.loose.count]
    newest = store.head.newest_ms
    return {
        "numSeries": store.index.count,
        "numLabelPairs": sum(len(t.values) - 1 for t in store.index.tables.values()),
        "chunkCount": sum(len(w.chunks) for w in windows) + sum(1 for g in store.head.groups.values() if g.count),
        "minTime": min(firsts, default=0),
        "maxTime": newest if newest != NEVER else 0,
    }


def blocks(store: "Tsdb") -> list[dict[str, Any]]:
    """Oldest first. Samples of histograms are not told apart."""
    return [
        {
            "ulid": block.meta.uid,
            "minTime": block.meta.start_ms,
            "maxTime": block.meta.end_ms,
            "stats": {
                "numSamples": block.meta.samples,
                "numSeries": block.meta.series,
                "numChunks": len(block.contents.chunks),
                **({"numTombstones": len(block.tombstones)} if block.tombstones else {}),
            },
            "compaction": {"level": block.meta.level, "sources": list(block.meta.sources) or [block.meta.uid]},
            "version": 1,
        }
        for block in sorted(store.blocks, key=lambda b: b.meta.start_ms)
    ]


def counts(store: "Tsdb") -> dict[str, float]:
    """Numbers for metrics, by a name without prefix."""
    journal = store.journal
    return {
        "samples_appended": store.head.samples,
        "series": store.index.count,
        "groups": len(store.head.groups),
        "blocks": len(store.blocks),
        "block_bytes": sum(b.size for b in store.blocks),
        "storage_bytes": lifecycle.size(store),
        "loose_samples": sum(w.loose.count for w in store.windows.values()),
        "wal_segment": journal.ahead.number if journal else 0,
        "wal_pending_bytes": journal.ahead.pending_bytes if journal else 0,
        "exemplars": len(store.ring),
        **{f"failures_{what.replace(' ', '_')}": n for what, n in sorted(store.failures.items())},
    }


def _largest(counted: Iterable[tuple[str, int]], limit: int) -> list[dict[str, Any]]:
    chosen = sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:limit]
    return [{"name": name, "value": value} for name, value in chosen]
