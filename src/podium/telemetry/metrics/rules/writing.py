"""What the rules of a group give, on its way to the store: rule by rule it would cost more than evaluating them.

Samples of a round wait, and are appended as one column (storage.py) whose layout is kept for the next round, as most rules give the same series
each time. They are written before a rule is evaluated that may read them (`reads` says what a rule reads, from its expression), when
WAITING_MAX wait, and at the end of the round: a rule sees what upstream's would see of the rules before it.

Invariant: nothing waits between rounds. Native histograms, and what is too little for a column, are appended sample by sample.

Bounds: WAITING_MAX samples, and those of one rule, wait.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, MatchType
from podium.telemetry.metrics.promql.reads import INFO
from podium.telemetry.metrics.promql.syntax import Call, Expression, VectorSelector, children
from podium.telemetry.metrics.rules.alerts import ALERTS, ALERTS_FOR_STATE
from podium.telemetry.metrics.rules.rule import AlertingRule, Rule
from podium.telemetry.metrics.samples import STALE, Sample
from podium.telemetry.metrics.storage import Layout, Outcome, Rejected, Storage

WAITING_MAX = 4096
COLUMN_MIN = 8
"""Fewer samples are appended one by one: a column has a price of its own."""
TEMPLATE_QUERY = "query"

Refused = Callable[[str], None]
"""Is told why samples of a rule are not in the store."""
EVERYTHING = None


def reads(rule: Rule) -> frozenset[str] | None:
    """Names of the metrics that evaluating the rule may read; None: any."""
    if isinstance(rule, AlertingRule) and any(TEMPLATE_QUERY in text for text in (*rule.labels.values(), *rule.annotations.values())):
        return EVERYTHING
    names: set[str] = set()
    return frozenset(names) if _gather(rule.expression, names) else EVERYTHING


def _gather(node: Expression, names: set[str]) -> bool:
    """False: what it reads cannot be told."""
    if isinstance(node, Call) and node.function == INFO:
        return False
    if isinstance(node, VectorSelector):
        named = [m.value for m in node.matchers if m.name == METRIC_NAME and m.type is MatchType.EQUAL and m.value]
        names.update(named)
        return bool(named)
    return all(_gather(child, names) for child in children(node))


def gives(rule: Rule) -> tuple[str, ...]:
    """Names of the metrics that it writes."""
    return (ALERTS, ALERTS_FOR_STATE) if isinstance(rule, AlertingRule) else (rule.name,)


@dataclass(frozen=True, slots=True)
class _Column:
    series: list[Labels]
    layout: Layout


@dataclass(slots=True)
class RuleWriter:
    """Of one group."""

    _series: list[Labels] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)
    _parts: list[tuple[int, int, Refused]] = field(default_factory=list)  # first and last of a rule's samples that may be refused
    _names: set[str] = field(default_factory=set)
    _columns: list[_Column] = field(default_factory=list)  # of the last round, in order
    _next: int = 0

    def begin(self) -> None:
        """A round."""
        self._next = 0
        self._clear()

    def add(self, rule: Rule, samples: Sequence[Sample], ended: Sequence[Labels], storage: Storage, at_ms: int, refused: Refused) -> None:
        """The samples of a rule, all at that time, and an end for each series that has one. Raises LimitExceeded, StorageFailed."""
        if any(not isinstance(sample.value, float) for sample in samples):
            self.write(storage, at_ms)
            _one_by_one(storage, [*samples, *_ends(ended, at_ms)], [(0, len(samples), refused)])
            return
        first = len(self._series)
        self._series += [sample.labels for sample in samples]
        self._values += [sample.value for sample in samples if isinstance(sample.value, float)]
        self._parts.append((first, len(self._series), refused))
        self._series += ended
        self._values += [STALE] * len(ended)
        self._names.update(gives(rule))
        if len(self._series) > WAITING_MAX:
            self.write(storage, at_ms)

    def before(self, read: frozenset[str] | None, storage: Storage, at_ms: int) -> None:
        """What waits is written if a rule that reads these may need it. Raises as `add`."""
        if self._series and (read is EVERYTHING or not self._names.isdisjoint(read)):
            self.write(storage, at_ms)

    def write(self, storage: Storage, at_ms: int) -> None:
        """What waits. Raises as `add`."""
        if not self._series:
            return
        series, values, parts = self._series, self._values, self._parts
        self._clear()
        if len(series) < COLUMN_MIN:
            _one_by_one(storage, [Sample(s, at_ms, v) for s, v in zip(series, values, strict=True)], parts)
            return
        try:
            layout = self._layout(series, storage)
        except LimitExceeded:  # of which some may have room
            for first, last, refused in parts:
                _despite_limits(
                    storage, [Sample(s, at_ms, v) for s, v in zip(series[first:last], values[first:last], strict=True)], refused
                )
            return
        _tell(storage.append(layout, at_ms, np.array(values)), parts)

    def _layout(self, series: list[Labels], storage: Storage) -> Layout:
        """That of the same column of the round before, if it is of the same series."""
        at, self._next = self._next, self._next + 1
        if at < len(self._columns) and self._columns[at].series == series:
            return self._columns[at].layout
        column = _Column(series, storage.layout(series))
        self._columns[at : at + 1] = [column]
        return column.layout

    def _clear(self) -> None:
        self._series, self._values, self._parts = [], [], []
        self._names.clear()


def _ends(series: Sequence[Labels], at_ms: int) -> list[Sample]:
    return [Sample(labels, at_ms, STALE) for labels in series]


def _one_by_one(storage: Storage, samples: Sequence[Sample], parts: Sequence[tuple[int, int, Refused]]) -> None:
    _tell(storage.append_samples(samples), parts)


def _despite_limits(storage: Storage, samples: Sequence[Sample], refused: Refused) -> None:
    try:
        _one_by_one(storage, samples, [(0, len(samples), refused)])
    except LimitExceeded as error:
        refused(str(error))


def _tell(rejected: Rejected, parts: Sequence[tuple[int, int, Refused]]) -> None:
    """That an end comes too late is nobody's mistake."""
    if rejected.outcomes is None:
        return
    for first, last, refused in parts:
        own = rejected.outcomes[first:last]
        if bool((own > Outcome.KNOWN).any()):
            refused(f"samples were refused: {Rejected.of(own)}")
