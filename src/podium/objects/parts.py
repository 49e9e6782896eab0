"""Equal parts of many objects, held once.

Theory: objects of a kind are alike. Of a Deployment's pods all but a handful of values is equal, so of a decoded pod (20 kB) a fifth is left when
what is equal in two pods is one object in memory. Parts are known by their JSON, so what shares a part would also be written alike: `1`, `1.0` and
`true` are three things here, and dictionaries in another order are others.

Only what is seen a second time is remembered: names, identifiers and addresses come once, and would only fill the tables. What was seen once
leaves 64 bits of its hash in a table of fixed size, where a later one takes its place. To look at a pod takes some 25 microseconds.

Bounds: TEXT_BYTES_MAX and STRINGS_MAX are remembered, then all is forgotten and sharing begins anew; DEPTH_MAX.
"""

from array import array
from typing import Any

import orjson

from podium.objects.values import Object

TEXT_BYTES_MAX = 2 * 1024 * 1024
"""Of the JSON of remembered parts; as values they take some six times that."""
STRINGS_MAX = 16_384
STRING_CHARACTERS_MAX = 128
"""Longer strings are their object's own."""
DEPTH_MAX = 16
"""What lies deeper is not looked at."""
_SLOTS = 1 << 15


class Parts:
    def __init__(self) -> None:
        self._parts: dict[bytes, Any] = {}
        self._strings: dict[str, str] = {}
        self._text_bytes = 0
        self._seen_once = array("q", bytes(8 * _SLOTS))

    def share(self, value: Object) -> None:
        """Puts remembered parts in the place of equal ones, in place. `value` is then read-only, but for its own level and the one below:
        these are never shared."""
        for section in value.values():
            if type(section) is dict or type(section) is list:
                self._share_within(section, 1)
        if self._text_bytes > TEXT_BYTES_MAX:
            self._parts.clear()
            self._text_bytes = 0
        if len(self._strings) > STRINGS_MAX:
            self._strings.clear()

    def _share_within(self, node: Any, depth: int) -> None:
        parts, strings = self._parts, self._strings
        for key, value in node.items() if type(node) is dict else enumerate(node):
            kind = type(value)
            if kind is str:
                if len(value) > STRING_CHARACTERS_MAX:
                    continue
                known = strings.get(value)
                if known is not None:
                    node[key] = known
                elif self._again(hash(value)):
                    strings[value] = value
            elif kind is dict or kind is list:
                text = orjson.dumps(value)
                known = parts.get(text)
                if known is not None:
                    node[key] = known
                    continue
                if depth < DEPTH_MAX:
                    self._share_within(value, depth + 1)
                if self._again(hash(text)):
                    parts[text] = value
                    self._text_bytes += len(text)

    def _again(self, key: int) -> bool:
        """Whether the last one of this slot was the same."""
        slot = key & (_SLOTS - 1)
        if self._seen_once[slot] == key:
            return True
        self._seen_once[slot] = key
        return False


_of_process = Parts()


def remembered() -> list[tuple[bytes, Any]]:
    """The parts that this process shares now, each with the JSON that it had when it was first seen."""
    return list(_of_process._parts.items())


def share(value: Object) -> None:
    """`Parts.share` with what this process remembers."""
    _of_process.share(value)
