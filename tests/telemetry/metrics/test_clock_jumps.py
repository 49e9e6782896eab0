"""The wall clock is set back an hour, or forward a day, while targets are scraped and rules evaluated: told, never fatal, over when it is over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.discovery.groups import TargetGroup
from podium.telemetry.metrics.labels import Matcher, MatchType
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.promql.results import Vector
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.evaluation import Server
from podium.telemetry.metrics.rules.schedule import RuleSchedule
from podium.telemetry.metrics.scrape.engine import ScrapeEngine
from podium.telemetry.metrics.scrape.loop import Health, TargetStatus
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from podium.world.virtual import VirtualClock, VirtualWorld
from tests.telemetry.metrics.scrape.fake_targets import FakeTargets

INTERVAL_S = 10
RULES = "groups: [{name: g, interval: 10s, rules: [{record: r, expr: a}, {alert: A, expr: 'a > 0', for: 1h}]}]"
TOLD = "2 of 2 samples were not taken: 2 out of order; the clock here or the target's may have been set back"


class SettableClock(VirtualClock):
    """`set_by_s` is added to the wall clock; the monotonic one does not know."""

    set_by_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.set_by_s)


class Scene:
    def __init__(self, world: VirtualWorld, directory: Path) -> None:
        self.world = world
        self.clock = world._clock = SettableClock(world.loop)
        self.store = Tsdb.open(directory, world, Options(window_ms=600_000), threads=False)
        self.queries = Engine(self.store, world)
        self.targets = FakeTargets()
        self.targets.pages["http://a:1/metrics"] = "a 1\nb 2\n"
        self.scraping = ScrapeEngine(self.store, world, requester=lambda config: self.targets)
        self.scraping.apply(load("scrape_configs: [{job_name: j, scrape_interval: 10s, scrape_timeout: 5s}]").jobs)
        self.scraping.update("j", {"s": TargetGroup("s", ({"__address__": "a:1"},), {})})
        self.rules = RuleSchedule(Server(self.queries, self.store, world, lambda rule, due: None, interval_ms=10_000), restoring=False)
        self.rules.configure(read(RULES, "f.yml"))

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def status(self) -> TargetStatus:
        [job] = self.scraping.targets()
        [loop] = job.active
        return loop.status

    def times(self, name: str) -> list[int]:
        [columns] = self.store.select([Matcher(MatchType.EQUAL, "__name__", name)], 0, 2**60).columns
        return [int(t) for t in columns.times]

    async def answer(self, query: str) -> list[float]:
        value = (await self.queries.instant(query, self.now_ms())).value
        assert isinstance(value, Vector)
        return [float(p.value) for p in value.points]  # type: ignore[arg-type]

    async def close(self) -> None:
        await self.rules.stop()
        await self.scraping.stop()
        await self.store.close()


def play(directory: Path, act: Callable[[Scene], Awaitable[None]]) -> None:
    async def main(world: VirtualWorld) -> None:
        scene = Scene(world, directory)
        await asyncio.sleep(300)
        assert (scene.status().health, scene.status().last_error) == (Health.UP, "")
        await act(scene)
        await scene.close()

    virtual.run(main)


def test_an_hour_back_is_told_on_the_target_and_over_when_the_clock_is_right_again(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        before = scene.times("a")
        asked = len(scene.targets.asked)
        scene.clock.set_by_s = -3600
        await asyncio.sleep(300)
        assert (scene.status().health, scene.status().last_error) == (Health.UP, TOLD)
        assert scene.times("a") == before
        assert 29 <= len(scene.targets.asked) - asked <= 31
        await lifecycle.maintain(scene.store)
        [group] = scene.rules.groups.values()
        assert 0 <= scene.now_ms() - group.evaluated_at_ms <= 1000 * INTERVAL_S  # it does not wait for an hour
        assert all(rule.error.startswith("samples were refused") or not rule.error for rule in group.rules)
        scene.clock.set_by_s = 0
        await asyncio.sleep(60)
        assert (scene.status().health, scene.status().last_error) == (Health.UP, "")
        assert len(scene.times("a")) in range(len(before) + 5, len(before) + 8)
        assert await scene.answer("a") == [1.0] and await scene.answer("r") == [1.0]

    play(tmp_path, act)


def test_a_day_ahead_and_back_again_is_never_fatal(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        before = scene.times("a")
        [group] = scene.rules.groups.values()
        [alert] = group.rules[1].alerts.current()  # type: ignore[union-attr]
        assert alert.state == "pending"
        scene.clock.set_by_s = 86_400
        await asyncio.sleep(60)
        assert (scene.status().health, scene.status().last_error) == (Health.UP, "")
        assert await scene.answer("a") == [1.0] and await scene.answer("r") == [1.0]
        assert scene.times("a")[: len(before)] == before and len(scene.times("a")) > len(before) + 4
        [alert] = group.rules[1].alerts.current()  # type: ignore[union-attr]
        assert alert.state == "pending" and alert.active_at_ms > scene.now_ms() - 61_000  # at first there was no sample of that day
        await lifecycle.maintain(scene.store)
        assert len(scene.store.blocks) >= 1
        assert scene.times("a")[: len(before)] == before  # nothing is too old yet
        scene.clock.set_by_s = 0
        await asyncio.sleep(60)
        assert (scene.status().health, scene.status().last_error) == (Health.UP, TOLD)
        await lifecycle.maintain(scene.store)
        assert await scene.answer("count_over_time(a[5m])") == [pytest.approx(18, abs=2)]  # of the time before

    play(tmp_path, act)
