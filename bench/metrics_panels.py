"""What panels of a dashboard ask, of one series up to all: how long a server takes for each, and how much of a processor.

    python bench/metrics_panels.py --url http://127.0.0.1:9090 [--pid PID] [--end SECONDS] [--json FILE]

For the series of ../shared/bench/metrics/exporter.py (20 jobs t0..t19 of 5,000 series), over the two minutes before `--end`, step 5 s. Each
is asked ASKED times over one connection, after once for nothing, as by a dashboard that is refreshed; the fastest counts, as the machine may
have others to serve.
"""

import argparse
import http.client
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode, urlparse

ASKED = 8
RANGE_S, STEP_S = 120, 5
INSTANT, RANGE = "query", "query_range"
PANELS = (
    (INSTANT, "up"),
    (INSTANT, 'app_gauge{job="t3",item="item-00042"}'),
    (INSTANT, "sum(rate(http_requests_total[1m]))"),
    (INSTANT, 'topk(5, sum by (handler) (rate(http_requests_total{job="t3"}[1m])))'),
    (RANGE, 'app_gauge{job="t3",item="item-00042"}'),
    (RANGE, 'app_gauge{item="item-00042"}'),
    (RANGE, 'rate(http_requests_total{job="t3",seq="42"}[1m])'),
    (RANGE, 'max_over_time(app_gauge{job="t3",shard="s1"}[1m])'),
    (RANGE, 'sum by (code) (rate(http_requests_total{job="t3"}[1m]))'),
    (
        RANGE,
        'sum(rate(http_requests_total{handler="/api/v1/h7",code="500"}[1m])) / sum(rate(http_requests_total{handler="/api/v1/h7"}[1m]))',
    ),
    (RANGE, 'histogram_quantile(0.99, sum by (le) (rate(rpc_duration_seconds_bucket{service="svc1"}[1m])))'),
    (RANGE, "histogram_quantile(0.9, rate(rpc_duration_seconds_bucket[1m]))"),
    (RANGE, "sum by (handler) (rate(http_requests_total[1m]))"),
    (RANGE, "avg by (zone) (app_gauge)"),
)


@dataclass(frozen=True)
class Panel:
    kind: str
    query: str
    series: int
    ms: float  # the fastest
    cpu_ms: float  # on average


def measured(url: str, pid: int, end: int) -> list[Panel]:
    at = urlparse(url)
    connection = http.client.HTTPConnection(at.hostname or "127.0.0.1", at.port, timeout=120)
    found = []
    for kind, query in PANELS:
        asked = {"query": query, **({"time": end} if kind == INSTANT else {"start": end - RANGE_S, "end": end, "step": STEP_S})}
        path = f"/api/v1/{kind}?{urlencode(asked)}"
        answer = json.loads(_get(connection, path))
        if answer["status"] != "success":
            raise SystemExit(f"{query}: {answer.get('error')}")
        cpu, fastest = cpu_s(pid), float("inf")
        for _ in range(ASKED):
            began = time.perf_counter()
            _get(connection, path)
            fastest = min(fastest, time.perf_counter() - began)
        found.append(Panel(kind, query, len(answer["data"]["result"]), fastest * 1e3, (cpu_s(pid) - cpu) / ASKED * 1e3))
    connection.close()
    return found


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def cpu_s(pid: int) -> float:
    """All its threads, in steps of a hundredth."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--end", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    panels = measured(options.url, options.pid, options.end or int(time.time()))
    for panel in panels:
        print(f"{panel.ms:9.1f} ms {panel.cpu_ms:9.1f} ms of CPU {panel.series:6} series  {panel.kind:12} {panel.query}")
    if options.json:
        options.json.write_text(json.dumps([asdict(p) for p in panels]))


if __name__ == "__main__":
    sys.exit(main())
