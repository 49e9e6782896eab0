"""What scraping costs: CPU per 100,000 samples, for pages whose layout is new, the same, or changed a little, and with the store's part left out.

    python bench/scrape_bench.py [--series 100000]

Prints one JSON object a case. A page has counters, gauges and histograms in the proportions of a busy service. `parse` is reading a page;
`write` is what the target does beside (labels, staleness, the array for the store); `gzip` unpacks the page as it comes from the wire.
"""

import argparse
import gzip
import json
import random
import re
import time
from collections.abc import Callable, Sequence

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.layout import TextLayout
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.outbound.decompression import Body
from podium.telemetry.metrics.samples import Values
from podium.telemetry.metrics.scrape.series import SeriesWriter
from podium.telemetry.metrics.storage import Layout, Rejected

BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
REPEATS = 5


def page(series: int, seed: int, extra: int = 0) -> bytes:
    """Of that many samples, the same for all seeds but for their numbers; `extra` series more, spread over the page."""
    chance = random.Random(seed)
    histograms, counters = series // 100, series * 2 // 5
    gauges = series - counters - histograms * (len(BOUNDS) + 2)
    lines = ["# HELP http_requests_total Requests.", "# TYPE http_requests_total counter"]
    for n in range(counters):
        method, code = ("GET", "POST", "PUT", "DELETE")[n % 4], (200, 201, 400, 404, 500)[n // 4 % 5]
        labels = f'handler="/api/v1/h{n % 50}",method="{method}",code="{code}",pod="web-{n // 100:04d}",seq="{n}"'
        lines.append(f"http_requests_total{{{labels}}} {chance.randint(0, 10**7)}")
    lines += ["# HELP app_gauge A value.", "# TYPE app_gauge gauge"]
    lines += [f'app_gauge{{shard="s{n % 16}",item="item-{n:05d}",zone="z{n % 3}"}} {chance.random() * 1000}' for n in range(gauges)]
    lines += ["# HELP rpc_seconds Durations.", "# TYPE rpc_seconds histogram"]
    for n in range(histograms):
        labels = f'service="svc{n % 10}",op="op{n}"'
        count = 0
        for bound in BOUNDS:
            count += chance.randint(0, 50)
            lines.append(f'rpc_seconds_bucket{{{labels},le="{bound}"}} {count}')
        lines += [f"rpc_seconds_sum{{{labels}}} {chance.random() * count}", f"rpc_seconds_count{{{labels}}} {count}"]
    for n in range(extra):
        lines.insert(2 + n * (len(lines) // (extra + 1)), f'http_requests_total{{extra="{seed}-{n}"}} {n}')
    return ("\n".join(lines) + "\n").encode()


class NoStore(MemorySamples):
    """Takes appends and keeps nothing."""

    def append(self, layout: Layout, time_ms: int, values: Values) -> Rejected:
        return Rejected()


def measure(case: str, samples: int, work: Callable[[], object]) -> None:
    started = time.process_time()
    for _ in range(REPEATS):
        work()
    seconds = (time.process_time() - started) / REPEATS
    print(
        json.dumps(
            {"case": case, "samples": samples, "cpu_ms": round(seconds * 1000, 1), "cpu_ms_per_100k": round(seconds * 1e8 / samples, 1)}
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=100_000)
    series = parser.parse_args(arguments).series
    (job,) = load("scrape_configs: [{job_name: j}]").jobs
    target: Labels = (("instance", "127.0.0.1:9100"), ("job", "j"))
    bodies = [page(series, seed) for seed in (1, 2)]
    changed = [page(series, seed, extra=50) for seed in (3, 4)]
    first = parse_text(bodies[0], TextFormat.PROMETHEUS)
    layout = first.layout
    assert isinstance(layout, TextLayout)
    measure("parse, new layout", series, lambda: parse_text(bodies[0], TextFormat.PROMETHEUS))
    measure("parse, same layout", series, lambda: parse_text(bodies[1], TextFormat.PROMETHEUS, layout))
    measure("parse, 50 series changed", series, lambda: parse_text(changed[0], TextFormat.PROMETHEUS, layout))
    timed = re.sub(rb"(?m)^([^#].*)$", rb"\1 1700000000000", bodies[1])
    measure("parse, same layout, with times", series, lambda: parse_text(timed, TextFormat.PROMETHEUS, layout))
    measure("parse and write, new target", series, lambda: SeriesWriter(NoStore(), job, target).write(first, 1))
    writer = SeriesWriter(NoStore(), job, target)
    writer.write(first, 1)

    def scrape(body: bytes) -> None:
        known = writer.layout
        writer.write(parse_text(body, TextFormat.PROMETHEUS, known if isinstance(known, TextLayout) else None), 2)

    measure("scrape, same layout", series, lambda: scrape(bodies[1]))
    turns = iter(range(10**6))
    measure("scrape, 50 series come and 50 go", series, lambda: scrape(changed[next(turns) % 2]))
    packed = gzip.compress(bodies[0], 6)

    def unpack() -> None:
        body = Body("gzip", 1 << 30)
        for start in range(0, len(packed), 65_536):
            list(body.add(packed[start : start + 65_536]))
        body.whole()

    measure("gzip", series, unpack)


if __name__ == "__main__":
    main()
