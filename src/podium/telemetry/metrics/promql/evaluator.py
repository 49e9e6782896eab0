"""Evaluates a syntax tree at all steps at once: what each kind of node gives.

Parts that give the same at every step are evaluated at one step and repeated. A subquery is its expression evaluated at steps of its own, whose
result is then samples like any others. Selectors read from the store once each, whatever the number of steps.

Source: Prometheus' evaluation of expressions.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from podium.telemetry.metrics.errors import LimitExceeded, ReadAgain
from podium.telemetry.metrics.histogram_arithmetic import multiply
from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.promql import aggregation, binary, calls, extended, range_functions
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError, TooManySamples
from podium.telemetry.metrics.promql.explain import Plan
from podium.telemetry.metrics.promql.frames import Evaluated, Frame, ScalarValue, Steps, StringValue, empty_frame
from podium.telemetry.metrics.promql.label_functions import absent_labels, valid_label_name
from podium.telemetry.metrics.promql.naming import dropped, merged
from podium.telemetry.metrics.promql.preprocessing import is_invariant, statistics_only
from podium.telemetry.metrics.promql.quoting import quote, valid
from podium.telemetry.metrics.promql.reads import SELECTOR, Range, instant_range, read_times, subquery_steps, window_range
from podium.telemetry.metrics.promql.selection import (
    Instant,
    LastSamples,
    RangeVector,
    instant_vector,
    is_scattered,
    range_of_frame,
    range_vector,
    range_vector_of_scan,
    started,
    with_resets,
)
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expression,
    MatrixSelector,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from podium.telemetry.metrics.samples import Scan, Selection, Times

T = TypeVar("T")


class Evaluator:
    """Of one query; the tree is resolved (preprocessing.resolve). All methods raise EvaluationError, TooManySamples, QueryTimeout."""

    def __init__(self, context: Context, tree: Expression, plan: Plan | None = None) -> None:
        self.context = context
        self.plan = plan
        self._statistics_only = statistics_only(tree)

    async def evaluate(self, node: Expression, steps: Steps) -> Evaluated:
        """Afterwards only the result is held, of what was reserved on the way."""
        await self.context.pause()
        held = self.context.samples
        if self.plan is None:
            value = await self._evaluate(node, steps)
        else:
            with self.plan.measured(node, self.context) as measured:
                value = await self._evaluate(node, steps)
                measured.gave(value)
        self.context.samples = held + (value.values.size if isinstance(value, Frame) else 0)
        return value

    async def frame(self, node: Expression, steps: Steps) -> Frame:
        value = await self.evaluate(node, steps)
        assert isinstance(value, Frame)
        return value

    async def _evaluate(self, node: Expression, steps: Steps) -> Evaluated:
        if steps.count > 1 and not isinstance(node, NumberLiteral | StringLiteral) and is_invariant(node):
            if self.plan is not None:
                self.plan.once()
            value = await self._at_steps(node, steps.first)
            if isinstance(value, Frame):
                self.context.reserve(value.rows * (steps.count - 1))
            return value.repeated(steps.count)
        return await self._at_steps(node, steps)

    async def _at_steps(self, node: Expression, steps: Steps) -> Evaluated:
        if not steps.count:
            return empty_frame(0)
        match node:
            case NumberLiteral():
                return ScalarValue(np.broadcast_to(np.float64(node.value), (steps.count,)))
            case StringLiteral():
                return StringValue(valid(node.value))
            case Parentheses():
                return await self.evaluate(node.expression, steps)
            case VectorSelector():
                return (await self.instant(node, steps)).frame
            case Unary():
                return await self._unary(node, steps)
            case Binary():
                left = await self.evaluate(node.left, steps)
                return binary.evaluate(self.context, node, left, await self.evaluate(node.right, steps))
            case Aggregation():
                return await self._aggregation(node, steps)
            case Call():
                return await self._call(node, steps)
        raise EvaluationError("a range vector can only be an argument of a function, or the whole of an instant query")

    async def instant(self, node: VectorSelector, steps: Steps, *, with_times: bool = False) -> Instant:
        at = read_times(node, steps)
        lookback = self.context.settings.lookback_ms
        if node.extension == "smoothed" and not with_times:
            return Instant(await self._smoothed(node, at), None)

        async def work(scan: Scan) -> Instant:
            return await self._last_samples(scan, at, with_times=with_times)

        found = await self._reading(node, instant_range(node, at, lookback), work)
        present = found.frame.present
        self.context.statistics.count(np.full(len(at), found.frame.rows) if present is None else present.sum(axis=0))
        await self.context.pause()
        return found if with_times else replace(found, frame=found.frame.pruned())

    async def _last_samples(self, scan: Scan, at: Times, *, with_times: bool) -> Instant:
        lookback = self.context.settings.lookback_ms
        await self.context.expect(scan.labels.count * len(at))
        self.context.reserve(scan.labels.count * len(at))
        if with_times or scan.histograms or is_scattered(scan):
            return instant_vector(scan.selection(), at, lookback, with_times=with_times)
        last = LastSamples(scan, at, lookback)
        await self.context.read(scan, last.read)
        return Instant(last.frame(), None)

    async def _reading(self, node: VectorSelector, where: Range, work: Callable[[Scan], Awaitable[T]]) -> T:
        """What `work` makes of the scan: again when something turns out to be damaged, which the next scan is without."""
        for _ in self.context.storage.deciding(node.matchers):
            await self.context.pause()
        held = self.context.samples
        while True:
            try:
                return await work(self._scan(node, where))
            except ReadAgain:
                self.context.samples = held

    def _scan(self, node: VectorSelector, where: Range) -> Scan:
        try:
            scan = self.context.scan((id(node), SELECTOR), node.matchers, *where)
        except LimitExceeded as error:
            raise TooManySamples from error  # the store estimates before it reads
        if self.plan is not None:
            self.plan.read(scan)
        if not scan.histograms or id(node) not in self._statistics_only:
            return scan
        return replace(scan, histograms=with_resets(scan.histograms))

    async def _select(self, node: VectorSelector, where: Range) -> Selection:
        for _ in self.context.storage.deciding(node.matchers):
            await self.context.pause()
        while True:
            try:
                return self._scan(node, where).selection()
            except ReadAgain:
                continue

    async def _smoothed(self, node: VectorSelector, at: Times) -> Frame:
        lookback = self.context.settings.lookback_ms
        selection = await self._select(node, instant_range(node, at, lookback))
        self.context.reserve(selection.labels.count * len(at))
        return extended.smoothed_instant(range_vector(selection), at, lookback, extended.noting(self.context, node.span))

    async def range_vector(self, node: MatrixSelector | Subquery, steps: Steps) -> RangeVector:
        """All samples that the windows at these steps take."""
        if isinstance(node, Subquery):
            return await self._subquery(node, steps)
        vector = range_vector(await self._select(node.selector, self._reach(node, steps)))
        self.context.reserve(vector.samples)
        await self.context.pause()
        return vector

    def _reach(self, node: MatrixSelector, steps: Steps) -> Range:
        return window_range(node, read_times(node.selector, steps), self.context.settings.lookback_ms)

    async def _subquery(self, node: Subquery, steps: Steps) -> RangeVector:
        own = subquery_steps(node, steps, self.context.settings.subquery_step_ms)
        self.context.reserve(own.count)
        statistics = self.context.statistics
        per_step, statistics.per_step = statistics.per_step, None
        before = statistics.samples_total
        frame = await self.frame(node.expression, own) if own.count else empty_frame(0)
        statistics.per_step = per_step
        if per_step is not None and len(per_step):
            per_step[-1] += statistics.samples_total - before
        return range_of_frame(frame, own)

    async def _unary(self, node: Unary, steps: Steps) -> Evaluated:
        value = await self.evaluate(node.operand, steps)
        if node.operator == "+" or isinstance(value, StringValue):
            return value
        if isinstance(value, ScalarValue):
            return ScalarValue(-value.values)
        histograms = {row: [None if h is None else multiply(h, -1.0) for h in own] for row, own in value.histograms.items()}
        negated = replace(value, values=-value.values, histograms=histograms)
        return dropped(negated, delayed=self.context.settings.delayed_name_removal)

    async def _aggregation(self, node: Aggregation, steps: Steps) -> Frame:
        if node.operator == "count_values":
            assert isinstance(node.parameter, StringLiteral)
            label = node.parameter.value
            if not valid_label_name(label):
                raise EvaluationError(f"invalid label name {quote(label)}")
            return aggregation.count_values(self.context, node, await self.frame(node.expression, steps), label)
        parameter = None
        if node.parameter is not None:
            scalar = await self.evaluate(node.parameter, steps)
            assert isinstance(scalar, ScalarValue)
            parameter = scalar.values
        frame = await self.frame(node.expression, steps)
        await self.context.pause()
        return aggregation.aggregate(self.context, node, frame, parameter)

    async def _call(self, node: Call, steps: Steps) -> Evaluated:
        if node.function in range_functions.KERNELS:
            return await self._range_call(node, steps)
        if node.function == "timestamp":
            return await self._timestamp(node, steps)
        if node.function == "start_timestamp":
            return await self._start_timestamp(node, steps)
        if node.function.startswith("sort") and steps.count > 1:
            self.context.annotations.add(notes.SORT_IN_RANGE, node.span)
        values = [await self.evaluate(a, steps) for a in calls.evaluated_arguments(node)]
        await self.context.pause()
        return calls.call(self.context, node, steps, values)

    async def _timestamp(self, node: Call, steps: Steps) -> Frame:
        """When the samples are from; the time of the step when the argument is no selector."""
        argument = node.arguments[0]
        if isinstance(argument, VectorSelector):
            found = await self.instant(argument, steps, with_times=True)
            assert found.times is not None
            frame = Frame(found.frame.labels, found.times / 1000.0, found.frame.there())
        else:
            frame = await self.frame(argument, steps)
            times = np.broadcast_to(steps.times / 1000.0, frame.values.shape)
            frame = Frame(frame.labels, times, frame.there(), {}, frame.drop_name)
        return dropped(frame.pruned(), delayed=self.context.settings.delayed_name_removal)

    async def _start_timestamp(self, node: Call, steps: Steps) -> Frame:
        """Since when the samples were counted, 0 where that is not known. Nothing when these are not used, and of what is no selector."""
        argument = node.arguments[0]
        if not isinstance(argument, VectorSelector) or not self.context.settings.start_timestamps:
            await self.evaluate(argument, steps)
            return empty_frame(steps.count)
        at = read_times(argument, steps)
        lookback = self.context.settings.lookback_ms
        selection = await self._select(argument, instant_range(argument, at, lookback))
        self.context.reserve(selection.labels.count * len(at))
        frame = started(selection, at, lookback)
        return dropped(frame.pruned(), delayed=self.context.settings.delayed_name_removal)

    async def _range_call(self, node: Call, steps: Steps) -> Frame:
        ranged = next(a for a in node.arguments if isinstance(a, MatrixSelector | Subquery))
        scalars = []
        for argument in node.arguments:
            if argument is not ranged:
                value = await self.evaluate(argument, steps)
                assert isinstance(value, ScalarValue)
                scalars.append(value.values)
        ends = read_times(ranged.selector if isinstance(ranged, MatrixSelector) else ranged, steps)
        assert isinstance(ranged.range_ms, int)
        starts, use_starts = ends - ranged.range_ms, self.context.settings.start_timestamps
        spans = node.arguments[0].span, ranged.span
        call = range_functions.RangeCall(node.function, *spans, ranged.range_ms, starts, ends, steps.times, scalars, use_starts)
        frame = await self._range_frame(call, ranged, steps)
        delayed = self.context.settings.delayed_name_removal
        if node.function == "absent_over_time":
            return absent(node.arguments[0], frame, delayed=delayed)
        if node.function in range_functions.KEEPS_NAME:
            return frame
        return dropped(frame, delayed=delayed)

    async def _range_frame(self, call: range_functions.RangeCall, ranged: MatrixSelector | Subquery, steps: Steps) -> Frame:
        if isinstance(ranged, Subquery):
            return await range_functions.evaluate(self.context, call, await self.range_vector(ranged, steps))
        extension = ranged.selector.extension
        if extension:
            vector = await self.range_vector(ranged, steps)
            self.context.reserve(vector.labels.count * steps.count)
            return extended.evaluate(self.context, call, vector, extension, self.context.settings.lookback_ms)

        async def work(scan: Scan) -> Frame:
            vector = range_vector_of_scan(scan)
            self.context.reserve(vector.samples)
            return await range_functions.evaluate(self.context, call, vector)

        return await self._reading(ranged.selector, self._reach(ranged, steps), work)


def absent(argument: Expression, frame: Frame, *, delayed: bool) -> Frame:
    """1 at the steps at which no series is there."""
    missing = ~np.asarray(frame.there().any(axis=0)) if frame.rows else np.ones(frame.steps, np.bool_)
    labels = LabelColumns.of([absent_labels(argument)])
    made = Frame(labels, np.ones((1, frame.steps)), missing[None, :]).pruned()
    return merged(made) if delayed else made
