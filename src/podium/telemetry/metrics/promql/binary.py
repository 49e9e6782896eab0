"""Binary operators: between scalars, between a vector and a scalar, between vectors.

Source: Prometheus' operators. Comparisons filter, or give 0 and 1 with `bool`; arithmetic drops the metric's name.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumns
from podium.telemetry.metrics.promql import annotations as notes
from podium.telemetry.metrics.promql import matching as match
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Evaluated, Frame, ScalarValue, empty_frame
from podium.telemetry.metrics.promql.grouping import concatenate
from podium.telemetry.metrics.promql.histogram_operators import Operand, operate
from podium.telemetry.metrics.promql.naming import dropped, merged
from podium.telemetry.metrics.promql.syntax import Binary, Cardinality, Matching
from podium.telemetry.metrics.samples import Flags, Values

Arithmetic = Callable[[Values, Values], Values]


def power(base: Values, exponent: Values) -> Values:
    """As IEEE 754 has it. Numpy takes the square root when the exponent is one 0.5, which differs for -Inf and -0."""
    result: Values = np.power(base, exponent)
    roots = exponent == 0.5
    if roots.any():
        result = np.where(roots & (np.isneginf(base) | (base == 0)), np.abs(base), result)
    return result


OPERATORS: dict[str, Arithmetic] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": power,
    "atan2": np.arctan2,
}
COMPARE: dict[str, Callable[[Values, Values], Flags]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def evaluate(context: Context, node: Binary, left: Evaluated, right: Evaluated) -> Evaluated:
    """Raises EvaluationError."""
    with np.errstate(all="ignore"):
        if isinstance(left, ScalarValue) and isinstance(right, ScalarValue):
            return ScalarValue(_scalars(node.operator, left.values, right.values))
        if isinstance(left, Frame) and isinstance(right, ScalarValue):
            return _with_scalar(context, node, left, right.values, swapped=False)
        if isinstance(left, ScalarValue) and isinstance(right, Frame):
            return _with_scalar(context, node, right, left.values, swapped=True)
        assert isinstance(left, Frame) and isinstance(right, Frame)
        matching = node.matching or Matching()
        if node.operator in ("and", "or", "unless"):
            context.reserve(left.values.size + right.values.size)
            found = match.set_operation(node.operator, left, right, matching)
            return merged(found) if node.operator == "or" and not context.settings.delayed_name_removal else found
        return _vectors(context, node, left, right, matching)


def _scalars(operator: str, left: Values, right: Values) -> Values:
    if operator in COMPARE:
        return COMPARE[operator](left, right).astype(np.float64)
    if operator not in OPERATORS:
        raise EvaluationError(f'operator "{operator}" not allowed for Scalar operations')
    return OPERATORS[operator](left, right)


def _with_scalar(context: Context, node: Binary, frame: Frame, scalar: Values, *, swapped: bool) -> Frame:
    """`scalar` is (T,)."""
    operator = node.operator
    histograms = _histograms_with_scalar(context, node, frame, scalar, swapped=swapped)
    if operator in match.TRIMS:
        if frame.floats().any():
            context.annotations.add(notes.incompatible_types("float", operator, "float"), node.span)
        kept = Frame(frame.labels, frame.values, np.zeros(frame.values.shape, np.bool_), histograms, frame.drop_name)
        return kept.pruned()
    a, b = (scalar[None, :], frame.values) if swapped else (frame.values, scalar[None, :])
    if operator in COMPARE:
        kept_cells = COMPARE[operator](a, b)
        if not node.return_bool:
            present = kept_cells if frame.present is None else kept_cells & frame.present
            return replace(frame, present=present, histograms=histograms).pruned()
        values = kept_cells.astype(np.float64)
    else:
        values = OPERATORS[operator](a, b)
    result = Frame(frame.labels, values, frame.present, histograms, frame.drop_name)
    result = result.pruned() if frame.histograms else result
    return dropped(result, delayed=context.settings.delayed_name_removal)


def _histograms_with_scalar(context: Context, node: Binary, frame: Frame, scalar: Values, *, swapped: bool) -> dict:
    found = {}
    for row, own in frame.histograms.items():
        made: list[Histogram | None] = []
        for histogram, number in zip(own, scalar.tolist(), strict=True):
            if histogram is None:
                made.append(None)
                continue
            pair: tuple[Operand, Operand] = (number, histogram) if swapped else (histogram, number)
            made.append(operate(context, node, *pair).histogram)
        if any(h is not None for h in made):
            found[row] = made
    return found


def _vectors(context: Context, node: Binary, left: Frame, right: Frame, matching: Matching) -> Frame:
    filled = matching.fill_left is not None or matching.fill_right is not None
    if not filled and (not left.rows or not right.rows):
        return empty_frame(left.steps)
    if filled:
        left, right = _filled(left, right, matching)
    sides = match.sides(left, right, matching)
    match.check_one_side(context, sides, matching)
    many, one = match.pairs(sides)
    if not len(many):
        return empty_frame(left.steps)
    context.reserve(len(many) * left.steps)
    a = sides.many if _is_all(many, sides.many.rows) else sides.many.take(many)
    b = sides.one if _is_all(one, sides.one.rows) else sides.one.take(one)
    delayed = context.settings.delayed_name_removal
    drop = node.return_bool and not delayed
    labels = match.result_labels(a.labels, b.labels, node.operator, matching, drop=drop)
    together = _together(a, b)
    lefts, rights = (b, a) if sides.swapped else (a, b)
    result, answered = _combined(context, node, lefts, rights, labels, together)
    match.check_many_side(context, sides, many, answered, labels, matching)
    if node.return_bool and delayed:
        result = replace(result, drop_name=np.ones(result.rows, np.bool_))
    return merged(result.pruned())


def _is_all(rows: np.ndarray, count: int) -> bool:
    return len(rows) == count and bool((rows == np.arange(count)).all())


def _together(left: Frame, right: Frame) -> Flags | None:
    """(P, T) where both are there; None: everywhere."""
    if left.present is None and right.present is None:
        return None
    return left.there() & right.there()


def _combined(
    context: Context, node: Binary, left: Frame, right: Frame, labels: LabelColumns, together: Flags | None
) -> tuple[Frame, Flags]:
    """(the result of pairs of rows, where the operator had an answer, if only to filter the sample out)."""
    operator = node.operator
    answered = np.ones(left.values.shape, np.bool_) if together is None else together
    values, kept = left.values, together
    if operator in OPERATORS:
        values = OPERATORS[operator](left.values, right.values)
    elif operator in COMPARE:
        passed = COMPARE[operator](left.values, right.values)
        if node.return_bool:
            values = passed.astype(np.float64)
        else:
            kept = passed if together is None else passed & together
    else:
        kept = np.zeros(left.values.shape, np.bool_)
        if (left.floats() & right.floats()).any():
            context.annotations.add(notes.incompatible_types("float", operator, "float"), node.span)
            answered = answered & ~(left.floats() & right.floats())
    if not left.histograms and not right.histograms:
        return Frame(labels, values, kept), answered
    return _with_histograms(context, node, left, right, Frame(labels, np.array(values), kept), answered)


def _with_histograms(context: Context, node: Binary, left: Frame, right: Frame, result: Frame, answered: Flags) -> tuple[Frame, Flags]:
    """Corrects the answer for pairs with a histogram."""
    present, answered = result.floats().copy(), answered.copy()
    found = {}
    for row in sorted({*left.histograms, *right.histograms}):
        made: list[Histogram | None] = [None] * left.steps
        ours, theirs = left.histograms.get(row), right.histograms.get(row)
        for step in np.flatnonzero(answered[row]).tolist():
            a = ours[step] if ours is not None else None
            b = theirs[step] if theirs is not None else None
            if a is None and b is None:
                continue
            outcome = operate(context, node, _operand(left, row, step, a), _operand(right, row, step, b))
            present[row, step] = outcome.value is not None
            answered[row, step] = outcome.answered
            if outcome.value is not None:
                result.values[row, step] = outcome.value
            made[step] = outcome.histogram
        if any(h is not None for h in made):
            found[row] = made
    return replace(result, present=present, histograms=found), answered


def _operand(frame: Frame, row: int, step: int, histogram: Operand | None) -> Operand:
    return float(frame.values[row, step]) if histogram is None else histogram


def _filled(left: Frame, right: Frame, matching: Matching) -> tuple[Frame, Frame]:
    """Both sides, with series of the fill value where a match group has none on one side."""
    left_keys, right_keys = match.match_keys(left, right, matching)
    groups = int(max(left_keys.max(initial=-1), right_keys.max(initial=-1))) + 1
    fill_left, fill_right = matching.fill_left, matching.fill_right
    if matching.cardinality is Cardinality.ONE_TO_MANY:
        fill_left, fill_right = fill_right, fill_left  # upstream swaps the sides first, and the names of the fills with them
    more_right = _fill(left, left_keys, match.group_presence(right, right_keys, groups), fill_right, matching)
    more_left = _fill(right, right_keys, match.group_presence(left, left_keys, groups), fill_left, matching)
    return _appended(left, more_left), _appended(right, more_right)


def _fill(frame: Frame, keys: np.ndarray, other: Flags, value: float | None, matching: Matching) -> Frame | None:
    """Series of the fill value for the groups of `frame` that the other side (groups, T) lacks."""
    if value is None or not frame.rows:
        return None
    mine = match.group_presence(frame, keys, len(other))
    groups, firsts = np.unique(keys, return_index=True)
    present = (mine & ~other)[groups]
    labels = frame.labels.take(firsts)
    labels = labels.keep(matching.labels) if matching.on else labels.without((*matching.labels, "__name__"))
    return Frame(labels, np.full(present.shape, value), present).pruned()


def _appended(frame: Frame, more: Frame | None) -> Frame:
    if more is None or not more.rows:
        return frame
    if not frame.rows:
        return more
    labels = concatenate([frame.labels, more.labels])
    drops = None if frame.drop_name is None else np.concatenate([frame.drop_name, np.zeros(more.rows, np.bool_)])
    values, present = np.concatenate([frame.values, more.values]), np.concatenate([frame.floats(), more.floats()])
    return Frame(labels, values, present, frame.histograms, drops)
