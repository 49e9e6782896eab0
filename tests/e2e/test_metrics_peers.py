"""`podium metrics serve` among Debian's Prometheus, Alertmanager, promtool and VictoriaMetrics, each a process of its own.

Prometheus ── scrapes, federates, remote-writes ──► ours ── remote-writes ──► Prometheus, VictoriaMetrics
a second Prometheus ── remote-reads ──► ours             └── alerts ──► Alertmanager
"""

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote.messages import encode_version_1
from tests.e2e import metrics_processes as processes
from tests.e2e.metrics_processes import Server, targets
from tests.e2e.test_envtest import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs Debian's {program}")


@dataclass(frozen=True)
class Peers:
    """Those whose programs are here."""

    ours: Server
    prometheus: Server | None
    reader: Server | None
    alertmanager: Server | None
    victoria_metrics: Server | None


RULES = {
    "groups": [
        {
            "name": "g",
            "rules": [
                {"record": "const:answer", "expr": "vector(42)"},
                {
                    "alert": "Always",
                    "expr": "const:answer > 0",
                    "labels": {"severity": "page"},
                    "annotations": {"summary": "is {{ $value }}"},
                },
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    folder = tmp_path_factory.mktemp("peers")
    (folder / "rules.yml").write_text(json.dumps(RULES))
    port = free_port()
    with ExitStack() as stack:

        def started(server: Server, program: str) -> Server | None:
            if shutil.which(program) is None:
                return None
            stack.callback(server.stop)
            return server.start()

        victoria = started(processes.victoria_metrics(folder / "victoria"), "victoria-metrics")
        receivers = {"receiver": "r", "receivers": [{"name": "r"}]}
        alertmanager = started(
            processes.alertmanager(folder / "am", {"route": {"receiver": "r"}, "receivers": receivers["receivers"]}),
            "prometheus-alertmanager",
        )
        prometheus = started(
            processes.prometheus(
                folder / "prometheus",
                _theirs(f"127.0.0.1:{port}"),
                "--web.enable-remote-write-receiver",
                "--storage.remote.flush-deadline=2s",
            ),
            "prometheus",
        )
        ours = processes.podium(
            folder / "ours", _ours(folder, port, prometheus, victoria, alertmanager), "--remote-write-receiver", port=port
        )
        stack.callback(ours.stop)
        ours.start()
        reading = {"remote_read": [{"url": f"{ours.url}/api/v1/read", "read_recent": True}]}
        yield Peers(ours, prometheus, started(processes.prometheus(folder / "reader", reading), "prometheus"), alertmanager, victoria)


def _ours(folder: Path, port: int, prometheus: Server | None, victoria: Server | None, alertmanager: Server | None) -> Any:
    """Only its own samples go out, and marked: `via`."""
    kept = [
        {"source_labels": ["__name__", "job"], "regex": "const:answer;|process_cpu_seconds_total;self", "action": "keep"},
        {"target_label": "via", "replacement": "write"},
    ]
    queue = {"batch_send_deadline": "500ms"}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "external_labels": {"region": "here"}},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "self", "static_configs": targets(f"127.0.0.1:{port}")}],
        "remote_write": [
            {"url": f"{server.url}/api/v1/write", "write_relabel_configs": kept, "queue_config": queue}
            for server in (prometheus, victoria)
            if server
        ],
        "alerting": {"alertmanagers": [{"static_configs": targets(alertmanager.address)}] if alertmanager else []},
    }


def _theirs(ours: str) -> Any:
    """Scrapes and federates from us, and writes here what it says of us."""
    return {
        "global": {"scrape_interval": "1s", "external_labels": {"origin": "debian"}},
        "scrape_configs": [
            {"job_name": "podium", "static_configs": targets(ours)},
            {
                "job_name": "federate",
                "honor_labels": True,
                "metrics_path": "/federate",
                "params": {"match[]": ['{job="self"}', "const:answer"]},
                "static_configs": targets(ours),
            },
        ],
        "remote_write": [
            {
                "url": f"http://{ours}/api/v1/write",
                "queue_config": {"batch_send_deadline": "500ms"},
                "write_relabel_configs": [{"source_labels": ["job"], "regex": "podium", "action": "keep"}],
            }
        ],
    }


@needs("prometheus")
def test_prometheus_scrapes_our_metrics(peers: Peers) -> None:
    assert peers.prometheus is not None
    assert peers.prometheus.shows('up{job="podium"} == 1')
    assert peers.prometheus.shows('prometheus_tsdb_head_series{job="podium"} > 10')
    assert peers.prometheus.shows('rate(process_cpu_seconds_total{job="podium"}[10s]) > 0')


@needs("prometheus")
def test_prometheus_federates_from_us(peers: Peers) -> None:
    assert peers.prometheus is not None
    [(labels, value)] = peers.prometheus.shows('const:answer{via=""}')
    assert value == 42 and labels["region"] == "here"
    assert peers.prometheus.shows('up{job="federate"} == 1')
    assert {labels["job"] for labels, _ in peers.prometheus.shows('up{region="here"}')} == {"self"}


@needs("prometheus")
def test_prometheus_remote_writes_to_us(peers: Peers) -> None:
    assert peers.prometheus is not None
    peers.ours.shows('count_over_time(prometheus_tsdb_head_series{origin="debian",job="podium"}[1m]) > 8')
    names = {one["__name__"] for one, _ in peers.ours.shows('{origin="debian",job="podium"}')}
    assert {"up", "scrape_samples_scraped", "prometheus_tsdb_head_series"} <= names
    page = peers.prometheus.get("/metrics") or b""
    [failed] = [line for line in page.decode().splitlines() if line.startswith("prometheus_remote_storage_samples_failed_total{")]
    assert failed.endswith(" 0")
    # Everything but what is under way is the same there and here.
    at = time.time() - 5
    same = f'sum_over_time(scrape_duration_seconds{{job="podium",region=""}}[3s] @ {at:.3f})'
    [(_, theirs)] = peers.prometheus.shows(same)
    peers.ours.eventually(lambda: [v for _, v in peers.ours.query(same.replace("region", 'origin="debian",region'))] == [theirs], "differs")


@needs("prometheus")
@pytest.mark.parametrize(
    "query",
    [
        "const:answer",
        'rate(process_cpu_seconds_total{job="self"}[20s])',
        'count({__name__=~"prometheus_.+",job!="podium"})',
        'sum by (region) (up{region="here"})',
    ],
)
def test_prometheus_remote_reads_from_us(peers: Peers, query: str) -> None:
    """The same query at the same time, there over samples from here."""
    assert peers.reader is not None
    peers.ours.shows('count_over_time(process_cpu_seconds_total{job="self"}[1m]) > 3')
    at = f" @ {time.time() - 2:.3f}"
    placed = query.replace("}", "}" + at) if "[" not in query and "{" in query else query.replace("[20s]", f"[20s]{at}")
    placed = placed if at in placed else query + at
    theirs = peers.reader.shows(placed)
    ours = peers.ours.shows(placed.replace('up{region="here"}', 'up{region=""}'))
    assert [value for _, value in theirs] == pytest.approx([value for _, value in ours], rel=1e-9)
    assert all(labels.get("region") == "here" for labels, _ in theirs if labels)


@needs("prometheus")
def test_prometheus_receives_our_remote_write(peers: Peers) -> None:
    assert peers.prometheus is not None
    assert peers.prometheus.shows('const:answer{region="here",via="write"} == 42')
    assert peers.prometheus.shows('rate(process_cpu_seconds_total{job="self",via="write"}[10s]) > 0')


@needs("victoria-metrics")
def test_victoria_metrics_receives_our_remote_write(peers: Peers) -> None:
    assert peers.victoria_metrics is not None
    assert peers.victoria_metrics.shows('const:answer{region="here",via="write"} == 42')
    assert peers.victoria_metrics.shows('rate(process_cpu_seconds_total{job="self",via="write"}[10s]) > 0')


def test_nothing_that_we_sent_was_refused(peers: Peers) -> None:
    if not (peers.prometheus or peers.victoria_metrics):
        pytest.skip("nobody to write to is here")
    sent = peers.ours.shows('prometheus_remote_storage_samples_total{job="self"} > 0')
    assert len(sent) == sum(1 for one in (peers.prometheus, peers.victoria_metrics) if one)
    assert all(value == 0 for _, value in peers.ours.shows('prometheus_remote_storage_samples_failed_total{job="self"}'))


@needs("prometheus-alertmanager")
def test_debian_s_alertmanager_accepts_our_alerts(peers: Peers) -> None:
    assert peers.alertmanager is not None
    [alert] = peers.alertmanager.eventually(lambda: json.loads(peers.alertmanager.get("/api/v2/alerts") or b"[]"), "has no alert")
    assert alert["labels"] == {"alertname": "Always", "region": "here", "severity": "page"}
    assert alert["annotations"] == {"summary": "is 42"} and alert["status"]["state"] == "active"
    assert alert["generatorURL"].startswith(peers.ours.url)
    assert all(value == 0 for _, value in peers.ours.query("prometheus_notifications_errors_total"))


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


UPSTREAM_S_NAME = b"prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total"


@needs("promtool")
def test_promtool_asks_us(peers: Peers) -> None:
    url = peers.ours.url
    peers.ours.shows('count_over_time(up{job="self"}[1m]) > 3')
    assert promtool("query", "instant", url, 'up{job="self"}').startswith('up{instance="127.0.0.1:')
    now = int(time.time())
    ranged = promtool("query", "range", "--step=1s", f"--start={now - 3}", f"--end={now}", "-o", "json", url, "const:answer")
    assert [float(value) for _, value in json.loads(ranged)[0]["values"]][-1] == 42
    assert '__name__="const:answer"' in promtool("query", "series", "--match=const:answer", url)
    assert "self" in promtool("query", "labels", url, "job").split()
    assert promtool("query", "instant", "-o", "json", url, "1 + 1").strip().startswith("[")
    bad = subprocess.run(["promtool", "query", "instant", url, "sum("], capture_output=True, timeout=60, check=False)
    assert bad.returncode != 0 and b"parse error" in bad.stdout + bad.stderr


@needs("promtool")
def test_promtool_finds_our_page_in_order(peers: Peers) -> None:
    """One name is not to the linter's taste, but upstream's own."""
    page = peers.ours.get("/metrics")
    assert page and UPSTREAM_S_NAME in page
    promtool("check", "metrics", stdin=b"".join(line for line in page.splitlines(True) if UPSTREAM_S_NAME not in line))


def _import(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "podium", "metrics", "import-openmetrics", *arguments], capture_output=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return (done.stdout + done.stderr).decode()


@needs("promtool")
@needs("prometheus")
def test_a_backfill_gives_what_promtool_s_gives(tmp_path: Path) -> None:
    end = int(time.time()) // 7200 * 7200
    lines = ["# HELP c Things.\n# TYPE c counter\n"]
    for series in range(5):
        lines += [f'c_total{{i="{series}",t="a\\"b"}} {series * 1000 + k * k} {end - 10_000 + 10 * k}.5\n' for k in range(900)]
    (tmp_path / "om.txt").write_text("".join(lines) + "# TYPE g gauge\n" + f"g NaN {end - 4000}\ng -Inf {end - 3000}\n# EOF\n")
    promtool("tsdb", "create-blocks-from", "openmetrics", "-q", str(tmp_path / "om.txt"), str(tmp_path / "theirs" / "data"))
    assert "4502 samples" in _import(str(tmp_path / "om.txt"), "--data-dir", str(tmp_path / "ours" / "data"))
    ours, theirs = (
        processes.podium(tmp_path / "ours", {}),
        processes.prometheus(tmp_path / "theirs", {}, "--storage.tsdb.retention.time=10y"),
    )
    try:
        answers = [
            sorted((sorted(labels.items()), repr(value)) for labels, value in server.query(query))
            for server in (ours.start(), theirs.start())
            for query in (
                f"count_over_time(c_total[1d] @ {end})",
                f"rate(c_total[1h] @ {end - 2000})",
                f"g @ {end - 3900}",
                f"g @ {end - 2990}",
            )
        ]
    finally:
        ours.stop()
        theirs.stop()
    assert answers[:4] == answers[4:] and all(answers)


def _writes(url: str, writer: int, acknowledged: list[tuple[int, int]], start_ms: int) -> None:
    """A sample a request until the server is gone."""
    for k in range(100_000):
        time_ms = start_ms + k
        body = encode_version_1([(labels_of({"__name__": "written", "writer": str(writer)}), [(time_ms, float(k))])])
        request = urllib.request.Request(
            f"{url}/api/v1/write", body, {"content-type": "application/x-protobuf", "content-encoding": "snappy"}, method="POST"
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 204
        except (OSError, urllib.error.URLError):
            return
        acknowledged.append((time_ms, k))


def test_acknowledged_remote_writes_survive_kill_9(tmp_path: Path) -> None:
    server = processes.podium(tmp_path / "ours", {}, "--remote-write-receiver")
    start_ms = int(time.time() * 1000) - 600_000
    acknowledged: list[list[tuple[int, int]]] = [[] for _ in range(4)]
    try:
        for _ in range(3):
            server.start()
            first = [len(one) for one in acknowledged]
            begun = (
                start_ms + 100_000 * (1 + max((t - start_ms) // 100_000 for one in acknowledged for t, _ in one))
                if any(first)
                else start_ms
            )
            threads = [Thread(target=_writes, args=(server.url, n, acknowledged[n], begun)) for n in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(1.5)
            server.kill()
            for thread in threads:
                thread.join()
            assert all(len(one) > before for one, before in zip(acknowledged, first, strict=True))
        server.start()
        for n, expected in enumerate(acknowledged):
            body = server.get(f"/api/v1/query?query=written%7Bwriter%3D%22{n}%22%7D%5B30m%5D")
            [series] = json.loads(body or b"")["data"]["result"]
            there = {round(t * 1000): float(v) for t, v in series["values"]}
            assert not [pair for pair in expected if there.get(pair[0]) != pair[1]]
    finally:
        server.stop()


def test_a_write_larger_than_other_requests_may_be_is_taken(tmp_path: Path) -> None:
    """Ten megabytes as compressed; beyond what a write may have it is 413."""
    server = processes.podium(tmp_path / "ours", {}, "--remote-write-receiver").start()
    noise = Random(1)
    at_ms = int(time.time() * 1000)
    try:
        for megabytes, status in ((10, 204), (33, 413)):
            rows = [(labels_of({"__name__": "large", "x": noise.randbytes(50_000).hex()}), [(at_ms, 1.0)]) for _ in range(megabytes * 20)]
            body = encode_version_1(rows) if status == 204 else bytes(megabytes << 20)
            request = urllib.request.Request(
                f"{server.url}/api/v1/write", body, {"content-type": "application/x-protobuf", "content-encoding": "snappy"}, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    assert answer.status == status
            except urllib.error.HTTPError as error:
                assert error.code == status
            except OSError:
                assert status == 413  # it says so and does not read on, which a client that still writes may see as a broken pipe
        assert server.query("count(large)") == [({}, 200.0)]
    finally:
        server.stop()
