"""What is kept of versions that nothing happens to any more.

Right after a write many look at the new version and at the one before: watches, mirrors, selectors. RECENT_MAX writes later they have. Then

* of the newest version of a key only one form stays: the value, where somebody else holds it (a mirror, say), which costs nothing then and from
  which the JSON is made in a few microseconds; the JSON otherwise, as a value takes some six times its memory;
* what was superseded or deleted is history, which is read only by who was away. It goes into blocks (block.py).

Versions that were looked at again since then are brought back to one form by `sweep`.
"""

from collections import deque
from collections.abc import Iterable

from podium.store.block import Block
from podium.store.record import Event, Record

RECENT_MAX = 256
"""So many changes are kept as they are."""
BLOCK_VERSIONS, BLOCK_BYTES = 64, 64 * 1024
"""A block is made when either is reached."""


class Cooling:
    def __init__(self) -> None:
        self._recent: deque[Event] = deque()
        self._history: list[Record] = []
        self._history_bytes = 0

    def changed(self, event: Event) -> None:
        self._recent.append(event)
        if len(self._recent) > RECENT_MAX:
            self._cool(self._recent.popleft())

    def _cool(self, event: Event) -> None:
        if event.deleted:
            self._pack(event.record)
        else:
            event.record.keep_one_form()
        if event.previous is not None:
            self._pack(event.previous)

    def _pack(self, record: Record) -> None:
        record.drop_value()
        self._history.append(record)
        self._history_bytes += record.size
        if len(self._history) >= BLOCK_VERSIONS or self._history_bytes >= BLOCK_BYTES:
            records, self._history, self._history_bytes = self._history, [], 0
            block = Block([r.revision for r in records], [r.encoded for r in records])
            for record in records:
                record.move_to(block)

    @staticmethod
    def sweep(records: Iterable[Record]) -> None:
        """Of the newest versions: lets go of values that nobody else has. Some 0.2 microseconds each where there is nothing to do."""
        for record in records:
            record.keep_one_form()
