"""What was read lately of a few rows of chunks: who asks for the same again, as dashboards do, does not wait for it to be decoded again.

A query of one series out of thousands pays for what is told of all rows of a chunk, and for a piece of them. Both are kept here: heads of
chunks, and the rows themselves. Queries of many rows leave heads only, and only while there is room: decoding costs them little more than
copying, and what they read would push everything else out.

What is kept hangs on its chunk (`kept`), and goes with it. When there is too much, what came first goes first. Only the loop's thread keeps.

Bounds: BYTES_MAX in all, as counted by who keeps; ROWS_MAX rows at once.
"""

from collections import deque
from typing import Any, Protocol
from weakref import ref

BYTES_MAX = 16 * 1024 * 1024
ROWS_MAX = 64


class Keeper(Protocol):
    kept: dict[bytes, Any] | None


class Recent:
    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self._queue: deque[tuple[ref[Keeper], bytes, int]] = deque()

    def keep(self, keeper: Keeper, key: bytes, value: Any, size: int, *, if_room: bool = False) -> None:
        """`value` is kept[key] of the keeper until something newer needs its place. `if_room`: nothing goes for it."""
        while self._queue and self._queue[0][0]() is None:
            self.bytes -= self._queue.popleft()[2]
        if self.bytes + size > self.bytes_max and (if_room or size > self.bytes_max):
            return
        if keeper.kept is None:
            keeper.kept = {}
        keeper.kept[key] = value
        self._queue.append((ref(keeper), key, size))
        self.bytes += size
        while self.bytes > self.bytes_max:
            oldest, name, freed = self._queue.popleft()
            self.bytes -= freed
            owner = oldest()
            if owner is not None and owner.kept is not None:
                owner.kept.pop(name, None)
