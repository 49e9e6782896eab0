"""What every store keeps of its contract (store/interface.py), engine by engine."""

import asyncio

import orjson
import pytest

from podium.store.errors import Compacted, FutureRevision, RevisionMismatch, StoreError, WatchLagged
from podium.store.interface import ABSENT
from tests.store.samples import encode, notes, said

POD = "/core/pods/default/"


async def fill(store, count, prefix=POD):
    return [await store.put(f"{prefix}p{n:03d}", encode(str(n)), expected=ABSENT) for n in range(count)]


# Writing


async def test_a_new_store_is_at_revision_1(store):
    assert (store.revision, store.oldest_revision) == (1, 1)
    assert await store.get(POD + "a") is None
    assert (await store.range("/")).records == []


async def test_every_write_gets_the_next_revision(store):
    first = await store.put(POD + "a", encode("1"), expected=ABSENT)
    second = await store.put("/core/nodes/n", encode("2"), expected=None)
    third = await store.put(POD + "a", encode("3"), expected=first.revision)
    gone = await store.delete(POD + "a", expected=None)
    assert [r.revision for r in (first, second, third, gone)] == [2, 3, 4, 5] and store.revision == 5
    assert [r.created for r in (first, second, third, gone)] == [2, 3, 2, 2]


async def test_bytes_and_value_carry_the_revision(store):
    value = {"metadata": {"name": "x"}, "note": "1"}
    record = await store.put(POD + "a", orjson.dumps(value), expected=ABSENT, value=value)
    assert record.value is value and value["metadata"]["resourceVersion"] == "2"
    assert orjson.loads(record.encoded) == value
    assert record.encoded == b'{"metadata":{"resourceVersion":"2","name":"x"},"note":"1"}'


async def test_a_deletion_returns_the_last_value_with_its_own_revision(store):
    await store.put(POD + "a", encode("1"), expected=ABSENT)
    gone = await store.delete(POD + "a", expected=2)
    assert orjson.loads(gone.encoded) == gone.value == {"metadata": {"resourceVersion": "3", "name": "x"}, "note": "1"}


async def test_deleting_what_is_absent_is_no_write(store):
    assert await store.delete(POD + "a", expected=None) is None
    assert await store.delete(POD + "a", expected=ABSENT) is None
    assert store.revision == 1


@pytest.mark.parametrize(
    ("present", "expected", "actual"),
    [(True, ABSENT, 2), (True, 1, 2), (True, 99, 2), (False, 5, 0)],
)
async def test_a_mismatch_names_both_revisions_and_changes_nothing(store, present, expected, actual):
    if present:
        await store.put(POD + "a", encode("1"), expected=ABSENT)
    before = store.revision
    for attempt in (store.put(POD + "a", encode("2"), expected=expected), store.delete(POD + "a", expected=expected)):
        with pytest.raises(RevisionMismatch) as raised:
            await attempt
        assert (raised.value.key, raised.value.expected, raised.value.actual) == (POD + "a", expected, actual)
    assert store.revision == before


async def test_a_recreated_key_starts_a_new_life(store):
    await store.put(POD + "a", encode("1"), expected=ABSENT)
    await store.delete(POD + "a", expected=2)
    record = await store.put(POD + "a", encode("2"), expected=ABSENT)
    assert (record.revision, record.created) == (4, 4)


async def test_concurrent_writers_are_serialised_in_call_order(store):
    results = await asyncio.gather(*(store.put(POD + "a", encode(str(n)), expected=None) for n in range(50)))
    assert [r.revision for r in results] == list(range(2, 52))
    assert (await store.get(POD + "a")).value["note"] == "49"


async def test_of_concurrent_writers_at_one_revision_exactly_one_wins(store):
    await store.put(POD + "a", encode("0"), expected=ABSENT)
    results = await asyncio.gather(*(store.put(POD + "a", encode(str(n)), expected=2) for n in range(10)), return_exceptions=True)
    assert [type(r) for r in results[1:]] == [RevisionMismatch] * 9 and results[0].revision == 3


async def test_keys_must_lie_in_a_bucket(store):
    for key in ("pods/a", "/pods", "/core/pods"):
        with pytest.raises(ValueError):
            await store.put(key, encode("1"), expected=None)
    assert store.revision == 1


# Reading


async def test_ranges_are_in_key_order_across_buckets(store):
    keys = ["/a/b/x", "/a/b-c/y", "/a/b/w/v", "/apps/x/1", "/a/b-c/x"]
    for key in keys:
        await store.put(key, encode(key), expected=ABSENT)
    for prefix in ("/", "/a/", "/a/b", "/a/b/", "/a/b/w", "/a/b/w/", "/nothing/", "/nothing/here/"):
        expect = sorted(key for key in keys if key.startswith(prefix))
        assert [r.key for r in (await store.range(prefix)).records] == expect
        assert store.count(prefix) == len(expect)


async def test_pages_follow_one_another_at_one_revision(store):
    await fill(store, 10)
    await fill(store, 5, "/core/pods/other/")
    first = await store.range("/core/pods/", limit=4)
    await store.delete(POD + "p001", expected=None)
    await store.delete(POD + "p005", expected=None)
    await store.put(POD + "p0055", encode("new"), expected=ABSENT)
    await store.put(POD + "p006", encode("changed"), expected=None)
    seen, page = [*first.records], first
    while page.remaining:
        page = await store.range("/core/pods/", after=seen[-1].key, limit=4, revision=first.revision)
        assert page.revision == first.revision and page.remaining == 15 - len(seen) - len(page.records)
        seen += page.records
    assert [r.key for r in seen] == [f"{POD}p{n:03d}" for n in range(10)] + [f"/core/pods/other/p{n:03d}" for n in range(5)]
    assert notes(seen) == [*map(str, range(10)), *map(str, range(5))]


async def test_a_page_limit_holds_across_buckets(store):
    for key in ("/a/a/1", "/a/b/1", "/a/b/2", "/a/c/1", "/a/c/2"):
        await store.put(key, encode(key), expected=ABSENT)
    page = await store.range("/a/", limit=2)
    assert ([r.key for r in page.records], page.remaining) == (["/a/a/1", "/a/b/1"], 3)
    page = await store.range("/a/", limit=2, after="/a/b/1")
    assert ([r.key for r in page.records], page.remaining) == (["/a/b/2", "/a/c/1"], 1)


async def test_reads_at_a_revision_see_writes_up_to_and_including_it(store):
    await store.put(POD + "a", encode("1"), expected=ABSENT)  # 2
    await store.put(POD + "a", encode("2"), expected=2)  # 3
    await store.delete(POD + "a", expected=3)  # 4
    await store.put(POD + "b", encode("b"), expected=ABSENT)  # 5
    await store.put(POD + "a", encode("3"), expected=ABSENT)  # 6
    expect = {1: [], 2: ["1"], 3: ["2"], 4: [], 5: ["b"], 6: ["3", "b"]}
    assert {r: notes((await store.range(POD, revision=r)).records) for r in expect} == expect


async def test_the_future_cannot_be_read(store):
    with pytest.raises(FutureRevision) as raised:
        await store.range(POD, revision=2)
    assert (raised.value.revision, raised.value.newest) == (2, 1)


# Watching


async def next_events(watch, count):
    events = []
    while len(events) < count:
        events += await asyncio.wait_for(anext(watch), 5)
    return events


async def test_a_watch_continues_history_with_the_present(store):
    await store.put(POD + "a", encode("1"), expected=ABSENT)  # 2
    await store.put(POD + "a", encode("2"), expected=2)  # 3
    await store.put("/core/nodes/n", encode("n"), expected=ABSENT)  # 4
    watch = store.watch(POD, 2)
    await store.delete(POD + "a", expected=3)  # 5
    await store.put("/core/pods/other/a", encode("o"), expected=ABSENT)  # 6
    await store.put(POD + "b", encode("b"), expected=ABSENT)  # 7
    assert said(await next_events(watch, 3)) == [
        ("update", POD + "a", 3, "2"),
        ("delete", POD + "a", 5, "2"),
        ("create", POD + "b", 7, "b"),
    ]
    watch.close()


async def test_events_carry_the_version_before(store):
    await store.put(POD + "a", encode("1"), expected=ABSENT)
    await store.put(POD + "a", encode("2"), expected=2)
    await store.delete(POD + "a", expected=3)
    before = [e.previous and e.previous.value["note"] for e in store.history(POD, 1)]
    assert before == [None, "1", "2"]


async def test_every_watcher_sees_every_event_once_under_concurrent_writes(store):
    """Watches opened at random moments from random revisions, while writers run: no gap, no duplicate."""
    watches = [(store.watch("/", 1), 1)]

    async def write(n):
        for i in range(20):
            await store.put(f"/core/pods/ns{n % 3}/p{i % 7}", encode(f"{n}/{i}"), expected=None)
            if i % 5 == n % 5:
                revision = max(1, store.revision - n)
                watches.append((store.watch("/", revision), revision))

    await asyncio.gather(*(write(n) for n in range(10)))
    assert store.revision == 201 and len(watches) == 41
    for watch, after in watches:
        seen = [e.revision for e in await next_events(watch, 201 - after)] if after < 201 else []
        assert seen == list(range(after + 1, 202))
        watch.close()


async def test_a_lagging_watch_ends_with_an_error_and_others_go_on(store):
    slow, fast = store.watch(POD, 1, buffer_events_max=5), store.watch(POD, 1)
    await fill(store, 6)
    with pytest.raises(WatchLagged):
        await anext(slow)
    assert len(await next_events(fast, 6)) == 6
    resumed = store.watch(POD, 1, buffer_events_max=5)
    assert len(await next_events(resumed, 6)) == 6
    fast.close()


async def test_a_closed_watch_ends(store):
    watch = store.watch(POD, 1)
    reader = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    watch.close()
    with pytest.raises(StopAsyncIteration):
        await reader


async def test_a_watch_from_a_revision_to_come_starts_there(store):
    watch = store.watch(POD, 3)
    await fill(store, 4)
    assert [e.revision for e in await next_events(watch, 2)] == [4, 5]


async def test_a_cancelled_read_of_a_watch_loses_nothing(store):
    watch = store.watch(POD, 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(watch), 0.01)
    await fill(store, 1)
    assert [e.revision for e in await next_events(watch, 1)] == [2]


async def test_the_feed_speaks_when_reads_see_it_and_before_the_writer_knows(store):
    order = []

    def listener(events):
        order.append(("feed", store.revision, [e.revision for e in events]))

    cancel = store.feed(POD, listener)
    await store.put(POD + "a", encode("1"), expected=ABSENT)
    order.append("written")
    cancel()
    await store.put(POD + "b", encode("1"), expected=ABSENT)
    cancel()
    assert order == [("feed", 2, [2]), "written"]


@pytest.mark.parametrize(
    ("prefix", "expect"),
    [
        ("/", [2, 3, 4, 5]),
        ("/core/", [2, 3, 4]),
        ("/core/pods/", [2, 3]),
        ("/core/pods/a/", [2]),
        ("/apps/deployments/", [5]),
        ("/apps/x/", []),
    ],
)
async def test_the_feed_is_by_prefix(store, prefix, expect):
    heard = []
    store.feed(prefix, heard.extend)
    for key in ("/core/pods/a/1", "/core/pods/b/1", "/core/nodes/1", "/apps/deployments/a/1"):
        await store.put(key, encode("1"), expected=ABSENT)
    assert [e.revision for e in heard] == expect == [e.revision for e in store.history(prefix, 1)]


async def test_a_listener_that_fails_does_not_silence_the_others(store, caplog):
    heard = []

    def broken(events):
        raise RuntimeError("broken listener")

    store.feed(POD, broken)
    store.feed(POD, heard.extend)
    await store.put(POD + "a", encode("1"), expected=ABSENT)
    assert len(heard) == 1 and "broken listener" in caplog.text


# Compaction


async def test_compaction_forgets_history_and_keeps_the_present(store):
    await fill(store, 5)  # 2..6
    for n in range(5):
        await store.put(f"{POD}p{n:03d}", encode(f"{n}'"), expected=None)  # 7..11
    await store.delete(POD + "p004", expected=None)  # 12
    await store.compact(9)
    assert (store.oldest_revision, store.revision) == (9, 12)
    for revision in (1, 8):
        with pytest.raises(Compacted) as raised:
            await store.range(POD, revision=revision)
        assert (raised.value.revision, raised.value.oldest) == (revision, 9)
        with pytest.raises(Compacted):
            store.watch(POD, revision)
        with pytest.raises(Compacted):
            store.history(POD, revision)
    assert notes((await store.range(POD, revision=9)).records) == ["0'", "1'", "2'", "3", "4"]
    assert notes((await store.range(POD, revision=11)).records) == ["0'", "1'", "2'", "3'", "4'"]
    assert notes((await store.range(POD)).records) == ["0'", "1'", "2'", "3'"]
    assert [e.revision for e in store.history(POD, 9)] == [10, 11, 12]


async def test_compaction_up_to_now_keeps_every_key_and_forgets_the_dead(store):
    await fill(store, 3)
    await store.delete(POD + "p001", expected=None)
    await store.compact(store.revision)
    assert notes((await store.range(POD)).records) == ["0", "2"]
    assert store.history(POD, store.revision) == []
    record = await store.put(POD + "p001", encode("again"), expected=ABSENT)
    assert record.created == record.revision == 6


async def test_compaction_is_idempotent_and_not_of_the_future(store):
    await fill(store, 3)
    await store.compact(3)
    await store.compact(2)
    await store.compact(3)
    assert store.oldest_revision == 3
    with pytest.raises(FutureRevision):
        await store.compact(99)


# Closing


async def test_closing_ends_watches_and_refuses_writes(store):
    await fill(store, 1)
    watch = store.watch(POD, 2)
    reader = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StopAsyncIteration):
        await reader
    with pytest.raises(StoreError):
        await store.put(POD + "z", encode("1"), expected=None)
    await store.close()
