"""Objects kept as compressed JSON: a fiftieth of what they take as values, for processes that look at each seldom.

Objects of a kind are alike, so each is compressed against the first one that came. Reading makes the value anew each time, so what is read may be
changed; it costs some 30 microseconds for a pod, and writing as much.
"""

import zlib
from collections.abc import Iterator, MutableMapping

import orjson

from podium.client.interface import Object

LEVEL = 1
LIKE_BYTES_MAX = 1 << 15
"""Of the object that the others are compressed against: how far back zlib looks."""
_RAW = -zlib.MAX_WBITS


class PackedObjects(MutableMapping[str, Object]):
    """By key, in the order of their arrival."""

    __slots__ = ("_like", "_packed")

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self._like = b""

    def __setitem__(self, key: str, value: Object) -> None:
        text = orjson.dumps(value)
        if not self._like:
            self._like = text[:LIKE_BYTES_MAX]
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, zdict=self._like)
        self._packed[key] = packer.compress(text) + packer.flush()

    def __getitem__(self, key: str) -> Object:
        value: Object = orjson.loads(zlib.decompressobj(_RAW, self._like).decompress(self._packed[key]))
        return value

    def __delitem__(self, key: str) -> None:
        del self._packed[key]

    def __contains__(self, key: object) -> bool:
        return key in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    @property
    def bytes(self) -> int:
        return sum(map(len, self._packed.values()))
