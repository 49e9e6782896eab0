"""The engine's own business: limits, turns, time, cancellation, statistics, the query log."""

import asyncio
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn

import pytest

from podium.instrument.metrics import Registry
from podium.telemetry.metrics.errors import LimitExceeded, ReadAgain
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql import engine as engine_module
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.errors import EvaluationError, ParseError, QueryCanceled, QueryTimeout, TooManySamples
from podium.telemetry.metrics.promql.label_functions import natural_less
from podium.telemetry.metrics.promql.parser import EVERYTHING, parse
from podium.telemetry.metrics.promql.query_log import ActiveQueries, QueryLogFile
from podium.telemetry.metrics.promql.results import Matrix, Scalar, String, Vector
from podium.telemetry.metrics.promql.statistics import Statistics
from podium.telemetry.metrics.samples import Sample
from podium.world import virtual
from podium.world.virtual import VirtualWorld

MINUTE = 60_000


def store(series: int = 3, samples: int = 20) -> MemorySamples:
    made = MemorySamples()
    for n in range(series):
        labels = (("__name__", "requests_total"), ("job", "api"), ("pod", str(n)))
        made.append_samples([Sample(labels, t * MINUTE, float(t * (n + 1))) for t in range(samples)])
    return made


def engine(world: VirtualWorld, samples: MemorySamples | None = None, **options: object) -> Engine:
    return Engine(samples or store(), world, Options(**options))


def test_an_instant_query_gives_the_type_of_its_expression() -> None:
    async def main(world: VirtualWorld) -> None:
        asked = engine(world)
        assert (await asked.instant("1 + 1", MINUTE)).value == Scalar(MINUTE, 2.0)
        assert (await asked.instant('"a"', MINUTE)).value == String(MINUTE, "a")
        vector = (await asked.instant("requests_total", 2 * MINUTE)).value
        assert isinstance(vector, Vector)
        assert [(p.time_ms, p.value) for p in vector.points] == [(2 * MINUTE, 2.0), (2 * MINUTE, 4.0), (2 * MINUTE, 6.0)]
        matrix = (await asked.instant("requests_total[2m]", 4 * MINUTE)).value
        assert isinstance(matrix, Matrix)
        assert matrix.series[1].times.tolist() == [3 * MINUTE, 4 * MINUTE]
        assert matrix.series[1].values.tolist() == [6.0, 8.0]

    virtual.run(main)


def test_annotations_about_histograms_name_a_metric_only_where_names_are_dropped_at_the_end() -> None:
    async def main(world: VirtualWorld) -> None:
        samples = MemorySamples()
        samples.append_samples([Sample((("__name__", "took"),), 0, Histogram(0, 3.0, math.nan))])
        query, said = "histogram_quantile(0.5, took)", "PromQL info: input to histogram_quantile has NaN observations, result is NaN"
        assert list((await engine(world, samples).instant(query, 0)).infos) == [f"{said} (1:25)"]
        delayed = engine(world, samples, delayed_name_removal=True)
        assert list((await delayed.instant(query, 0)).infos) == [f'{said} for metric name "took" (1:25)']

    virtual.run(main)


def test_a_range_query_gives_a_matrix_sorted_by_labels() -> None:
    async def main(world: VirtualWorld) -> None:
        matrix = (await engine(world).range("-requests_total", 0, 4 * MINUTE, 2 * MINUTE)).value
        assert isinstance(matrix, Matrix)
        assert [s.labels[-1] for s in matrix.series] == [("pod", "0"), ("pod", "1"), ("pod", "2")]
        assert matrix.series[2].values.tolist() == [0.0, -6.0, -12.0]
        scalars = (await engine(world).range("time()", 0, MINUTE, MINUTE)).value
        assert isinstance(scalars, Matrix)
        assert scalars.series[0].values.tolist() == [0.0, 60.0]

    virtual.run(main)


@pytest.mark.parametrize(
    ("query", "error", "text"),
    [
        ("sum(", ParseError, "parse error"),
        ("requests_total[1m]", EvaluationError, 'invalid expression type "range vector" for range query, must be Scalar or instant Vector'),
        ('"a"', EvaluationError, 'invalid expression type "string" for range query, must be Scalar or instant Vector'),
        ("topk(NaN, requests_total)", EvaluationError, "Parameter value is NaN"),
        ("topk(1e30, requests_total)", EvaluationError, "Scalar value 1e+30 overflows int64"),
        ('label_replace(requests_total, "a", "b", "pod", "(")', EvaluationError, "invalid regular expression in label_replace(): ("),
        ('label_replace(requests_total, "pod", "x", "", "")', EvaluationError, "vector cannot contain metrics with the same labelset"),
        (
            "requests_total + on(job) requests_total",
            EvaluationError,
            'found duplicate series for the match group {job="api"} on the right hand-side of the operation: '
            '[{__name__="requests_total", job="api", pod="0"}, {__name__="requests_total", job="api", pod="1"}]'
            ";many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "requests_total + on(job) sum by (job) (requests_total)",
            EvaluationError,
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
    ],
)
def test_errors_are_in_upstreams_words(query: str, error: type[Exception], text: str) -> None:
    async def main(world: VirtualWorld) -> None:
        with pytest.raises(error) as raised:
            await engine(world).range(query, 0, 5 * MINUTE, MINUTE)
        assert text in str(raised.value)

    virtual.run(main)


@pytest.mark.parametrize(
    "query",
    ["requests_total", "rate(requests_total[5m])", "sum_over_time(requests_total[5m:1s])", "vector(1) and on() requests_total"],
)
def test_too_many_samples_are_refused_before_they_are_made(query: str) -> None:
    async def main(world: VirtualWorld) -> None:
        with pytest.raises(TooManySamples) as raised:
            await engine(world, samples_max=20).range(query, 0, 19 * MINUTE, MINUTE)
        assert str(raised.value) == "query processing would load too many samples into memory in query execution"

    virtual.run(main)


def test_samples_of_a_part_are_released_when_it_is_done() -> None:
    async def main(world: VirtualWorld) -> None:
        statistics = Statistics()
        query = " + ".join(["sum(rate(requests_total[5m]))"] * 20)
        await engine(world, samples_max=600).range(query, 0, 19 * MINUTE, MINUTE, statistics=statistics)
        assert 60 <= statistics.samples_peak <= 600

    virtual.run(main)


class Held:
    """A clock whose time a test sets."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world, self.ahead = world, 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        self.ahead += 0.002
        return self.world.clock.monotonic() + self.ahead


class HeldWorld:
    def __init__(self, world: VirtualWorld) -> None:
        self.clock = Held(world)


def test_a_query_that_works_too_long_times_out_in_upstreams_words() -> None:
    async def main(world: VirtualWorld) -> None:
        asked = Engine(store(), HeldWorld(world), Options(timeout_s=0.05))  # type: ignore[arg-type]
        with pytest.raises(QueryTimeout, match=r"^query timed out in expression evaluation$"):
            await asked.instant("+".join(["requests_total"] * 40), MINUTE)

    virtual.run(main)


def test_a_long_query_lets_others_run_and_can_be_cancelled() -> None:
    async def main(world: VirtualWorld) -> None:
        asked = Engine(store(), HeldWorld(world), Options())  # type: ignore[arg-type]
        task = asyncio.ensure_future(asked.instant("+".join(["requests_total"] * 140), MINUTE))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        assert asked.queries_running == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asked.queries_running == 0

    virtual.run(main)


def test_a_closing_engine_ends_its_queries() -> None:
    async def main(world: VirtualWorld) -> None:
        asked = Engine(store(), HeldWorld(world), Options())  # type: ignore[arg-type]
        task = asyncio.ensure_future(asked.instant("+".join(["requests_total"] * 140), MINUTE))
        for _ in range(5):
            await asyncio.sleep(0)
        asked.close()
        with pytest.raises(QueryCanceled, match=r"^query was canceled in expression evaluation$"):
            await task
        with pytest.raises(QueryCanceled):
            await asked.instant("1", MINUTE)

    virtual.run(main)


def test_queries_wait_for_their_turn_and_time_out_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(world: VirtualWorld) -> None:
        asked = engine(world, concurrency=1, timeout_s=3.0)
        await asked._queue.acquire()
        waiting = asyncio.ensure_future(asked.instant("1", MINUTE))
        await asyncio.sleep(1)
        assert asked.queries_waiting == 1
        monkeypatch.setattr(engine_module, "QUEUE_MAX", 1)
        with pytest.raises(LimitExceeded, match="too many queries are waiting"):
            await asked.instant("1", MINUTE)
        with pytest.raises(QueryTimeout, match="query timed out in query queue"):
            await waiting
        assert (await asked.instant("1", MINUTE, queued=False)).value  # as an alert's template asks
        assert (await asked.instant("1", MINUTE, own=True)).value  # as a rule asks
        asked._queue.release()
        assert (await asked.instant("1", MINUTE)).value == Scalar(MINUTE, 1.0)

    virtual.run(main)


def test_statistics_count_samples_by_step() -> None:
    async def main(world: VirtualWorld) -> None:
        statistics = Statistics()
        await engine(world).range("sum(rate(requests_total[2m]))", 0, 3 * MINUTE, MINUTE, statistics=statistics, per_step=True)
        assert statistics.samples_total == 3 * (1 + 2 + 2 + 2)
        said = statistics.to_json(per_step=True)
        assert said["samples"]["totalQueryableSamplesPerStep"] == [[0.0, 3], [60.0, 6], [120.0, 6], [180.0, 6]]
        assert set(said["timings"]) == {
            "evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime",
        }  # fmt: skip

    virtual.run(main)


def test_the_query_log_has_upstreams_fields(tmp_path) -> None:  # type: ignore[no-untyped-def]
    async def main(world: VirtualWorld) -> None:
        asked = engine(world)
        asked.query_log = log = QueryLogFile(tmp_path / "query.log")
        await asked.range("sum(requests_total)", 0, 3 * MINUTE, MINUTE, origin={"httpRequest": {"path": "/api/v1/query_range"}})
        with pytest.raises(ParseError):
            await asked.instant("sum(", 1500)
        log.close()
        first, second = (json.loads(line) for line in (tmp_path / "query.log").read_text().splitlines())
        assert first["params"] == {
            "query": "sum(requests_total)", "start": "1970-01-01T00:00:00.000Z", "end": "1970-01-01T00:03:00.000Z", "step": 60,
        }  # fmt: skip
        assert first["httpRequest"] == {"path": "/api/v1/query_range"}
        assert first["stats"]["samples"]["totalQueryableSamples"] == 12
        assert "error" not in first
        assert second["params"]["end"] == "1970-01-01T00:00:01.500Z"
        assert "parse error" in second["error"]

    virtual.run(main)


def test_queries_that_ran_when_the_process_died_are_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    when = datetime(2026, 1, 1, tzinfo=UTC)
    died = ActiveQueries(tmp_path, 2)
    done = died.add("done", when)
    died.add("a" * 5000 + "é\\", when)
    died.remove(done)
    died.add("up", when)
    assert died.add("one too many", when) == -1
    found: list[dict[str, object]] = []
    again = ActiveQueries(tmp_path, 2, found.extend)
    assert [str(f["query"])[:5] for f in found] == ["up", "aaaaa"]
    again.close()
    (tmp_path / "queries.active").write_bytes(b"[garbage\x00\xff")
    found.clear()
    ActiveQueries(tmp_path, 2, found.extend).close()
    assert found == []


def test_explain_says_what_each_part_gave() -> None:
    async def main(world: VirtualWorld) -> None:
        plan, result = await engine(world).explain("sum by (job) (rate(requests_total[2m])) > 0", 0, 3 * MINUTE, MINUTE)
        assert len(result.value.series) == 1
        assert plan.root is not None
        assert (plan.root.node, plan.root.rows) == ("Binary", 1)
        aggregated = plan.root.children[0]
        assert (aggregated.node, aggregated.rows, aggregated.steps) == ("Aggregation", 1, 4)
        rated = aggregated.children[0]
        assert (rated.text, rated.rows, rated.samples) == ("rate(requests_total[2m])", 3, 21)
        assert (rated.series_read, rated.samples_read, rated.children) == (3, 12, [])
        assert plan.text().splitlines()[2].endswith("  ├─ sum by (job) (rate(requests_total[2m]))")
        assert plan.text().splitlines()[3].endswith("  │  └─ rate(requests_total[2m])  (read 3 series, 12 samples)")
        assert plan.root.to_json()["children"][1]["text"] == "0"

    virtual.run(main)


def test_explain_marks_what_is_evaluated_once() -> None:
    async def main(world: VirtualWorld) -> None:
        plan, _ = await engine(world).explain("requests_total + on () group_left () max(requests_total @ 60)", 0, 3 * MINUTE, MINUTE)
        assert plan.root is not None
        assert [(c.once, c.steps) for c in plan.root.children] == [(False, 4), (True, 4)]
        assert "evaluated once" in plan.text()

    virtual.run(main)


def test_a_tree_is_as_good_as_text() -> None:
    async def main(world: VirtualWorld) -> None:

        result = await engine(world).instant(parse("max(requests_total)"), 2 * MINUTE)
        assert [p.value for p in result.value.points] == [6.0]

    virtual.run(main)


@pytest.mark.parametrize("nest", ["sum({})", "-({})", "{} + 1", "last_over_time({}[1m:1m])", "label_replace({}, 'a', '', 'b', '')"])
def test_the_deepest_query_that_parses_is_evaluated(nest: str) -> None:
    async def main(world: VirtualWorld) -> None:
        query, deepest = "requests_total", ""
        with pytest.raises(ParseError, match="nested too deeply"):
            while True:
                parse(query, EVERYTHING)
                query, deepest = nest.format(query), query
        assert (await engine(world).instant(deepest, 2 * MINUTE)).value.points

    virtual.run(main)


def test_annotations_say_where_in_the_source_of_a_tree_they_are() -> None:
    async def main(world: VirtualWorld) -> None:
        text = "sum(\n  quantile_over_time(2, requests_total[2m]))"
        asked = engine(world)
        expected = ["PromQL warning: quantile value should be between 0 and 1, got 2 (2:22)"]
        assert (await asked.instant(text, 2 * MINUTE)).warnings == expected
        assert (await asked.instant(parse(text), 2 * MINUTE, source=text)).warnings == expected
        assert (await asked.instant(parse(text), 2 * MINUTE)).warnings == [expected[0].removesuffix(" (2:22)")]

    virtual.run(main)


def test_a_store_that_would_read_too_much_is_the_query_s_limit() -> None:
    class Refusing(MemorySamples):
        def select(self, matchers, start_ms, end_ms):  # type: ignore[no-untyped-def]
            raise LimitExceeded("select_cells_max", "too many cells")

    async def main(world: VirtualWorld) -> None:
        with pytest.raises(TooManySamples):
            await engine(world, Refusing()).instant("requests_total", MINUTE)

    virtual.run(main)


@pytest.mark.parametrize("query", ["requests_total", "rate(requests_total[1m])", "timestamp(requests_total)"])
def test_what_turns_out_to_be_damaged_is_asked_for_again(query: str) -> None:
    class Damaged(MemorySamples):
        scans = 0

        def scan(self, matchers, start_ms, end_ms):  # type: ignore[no-untyped-def]
            def fails(*_: object) -> NoReturn:
                raise ReadAgain("set aside")

            self.scans += 1
            found = MemorySamples.scan(self, matchers, start_ms, end_ms)
            return replace(found, each=fails) if self.scans == 1 else found

    async def main(world: VirtualWorld) -> None:
        damaged, whole = Damaged(), MemorySamples()
        for store in (damaged, whole):
            store.append_samples([Sample((("__name__", "requests_total"),), t, t / 1000) for t in (0, 30_000, MINUTE)])
        expected = await engine(world, whole).instant(query, MINUTE)
        assert (await engine(world, damaged).instant(query, MINUTE)).value == expected.value and damaged.scans == 2

    virtual.run(main)


def test_the_engine_counts_under_upstreams_names() -> None:
    async def main(world: VirtualWorld) -> None:
        registry = Registry()
        asked = engine(world)
        asked.measure(registry)
        await asked.instant("requests_total", MINUTE)
        text = registry.exposition().decode()
        assert "prometheus_engine_query_samples_total 3" in text
        assert 'prometheus_engine_query_duration_histogram_seconds_count{slice="inner_eval"} 1' in text
        assert "prometheus_engine_queries 0" in text
        assert "prometheus_engine_queries_concurrent_max 20" in text

    virtual.run(main)


def nested(function: str, levels: int) -> str:
    query = "requests_total"
    for _ in range(levels):
        query = function.format(query)
    return query


@pytest.mark.parametrize(
    "query",
    [
        nested('label_replace({}, "x", "a$1$1$1$1$1$1$1$1$1$1", "x", "(.*)")', 20),
        nested('label_join({}, "job", "-", "job", "job", "job", "job", "job", "job", "job", "job")', 20),
        'label_replace(requests_total, "x", "' + "$1" * 100_000 + '", "job", "(.*)")',
    ],
    ids=["label_replace", "label_join", "long"],
)
def test_labels_that_a_query_makes_are_bounded(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.telemetry.metrics.promql.context.LABEL_CHARACTERS_MAX", 100_000)

    async def main(world: VirtualWorld) -> None:
        with pytest.raises(LimitExceeded, match="characters of label values"):
            await engine(world).instant(query, 2 * MINUTE)

    virtual.run(main)


@pytest.mark.parametrize(("left", "right"), [("a2", "a10"), ("a" + "1" * 5_000, "a" + "2" * 5_000), ("a01", "a1"), ("²", "³"), ("a", "a1")])
def test_natural_order_takes_numbers_of_any_length(left: str, right: str) -> None:
    assert natural_less(left, right) is (left != "a01")
    assert natural_less(right, left) is (left == "a01")
