"""Random series, laid out in every way a store may, against plain Python: the answer does not depend on the layout."""

import asyncio
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.labels import LabelColumns, Labels
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.results import Matrix
from podium.telemetry.metrics.samples import ABSENT, STALE, Columns, Scan, Selection
from podium.world.real import RealWorld
from tests.telemetry.metrics.promql import naive

STEP, COUNT, RANGE, LOOKBACK = 7_000, 9, 40_000, 30_000
PLAIN = """
rate increase delta irate idelta changes resets sum_over_time avg_over_time count_over_time min_over_time max_over_time last_over_time
first_over_time present_over_time stddev_over_time stdvar_over_time mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time
ts_of_min_over_time deriv
"""
RANGE_CALLS = {
    **{name: f"{name}(m[40s])" for name in PLAIN.split()},
    "quantile_over_time": "quantile_over_time(0.3, m[40s])",
    "predict_linear": "predict_linear(m[40s], 60)",
    "double_exponential_smoothing": "double_exponential_smoothing(m[40s], 0.3, 0.6)",
}


class Given:
    """Answers with the same columns, whatever is asked."""

    def __init__(self, rows: list[Labels], columns: list[Columns]) -> None:
        self.labels, self.columns = LabelColumns.of(rows), columns

    def deciding(self, matchers):  # type: ignore[no-untyped-def]
        return iter(())

    def select(self, matchers, start_ms: int, end_ms: int) -> Selection:  # type: ignore[no-untyped-def]
        return Selection(self.labels, self.columns)

    def scan(self, matchers, start_ms: int, end_ms: int) -> Scan:  # type: ignore[no-untyped-def]
        return Scan.of(self.select(matchers, start_ms, end_ms))


def labels(row: int) -> Labels:
    return (("__name__", "m"), ("group", str(row % 3)), ("row", str(row)))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(times, values): counters with resets, gauges, holes, stale markers, special numbers."""
    rows, size = draw(st.integers(1, 14)), draw(st.integers(1, 24))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    times = np.cumsum(chance.integers(1, 9_000, size))
    kind = draw(st.sampled_from(["counter", "gauge", "integers", "special", "huge"]))
    values = chance.normal(0, 100, (rows, size))
    if kind == "counter":
        values = np.cumsum(chance.random((rows, size)) * 10, axis=1)
        values -= np.where(chance.random((rows, 1)) < 0.5, values * (chance.random((rows, size)) < 0.1), 0)
    elif kind == "integers":
        values = chance.integers(-3, 4, (rows, size)).astype(float)
    elif kind == "huge":
        values *= 10.0 ** chance.integers(-10, 40, (rows, size))
    if kind == "special":
        odd = chance.random(values.shape) < 0.2
        values[odd] = chance.choice([np.nan, np.inf, -np.inf, 0.0], int(odd.sum()))
    if draw(st.booleans()):
        values[chance.random(values.shape) < draw(st.sampled_from([0.05, 0.3]))] = ABSENT
    if draw(st.booleans()):
        values[chance.random(values.shape) < 0.1] = STALE
    return times.astype(np.int64), values


def layouts(times: np.ndarray, values: np.ndarray) -> list[Given]:
    """All rows in one matrix; in two; each in one of its own, without what is absent; each twice as many rows."""
    every = list(range(len(values)))
    rows = [labels(r) for r in every]
    whole = [Columns(np.array(every, np.int32), times, values)]
    half = [Columns(np.array(part, np.int32), times, values[part]) for part in (every[::2], every[1::2]) if part]
    lonely = []
    for row in every:
        kept = values[row].view(np.uint64) != np.float64(ABSENT).view(np.uint64)
        if kept.any():
            lonely.append(Columns(np.array([row], np.int32), times[kept], values[row][None, kept]))
    return [Given(rows, whole), Given(rows, half), Given(rows, lonely)]


def points_of(times: np.ndarray, row: np.ndarray) -> tuple[list[tuple[int, float]], set[int]]:
    bits = row.view(np.uint64)
    absent, stale = (bits == np.float64(mark).view(np.uint64) for mark in (ABSENT, STALE))
    points = [(int(t), float(v)) for t, v, a, s in zip(times, row, absent, stale, strict=True) if not a and not s]
    return points, {int(t) for t, s in zip(times, stale, strict=True) if s}


def ask(store: Given, query: str) -> dict[str, dict[int, float]]:
    """By the last label's value, by time."""
    engine = Engine(store, RealWorld(), Options(experimental=True, lookback_ms=LOOKBACK))  # type: ignore[arg-type]
    result = asyncio.run(engine.range(query, STEP, STEP * COUNT, STEP)).value
    assert isinstance(result, Matrix)
    return {s.labels[-1][1] if s.labels else "": dict(zip(s.times.tolist(), s.values.tolist(), strict=True)) for s in result.series}


def close(found: float, expected: float, scale: float) -> bool:
    if math.isnan(expected) or math.isinf(expected):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return abs(found - expected) <= 1e-9 * abs(expected) + 1e-12 * scale


def check(found: dict[str, dict[int, float]], expected: dict[str, dict[int, float]], scale: float, what: str) -> None:
    assert set(found) == set(expected), what
    for key, series in expected.items():
        assert set(found[key]) == set(series), (what, key)
        for time, value in series.items():
            assert close(found[key][time], value, scale), (what, key, time, found[key][time], value)


@pytest.mark.parametrize("name", sorted(RANGE_CALLS))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(matrix=matrices())
def test_functions_over_ranges_equal_plain_python(name: str, matrix: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = matrix
    expected: dict[str, dict[int, float]] = {}
    finite = np.abs(values[np.isfinite(values)])
    scale = float(finite.max()) if finite.size else 0.0
    if name in ("stdvar_over_time", "deriv", "predict_linear"):
        scale = max(scale * scale, scale * 100)
        if scale > 1e30:
            return  # differences that rounding alone decides
    with np.errstate(all="ignore"):
        for row in range(len(values)):
            points, _ = points_of(times, values[row])
            for at in range(STEP, STEP * COUNT + 1, STEP):
                value = naive.over_range(name, naive.window(points, at - RANGE, at), at - RANGE, at, at)
                if value is not None:
                    expected.setdefault(str(row), {})[at] = value
    for n, store in enumerate(layouts(times, values)):
        check(ask(store, RANGE_CALLS[name]), expected, scale, f"{name}, layout {n}")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(matrix=matrices())
def test_selectors_equal_plain_python(matrix: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = matrix
    expected: dict[str, dict[int, float]] = {}
    for row in range(len(values)):
        points, stale = points_of(times, values[row])
        for at in range(STEP, STEP * COUNT + 1, STEP):
            value = naive.instant(points, stale, at, LOOKBACK)
            if value is not None:
                expected.setdefault(str(row), {})[at] = value
    for n, store in enumerate(layouts(times, values)):
        check(ask(store, "m"), expected, 0.0, f"layout {n}")


@pytest.mark.parametrize("name", ["sum", "avg", "min", "max", "count", "group", "stdvar", "stddev", "quantile"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(matrix=matrices())
def test_aggregations_equal_plain_python(name: str, matrix: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = matrix
    members: dict[tuple[str, int], list[float]] = {}
    for row in range(len(values)):
        points, stale = points_of(times, values[row])
        for at in range(STEP, STEP * COUNT + 1, STEP):
            value = naive.instant(points, stale, at, LOOKBACK)
            if value is not None:
                members.setdefault((str(row % 3), at), []).append(value)
    finite = np.abs(values[np.isfinite(values)])
    scale = float(finite.max()) if finite.size else 0.0
    if name == "stdvar":
        scale *= scale
    expected: dict[str, dict[int, float]] = {}
    for (group, at), own in members.items():
        expected.setdefault(group, {})[at] = naive.aggregate(name, own)
    query = f"{name} by (group) ({'0.3, ' if name == 'quantile' else ''}m)"
    check(ask(layouts(times, values)[0], query), expected, scale, name)


@pytest.mark.parametrize("query", ["sum by (group) (m)", "avg by (group) (m)", "sum_over_time(m[40s])", "avg_over_time(m[40s])"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), odd=st.sampled_from([(np.inf,), (-np.inf,), (np.nan,), (np.inf, -np.inf), (7.0,)]))
def test_sums_and_means_beyond_the_largest_number(query: str, seed: int, odd: tuple[float, ...]) -> None:
    chance = np.random.default_rng(seed)
    rows, size = int(chance.integers(1, 40)), int(chance.integers(1, 24))
    times = np.cumsum(chance.integers(1, 9_000, size)).astype(np.int64)
    values = chance.choice([1e308, 1.2e308, -1e308, 1.0, *odd], (rows, size), p=[0.3, 0.2, 0.2, 0.2, *([0.1 / len(odd)] * len(odd))])
    expected: dict[str, dict[int, list[float]]] = {}
    for row in range(rows):
        points, stale = points_of(times, values[row])
        for at in range(STEP, STEP * COUNT + 1, STEP):
            if "over_time" in query:
                if own := [v for _, v in naive.window(points, at - RANGE, at)]:
                    expected.setdefault(str(row), {})[at] = own
            elif (value := naive.instant(points, stale, at, LOOKBACK)) is not None:
                expected.setdefault(str(row % 3), {}).setdefault(at, []).append(value)
    compute = naive.mean if query.startswith("avg") else naive.kahan
    wanted = {key: {at: compute(own) for at, own in series.items()} for key, series in expected.items()}
    for store in layouts(times, values):
        found = ask(store, query)
        for key, series in expected.items():
            for at, own in series.items():
                # Added one after another, these are too large; in another order they need not be.
                if "by" in query and math.isinf(wanted[key][at]) and np.isfinite(own).all() and math.isfinite(found[key][at]):
                    assert close(found[key][at], float(sum(map(Fraction, own))), 1e308)
                    wanted[key][at] = found[key][at]
        check(found, wanted, 1e308, query)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(matrix=matrices(), k=st.integers(1, 6), largest=st.booleans())
def test_the_best_of_each_group_are_chosen_at_each_step(matrix: tuple[np.ndarray, np.ndarray], k: int, largest: bool) -> None:
    times, values = matrix
    found = ask(layouts(times, values)[0], f"{'topk' if largest else 'bottomk'} by (group) ({k}, m)")
    everything = ask(layouts(times, values)[0], "m")
    for at in range(STEP, STEP * COUNT + 1, STEP):
        for group in range(3):
            rows = [r for r in everything if int(r) % 3 == group and at in everything[r]]
            ordered = sorted((everything[r][at] for r in rows), key=lambda v: (math.isnan(v), -v if largest else v))
            chosen = sorted((found[r][at] for r in rows if at in found.get(r, {})), key=lambda v: (math.isnan(v), -v if largest else v))
            assert [str(v) for v in chosen] == [str(v) for v in ordered[:k]]
