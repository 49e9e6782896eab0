"""Sums and extremes of windows and groups, against math.fsum and a loop: every way they are computed in."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from podium.telemetry.metrics.promql import aggregation_sums, compensated, over_time
from podium.telemetry.metrics.promql.aggregation_sums import Runs
from podium.telemetry.metrics.promql.grouping import Grouped
from podium.telemetry.metrics.promql.windows import DenseWindows, Windows

Array = npt.NDArray[np.float64]

CHANCE = np.random.default_rng(11)
VALUES: dict[str, Callable[[tuple[int, int]], Array]] = {
    "whole": lambda shape: CHANCE.integers(-1000, 1 << 30, shape).astype(float),
    "whole but large": lambda shape: CHANCE.integers(1 << 51, 1 << 52, shape).astype(float),
    "fractions": CHANCE.random,
    "cancelling": lambda shape: CHANCE.choice([0.1, 1e8, -1e8, 7.7, 0.0], shape),
    "wild": lambda shape: CHANCE.choice([1e-30, 1e30, -1e30, 3.0], shape),
    "with NaN": lambda shape: CHANCE.choice([math.nan, 1.0, 2.5], shape),
    "with infinities": lambda shape: CHANCE.choice([math.inf, 1.0, 2.5], shape),
}


def expected_sum(values: list[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def windows_over(values: Array, length: int, stride: int) -> Windows:
    times = np.arange(values.shape[1], dtype=np.int64) * 10
    ends = np.arange(0, times[-1] + 10 * length, 10 * stride, dtype=np.int64)
    starts = ends - 10 * length
    lo, hi = np.searchsorted(times, starts, "right"), np.searchsorted(times, ends, "right")
    return DenseWindows(values, times, lo, hi, starts, ends)


def contents(windows: Windows) -> list[list[list[float]]]:
    flat = windows.flat()
    return [[flat.values[a:b].tolist() for a, b in zip(lo, hi, strict=True)] for lo, hi in zip(flat.lo, flat.hi, strict=True)]


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("length", "stride"), [(1, 1), (3, 5), (20, 1), (50, 4)])
@pytest.mark.parametrize("kind", VALUES)
def test_windows(kind: str, length: int, stride: int, *, ragged: bool) -> None:
    windows = windows_over(VALUES[kind]((4, 60)), length, stride)
    held = contents(windows)
    given = windows.flat() if ragged else windows
    with np.errstate(all="ignore"):
        sums, lows, highs = over_time.total(given)[0], over_time.smallest(given)[0], over_time.largest(given)[0]
    for row, steps in enumerate(held):
        for step, values in enumerate(steps):
            if not values:
                continue
            size = max(map(abs, values), default=0.0)
            allowed = 1e-15 * size if kind == "wild" else 0.0
            assert sums[row, step] == pytest.approx(expected_sum(values), rel=1e-15, abs=allowed, nan_ok=True)
            numbers = [v for v in values if not math.isnan(v)] or [math.nan]
            assert lows[row, step] == pytest.approx(min(numbers), rel=0, abs=0, nan_ok=True)
            assert highs[row, step] == pytest.approx(max(numbers), rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("kind", ["whole", "fractions"])
def test_overlapping_windows_are_not_added_sample_by_sample(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compensated, "nth_samples", None)
    compensated.sum_windows(windows_over(VALUES[kind]((4, 60)), 50, 1))


GROUPS = {
    "one": [0] * 300,
    "alone": list(range(40)),
    "few large": [i % 3 for i in range(500)],
    "many small": [i % 50 for i in range(250)],
    "one large among small": [0] * 400 + [i + 1 for i in range(200)] * 2,
}


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("groups", GROUPS.values(), ids=list(GROUPS))
def test_groups(groups: list[int], kind: str, *, holes: bool) -> None:
    numbered = np.asarray(groups)
    grouped = Grouped(numbered, np.unique(numbered, return_index=True)[1])
    values = VALUES[kind]((len(groups), 3))
    present = CHANCE.random(values.shape) < 0.5 if holes else None
    runs = Runs.of(grouped)
    with np.errstate(all="ignore"):
        counts = aggregation_sums.counts(runs, present, 3)
        sums = compensated.settle(*aggregation_sums.sums(runs, values, present))
        lows = aggregation_sums.extremes(runs, values, present, np.fmin)
    for group in range(grouped.count):
        for step in range(3):
            there = numbered == group if present is None else (numbered == group) & present[:, step]
            held = values[there, step].tolist()
            assert counts[group, step] == len(held)
            allowed = 1e-15 * max(map(abs, held), default=0.0) if kind == "wild" else 0.0
            assert sums[group, step] == pytest.approx(expected_sum(held), rel=1e-15, abs=allowed, nan_ok=True)
            low = min((v for v in held if not math.isnan(v)), default=math.nan)
            assert lows[group, step] == pytest.approx(low, rel=0, abs=0, nan_ok=True)
