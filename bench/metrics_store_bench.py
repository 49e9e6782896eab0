"""What the metrics store costs: append, seal, log, replay, select, bytes a sample, memory. Prints one JSON object.

    python bench/metrics_store_bench.py [--targets 20] [--series 5000] [--scrapes 120] [--backfill-series 10000]

The values of a target are those of a mixed application (a tenth histograms, 40 % counters, the rest gauges, a third of which are noise). CPU time is
of the whole process, the worker's thread too.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.samples import Values
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.real import RealWorld

START_MS = 1_700_000_000_000 // 7_200_000 * 7_200_000
SCRAPE_MS = 5_000


def target_labels(target: int, series: int) -> list[Labels]:
    """Names and labels as an application's: ten buckets a histogram, counters by handler, gauges by item."""
    own = {"instance": f"10.0.0.{target}:8080", "job": "app"}
    found = []
    for k in range(series):
        if k < series // 10:
            name = {
                METRIC_NAME: "rpc_duration_seconds_bucket",
                "service": f"svc{k // 10 % 10}",
                "op": f"op{k // 10}",
                "le": str(2.0 ** (k % 10)),
            }
        elif k < series // 2:
            name = {
                METRIC_NAME: "http_requests_total",
                "handler": f"/api/h{k % 50}",
                "code": str(200 + k % 5),
                "pod": f"web-{target}-{k // 100}",
                "seq": str(k),
            }
        else:
            name = {METRIC_NAME: "app_gauge", "shard": f"s{k % 16}", "item": f"item-{k:05d}", "zone": f"z{k % 3}"}
        found.append(labels_of({**own, **name}))
    return found


class Page:
    """Values of one target, scrape by scrape."""

    def __init__(self, target: int, series: int) -> None:
        self.random = np.random.default_rng(target)
        self.values = self.random.integers(0, 100_000, series).astype(np.float64)
        self.growth = self.random.integers(0, 300, series // 2).astype(np.float64)
        self.kind = np.arange(series - series // 2) % 3

    def next(self) -> Values:
        half = len(self.growth)
        self.values[:half] += self.growth + self.random.integers(0, 5, half)
        gauges = self.values[half:]
        gauges[self.kind == 0] += self.random.normal(size=int((self.kind == 0).sum()))
        gauges[self.kind == 1] += self.random.integers(0, 2, int((self.kind == 1).sum()))
        return self.values.copy()


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def ingest(directory: Path, targets: int, series: int, scrapes: int) -> dict[str, float]:
    """Scrapes in memory first, so that only the store is measured."""
    before = resident_mb()
    store = Tsdb.open(directory, RealWorld())
    started = time.process_time()
    layouts = [store.layout(target_labels(t, series)) for t in range(targets)]
    registered = time.process_time() - started
    pages = [Page(t, series) for t in range(targets)]
    append = background = 0.0
    for k in range(scrapes):
        for t, page in enumerate(pages):
            values = page.next()
            began = time.process_time()
            rejected = store.append(layouts[t], START_MS + k * SCRAPE_MS + t * 7, values)
            append += time.process_time() - began
            assert not rejected
        began = time.process_time()
        await store.synced()
        if k % 3 == 2:
            await lifecycle.maintain(store)
        background += time.process_time() - began
    million = targets * series * scrapes / 1e6
    return {  # not closed: replay starts from what a crash leaves
        "series": targets * series,
        "samples_million": million,
        "register_us_per_series": registered / (targets * series) * 1e6,
        "append_cpu_s_per_million": append / million,
        "write_cpu_s_per_million": background / million,
        "resident_mb": resident_mb(),
        "resident_before_mb": before,
        "log_bytes": sum(p.stat().st_size for p in (directory / "wal").iterdir()),
        "head_bytes_per_sample": sum(p.stat().st_size for p in (directory / "head").iterdir()) / million / 1e6,
        **{f"select_{k}": v for k, v in selects(store, START_MS, START_MS + scrapes * SCRAPE_MS).items()},
    }


def selects(store: Tsdb, start_ms: int, end_ms: int) -> dict[str, float]:
    """Milliseconds of CPU, best of five."""
    name = Matcher(MatchType.EQUAL, METRIC_NAME, "http_requests_total")
    cases = {
        "one_metric_ms": [name],
        "one_handler_ms": [name, Matcher(MatchType.EQUAL, "handler", "/api/h7")],
        "regex_ms": [Matcher(MatchType.REGEXP, METRIC_NAME, "rpc_.+"), Matcher(MatchType.NOT_REGEXP, "service", "svc[0-4]")],
        "one_series_ms": [name, Matcher(MatchType.EQUAL, "seq", "777"), Matcher(MatchType.EQUAL, "instance", "10.0.0.3:8080")],
    }
    found = {}
    for case, matchers in cases.items():
        found[case] = best(lambda matchers=matchers: store.select(matchers, start_ms, end_ms))
        found["match_" + case] = best(lambda matchers=matchers: store.index.matching(matchers))
    found["latest_one_metric_ms"] = best(lambda: store.select([name], end_ms - 300_000, end_ms))
    found["all_series_names_ms"] = best(lambda: store.label_values(METRIC_NAME, [], start_ms, end_ms))
    return found


def best(work: object, runs: int = 5) -> float:
    shortest = 1e9
    for _ in range(runs):
        began = time.process_time()
        work()  # type: ignore[operator]
        shortest = min(shortest, time.process_time() - began)
    return shortest * 1e3


def replay(directory: Path) -> dict[str, float]:
    """Opens what a crash left, in a copy."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        began, cpu = time.perf_counter(), time.process_time()
        store = Tsdb.open(Path(copy), RealWorld())
        taken = {"open_s": time.perf_counter() - began, "open_cpu_s": time.process_time() - cpu, "open_series": store.index.count}
        asyncio.run(store.close())
    return taken


async def replay_log(samples_million: float, series: int) -> dict[str, float]:
    """Opens a log of that many samples with nothing in files."""
    with tempfile.TemporaryDirectory() as name:
        store = Tsdb.open(Path(name), RealWorld(), Options(wal_bytes_max=1 << 40))
        layouts = [store.layout(target_labels(t, series)) for t in range(20)]
        pages = [Page(t, series) for t in range(20)]
        scrapes = int(samples_million * 1e6 / series / 20)
        for k in range(scrapes):
            for t, page in enumerate(pages):
                store.append(layouts[t], START_MS + k * SCRAPE_MS + t * 7, page.next())
            await store.synced()
        assert store.lock is not None
        store.lock.release()
        size = sum(p.stat().st_size for p in (Path(name) / "wal").iterdir())
        del store
        began, cpu = time.perf_counter(), time.process_time()
        again = Tsdb.open(Path(name), RealWorld())
        taken = {
            "replay_s": time.perf_counter() - began,
            "replay_cpu_s": time.process_time() - cpu,
            "replay_million": again.head.samples / 1e6,
        }
        await again.close()
    return {**taken, "log_bytes_per_sample": size / samples_million / 1e6}


async def backfill(directory: Path, series: int, hours: int = 6, step_s: int = 15) -> dict[str, float]:
    """Counters of ../shared/bench/metrics/gen_om.py: 10,000 series x 6 h at 15 s in blocks; then all of them selected."""
    store = Tsdb.open(directory, RealWorld())
    random = np.random.default_rng(1)
    layouts = []
    for group in range(0, series, 5000):
        rows = range(group, min(series, group + 5000))
        layouts.append(
            store.layout(
                [
                    labels_of(
                        {METRIC_NAME: "m", "l": f"l{i % 10}", "i": str(i), "job": "app", "instance": f"10.0.{i // 250}.{i % 250}:8080"}
                    )
                    for i in rows
                ]
            )
        )
    values = random.integers(0, 10**6, series).astype(np.float64)
    growth = random.integers(0, 500, series)
    steps = hours * 3600 // step_s
    for k in range(steps + 1200):  # the last hours stay in the head and go again
        values += growth + random.integers(0, 64, series)
        for n, layout in enumerate(layouts):
            store.append(layout, START_MS + k * step_s * 1000, values[n * 5000 : n * 5000 + layout.size])
        if k % 100 == 99:
            await store.synced()
    began = time.process_time()
    await lifecycle.maintain(store)
    cut = time.process_time() - began
    samples = sum(b.meta.samples for b in store.blocks)
    everything = [Matcher(MatchType.EQUAL, METRIC_NAME, "m")]
    end_ms = START_MS + (steps - 1) * step_s * 1000
    cpu = best(lambda: store.select(everything, START_MS, end_ms))
    wall = min(_wall(lambda: store.select(everything, START_MS, end_ms)) for _ in range(5))
    result = {
        "samples_million": samples / 1e6,
        "blocks": [b.name for b in store.blocks],
        "bytes_per_sample": sum(b.size for b in store.blocks) / samples,
        "cut_cpu_s_per_million": cut / samples * 1e6,
        "select_million": series * steps / 1e6,
        "select_cpu_ms": cpu,
        "select_wall_ms": wall,
        "one_series_ms": best(lambda: store.select([*everything, Matcher(MatchType.EQUAL, "i", "42")], START_MS, end_ms)),
    }
    await store.close()
    return result


def _wall(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--series", type=int, default=5000)
    parser.add_argument("--scrapes", type=int, default=120)
    parser.add_argument("--backfill-series", type=int, default=10_000)
    parser.add_argument("--replay-million", type=float, default=10)
    arguments = parser.parse_args()
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        result["ingest"] = asyncio.run(ingest(Path(name), arguments.targets, arguments.series, arguments.scrapes))
        if arguments.replay_million:
            result["log"] = asyncio.run(replay_log(arguments.replay_million, arguments.series))
    if arguments.backfill_series:
        with tempfile.TemporaryDirectory() as name:
            result["backfill"] = asyncio.run(backfill(Path(name), arguments.backfill_series))
    result["peak_resident_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
