"""Any sequence of operations gives what a naive model gives: a list of every version there ever was.

Both engines run the same sequence; the one on disk is also closed and opened again in between.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from podium.store import folding
from podium.store.errors import Compacted, FutureRevision, RevisionMismatch
from podium.store.memory import MemoryStore
from podium.store.sqlite import SqliteStore
from tests.store.samples import encode, said

KEYS = ["/a/b-c/x", "/a/b/x", "/a/b/x/1", "/a/b/y/1", "/a/b/y/10", "/a/b/y/2", "/apps/b/y/1", "/apps/b/z"]
PREFIXES = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/y", "/a/b/y/", "/a/b/y/1", "/apps/b/", "/none/", "/none/at/all/"]

keys = st.sampled_from(KEYS)
prefixes = st.sampled_from(PREFIXES)
offsets = st.integers(-1, 15)  # how far below now


class Model:
    """`log` is every change: (kind, key, revision, note)."""

    def __init__(self):
        self.log = []
        self.oldest = 1

    @property
    def revision(self):
        return 1 + len(self.log)

    def at(self, prefix, revision):
        """{key: (revision, note)} in key order."""
        state = {}
        for kind, key, changed, note in self.log:
            if changed <= revision:
                state.pop(key, None)
                if kind != "delete":
                    state[key] = (changed, note)
        return {key: state[key] for key in sorted(state) if key.startswith(prefix)}

    def created(self, key):
        """The revision of the last creation of `key`."""
        return [revision for kind, changed, revision, _ in self.log if kind == "create" and changed == key][-1]

    def events(self, prefix, after):
        return [event for event in self.log if event[2] > after and event[1].startswith(prefix)]

    def write(self, kind, key, note):
        self.log.append((kind, key, self.revision + 1, note))


class Stores(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "store.db"
        self.fold_writes_max, folding.FOLD_WRITES_MAX = folding.FOLD_WRITES_MAX, 3
        self.stores = [MemoryStore(), self.loop.run_until_complete(self._open())]
        self.model = Model()
        self.watches = []
        self.written = 0

    def teardown(self):
        if hasattr(self, "loop"):
            for store in self.stores:
                self.run(store.close())
            self.loop.close()
            folding.FOLD_WRITES_MAX = self.fold_writes_max
            shutil.rmtree(self.directory)

    async def _open(self):
        return SqliteStore.open(self.path)

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def both(self, do):
        """What `do(store)` gives or raises, the same for both."""

        async def attempt(store):
            try:
                return await do(store)
            except (RevisionMismatch, Compacted, FutureRevision) as error:
                return type(error).__name__, str(error)

        memory, sqlite = (self.run(attempt(store)) for store in self.stores)
        assert memory == sqlite
        return memory

    # Writing

    @rule(key=keys, choice=st.sampled_from(["any", "right", "absent", "stale"]), deleting=st.booleans())
    def write(self, key, choice, deleting):
        now = self.model.at("/", self.model.revision).get(key, (0, ""))
        expected = {"any": None, "right": now[0], "absent": 0, "stale": now[0] - 1 if now[0] else 7}[choice]
        self.written += 1
        note = str(self.written)

        async def do(store):
            record = await (store.delete(key, expected=expected) if deleting else store.put(key, encode(note), expected=expected))
            return record and (record.revision, record.value["note"], record.value["metadata"]["resourceVersion"], record.created)

        result = self.both(do)
        if expected is not None and expected != now[0]:
            assert result == ("RevisionMismatch", f"{key} is at revision {now[0]}, not {expected}")
        elif deleting and not now[0]:
            assert result is None
        else:
            self.model.write("delete" if deleting else ("update" if now[0] else "create"), key, now[1] if deleting else note)
            assert result[:3] == (self.model.revision, self.model.log[-1][3], str(self.model.revision))
            assert result[3] == self.model.created(key)

    @rule(count=st.integers(2, 6), key=keys)
    def write_at_once(self, count, key):
        """Several writers of one key in one batch."""
        notes = [f"{self.written + n + 1}" for n in range(count)]
        self.written += count

        async def do(store):
            return [r.revision for r in await asyncio.gather(*(store.put(key, encode(note), expected=None) for note in notes))]

        first = self.model.revision + 1
        assert self.both(do) == list(range(first, first + count))
        for note in notes:
            self.model.write("update" if key in self.model.at("/", self.model.revision) else "create", key, note)

    @rule(offset=st.one_of(offsets, st.integers(8, 30)))
    def compact(self, offset):
        revision = max(1, self.model.revision - offset)

        async def do(store):
            await store.compact(revision)

        result = self.both(do)
        if revision > self.model.revision:
            assert result[0] == "FutureRevision"
        else:
            self.model.oldest = max(self.model.oldest, revision)

    @rule()
    def reopen(self):
        async def again():
            await self.stores[1].close()
            return await self._open()

        self.stores[1] = self.run(again())
        self.watches = []

    # Reading

    @rule(prefix=prefixes, after=st.sampled_from(["", *KEYS]), limit=st.integers(0, 4), offset=offsets)
    def read(self, prefix, after, limit, offset):
        revision = max(1, self.model.revision - offset)

        async def do(store):
            page = await store.range(prefix, after=after, limit=limit, revision=revision)
            return [(r.key, r.revision, r.value["note"]) for r in page.records], page.revision, page.remaining

        result = self.both(do)
        if revision > self.model.revision:
            assert result[0] == "FutureRevision"
        elif revision < self.model.oldest:
            assert result[0] == "Compacted"
        else:
            rows = [(k, r, n) for k, (r, n) in self.model.at(prefix, revision).items() if k > after]
            cut = limit or len(rows)
            assert result == (rows[:cut], revision, len(rows[cut:]))

    @rule(prefix=prefixes, offset=offsets)
    def watch(self, prefix, offset):
        revision = max(1, self.model.revision - max(0, offset))
        for store in self.stores:
            try:
                watch = store.watch(prefix, revision)
            except Compacted:
                assert revision < self.model.oldest
            else:
                assert revision >= self.model.oldest
                self.watches.append((watch, prefix, revision, []))

    @precondition(lambda self: getattr(self, "watches", None))
    @rule()
    def catch_up(self):
        async def drain(watch, seen, count):
            while len(seen) < count:
                seen += said(await asyncio.wait_for(anext(watch), 5))

        for watch, prefix, after, seen in self.watches:
            expect = self.model.events(prefix, after)
            self.run(drain(watch, seen, len(expect)))
            assert seen == expect

    @invariant()
    def agree_on_now(self):
        if not hasattr(self, "stores"):
            return
        model = self.model
        for store in self.stores:
            assert (store.revision, store.oldest_revision) == (model.revision, model.oldest)
            for prefix in PREFIXES:
                assert store.count(prefix) == len(model.at(prefix, model.revision))
                assert said(store.history(prefix, model.oldest)) == model.events(prefix, model.oldest)
            for revision in {model.oldest, (model.oldest + model.revision) // 2, model.revision}:
                records = self.run(store.range("/", revision=revision)).records
                assert [(r.key, r.revision, r.value["note"]) for r in records] == [(k, *v) for k, v in model.at("/", revision).items()]


TestStores = pytest.mark.slow(Stores.TestCase)
TestStores.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
