"""Chunks give back every bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.samples import ABSENT, STALE, Values
from podium.telemetry.metrics.tsdb.chunk import DENSE, MONOTONIC, Chunk, encode

ODD = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e300,
    -1e300,
    5e-324,
    float("inf"),
    float("-inf"),
    float("nan"),
    STALE,
    ABSENT,
    2.0**53,
    2.0**53 + 2,
    123.456,
    1e22,
]


def decoded(data: bytes, rows: int, columns: int) -> Values:
    out = np.empty((rows, columns))
    Chunk(data).decode(np.arange(rows), np.arange(rows), out, 0, columns)
    return out


def same(a: Values, b: Values) -> bool:
    return bool((np.ascontiguousarray(a).view(np.uint64) == np.ascontiguousarray(b).view(np.uint64)).all())


def matrix(kind: str, rows: int, columns: int) -> Values:
    random = np.random.default_rng(rows * 1000 + columns)
    counters = np.cumsum(random.integers(0, 90, (rows, columns)), axis=1).astype(np.float64)
    return {
        "counters": counters,
        "falling": counters[:, ::-1].copy(),
        "resets": np.where(np.arange(columns) < columns // 2, counters, counters - counters[:, columns // 2 : columns // 2 + 1]),
        "decimals": np.round(counters / 1000, 3),
        "noise": random.normal(size=(rows, columns)),
        "constant": np.repeat(random.normal(size=(rows, 1)), columns, axis=1),
        "large": counters * 2.0**40,
        "gaps": np.where(random.random((rows, columns)) < 0.3, ABSENT, counters),
        "nothing": np.full((rows, columns), ABSENT),
        "ended": np.where(np.arange(columns) == columns - 1, STALE, counters),
    }[kind]


@pytest.mark.parametrize("kind", ["counters", "falling", "resets", "decimals", "noise", "constant", "large", "gaps", "nothing", "ended"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 64), (700, 120)])
def test_values_come_back_bit_for_bit(kind: str, shape: tuple[int, int]) -> None:
    values = matrix(kind, *shape)
    data = encode(np.arange(shape[1]) * 15_000, values)
    assert same(decoded(data, *shape), values)


def rows_of(width: int) -> st.SearchStrategy[list[list[float]]]:
    value = st.one_of(st.sampled_from(ODD), st.floats(), st.integers(-9, 9).map(float))
    return st.lists(st.lists(value, min_size=width, max_size=width), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6).flatmap(rows_of))
def test_any_values_come_back_bit_for_bit(rows: list[list[float]]) -> None:
    values = np.array(rows)
    data = encode(np.cumsum(np.arange(1, values.shape[1] + 1)), values)
    assert same(decoded(data, *values.shape), values)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_part_of_a_chunk_is_that_part(data: st.DataObject) -> None:
    values = np.concatenate([matrix(kind, 9, 40) for kind in ("counters", "gaps", "noise", "constant", "decimals")])
    chunk = Chunk(encode(np.arange(40), values))
    rows = np.array(data.draw(st.lists(st.integers(0, 44), min_size=1, unique=True)))
    order = np.argsort(rows)
    start = data.draw(st.integers(0, 39))
    end = data.draw(st.integers(start + 1, 40))
    out = np.empty((len(rows), end - start))
    chunk.decode(rows[order], order, out, start, end)
    assert same(out, values[rows, start:end])


@pytest.mark.parametrize(
    ("row", "flags"),
    [
        ([1, 2, 2, 5], DENSE | MONOTONIC),
        ([1, 2, 1, 5], DENSE),
        ([3, 3, 3, 3], DENSE | MONOTONIC),
        ([0.5, 0.25, 7, 8], DENSE),
        ([0.123456789012, 0.2, 0.7, 0.8], DENSE | MONOTONIC),
        ([1, ABSENT, 2, 3], 0),
        ([1, 2, 3, STALE], 0),
        ([float("nan")] * 4, DENSE),
        ([1, 2, float("nan"), 4], DENSE),
    ],
)
def test_what_is_known_of_a_row(row: list[float], flags: int) -> None:
    assert Chunk(encode(np.arange(4), np.array([row]))).rows().flags.tolist() == [flags]


@pytest.mark.parametrize("times", [[5], [0, 15], [-7, 3, 1000, 1001], list(range(0, 15_000, 15))])
def test_times_come_back(times: list[int]) -> None:
    assert Chunk(encode(np.array(times), np.zeros((2, len(times))))).times().tolist() == times


def test_a_counter_costs_the_noise_of_its_growth() -> None:
    random = np.random.default_rng(1)
    values = np.cumsum(random.integers(0, 500, (1000, 1)) + random.integers(0, 64, (1000, 480)), axis=1).astype(np.float64)
    assert len(encode(np.arange(480) * 15_000, values)) / values.size < 0.8


@pytest.mark.parametrize("scale", [1.0, 1e6, 2.0**44])
def test_counters_with_resets_and_jumps_come_back_and_stay_small(scale: float) -> None:
    random = np.random.default_rng(3)
    growth = random.integers(0, 5, (300, 480)) + random.integers(0, 300, (300, 1))
    growth[:, ::60] = -np.cumsum(growth, axis=1)[:, ::60] // 2
    growth[::3, 77] = 2_000_000
    values = np.cumsum(growth, axis=1) + np.floor(random.random((300, 1)) * scale)
    data = encode(np.arange(480), values)
    assert same(decoded(data, 300, 480), values)
    assert len(data) / values.size < 1


@pytest.mark.parametrize("cut", [1, 10, 30, 60])
def test_a_chunk_that_is_cut_short_is_refused(cut: int) -> None:
    data = encode(np.arange(40), matrix("counters", 20, 40))
    with pytest.raises(Exception, match=r"."):
        decoded(data[:-cut], 20, 40)
