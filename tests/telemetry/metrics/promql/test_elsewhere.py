"""Queries over other servers' samples, too: what they are asked, and what becomes of it when one does not answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.labels import Labels, Matcher, labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.errors import QueryTimeout
from podium.telemetry.metrics.promql.reads import Read
from podium.telemetry.metrics.promql.results import Matrix, Result, Vector
from podium.telemetry.metrics.samples import Sample, Selection
from podium.world import virtual
from podium.world.interface import World

MINUTE = 60_000


def series(**labels: str) -> Labels:
    return labels_of({"__name__": "m", **labels})


def filled(**rows: Sequence[tuple[int, float]]) -> MemorySamples:
    """Samples (minute, value) of m{i=...}."""
    store = MemorySamples()
    for i, points in rows.items():
        store.append_samples([Sample(series(i=i), minute * MINUTE, value) for minute, value in points])
    return store


class Remote:
    """A store that takes a second, or fails for selectors that name one of `broken`."""

    def __init__(self, store: MemorySamples, name: str = "r", broken: Sequence[str] = (), seconds: float = 1.0) -> None:
        self.name, self.store, self.broken, self.seconds = name, store, broken, seconds
        self.reads: list[Read] = []

    async def select(self, read: Read) -> Selection | None:
        self.reads.append(read)
        await asyncio.sleep(self.seconds)
        if any(m.value in self.broken for m in read.matchers):
            raise StorageFailed(f"remote_read: {self.name} is away")
        return self.store.select(read.matchers, read.start_ms, read.end_ms)


def ask(query: str, remotes: Sequence[Remote], local: MemorySamples | None = None, minutes: tuple[int, int] = (10, 10), **more: Any) -> Any:
    """(answer, virtual seconds that it took)."""

    async def main(world: World) -> tuple[Result, float]:
        engine = Engine(local or MemorySamples(), world, Options(experimental=True))
        engine.remotes = remotes
        began = world.clock.monotonic()
        if minutes[0] == minutes[1]:
            result = await engine.instant(query, minutes[0] * MINUTE, **more)
        else:
            result = await engine.range(query, minutes[0] * MINUTE, minutes[1] * MINUTE, MINUTE, **more)
        return result, world.clock.monotonic() - began

    return virtual.run(main)


def shown(result: Result) -> dict[str, Any]:
    """By the label i: a value, or the values at the minutes."""
    match result.value:
        case Vector(points):
            return {dict(p.labels).get("i", ""): p.value for p in points}
        case Matrix(rows):
            return {dict(r.labels).get("i", ""): dict(zip((r.times // MINUTE).tolist(), r.values.tolist(), strict=True)) for r in rows}
    raise AssertionError(result)


def test_samples_of_here_and_elsewhere_are_one_series() -> None:
    local, remote = filled(a=[(6, 6.0), (7, 7.0)], b=[(6, 60.0)]), filled(a=[(1, 1.0), (2, 2.0), (6, 99.0)], c=[(6, 600.0)])
    result, _ = ask("m", [Remote(remote)], local, (1, 7), lookback_ms=MINUTE)
    assert shown(result) == {"a": {1: 1.0, 2: 2.0, 6: 6.0, 7: 7.0}, "b": {6: 60.0}, "c": {6: 600.0}}
    total, _ = ask("sum(count_over_time(m[10m]))", [Remote(remote)], local)
    assert shown(total) == {"": 6.0}


def test_of_several_servers_the_first_one_counts() -> None:
    result, _ = ask("m", [Remote(filled(a=[(10, 1.0)])), Remote(filled(a=[(10, 2.0)], b=[(10, 3.0)]), "s")])
    assert shown(result) == {"a": 1.0, "b": 3.0}


def test_one_that_fails_for_one_selector_gives_nothing_and_a_warning() -> None:
    remotes = [Remote(filled(a=[(10, 1.0)], b=[(10, 2.0)]), broken=["b"]), Remote(filled(a=[(10, 5.0)]), "s")]
    result, _ = ask('m{i="a"} or m{i="b"}', remotes, filled(b=[(10, 7.0)]))
    assert shown(result) == {"a": 5.0, "b": 7.0}
    assert result.warnings == ["remote_read: r is away"]


def test_selectors_are_asked_for_at_once_and_equal_ones_once() -> None:
    remote = Remote(filled(a=[(10, 1.0)]))
    query = 'm{i="a"} + m{i="a"} + sum by (i) (m{i="a"} offset 1m or m)'
    _, seconds = ask(query, [remote, Remote(filled(), "s")])
    assert 1.0 <= seconds < 1.5
    assert len(remote.reads) == 3


def test_at_most_so_many_questions_are_under_way() -> None:
    remote = Remote(filled())
    _, seconds = ask(" or ".join(f'm{{i="{n}"}}' for n in range(25)), [remote])
    assert (len(remote.reads), int(seconds)) == (25, 3)


def test_a_server_that_takes_too_long_ends_the_query_in_time() -> None:
    with pytest.raises(QueryTimeout):
        ask("m", [Remote(filled(), seconds=600.0)], timeout_s=5.0)


def test_a_query_of_here_asks_nobody() -> None:
    remote = Remote(filled(a=[(10, 1.0)]))

    async def main(world: World) -> Result:
        engine = Engine(MemorySamples(), world)
        engine.remotes = [remote]
        return await engine.instant("m", 10 * MINUTE, local=True)

    assert (shown(virtual.run(main)), remote.reads) == ({}, [])


def test_info_reads_info_metrics_from_elsewhere_too() -> None:
    here, there = MemorySamples(), MemorySamples()
    here.append_samples([Sample(labels_of({"__name__": "m", "i": "a", "job": "j", "instance": "x"}), 10 * MINUTE, 1.0)])
    for instance in "xy":
        labels = labels_of({"__name__": "target_info", "job": "j", "instance": instance, "version": f"v-{instance}"})
        there.append_samples([Sample(labels, 10 * MINUTE, 1.0)])
    result, _ = ask("info(m)", [Remote(there)], here)
    assert [dict(p.labels)["version"] for p in result.value.points] == ["v-x"]


HINTED = [
    ("m", ("", 0, (), False)),
    ("rate(m[5m])", ("rate", 5 * MINUTE, (), False)),
    ("sum by (job) (m)", ("sum", 0, ("job",), True)),
    ("sum without (job) (rate(m[1m]))", ("rate", MINUTE, ("job",), False)),
    ("sum(m + 1)", ("", 0, (), False)),
]


@pytest.mark.parametrize(("query", "hints"), HINTED)
def test_servers_are_told_what_is_done_with_the_samples(query: str, hints: tuple[Any, ...]) -> None:
    remote = Remote(filled())
    ask(query, [remote], minutes=(1, 9))
    [read] = remote.reads
    assert (read.hints.function, read.hints.range_ms, read.hints.grouping, read.hints.by) == hints
    assert read.hints.step_ms == MINUTE


QUERIES = [
    "m",
    "m offset 3m + m offset -3m",
    "m @ 120",
    "sum(m @ start()) + m @ end()",
    "rate(m[5m])",
    "rate(m[5m] @ 300 offset 1m)",
    "max_over_time(rate(m[2m])[10m:30s])",
    "max_over_time(sum(m)[10m:1m] @ 240 offset 2m)",
    "avg_over_time(max_over_time(m[3m])[6m:])",
    "avg_over_time(max_over_time(m[1m:10s] offset 1m)[6m:2m])",
    "timestamp(m)",
    "timestamp(m offset 1m) - timestamp(-m)",
    "absent(m) or absent_over_time(m[2m])",
    "topk(scalar(count(m)), m offset 1m)",
    "quantile_over_time(scalar(m @ 60), m[2m])",
    "label_replace(m, 'a', '$1', 'i', '(.*)') and on (i) (m > 1)",
    "info(m, {version=~'.+'})",
    "info(rate(m[2m] offset 1m))",
    "(((m)))",
    "predict_linear(m[5m] @ 300, 60)",
    "rate(m[2m] smoothed)",
    "increase(m[2m] anchored)",
    "m smoothed",
    "time() + vector(1)",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("minutes", [(10, 10), (3, 12)])
def test_what_is_asked_for_ahead_is_what_the_evaluation_selects(
    query: str, minutes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    selected: list[tuple[tuple[Matcher, ...], int, int]] = []

    def noting(method: Any) -> Any:
        def noted(self: Context, key: Any, matchers: Sequence[Matcher], start_ms: int, end_ms: int, **more: Any) -> Any:
            selected.append((tuple(m for m in matchers if m not in more.get("only", ())), start_ms, end_ms))
            return method(self, key, matchers, start_ms, end_ms, **more)

        return noted

    monkeypatch.setattr(Context, "select", noting(Context.select))
    monkeypatch.setattr(Context, "scan", noting(Context.scan))
    local, remote = MemorySamples(), Remote(filled(a=[(9, 1.0)]), seconds=0.0)
    local.append_samples([Sample(series(i="a", job="j", instance="x"), minute * MINUTE, float(minute)) for minute in range(15)])
    ask(query, [remote], local, minutes)
    assert {(r.matchers, r.start_ms, r.end_ms) for r in remote.reads} == set(selected)
