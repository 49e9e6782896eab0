"""Recording events (core/v1 Event) about objects: cheap for the caller, bounded for the server.

Theory: `event()` only takes notes; `run()` writes them, at a bounded rate. On the way
1. each object has a budget per component (25 at once, one more every 300 s): a controller that creates thousands of pods says so 25
   times;
2. from the 11th on, different messages of one kind about one object within 10 minutes share one event, "(combined from similar events):
   ..." with the latest message;
3. an event equal to an earlier one patches that one's count and lastTimestamp instead of making another.

Overflow: notes past QUEUE_EVENTS_MAX are dropped, the newest first. An event is never worth blocking for; one that is refused is dropped.
Source: client-go tools/record (events_cache.go for the three rules and their numbers).
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from podium.client.backoff import Backoff
from podium.client.interface import Client, Object
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import NotFound, ServiceUnavailable, StatusError, TooManyRequests
from podium.world.interface import World

log = logger("client.events")

QUEUE_EVENTS_MAX = 5_000
WRITES_PER_S = 50.0
WRITES_BURST = 100
ATTEMPTS_MAX = 12
CACHE_ENTRIES_MAX = 4_096
OBJECT_BURST = 25
OBJECT_REFILL_S = 300.0
SIMILAR_MAX = 10
SIMILAR_WINDOW_S = 600.0
COMBINED = "(combined from similar events): "

EventType = Literal["Normal", "Warning"]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Note:
    """One event object, written or to be written. `count` is what it will say, `written` whether it exists on the server."""

    value: Object
    count: int = 1
    written: bool = False
    queued: bool = False
    last: str = ""


@dataclass(slots=True)
class _Budget:
    tokens: float
    at: float


@dataclass(slots=True)
class _Similar:
    since: float
    messages: dict[str, None] = field(default_factory=dict)


class EventRecorder:
    """`component` is who says it (`deployment-controller`), `host` the node it runs on. Own `run()` by a supervisor: until it runs,
    notes wait in the bounded queue. `write_rate_per_s` bounds all events of this recorder together."""

    def __init__(self, client: Client, world: World, component: str, host: str = "", *, write_rate_per_s: float = WRITES_PER_S) -> None:
        self._client = client
        self._world = world
        self._component = component
        self._host = host
        self._rate = write_rate_per_s
        self._events = resource("events")
        self._queue: OrderedDict[int, _Note] = OrderedDict()
        self._arrived = asyncio.Event()
        self._sequence = 0
        self._writing = False
        self._notes: _Recent[tuple[str, ...], _Note] = _Recent()
        self._budgets: _Recent[tuple[str, ...], _Budget] = _Recent()
        self._similar: _Recent[tuple[str, ...], _Similar] = _Recent()
        self._backoff = Backoff(world.random(f"events/{component}/{host}"), first_s=0.2, max_s=10.0)
        self.dropped = 0

    def event(
        self,
        regarding: Object,
        type: EventType,
        reason: str,
        message: str,
        *,
        field_path: str = "",
        host: str = "",
        related: Object | None = None,
    ) -> None:
        """Notes that `reason` happened to `regarding` (an object with apiVersion and kind). `field_path` points inside it
        (`spec.containers{web}`); `host` overrides the recorder's, for one recorder of many simulated nodes; `related` is a second object
        that it is about. Never blocks, never raises."""
        host = host or self._host
        about = _reference(regarding, field_path)
        identity = (about["kind"], about.get("namespace", ""), about["name"], about["uid"], field_path, host)
        if not self._within_budget(identity):
            self.dropped += 1
            return
        combined = self._is_one_too_many(identity, type, reason, message)
        if combined:
            message = COMBINED + message
        key = (*identity, type, reason, COMBINED if combined else message)
        now = self._world.clock.timestamp()
        note = self._notes.get(key)
        if note is not None:
            note.count += 1
            note.value["message"] = message
        else:
            note = _Note(self._value(about, type, reason, message, host, now))
            if related is not None:
                note.value["related"] = _reference(related, "")
            self._notes.put(key, note)
        note.last = now
        self._enqueue(note)

    async def run(self) -> None:
        """Writes the notes, forever."""
        clock = self._world.clock
        tokens, at = float(WRITES_BURST), clock.monotonic()
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            now = clock.monotonic()
            tokens, at = min(WRITES_BURST, tokens + (now - at) * self._rate), now
            if tokens < 1:
                await asyncio.sleep(max(0.001, (1 - tokens) / self._rate))
                continue
            tokens -= 1
            _, note = self._queue.popitem(last=False)
            note.queued = False
            self._writing = True
            await self._write(note)
            self._writing = False

    async def flushed(self) -> None:
        """Waits until every note taken so far is written or dropped (for tests and shutdown)."""
        while self._queue or self._writing:
            await asyncio.sleep(0.01)

    def _enqueue(self, note: _Note) -> None:
        if note.queued:
            return
        if len(self._queue) >= QUEUE_EVENTS_MAX:
            self.dropped += 1
            return
        note.queued = True
        self._sequence += 1
        self._queue[self._sequence] = note
        self._arrived.set()

    async def _write(self, note: _Note) -> None:
        for _ in range(ATTEMPTS_MAX):
            try:
                await self._write_once(note)
                self._backoff.reset()
                return
            except (OSError, ServiceUnavailable, TooManyRequests):
                await self._backoff.pause()
            except StatusError as error:  # its namespace is gone or going: nobody will read it
                log.debug("event refused", error=str(error))
                return
            except Exception as error:
                log.error("event lost", error=error)
                return

    async def _write_once(self, note: _Note) -> None:
        value = note.value
        name, namespace = value["metadata"]["name"], value["metadata"]["namespace"]
        if note.written:
            try:
                patch = {"count": note.count, "lastTimestamp": note.last, "message": value["message"]}
                await self._client.patch(self._events, name, patch, namespace)
                return
            except NotFound:  # it expired; say it again under a new name
                metadata = {"name": self._name(value["involvedObject"]["name"]), "namespace": namespace}
                value = note.value = {**value, "metadata": metadata, "firstTimestamp": note.last}
                note.count, note.written = 1, False
        await self._client.create(self._events, {**value, "count": note.count, "lastTimestamp": note.last}, namespace)
        note.written = True

    def _value(self, about: Object, type: str, reason: str, message: str, host: str, now: str) -> Object:
        source = {"component": self._component, "host": host} if host else {"component": self._component}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self._name(about["name"]), "namespace": about.get("namespace") or "default"},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "source": source,
            "firstTimestamp": now,
            "type": type,
            "reportingComponent": self._component,
            "reportingInstance": host,
        }

    def _name(self, about: str) -> str:
        return f"{about}.{int(self._world.clock.now().timestamp() * 1e6):x}{self._world.token(3)}"

    def _within_budget(self, identity: tuple[str, ...]) -> bool:
        now = self._world.clock.monotonic()
        budget = self._budgets.get(identity)
        if budget is None:
            budget = _Budget(OBJECT_BURST, now)
            self._budgets.put(identity, budget)
        budget.tokens = min(OBJECT_BURST, budget.tokens + (now - budget.at) / OBJECT_REFILL_S)
        budget.at = now
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    def _is_one_too_many(self, identity: tuple[str, ...], type: str, reason: str, message: str) -> bool:
        """Whether SIMILAR_MAX other messages of its kind were said within the window."""
        key = (*identity, type, reason)
        now = self._world.clock.monotonic()
        similar = self._similar.get(key)
        if similar is None or now - similar.since > SIMILAR_WINDOW_S:
            similar = _Similar(now)
            self._similar.put(key, similar)
        if message in similar.messages:
            return False
        if len(similar.messages) >= SIMILAR_MAX:
            return True
        similar.messages[message] = None
        return False


def _reference(value: Object, field_path: str) -> Object:
    metadata = value["metadata"]
    reference = {
        "kind": value["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "apiVersion": value["apiVersion"],
        "resourceVersion": metadata.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {k: v for k, v in reference.items() if v or k == "uid"}


class _Recent(Generic[K, V]):
    """The most recently used entries, CACHE_ENTRIES_MAX of them."""

    def __init__(self) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > CACHE_ENTRIES_MAX:
            self._entries.popitem(last=False)
