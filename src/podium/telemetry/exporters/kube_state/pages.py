"""The objects' metrics as a page for a store in the same process: no text is written, sent and read again.

A page's rows are the objects' lines, object by object; its layout stays the same as long as no object has other series than before, so a scrape
joins the objects' numbers and no more. It says the same as the text, from which the numbers were taken.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from podium.telemetry.exporters.kube_state.shown import ShownObject, Store, kind_of
from podium.telemetry.metrics.exposition.grammar import Pair, labels_of_head
from podium.telemetry.metrics.exposition.heads import Keys
from podium.telemetry.metrics.exposition.page import Page
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.storage import Metadata


class ObjectsLayout:
    """Immutable. `objects` are as they were when it was made: their series are those of now, their numbers may be older."""

    def __init__(self, objects: Sequence[ShownObject], metadata: dict[str, Metadata]) -> None:
        self.metadata = metadata
        self._objects = objects
        self._ends = np.fromiter(accumulate(one.rows for one in objects), np.int64, len(objects))
        self.size = int(self._ends[-1]) if objects else 0

    def row_keys(self) -> Keys:
        return np.frombuffer(b"".join([one.keys for one in self._objects]), np.int64)

    def labels_at(self, rows: Sequence[int], interned: dict[Pair, Pair] | None = None) -> list[Labels]:
        shared = interned if interned is not None else {}
        found: list[Labels] = []
        last, first, heads = -1, 0, list[str]()
        for row, number in zip(rows, np.searchsorted(self._ends, np.array(rows, np.int64), "right").tolist(), strict=True):
            if number != last:
                last, heads = number, self._objects[number].heads()
                first = int(self._ends[number]) - len(heads)
            found.append(labels_of_head(heads[row - first], "gauge", shared))
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
        return Page(self._layout, values), sum(store.text_bytes() for store in self._stores)
