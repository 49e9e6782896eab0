"""What only the store on disk has: restarts, damage, locks, and disks that fail."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from podium.store import folding, pending
from podium.store.errors import Compacted, RevisionMismatch, StoreDamaged, StoreError, StoreLocked
from podium.store.interface import ABSENT
from podium.store.sqlite import SqliteStore
from podium.store.sqlite_file import CommitFailed
from tests.store.samples import encode, notes, said

POD = "/core/pods/default/"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "store.db"


async def fill(store, count, start=0):
    return [await store.put(f"{POD}p{n:03d}", encode(str(n)), expected=ABSENT) for n in range(start, start + count)]


def contents(directory: Path) -> dict[str, str]:
    """Digests of the files that hold data (not of the lock and SQLite's shared memory)."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir() if not p.name.endswith((".lock", "-shm"))}


# Restarts


async def test_everything_is_there_after_a_restart(path):
    store = SqliteStore.open(path)
    await fill(store, 3)  # 2..4
    await store.put(POD + "p001", encode("1'"), expected=3)  # 5
    await store.delete(POD + "p002", expected=4)  # 6
    before = [(r.key, r.revision, r.created, r.encoded) for r in (await store.range("/")).records]
    history = said(store.history("/", 1))
    await store.close()
    again = SqliteStore.open(path)
    assert (again.revision, again.oldest_revision) == (6, 1)
    assert [(r.key, r.revision, r.created, r.encoded) for r in (await again.range("/")).records] == before
    assert said(again.history("/", 1)) == history
    assert [e.previous and e.previous.revision for e in again.history("/", 1)] == [None, None, None, 3, 4]
    assert notes((await again.range(POD, revision=4)).records) == ["0", "1", "2"]
    assert (await again.put(POD + "new", encode("n"), expected=ABSENT)).revision == 7
    await again.close()


async def test_a_watch_resumes_after_a_restart_from_the_last_revision_seen(path):
    store = SqliteStore.open(path)
    await fill(store, 5)
    await store.compact(3)
    await store.close()
    again = SqliteStore.open(path)
    watch = again.watch(POD, 4)
    await fill(again, 1, start=5)
    seen = [*await anext(watch), *await anext(watch)]
    assert [e.revision for e in seen] == [5, 6, 7]
    with pytest.raises(Compacted):
        again.watch(POD, 2)
    await again.close()


@pytest.mark.parametrize("compact_at", [2, 5, 9, 12, 31, 60])
async def test_compaction_survives_a_restart_wherever_it_falls(path, compact_at, monkeypatch):
    """Batches of several writes, steps smaller than the whole: the target falls inside a batch, between two, or on the last write."""
    monkeypatch.setattr(folding, "FOLD_WRITES_MAX", 7)
    store = SqliteStore.open(path)
    for r in range(6):
        await asyncio.gather(*(store.put(f"{POD}p{n % 4}", encode(f"{r}.{n}"), expected=None) for n in range(9)))
        await store.delete(f"{POD}p{r % 4}", expected=None)
    assert store.revision == 61
    expect = {r: notes((await store.range("/", revision=r)).records) for r in range(compact_at, 62)}
    await store.compact(compact_at)
    for opened in (store, None):
        if opened is None:
            await store.close()
            opened = SqliteStore.open(path)
        assert (opened.revision, opened.oldest_revision) == (61, compact_at)
        assert {r: notes((await opened.range("/", revision=r)).records) for r in range(compact_at, 62)} == expect
        assert [e.revision for e in opened.history("/", compact_at)] == list(range(compact_at + 1, 62))
        with pytest.raises(Compacted):
            await opened.range("/", revision=compact_at - 1)
    await opened.compact(61)
    assert [e.revision for e in opened.history("/", 61)] == []
    await opened.close()


async def test_history_over_its_bound_is_compacted_by_itself(path):
    store = SqliteStore.open(path, history_events_max=100)
    for n in range(60):
        await asyncio.gather(*(store.put(f"{POD}p{i}", encode(f"{n}.{i}"), expected=None) for i in range(5)))
    await store.compact(store.oldest_revision)  # waits for the steps under way
    assert 301 - 100 <= store.oldest_revision < 301
    assert len(store.history("/", store.oldest_revision)) <= 100
    oldest = store.oldest_revision
    await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT sum(count) FROM journal").fetchone()[0] <= 100
    again = SqliteStore.open(path)
    assert (again.revision, again.oldest_revision) == (301, oldest)
    assert notes((await again.range(POD)).records) == [f"59.{i}" for i in range(5)]
    await again.close()


# Batches


async def test_concurrent_writes_share_commits(path):
    store = SqliteStore.open(path)
    batches = []
    store.feed("/", lambda events: batches.append(len(events)))
    await asyncio.gather(*(store.put(f"{POD}p{n}", encode(str(n)), expected=ABSENT) for n in range(500)))
    assert sum(batches) == 500 and len(batches) <= 3
    await store.close()


async def test_batches_and_pending_writes_are_bounded_and_nobody_is_forgotten(path, monkeypatch):
    monkeypatch.setattr(pending, "BATCH_WRITES_MAX", 10)
    monkeypatch.setattr(pending, "PENDING_WRITES_MAX", 30)
    store = SqliteStore.open(path)
    batches = []
    store.feed("/", lambda events: batches.append(len(events)))
    writers = [asyncio.ensure_future(store.put(f"{POD}p{n}", encode(str(n)), expected=ABSENT)) for n in range(200)]
    await asyncio.sleep(0)
    assert store._pending._writes == 30
    for n in range(40, 200, 3):
        writers[n].cancel()
    results = await asyncio.gather(*writers, return_exceptions=True)
    written = [r for r in results if not isinstance(r, BaseException)]
    assert max(batches) <= 10 and sum(batches) == len(written) == 200 - len(range(40, 200, 3))
    await store.close()


async def test_unsettled_writes_are_invisible_but_count_for_checks(path):
    store = SqliteStore.open(path)
    writer = asyncio.ensure_future(store.put(POD + "a", encode("1"), expected=ABSENT))
    await asyncio.sleep(0)
    assert store.revision == 1 and await store.get(POD + "a") is None and store.count("/") == 0
    with pytest.raises(RevisionMismatch):
        await store.put(POD + "a", encode("2"), expected=ABSENT)
    assert writer.done() and (await store.get(POD + "a")).revision == 2  # the refusal came when the reason was visible
    gone = asyncio.ensure_future(store.delete(POD + "a", expected=2))
    await asyncio.sleep(0)
    assert await store.delete(POD + "a", expected=None) is None
    assert gone.done() and store.revision == 3
    await store.close()


async def test_the_write_of_a_cancelled_writer_counts(path):
    store = SqliteStore.open(path)
    writer = asyncio.ensure_future(store.put(POD + "a", encode("1"), expected=ABSENT))
    await asyncio.sleep(0)
    writer.cancel()
    await store.put(POD + "b", encode("2"), expected=ABSENT)
    assert notes((await store.range(POD)).records) == ["1", "2"]
    await store.close()


async def test_closing_waits_for_pending_writes(path):
    store = SqliteStore.open(path)
    writers = [asyncio.ensure_future(store.put(f"{POD}p{n}", encode(str(n)), expected=ABSENT)) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert all(writer.done() for writer in writers)
    again = SqliteStore.open(path)
    assert again.count(POD) == 50
    await again.close()


# Files that are not ours, or broken


async def _journal_of(path: Path, count: int = 40) -> None:
    store = SqliteStore.open(path)
    await fill(store, count)
    await store.compact(count // 2)
    await store.close()


def _flip(path: Path, needle: bytes) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(needle) + len(needle) // 2
    data[at] ^= 0x01
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _sql(statement: str):
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()

    return change


DAMAGES = {
    "text": (lambda path: path.write_bytes(b"not a store " * 100), "is not a store of Podium's"),
    "empty": (lambda path: path.write_bytes(b""), "is not a store of Podium's"),
    "another program's": (_sql("PRAGMA application_id = 1"), "another program's SQLite file"),
    "a newer format": (_sql("PRAGMA user_version = 2"), "has format 2, this version reads 1"),
    "truncated": (_truncate, "is damaged"),
    "bit in a snapshot row": (lambda path: _flip(path, b'"note":"3"'), "checksum of /core/pods/default/p003"),
    "bit in a journal row": (lambda path: _flip(path, b'"note":"33"'), "checksum of the journal at revision 35"),
    "journal gap": (_sql("DELETE FROM journal WHERE first = 30"), "goes on at revision 31 after 29"),
    "no journal": (_sql("DROP TABLE journal"), "no such table: journal"),
    "zeroed pages": (lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096)), "is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_or_foreign_file_is_refused_and_left_as_it_is(path, damage):
    change, says = DAMAGES[damage]
    await _journal_of(path)
    change(path)
    before = contents(path.parent)
    with pytest.raises(StoreDamaged) as raised:
        SqliteStore.open(path)
    assert says in str(raised.value) and "left as it is" in str(raised.value) and str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert contents(path.parent) == before
    with pytest.raises(StoreDamaged):  # the lock was let go
        SqliteStore.open(path)


async def test_damage_found_with_a_log_yet_to_be_replayed_leaves_both_files_as_they_are(path, tmp_path):
    await _journal_of(path)
    store = SqliteStore.open(path)
    await fill(store, 1, start=100)
    killed = tmp_path / "killed"
    shutil.copytree(path.parent, killed)
    await store.close()
    well = SqliteStore.open(killed / "store.db")
    assert well.count(POD) == 41
    await well.close()
    shutil.rmtree(killed)

    store = SqliteStore.open(path)
    await fill(store, 1, start=101)
    shutil.copytree(path.parent, killed)
    await store.close()
    _flip(killed / "store.db", b'"note":"3"')
    before = contents(killed)
    assert "store.db-wal" in before
    with pytest.raises(StoreDamaged, match="checksum of /core/pods/default/p003"):
        SqliteStore.open(killed / "store.db")
    assert contents(killed) == before


async def test_a_log_without_its_store_is_not_replayed_into_a_new_one(path):
    store = SqliteStore.open(path)
    await fill(store, 3)
    log = path.with_name("store.db-wal").read_bytes()
    await store.close()
    path.unlink()
    path.with_name("store.db-wal").write_bytes(log)
    with pytest.raises(StoreDamaged, match="log store\\.db-wal is there"):
        SqliteStore.open(path)
    assert list(contents(path.parent)) == ["store.db-wal"]


async def test_a_directory_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file" / "store.db", Path("/proc/podium/store.db")):
        with pytest.raises(StoreError) as raised:
            SqliteStore.open(bad)
        assert str(bad.parent) in str(raised.value) and "choose another data directory" in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_files_are_private(path):
    store = SqliteStore.open(path)
    await fill(store, 1)
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in path.parent.iterdir()} == dict.fromkeys(
        ("store.db", "store.db-wal", "store.db-shm", "store.db.lock"), "0o600"
    )
    await store.close()


async def test_a_creation_cut_short_leaves_no_store(path):
    path.parent.mkdir()
    path.with_name("store.db.new").write_bytes(b"half")
    store = SqliteStore.open(path)
    await fill(store, 1)
    await store.close()
    assert sorted(contents(path.parent)) == ["store.db"]


# The lock

HOLDER = """
import asyncio, sys
from pathlib import Path
from podium.store.sqlite import SqliteStore
from tests.store.samples import encode

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    for n in range(10):
        await store.put(f"/core/pods/default/p{n}", encode(str(n)), expected=0)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_second_process_is_refused_by_name_until_the_first_is_killed(path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", HOLDER, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    holder = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env=environment)
    try:
        assert holder.stdout is not None and await holder.stdout.readline() == b"ready\n"
        with pytest.raises(StoreLocked) as raised:
            SqliteStore.open(path)
        assert f"process {holder.pid} ({sys.executable} -c" in str(raised.value)
    finally:
        holder.kill()
        await holder.wait()
    store = SqliteStore.open(path)
    assert store.revision == 11 and store.count(POD) == 10
    await store.close()


async def test_two_stores_in_one_process_exclude_each_other(path):
    store = SqliteStore.open(path)
    with pytest.raises(StoreLocked, match=f"process {os.getpid()} "):
        SqliteStore.open(path)
    await store.close()
    await SqliteStore.open(path).close()


# Disks that fail


async def test_a_full_disk_refuses_writes_and_recovers(path):
    store = SqliteStore.open(path)
    await fill(store, 3)
    heard = []
    store.feed("/", heard.extend)
    store._file._connection.execute("PRAGMA max_page_count = 1")  # SQLite then says what it says of a full disk
    big = encode("x" * 100_000)
    results = await asyncio.gather(*(store.put(f"{POD}big{n}", big, expected=ABSENT) for n in range(5)), return_exceptions=True)
    assert all(isinstance(r, StoreError) and "disk is full" in str(r) for r in results)
    assert (store.revision, store.count(POD), heard) == (4, 3, [])
    store._file._connection.execute("PRAGMA max_page_count = 1073741823")
    record = await store.put(f"{POD}big0", big, expected=ABSENT)
    assert record.revision == 5 and [e.revision for e in heard] == [5]
    await store.close()
    again = SqliteStore.open(path)
    assert (again.revision, again.count(POD)) == (5, 4)
    await again.close()


async def test_after_an_unclear_failure_no_write_is_accepted_until_the_file_is_read_again(path, monkeypatch):
    store = SqliteStore.open(path)
    await fill(store, 3)

    def broken(events):
        raise CommitFailed("disk I/O error")

    monkeypatch.setattr(store._file, "append", broken)
    writers = [asyncio.ensure_future(store.put(f"{POD}z{n}", encode("z"), expected=ABSENT)) for n in range(3)]
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(r, StoreError) and "disk I/O error" in str(r) for r in results)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="accepts no writes since a commit failed: disk I/O error"):
        await store.put(POD + "later", encode("1"), expected=ABSENT)
    assert (store.revision, store.count(POD)) == (4, 3) and await store.get(POD + "p000")
    await store.close()
    again = SqliteStore.open(path)
    assert (await again.put(POD + "later", encode("1"), expected=ABSENT)).revision == 5
    await again.close()


async def test_a_compaction_the_disk_refuses_says_so_and_may_be_tried_again(path, monkeypatch):
    store = SqliteStore.open(path)
    await fill(store, 10)
    store._file._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="not compacted"):
        await store.compact(5)
    assert store.oldest_revision == 1
    await store.close()
    again = SqliteStore.open(path)
    await again.compact(5)
    assert again.oldest_revision == 5
    await again.close()
