"""The visible state: every key's versions, the history of changes, and those who listen. What both engines share.

Nothing here waits or writes: an engine plans a write (`put_event`, `delete_event`) against the newest state it knows, makes it durable
in its own way, and calls `apply` with events in revision order. From then on they are visible.

History is a ring of all events above `oldest_revision`, revision by revision without gaps. Forgetting an event drops the version it
superseded, so a read at a revision is possible exactly as long as the watch from it. The ring is bounded by count and by the bytes only
it keeps alive (superseded values, tombstones).

In which form versions are kept once nothing happens to them is in cooling.py.

Source: etcd server/storage/mvcc for the semantics (revisions, compaction); the structure is our own.
"""

from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from podium.objects.parts import share
from podium.store.bucket import Bucket, Tombstone, bucket_name
from podium.store.cooling import Cooling
from podium.store.errors import Compacted, FutureRevision, RevisionMismatch
from podium.store.feed import Feed, Listener
from podium.store.interface import Page
from podium.store.record import SHARED_SIZE_MAX, SHARED_SIZE_MIN, Event, Record, restamp, stamp
from podium.store.watch import BufferedWatch

HISTORY_EVENTS_MAX = 100_000
HISTORY_BYTES_MAX = 64 * 1024 * 1024
"""When either is exceeded the oldest history is forgotten, and `oldest_revision` moves up. Bytes of JSON: compressed, as it is kept, a twentieth."""
FIRST_REVISION = 1


def put_event(key: str, current: Record | None, encoded: bytes, revision: int, value: dict[str, Any] | None) -> Event:
    """The event of writing `encoded` (unstamped) over `current`."""
    if current is None:
        record = Record(key, stamp(encoded, revision), revision, revision, value)
    else:
        record = Record(current.key, stamp(encoded, revision), revision, current.created, value)
    if value is not None:
        value["metadata"]["resourceVersion"] = str(revision)
        if SHARED_SIZE_MIN <= len(encoded) <= SHARED_SIZE_MAX:
            share(value)
    return Event(record, current, False)


def delete_event(current: Record, revision: int) -> Event:
    return Event(Tombstone(current.key, restamp(current.encoded, revision), revision, current.created), current, True)


def check_expected(key: str, current: Record | None, expected: int | None) -> None:
    """Raises RevisionMismatch."""
    if expected is not None:
        actual = 0 if current is None else current.revision
        if actual != expected:
            raise RevisionMismatch(key, expected, actual)


def _history_bytes(event: Event) -> int:
    """What the ring keeps alive because of this event."""
    return (event.previous.size if event.previous is not None else 0) + (event.record.size if event.deleted else 0)


class Versions:
    def __init__(self, *, events_max: int = HISTORY_EVENTS_MAX, bytes_max: int = HISTORY_BYTES_MAX) -> None:
        self.revision = FIRST_REVISION
        self.oldest_revision = FIRST_REVISION
        self._events_max, self._bytes_max = events_max, bytes_max
        self._buckets: dict[str, Bucket] = {}
        self._ring: deque[Event] = deque()
        self._ring_bytes = 0
        self._cooling = Cooling()
        self._feed = Feed()
        self._watches: dict[BufferedWatch, None] = {}

    # Reading

    def current(self, key: str) -> Record | None:
        bucket = self._buckets.get(bucket_name(key))
        return None if bucket is None else bucket.records.get(key)

    def range(self, prefix: str, after: str, limit: int, revision: int) -> Page:
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        at = revision or self.revision
        self._check_kept(at)
        records: list[Record] = []
        remaining = 0
        for bucket in self._under(prefix):
            room = limit - len(records) if limit else 0
            if limit and room == 0:  # the page is full: one record tells how many there are
                found, rest = bucket.read_at(prefix, after, 1, at)
                remaining += len(found) + rest
                continue
            found, rest = bucket.read_at(prefix, after, room, at)
            records = records + found if records else found
            remaining += rest
        return Page(records, at, remaining)

    def count(self, prefix: str) -> int:
        return sum(bucket.count(prefix) for bucket in self._under(prefix))

    def history(self, prefix: str, after_revision: int) -> list[Event]:
        self._check_kept(after_revision)
        buckets = self._under(prefix)
        if len(buckets) == 1:
            source: deque[Event] = buckets[0].events
            whole = len(prefix) <= len(buckets[0].name)
        else:
            source, whole = self._ring, prefix in ("", "/")
        found = []
        for event in reversed(source):
            if event.record.revision <= after_revision:
                break
            if whole or event.record.key.startswith(prefix):
                found.append(event)
        found.reverse()
        return found

    def feed(self, prefix: str, listener: Listener) -> Callable[[], None]:
        return self._feed.subscribe(prefix, listener)

    def watch(self, prefix: str, after_revision: int, buffer_events_max: int) -> BufferedWatch:
        watch = BufferedWatch(self.history(prefix, after_revision), after_revision, buffer_events_max)
        unsubscribe = self._feed.subscribe(prefix, watch.hear)

        def cancel() -> None:
            unsubscribe()
            self._watches.pop(watch, None)

        watch.cancel = cancel
        self._watches[watch] = None
        return watch

    def end_watches(self) -> None:
        for watch in list(self._watches):
            watch.close()

    # Changing

    def apply(self, events: list[Event]) -> None:
        """Makes one committed batch visible, then tells the feed."""
        for event in events:
            assert event.record.revision == self.revision + 1, "revisions have no gaps"
            self._bucket(event.record.key).apply(event)
            self.revision += 1
            self._ring.append(event)
            self._ring_bytes += _history_bytes(event)
            self._cooling.changed(event)
        self._feed.publish(events)

    def load(self, records: list[Record], revision: int) -> None:
        """The state at `revision`, into an empty `Versions`. `records` in key order."""
        for record in records:
            bucket = self._bucket(record.key)
            bucket.records[record.key] = record
        for bucket in self._buckets.values():
            bucket.keys.update(bucket.records)
        self.revision = self.oldest_revision = revision

    def over_limit(self) -> bool:
        return len(self._ring) > self._events_max or self._ring_bytes > self._bytes_max

    def forget_to_limit(self) -> None:
        while self.over_limit():
            self._forget_oldest()

    def limit_revision(self) -> int:
        """Where to compact to so that a tenth of the bounds is free again."""
        excess_events = max(0, len(self._ring) - self._events_max * 9 // 10)
        excess_bytes = max(0, self._ring_bytes - self._bytes_max * 9 // 10)
        revision = self.oldest_revision
        for event in self._ring:
            if excess_events <= 0 and excess_bytes <= 0:
                break
            excess_events -= 1
            excess_bytes -= _history_bytes(event)
            revision = event.record.revision
        return revision

    def compact(self, revision: int, *, forget: bool = True) -> None:
        """Nothing at or below `revision` can be watched, nothing below it read any more. `forget=False` keeps the events all
        the same, until `forget_to`: for an engine that has yet to move them on disk. Raises FutureRevision."""
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        self.oldest_revision = max(self.oldest_revision, revision)
        if forget:
            self.forget_to(revision)

    def forget_to(self, revision: int) -> None:
        """Drops the events at and below `revision`, and the versions they superseded."""
        while self._ring and self._ring[0].record.revision <= revision:
            self._forget_oldest()

    def rest(self) -> None:
        """Lets go of values that were looked at since they were written and that nobody holds."""
        for bucket in self._buckets.values():
            self._cooling.sweep(bucket.records.values())

    def oldest_events(self, revision: int) -> list[Event]:
        """The events kept at and below `revision`."""
        return list(takewhile(lambda event: event.record.revision <= revision, self._ring))

    def _forget_oldest(self) -> None:
        event = self._ring.popleft()
        self._ring_bytes -= _history_bytes(event)
        self._bucket(event.record.key).forget_oldest()
        self.oldest_revision = max(self.oldest_revision, event.record.revision)

    def _bucket(self, key: str) -> Bucket:
        name = bucket_name(key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(name)
        return bucket

    def _under(self, prefix: str) -> list[Bucket]:
        """The buckets that can hold keys with this prefix, by name."""
        if prefix.count("/") >= 3:
            bucket = self._buckets.get(bucket_name(prefix))
            return [] if bucket is None else [bucket]
        return [self._buckets[name] for name in sorted(self._buckets) if name.startswith(prefix)]

    def _check_kept(self, revision: int) -> None:
        if revision < self.oldest_revision:
            raise Compacted(revision, self.oldest_revision)
