"""Selections of several stores as one, against a dictionary of samples."""

from random import Random

import numpy as np
import pytest

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.samples import Sample, Selection, is_absent
from podium.telemetry.metrics.selections import matching, merged
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual

Content = dict[Labels, dict[int, float | Histogram | None]]


def content(selection: Selection) -> Content:
    """And that a series is in one matrix at most, rows and times ascend."""
    rows = selection.labels.rows()
    assert len(set(rows)) == len(rows)
    found: Content = {labels: {} for labels in rows}
    seen: list[int] = []
    for part in selection.columns:
        assert (np.diff(part.rows) > 0).all() and (np.diff(part.times) > 0).all()
        seen += part.rows.tolist()
        for row, values in zip(part.rows.tolist(), part.values, strict=True):
            there = ~is_absent(np.ascontiguousarray(values))
            found[rows[row]].update(zip(part.times[there].tolist(), values[there].tolist(), strict=True))
    assert len(seen) == len(set(seen))
    for one in selection.histograms:
        assert not set(one.times.tolist()) & set(found[rows[one.row]])
        found[rows[one.row]].update(zip(one.times.tolist(), one.histograms, strict=True))
    return found


def series(i: int) -> Labels:
    return labels_of({"__name__": "m", "i": str(i), "half": "low" if i < 6 else "high"})


def random_store(random: Random, store: MemorySamples | Tsdb) -> Content:
    kept: Content = {}
    for i in random.sample(range(12), random.randint(0, 12)):
        times = sorted(random.sample(range(10), random.randint(1, 10))) if random.random() < 0.5 else range(10)
        for t in times:
            value = Histogram(0, float(t), random.random()) if random.random() < 0.1 else random.random()
            store.append_samples([Sample(series(i), t, value)])
            kept.setdefault(series(i), {})[t] = value
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_a_sample_is_the_first_stores_that_has_it(seed: int) -> None:
    random = Random(seed)
    stores: list[MemorySamples | Tsdb] = [Tsdb.open(None, virtual.VirtualWorld(0), threads=False), MemorySamples(), MemorySamples()]
    kept = [random_store(random, store) for store in stores[: random.randint(1, 3)]]
    whole = merged([store.select((), 0, 100) for store in stores[: len(kept)]])
    expected: Content = {}
    for one in reversed(kept):
        for labels, points in one.items():
            expected.setdefault(labels, {}).update(points)
    found = content(whole)
    assert {labels: sorted(points) for labels, points in found.items()} == {labels: sorted(points) for labels, points in expected.items()}
    for labels, points in expected.items():
        for t, value in points.items():
            either = {id(type(v)) for one in kept if (v := one.get(labels, {}).get(t)) is not None}
            if len(either) == 1 and not isinstance(value, Histogram):
                assert found[labels][t] == value
    low = [Matcher(MatchType.EQUAL, "half", "low")]
    assert content(matching(whole, low)) == {labels: points for labels, points in found.items() if dict(labels)["half"] == "low"}


def test_series_that_only_one_store_has_keep_their_matrix() -> None:
    store, other = Tsdb.open(None, virtual.VirtualWorld(0), threads=False), MemorySamples()
    layout = store.layout([series(i) for i in range(4)])
    for t in range(3):
        store.append(layout, t, np.arange(4.0))
    other.append_samples([Sample(series(2), 7, 1.0), Sample(series(9), 7, 1.0)])
    whole = merged([store.select((), 0, 10), other.select((), 0, 10)])
    assert sorted(part.values.shape for part in whole.columns) == [(1, 1), (1, 4), (3, 3)]
    assert merged([store.select((), 0, 10), other.select((), 50, 60)]).columns[0].values.shape == (4, 3)
