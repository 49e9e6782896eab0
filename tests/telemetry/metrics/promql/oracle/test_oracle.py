"""A thousand generated queries, answered by Debian's Prometheus (2.42) and by the engine over the same generated series: equal within 1e-9.

`SEED=n QUERIES=m` in the environment ask others. What differs is printed with the question. Left out, for Prometheus 3 changed what it means:

* samples on the left edge of a range or of the lookback (Prometheus 3's ranges are open on the left): no question has one;
* holt_winters, which is double_exponential_smoothing now: asked under its old name;
* `.` in regular expressions, which matches a newline now; le and quantile labels that are written otherwise (1 is 1.0): no series has such;
* atan2 dropped no metric name; stddev and stdvar of one infinity were 0 and are NaN;
* rates of counters that begin near zero where a window begins in a gap; timestamp() of a selector with both @ and offset;
* a subquery without any step in its range, of what is the same at every step (@): upstream gives one sample from beside the range;
* what the order of additions decides: sums are compensated now, so numbers that cancel leave other residues.
"""

import os
from pathlib import Path

import pytest

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.results import Result
from podium.world.real import RealWorld
from tests.telemetry.metrics.promql.oracle import comparison, queries, series, upstream
from tests.telemetry.metrics.promql.oracle.queries import Question

SEED = int(os.environ.get("SEED", "1"))
QUERIES = int(os.environ.get("QUERIES", "1000"))
SHOWN_MAX = 20


async def answer(engine: Engine, question: Question) -> Result | MetricsError:
    query = question.query.replace("holt_winters", "double_exponential_smoothing")
    try:
        if question.step_s:
            return await engine.range(query, question.start_s * 1000, question.end_s * 1000, question.step_s * 1000)
        return await engine.instant(query, question.start_s * 1000)
    except MetricsError as error:
        return error


@pytest.mark.slow
@pytest.mark.skipif(bool(upstream.MISSING), reason=upstream.MISSING)
async def test_generated_queries_give_what_upstream_gives(tmp_path: Path) -> None:
    samples = series.generate(SEED)
    store = MemorySamples()
    assert not store.append_samples(samples)
    engine = Engine(store, RealWorld(), Options(experimental=True))
    different: list[str] = []
    answered = 0
    with upstream.running(samples, tmp_path) as prometheus:
        for question in queries.generate(SEED, QUERIES):
            theirs = prometheus.ask(question)
            difference = comparison.difference(await answer(engine, question), theirs)
            answered += theirs["status"] == "success" and theirs["data"]["result"] != []
            if difference:
                different.append(f"{question}\n    {difference}")
    shown = "\n".join(different[:SHOWN_MAX])
    assert not different, f"{len(different)} of {QUERIES} differ (SEED={SEED}):\n{shown}"
    assert answered > QUERIES * 0.75, "the questions are not worth asking: hardly any has an answer"
