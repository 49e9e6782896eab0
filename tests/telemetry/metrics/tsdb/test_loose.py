"""Loose samples against a loop over all of them."""

import numpy as np
import pytest

from podium.telemetry.metrics.tsdb.loose import LooseSamples


@pytest.mark.parametrize("late", [0, 5, 100])
def test_samples_between_two_times_are_all_found_however_late_they_came(late: int) -> None:
    random = np.random.default_rng(7)
    loose, known = LooseSamples(), list[tuple[int, int, float]]()
    for step in range(60):
        rows = [(int(random.integers(8)), 10 * step - int(random.integers(10 * late + 1)), float(step)) for _ in range(5)]
        known += rows
        loose.add(np.array([r[0] for r in rows], np.int32), np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))
        if step == 30:
            gone = np.array([r[0] == 7 for r in known])
            loose.drop(gone)
            known = [r for r in known if r[0] != 7]
        for start, end in ((10 * step - 50, 10 * step), (0, 10 * step), (-1000, 100), (10 * step + 1, 10 * step + 5)):
            wanted = random.integers(2, size=8).astype(bool)
            found = zip(*(column.tolist() for column in loose.between(wanted, start, end)), strict=True)
            assert list(found) == [r for r in known if wanted[r[0]] and start <= r[1] <= end]
