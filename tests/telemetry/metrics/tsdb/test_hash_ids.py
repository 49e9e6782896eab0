"""Hashes to ids against a dictionary."""

import numpy as np
import pytest

from podium.telemetry.metrics.tsdb import hash_ids
from podium.telemetry.metrics.tsdb.hash_ids import NOBODY, HashIds


@pytest.mark.parametrize("seed", range(10))
def test_it_answers_as_a_dictionary_would(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_ids, "RECENT_MIN", 8)
    random = np.random.default_rng(seed)
    table, model = HashIds(), dict[int, int]()
    every = random.integers(0, 2**63, 120).astype(np.uint64) * np.uint64(2)
    following = 0
    for _ in range(60):
        chosen = random.permutation(every)[: int(random.integers(1, 12))]
        if random.random() < 0.6:
            chosen = np.concatenate([chosen, chosen[:1]])  # the same twice: the first one counts
            ids = np.arange(following, following + len(chosen), dtype=np.int32)
            following += len(chosen)
            taken = [model.setdefault(key, i) != i for key, i in zip(chosen.tolist(), ids.tolist(), strict=True)]
            assert table.add(chosen, ids).tolist() == taken
        else:
            ids = np.array([model.get(key, 0) if random.random() < 0.8 else 12345 for key in chosen.tolist()], np.int32)
            table.remove(chosen, ids)
            for key, i in zip(chosen.tolist(), ids.tolist(), strict=True):
                if model.get(key) == i:
                    del model[key]
        assert table.find(every).tolist() == [model.get(key, NOBODY) for key in every.tolist()]
