"""The open matrix against a plain one, and what it takes."""

import numpy as np
import pytest

from podium.telemetry.metrics.samples import ABSENT, STALE
from podium.telemetry.metrics.tsdb.open_matrix import OpenMatrix


@pytest.mark.parametrize("seed", range(30))
def test_what_is_read_is_what_was_written(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 120))
    matrix, plain = OpenMatrix(), np.empty((0, 0))
    matrix.join(rows)
    plain = np.empty((0, rows))
    for _ in range(int(random.integers(1, 30))):
        if random.random() < 0.1:
            more = int(random.integers(1, 5))
            matrix.join(more)
            plain = np.hstack([plain, np.full((len(plain), more), ABSENT)])
            rows += more
        if len(plain) and random.random() < 0.2:
            column = int(random.integers(0, len(plain)))
            chosen = random.permutation(rows)[: int(random.integers(0, rows + 1))].astype(np.int32)
            values = random.random(len(chosen))
            matrix.fill(column, values, chosen)
            plain[column, chosen] = values
        share = random.choice([0.0, 0.05, 0.5, 1.0])
        before = plain[-1] if len(plain) else np.zeros(rows)
        changed = np.where(random.random(rows) < share, random.choice([1.5, ABSENT, STALE, -0.0, 7.0], rows), before)
        matrix.append(changed.copy())
        plain = np.vstack([plain, changed])
    start = int(random.integers(0, len(plain)))
    end = int(random.integers(start + 1, len(plain) + 1))
    some = np.flatnonzero(random.random(rows) < 0.4)
    for chosen in (None, some, np.zeros(0, np.intp)):
        out = np.zeros((rows if chosen is None else len(chosen), end - start))
        matrix.read(out, start, end, chosen)
        expected = plain[start:end].T if chosen is None else plain[start:end].T[chosen]
        assert np.array_equal(out.view(np.uint64), np.ascontiguousarray(expected).view(np.uint64))


@pytest.mark.parametrize(("changing", "bytes_per_cell"), [(0.0, 0.6), (0.01, 2.5), (1.0, 9.0)])
def test_a_cell_that_does_not_change_costs_next_to_nothing(changing: float, bytes_per_cell: float) -> None:
    random = np.random.default_rng(1)
    matrix = OpenMatrix(10_000)
    column = random.random(10_000)
    for _ in range(64):
        column = np.where(random.random(10_000) < changing, random.random(10_000), column)
        matrix.append(column.copy())
    assert matrix.bytes / (64 * 10_000) < bytes_per_cell


def test_a_column_that_is_filled_piece_by_piece_is_as_good_as_one_that_came_whole() -> None:
    matrix = OpenMatrix(10_000)
    halves = np.arange(5_000, dtype=np.int32), np.arange(5_000, 10_000, dtype=np.int32)
    for number in range(32):
        column = np.full(10_000, ABSENT)
        column[halves[0]] = 1.0
        matrix.append(column)
        matrix.fill(number, np.full(5_000, 2.0), halves[1])
    assert matrix.bytes < 4 * 10_000 * 8
