"""Reading piece by piece: what a scan promises, what is kept of what was read lately."""

from pathlib import Path

import numpy as np
import pytest

from podium.telemetry.metrics.errors import LimitExceeded, ReadAgain
from podium.telemetry.metrics.labels import Matcher, MatchType
from podium.telemetry.metrics.samples import ABSENT
from podium.telemetry.metrics.tsdb import assembly, lifecycle
from podium.telemetry.metrics.tsdb.recent import Recent
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from tests.telemetry.metrics.tsdb.answers import found
from tests.telemetry.metrics.tsdb.stores import EVERYTHING, all_of, expected, named, opened, scraped, series

ALWAYS = -(2**60), 2**60
ONE = [Matcher(MatchType.EQUAL, "i", "3")]


def one_of(store: Tsdb, start_ms: int = ALWAYS[0], end_ms: int = ALWAYS[1]) -> dict[int, int]:
    (samples,) = found(store.scan(ONE, start_ms, end_ms).selection()).values()
    return samples  # type: ignore[return-value]


async def test_a_scan_reads_what_was_there_when_it_was_made(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 150)
    scan = store.scan(EVERYTHING, *ALWAYS)
    scraped(store, 150, 400)
    store.delete_series(named("m"), *ALWAYS)
    await lifecycle.maintain(store)
    assert found(scan.selection()) == expected(0, 150)
    await store.close()


async def test_few_series_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 300, 200)
    await lifecycle.maintain(store)
    first = one_of(store)
    kept = store.recent.bytes
    assert kept
    monkeypatch.setattr("podium.telemetry.metrics.tsdb.chunk.Chunk.decode", lambda *_: pytest.fail("decoded again"))
    assert one_of(store) == first and store.recent.bytes == kept
    assert one_of(store, 20_000, 90_000) == {t: v for t, v in first.items() if 20_000 <= t <= 90_000}
    await store.close()


async def test_what_was_deleted_since_is_not_answered_from_what_is_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 300)
    await lifecycle.maintain(store)
    before = one_of(store)
    store.delete_series(ONE, 10_000, 19_000)
    assert one_of(store) == {t: v for t, v in before.items() if not 10_000 <= t <= 19_000}
    await store.close()


async def test_what_is_kept_is_bounded_and_goes_with_its_chunk(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.recent = Recent(20_000)
    scraped(store, 0, 700, 20)
    await lifecycle.maintain(store)
    for i in range(20):
        store.select([Matcher(MatchType.EQUAL, "i", str(i))], *ALWAYS)
        assert store.recent.bytes <= 20_000
    await lifecycle.join(store, list(store.blocks))
    one_of(store)
    assert all_of(store) == expected(0, 700, 20)
    assert sum(1 for keeper, _, _ in store.recent._queue if keeper() is not None) <= 4
    await store.close()


class Owner:
    kept: dict[bytes, object] | None = None


def test_queries_of_many_rows_push_nothing_out() -> None:
    recent, first, second = Recent(100), Owner(), Owner()
    recent.keep(first, b"a", 1, 60)
    recent.keep(second, b"b", 2, 60, if_room=True)
    assert first.kept == {b"a": 1} and not second.kept and recent.bytes == 60
    recent.keep(second, b"b", 2, 60)
    assert not first.kept and second.kept == {b"b": 2} and recent.bytes == 60
    recent.keep(first, b"large", 3, 101)
    assert not first.kept and recent.bytes == 60
    del second
    recent.keep(first, b"c", 4, 100, if_room=True)
    assert first.kept == {b"c": 4} and recent.bytes == 100


async def test_damage_that_a_scan_meets_is_set_aside_and_the_next_scan_is_without_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 130, 600)
    await lifecycle.maintain(store)
    assert len(store.blocks) == 1
    scan = store.scan(EVERYTHING, *ALWAYS)  # heads are read
    damaged = store.blocks[0].directory
    path = store.blocks[0].contents.chunks[0].path
    assert path is not None
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ReadAgain):
        scan.selection()
    left = found(store.scan(EVERYTHING, *ALWAYS).selection())
    assert left and all(min(samples) >= 60_000 for samples in left.values())
    assert not damaged.exists() and store.failures == {"damaged block": 1}
    await store.close()


async def test_damage_that_a_scan_of_few_series_meets_is_set_aside_by_the_scan_itself(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 130)
    await lifecycle.maintain(store)
    store.scan(ONE, 0, 1_000)  # the head is read, and one row
    store.recent.bytes_max = 0
    path = store.blocks[0].contents.chunks[0].path
    assert path is not None
    path.write_bytes(b"x" * path.stat().st_size)
    left = found(store.scan(EVERYTHING, *ALWAYS).selection())
    assert len(left) == 5 and all(min(samples) >= 60_000 for samples in left.values())
    assert store.failures == {"damaged block": 1}
    await store.close()


@pytest.mark.parametrize("count", [1, 7, 64, 65, 200])
async def test_few_series_and_many_are_answered_alike(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a block, a chunk that is sealed and an open matrix; rows of a target in disorder, others in two targets, gaps."""
    monkeypatch.setattr(assembly, "FEW_SERIES_MAX", 64)
    store = opened(tmp_path)
    names = series(200)
    disordered, other = store.layout([*names[100:150], *names[:100]]), store.layout(names[150:])
    want: dict[int, dict[int, float]] = {i: {} for i in range(200)}
    for k in range(190):
        if k == 130:  # from then on one target has what two had
            disordered, other = store.layout(names), store.layout(series(3, "n"))
        size = disordered.size
        values = np.arange(size) * 1000.0 + k
        order = np.arange(200) if size == 200 else np.concatenate([np.arange(100, 150), np.arange(100)])
        values[order % 7 == k % 7] = ABSENT
        assert not store.append(disordered, k * 1000, values)
        for i, value in zip(order.tolist(), values.tolist(), strict=True):
            if i % 7 != k % 7:
                want[i][k * 1000] = value
        if k < 130:
            assert not store.append(other, k * 1000, np.full(50, k / 2))
            for i in range(150, 200):
                want[i][k * 1000] = k / 2
        if k == 125:
            await lifecycle.maintain(store)
    wanted = np.random.default_rng(count).permutation(200)[:count].tolist()
    chosen = [Matcher(MatchType.REGEXP, "i", "|".join(map(str, wanted))), *named("m")]
    for start, end in ((0, 200_000), (30_500, 70_000), (126_000, 131_000), (188_000, 400_000)):
        answered = found(store.scan(chosen, start, end).selection())
        expect = {i: {t: v for t, v in want[i].items() if start <= t <= end} for i in wanted}
        assert answered == {
            names[i]: {t: int(np.float64(v).view(np.uint64)) for t, v in samples.items()} for i, samples in expect.items() if samples
        }
    await store.close()


def test_a_scan_of_too_much_is_refused_before_anything_is_read() -> None:
    store = opened(None, select_cells_max=1_000)
    scraped(store, 0, 300)
    with pytest.raises(LimitExceeded, match="more than 1000 samples"):
        store.scan(named("m"), 0, 300_000)


def test_a_scan_says_at_most_how_much_it_will_read() -> None:
    store = opened(None)
    scraped(store, 0, 100, 30)
    scan = store.scan(named("m"), 10_000, 90_000)
    assert sum(u.cells for u in scan.unread) == 30 * 81
    assert np.concatenate([u.rows for u in scan.unread]).tolist() == list(range(30))
