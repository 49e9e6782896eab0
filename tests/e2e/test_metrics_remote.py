"""Reading from Debian's Prometheus and from one another, and exemplars on their way through three servers.

a target ── scraped by ──► Prometheus ── remote write ──► ours ── remote write ──► a second Prometheus
ours ── remote read ──► Prometheus, and another of ours
"""

import json
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote.messages import encode_version_1
from tests.e2e import metrics_processes as processes
from tests.e2e.metrics_processes import Server, targets

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")]

NOW_MS = int(time.time()) * 1000
SERIES = 40
SAMPLES = 500
STEP_MS = 5_000
PAGE = b"""# TYPE c counter
c_total{i="1"} 7 # {trace_id="abc"} 0.25
# EOF
"""


def write(server: Server) -> None:
    """Counters with gaps and resets (not near zero, where Prometheus 2 and 3 extrapolate differently), a native histogram: the last 42
    minutes."""
    times = [NOW_MS - (SAMPLES - n) * STEP_MS for n in range(SAMPLES)]
    rows: list[Any] = []
    for i in range(SERIES):
        values = [(t, 1e5 + n * i % 700 + 0.1 * i) for n, t in enumerate(times) if (n * (i + 3) + 1) % 17]
        rows.append((labels_of({"__name__": "written_total", "i": str(i), "half": str(i % 2)}), values))
    buckets = [(t, Histogram(2, 3.0 * n, 1.5 * n, 0.001, 1.0 * n, {-1: 1.0 * n, 3: 1.0 * n})) for n, t in enumerate(times, 1)]
    rows.append((labels_of({"__name__": "native"}), buckets))
    for start in range(0, SAMPLES, 100):
        part = [(labels, points[start : start + 100]) for labels, points in rows]
        request = urllib.request.Request(f"{server.url}/api/v1/write", encode_version_1(part), {"Content-Type": "application/x-protobuf"})
        request.add_header("Content-Encoding", "snappy")
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 204


@dataclass(frozen=True)
class Readers:
    prometheus: Server  # has the samples
    near: Server  # ours, reads from it
    far: Server  # ours, reads from `near`'s neighbour that has half of them


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    folder = tmp_path_factory.mktemp("readers")
    flags = ("--web.enable-remote-write-receiver", "--enable-feature=native-histograms")
    with ExitStack() as stack:

        def started(server: Server) -> Server:
            stack.callback(server.stop)
            return server.start()

        prometheus = started(processes.prometheus(folder / "prometheus", {"global": {"external_labels": {"dc": "x"}}}, *flags))
        ours = started(processes.podium(folder / "ours", {"global": {"external_labels": {"dc": "x"}}}, "--remote-write-receiver"))
        write(prometheus)
        write(ours)
        labels = {"global": {"external_labels": {"dc": "x"}}}
        read = {"read_recent": True}
        near = {**labels, "remote_read": [{**read, "name": "p", "url": f"{prometheus.url}/api/v1/read"}]}
        far = {**labels, "remote_read": [{**read, "url": f"{ours.url}/api/v1/read", "required_matchers": {"half": "1"}}]}
        yield Readers(prometheus, started(processes.podium(folder / "near", near)), started(processes.podium(folder / "far", far)))


def answer(server: Server, path: str, **parameters: Any) -> Any:
    body = server.get(f"/api/v1/{path}?" + urllib.parse.urlencode(parameters))
    assert body is not None
    return json.loads(body)


def sample_rows(said: Any) -> list[Any]:
    """Of a matrix, sorted by labels."""
    rows = [(sorted(row["metric"].items()), [(t, float(v)) for t, v in row["values"]]) for row in said["data"]["result"]]
    return sorted(rows)


QUERIES = [
    "written_total",
    "rate(written_total[1m])",
    'sum by (half) (rate(written_total{i=~"1.*"}[30s]))',
    "max_over_time(sum(written_total)[5m:30s])",
    'written_total{half="1"} offset 2m + on (i) written_total @ end()',
    "histogram_count(rate(native[1m]))",
    "histogram_count(native) + histogram_sum(native)",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_over_what_prometheus_has_gives_what_it_gives_there(readers: Readers, query: str) -> None:
    """Windows end between samples: at their borders the two versions of the language differ."""
    parameters = {"query": query, "start": NOW_MS / 1000 - 1201.5, "end": NOW_MS / 1000 - 1.5, "step": 15}
    there, here = answer(readers.prometheus, "query_range", **parameters), answer(readers.near, "query_range", **parameters)
    assert "warnings" not in here
    theirs, ours = sample_rows(there), sample_rows(here)
    assert [labels for labels, _ in ours] == [labels for labels, _ in theirs]
    assert ours
    for (_, own), (labels, other) in zip(ours, theirs, strict=True):
        assert [t for t, _ in own] == [t for t, _ in other], labels
        assert [v for _, v in own] == pytest.approx([v for _, v in other], rel=1e-9, abs=1e-9), labels


def test_a_server_of_ours_reads_from_another_what_its_section_allows(readers: Readers) -> None:
    at = {"time": NOW_MS / 1000 - 1}
    counted = answer(readers.far, "query", query='count(written_total{half="1"})', **at)
    assert counted["data"]["result"][0]["value"][1] == str(SERIES // 2)
    assert answer(readers.far, "query", query="written_total", **at)["data"]["result"] == []


def test_series_are_found_there_too(readers: Readers) -> None:
    found = answer(readers.near, "series", **{"match[]": 'written_total{half="0"}', "start": NOW_MS / 1000 - 1000})
    assert len(found["data"]) == SERIES // 2 and "dc" not in found["data"][0]


def test_a_server_that_is_away_gives_a_warning(readers: Readers) -> None:
    readers.prometheus.kill()
    said = answer(readers.near, "query", query="written_total or vector(1)")
    assert [row["value"][1] for row in said["data"]["result"]] == ["1"]
    assert len(said["warnings"]) == 1 and said["warnings"][0].startswith("remote_read: ")


class Target(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *arguments: object) -> None:
        pass


def test_exemplars_and_metadata_go_through_three_servers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        target = ThreadingHTTPServer(("127.0.0.1", 0), Target)
        stack.callback(target.server_close)
        stack.callback(target.shutdown)
        Thread(target=target.serve_forever, daemon=True).start()

        def started(server: Server) -> Server:
            stack.callback(server.stop)
            return server.start()

        def sending(to: Server) -> list[Any]:
            metadata = {"send_interval": "1s"}
            queue = {"batch_send_deadline": "500ms"}
            return [{"url": f"{to.url}/api/v1/write", "send_exemplars": True, "metadata_config": metadata, "queue_config": queue}]

        flags = ("--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage")
        last = started(processes.prometheus(tmp_path / "last", {}, *flags))
        ours = started(processes.podium(tmp_path / "ours", {"remote_write": sending(last)}, "--remote-write-receiver"))
        scraping = [{"job_name": "t", "scrape_interval": "1s", "static_configs": targets(f"127.0.0.1:{target.server_port}")}]
        started(processes.prometheus(tmp_path / "first", {"scrape_configs": scraping, "remote_write": sending(ours)}, *flags))

        def exemplars(server: Server) -> Any:
            return answer(server, "query_exemplars", query="c_total", start=NOW_MS / 1000 - 600, end=NOW_MS / 1000 + 600)["data"]

        for server in (ours, last):
            [found] = server.eventually(lambda server=server: exemplars(server), "has no exemplars")
            assert found["seriesLabels"]["i"] == "1"
            assert found["exemplars"][0]["labels"] == {"trace_id": "abc"} and float(found["exemplars"][0]["value"]) == 0.25
        about = ours.eventually(
            lambda: answer(ours, "metadata", metric="c_total")["data"] or answer(ours, "metadata", metric="c")["data"], ""
        )
        assert next(iter(about.values()))[0]["type"] == "counter"
