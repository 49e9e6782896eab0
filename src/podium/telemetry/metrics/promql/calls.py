"""Calls of functions without a range: from values of the arguments to the value of the call.

Source: Prometheus' functions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.promql import histogram_functions as histograms
from podium.telemetry.metrics.promql import info, label_functions
from podium.telemetry.metrics.promql import instant_functions as instants
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Evaluated, Frame, ScalarValue, Steps, StringValue, empty_frame, single_frame
from podium.telemetry.metrics.promql.naming import dropped
from podium.telemetry.metrics.promql.syntax import Call, Expression, VectorSelector
from podium.telemetry.metrics.samples import Values

Values_ = Sequence[Evaluated]
_Function = Callable[[Context, Call, Steps, Values_], Evaluated]


def evaluated_arguments(node: Call) -> Sequence[Expression]:
    """The arguments whose values a call needs: not the selector that tells info() what to add."""
    return node.arguments[:1] if node.function == "info" else node.arguments


def call(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    """Raises EvaluationError."""
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise EvaluationError(f"function {node.function} is not supported")
    with np.errstate(all="ignore"):
        return function(context, node, steps, values)


def _frame(value: Evaluated) -> Frame:
    assert isinstance(value, Frame)
    return value


def _scalar(value: Evaluated) -> Values:
    assert isinstance(value, ScalarValue)
    return value.values


def _text(value: Evaluated) -> str:
    assert isinstance(value, StringValue)
    return value.text


def _mapped(context: Context, frame: Frame, values: Values) -> Frame:
    """Floats changed one by one: histograms are left out, names dropped."""
    made = frame.with_values(values)
    return dropped(made.pruned() if frame.histograms else made, delayed=context.settings.delayed_name_removal)


def _mathematics(function: instants.Function) -> _Function:
    def call_it(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
        frame = _frame(values[0])
        return _mapped(context, frame, function(frame.values))

    return call_it


def _date(function: instants.Function) -> _Function:
    def call_it(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
        if not values:
            return single_frame(function(np.floor_divide(steps.times, 1000).astype(np.float64)))
        frame = _frame(values[0])
        return _mapped(context, frame, function(frame.values))

    return call_it


def _round(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    frame = _frame(values[0])
    nearest = _scalar(values[1]) if len(values) > 1 else np.ones(steps.count)
    return _mapped(context, frame, instants.rounded(frame.values, nearest))


def _clamp(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    frame = _frame(values[0])
    lowest, highest = np.full(steps.count, -np.inf), np.full(steps.count, np.inf)
    if node.function != "clamp_max":
        lowest = _scalar(values[1])
    if node.function != "clamp_min":
        highest = _scalar(values[-1])
    made = _mapped(context, frame, instants.clamped(frame.values, lowest, highest))
    crossed = highest < lowest
    return replace(made, present=made.floats() & ~crossed).pruned() if crossed.any() else made


def _absent(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    frame = _frame(values[0])
    missing = ~np.asarray(frame.there().any(axis=0)) if frame.rows else np.ones(steps.count, np.bool_)
    labels = LabelColumns.of([label_functions.absent_labels(node.arguments[0])])
    return Frame(labels, np.ones((1, steps.count)), missing[None, :]).pruned()


def _to_scalar(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    frame = _frame(values[0])
    if not frame.rows:
        return ScalarValue(np.full(steps.count, np.nan))
    floats = frame.floats()
    single = floats.sum(axis=0) == 1
    found = frame.values[floats.argmax(axis=0), np.arange(steps.count)]
    return ScalarValue(np.where(single, found, np.nan))


def _vector(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    return single_frame(_scalar(values[0]))


def _label_replace(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    target, replacement, source, expression = (_text(v) for v in values[1:])
    return label_functions.label_replace(_frame(values[0]), target, replacement, source, expression, context.write)


def _label_join(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    target, separator, *sources = (_text(v) for v in values[1:])
    return label_functions.label_join(_frame(values[0]), target, separator, sources, context.write)


def _sort(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    frame = _frame(values[0])
    descending = node.function.endswith("_desc")
    if steps.count != 1:
        return frame if "label" in node.function else frame.only_floats().pruned()
    if "label" in node.function:
        return label_functions.sorted_by_labels(frame, [_text(v) for v in values[1:]], descending=descending)
    return label_functions.sorted_by_value(frame, descending=descending)


def _info(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    selector = node.arguments[1] if len(node.arguments) > 1 else None
    assert selector is None or isinstance(selector, VectorSelector)
    frame = _frame(values[0])
    if not frame.rows:
        return empty_frame(steps.count)
    return info.add_labels(context, steps, node.arguments[0], frame, selector)


def _histogram_simple(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    return histograms.simple(context, node.function, _frame(values[0]))


def _histogram_quantile(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    spans = node.arguments[0].span, node.arguments[1].span
    return histograms.quantile(context, steps, _frame(values[1]), _scalar(values[0]), spans)


def _histogram_quantiles(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    spans = [a.span for a in node.arguments]
    return histograms.quantiles(context, steps, _frame(values[0]), _text(values[1]), [_scalar(v) for v in values[2:]], spans)


def _histogram_fraction(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    return histograms.fraction(context, _frame(values[2]), _scalar(values[0]), _scalar(values[1]), node.arguments[2].span)


def _constant(value: Callable[[Context], float]) -> _Function:
    return lambda context, node, steps, values: ScalarValue(np.full(steps.count, value(context)))


def _time(context: Context, node: Call, steps: Steps, values: Values_) -> Evaluated:
    return ScalarValue(steps.times / 1000.0)


def _extreme(choose: np.ufunc) -> _Function:
    return lambda context, node, steps, values: ScalarValue(choose(_scalar(values[0]), _scalar(values[1])))


FUNCTIONS: dict[str, _Function] = {
    **{name: _mathematics(function) for name, function in instants.MATHEMATICS.items()},
    **{name: _date(function) for name, function in instants.DATES.items()},
    **dict.fromkeys(("sort", "sort_desc", "sort_by_label", "sort_by_label_desc"), _sort),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    **dict.fromkeys(histograms.SIMPLE, _histogram_simple),
    "round": _round,
    "absent": _absent,
    "scalar": _to_scalar,
    "vector": _vector,
    "label_replace": _label_replace,
    "label_join": _label_join,
    "info": _info,
    "histogram_quantile": _histogram_quantile,
    "histogram_quantiles": _histogram_quantiles,
    "histogram_fraction": _histogram_fraction,
    "time": _time,
    "pi": _constant(lambda context: math.pi),
    "start": _constant(lambda context: context.settings.start_ms / 1000),
    "end": _constant(lambda context: context.settings.end_ms / 1000),
    "step": _constant(lambda context: context.settings.interval_ms / 1000),
    "range": _constant(lambda context: (context.settings.end_ms - context.settings.start_ms) / 1000),
    "min_of": _extreme(np.minimum),
    "max_of": _extreme(np.maximum),
}
