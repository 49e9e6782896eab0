"""Groups at work, under the virtual clock: samples are written at steady times, series that end are marked, state survives."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.promql.results import Point, Result, Vector
from podium.telemetry.metrics.promql.syntax import Expression, VectorSelector
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.evaluation import Server
from podium.telemetry.metrics.rules.rule import AlertingRule
from podium.telemetry.metrics.rules.schedule import GROUPS_AT_ONCE, RuleSchedule, next_slot_ms
from podium.telemetry.metrics.rules.views import RuleViews
from podium.telemetry.metrics.samples import is_stale
from podium.world import virtual
from podium.world.interface import World
from tests.fakes.memory_samples import MemorySamples


class Answers:
    """An engine that knows the value of metrics by name; an exception is raised."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    async def instant(self, query: str | Expression, time_ms: int, **more: Any) -> Result:
        assert isinstance(query, VectorSelector)
        found = self.values.get(query.name, [])
        if isinstance(found, Exception):
            raise found
        return Result(Vector([Point(labels_of({"__name__": query.name, **labels}), time_ms, value) for labels, value in found]))


class Scene:
    def __init__(self, world: World, values: dict[str, Any], storage: MemorySamples) -> None:
        self.world, self.answers, self.storage = world, Answers(values), storage
        self.sent: list[tuple[str, str, int]] = []
        self.schedule = RuleSchedule(Server(self.answers, storage, world, self.notify, interval_ms=10_000))

    def notify(self, rule: AlertingRule, due: Any) -> None:
        self.sent += [(dict(alert.labels)["alertname"], alert.state, until) for alert, until in due]

    def configure(self, text: str) -> None:
        self.schedule.configure(read(text, "f.yml"))

    def values_of(self, name: str, **labels: str) -> list[float | str]:
        """In order of time; "stale" for a marker."""
        points = self.storage.values.get(labels_of({"__name__": name, **labels}), {})
        return ["stale" if is_stale(np.array([v])).item() else v for _, v in sorted(points.items())]


def play(values: dict[str, Any], act: Callable[[Scene], Awaitable[None]], storage: MemorySamples | None = None) -> Scene:
    async def main(world: World) -> Scene:
        scene = Scene(world, values, storage or MemorySamples())
        await act(scene)
        await scene.schedule.stop()
        return scene

    return virtual.run(main)


def group(*rules: str, name: str = "g") -> str:
    return f"groups:\n- name: {name}\n  rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules)


RECORD = "record: 'a:b', expr: m, labels: {x: y}"


def test_a_recording_rule_writes_a_sample_a_round_and_marks_what_ends() -> None:
    values = {"m": [({"i": "1"}, 1.0), ({"i": "2"}, 2.0)]}

    async def act(scene: Scene) -> None:
        scene.configure(group(RECORD))
        await asyncio.sleep(20)
        values["m"].pop()
        await asyncio.sleep(10)

    scene = play(values, act)
    assert scene.values_of("a:b", i="1", x="y") == [1.0, 1.0, 1.0]
    assert scene.values_of("a:b", i="2", x="y") == [2.0, 2.0, "stale"]
    times = sorted(scene.storage.values[labels_of({"__name__": "a:b", "i": "1", "x": "y"})])
    assert {t % 10_000 for t in times} == {next_slot_ms("f.yml;g", 10_000, times[0]) % 10_000}


def test_series_of_a_rule_that_is_taken_away_end_and_those_that_stay_go_on() -> None:
    values = {"m": [({}, 1.0)]}

    async def act(scene: Scene) -> None:
        scene.configure(group(RECORD, "record: 'c:d', expr: m"))
        await asyncio.sleep(20)
        scene.configure(group("record: 'c:d', expr: m"))
        await asyncio.sleep(20)
        scene.configure("groups: []")

    scene = play(values, act)
    assert scene.values_of("a:b", x="y")[-1] == "stale"
    kept = scene.values_of("c:d")
    assert (kept.count("stale"), kept[-1]) == (1, "stale")


def test_an_alert_keeps_its_age_when_its_group_is_configured_anew() -> None:
    rule = "alert: A, expr: m, for: 25s"

    async def act(scene: Scene) -> None:
        scene.configure(group(rule))
        await asyncio.sleep(15)
        scene.configure(group(rule, RECORD))
        await asyncio.sleep(25)

    scene = play({"m": [({}, 1.0)]}, act)
    assert [(name, state) for name, state, _ in scene.sent] == [("A", "firing")]


def test_a_rule_that_fails_is_shown_and_harms_no_other() -> None:
    async def act(scene: Scene) -> None:
        scene.configure(group("record: 'bad', expr: broken", RECORD))
        await asyncio.sleep(15)

    scene = play({"m": [({}, 1.0)], "broken": StorageFailed("disk")}, act)
    [shown] = RuleViews(scene.schedule).groups()
    assert [(r["health"], r.get("lastError", "")) for r in shown["rules"]] == [("err", "disk"), ("ok", "")]
    assert scene.values_of("a:b", x="y")


def test_results_that_become_one_series_are_refused() -> None:
    async def act(scene: Scene) -> None:
        scene.configure(group("record: 'a:b', expr: m, labels: {i: ''}"))
        await asyncio.sleep(15)

    scene = play({"m": [({"i": "1"}, 1.0), ({"i": "2"}, 2.0)]}, act)
    [shown] = RuleViews(scene.schedule).groups()
    assert shown["rules"][0]["lastError"] == "vector contains metrics with the same labelset after applying rule labels"


def test_how_long_an_alert_was_pending_survives_a_restart() -> None:
    """`for: 20m`, up for 10 min, down for 5: fires after 10 minutes more, not 20."""
    storage, rules = MemorySamples(), group("alert: A, expr: m, for: 20m")
    holding: dict[str, Any] = {"m": [({"i": "1"}, 1.0)]}
    fired: list[int] = []

    async def before(scene: Scene) -> None:
        scene.configure(rules)
        await asyncio.sleep(600)

    play(holding, before, storage)
    assert ("ALERTS_FOR_STATE" in {dict(labels)["__name__"] for labels in storage.values}) is True

    async def after(scene: Scene) -> None:
        await asyncio.sleep(900)  # the virtual clock starts where it did before: 10 minutes up, 5 down
        began = scene.world.clock.monotonic()
        scene.configure(rules)
        while not scene.sent:
            await asyncio.sleep(1)
        fired.append(round(scene.world.clock.monotonic() - began))

    play(holding, after, storage)
    assert 590 <= fired[0] <= 640


def test_the_views_are_upstreams() -> None:
    async def act(scene: Scene) -> None:
        scene.configure(group("alert: A, expr: m, labels: {severity: page}, annotations: {s: 'v={{ $value }}'}"))
        await asyncio.sleep(15)
        views = RuleViews(scene.schedule)
        [rule] = views.groups()[0]["rules"]
        assert {k: rule[k] for k in ("state", "name", "query", "duration", "health", "type", "labels")} == {
            "state": "firing", "name": "A", "query": "m", "duration": 0, "health": "ok", "type": "alerting", "labels": {"severity": "page"},
        }  # fmt: skip
        [alert] = views.alerts()
        assert (alert["value"], alert["annotations"], alert["state"]) == ("1.5e+00", {"s": "v=1.5"}, "firing")

    play({"m": [({"i": "1"}, 1.5)]}, act)


def slow(scene: Scene, seconds: float) -> None:
    async def between() -> None:
        await asyncio.sleep(seconds)

    scene.schedule.server = replace(scene.schedule.server, between=between)


def test_rounds_that_are_missed_are_counted_and_left_out() -> None:
    async def act(scene: Scene) -> None:
        slow(scene, 25)
        scene.configure(group(RECORD))
        await asyncio.sleep(120)

    scene = play({"m": [({}, 1.0)]}, act)
    [state] = scene.schedule.groups.values()
    assert state.missed >= 3 and state.iterations > state.missed
    assert state.iterations == state.missed + len(scene.storage.values[labels_of({"__name__": "a:b", "x": "y"})])
    times = sorted(scene.storage.values[labels_of({"__name__": "a:b", "x": "y"})])
    assert all(later - earlier >= 20_000 for earlier, later in itertools.pairwise(times))


def test_few_groups_are_evaluated_at_a_time_and_all_come_to_their_turn() -> None:
    running, most = 0, 0
    counts: list[int] = []

    async def act(scene: Scene) -> None:
        nonlocal most
        inner = scene.answers.instant

        async def instant(*given: Any, **more: Any) -> Result:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0.1)
            finally:
                running -= 1
            return await inner(*given, **more)

        scene.answers.instant = instant  # type: ignore[method-assign]
        texts = [f"- name: g{n}\n  interval: 100ms\n  rules:\n  - {{record: 'r:{n}', expr: m}}\n" for n in range(3 * GROUPS_AT_ONCE)]
        scene.configure("groups:\n" + "".join(texts))
        for groups in (GROUPS_AT_ONCE, 2 * GROUPS_AT_ONCE):
            scene.schedule.allow(groups)
            await asyncio.sleep(5)
            most = 0
            await asyncio.sleep(30)
            counts.append(most)

    scene = play({"m": [({}, 1.0)]}, act)
    assert counts == [GROUPS_AT_ONCE, 2 * GROUPS_AT_ONCE]
    assert all(scene.values_of(f"r:{n}") for n in range(3 * GROUPS_AT_ONCE))
