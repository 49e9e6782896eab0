"""What a request to the query API costs in the server, from parameters to the body, without a network; prints JSON: milliseconds of CPU.

    python bench/metrics_requests_bench.py [--profile TEXT] [--seconds 140] [TEXT...]

A store on disk takes what 20 targets of 5,000 series have in SECONDS scrapes a second apart (the series of metrics_panels.py, the numbers of a
generator); then each panel whose kind and query have one of the TEXTs in them is asked RUNS times, and the fastest counts. `refresh` is a
dashboard of REFRESHED panels, asked one after another. `--profile`: the profile of the panels with that text instead.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from metrics_panels import INSTANT, PANELS, RANGE_S, STEP_S

from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.server.application import Application
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.http_messages import HttpRequest
from podium.world.real import RealWorld

RUNS = 12
TARGETS = 20
BEGAN_MS = 1_700_000_000_000
REFRESHED = 20
VARIANTS = 60
"""Seconds after which numbers begin anew, as those of the exporter do: counters are reset then."""
LES = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "+Inf")


def series_of(target: int, series: int) -> list[Labels]:
    """As exporter.py of ../shared/bench/metrics names them."""
    own = {"job": f"t{target}", "instance": "127.0.0.1:19100"}
    histograms, counters = max(1, series // 100), int(series * 0.4)
    made: list[dict[str, str]] = [
        {
            "__name__": "http_requests_total", "handler": f"/api/v1/h{k % 50}", "method": ("GET", "POST", "PUT", "DELETE")[k % 4],
            "code": str((200, 201, 400, 404, 500)[(k // 4) % 5]), "pod": f"web-{target:02d}-{k // 100:04d}", "seq": str(k),
        }
        for k in range(counters)
    ]  # fmt: skip
    gauges = series - histograms * (len(LES) + 2) - counters
    made += [
        {"__name__": "app_gauge", "shard": f"s{k % 16}", "item": f"item-{k:05d}", "zone": f"z{k % 3}"} for k in range(gauges)
    ]  # fmt: skip
    for k in range(histograms):
        place = {"service": f"svc{k % 10}", "op": f"op{k}"}
        made += [{"__name__": "rpc_duration_seconds_bucket", **place, "le": le} for le in LES]
        made += [{"__name__": f"rpc_duration_seconds_{what}", **place} for what in ("sum", "count")]
    made += [{"__name__": name} for name in ("up", "scrape_duration_seconds", "scrape_samples_scraped")]
    return [labels_of({**labels, **own}) for labels in made]


async def fill(store: Tsdb, seconds: int, series: int = 5000) -> None:
    chance = np.random.default_rng(3)
    layouts = [store.layout(series_of(target, series)) for target in range(TARGETS)]
    histograms, counters = max(1, series // 100), int(series * 0.4)
    gauges = series - histograms * (len(LES) + 2) - counters
    total = chance.integers(0, 100_000, (TARGETS, counters)).astype(float)
    gauge = np.floor(chance.random((TARGETS, gauges)) * 1000)
    buckets = np.zeros((TARGETS, histograms, len(LES)))
    sums = np.zeros((TARGETS, histograms, 1))
    first, state = (total, gauge, buckets, sums), chance.bit_generator.state
    for second in range(seconds):
        if second % VARIANTS == 0:
            total, gauge, buckets, sums = (values.copy() for values in first)
            chance.bit_generator.state = state
        await store.synced()
        total += chance.integers(0, 300, total.shape)
        gauge[:, ::3] += chance.normal(0, 1, gauge[:, ::3].shape)
        gauge[:, 1::3] += (second + np.arange(gauge[:, 1::3].shape[1])) % 2 * 2 - 1
        buckets += chance.integers(0, 9, buckets.shape)
        sums += chance.random(sums.shape)
        risen = np.cumsum(buckets, axis=2)
        rpc = np.concatenate([risen, sums, risen[:, :, -1:]], axis=2).reshape(TARGETS, -1)
        for target, layout in enumerate(layouts):
            own = [1.0, 0.01 + 0.001 * chance.random(), float(series)]
            store.append(
                layout, BEGAN_MS + second * 1000 + target * 50, np.concatenate([total[target], gauge[target], rpc[target], own])
            )  # fmt: skip


def request(kind: str, query: str, end: int) -> HttpRequest:
    asked: dict[str, Any] = {"query": query}
    asked |= {"time": end} if kind == INSTANT else {"start": end - RANGE_S, "end": end, "step": STEP_S}
    path = f"/api/v1/{kind}"
    return HttpRequest("GET", path, f"{path}?{urlencode(asked)}", {name: [str(value)] for name, value in asked.items()}, {}, b"", None)


async def asked(application: Application, kind: str, query: str, end: int) -> Any:
    response = await application(request(kind, query, end))
    if response.status != 200:
        raise SystemExit(f"{query}: {response.body!r}")
    return response


async def profiled(application: Application, chosen: list[tuple[str, str]], end: int) -> None:
    profile = cProfile.Profile()
    for kind, query in chosen:
        await asked(application, kind, query, end)
        profile.enable()
        for _ in range(RUNS):
            await asked(application, kind, query, end)
        profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(45)


async def measured(application: Application, kind: str, query: str, end: int) -> dict[str, Any]:
    body = (await asked(application, kind, query, end)).body
    spent = []
    for _ in range(RUNS):
        began = time.process_time()
        await asked(application, kind, query, end)
        spent.append(time.process_time() - began)
    return {"kind": kind, "query": query, "series": len(json.loads(body)["data"]["result"]), "cpu_ms": round(min(spent) * 1e3, 3)}


async def run(options: argparse.Namespace) -> None:
    chosen = [panel for panel in PANELS if not options.texts or any(text in " ".join(panel) for text in options.texts)]
    with tempfile.TemporaryDirectory(prefix="metrics-requests-") as folder:
        store = Tsdb.open(Path(folder), RealWorld())
        await fill(store, options.seconds)
        server = MetricsServer(store, RealWorld(), ServerOptions(directory=Path(folder)))
        application = server.application()
        end = BEGAN_MS // 1000 + options.seconds - 2
        if options.profile is not None:
            await profiled(application, [p for p in PANELS if options.profile in " ".join(p)], end)
        else:
            found = [await measured(application, kind, query, end) for kind, query in chosen]
            print(json.dumps({"panels": found, "refresh": await refresh(application, end)}, indent=1))
        await store.close()


async def refresh(application: Application, end: int) -> dict[str, float]:
    """Of a dashboard, each time over a range that is STEP_S later: milliseconds of CPU for all its panels together."""
    panels = [
        *(("query_range", f'sum by (code) (rate(http_requests_total{{job="t{n}"}}[1m]))') for n in range(6)),
        *(("query_range", f'app_gauge{{job="t{n}",item="item-00042"}}') for n in range(6)),
        *(("query_range", f'histogram_quantile(0.9, sum by (le) (rate(rpc_duration_seconds_bucket{{service="svc{n}"}}[1m])))') for n in range(4)),
        *(("query", f'count(up{{job="t{n}"}})') for n in range(4)),
    ]  # fmt: skip
    assert len(panels) == REFRESHED
    spent = []
    for back in range(6, -1, -1):
        began = time.process_time()
        for kind, query in panels:
            await asked(application, kind, query, end - back * STEP_S // 5)
        spent.append(time.process_time() - began)
    return {"panels": REFRESHED, "cpu_ms": round(min(spent) * 1e3, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--profile")
    parser.add_argument("--seconds", type=int, default=140)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
