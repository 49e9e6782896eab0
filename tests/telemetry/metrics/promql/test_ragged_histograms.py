"""Classic histograms, many at once: whatever of them is there at which step, the answer is that of each step by itself."""

import asyncio

import numpy as np
import pytest

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql import histogram_functions
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.promql.results import Matrix, Vector
from podium.telemetry.metrics.samples import Sample
from podium.world.real import RealWorld

STEP_MS, STEPS, HISTOGRAMS = 400_000, 7, 24
LAYOUTS = (("0.1", "1", "+Inf"), ("0.1", "0.5", "1", "5", "+Inf"), ("1", "1.0", "+Inf"), ("0.1", "1"))


def store(seed: int) -> MemorySamples:
    """Most histograms begin and end as a whole; of some, single buckets come and go; some fall."""
    chance, made = np.random.default_rng(seed), MemorySamples()
    for n in range(HISTOGRAMS):
        bounds = LAYOUTS[n % 5 % len(LAYOUTS)]
        begins, ends = int(chance.integers(0, 3)), int(chance.integers(4, STEPS + 1))
        counts = np.cumsum(chance.integers(0, 9, (len(bounds), STEPS)), axis=0).astype(float)
        for at, bound in enumerate(bounds):
            for step in range(begins, ends):
                if n % 6 == 5 and chance.random() < 0.3:
                    continue
                value = counts[at, step] - (3.0 if n % 7 == 6 and at else 0.0)
                made.append_samples([Sample(labels_of({"__name__": "h_bucket", "n": str(n), "le": bound}), step * STEP_MS, value)])
    return made


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("query", ["histogram_quantile(0.7, h_bucket)", "histogram_fraction(0.2, 3, h_bucket)"])
def test_a_range_of_histograms_is_what_each_step_gives(query: str, seed: int) -> None:
    engine = Engine(store(seed), RealWorld())
    ranged = asyncio.run(engine.range(query, 0, (STEPS - 1) * STEP_MS, STEP_MS))
    assert isinstance(ranged.value, Matrix)
    found = {(s.labels, t): v for s in ranged.value.series for t, v in zip(s.times.tolist(), s.values.tolist(), strict=True)}
    expected = {}
    for step in range(STEPS):
        instant = asyncio.run(engine.instant(query, step * STEP_MS)).value
        assert isinstance(instant, Vector)
        expected |= {(p.labels, step * STEP_MS): p.value for p in instant.points}
    assert found.keys() == expected.keys() and len(found) > HISTOGRAMS
    assert np.array_equal([found[k] for k in expected], list(expected.values()), equal_nan=True)


def test_histograms_that_begin_together_are_worked_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    made = MemorySamples()
    for n in range(HISTOGRAMS):
        for at, bound in enumerate(LAYOUTS[1]):
            for step in range(2 + n % 2, STEPS):
                made.append_samples(
                    [Sample(labels_of({"__name__": "h_bucket", "n": str(n), "le": bound}), step * STEP_MS, float(at * n + step))]
                )
    asked = []
    inner = histogram_functions.histogram_quantiles.classic_quantile
    monkeypatch.setattr(histogram_functions.histogram_quantiles, "classic_quantile", lambda *given: asked.append(1) or inner(*given))
    result = asyncio.run(Engine(made, RealWorld()).range("histogram_quantile(0.7, h_bucket)", 0, (STEPS - 1) * STEP_MS, STEP_MS))
    assert isinstance(result.value, Matrix) and len(result.value.series) == HISTOGRAMS
    assert len(asked) == 2
