"""Buckets: the key space cut at the first two segments of the path.

Keys look like `/group/plural/...`; everything under one `/group/plural/` is a bucket with its own sorted keys, history and
listeners, so that what happens to pods costs those who look at config maps nothing. Bucket names end with a slash and none
begins with another, so walking the buckets by name and each one's keys in order gives all keys in order.

Versions of a key form a chain, newest first, through `Record.previous`. A deletion is a `Tombstone` in that chain:

    put a at 2, put a at 3, delete a at 5, put a at 9:   records[a] = 9 -> 5 (tombstone) -> 3 -> 2

While a key is absent its tombstone waits in `graves`, where reads at an older revision find it.
"""

from collections import deque

from sortedcontainers import SortedList

from podium.store.record import Event, Record


class Tombstone(Record):
    """The last value of a deleted key, stamped with the delete's revision."""

    __slots__ = ()


def bucket_name(key: str) -> str:
    """`/core/pods/` of `/core/pods/default/web`. Raises ValueError for a key that is not of the form `/group/plural/rest`."""
    if key[:1] != "/":
        raise ValueError(f"store keys begin with a slash: {key!r}")
    return key[: key.index("/", key.index("/", 1) + 1) + 1]


def end_of(prefix: str) -> str:
    """The least string greater than every string that begins with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def version_at(newest: Record | None, revision: int) -> Record | None:
    """The version of a chain that was current at `revision`; None when the key was absent."""
    version = newest
    while version is not None and version.revision > revision:
        version = version.previous
    return None if type(version) is Tombstone else version


class Bucket:
    """`records` are the live keys' newest versions and `keys` the same keys in order; `events` is the history, oldest first;
    `changed` the revision of the last change."""

    __slots__ = ("changed", "events", "graves", "keys", "name", "records")

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: dict[str, Record] = {}
        self.keys: SortedList = SortedList()
        self.graves: dict[str, Record] = {}
        self.events: deque[Event] = deque()
        self.changed = 0

    def apply(self, event: Event) -> None:
        record = event.record
        if event.deleted:
            record.previous = event.previous
            del self.records[record.key]
            self.keys.remove(record.key)
            self.graves[record.key] = record
        else:
            if event.previous is None:
                record.previous = self.graves.pop(record.key, None)
                self.keys.add(record.key)
            else:
                record.previous = event.previous
            self.records[record.key] = record
        self.events.append(event)
        self.changed = record.revision

    def forget_oldest(self) -> None:
        """Drops the oldest event and the version it superseded."""
        event = self.events.popleft()
        event.record.previous = None
        if event.deleted and self.graves.get(event.record.key) is event.record:
            del self.graves[event.record.key]

    def count(self, prefix: str, after: str = "") -> int:
        low, high = self._span(prefix, after)
        return high - low

    def read(self, prefix: str, after: str, limit: int) -> tuple[list[Record], int]:
        """Now: the first `limit` (0: all) records, and how many follow."""
        low, high = self._span(prefix, after)
        stop = min(high, low + limit) if limit else high
        records = self.records
        if low == 0 and stop == len(self.keys):
            return [records[key] for key in self.keys], 0
        return [records[key] for key in self.keys.islice(low, stop)], high - stop

    def read_at(self, prefix: str, after: str, limit: int, revision: int) -> tuple[list[Record], int]:
        """The same at a revision."""
        if self.changed <= revision:
            return self.read(prefix, after, limit)
        low, high = self._span(prefix, after)
        newest = [self.records[key] for key in self.keys.islice(low, high)]
        start, end = max(after + "\0" if after else "", prefix), end_of(prefix)
        dead = [grave for key, grave in self.graves.items() if start <= key < end and grave.revision > revision]
        if dead:
            newest = sorted(newest + dead, key=lambda record: record.key)
        visible = [version for version in (version_at(record, revision) for record in newest) if version is not None]
        return (visible[:limit], max(0, len(visible) - limit)) if limit else (visible, 0)

    def _span(self, prefix: str, after: str) -> tuple[int, int]:
        """Positions in `keys` of those that begin with `prefix` and are greater than `after`."""
        keys = self.keys
        whole = prefix == self.name or len(prefix) < len(self.name)
        low = 0 if whole else keys.bisect_left(prefix)
        high = len(keys) if whole else keys.bisect_left(end_of(prefix))
        if after:
            low = min(max(low, keys.bisect_right(after)), high)
        return low, high
