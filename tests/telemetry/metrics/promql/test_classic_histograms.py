"""Random classic histograms, with buckets that come and go, fall, have the same bound twice: against plain Python."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.results import Matrix
from podium.telemetry.metrics.samples import Sample
from podium.world.real import RealWorld
from tests.telemetry.metrics.promql import naive

STEPS, STEP_MS = 4, 60_000
BOUNDS = ["-2", "-0.5", "0", "0.5", "1", "1.0", "2", "3e0", "+Inf"]
ASKED = [
    *((f"histogram_quantile({q}, h_bucket)", ("quantile", float(q))) for q in ("-1", "0", "0.3", "0.5", "0.99", "1", "2", "NaN")),
    *(
        (f"histogram_fraction({low}, {high}, h_bucket)", ("fraction", float(low), float(high)))
        for low, high in (
            ("-Inf", "0.7"),
            ("-1", "0.2"),
            ("0.1", "1"),
            ("0", "+Inf"),
            ("2", "1"),
            ("-Inf", "+Inf"),
            ("NaN", "1"),
            ("2.5", "9"),
        )
    ),
]
Histogram = dict[str, list[float | None]]  # by bound, at each step


@st.composite
def histograms(draw: st.DrawFn) -> dict[str, Histogram]:
    """By the value of a label: bounds that all have or that each has, cumulative counts that need not rise."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["plain", "holes", "falling", "special", "bare"]))
    shared = [b for b in BOUNDS if chance.random() < 0.7]
    made: dict[str, Histogram] = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        bounds = shared if chance.random() < 0.5 else [b for b in BOUNDS if chance.random() < 0.6]
        if kind != "bare" and "+Inf" not in bounds:
            bounds = [*bounds, "+Inf"]
        counts = chance.integers(0, 6, (len(bounds), STEPS)).astype(float)
        if kind != "falling":
            counts = counts.cumsum(axis=0)
        if kind == "special":
            counts[chance.random(counts.shape) < 0.2] = np.nan
        there = chance.random(counts.shape) < (0.7 if kind == "holes" else 2)
        made[name] = {
            b: [c if t else None for c, t in zip(row, own, strict=True)]
            for b, row, own in zip(bounds, counts.tolist(), there.tolist(), strict=True)
        }
    return made


def store_of(given_histograms: dict[str, Histogram]) -> MemorySamples:
    store = MemorySamples()
    rejected = store.append_samples(
        [
            Sample(labels_of({"__name__": "h_bucket", "of": name, "le": bound}), step * STEP_MS, count)
            for name, buckets in given_histograms.items()
            for bound, counts in buckets.items()
            for step, count in enumerate(counts)
            if count is not None
        ]
    )
    assert not rejected
    return store


def expected(question: tuple[str, *tuple[float, ...]], buckets: Histogram) -> dict[int, float]:
    found = {}
    for step in range(STEPS):
        there = [(float(bound), count) for bound, counts in buckets.items() if (count := counts[step]) is not None]
        if there:
            answer = naive.classic_quantile if question[0] == "quantile" else naive.classic_fraction
            found[step * STEP_MS] = answer(*question[1:], there)
    return found


@pytest.mark.parametrize(("query", "question"), ASKED, ids=[query for query, _ in ASKED])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(given_histograms=histograms())
def test_quantiles_and_fractions_equal_plain_python(
    query: str, question: tuple[str, *tuple[float, ...]], given_histograms: dict[str, Histogram]
) -> None:
    # A sample counts at its own step only.
    engine = Engine(store_of(given_histograms), RealWorld(), Options(lookback_ms=STEP_MS - 1))
    result = asyncio.run(engine.range(query, 0, (STEPS - 1) * STEP_MS, STEP_MS)).value
    assert isinstance(result, Matrix)
    found = {dict(s.labels)["of"]: dict(zip(s.times.tolist(), s.values.tolist(), strict=True)) for s in result.series}
    wanted = {name: points for name, buckets in given_histograms.items() if (points := expected(question, buckets))}
    assert {name: set(points) for name, points in found.items()} == {name: set(points) for name, points in wanted.items()}
    for name, points in wanted.items():
        for time, value in points.items():
            same = found[name][time] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True)
            assert same, (name, time // STEP_MS, found[name][time], value, given_histograms[name])
