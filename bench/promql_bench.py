"""What queries cost, over generated series in memory; prints JSON: CPU milliseconds, the least of several runs.

    python bench/promql_bench.py [NAME...]

The store gives `Columns` that are there already, so that what is measured is the engine: matching, windows, functions, aggregation, results.
`labels` are columns of codes, as the store's own.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from podium.telemetry.metrics.labels import LabelColumn, LabelColumns, Matcher
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.statistics import Statistics
from podium.telemetry.metrics.samples import ABSENT, STALE, Columns, Selection
from podium.world.real import RealWorld

RUNS = 7


@dataclass(frozen=True, slots=True)
class Given:
    """A store with one answer to every selector, cut to the time asked for."""

    labels: LabelColumns
    columns: tuple[Columns, ...]

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        cut = []
        for c in self.columns:
            lo, hi = int(np.searchsorted(c.times, start_ms)), int(np.searchsorted(c.times, end_ms, "right"))
            cut.append(Columns(c.rows, c.times[lo:hi], c.values[:, lo:hi], c.dense, c.monotonic))
        return Selection(self.labels, cut)


def labels_of(name: str, count: int, **sizes: int) -> LabelColumns:
    """Each label has so many values, spread over the series; `series` makes them distinct."""
    columns = {"__name__": LabelColumn(np.ones(count, np.int32), ["", name])}
    for label, size in sizes.items():
        codes = (np.arange(count) * size // count + 1 if label == "le" else np.arange(count) % size + 1).astype(np.int32)
        columns[label] = LabelColumn(codes, ["", *(f"{label}-{n}" for n in range(size))])
    columns["series"] = LabelColumn(np.arange(1, count + 1, dtype=np.int32), ["", *(str(n) for n in range(count))])
    return LabelColumns(count, columns)


def counters(series: int, samples: int, interval_ms: int, targets: int = 1, **flags: bool) -> tuple[Columns, ...]:
    chance = np.random.default_rng(7)
    made = []
    for rows in np.array_split(np.arange(series, dtype=np.int32), targets):
        values = np.cumsum(chance.integers(0, 50, (len(rows), samples)), axis=1).astype(np.float64)
        times = np.arange(samples, dtype=np.int64) * interval_ms + int(chance.integers(0, interval_ms))
        made.append(Columns(rows, times, values, **flags))
    return tuple(made)


def with_holes(columns: tuple[Columns, ...], share: float) -> tuple[Columns, ...]:
    chance = np.random.default_rng(8)
    made = []
    for c in columns:
        values = c.values.copy()
        values[chance.random(values.shape) < share] = ABSENT
        values[chance.random(values.shape) < share / 10] = STALE
        made.append(Columns(c.rows, c.times, values))
    return tuple(made)


def histograms(count: int, samples: int, interval_ms: int) -> tuple[LabelColumns, tuple[Columns, ...]]:
    bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
    rows = count * len(bounds)
    chance = np.random.default_rng(9)
    per_bucket = chance.integers(0, 20, (count, len(bounds), samples))
    values = np.cumsum(np.cumsum(per_bucket, axis=1), axis=2).reshape(rows, samples).astype(np.float64)
    columns = {
        "__name__": LabelColumn(np.ones(rows, np.int32), ["", "latency_seconds_bucket"]),
        "le": LabelColumn(np.tile(np.arange(1, len(bounds) + 1, dtype=np.int32), count), ["", *bounds]),
        "handler": LabelColumn(np.repeat(np.arange(1, count + 1, dtype=np.int32), len(bounds)), ["", *(f"/{n}" for n in range(count))]),
    }
    times = np.arange(samples, dtype=np.int64) * interval_ms
    return LabelColumns(rows, columns), (Columns(np.arange(rows, dtype=np.int32), times, values, dense=True),)


def many_names(series: int) -> LabelColumns:
    names = series // 200
    columns = dict(labels_of("x", series, job=20, instance=500).columns)
    columns["__name__"] = LabelColumn((np.arange(series) % names + 1).astype(np.int32), ["", *(f"metric_{n}" for n in range(names))])
    return LabelColumns(series, columns)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    query: str
    store: Given
    start_ms: int
    end_ms: int
    step_ms: int  # 0: an instant query


def cases(wanted: Sequence[str]) -> list[Case]:
    s, m = 1000, 60_000
    wide = labels_of("x_total", 40_000, handler=20, instance=40)
    short = Given(wide, counters(40_000, 40, 5 * s, targets=20))
    tall = labels_of("m_total", 10_000, l=10, instance=100)
    made = [
        Case("rate_40k", "sum by (handler) (rate(x_total[1m]))", short, 60 * s, 200 * s, 5 * s),
        Case(
            "rate_40k_holes", "sum by (handler) (rate(x_total[1m]))", Given(wide, with_holes(short.columns, 0.01)), 60 * s, 200 * s, 5 * s
        ),
    ]
    day = counters(10_000, 1460, 15 * s)
    known = tuple(Columns(c.rows, c.times, c.values, True, True) for c in day)
    for name, columns in (("known", known), ("unknown", day)):
        made.append(Case(f"rate_10k_6h_{name}", "sum by (l) (rate(m_total[5m]))", Given(tall, columns), 5 * m, 365 * m, m))
    made.append(Case("max_10k_6h", "max by (l) (max_over_time(m_total[5m]))", Given(tall, day), 5 * m, 365 * m, m))
    made.append(Case("avg_10k_6h", "avg by (l) (avg_over_time(m_total[5m]))", Given(tall, day), 5 * m, 365 * m, m))
    made.append(Case("instant_10k_6h", "sum by (l) (m_total)", Given(tall, day), 5 * m, 365 * m, m))
    made.append(Case("ratio_10k_6h", "m_total / on(series) m_total", Given(tall, day), 5 * m, 365 * m, m))
    made.append(Case("topk_10k_6h", "topk(5, m_total)", Given(tall, day), 5 * m, 365 * m, m))
    made.append(Case("quantile_10k_6h", "quantile by (l) (0.9, m_total)", Given(tall, day), 5 * m, 365 * m, m))
    made.append(Case("by_instance_10k_6h", "sum by (instance, l) (m_total)", Given(tall, day), 5 * m, 365 * m, m))
    buckets = Given(*histograms(1000, 80, 15 * s))
    by_handler = "histogram_quantile(0.99, rate(latency_seconds_bucket[5m]))"
    made.append(Case("quantile_1k_instant", by_handler, buckets, 15 * m, 15 * m, 0))
    made.append(Case("quantile_1k_range", by_handler, buckets, 5 * m, 20 * m, 30 * s))
    by_sum = "histogram_quantile(0.99, sum by (le) (rate(latency_seconds_bucket[5m])))"
    made.append(Case("quantile_sum_range", by_sum, buckets, 5 * m, 20 * m, 30 * s))
    everything = Given(many_names(100_000), counters(100_000, 8, 15 * s, targets=50))
    made.append(Case("count_100k", 'count({__name__=~".+"})', everything, 2 * m, 2 * m, 0))
    made.append(Case("topk_100k", 'topk(10, count by (__name__)({__name__=~".+"}))', everything, 2 * m, 2 * m, 0))
    lonely = tuple(Columns(np.array([r], np.int32), c.times, c.values[[n]]) for c in short.columns for n, r in enumerate(c.rows.tolist()))
    made.append(Case("rate_40k_lonely", "sum by (handler) (rate(x_total[1m]))", Given(wide, lonely), 60 * s, 200 * s, 5 * s))
    return [c for c in made if not wanted or c.name in wanted]


async def measured(case: Case) -> dict[str, float]:
    engine = Engine(case.store, RealWorld(), Options(samples_max=200_000_000))
    best = float("inf")
    statistics = Statistics()
    for _ in range(RUNS):
        statistics = Statistics()
        before = time.process_time()
        if case.step_ms:
            await engine.range(case.query, case.start_ms, case.end_ms, case.step_ms, statistics=statistics)
        else:
            await engine.instant(case.query, case.start_ms, statistics=statistics)
        best = min(best, time.process_time() - before)
    return {"cpu_ms": round(best * 1000, 2), "samples": statistics.samples_total}


def main() -> None:
    found = {case.name: asyncio.run(measured(case)) for case in cases(sys.argv[1:])}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
