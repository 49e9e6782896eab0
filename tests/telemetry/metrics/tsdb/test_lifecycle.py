"""What becomes of samples: cut, compacted, dropped, deleted, copied; and what the log lets go of."""

import errno
from pathlib import Path

import numpy as np
import pytest

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.samples import ABSENT, STALE, Exemplar, Sample
from podium.telemetry.metrics.storage import Metadata, Rejected
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.backfill import import_openmetrics
from podium.telemetry.metrics.tsdb.block import BlockMeta
from podium.telemetry.metrics.tsdb.compaction import plan
from podium.world.virtual import VirtualWorld
from tests.telemetry.metrics.tsdb.answers import bits, found
from tests.telemetry.metrics.tsdb.stores import EVERYTHING, STEP_MS, WINDOW_MS, all_of, expected, named, opened, options, scraped, series


def meta(start: int, end: int, name: str = "x") -> BlockMeta:
    return BlockMeta(start, end, 1, name, 1, 1)


@pytest.mark.parametrize(
    ("blocks", "chosen"),
    [
        ([], []),
        ([(0, 1)], []),
        ([(0, 1), (1, 2), (2, 3)], []),  # the last is the newest
        ([(0, 1), (1, 2), (2, 3), (3, 4)], [(0, 1), (1, 2), (2, 3)]),
        ([(0, 1), (2, 3), (3, 4)], [(0, 1), (2, 3)]),  # one is missing, and will not come
        ([(0, 1), (0, 1), (1, 2)], [(0, 1), (0, 1)]),
        ([(0, 3), (1, 2), (3, 4)], [(0, 3), (1, 2)]),
        ([(0, 3), (3, 6), (6, 9), (9, 10)], [(0, 3), (3, 6), (6, 9)]),
        ([(0, 9), (9, 18), (18, 27), (27, 28)], []),  # as long as they may be
    ],
)
def test_plan_joins_what_overlaps_then_neighbours(blocks: list[tuple[int, int]], chosen: list[tuple[int, int]]) -> None:
    metas = [meta(a, b, str(n)) for n, (a, b) in enumerate(blocks)]
    assert [(m.start_ms, m.end_ms) for m in plan(metas, 1, 9)] == chosen


async def test_samples_are_the_same_through_cuts_compactions_and_restarts(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for start in range(0, 1200, 100):
        scraped(store, start, start + 100)
        await lifecycle.maintain(store)
    assert all_of(store) == expected(0, 1200)
    assert [(b.meta.start_ms // WINDOW_MS, b.meta.end_ms // WINDOW_MS) for b in store.blocks] == [(0, 9), (9, 18), (18, 19)]
    answer = store.select(named("m"), 0, 1_200_000)
    assert len(answer.columns) == 1 and answer.columns[0].dense and answer.columns[0].monotonic
    await store.close()
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 1200)
    await again.close()


async def test_the_log_is_short_once_chunks_are_in_files(tmp_path: Path) -> None:
    store = opened(tmp_path, wal_segment_bytes=4_000, wal_bytes_max=20_000)
    scraped(store, 0, 500)
    await store.synced()
    assert len(list((tmp_path / "wal").iterdir())) > 6
    await lifecycle.flush(store)
    assert len(list((tmp_path / "wal").iterdir())) <= 6
    await store.close()
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 500)
    await again.close()


@pytest.mark.parametrize("in_memory", [True, False])
async def test_what_is_too_old_goes(tmp_path: Path, in_memory: bool) -> None:
    store = opened(None if in_memory else tmp_path, retention_ms=2 * WINDOW_MS, block_max_ms=WINDOW_MS)
    scraped(store, 0, 600)
    await lifecycle.maintain(store)
    kept = all_of(store)
    assert {min(s) for s in kept.values()} == {420_000} and {max(s) for s in kept.values()} == {599_000}
    await store.close()


async def test_the_oldest_blocks_go_when_there_is_no_room(tmp_path: Path) -> None:
    store = opened(tmp_path, block_max_ms=WINDOW_MS)
    scraped(store, 0, 600)
    await lifecycle.maintain(store)
    size = lifecycle.size(store)
    await store.close()
    store = opened(tmp_path, block_max_ms=WINDOW_MS, retention_bytes=size * 3 // 4)
    await lifecycle.maintain(store)
    assert lifecycle.size(store) <= size * 3 // 4 and {max(s) for s in all_of(store).values()} == {599_000}
    await store.close()


async def test_one_sample_from_the_future_makes_no_other_too_old(tmp_path: Path) -> None:
    store = opened(tmp_path, retention_ms=10 * WINDOW_MS)
    now = int(store.world.clock.now().timestamp())
    scraped(store, now - 100, now)
    store.append_samples([Sample(labels_of({"wrong": "clock"}), (now + 10**8) * 1000, 1.0)])
    await lifecycle.maintain(store)
    scraped(store, now, now + 20)
    await lifecycle.maintain(store)
    kept = all_of(store)
    assert {s: v for s, v in kept.items() if s in expected(0, 1)} == expected(now - 100, now + 20) and len(kept) == 6
    await store.close()


async def test_series_without_samples_leave_the_index(tmp_path: Path) -> None:
    store = opened(tmp_path, retention_ms=2 * WINDOW_MS, block_max_ms=WINDOW_MS)
    for generation in range(12):
        scraped(store, generation * 100, generation * 100 + 100, 50, f"app_{generation}")
        await lifecycle.maintain(store)
    assert store.index.count <= 4 * 50 and store.index.allocated <= 5 * 50
    assert store.label_values("__name__", [], 0, 10**9) == ["app_10", "app_11"]
    await store.close()


async def test_deleted_samples_stay_deleted(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 200)
    scraped(store, 0, 200, 2, "other")
    await lifecycle.maintain(store)
    store.delete_series(named("m"), 30 * STEP_MS, 180 * STEP_MS)
    await store.synced()
    left = {s: {t: v for t, v in samples.items() if not 30_000 <= t <= 180_000} for s, samples in expected(0, 200).items()}
    left |= expected(0, 200, 2, "other")
    assert all_of(store) == left
    before = lifecycle.size(store)
    await store.clean_tombstones()
    assert all_of(store) == left and lifecycle.size(store) < before and not any(b.tombstones for b in store.blocks)
    await store.close()
    again = opened(tmp_path)
    assert all_of(again) == left
    again.delete_series(named("other"), -(2**60), 2**60)
    await again.clean_tombstones()
    assert again.select(named("other"), 0, 2**60).labels.count == 0
    await again.close()


async def test_a_deletion_while_a_block_is_made_reaches_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 200)
    real = lifecycle._made

    async def made_slowly(*arguments: object) -> object:
        block = await real(*arguments)  # type: ignore[arg-type]
        store.delete_series(named("m"), 0, 10_000)
        assert {min(s) for s in all_of(store).values()} == {11_000}
        return block

    monkeypatch.setattr(lifecycle, "_made", made_slowly)
    await lifecycle.maintain(store)
    assert {min(s) for s in all_of(store).values()} == {11_000}
    await store.close()
    again = opened(tmp_path)
    assert {min(s) for s in all_of(again).values()} == {11_000}
    await again.close()


@pytest.mark.parametrize("skip_head", [False, True])
async def test_a_snapshot_is_a_store(tmp_path: Path, skip_head: bool) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 200)
    await lifecycle.maintain(store)
    name = await store.snapshot(skip_head=skip_head)
    scraped(store, 200, 250)
    assert all_of(store) == expected(0, 250)
    copy = opened(tmp_path / "snapshots" / name)
    assert all_of(copy) == expected(0, 120 if skip_head else 200)
    await copy.close()
    await store.close()


async def test_a_store_in_memory_says_that_it_has_no_snapshots() -> None:
    with pytest.raises(StorageFailed, match="in memory"):
        await opened(None).snapshot(skip_head=True)


async def test_backfilled_blocks_join_what_is_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 300, 400)
    await store.close()
    samples = [Sample(s, k * STEP_MS, i * 100.0 + k) for i, s in enumerate(series(5)) for k in range(300)]
    blocks = import_openmetrics(iter(samples), tmp_path, VirtualWorld(7), options())
    assert len(blocks) == 5 and sum(b.meta.samples for b in blocks) == 1500
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 400)
    await again.close()


async def test_a_full_disk_refuses_samples_and_loses_none_that_were_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    store = opened(tmp_path, wal_pending_bytes_max=2_000)
    scraped(store, 0, 5)
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        real(descriptor, data[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFailed, match="No space"):
        await store.synced()
    taken = 5
    with pytest.raises(StorageFailed, match="wait for the disk"):
        for k in range(5, 200):
            scraped(store, k, k + 1)
            taken = k + 1
    monkeypatch.setattr(os, "pwrite", real)
    await store.synced()
    await store.close()
    again = opened(tmp_path)
    assert all_of(again) == expected(0, taken)
    await again.close()


def test_appends_are_refused_as_upstream_counts_them() -> None:
    store = opened(None)
    layout = store.layout(series(3))
    assert not store.append(layout, 1000, np.array([1.0, 2.0, 3.0]))
    assert not store.append(layout, 1000, np.array([1.0, 2.0, 3.0]))
    assert store.append(layout, 1000, np.array([1.0, 9.0, ABSENT])) == Rejected(duplicate=1)
    assert store.append(layout, 500, np.array([1.0, ABSENT, 3.0])) == Rejected(out_of_order=2)
    windowed = opened(None, out_of_order_window_ms=10_000)
    layout = windowed.layout(series(3))
    windowed.append(layout, 20_000, np.array([1.0, 2.0, 3.0]))
    assert windowed.append(layout, 12_000, np.array([1.0, 2.0, ABSENT])) == Rejected()
    assert windowed.append(layout, 12_000, np.array([1.0, 5.0, 3.0])) == Rejected(duplicate=1)
    assert windowed.append(layout, 9_000, np.array([1.0, 2.0, 3.0])) == Rejected(too_old=3)
    assert [len(s) for s in all_of(windowed).values()] == [2, 2, 2]
    with pytest.raises(ValueError, match="for a layout of 3 series"):
        store.append(layout, 30_000, np.zeros(2))


def test_a_target_that_exposes_new_series_keeps_its_matrix() -> None:
    store = opened(None)
    scraped(store, 0, 10, 100)
    scraped(store, 10, 20, 110)
    assert len(store.head.groups) == 1
    (group,) = store.head.groups.values()
    assert group.rows == 110 and group.count == 20
    scraped(store, 20, 30, 10)  # another writer of a tenth of them
    assert len(store.head.groups) == 2
    kept = all_of(store)
    assert sorted(len(s) for s in kept.values()) == [10] * 10 + [20] * 90 + [30] * 10


def test_series_that_end_leave_their_matrix() -> None:
    store = opened(None)
    layout = store.layout(series(10))
    for k in range(200):
        values = np.full(10, float(k))
        values[5:] = STALE if k == 70 else ABSENT if k > 70 else k
        store.append(layout, k * 100, values)
        if k == 70:
            layout = store.layout(series(10))
    assert [len(s) for s in all_of(store).values()] == [200] * 5 + [71] * 5


def test_more_samples_than_may_be_selected_are_refused_before_they_are_decoded() -> None:
    store = opened(None, select_cells_max=1_000)
    scraped(store, 0, 300, 5)
    assert store.select(named("m"), 0, 199_000).labels.count == 5
    with pytest.raises(LimitExceeded, match="more than 1000 samples"):
        store.select(named("m"), 0, 300_000)


def test_series_beyond_the_limit_are_refused() -> None:
    store = opened(None, series_max=10)
    store.layout(series(10))
    with pytest.raises(LimitExceeded, match="limit of 10"):
        store.layout(series(11))
    with pytest.raises(LimitExceeded):
        store.append_samples([Sample(labels_of({"x": "y"}), 1, 1.0)])


async def test_exemplars_are_a_ring_that_survives_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path, exemplars_max=3)
    first, second = series(2)
    trace = labels_of({"trace_id": "1"})
    given = [(first, Exemplar(trace, float(k), k * 1000)) for k in range(4)]
    assert store.append_exemplars(given) == Rejected()
    assert store.append_exemplars([given[3], (first, Exemplar(trace, 9.0, 3000)), (first, Exemplar(trace, 1.0, 1))]) == Rejected(1, 0, 1)
    assert store.exemplars([named("m")], 0, 2000) == [(first, [given[1][1], given[2][1]])]
    store.append_exemplars([(second, given[0][1])])
    await store.close()
    again = opened(tmp_path, exemplars_max=3)
    assert again.exemplars([], 0, 10_000) == [(first, [given[2][1], given[3][1]]), (second, [given[0][1]])]
    await again.close()


def test_metadata_is_what_the_target_said_last() -> None:
    store = opened(None)
    target = labels_of({"job": "a"})
    store.set_metadata(target, {"m": Metadata("counter", "help")})
    store.set_metadata(target, {"n": Metadata("gauge")})
    assert store.metadata() == {target: {"n": Metadata("gauge")}}
    store.set_metadata(target, {})
    assert store.metadata() == {}


def test_label_questions_are_about_the_range() -> None:
    store = opened(None)
    scraped(store, 0, 10, 2, "old")
    scraped(store, 100, 110, 3, "new")
    assert store.label_values("__name__", [], 0, 9_000) == ["old"]
    assert store.label_values("__name__", [], 0, 200_000) == ["new", "old"]
    assert store.label_values("i", [named("new")], 0, 200_000) == ["0", "1", "2"]
    assert store.label_values("nothing", [], 0, 200_000) == []
    assert store.label_names([named("old")], 0, 200_000) == ["__name__", "i"]
    assert store.series([named("old"), named("new")], 0, 200_000, 3) == sorted(series(2, "old") + series(3, "new"))[:3]


def test_status_counts_what_there_is() -> None:
    store = opened(None)
    scraped(store, 1, 100, 4, "few")
    scraped(store, 1, 100, 9, "many")
    shown = store.status(1)
    assert shown["seriesCountByMetricName"] == [{"name": "many", "value": 9}]
    assert shown["labelValueCountByLabelName"] == [{"name": "i", "value": 9}]
    assert shown["seriesCountByLabelValuePair"] == [{"name": "__name__=many", "value": 9}]
    assert shown["memoryInBytesByLabelName"] == [{"name": "__name__", "value": 48}]
    assert shown["headStats"] == {"numSeries": 13, "numLabelPairs": 11, "chunkCount": 4, "minTime": 1000, "maxTime": 99_000}


def test_an_empty_store_answers_with_nothing() -> None:
    store = opened(None)
    assert found(store.select(EVERYTHING, 0, 1)) == {} and store.series([], 0, 1) == [] and store.exemplars([], 0, 1) == []
    assert store.append_samples([]) == Rejected() and store.status(10)["headStats"]["numSeries"] == 0


def test_loose_samples_of_many_writers_become_shared_columns() -> None:
    store = opened(None)
    samples = [Sample(s, k * 1000, float(k)) for k in range(20) for s in series(30)]
    store.append_samples(samples[: len(samples) // 2])
    store.append_samples(samples[len(samples) // 2 :])
    store.append_samples([Sample(labels_of({"lonely": str(n)}), n * 777, 1.0) for n in range(20)])
    answer = store.select(EVERYTHING, 0, 10**9)
    assert max(len(c.rows) for c in answer.columns) == 30
    assert all(found(answer)[s] == {k * 1000: bits(float(k)) for k in range(20)} for s in series(30))
