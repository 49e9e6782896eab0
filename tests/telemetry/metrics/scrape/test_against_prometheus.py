"""Debian's Prometheus and we scrape the same target with the same configuration: the same series, the same values, the same errors.

A page that cannot be read to its end has no samples for us, and those before the error for upstream: `scrape_samples_*` of such are left out.
Left out too, for Prometheus 3 changed it: le and quantile that are written otherwise (1 is 1.0), the content type that has to be right, default
ports, names in quotes.
"""

import asyncio
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.discovery.runner import DiscoveryRunner, core_makers
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.samples import is_stale
from podium.telemetry.metrics.scrape.engine import ScrapeEngine
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor

MISSING = "" if shutil.which("prometheus") else "needs Debian's prometheus"
_READY = re.compile(rb"Listening on.*address=127\.0\.0\.1:(\d+)")

TEXT, OPENMETRICS = b"text/plain; version=0.0.4", b"application/openmetrics-text; version=1.0.0"
PAGES: dict[str, tuple[bytes, str]] = {
    "/plain": (TEXT, '# HELP a text\n# TYPE a counter\na{x="1"} 1\na{x="2",job="own",instance=""} 2.5e3\nb NaN\nc +Inf\n\n# comment\nd{e=""} 4\n'),
    "/escapes": (TEXT, 'a{x="q\\"q",y="b\\\\s",z="l\\nl",u="Grüße 10€"} 1\nb {  y = "1"z="2" , } 2\nc{}3\n'),
    "/histogram": (TEXT, '# TYPE h histogram\nh_bucket{le="0.5"} 1\nh_bucket{le="1.0"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4\nh_count 3\n'),
    "/om": (OPENMETRICS, '# TYPE a counter\na_total 1 # {id="1"} 1\na_created 5.5\n# TYPE i info\ni_info{v="1"} 1\n# EOF\n'),
    "/duplicates": (TEXT, "a 1\na 2\nb 3\n"),
    "/garbage": (TEXT, "a 1\n<html>\n"),
    "/noeof": (OPENMETRICS, "a 1\n"),
    "/badvalue": (TEXT, "a one\n"),
    "/many": (TEXT, "".join(f"m{n} {n}\n" for n in range(20))),
}  # fmt: skip

UNREADABLE = ("garbage", "noeof", "badvalue", "labels", "names")

JOBS = """
- {job_name: plain, metrics_path: /plain}
- {job_name: honor, metrics_path: /plain, honor_labels: true}
- {job_name: escapes, metrics_path: /escapes}
- {job_name: histogram, metrics_path: /histogram}
- {job_name: openmetrics, metrics_path: /om}
- {job_name: duplicates, metrics_path: /duplicates}
- {job_name: garbage, metrics_path: /garbage}
- {job_name: noeof, metrics_path: /noeof}
- {job_name: badvalue, metrics_path: /badvalue}
- {job_name: missing, metrics_path: /missing}
- {job_name: samples, metrics_path: /many, sample_limit: 10}
- {job_name: labels, metrics_path: /plain, label_limit: 3}
- {job_name: names, metrics_path: /plain, label_name_length_limit: 4}
- {job_name: body, metrics_path: /many, body_size_limit: 50B}
- job_name: relabelled
  metrics_path: /many
  params: {p: [one, two]}
  relabel_configs:
  - {source_labels: [__param_p, __address__], regex: '(.*);.*', target_label: zone, replacement: 'z-${1}'}
  - {source_labels: [__address__], modulus: 7, action: hashmod, target_label: shard}
  - {action: labelmap, regex: __(scheme)__, replacement: my_$1}
  metric_relabel_configs:
  - {source_labels: [__name__], regex: 'm1.*', action: drop}
  - {source_labels: [__name__], regex: 'm(.)', target_label: digit}
  - {source_labels: [digit], regex: '[0-4]', target_label: half, replacement: low}
  - {action: labeldrop, regex: shard}
- job_name: nothing
  relabel_configs: [{action: drop}]
"""


def configuration(port: int) -> str:
    static = f"  static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{team: t}}}}]\n"
    jobs = re.sub(r"^- \{(.*)\}$", lambda m: "- " + m[1].replace(", ", "\n  "), JOBS.strip(), flags=re.MULTILINE)
    blocks = ["- job_name:" + block.rstrip("\n") + "\n" for block in jobs.split("- job_name:")[1:]]
    return "global: {scrape_interval: 1s, scrape_timeout: 900ms}\nscrape_configs:\n" + "".join(block + static for block in blocks)


def answer(request: HttpRequest, connection: Connection) -> Response:
    page = PAGES.get(request.path)
    return Response(404) if page is None else Response(200, page[1].encode(), ((b"content-type", page[0]),))


@contextmanager
def prometheus(text: str, directory: Path) -> Iterator[int]:
    """Its port."""
    (directory / "prometheus.yml").write_text(text)
    arguments = [
        "--web.listen-address=127.0.0.1:0",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
    ]
    process = subprocess.Popen(["prometheus", *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert process.stderr is not None
        port = 0
        for line in process.stderr:
            if match := _READY.search(line):
                port = int(match[1])
            if b"Server is ready" in line:
                break
        assert port, "prometheus ended before it was ready"
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())["data"]


def comparable(points: dict[Labels, str]) -> dict[Labels, str]:
    """Without what depends on time, or on how far a bad page was read."""
    kept = {}
    for labels, value in points.items():
        name, job = dict(labels)["__name__"], dict(labels)["job"]
        timed = name in ("scrape_duration_seconds", "scrape_series_added")
        if not timed and not (job in UNREADABLE and name.startswith("scrape_samples")):
            kept[labels] = value
    return kept


def kind(error: str) -> str:
    """An error without its wording and addresses."""
    for word in (
        "404",
        "sample limit exceeded",
        "label_limit exceeded",
        "label_name_length_limit exceeded",
        "body size limit exceeded",
        "# EOF",
    ):
        if word in error:
            return word
    return "unreadable" if error else ""


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
async def test_the_same_target_gives_the_same_series_and_errors(tmp_path: Path) -> None:
    server = HttpServer(answer)
    text = configuration(await server.listen("127.0.0.1", 0))
    world, store, supervisor = RealWorld(), MemorySamples(), Supervisor("test")
    engine = ScrapeEngine(store, world)
    read = load(text)
    engine.apply(read.jobs)
    DiscoveryRunner(core_makers(world), supervisor, engine.update).apply({job.job_name: job.discovery for job in read.jobs})
    with prometheus(text, tmp_path) as port:
        await asyncio.sleep(7.5)  # upstream looks for targets every 5 s
        query = quote('{team="t"}')
        answers = await asyncio.to_thread(ask, port, f"/api/v1/query?query={query}")
        targets = await asyncio.to_thread(ask, port, "/api/v1/targets")
    theirs = comparable({labels_of(item["metric"]): item["value"][1] for item in answers["result"]})
    ours = comparable({labels: shown for labels, points in store.values.items() if (shown := _text(points[max(points)]))})
    assert {labels: (float(value), float(theirs.get(labels, "nan"))) for labels, value in ours.items() if labels not in theirs} == {}
    assert theirs.keys() - ours.keys() == set()
    different = {labels: (value, theirs[labels]) for labels, value in ours.items() if repr(float(value)) != repr(float(theirs[labels]))}
    assert different == {}
    our_targets = {job.job: (loop.status.health.value, kind(loop.status.last_error)) for job in engine.targets() for loop in job.active}
    their_targets = {t["scrapePool"]: (t["health"], kind(t["lastError"])) for t in targets["activeTargets"]}
    assert our_targets == their_targets
    assert [dict(d.discovered) for job in engine.targets() for d in job.dropped] == [
        t["discoveredLabels"] for t in targets["droppedTargets"]
    ]
    for job in engine.targets():
        for loop in job.active:
            (same,) = [t for t in targets["activeTargets"] if t["scrapePool"] == job.job]
            assert (dict(loop.target.labels), loop.target.url) == (same["labels"], same["scrapeUrl"])
            assert dict(loop.target.discovered) == same["discoveredLabels"]
    await engine.stop()
    await supervisor.stop()
    await server.close()


def _text(value: object) -> str:
    import numpy as np

    assert isinstance(value, float)
    return "" if is_stale(np.array([value])).item() else str(value)
