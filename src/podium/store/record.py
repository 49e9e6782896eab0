"""Records and events: what the store keeps and what its feed says.

Values are JSON objects. The store never looks inside, except to stamp the revision it gives: writers hand over the encoded bytes
without `metadata.resourceVersion`, beginning with `{"metadata":{` and with at least one other field in metadata; the store inserts
`"resourceVersion":"N",` at that fixed place. So a read never re-encodes, and an engine that learns the revision only after
the write (etcd) can stamp when it reads.
"""

from collections.abc import Iterable
from typing import Any

import orjson

HEAD = b'{"metadata":{'
_STAMPED = len(b'{"metadata":{"resourceVersion":"')


def stamp(encoded: bytes, revision: int) -> bytes:
    """`encoded` (unstamped, see the module) with `revision` as its resourceVersion."""
    return b'{"metadata":{"resourceVersion":"%d",%b' % (revision, encoded[len(HEAD) :])


def restamp(encoded: bytes, revision: int) -> bytes:
    """`encoded` (stamped already) with another revision."""
    return b'{"metadata":{"resourceVersion":"%d%b' % (revision, encoded[encoded.index(b'"', _STAMPED) :])


class Record:
    """One version of one key. Immutable once handed out; `value` is shared, so nobody may change it (copy first).

    `revision` is the store's counter at the write (modRevision), `created` that of the key's first version since it was last absent.
    `encoded` is the stamped JSON; `value` the same decoded, kept after the first look.
    """

    __slots__ = ("_value", "created", "encoded", "key", "previous", "revision")

    def __init__(self, key: str, encoded: bytes, revision: int, created: int, value: dict[str, Any] | None = None) -> None:
        self.key = key
        self.encoded = encoded
        self.revision = revision
        self.created = created
        self.previous: Record | None = None  # the engine's: the version before, until it is compacted away
        self._value = value

    @property
    def value(self) -> dict[str, Any]:
        if self._value is None:
            self._value = orjson.loads(self.encoded)
        return self._value

    def drop_value(self) -> None:
        """Forgets the decoded value: the next look decodes it again."""
        self._value = None

    def __repr__(self) -> str:
        return f"Record({self.key!r}, revision={self.revision})"


def values_of(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The `value` of each, for those who look at thousands."""
    return [record._value or record.value for record in records]


class Event:
    """One change. `record` is the key's new version (for a delete: the last value, stamped with the delete's revision);
    `previous` the version before, None for a creation."""

    __slots__ = ("deleted", "previous", "record")

    def __init__(self, record: Record, previous: Record | None, deleted: bool) -> None:
        self.record = record
        self.previous = previous
        self.deleted = deleted

    @property
    def revision(self) -> int:
        return self.record.revision

    def __repr__(self) -> str:
        kind = "delete" if self.deleted else ("create" if self.previous is None else "update")
        return f"Event({kind} {self.record.key!r} at {self.record.revision})"
