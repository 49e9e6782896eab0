"""The query engine: parses, waits for its turn, evaluates within limits, and says what it cost.

At most `concurrency` queries are evaluated at a time, `QUEUE_MAX` wait; a query that waits or works longer than its timeout ends with upstream's
words. Cancelling the task that asks ends a query at its next pause, which is a few milliseconds away.

Source: Prometheus' query engine.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from podium.instrument.metrics import Registry
from podium.telemetry.metrics.errors import LimitExceeded, MetricsError
from podium.telemetry.metrics.promql import conversion, extended
from podium.telemetry.metrics.promql.context import Context, Settings
from podium.telemetry.metrics.promql.elsewhere import Gathered, Remote, gather
from podium.telemetry.metrics.promql.engine_metrics import EngineMetrics
from podium.telemetry.metrics.promql.errors import EvaluationError, QueryCanceled, QueryTimeout
from podium.telemetry.metrics.promql.evaluator import Evaluator
from podium.telemetry.metrics.promql.explain import Plan
from podium.telemetry.metrics.promql.frames import Frame, ScalarValue, Steps, StringValue
from podium.telemetry.metrics.promql.naming import settled
from podium.telemetry.metrics.promql.parser import EVERYTHING, STABLE, parse
from podium.telemetry.metrics.promql.preprocessing import resolve, unwrapped
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.query_log import ActiveQueries, date, log_entry
from podium.telemetry.metrics.promql.reads import read_times, reads
from podium.telemetry.metrics.promql.results import Result, String, Value
from podium.telemetry.metrics.promql.signatures import DOCUMENTED_TYPES, SIGNATURES
from podium.telemetry.metrics.promql.statistics import Statistics
from podium.telemetry.metrics.promql.syntax import (
    Binary,
    Call,
    Expression,
    MatrixSelector,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    ValueType,
)
from podium.telemetry.metrics.promql.token_stream import Features
from podium.telemetry.metrics.promql.turns import Turn, Turns
from podium.telemetry.metrics.storage import Queryable
from podium.world.interface import World

QUEUE_MAX = 1000
"""Queries that wait for their turn; one more is refused."""


@dataclass(frozen=True, slots=True)
class Options:
    """Defaults are upstream's."""

    lookback_ms: int = 300_000
    samples_max: int = 50_000_000
    timeout_s: float = 120.0
    concurrency: int = 20
    subquery_step_ms: int = 60_000
    experimental: bool = False  # every experimental part of the language; else `features`
    features: Features = STABLE
    delayed_name_removal: bool = False
    type_and_unit_labels: bool = False
    start_timestamps: bool = False  # where samples have them


QueryLog = Callable[[dict[str, Any]], None]
"""Takes an entry of the query log."""


@dataclass(frozen=True, slots=True)
class Request:
    """One query; what is None is as the engine's options say."""

    query: str | Expression
    start_ms: int
    end_ms: int
    interval_ms: int = 0  # 0: an instant query
    lookback_ms: int | None = None
    timeout_s: float | None = None  # never longer than the engine's
    queued: bool = True  # False: nobody else is let in until it has its answer (who asks cannot wait)
    own: bool = False  # the server's own (rules): it does not wait until others' queries have ended
    per_step: bool = False  # count samples by step
    shown: str = ""  # what a tree is in the query log, if not as printed
    source: str = ""  # what a tree was parsed from: annotations then say where in it they are
    origin: dict[str, Any] = field(default_factory=dict)  # for the query log: httpRequest, ruleGroup
    local: bool = False  # other servers are not asked

    @property
    def text(self) -> str:
        if isinstance(self.query, str):
            return self.query
        return self.source or self.shown or print_query(self.query)


class Engine:
    def __init__(self, storage: Queryable, world: World, options: Options | None = None, active: ActiveQueries | None = None) -> None:
        self.storage = storage
        self.options = options or Options()
        self.remotes: Sequence[Remote] = ()
        """Stores on other servers, whose samples count, too."""
        self.query_log: QueryLog | None = None
        self.metrics: EngineMetrics | None = None
        self.queries_running = 0
        self.queries_waiting = 0
        self._clock = world.clock
        self._active = active
        self._queue = asyncio.Semaphore(self.options.concurrency)
        self._turns = Turns()
        self._closing = False

    @property
    def features(self) -> Features:
        return EVERYTHING if self.options.experimental else self.options.features

    async def instant(self, query: str | Expression, time_ms: int, *, statistics: Statistics | None = None, **more: Any) -> Result:
        """The value at a time; `more` are fields of Request. `statistics` is filled in.

        Raises ParseError, EvaluationError, TooManySamples, QueryTimeout, QueryCanceled, LimitExceeded, StorageFailed.
        """
        return await self.run(Request(query, time_ms, time_ms, **more), statistics)

    async def range(
        self, query: str | Expression, start_ms: int, end_ms: int, step_ms: int, *, statistics: Statistics | None = None, **more: Any
    ) -> Result:
        """A matrix of the values at start, start + step, ... up to end; sorted by labels. Otherwise as `instant`."""
        if step_ms <= 0:
            raise EvaluationError("zero or negative query resolution step widths are not accepted. Try a positive integer")
        return await self.run(Request(query, start_ms, end_ms, step_ms, **more), statistics)

    async def explain(
        self, query: str | Expression, start_ms: int, end_ms: int, step_ms: int = 0, *, statistics: Statistics | None = None, **more: Any
    ) -> tuple[Plan, Result]:
        """What evaluating the query takes, part by part: it is evaluated, at a time when `step_ms` is 0. Raises as `instant`."""
        plan = Plan()
        return plan, await self.run(Request(query, start_ms, end_ms, step_ms, **more), statistics, plan)

    async def run(self, request: Request, statistics: Statistics | None = None, plan: Plan | None = None) -> Result:
        """Raises as `instant`."""
        statistics = statistics if statistics is not None else Statistics()
        started = self._clock.monotonic()
        slot = -1
        error: BaseException | None = None
        deadline = started + min(request.timeout_s or self.options.timeout_s, self.options.timeout_s)
        waits = request.queued and not request.own
        if waits:
            await self._wait_for_turn(deadline)
        elif self._closing:
            raise QueryCanceled("query queue")
        try:
            statistics.queue_s = self._clock.monotonic() - started
            self.queries_running += 1
            slot = self._active.add(request.text, self._clock.now()) if self._active is not None else -1
            return await self._answer(request, statistics, plan, deadline)
        except (MetricsError, asyncio.CancelledError) as raised:
            error = raised
            raise
        finally:
            self.queries_running -= 1
            if waits:
                self._queue.release()
            if self._active is not None and slot >= 0:
                self._active.remove(slot)
            statistics.total_s = self._clock.monotonic() - started
            if self.metrics is not None:
                self.metrics.observe(statistics)
            self._log(request, statistics, error)

    def measure(self, registry: Registry) -> None:
        """Counts from now on, under upstream's names."""
        self.metrics = EngineMetrics(registry, lambda: self.queries_running + self.queries_waiting, self.options.concurrency)

    def close(self) -> None:
        """Queries that run end with QueryCanceled, and so do new ones."""
        self._closing = True

    async def _wait_for_turn(self, deadline: float) -> None:
        if self._closing:
            raise QueryCanceled("query queue")
        if self.queries_waiting >= QUEUE_MAX:
            raise LimitExceeded("queue_max", f"too many queries are waiting: at most {QUEUE_MAX}")
        if not self._queue.locked():
            await self._queue.acquire()  # at once
            return
        self.queries_waiting += 1
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await self._queue.acquire()
        except TimeoutError:
            raise QueryTimeout("query queue") from None
        finally:
            self.queries_waiting -= 1

    async def _answer(self, request: Request, statistics: Statistics, plan: Plan | None, deadline: float) -> Result:
        before = self._clock.monotonic()
        text = request.query if isinstance(request.query, str) else request.source
        tree = parse(request.query, self.features) if isinstance(request.query, str) else request.query
        kind = type_of(tree)
        if request.interval_ms and kind not in (ValueType.VECTOR, ValueType.SCALAR):
            said = DOCUMENTED_TYPES[kind]
            raise EvaluationError(f'invalid expression type "{said}" for range query, must be Scalar or instant Vector')
        tree = resolve(tree, request.start_ms, request.end_ms, request.interval_ms)
        context = self._context(request, statistics, deadline)
        began = self._clock.monotonic()
        gathered = await self._gather(tree, request, deadline)
        context.elsewhere = gathered.selections
        if plan is not None:
            plan.asked, plan.asked_s = gathered.asked, self._clock.monotonic() - began
        statistics.preparation_s = self._clock.monotonic() - before
        before = self._clock.monotonic()
        if request.queued:
            async with Turn(self._turns, self._clock, deadline, own=request.own) as context.turn:
                context.resume()
                value = await self._value(tree, context, request, plan)
        else:
            context.resume()
            value = await self._value(tree, context, request, plan)
        statistics.inner_s = self._clock.monotonic() - before - statistics.sort_s
        return Result(value, sorted([*context.annotations.warnings(text), *gathered.warnings]), context.annotations.infos(text))

    async def _gather(self, tree: Expression, request: Request, deadline: float) -> Gathered:
        """What other servers have of what the query reads. Raises QueryTimeout."""
        if not self.remotes or request.local:
            return Gathered()
        options = self.options
        wanted = reads(unwrapped(tree), _steps(request), request.lookback_ms or options.lookback_ms, options.subquery_step_ms)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                return await gather(self.remotes, wanted, self._clock)
        except TimeoutError:
            raise QueryTimeout("query execution") from None

    def _context(self, request: Request, statistics: Statistics, deadline: float) -> Context:
        options = self.options
        settings = Settings(
            request.lookback_ms or options.lookback_ms,
            options.samples_max,
            options.subquery_step_ms,
            options.delayed_name_removal,
            options.type_and_unit_labels,
            options.start_timestamps,
            request.start_ms,
            request.end_ms,
            request.interval_ms,
        )
        statistics.steps = _steps(request)
        if request.per_step:
            statistics.per_step = statistics.steps.times * 0
        context = Context(self.storage, settings, self._clock, deadline, statistics=statistics)
        context.closing = lambda: self._closing
        return context

    async def _value(self, tree: Expression, context: Context, request: Request, plan: Plan | None) -> Value:
        steps = _steps(request)
        evaluator = Evaluator(context, tree, plan)
        ranged = unwrapped(tree)
        if isinstance(ranged, MatrixSelector | Subquery):
            vector = await evaluator.range_vector(ranged, steps)
            assert isinstance(ranged.range_ms, int)
            end = int(read_times(ranged.selector if isinstance(ranged, MatrixSelector) else ranged, steps)[0])
            if isinstance(ranged, MatrixSelector) and ranged.selector.extension:
                return extended.samples(vector, end - ranged.range_ms, end, ranged.selector.extension)
            return conversion.range_matrix(vector, end - ranged.range_ms, end)
        value = await evaluator.evaluate(tree, steps)
        before = self._clock.monotonic()
        try:
            if isinstance(value, StringValue):
                return String(request.start_ms, value.text)
            if isinstance(value, ScalarValue):
                if request.interval_ms:
                    return conversion.scalar_matrix(value, steps)
                return conversion.to_scalar(value, request.start_ms)
            frame: Frame = settled(value).pruned()
            return conversion.to_matrix(frame, steps) if request.interval_ms else conversion.to_vector(frame, request.start_ms)
        finally:
            context.statistics.sort_s = self._clock.monotonic() - before

    def _log(self, request: Request, statistics: Statistics, error: BaseException | None) -> None:
        if self.query_log is not None:
            start, end = (datetime.fromtimestamp(t / 1000, UTC) for t in (request.start_ms, request.end_ms))
            said = "context canceled" if isinstance(error, asyncio.CancelledError) else str(error) if error else ""
            now = self._clock.now()
            parameters = {"query": request.text, "start": date(start), "end": date(end), "step": request.interval_ms // 1000}
            self.query_log(log_entry(now, parameters, statistics, said, request.origin))


def _steps(request: Request) -> Steps:
    return Steps.between(request.start_ms, request.end_ms, request.interval_ms or 1)


def type_of(node: Expression) -> ValueType:
    """Of a well-typed tree."""
    match node:
        case NumberLiteral():
            return ValueType.SCALAR
        case StringLiteral():
            return ValueType.STRING
        case MatrixSelector() | Subquery():
            return ValueType.MATRIX
        case Parentheses():
            return type_of(node.expression)
        case Unary():
            return type_of(node.operand)
        case Binary():
            both = type_of(node.left), type_of(node.right)
            return ValueType.SCALAR if both == (ValueType.SCALAR, ValueType.SCALAR) else ValueType.VECTOR
        case Call():
            return SIGNATURES[node.function].returns
    return ValueType.VECTOR
