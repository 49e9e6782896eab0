"""Concurrent writers with preconditions and watchers, under faults: the API is linearizable, and watches deliver every change once, in order.

Faults: the store refuses before or after a write, requests are cancelled, watchers are slow or lose their connection, the history is compacted
under them, and on SQLite the server is stopped and started on the same file. A failure prints its seed; LINEARIZABLE_SEED=n repeats it,
LINEARIZABLE_RUNS=n runs so many. Source: tests/api/history.py.
"""

import asyncio
import os
import random
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from podium.api.authority import Authority
from podium.client.interface import DeleteOptions
from podium.control_plane import ControlPlane, build
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, Conflict, NotFound, StatusError
from podium.store.errors import Compacted, StoreError
from podium.store.memory import MemoryStore
from podium.store.record import Event
from podium.store.sqlite import SqliteStore
from podium.world.http_server import Connection, HttpRequest, Response
from podium.world.real import RealWorld
from tests.api.fuzzing import ADMIN, FakeConnection, FakeStream
from tests.api.history import ABSENT, Call, Change, Log, Seen

CONFIGMAPS = resource("configmaps")
KEYS = ["a", "b", "c"]
WRITERS, WATCHERS, EPOCHS, CALLS = 4, 3, 3, 40
RUNS = int(os.environ.get("LINEARIZABLE_RUNS", "3"))
SEED = os.environ.get("LINEARIZABLE_SEED", "")


class FaultyStore:
    """Refuses now and then: before a write, or after it has been done."""

    def __init__(self, store: Any, draw: random.Random) -> None:
        self._store, self._draw = store, draw
        self.faults = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put(self, key: str, encoded: bytes, **options: Any) -> Any:
        return await self._faulty(lambda: self._store.put(key, encoded, **options))

    async def delete(self, key: str, **options: Any) -> Any:
        return await self._faulty(lambda: self._store.delete(key, **options))

    async def _faulty(self, write: Callable[[], Any]) -> Any:
        if self._draw.random() < self.faults:
            raise StoreError("injected: not written")
        for _ in range(self._draw.choice([0, 0, 1, 3])):
            await asyncio.sleep(0)
        result = await write()
        if self._draw.random() < self.faults:
            raise StoreError("injected: written, but not said")
        return result


class FlakyStream(FakeStream):
    """Takes some chunks, then is found closed or too slow."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks

    def push(self, data: bytes, buffered_bytes_max: int) -> bool:
        if self.closed or self.chunks <= 0:
            return False
        self.chunks -= 1
        self.written.append(data)
        return True

    def abort(self) -> None:
        self.closed = True


class FlakyConnection(FakeConnection):
    def at_end(self, call: Any) -> None:
        """The client stays until the test lets it go."""


class Run:
    def __init__(self, seed: str, open_store: Callable[[], Any], signing_key: bytes) -> None:
        self.draw = random.Random(seed)
        self.log = Log()
        self.seen: list[Seen] = []
        self._open_store = open_store
        self._signing_key = signing_key
        self._acknowledged = 0
        self._number = 0

    async def run(self) -> None:
        for _ in range(EPOCHS):
            store = FaultyStore(self._open_store(), self.draw)
            plane = await build(cast(Any, store), RealWorld(), service_cidr="10.96.0.0/24", signing_key=self._signing_key)
            cancel = store.feed(CONFIGMAPS.prefix + "default/", self._committed)
            self._acknowledged = store.revision
            store.faults = 0.05
            done = asyncio.Event()
            watchers = [asyncio.ensure_future(self._watch(plane, done)) for _ in range(WATCHERS)]
            compactor = asyncio.ensure_future(self._compact(store, done))
            await asyncio.gather(*(self._writer(plane, store) for _ in range(WRITERS)))
            store.faults = 0.0
            done.set()
            await asyncio.gather(compactor, *watchers)
            await plane.stop()  # pending writes are committed before the store is closed
            cancel()
        self.log.check()
        for seen in self.seen:
            seen.check(self.log)

    def _committed(self, events: list[Event]) -> None:
        for event in events:
            self.log.changes.append(change(event.record.revision, event.record.value, event.deleted))

    # -- requests

    async def _writer(self, plane: ControlPlane, store: FaultyStore) -> None:
        known: dict[str, int] = {}
        for _ in range(CALLS):
            verb = self.draw.choice(["get", "create", "update", "update", "patch", "delete", "get"])
            key = self.draw.choice(KEYS)
            self._number += 1
            expected = known.get(key) if verb == "update" or (verb == "delete" and self.draw.random() < 0.5) else None
            if verb == "update" and expected is None:
                verb = "get"
            call = Call(str(self._number), verb, key, expected, since=self._acknowledged)
            self.log.calls.append(call)
            task = asyncio.ensure_future(self._call(plane, call))
            for _ in range(self.draw.choice([0, 1, 2, 5])):
                await asyncio.sleep(0)
            if self.draw.random() < 0.1:
                task.cancel()
            await asyncio.wait([task])
            call.until = store.revision
            if call.outcome == "unknown":
                continue
            self._acknowledged = max(self._acknowledged, call.revision)
            known.pop(key, None) if call.revision == ABSENT else known.update({key: call.revision})

    async def _call(self, plane: ControlPlane, call: Call) -> None:
        client, data = plane.client(), {"op": call.op}
        metadata: dict[str, Any] = {"name": call.key, "namespace": "default"}
        try:
            if call.verb == "get":
                value = await client.get(CONFIGMAPS, call.key, "default")
            elif call.verb == "create":
                value = await client.create(CONFIGMAPS, {"metadata": metadata, "data": data})
            elif call.verb == "update":
                value = await client.update(CONFIGMAPS, {"metadata": {**metadata, "resourceVersion": str(call.expected)}, "data": data})
            elif call.verb == "patch":
                value = await client.patch(CONFIGMAPS, call.key, {"data": data}, "default")
            else:
                options = DeleteOptions(revision=str(call.expected)) if call.expected is not None else DeleteOptions()
                await client.delete(CONFIGMAPS, call.key, "default", options)
                call.outcome = "ok"
                return
        except NotFound:
            call.outcome = "absent"
        except AlreadyExists:
            call.outcome = "exists"
        except Conflict:
            call.outcome = "conflict" if call.expected is not None else "unknown"
        except StatusError as error:
            assert "injected" in error.message, error
        else:
            call.outcome = "ok"
            call.revision, call.seen = int(value["metadata"]["resourceVersion"]), value["data"]["op"]

    async def _compact(self, store: FaultyStore, done: asyncio.Event) -> None:
        while not done.is_set():
            await asyncio.sleep(0.002)
            if self.draw.random() < 0.3:
                await store.compact(max(store.oldest_revision, store.revision - self.draw.choice([0, 2, 10])))

    # -- watches

    async def _watch(self, plane: ControlPlane, done: asyncio.Event) -> None:
        """Lists, watches, and resumes where a connection ended; lists again when that is too old. Ends with nothing left to be sent."""
        while True:
            seen = await self._list(plane)
            self.seen.append(seen)
            while await self._follow(plane, seen, done):
                if done.is_set():
                    wanted = [c.revision for c in self.log.changes if c.revision > seen.revision]
                    if not wanted or (seen.changes and seen.changes[-1].revision == wanted[-1]):
                        return

    async def _list(self, plane: ControlPlane) -> Seen:
        page = await plane.client().list(CONFIGMAPS, "default")
        items = [change(int(i["metadata"]["resourceVersion"]), i, False) for i in page.items]
        return Seen(int(page.revision), {i.key: (i.revision, i.op) for i in items})

    async def _follow(self, plane: ControlPlane, seen: Seen, done: asyncio.Event) -> bool:
        """One connection. False when the server says that its beginning is too old."""
        last = seen.changes[-1].revision if seen.changes else seen.revision
        stream = FlakyStream(1_000 if done.is_set() else self.draw.choice([0, 1, 3, 20]))
        connection = FlakyConnection(stream)
        path = "/api/v1/namespaces/default/configmaps"
        query = {"watch": ["1"], "resourceVersion": [str(last)]}
        http = HttpRequest("GET", path, path, query, {"accept": "application/json"}, b"", ADMIN)
        response = await cast(Any, plane.server.handle(http, cast(Connection, connection)))
        if isinstance(response, Response):
            assert response.status == 410, response
            return False
        for _ in range(self.draw.choice([1, 5, 30])):
            await asyncio.sleep(0.0005)
        if stream.lost is not None:
            stream.lost()  # the client goes
        return self._take(b"".join(stream.written), seen)

    def _take(self, data: bytes, seen: Seen) -> bool:
        for line in data.split(b"\n"):
            if not line.startswith(b'{"type"'):
                continue  # the chunks' own lengths
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                assert event["object"]["code"] == 410, event
                return False
            value = event["object"]
            seen.changes.append(change(int(value["metadata"]["resourceVersion"]), value, event["type"] == "DELETED"))
        return True


def change(revision: int, value: dict[str, Any], deleted: bool) -> Change:
    return Change(revision, value["metadata"]["name"], "" if deleted else value["data"]["op"], deleted)


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
@pytest.mark.parametrize("number", range(RUNS))
async def test_requests_are_linearizable_and_watches_complete(engine: str, number: int, authority: Authority, tmp_path: Path) -> None:
    seed = SEED or f"{secrets.token_hex(4)}"
    memory = MemoryStore()

    async def nothing() -> None: ...

    memory.close = nothing  # type: ignore[method-assign]  # a memory store outlives its server here, as a file does
    run = Run(
        seed, (lambda: memory) if engine == "memory" else lambda: SqliteStore.open(tmp_path / "store.db"), authority.service_account_key
    )
    try:
        await run.run()
    except (AssertionError, Compacted) as error:
        raise AssertionError(f"{error}\nagain: LINEARIZABLE_SEED={seed} pytest -k 'linearizable and {engine}'") from error
    done = [c for c in run.log.calls if c.outcome == "ok"]
    assert len(done) > 50 and len(run.log.changes) > 30 and len(run.seen) > WATCHERS
    assert sum(len(seen.changes) for seen in run.seen) > 5


BAD = [
    ("took effect twice", [Change(2, "a", "1", False), Change(3, "a", "1", False)], Call("1", "patch", "a", None, 1, 3, "ok", 3)),
    ("acknowledged, but not so", [], Call("1", "create", "a", None, 1, 1, "ok", 2)),
    ("the precondition did not hold", [Change(2, "a", "0", False), Change(3, "a", "1", False)], Call("1", "update", "a", 1, 1, 3, "ok", 3)),
    ("never was so in that time", [Change(2, "a", "0", False)], Call("1", "get", "a", None, 2, 2, "ok", 1, "x")),
    ("said to be absent", [Change(2, "a", "0", False)], Call("1", "get", "a", None, 2, 2, "absent")),
    ("acknowledged, but not deleted", [Change(2, "a", "0", False)], Call("1", "delete", "a", None, 2, 2, "ok")),
    ("refused, but done", [Change(2, "a", "1", False)], Call("1", "create", "a", None, 1, 2, "exists")),
]


@pytest.mark.parametrize(("why", "changes", "call"), BAD, ids=[b[0] for b in BAD])
def test_the_check_finds_what_is_wrong(why: str, changes: list[Change], call: Call) -> None:
    other = Call("0", "create", "a", None, 1, 2, "ok", 2)
    log = Log(changes, [call, *([other] if any(c.op == "0" for c in changes) else [])])
    with pytest.raises(AssertionError, match=why):
        log.check()


@pytest.mark.parametrize("got", [[2, 3], [4, 3], [3, 3, 4], [4]])
def test_the_check_finds_gaps_and_repetitions_in_a_watch(got: list[int]) -> None:
    log = Log([Change(r, "a", str(r), False) for r in (2, 3, 4)])
    with pytest.raises(AssertionError):
        Seen(2, None, [Change(r, "a", str(r), False) for r in got]).check(log)
