"""What a whole server shows of itself: pools, relabelling, blocks, its own metrics, notifications."""

import asyncio
from random import Random
from typing import Any

import numpy as np
import orjson

from podium.instrument.exposition import Page
from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote.frames import frames
from podium.telemetry.metrics.remote.messages import compress, message
from podium.telemetry.metrics.remote.reading import ReadLimits
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.server.notifications import LISTENERS_MAX, Notifications
from podium.telemetry.metrics.server.self_metrics_json import families_json
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.server.standalone import Standalone
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from podium.world.http_server import HttpServer
from podium.world.interface import World
from podium.world.real import RealWorld
from tests.telemetry.metrics.server.conftest import data, request

CONFIG = b"""
scrape_configs:
- job_name: a
  basic_auth: {username: u, password: hidden-words}
  relabel_configs:
  - {target_label: env, replacement: dev}
  - {source_labels: [__address__], regex: "localhost:.*", action: drop}
  - {target_label: late, replacement: "yes"}
"""


def asked(target: str) -> Any:
    async def main(world: World) -> Any:
        server = MetricsServer(Tsdb.open(None, world, threads=False), world, ServerOptions())
        server.apply(load(CONFIG), [])
        answer = await server.application()(request("GET", target))
        await server.stop()
        return data(answer)

    return virtual.run(main)


def test_a_pool_s_configuration_is_shown_without_its_secrets() -> None:
    shown = asked("/api/v1/scrape_pools/config?scrapePool=a")["yaml"]
    assert "job_name: a" in shown and "scrape_interval: 1m" in shown
    assert "hidden-words" not in shown and "<secret>" in shown


def test_relabelling_is_shown_step_by_step() -> None:
    steps = asked('/api/v1/targets/relabel_steps?scrapePool=a&labels={"__address__":"localhost:9090"}')["steps"]
    assert [(step["keep"], step["output"]) for step in steps] == [
        (True, {"__address__": "localhost:9090", "env": "dev"}),
        (False, {}),
        (False, {}),
    ]
    assert steps[0]["rule"]["target_label"] == "env" and steps[1]["rule"]["action"] == "drop"
    kept = asked('/api/v1/targets/relabel_steps?scrapePool=a&labels={"__address__":"x"}')["steps"]
    assert kept[2]["output"] == {"__address__": "x", "env": "dev", "late": "yes"}


def test_what_can_be_discovered_is_a_feature() -> None:
    assert asked("/api/v1/features")["service_discovery_providers"] == {"dns": True, "file": True, "http": True, "static": True}


def test_blocks_are_listed(tmp_path: Any) -> None:
    async def main(world: World) -> Any:
        store = Tsdb.open(tmp_path, world, Options(window_ms=1000, retention_ms=0), threads=False)
        for second in range(6):
            store.append_samples([Sample((("__name__", "m"),), second * 1000 + i, 1.0) for i in range(3)])
        await store.synced()
        await lifecycle.maintain(store)
        server = MetricsServer(store, world, ServerOptions())
        blocks = data(await server.application()(request("GET", "/api/v1/status/tsdb/blocks")))["blocks"]
        await server.stop()
        await store.close()
        return blocks

    blocks = virtual.run(main)
    assert blocks and [b["minTime"] for b in blocks] == sorted(b["minTime"] for b in blocks)
    first = blocks[0]
    assert first["stats"]["numSeries"] == 1 and first["stats"]["numSamples"] % 3 == 0 and first["stats"]["numChunks"] >= 1
    assert first["compaction"]["level"] >= 1 and first["ulid"] and first["version"] == 1


def test_own_metrics_are_protobuf_s_json() -> None:
    page = Page()
    page.gauge("g", "G.", float("inf"), (("a", "1"),))
    page.counter("c_total", "C.", 2)
    histogram = page.family("h", "histogram", "H.")
    histogram.samples = {
        ("_bucket", (("le", "0.5"),)): 1.0, ("_bucket", (("le", "+Inf"),)): 3.0, ("_sum", ()): 4.5, ("_count", ()): 3.0,
    }  # fmt: skip
    page.family("empty", "gauge", "E.")
    assert families_json(page.families.values()) == [
        {"name": "c_total", "help": "C.", "type": "COUNTER", "metric": [{"label": [], "counter": {"value": 2}}]},
        {"name": "g", "help": "G.", "type": "GAUGE", "metric": [{"label": [{"name": "a", "value": "1"}], "gauge": {"value": "Infinity"}}]},
        {"name": "h", "help": "H.", "type": "HISTOGRAM", "metric": [{"label": [], "histogram": {
            "sampleCount": "3", "sampleSum": 4.5, "bucket": [{"cumulativeCount": "1", "upperBound": 0.5}],
        }}]},
    ]  # fmt: skip


class Listening:
    def __init__(self, *, lags: bool = False) -> None:
        self.events: list[Any] = []
        self.lags = lags

    def __call__(self, event: bytes) -> bool:
        assert event.startswith(b"data: ") and event.endswith(b"\n\n")
        self.events.append(orjson.loads(event[6:]))
        return not self.lags


def test_listeners_hear_what_stands_what_comes_and_what_is_over() -> None:
    async def main(world: World) -> None:
        notifications = Notifications(world.clock)
        notifications.add("one")
        listener, lagging = Listening(), Listening(lags=True)
        assert notifications.listen(listener) and notifications.listen(lagging)
        await asyncio.sleep(5)
        notifications.add("two")
        notifications.remove("one")
        notifications.remove("never there")
        assert [(e["text"], e["active"]) for e in listener.events] == [("one", True), ("two", True), ("one", False)]
        assert [e["text"] for e in lagging.events] == ["one", "two"]
        assert [n["text"] for n in notifications.standing()] == ["two"]
        notifications.leave(listener)
        assert all(notifications.listen(Listening()) for _ in range(LISTENERS_MAX))
        assert not notifications.listen(Listening())

    virtual.run(main)


def test_a_configuration_that_cannot_be_loaded_stands_until_one_is(tmp_path: Any) -> None:
    async def main(world: World) -> list[list[str]]:
        from podium.telemetry.metrics.errors import ConfigurationError
        from podium.telemetry.metrics.server.standalone import Settings

        server = MetricsServer(Tsdb.open(None, world, threads=False), world, ServerOptions())
        path = tmp_path / "prometheus.yml"
        standalone = Standalone(Settings(path, tmp_path, "", 0, ServerOptions(), Options(), {}), server, world)
        found = []
        for text in ("{", "{}"):
            path.write_text(text)
            try:
                await standalone.reload()
            except ConfigurationError:
                pass
            found.append([n["text"] for n in server.notifications.standing()])
        standalone.stop()
        found.append([n["text"] for n in server.notifications.standing()])
        await server.stop()
        return found

    failed, loaded, ending = virtual.run(main)
    assert failed == ["Configuration reload has failed."] and loaded == []
    assert ending == ["Prometheus is shutting down and gracefully stopping all operations."]


async def test_live_notifications_are_streamed_to_whoever_stays() -> None:
    world = RealWorld()
    server = MetricsServer(Tsdb.open(None, world, threads=False), world, ServerOptions())
    server.notifications.add("standing")
    http = HttpServer(server.application().serve)
    port = await http.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/v1/notifications/live HTTP/1.1\r\nhost: x\r\norigin: http://page\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head and b"text/event-stream" in head and b"access-control-allow-origin: *" in head
    assert b'"text":"standing"' in await reader.readuntil(b"}\n\n")
    server.notifications.remove("standing")
    assert b'"active":false' in await reader.readuntil(b"}\n\n")
    writer.close()
    async with asyncio.timeout(5):
        while server.notifications.listeners:
            await asyncio.sleep(0.001)
    await http.close()
    await server.stop()


async def test_a_remote_read_is_streamed_over_http_and_a_reader_that_leaves_frees_its_turn() -> None:
    world = RealWorld()
    store = Tsdb.open(None, world, threads=False)
    server = MetricsServer(store, world, ServerOptions())
    random, series = Random(1), [labels_of({"__name__": "m", "i": str(i)}) for i in range(400)]
    layout, noise = store.layout(series), np.array([random.random() for _ in series])
    for n in range(600):
        store.append(layout, n * 1000, noise + n)
    http = HttpServer(server.application().serve)
    port = await http.listen("127.0.0.1", 0)
    query = {"end_timestamp_ms": 1_000_000, "matchers": [{"name": "__name__", "value": "m"}]}
    body = compress(message("ReadRequest")(queries=[query], accepted_response_types=[1]).SerializeToString())
    asked = b"POST /api/v1/read HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    for _ in range(ReadLimits().reads_max):  # who asks and leaves
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        await writer.drain()
        writer.close()
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    assert b"200 OK" in head and b"application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse" in head
    parts, answer = [], rest
    while size := int(answer[: (end := answer.index(b"\r\n"))], 16):
        parts.append(answer[end + 2 : end + 2 + size])
        answer = answer[end + 4 + size :]
    found = [message("ChunkedReadResponse").FromString(data) for data in frames(b"".join(parts), 1 << 21)]
    assert len(parts) > 10 and len(found) == 400
    assert sum(int.from_bytes(c.data[:2], "big") for f in found for s in f.chunked_series for c in s.chunks) == 400 * 600
    writer.close()
    await http.close()
    await server.stop()
