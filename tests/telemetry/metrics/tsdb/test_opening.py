"""What is found on disk: after a crash at any step, damaged, of another version, in use."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.errors import DirectoryInUse
from tests.telemetry.metrics.tsdb.stores import abandon, all_of, expected, opened, scraped


async def filled(directory: Path, columns: int = 200) -> None:
    """Two blocks and a head, closed."""
    store = opened(directory)
    scraped(store, 0, columns)
    await lifecycle.maintain(store)
    assert len(store.blocks) == 2
    await store.close()


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def block(directory: Path) -> Path:
    return sorted(directory.glob("b-*"))[0]


async def test_a_second_store_on_the_directory_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(DirectoryInUse, match=f"in use by process {os.getpid()}"):
        opened(tmp_path)
    await store.close()
    await opened(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="file/store"):
        opened(tmp_path / "file" / "store")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda b: (b / "meta.json").write_text("{"), "meta.json"),
        (lambda b: (b / "meta.json").unlink(), "meta.json"),
        (lambda b: (b / "chunks").unlink(), "missing"),
        (lambda b: flip(b / "chunks", -2), "complete"),
        (lambda b: os.truncate(b / "chunks", 100), "complete"),
        (lambda b: os.truncate(b / "chunks", 0), "not a file"),
        (lambda b: (b / "tombstones.json").write_text("[]"), "tombstones"),
    ],
    ids=["meta", "no-meta", "no-chunks", "end", "short", "empty", "tombstones"],
)
async def test_a_damaged_block_is_set_aside_and_the_rest_answers(
    tmp_path: Path, harm: Callable[[Path], object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(tmp_path)
    first = block(tmp_path)
    harm(first)
    store = opened(tmp_path)
    assert all_of(store) == expected(60, 200)
    assert not first.exists() and first.with_name(first.name + ".damaged").exists()
    assert store.failures == {"damaged block": 1}
    assert "set aside" in caplog.text
    await store.close()


async def test_damage_that_is_found_when_a_chunk_is_read_sets_the_block_aside(tmp_path: Path) -> None:
    await filled(tmp_path)
    data = (block(tmp_path) / "chunks").read_bytes()
    flip(block(tmp_path) / "chunks", len(data) - 40)  # within the last chunk
    store = opened(tmp_path)
    assert len(store.blocks) == 2
    assert all_of(store) == expected(60, 200)
    assert len(store.blocks) == 1 and store.failures == {"damaged block": 1}
    await store.close()


async def test_a_torn_log_loses_what_is_torn_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 30)
    await store.synced()
    abandon(store)
    log = next((tmp_path / "wal").iterdir())
    whole = log.read_bytes()
    for cut in (1, 7, 30):
        log.write_bytes(whole[:-cut])
        again = opened(tmp_path)
        assert all_of(again) == expected(0, 29)
        abandon(again)
        shutil.rmtree(tmp_path / "head")
    assert not list(tmp_path.rglob("*.damaged"))


async def test_what_is_appended_after_a_torn_log_is_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 30)
    await store.synced()
    abandon(store)
    log = next((tmp_path / "wal").iterdir())
    os.truncate(log, log.stat().st_size - 5)
    store = opened(tmp_path)
    scraped(store, 29, 40)
    await store.synced()
    abandon(store)
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 40)
    await again.close()


async def test_a_damaged_segment_is_set_aside_and_later_ones_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(tmp_path, wal_segment_bytes=1_000)
    scraped(store, 0, 60)
    await store.synced()
    abandon(store)
    logs = sorted((tmp_path / "wal").iterdir())
    assert len(logs) > 2
    flip(logs[0], 400)
    again = opened(tmp_path)
    kept = all_of(again)
    assert all(samples.items() <= expected(0, 60)[s].items() for s, samples in kept.items())
    assert all(59_000 in samples and len(samples) > 20 for samples in kept.values())
    assert logs[0].with_name(logs[0].name + ".damaged").exists() and "damaged" in caplog.text
    await again.close()


async def test_a_damaged_file_of_the_head_loses_what_the_log_has_not(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 40)
    await store.synced()
    await store.close()
    (path,) = (tmp_path / "head").iterdir()
    path.write_bytes(b"garbage" * 10)
    again = opened(tmp_path)
    assert all_of(again) in ({}, expected(0, 40))
    scraped(again, 40, 50)
    assert all(max(s) == 49_000 for s in all_of(again).values())
    assert list((tmp_path / "head").glob("*.damaged"))
    await again.close()


async def test_half_made_blocks_are_removed_and_finished_ones_replace_their_sources(tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "tmp-half").mkdir()
    (tmp_path / "tmp-half" / "chunks").write_bytes(b"half")
    before = tmp_path / "before"
    shutil.copytree(tmp_path, before, ignore=shutil.ignore_patterns("before"))
    store = opened(tmp_path)
    assert not (tmp_path / "tmp-half").exists()
    await lifecycle.join(store, list(store.blocks))
    (joined,) = [b.name for b in store.blocks]
    await store.close()
    for old in sorted(before.glob("b-*")):  # the crash came before the sources were removed
        shutil.copytree(old, tmp_path / old.name)
    again = opened(tmp_path)
    assert [b.name for b in again.blocks] == [joined] == [p.name for p in tmp_path.glob("b-*")]
    assert all_of(again) == expected(0, 200)
    await again.close()


@pytest.mark.parametrize("kept", [0, 5, 8, 20])
async def test_a_file_of_the_head_that_was_just_begun_is_no_damage(tmp_path: Path, kept: int) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 40)
    await store.synced()
    store.head.seal_all()
    (window,) = store.windows.values()
    writing = window.begin_write()
    window.write(writing)
    abandon(store)
    assert window.path is not None
    os.truncate(window.path, kept)
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 40) and again.failures == {}
    await again.close()


async def test_files_of_the_head_that_are_in_a_block_are_removed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scraped(store, 0, 100)
    await lifecycle.flush(store, everything=True)
    kept = {p: p.read_bytes() for p in (tmp_path / "head").iterdir()}
    await lifecycle.cut(store, 0)
    await store.close()
    for path, data in kept.items():  # the crash came before they were removed
        if not path.exists():
            path.write_bytes(data)
    again = opened(tmp_path)
    assert all_of(again) == expected(0, 100)
    assert not [p for p in (tmp_path / "head").iterdir() if p.name.startswith("0.")]
    await again.close()
