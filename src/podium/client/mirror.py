"""A mirror: a local, read-only copy of one resource, kept by list and watch.

Theory: a list gives the objects at a revision; a watch from that revision gives every later change once and in order. While the watch can
be resumed from the last revision seen (an object's or a bookmark's), nothing is lost. When it cannot (410 Expired, or an answer that
cannot be read) the mirror lists again and emits the difference between what it held and what it found.

Invariants:
* Subscribers see, for each key, added (modified)* deleted, without duplicates; replaying the changes gives exactly the mirror's content.
* Subscribers are called synchronously, after the mirror and its indexes hold the change.
* Objects are shared with the server and other readers: read-only, `objects.values.copy` before a change.
* Memory is that of the objects themselves, or of their packed form (`packed`: packed_objects.py), with which each reading makes a value of its own;
  nothing is buffered between the watch and the mirror.

Source: client-go tools/cache (reflector, store, shared informer).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from podium.client.backoff import Backoff
from podium.client.interface import Client, ListPage, Object, WatchEvent
from podium.client.packed_objects import PackedObjects
from podium.instrument.log import logger
from podium.objects.resources import Resource
from podium.objects.status import Expired, ServiceUnavailable, StatusError, Timeout, TooManyRequests
from podium.objects.values import key_of
from podium.world.interface import World

log = logger("client.mirror")

LIST_PAGE_ITEMS, LIST_PAGE_ITEMS_PACKED = 10_000, 500
"""Items asked for in one list request: what a list may hold in memory beside the mirror."""

WATCH_S_MIN = 300
"""A watch is ended by the server after this long, or up to twice as long, so that watches spread over servers and dead ones are noticed."""

WATCH_SHORT_S = 1.0
"""A watch that ends sooner than this without an event counts as a failure."""

REVISION_AHEAD = "Too large resource version"
"""What a server says of a revision that it has not reached: its store was replaced by an older one, if it stays so."""

ChangeType = Literal["added", "modified", "deleted"]
Keys = Callable[[Object], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Change:
    """`old` is None for added; `new` is None for deleted, `old` then being the last version that was seen."""

    type: ChangeType
    new: Object | None
    old: Object | None

    @property
    def object(self) -> Object:
        """The newest version there is: `new`, or `old` when deleted."""
        value = self.new if self.new is not None else self.old
        assert value is not None
        return value


Handler = Callable[[Change], None]


class Mirror:
    """One resource, optionally of one namespace or narrowed by selectors (strings as on the wire). Own `run()` by a supervisor."""

    def __init__(
        self, client: Client, resource: Resource, world: World, *, namespace: str | None = None, labels: str = "", fields: str = "",
        packed: bool = False,
    ) -> None:  # fmt: skip
        self.resource = resource
        self._client = client
        self._world = world
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._packed = packed
        self._objects = self._nothing()
        self._keys_sorted: list[str] | None = []
        self._indexes: dict[str, _Index] = {}
        self._handlers: list[Handler] = []
        self._revision = ""
        self._synced = asyncio.Event()
        self._backoff = Backoff(world.random(f"mirror/{resource.plural}.{resource.group}"), first_s=0.1, max_s=10.0)

    def _nothing(self) -> MutableMapping[str, Object]:
        return PackedObjects() if self._packed else {}

    # Reading

    def get(self, namespace: str, name: str) -> Object | None:
        """`namespace` is empty for cluster-scoped resources."""
        return self._objects.get(f"{namespace}/{name}" if namespace else name)

    def by_key(self, key: str) -> Object | None:
        """By `namespace/name`, as `objects.values.key_of` writes it."""
        return self._objects.get(key)

    def all(self) -> list[Object]:
        """Every object, in the order of their keys."""
        if self._keys_sorted is None:
            self._keys_sorted = sorted(self._objects)
        objects = self._objects
        return [objects[key] for key in self._keys_sorted]

    def __len__(self) -> int:
        return len(self._objects)

    def add_index(self, name: str, keys: Keys) -> None:
        """Keeps `keys(object)` -> objects up to date under `name`. Several users of a shared mirror may add the same function again."""
        if name in self._indexes:
            assert self._indexes[name].keys is keys, f"index {name} exists with another function"
            return
        index = self._indexes[name] = _Index(keys, holds=not self._packed)
        for key, value in self._objects.items():
            index.replace(key, None, value)

    def by_index(self, name: str, key: str) -> list[Object]:
        """The objects with that index key, in order of their arrival (stable; sort for another)."""
        found = self._indexes[name].entries.get(key, _NONE)
        return [self._objects[of] for of in found] if self._packed else list(found.values())

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Calls `handler` with "added" for each object held, then with each change. Returns its cancellation."""
        self._handlers.append(handler)
        for value in self.all():
            _call(handler, Change("added", value, None))
        return lambda: self._handlers.remove(handler)

    def has_seen(self, revision: int) -> bool:
        """Whether the mirror, and the change that subscribers are being told of, are at that revision of the store or beyond. False while it
        has to list again."""
        return self._revision.isdecimal() and int(self._revision) >= revision

    @property
    def is_synced(self) -> bool:
        return self._synced.is_set()

    async def synced(self) -> None:
        """Waits for the first complete list."""
        await self._synced.wait()

    # Following

    async def run(self) -> None:
        """Forever: lists, watches, resumes. Returns only by cancellation."""
        while True:
            try:
                if not self._revision:
                    await self._list()
                await self._watch()
            except Expired:
                self._revision = ""
                await self._backoff.pause(free=1)
            except (OSError, ServiceUnavailable, TooManyRequests, Timeout) as error:
                log.debug("retrying", resource=self.resource.plural, error=str(error))
                if REVISION_AHEAD in str(error):
                    self._revision = ""
                await self._backoff.pause()
            except StatusError as error:
                log.warning("refused", resource=self.resource.plural, error=str(error))
                await self._backoff.pause()
            except Exception as error:  # a gap we cannot see through: only a new list closes it
                log.error("unreadable answer; listing again", resource=self.resource.plural, error=error)
                self._revision = ""
                await self._backoff.pause()

    async def _list(self) -> None:
        page = await self._page("")
        revision, found = page.revision, self._nothing()
        found.update((key_of(value), value) for value in page.items)
        while page.continue_token:
            page = await self._page(page.continue_token)
            found.update((key_of(value), value) for value in page.items)
        self._replace(found)
        self._revision = revision
        self._synced.set()

    async def _page(self, continue_token: str) -> ListPage:
        limit = LIST_PAGE_ITEMS_PACKED if self._packed else LIST_PAGE_ITEMS
        return await self._client.list(
            self.resource, self._namespace, labels=self._labels, fields=self._fields, limit=limit, continue_token=continue_token
        )

    async def _watch(self) -> None:
        clock = self._world.clock
        started = clock.monotonic()
        seen = 0
        timeout_s = int(WATCH_S_MIN * (1 + self._backoff.random.random()))
        events = self._client.watch(
            self.resource, self._namespace, revision=self._revision, labels=self._labels, fields=self._fields, timeout_s=timeout_s
        )
        try:
            async for event in events:
                self._apply(event)
                if not seen:
                    self._backoff.reset()
                seen += 1
        finally:
            with suppress(Exception):
                close = getattr(events, "aclose", None)
                if close is not None:
                    await close()
        if not seen and clock.monotonic() - started < WATCH_SHORT_S:
            await self._backoff.pause()

    def _apply(self, event: WatchEvent) -> None:
        value = event.object
        revision = value["metadata"]["resourceVersion"]
        if event.type == "BOOKMARK":
            self._revision = revision
            return
        if event.type not in ("ADDED", "MODIFIED", "DELETED"):
            raise ValueError(f"unknown watch event {event.type!r}")
        key = key_of(value)
        old = self._objects.get(key)
        self._revision = revision
        if event.type == "DELETED":
            if old is not None:
                self._remove(key, old, last=value)
        elif old is None or old["metadata"]["resourceVersion"] != revision:
            self._set(key, old, value)

    def _replace(self, found: Mapping[str, Object]) -> None:
        """Makes the mirror equal to a list, saying only what differs: what is gone first, then the rest in the list's order."""
        gone = sorted(key for key in self._objects if key not in found)
        for key in gone:
            old = self._objects[key]
            self._remove(key, old, last=old)
        for key, value in found.items():
            current = self._objects.get(key)
            if current is None:
                self._set(key, None, value)
                continue
            was, now = current["metadata"], value["metadata"]
            if was.get("uid") != now.get("uid"):  # deleted and created again while we did not look
                self._remove(key, current, last=current)
                self._set(key, None, value)
            elif was["resourceVersion"] != now["resourceVersion"]:
                self._set(key, current, value)

    def _set(self, key: str, old: Object | None, new: Object) -> None:
        self._objects[key] = new
        if old is None:
            self._keys_sorted = None
        for index in self._indexes.values():
            index.replace(key, old, new)
        self._emit(Change("modified" if old is not None else "added", new, old))

    def _remove(self, key: str, old: Object, last: Object) -> None:
        del self._objects[key]
        self._keys_sorted = None
        for index in self._indexes.values():
            index.replace(key, old, None)
        self._emit(Change("deleted", None, last))

    def _emit(self, change: Change) -> None:
        for handler in tuple(self._handlers):
            _call(handler, change)


def _call(handler: Handler, change: Change) -> None:
    """One subscriber's mistake must not stop the mirror for the others."""
    try:
        handler(change)
    except Exception as error:
        log.error("a subscriber failed", object=key_of(change.object), error=error)


_NONE: dict[str, Object] = {}
_ELSEWHERE: Object = {}


class _Index:
    """`entries[index key][object key]` is the object, where the index `holds` them; empty entries are removed."""

    __slots__ = ("entries", "holds", "keys")

    def __init__(self, keys: Keys, *, holds: bool) -> None:
        self.keys = keys
        self.holds = holds
        self.entries: dict[str, dict[str, Object]] = {}

    def replace(self, key: str, old: Object | None, new: Object | None) -> None:
        before = tuple(self.keys(old)) if old is not None else ()
        after = tuple(self.keys(new)) if new is not None else ()
        for entry in before:
            if entry not in after:
                objects = self.entries[entry]
                del objects[key]
                if not objects:
                    del self.entries[entry]
        if new is not None:
            for entry in after:
                self.entries.setdefault(entry, {})[key] = new if self.holds else _ELSEWHERE
