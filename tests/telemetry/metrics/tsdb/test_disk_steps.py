"""Every step of the disk can be the last one, or find no space: nothing acknowledged is lost, nothing comes twice, nothing is left over.

All steps: make fuzz-metrics, or python -m tests.telemetry.metrics.tsdb.disk_story kill (torn, full)
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.labels import Matcher, MatchType
from podium.telemetry.metrics.tsdb import lifecycle
from tests.telemetry.metrics.tsdb.disk_steps import Disk, counted
from tests.telemetry.metrics.tsdb.stores import STEP_MS, abandon, all_of, expected, opened, scraped, series

ROOT = Path(__file__).parents[4]
EVERY = 97
ONE = [Matcher(MatchType.EQUAL, "i", "1")]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "first"), [("kill", 0), ("torn", 20), ("full", 40)])
def test_a_store_survives_at_each_step(mode: str, first: int) -> None:
    command = [sys.executable, "-m", "tests.telemetry.metrics.tsdb.disk_story", mode, "--every", str(EVERY), "--first", str(first)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 5, done.stdout


async def test_a_log_that_found_no_space_for_a_new_segment_goes_on_when_there_is_some(tmp_path: Path) -> None:
    store = opened(tmp_path, wal_segment_bytes=500)
    scraped(store, 0, 3)
    await store.synced()
    with counted(Disk(0, full=1)):
        scraped(store, 3, 40)
        with pytest.raises(StorageFailed, match="No space left on device"):
            await store.synced()
        await store.synced()
    abandon(store)
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 40)
    await again.close()


@pytest.mark.parametrize("failing", range(0, 12, 2))
async def test_a_deletion_that_found_no_space_is_whole_when_it_is_repeated(tmp_path: Path, failing: int) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 40)
    await lifecycle.flush(store, everything=True)
    scraped(store, 40, 50)
    try:
        with counted(disk := Disk(failing, full=3)):
            store.delete_series(ONE, 5 * STEP_MS, 44 * STEP_MS)
    except StorageFailed as error:
        assert "No space left on device" in str(error)
        assert set(all_of(store)) == set(series(5))
        store.delete_series(ONE, 5 * STEP_MS, 44 * STEP_MS)
    else:
        assert not disk.failed
    await store.synced()
    left = expected(0, 50)
    left[series(5)[1]] = {t: v for t, v in left[series(5)[1]].items() if not 5 <= t // STEP_MS <= 44}
    assert all_of(store) == left
    abandon(store)
    again = opened(tmp_path)
    assert all_of(again) == left
    await again.close()


async def test_what_a_crash_left_half_done_is_removed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 200)
    await store.synced()
    await lifecycle.maintain(store)
    [block, *_] = store.blocks
    abandon(store)
    (block.directory / "tombstones.json.tmp").write_text("{")
    (tmp_path / "tmp-x").mkdir()
    (tmp_path / "snapshots" / "tmp-y" / "b-0-1-1-z").mkdir(parents=True)
    (tmp_path / "snapshots" / "tmp-y" / "b-0-1-1-z" / "chunks").write_bytes(b"")
    again = opened(tmp_path)
    assert list(tmp_path.rglob("*tmp*")) == []
    assert all_of(again) == expected(0, 200)
    await again.close()


async def test_appends_go_on_in_memory_while_the_disk_is_full(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with counted(Disk(0, full=1 << 30)):
        scraped(store, 0, 100)
        for _ in range(3):
            with pytest.raises(StorageFailed, match="No space left on device"):
                await store.synced()
        assert all_of(store) == expected(0, 100)
    layout = store.layout(series(5))
    assert not store.append(layout, 100 * STEP_MS, np.arange(5) * 100.0 + 100)
    await store.synced()
    abandon(store)
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 101)
    await again.close()
