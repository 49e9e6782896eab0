"""Jobs, targets and their scrapes under a virtual clock: when, what is reported, what ends."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import numpy as np

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.discovery.groups import TargetGroup
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.layout import TextLayout
from podium.telemetry.metrics.exposition.page import Page
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.outbound.interface import OutboundResponse
from podium.telemetry.metrics.samples import is_stale
from podium.telemetry.metrics.scrape.engine import ScrapeEngine
from podium.telemetry.metrics.scrape.loop import Health
from podium.world import virtual
from podium.world.virtual import VirtualWorld
from tests.fakes.memory_samples import MemorySamples
from tests.telemetry.metrics.scrape.fake_targets import FakeTargets

URL = "http://a:1/metrics"
OWN_URL = "http://own:1/metrics"


def jobs(text: str = "", name: str = "j") -> tuple[ScrapeConfig, ...]:
    lines = "".join(f"  {line}\n" for line in text.split("\n"))
    return load(f"global: {{scrape_interval: 10s}}\nscrape_configs:\n- job_name: {name}\n{lines}").jobs


def groups(*addresses: str, **labels: str) -> dict[str, TargetGroup]:
    return {"s": TargetGroup("s", tuple({"__address__": address} for address in addresses), labels)}


class Source:
    """A target in this process."""

    def __init__(self) -> None:
        self.text, self.asked = "", 0
        self.layout: TextLayout | None = None

    def page(self) -> tuple[Page, int]:
        self.asked += 1
        page = parse_text(self.text.encode(), TextFormat.PROMETHEUS, self.layout)
        assert isinstance(page.layout, TextLayout)
        self.layout = page.layout
        return page, len(self.text)


class Server:
    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.store = MemorySamples()
        self.targets = FakeTargets()
        self.source = Source()
        self.engine = ScrapeEngine(self.store, world, requester=lambda config: self.targets, sources={OWN_URL: self.source})

    def values(self, name: str, **labels: str) -> list[float | str]:
        """Of the one series of that name and labels, in order of time; stale as 'x'."""
        (points,) = (v for s, v in self.store.values.items() if {"__name__": name, **labels}.items() <= dict(s).items())
        return [shown(value) for _, value in sorted(points.items())]

    def times(self, name: str) -> list[int]:
        (points,) = (v for s, v in self.store.values.items() if dict(s)["__name__"] == name)
        return sorted(points)


def shown(value: float | Histogram) -> float | str:
    assert not isinstance(value, Histogram)
    return "x" if is_stale(np.array([value])).item() else value


def run(test: Callable[[Server], Awaitable[None]]) -> None:
    async def main(world: VirtualWorld) -> None:
        server = Server(world)
        try:
            await test(server)
        finally:
            await server.engine.stop()

    virtual.run(main)


def test_a_target_is_scraped_at_every_interval_and_reported() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\nb 2\n"
        server.targets.delay_s = 0.5
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1", zone="z"))
        await asyncio.sleep(35)
        times = server.times("a")
        assert len(times) in (3, 4)
        assert set(np.diff(times).tolist()) == {10_000}
        assert server.values("up", job="j", instance="a:1", zone="z") == [1.0] * len(times)
        assert server.times("up") == times
        assert server.values("scrape_duration_seconds") == [0.5] * len(times)
        assert server.values("scrape_samples_scraped")[0] == server.values("scrape_samples_post_metric_relabeling")[0] == 2
        assert server.values("scrape_series_added") == [2.0] + [0.0] * (len(times) - 1)
        assert server.targets.headers["x-prometheus-scrape-timeout-seconds"] == "10"
        assert server.targets.headers["accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,")
        (job,) = server.engine.targets()
        (loop,) = job.active
        assert (loop.status.health, loop.status.last_error, loop.status.samples) == (Health.UP, "", 2)

    run(test)


def test_targets_spread_over_the_interval_and_stay_where_they_are() -> None:
    moments: list[list[float]] = []

    async def test(server: Server) -> None:
        server.engine.apply(jobs())
        server.engine.update("j", groups(*(f"t{n}:1" for n in range(200))))
        await asyncio.sleep(10.5)
        moments.append([round(time % 10, 3) for time, _ in server.targets.asked])
        counts = np.histogram([time % 10 for time, _ in server.targets.asked], bins=10, range=(0, 10))[0]
        assert counts.min() > 8

    run(test)
    run(test)
    assert moments[0] == moments[1]


FAILURES: dict[str, tuple[object, str]] = {
    "refused": (None, f'Get "{URL}": connection refused'),
    "status": (OutboundResponse(404), "server returned HTTP status 404 Not Found"),
    "no type": (OutboundResponse(200, {}, b"a 1"), "non-compliant scrape target sending blank Content-Type"),
    "other type": (OutboundResponse(200, {"content-type": "text/html"}, b"<a>"), 'received unsupported Content-Type "text/html"'),
    "garbage": ("<html>", 'line 1: expected a valid start token, got "<"'),
    "too large": ("a 1\n" * 1000, "body size limit exceeded"),
    "too many": ("a 1\nb 1\nc 1\nd 1\n", "sample limit exceeded"),
}


def test_a_failed_scrape_is_reported_and_ends_the_series() -> None:
    for page, message in FAILURES.values():

        async def test(server: Server, page: object = page, message: str = message) -> None:
            server.targets.pages[URL] = "a 1\n"
            server.engine.apply(jobs("body_size_limit: 1KB\nsample_limit: 3\nextra_scrape_metrics: true"))
            server.engine.update("j", groups("a:1"))
            await asyncio.sleep(10)
            if page is None:
                del server.targets.pages[URL]
            else:
                server.targets.pages[URL] = page  # type: ignore[assignment]
            await asyncio.sleep(20)
            server.targets.pages[URL] = "a 4\n"
            await asyncio.sleep(10)
            assert server.values("a") == [1.0, "x", 4.0]
            assert server.values("up") == [1.0, 0.0, 0.0, 1.0]
            samples = 4.0 if "too many" in message or message.startswith("sample") else 0.0
            assert server.values("scrape_samples_scraped") == [1.0, samples, samples, 1.0]
            assert server.values("scrape_body_size_bytes")[1] == (-1 if "body" in message else 0)
            assert server.values("scrape_sample_limit") == [3.0] * 4
            (loop,) = server.engine.targets()[0].active
            assert loop.status.health is Health.UP

        run(test)


def test_the_status_of_a_failed_target_says_why() -> None:
    async def test(server: Server) -> None:
        server.engine.apply(jobs("scrape_timeout: 2s"))
        server.engine.update("j", groups("a:1"))
        server.targets.delay_s = 60
        await asyncio.sleep(12)
        (loop,) = server.engine.targets()[0].active
        assert loop.status.last_error == f'Get "{URL}": context deadline exceeded'
        assert (loop.status.health, loop.status.last_duration_s) == (Health.DOWN, 2.0)

    run(test)


def test_an_empty_page_is_a_scrape_without_samples() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(10)
        server.targets.pages[URL] = ""
        await asyncio.sleep(10)
        assert server.values("a") == [1.0, "x"]
        assert server.values("up") == [1.0, 1.0]

    run(test)


def test_the_series_of_a_target_that_is_gone_end_at_its_next_scrape() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(10)
        server.engine.update("j", {})
        assert server.engine.targets()[0].active == []
        await asyncio.sleep(30)
        assert server.values("a") == [1.0, "x"]
        assert np.diff(server.times("a")).tolist() == [10_000]
        assert server.values("up") == [1.0, "x"]

    run(test)


def test_a_target_that_comes_back_in_time_does_not_end() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(10)
        server.engine.update("j", {})
        await asyncio.sleep(1)
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(40)
        assert "x" not in server.values("a")

    run(test)


def test_a_stopped_server_leaves_no_marks() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(10)
        await server.engine.stop()
        await asyncio.sleep(60)
        assert server.values("a") == [1.0]
        assert server.targets.closed == 1

    run(test)


def test_a_reload_restarts_what_changed_only() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply((*jobs(), *jobs(name="k")))
        for name in "jk":
            server.engine.update(name, groups("a:1"))
        loops = [job.active[0] for job in server.engine.targets()]
        await asyncio.sleep(10)
        server.engine.apply((*jobs(), *jobs("scrape_interval: 5s", name="k")))
        now = [job.active[0] for job in server.engine.targets()]
        assert now[0] is loops[0]
        assert now[1] is not loops[1]
        await asyncio.sleep(20)
        assert len(server.values("a", job="k")) > len(server.values("a", job="j"))
        assert "x" not in server.values("a", job="k")
        server.engine.apply(jobs())
        await asyncio.sleep(20)
        assert server.values("a", job="k")[-1] == "x"

    run(test)


def test_too_many_targets_fail_all_scrapes() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply(jobs("target_limit: 1"))
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(10)
        server.engine.update("j", groups("a:1", "b:1"))
        await asyncio.sleep(10)
        assert server.values("up", instance="a:1") == [1.0, 0.0]
        assert server.values("a") == [1.0, "x"]
        errors = {loop.status.last_error for loop in server.engine.targets()[0].active}
        assert errors == {"target_limit exceeded (number of targets: 2, limit: 1)"}

    run(test)


def test_dropped_targets_are_shown_up_to_a_limit() -> None:
    async def test(server: Server) -> None:
        server.engine.apply(jobs("keep_dropped_targets: 2\nrelabel_configs: [{source_labels: [__address__], regex: 'b.*', action: drop}]"))
        server.engine.update("j", groups("a:1", "b1:1", "b2:1", "b3:1"))
        (job,) = server.engine.targets()
        assert [loop.target.url for loop in job.active] == [URL]
        assert [dict(d.discovered)["__address__"] for d in job.dropped] == ["b1:1", "b2:1"]
        assert job.dropped_count == 3

    run(test)


def test_failed_scrapes_are_logged_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "failures.log"

    async def test(server: Server) -> None:
        server.engine.apply(jobs(f"scrape_failure_log_file: {path}"))
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(20)

    run(test)
    lines: list[Mapping[str, str]] = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 2
    expect = ("ERROR", f'Get "{URL}": connection refused', "j", URL)
    assert (lines[0]["level"], lines[0]["msg"], lines[0]["job_name"], lines[0]["target"]) == expect
    assert lines[0]["time"].startswith("2026-01-01T00:00:0")


def test_a_slow_scrape_leaves_ticks_out() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\n"
        server.engine.apply(jobs("scrape_timeout: 10s"))
        server.engine.update("j", groups("a:1"))
        server.targets.delay_s = 9.9
        await asyncio.sleep(50)
        times = [time for time, _ in server.targets.asked]
        assert np.allclose(np.diff(times), 10)
        assert not any(math.isnan(v) for v in server.values("a") if isinstance(v, float))

    run(test)


def test_classic_histograms_are_converted_on_demand() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'
        server.engine.apply(jobs("convert_classic_histograms_to_nhcb: true"))
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(25)
        found = {
            dict(s)["__name__"]: list(points.values())
            for s, points in server.store.values.items()
            if not dict(s)["__name__"].startswith("scrape")
        }
        assert sorted(found) == ["h", "up"]
        assert all(isinstance(value, Histogram) and value.custom_bounds == (1.0,) for value in found["h"])
        assert server.values("scrape_series_added")[1:] == [0.0] * (len(found["h"]) - 1)

    run(test)


def test_scraping_counts_what_it_does() -> None:
    async def test(server: Server) -> None:
        server.targets.pages[URL] = "a 1\na 2\nb 1 99999999999999\nc 1\n"
        server.engine.apply(jobs("sample_limit: 4\nbody_size_limit: 1KB"))
        server.engine.update("j", groups("a:1"))
        await asyncio.sleep(20)
        server.targets.pages[URL] = "a 1\nb 1\nc 1\nd 1\ne 1\n"
        await asyncio.sleep(10)
        server.targets.pages[URL] = "a 1\n" * 1000
        await asyncio.sleep(10)
        found = {family.name.removeprefix("prometheus_target_"): family.samples for family in server.engine.counts.families()}
        totals = {name: samples["", ()] for name, samples in found.items() if ("", ()) in samples}
        assert totals["scrapes_exceeded_sample_limit_total"] == 1
        assert totals["scrapes_exceeded_body_size_limit_total"] == 1
        assert totals["scrapes_sample_duplicate_timestamp_total"] == 2
        assert totals["scrapes_sample_out_of_bounds_total"] == 2
        assert found["scrape_pool_sync_total"] == {("", (("scrape_job", "j"),)): 1}
        assert found["interval_length_seconds"]["", (("interval", "10s"), ("quantile", "0.5"))] == 10
        assert found["interval_length_seconds"]["_count", (("interval", "10s"),)] == 3

    run(test)


def test_an_error_that_nobody_expects_harms_one_target_only() -> None:
    async def test(server: Server) -> None:
        server.targets.pages |= {URL: ZeroDivisionError("boom"), "http://b:1/metrics": "a 1\n"}
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1", "b:1"))
        await asyncio.sleep(25)
        status = {dict(loop.target.labels)["instance"]: loop.status for loop in server.engine.targets()[0].active}
        assert status["a:1"].last_error == "internal error: ZeroDivisionError('boom')"
        assert (status["b:1"].health, status["b:1"].last_error) == (Health.UP, "")
        assert server.values("up", instance="a:1")[:2] == [0.0, 0.0]

    run(test)


def test_a_target_in_this_process_is_asked_directly_and_treated_like_others() -> None:
    async def test(server: Server) -> None:
        server.source.text = "a 1\nb 2\n"
        server.engine.apply(jobs("extra_scrape_metrics: true\nbody_size_limit: 100B"))
        server.engine.update("j", groups("own:1"))
        await asyncio.sleep(10)
        server.source.text = "a 3\nc 4\n"
        await asyncio.sleep(10)
        server.source.text = "a 5\n" + "d" * 100 + " 1\n"
        await asyncio.sleep(10)
        assert server.targets.asked == []
        assert server.source.asked == len(server.times("up"))
        assert server.values("a", job="j", instance="own:1") == [1.0, 3.0, "x"]
        assert (server.values("b"), server.values("c")) == ([2.0, "x"], [4.0, "x"])
        assert server.values("up") == [1.0, 1.0, 0.0]
        assert server.values("scrape_body_size_bytes") == [8.0, 8.0, -1.0]
        assert server.engine.targets()[0].active[0].status.last_error == "body size limit exceeded"

    run(test)


def test_a_huge_new_page_is_read_between_other_work() -> None:
    async def test(server: Server) -> None:
        asked = asyncio.Event()

        def page() -> str:
            asked.set()
            return "".join(f"a{n} {n}\n" for n in range(8_000))

        server.targets.pages[URL] = page
        server.engine.apply(jobs())
        server.engine.update("j", groups("a:1"))
        await asked.wait()
        turns = 0
        while not server.store.values:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 14
        assert server.values("scrape_samples_scraped") == [8_000.0]

    run(test)
