"""What selectors chose lately, and the labels of that: dashboards and rules ask the same again and again.

An answer holds until a series comes that might be one of it, which is told by metric names: a selector that says which name it wants is not
asked about the others. When series go, all answers go. Labels are kept as one small array of codes, and are columns again when they are asked for.

Bounds: KEPT_MAX answers, of SERIES_MAX series at most each; CELLS_MAX ids and codes in all. What was asked for longest ago goes first.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumn, LabelColumns, Matcher, MatchType
from podium.telemetry.metrics.tsdb.columns import Ids

KEPT_MAX, SERIES_MAX, CELLS_MAX = 16_384, 256, 1 << 20
ANY_NAME = ""

Key = tuple[Matcher, ...]


@dataclass(slots=True)
class _Answer:
    key: Key
    name: str
    ids: Ids
    names: tuple[str, ...] = ()
    values: tuple[Sequence[str], ...] = ()
    codes: npt.NDArray[np.int32] | None = None  # (names, series)
    cells: int = 0


class Answers:
    def __init__(self) -> None:
        self._answers: OrderedDict[Key, _Answer] = OrderedDict()
        self._by_ids: dict[int, _Answer] = {}  # by id() of the array, which the answer keeps alive
        self._by_name: dict[str, dict[Key, None]] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}  # one tuple for equal ones
        self._cells = 0

    def find(self, key: Key) -> Ids | None:
        answer = self._answers.get(key)
        if answer is None:
            return None
        self._answers.move_to_end(key)
        return answer.ids

    def keep(self, key: Key, ids: Ids) -> Ids:
        """`ids`, read-only from now on if they are kept."""
        if len(ids) > SERIES_MAX:
            return ids
        ids.flags.writeable = False
        answer = _Answer(key, _name(key), ids, cells=len(ids))
        self._answers[key] = self._by_ids[id(ids)] = answer
        self._by_name.setdefault(answer.name, {})[key] = None
        self._cells += answer.cells
        self._bound()
        return ids

    def labels(self, ids: Ids) -> LabelColumns | None:
        """Those of an answer, as it was given; None: not known."""
        answer = self._by_ids.get(id(ids))
        if answer is None or answer.codes is None:
            return None
        columns = zip(answer.names, answer.codes, answer.values, strict=True)
        return LabelColumns(len(ids), {name: LabelColumn(codes, values) for name, codes, values in columns})

    def keep_labels(self, ids: Ids, labels: LabelColumns) -> None:
        answer = self._by_ids.get(id(ids))
        if answer is None or not len(ids):
            return
        names = tuple(labels.columns)
        answer.names = self._shapes.setdefault(names, names)
        answer.values = tuple(column.values for column in labels.columns.values())
        answer.codes = np.stack([column.codes for column in labels.columns.values()])
        answer.cells += answer.codes.size
        self._cells += answer.codes.size
        self._bound()

    def forget(self, names: Iterable[str]) -> None:
        """Series of these metrics came."""
        for name in {ANY_NAME, *names}:
            for key in list(self._by_name.get(name, ())):
                self._drop(self._answers[key])

    def clear(self) -> None:
        for each in (self._answers, self._by_ids, self._by_name, self._shapes):
            each.clear()
        self._cells = 0

    def _bound(self) -> None:
        while len(self._answers) > KEPT_MAX or self._cells > CELLS_MAX:
            self._drop(next(iter(self._answers.values())))

    def _drop(self, answer: _Answer) -> None:
        del self._answers[answer.key], self._by_ids[id(answer.ids)]
        own = self._by_name[answer.name]
        del own[answer.key]
        if not own:
            del self._by_name[answer.name]
        self._cells -= answer.cells


def _name(key: Key) -> str:
    """Of all series that it can choose; ANY_NAME: it does not say."""
    return next((m.value for m in key if m.name == METRIC_NAME and m.type is MatchType.EQUAL and m.value), ANY_NAME)
