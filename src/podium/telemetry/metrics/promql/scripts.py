"""Runs PromQL test scripts against an engine.

Each query is asked as it is written; an instant one also at other times with its own time pinned by @, and as the middle step of a range
query: all must give the expected result. What fails is collected, and the script goes on.

Source: Prometheus' promqltest.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql.custom_buckets import from_classic
from podium.telemetry.metrics.promql.parser import EVERYTHING, parse
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.results import Matrix, Point, Result, Scalar, Vector
from podium.telemetry.metrics.promql.script_checks import Mismatch, check_failure, check_result, check_scalar, check_vector
from podium.telemetry.metrics.promql.script_commands import Clear, Evaluation, Load, ScriptError, parse_script
from podium.telemetry.metrics.promql.series_notation import NotedSeries
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expression,
    MatrixSelector,
    Parentheses,
    Subquery,
    Unary,
    VectorSelector,
    children,
)
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.storage import Storage

TIME_DEPENDENT = frozenset(
    (
        "days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year", "predict_linear", "time", "timestamp",
        "start", "end", "step", "range",
    )
)  # fmt: skip
"""Functions whose results depend on when the query is asked although all selectors are pinned."""

_CONTEXT = re.compile(r"(start|end|range|step)\(\)")
_MINUTE_MS = 60_000


class Evaluator(Protocol):
    """An engine over the script's store."""

    async def instant(self, query: str, time_ms: int) -> Result: ...

    async def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Result: ...


@dataclass(frozen=True, slots=True)
class Failure:
    file: str
    line: int
    query: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.query}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    passed: int
    failures: Sequence[Failure]


async def run_script(
    text: str, file: str, engine_of: Callable[[Storage], Evaluator], new_store: Callable[[], Storage] = MemorySamples
) -> Report:
    """All cases of a file, each engine over a new store. Raises ScriptError when the file is no script."""
    store = new_store()
    engine = engine_of(store)
    passed = 0
    failures: list[Failure] = []
    for command in parse_script(text, file):
        if isinstance(command, Clear):
            store = new_store()
            engine = engine_of(store)
        elif isinstance(command, Load):
            _load(store, command, file)
        else:
            try:
                await _evaluate(engine, command)
                passed += 1
            except Mismatch as mismatch:
                failures.append(Failure(file, command.line, command.query, str(mismatch)))
    return Report(passed, failures)


def _load(store: Storage, load: Load, file: str) -> None:
    """Of a series that is written down twice, the last counts."""
    last = {series.labels: series for series in load.series}
    samples = [s for series in last.values() for s in series_samples(series, load.step_ms)]
    if load.custom_buckets:
        try:
            samples += _as_custom_buckets(samples)
        except ValueError as error:
            raise ScriptError(file, load.line, str(error)) from error
    if any(sample.since_ms for sample in samples) and not isinstance(store, MemorySamples):
        raise ScriptError(file, load.line, "this store keeps no start timestamps")
    if rejected := store.append_samples(samples):
        raise ScriptError(file, load.line, f"the store rejects samples of this load: {rejected}")


def series_samples(series: NotedSeries, step_ms: int, start_ms: int = 0) -> list[Sample]:
    """The samples that a series' notation stands for, one a step."""
    times = [start_ms + n * step_ms for n in range(len(series.values))]
    since = [0 if d is None else t + d for t, d in zip(times, series.starts or [None] * len(times), strict=True)]
    return [Sample(series.labels, t, v.value, s) for t, v, s in zip(times, series.values, since, strict=True) if v.value is not None]


@dataclass(slots=True)
class _Classic:
    buckets: dict[float, float]
    count: float | None = None
    sum: float = 0.0


def _as_custom_buckets(samples: Sequence[Sample]) -> list[Sample]:
    """The classic histograms among samples, as native ones. Raises ValueError."""
    found: dict[tuple[Labels, int], _Classic] = {}
    for sample in samples:
        labels = dict(sample.labels)
        name, _, part = labels.get(METRIC_NAME, "").rpartition("_")
        if part not in ("bucket", "count", "sum") or not isinstance(sample.value, float):
            continue
        bound = labels.pop("le", None)
        if part == "bucket" and not _is_bound(bound):
            continue
        classic = found.setdefault((labels_of({**labels, METRIC_NAME: name}), sample.time_ms), _Classic({}))
        if part == "bucket":
            classic.buckets.setdefault(float(bound or "nan"), sample.value)
        elif part == "count":
            classic.count = sample.value
        else:
            classic.sum = sample.value
    made = [Sample(labels, time_ms, from_classic(c.buckets, c.count, c.sum)) for (labels, time_ms), c in found.items()]
    return sorted(made, key=lambda s: (s.labels, s.time_ms))


def _is_bound(text: str | None) -> bool:
    try:
        value = float(text or "")
    except ValueError:
        return False
    return value == value


async def _evaluate(engine: Evaluator, case: Evaluation) -> None:
    if case.is_range:
        result = await _asked(case, engine.range(case.query, case.start_ms, case.end_ms, case.step_ms))
        if result is not None:
            check_result(case, result)
        return
    for query, time_ms in [(case.query, case.at_ms), *_pinned(case)]:
        try:
            await _instant(engine, case, query, time_ms)
        except Mismatch as mismatch:
            if query == case.query:
                raise
            raise Mismatch(f"asked as {query} at {time_ms / 1000:g}s: {mismatch}") from mismatch


async def _asked(case: Evaluation, asking: object) -> Result | None:
    """The answer; None after an expected failure."""
    try:
        result: Result = await asking  # type: ignore[misc]
    except MetricsError as error:
        if not case.fail:
            raise Mismatch(f"expected a result, got the error: {error}") from error
        check_failure(case, str(error))
        return None
    if case.fail:
        raise Mismatch(f"expected the error {case.fail[0]}, got a {result.value.type.value}")
    return result


async def _instant(engine: Evaluator, case: Evaluation, query: str, time_ms: int) -> None:
    result = await _asked(case, engine.instant(query, time_ms))
    if result is None:
        return
    check_result(case, result)
    if case.range_vector or case.string is not None or case.ordered or _CONTEXT.search(query):
        return
    try:
        ranged = await engine.range(query, time_ms - _MINUTE_MS, time_ms + _MINUTE_MS, _MINUTE_MS)
        points = _at(ranged.value, time_ms) if isinstance(ranged.value, Matrix) else []
        if isinstance(result.value, Scalar):
            if len(points) != 1 or not isinstance(points[0].value, float):
                raise Mismatch(f"expected one number, got {len(points)} points")
            check_scalar(case, points[0].value)
        elif isinstance(result.value, Vector):
            check_vector(case, points)
    except (Mismatch, MetricsError) as error:
        raise Mismatch(f"as a step of a range: {error}") from error


def _at(matrix: Matrix, time_ms: int) -> list[Point]:
    points = []
    for series in matrix.series:
        found = dict(zip(series.times.tolist(), series.values.tolist(), strict=True))
        histograms = dict(zip(series.histogram_times.tolist(), series.histograms, strict=True))
        value = found.get(time_ms, histograms.get(time_ms))
        if value is not None:
            points.append(Point(series.labels, time_ms, value))
    return points


def _pinned(case: Evaluation) -> list[tuple[str, int]]:
    """The query with every selector pinned to its time, and other times at which it must give the same."""
    tree = parse(case.query, EVERYTHING)
    if _depends_on_time(tree):
        return []
    at = case.at_ms
    query = print_query(pin(tree, at))
    times = [-10 * at, 0, at // 5, at, 10 * at] if at else [-1000, 0, 1000]
    return [(query, time) for time in times]


def _depends_on_time(node: Expression) -> bool:
    return (isinstance(node, Call) and node.function in TIME_DEPENDENT) or any(_depends_on_time(child) for child in children(node))


def pin(node: Expression, time_ms: int) -> Expression:
    """The tree with @ on every selector and subquery that has none, except within subqueries, which are pinned as a whole."""
    match node:
        case VectorSelector() | Subquery():
            return node if isinstance(node.at, int) else replace(node, at=time_ms)
        case MatrixSelector():
            return node if isinstance(node.selector.at, int) else replace(node, selector=replace(node.selector, at=time_ms))
        case Unary():
            return replace(node, operand=pin(node.operand, time_ms))
        case Parentheses():
            return replace(node, expression=pin(node.expression, time_ms))
        case Binary():
            return replace(node, left=pin(node.left, time_ms), right=pin(node.right, time_ms))
        case Aggregation():
            parameter = None if node.parameter is None else pin(node.parameter, time_ms)
            return replace(node, expression=pin(node.expression, time_ms), parameter=parameter)
        case Call():
            return replace(node, arguments=tuple(pin(argument, time_ms) for argument in node.arguments))
        case _:
            return node
