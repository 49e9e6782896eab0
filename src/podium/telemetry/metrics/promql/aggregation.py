"""Aggregation operators: many series become one for each group of labels.

Groups and their labels are found once, for all steps; samples are then reduced group by group on whole arrays. Native histograms are summed and
averaged one by one; other operators leave them out and say so, but count and group, which count them.

Source: Prometheus' aggregation operators.
"""

import math
from dataclasses import replace

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.histogram_arithmetic import IncompatibleSchemas, compact, is_custom
from podium.telemetry.metrics.labels import LabelColumn
from podium.telemetry.metrics.promql import aggregation_sums as sums
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import histogram_sums, ranking
from podium.telemetry.metrics.promql.context import Context, metric_name
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame, empty_frame
from podium.telemetry.metrics.promql.grouping import Grouped, group_by, group_without, set_column
from podium.telemetry.metrics.promql.naming import merged
from podium.telemetry.metrics.promql.numbers import format_plain
from podium.telemetry.metrics.promql.syntax import Aggregation
from podium.telemetry.metrics.samples import Flags, Values

CHOOSING = frozenset(("topk", "bottomk", "limitk", "limit_ratio"))
"""Give series as they were, fewer of them."""
ALONE = frozenset(("sum", "avg", "min", "max"))
"""Of one value they give that value."""


def aggregate(context: Context, node: Aggregation, frame: Frame, parameter: Values | None) -> Frame:
    """`parameter` is (T,), of operators that have a number for one. Raises EvaluationError."""
    if parameter is not None:
        parameter = _checked(context, node, parameter)
        if parameter is None:
            return empty_frame(frame.steps)
    if not frame.rows:
        return empty_frame(frame.steps)
    grouped = _grouped(node, frame)
    if node.operator in CHOOSING:
        assert parameter is not None
        return _chosen(context, node, frame, grouped, parameter)
    context.reserve(grouped.count * frame.steps)
    values, present = _reduced_where_present(context, node, frame, grouped, parameter)
    histograms = {}
    if frame.histograms and node.operator in ("sum", "avg"):
        histograms = _histograms(context, node, frame, grouped, present)
    labels = frame.labels.without((*node.grouping, "__name__")) if node.without else frame.labels.keep(node.grouping)
    drops = None
    if frame.drop_name is not None and frame.drop_name.any():
        drops = np.zeros(grouped.count, np.bool_)
        np.logical_or.at(drops, grouped.groups, frame.drop_name)
    return Frame(labels.take(grouped.firsts), values, None if present.all() and not histograms else present, histograms, drops).pruned()


def _grouped(node: Aggregation, frame: Frame) -> Grouped:
    if not node.without:
        return group_by(frame.labels, node.grouping)
    return group_without(frame.labels, (*node.grouping, "__name__"))


def _reduced_where_present(
    context: Context, node: Aggregation, frame: Frame, grouped: Grouped, parameter: Values | None
) -> tuple[Values, Flags]:
    """As `_reduced`: what is alone in its group stays what it is; where all series come and go together, over the steps at which they are
    there, so that none needs a mask."""
    if grouped.count == frame.rows and node.operator in ALONE and not frame.histograms:
        return frame.values, frame.floats()
    if frame.present is None or frame.histograms or parameter is not None or not bool((frame.present == frame.present[0]).all()):
        return _reduced(context, node, frame, grouped, parameter)
    steps = np.flatnonzero(frame.present[0])
    if not len(steps):
        return np.zeros((grouped.count, frame.steps)), np.zeros((grouped.count, frame.steps), np.bool_)
    first, last = int(steps[0]), int(steps[-1])
    there = slice(first, last + 1) if last - first + 1 == len(steps) else steps
    found, _ = _reduced(context, node, replace(frame, values=frame.values[:, there], present=None), grouped, None)
    values = np.zeros((grouped.count, frame.steps))
    values[:, there] = found
    return values, np.tile(frame.present[0], (grouped.count, 1))


def _reduced(context: Context, node: Aggregation, frame: Frame, grouped: Grouped, parameter: Values | None) -> tuple[Values, Flags]:
    """Of the floats: ((G, T) values, where they are)."""
    runs = sums.Runs.of(grouped)
    operator = node.operator
    if operator in ("count", "group"):
        number = sums.counts(runs, frame.there() if frame.present is not None else None, frame.steps)
        return (number.astype(np.float64) if operator == "count" else np.ones(number.shape)), number > 0
    number = sums.counts(runs, frame.present, frame.steps)
    if frame.histograms and operator not in ("sum", "avg"):
        context.annotations.add(notes.ignored_in_aggregation(operator), node.expression.span)
    with np.errstate(all="ignore"):
        match operator:
            case "sum":
                total, lost = sums.sums(runs, frame.values, frame.present)
                values = np.where(np.isfinite(total), total + lost, total)
            case "avg":
                values = sums.means(runs, frame.values, frame.present, number)
            case "min":
                values = sums.extremes(runs, frame.values, frame.present, np.fmin)
            case "max":
                values = sums.extremes(runs, frame.values, frame.present, np.fmax)
            case "stdvar" | "stddev":
                values = sums.variances(runs, frame.values, frame.present, number)
                values = np.sqrt(values) if operator == "stddev" else values
            case "quantile":
                assert parameter is not None
                values = ranking.quantiles(frame, grouped, parameter)
            case _:
                raise AssertionError(operator)
    return values, number > 0


def _check_quantile(context: Context, node: Aggregation, parameter: Values) -> None:
    assert node.parameter is not None
    wrong = {float(parameter.max()), float(parameter.min())} if not np.isnan(parameter).any() else {math.nan}
    for value in sorted(v for v in wrong if not 0 <= v <= 1):
        context.annotations.add(notes.invalid_quantile(value), node.parameter.span)


def _histograms(context: Context, node: Aggregation, frame: Frame, grouped: Grouped, present: Flags) -> dict[int, list[Histogram | None]]:
    """Sums or averages of histograms; `present` is cleared where a group has floats too."""
    members: dict[int, list[int]] = {}
    for row in sorted(frame.histograms):
        members.setdefault(int(grouped.groups[row]), []).append(row)
    found: dict[int, list[Histogram | None]] = {}
    for group, rows in members.items():
        results: list[Histogram | None] = []
        for step in range(frame.steps):
            own = [(row, h) for row in rows if (h := frame.histograms[row][step]) is not None]
            results.append(None)
            if not own:
                continue
            if present[group, step]:
                present[group, step] = False
                context.annotations.add(notes.MIXED_IN_AGGREGATION, node.expression.span)
                continue
            results[-1] = _combined(context, node, frame, own)
        if any(h is not None for h in results):
            found[group] = results
    return found


def _combined(context: Context, node: Aggregation, frame: Frame, own: list[tuple[int, Histogram]]) -> Histogram | None:
    span = node.expression.span
    try:
        made = (histogram_sums.average if node.operator == "avg" else histogram_sums.total)([h for _, h in own])
    except IncompatibleSchemas:
        odd = next(row for row, h in own if is_custom(h) is not is_custom(own[0][1]))
        context.annotations.add(notes.mixed_schemas(metric_name(frame, odd)), span)
        return None
    if made.collision:
        context.annotations.add(notes.reset_collision("aggregation"), span)
    if made.reconciled:
        context.annotations.add(notes.reconciled_bounds("aggregation"), span)
    return compact(made.histogram)


def _checked(context: Context, node: Aggregation, parameter: Values) -> Values | None:
    """The parameter as it is taken, whatever there is to aggregate; None: nothing is chosen. Raises EvaluationError."""
    if node.operator == "limit_ratio":
        return _checked_ratio(context, node, parameter)
    if node.operator in CHOOSING:
        return parameter if ranking.chooses(parameter) else None
    _check_quantile(context, node, parameter)
    return parameter


def _chosen(context: Context, node: Aggregation, frame: Frame, grouped: Grouped, parameter: Values) -> Frame:
    if node.operator == "limit_ratio":
        return _filtered(frame, ranking.sampled(frame, parameter))
    counts = np.trunc(parameter).astype(np.int64)
    if node.operator == "limitk":
        return _filtered(frame, ranking.earliest(frame, grouped, counts))
    if any(h is not None and k > 0 for own in frame.histograms.values() for h, k in zip(own, counts.tolist(), strict=True)):
        context.annotations.add(notes.ignored_in_aggregation(node.operator), node.span)
    chosen, order = ranking.best(frame, grouped, counts, largest=node.operator == "topk")
    kept = replace(frame, present=chosen, histograms={})
    return (kept.take(order) if frame.steps == 1 else kept).pruned()


def _filtered(frame: Frame, chosen: Flags) -> Frame:
    histograms = {}
    for row, own in frame.histograms.items():
        kept = [h if c else None for h, c in zip(own, chosen[row].tolist(), strict=True)]
        if any(h is not None for h in kept):
            histograms[row] = kept
    return replace(frame, present=frame.floats() & chosen, histograms=histograms).pruned()


def _checked_ratio(context: Context, node: Aggregation, parameter: Values) -> Values | None:
    """None: zero throughout."""
    assert node.parameter is not None
    if not parameter.any():
        return None
    if np.isnan(parameter).any():
        raise EvaluationError("Ratio value is NaN")
    for value, limit in ((float(parameter.max()), 1.0), (float(parameter.min()), -1.0)):
        if abs(value) > 1 and value * limit > 0:
            context.annotations.add(notes.invalid_ratio(value, limit), node.parameter.span)
    return np.clip(parameter, -1.0, 1.0)


def count_values(context: Context, node: Aggregation, frame: Frame, label: str) -> Frame:
    """A series for each value of a group, with the value as a label."""
    if not frame.rows:
        return empty_frame(frame.steps)
    distinct, codes = ranking.distinct_values(frame)
    words = [format_plain(v) for v in distinct]
    for row, own in sorted(frame.histograms.items()):
        for step, histogram in enumerate(own):
            if histogram is not None:
                words.append(ranking.describe(histogram))
                codes[row, step] = len(words) - 1
    table: dict[str, int] = {"": 0}
    renamed = np.array([table.setdefault(w, len(table)) for w in words] + [0], np.int64)
    codes = renamed[codes]
    rows, steps = np.nonzero(frame.there())
    labels = frame.labels.take(rows)
    labels = set_column(labels, label, LabelColumn(codes[rows, steps].astype(np.int32), list(table)))
    if node.without:
        grouped = group_without(labels, (*node.grouping, "__name__"))
        kept = labels.without((*node.grouping, "__name__"))
    else:
        grouped = group_by(labels, (*node.grouping, label))
        kept = labels.keep((*node.grouping, label))
    context.reserve(grouped.count * frame.steps)
    values = np.zeros((grouped.count, frame.steps))
    np.add.at(values, (grouped.groups, steps), 1.0)
    return merged(Frame(kept.take(grouped.firsts), values, values > 0))
