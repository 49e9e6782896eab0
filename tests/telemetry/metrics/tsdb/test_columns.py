"""Paged codes against a plain array."""

import numpy as np
import pytest

from podium.telemetry.metrics.tsdb.columns import NARROW_MAX, PagedCodes


@pytest.mark.parametrize("seed", range(10))
def test_codes_are_those_of_a_plain_array_however_large_they_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    paged, plain = PagedCodes(), np.zeros(6000, np.int32)
    largest = 3
    for _ in range(25):
        ids = np.unique(random.integers(0, 6000, 40)).astype(np.int32)
        action = random.random()
        if action < 0.6:
            largest = int(random.choice([3, 300, NARROW_MAX, NARROW_MAX + 1, 200_000])) if random.random() < 0.2 else largest
            codes = random.integers(1, largest + 1, len(ids)).astype(np.int32)
            codes[0] = largest
            paged.put(ids, codes)
            plain[ids] = codes
        elif action < 0.8:
            paged.clear(ids)
            plain[ids] = 0
        else:
            used = np.unique(plain)
            translation = np.zeros(int(plain.max()) + 1 if paged.in_use().max() <= plain.max() else 200_001, np.int32)
            translation[used] = np.arange(len(used))
            paged.recode(translation)
            plain = translation[plain]
        everything = np.arange(6000, dtype=np.int32)
        assert paged.gather(everything).dtype == np.int32
        assert np.array_equal(paged.gather(everything), plain)
        code = int(plain.max())
        if code:
            assert paged.where(code).tolist() == np.flatnonzero(plain == code).tolist()
            accepted = random.random(code + 1) < 0.5
            accepted[0] = False
            assert paged.where(accepted).tolist() == np.flatnonzero(accepted[plain]).tolist()
        assert set(paged.in_use().tolist()) >= set(np.unique(plain).tolist()) - {0}


def test_few_values_take_two_bytes_a_series() -> None:
    paged = PagedCodes()
    paged.put(np.arange(50_000, dtype=np.int32), np.full(50_000, 7, np.int32))
    assert paged.bytes < 50_000 * 2.5
    paged.put(np.array([3], np.int32), np.array([NARROW_MAX + 1], np.int32))
    assert paged.gather(np.array([2, 3], np.int32)).tolist() == [7, NARROW_MAX + 1]
