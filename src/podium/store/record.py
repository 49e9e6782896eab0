"""Records and events: what the store keeps and what its feed says.

Values are JSON objects. The store never looks inside, except to stamp the revision it gives: writers hand over the encoded bytes
without `metadata.resourceVersion`, beginning with `{"metadata":{` and with at least one other field in metadata; the store inserts
`"resourceVersion":"N",` at that fixed place. So a read never re-encodes, and an engine that learns the revision only after
the write (etcd) can stamp when it reads.

A version is its JSON and its value, and keeps one of them when the other is not needed (cooling.py says when). What is missing is made again at the
next look.
"""

from collections.abc import Callable, Iterable
from sys import getrefcount
from typing import Any

import orjson

from podium.objects.parts import share
from podium.store.block import Block

HEAD = b'{"metadata":{'
_STAMPED = len(b'{"metadata":{"resourceVersion":"')

SHARED_SIZE_MIN, SHARED_SIZE_MAX = 1024, 64 * 1024
"""Of the JSON of values whose parts are shared (objects/parts.py): in smaller ones there is little to gain, larger ones are seldom many."""


def stamp(encoded: bytes, revision: int) -> bytes:
    """`encoded` (unstamped, see the module) with `revision` as its resourceVersion."""
    return b'{"metadata":{"resourceVersion":"%d",%b' % (revision, encoded[len(HEAD) :])


def encode_stamped(value: dict[str, Any]) -> bytes:
    """The stamped JSON of a stored value."""
    metadata = value["metadata"]
    whole = {"metadata": None, **value}  # metadata comes first
    whole["metadata"] = {"resourceVersion": metadata["resourceVersion"], **metadata}
    return orjson.dumps(whole)


def restamp(encoded: bytes, revision: int) -> bytes:
    """`encoded` (stamped already) with another revision."""
    return b'{"metadata":{"resourceVersion":"%d%b' % (revision, encoded[encoded.index(b'"', _STAMPED) :])


class Record:
    """One version of one key. Immutable once handed out; `value` is shared, so nobody may change it (copy first).

    `revision` is the store's counter at the write (modRevision), `created` that of the key's first version since it was last absent.
    `encoded` is the stamped JSON, `size` its length; `value` the same decoded, kept after the first look.
    """

    __slots__ = ("_block", "_value", "created", "encoded", "key", "previous", "revision", "size")

    def __init__(self, key: str, encoded: bytes, revision: int, created: int, value: dict[str, Any] | None = None) -> None:
        self.key = key
        self.encoded = encoded
        self.size = len(encoded)
        self.revision = revision
        self.created = created
        self.previous: Record | None = None  # the engine's: the version before, until it is compacted away
        self._value = value
        self._block: Block | None = None  # where the JSON is when `encoded` is not set

    def __getattr__(self, name: str) -> bytes:
        """Of `encoded` while it is not set. Any thread may ask while the loop's changes what is kept."""
        if name != "encoded":
            raise AttributeError(name)
        value, block = self._value, self._block
        if block is not None:
            return block.text(self.revision)
        if value is not None:
            self.encoded = encode_stamped(value)  # who reads one reads it again, and lists it with others
        return _own_text(self)

    @property
    def value(self) -> dict[str, Any]:
        if self._value is None:
            value: dict[str, Any] = orjson.loads(self.encoded)
            if SHARED_SIZE_MIN <= self.size <= SHARED_SIZE_MAX:
                share(value)
            self._value = value
        return self._value

    def is_held(self) -> bool:
        """Whether the value is in somebody else's hands, too."""
        return getrefcount(self._value) > 2

    def keep_one_form(self) -> None:
        """Forgets the value if nobody else has it, the JSON if somebody has and it can be made again, byte for byte."""
        if self._value is None:
            return
        if not self.is_held():
            self.drop_value()
            return
        try:
            encoded = _own_text(self)
        except AttributeError:
            return  # it is one already
        if encode_stamped(self._value) == encoded:
            del self.encoded

    def drop_value(self) -> None:
        """Forgets the decoded value: the next look decodes it again."""
        if self._block is None:
            self.encoded = self.encoded
        self._value = None

    def move_to(self, block: Block) -> None:
        """`block` has the JSON: nothing else is kept."""
        self._block = block
        try:
            del self.encoded
        except AttributeError:
            pass  # the value was all there was
        self._value = None

    def __repr__(self) -> str:
        return f"Record({self.key!r}, revision={self.revision})"


_own_text: Callable[[Record], bytes] = Record.__dict__["encoded"].__get__
"""Of what is in the slot; without `__getattr__`."""


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
