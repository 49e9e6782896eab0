"""What a query will read, known before it is evaluated: each selector with its range of time.

Stores on other servers are asked with it before the evaluation begins (elsewhere.py), all at once; the evaluation itself then waits for nobody.
The walk takes the steps where the evaluator will: one step for what is the same at all, a subquery's own below it.

Source: upstream's hints to stores (storage.SelectHints).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.promql import extended
from podium.telemetry.metrics.promql.frames import Steps
from podium.telemetry.metrics.promql.info import info_matchers, info_times
from podium.telemetry.metrics.promql.preprocessing import is_invariant
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expression,
    MatrixSelector,
    Subquery,
    VectorSelector,
    children,
)
from podium.telemetry.metrics.samples import Times

Range = tuple[int, int]
"""Milliseconds, both inclusive."""
Key = tuple[int, str]
"""id() of a node and what is read for it."""
SELECTOR, INFO = "selector", "info"


@dataclass(frozen=True, slots=True)
class Hints:
    """What a store may want to know beside the selector: the function around it, the range of its windows, the grouping above it."""

    function: str = ""
    range_ms: int = 0
    step_ms: int = 0
    grouping: tuple[str, ...] = ()
    by: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    matchers: tuple[Matcher, ...]
    start_ms: int
    end_ms: int
    hints: Hints


def read_times(node: VectorSelector | Subquery, steps: Steps) -> Times:
    """(T,) what a selector reads at: the steps or its @, less its offset."""
    assert isinstance(node.offset_ms, int)
    times = steps.times if node.at is None else np.full(steps.count, node.at, np.int64)
    return times - node.offset_ms


def instant_range(node: VectorSelector, at: Times, lookback_ms: int) -> Range:
    ahead = lookback_ms if node.extension == "smoothed" else 0
    return int(at.min()) - lookback_ms + 1, int(at.max()) + ahead


def window_range(node: MatrixSelector, at: Times, lookback_ms: int) -> Range:
    assert isinstance(node.range_ms, int)
    before, behind = extended.reach(node.selector.extension, lookback_ms)
    return int(at.min()) - node.range_ms - before + 1, int(at.max()) + behind


def subquery_steps(node: Subquery, steps: Steps, interval_ms: int) -> Steps:
    """`interval_ms` where the subquery says none."""
    assert isinstance(node.range_ms, int) and isinstance(node.step_ms, int)
    at, interval = read_times(node, steps), node.step_ms or interval_ms
    begin = int(at.min()) - node.range_ms
    return Steps.between((begin // interval + 1) * interval, int(at.max()), interval)


def reads(tree: Expression, steps: Steps, lookback_ms: int, subquery_step_ms: int) -> dict[Key, Read]:
    """All that the evaluation of a resolved tree at these steps selects."""
    walk = _Walk(lookback_ms, subquery_step_ms, steps.interval_ms if steps.count > 1 else 0)
    walk.visit(tree, steps, Hints(step_ms=walk.step_ms))
    return walk.found


class _Walk:
    def __init__(self, lookback_ms: int, subquery_step_ms: int, step_ms: int) -> None:
        self._lookback_ms, self._subquery_step_ms, self.step_ms = lookback_ms, subquery_step_ms, step_ms
        self.found: dict[Key, Read] = {}

    def visit(self, node: Expression, steps: Steps, hints: Hints) -> None:
        if steps.count > 1 and not isinstance(node, MatrixSelector | Subquery) and is_invariant(node):
            steps = steps.first
        if not steps.count:
            return
        match node:
            case VectorSelector():
                self._add((id(node), SELECTOR), node.matchers, instant_range(node, read_times(node, steps), self._lookback_ms), hints)
                return
            case MatrixSelector():
                assert isinstance(node.range_ms, int)
                where = window_range(node, read_times(node.selector, steps), self._lookback_ms)
                known = Hints(hints.function, node.range_ms, hints.step_ms, hints.grouping, hints.by)
                self._add((id(node.selector), SELECTOR), node.selector.matchers, where, known)
                return
            case Subquery():
                steps = subquery_steps(node, steps, self._subquery_step_ms)
                hints = Hints(step_ms=steps.interval_ms)
            case Binary():
                hints = Hints(step_ms=hints.step_ms)
            case Aggregation():
                hints = Hints(node.operator, 0, hints.step_ms, node.grouping, not node.without)
            case Call():
                if node.function == INFO:
                    self._add_info(node, steps)
                    node = node.arguments[0]
                    self.visit(node, steps, Hints(INFO, 0, hints.step_ms))
                    return
                hints = Hints(node.function, 0, hints.step_ms, hints.grouping, hints.by)
        for child in children(node):
            self.visit(child, steps, hints)

    def _add_info(self, node: Call, steps: Steps) -> None:
        selector = node.arguments[1] if len(node.arguments) > 1 else None
        assert selector is None or isinstance(selector, VectorSelector)
        at = info_times(node.arguments[0], steps)
        where = int(at.min()) - self._lookback_ms + 1, int(at.max())
        self._add((id(node.arguments[0]), INFO), info_matchers(selector), where, Hints(INFO, 0, self.step_ms))

    def _add(self, key: Key, matchers: Sequence[Matcher], where: Range, hints: Hints) -> None:
        self.found[key] = Read(tuple(matchers), *where, hints)
