"""The objects' metrics as a page for a store in the same process: no text is written, sent and read again.

A page's rows are the objects' lines; its layout stays the same as long as no object has other series than before, so a scrape joins the objects'
numbers and no more. It says the same as the text, from which the numbers were taken.

Rows go BLOCK objects at a time, and within these family by family: series that have the same labels lie together in the store, which keeps
labels by pages of series, and yet few texts are unpacked at a time.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from podium.telemetry.exporters.kube_state.shown import ShownObject, Store, kind_of
from podium.telemetry.metrics.exposition.grammar import Pair, labels_of_head
from podium.telemetry.metrics.exposition.heads import Keys
from podium.telemetry.metrics.exposition.page import Page
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.storage import Metadata

BLOCK = 256
"""Objects whose lines are mixed; about as many of a family lie together."""

Order = npt.NDArray[np.int32]


class ObjectsLayout:
    """Immutable. `objects` are as they were when it was made: their series are those of now, their numbers may be older."""

    def __init__(self, objects: Sequence[ShownObject], metadata: dict[str, Metadata]) -> None:
        self.metadata = metadata
        self._objects = objects
        self._starts = np.fromiter(accumulate((one.rows for one in objects), initial=0), np.int64, len(objects) + 1)
        self.size = int(self._starts[-1])
        self.order = self._ordered()
        """(rows,) of each row its place among the lines of all objects, one object after another."""
        self._unpacked: dict[int, list[str]] = {}

    def _ordered(self) -> Order:
        parts = [np.empty(0, np.int32)]
        for start in range(0, len(self._objects), BLOCK):
            places = np.frombuffer(b"".join([one.places for one in self._objects[start : start + BLOCK]]), np.uint8)
            parts.append((np.argsort(places, kind="stable") + self._starts[start]).astype(np.int32))
        return np.concatenate(parts)

    def row_keys(self) -> Keys:
        return np.frombuffer(b"".join([one.keys for one in self._objects]), np.int64)[self.order]

    def labels_at(self, rows: Sequence[int], interned: dict[Pair, Pair] | None = None) -> list[Labels]:
        shared = interned if interned is not None else {}
        lines = self.order[np.array(rows, np.int64)]
        numbers = np.searchsorted(self._starts, lines, "right") - 1
        found: list[Labels] = []
        for number, line in zip(numbers.tolist(), (lines - self._starts[numbers]).tolist(), strict=True):
            if number not in self._unpacked:
                if len(self._unpacked) >= BLOCK:
                    self._unpacked.clear()
                self._unpacked[number] = self._objects[number].heads()
            found.append(labels_of_head(self._unpacked[number][line], "gauge", shared))
        if len(rows) and rows[-1] == self.size - 1:  # whoever reads all of them is done
            self._unpacked.clear()
        return found

    def line(self, row: int) -> int:
        return 0


class ObjectPages:
    """Pages of these stores, one whenever it is asked."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._layout = ObjectsLayout([], {})
        self._generations = [-1]

    def page(self) -> tuple[Page, int]:
        """And the bytes that its text would have."""
        generations = [store.generation for store in self._stores]
        if generations != self._generations:
            self._generations = generations
            metadata = {
                name: Metadata(kind_of(name), store.shown.families[name]) for store in self._stores for _, name in store.shown_families()
            }
            self._layout = ObjectsLayout([one for store in self._stores for one in store.objects.values()], metadata)
        values = np.frombuffer(b"".join([one.values for store in self._stores for one in store.objects.values()]), np.float64)
        return Page(self._layout, values[self._layout.order]), sum(store.text_bytes() for store in self._stores)
