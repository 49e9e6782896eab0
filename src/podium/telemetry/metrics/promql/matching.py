"""Vector matching: which series of two vectors belong together, and the arithmetic of pairs.

Series are joined once, by the labels that count, into pairs; what a pair gives at a step depends only on whether both are there then. That two
series of the one side, or of one-to-one matching, are there at the same step is an error, whatever the operator makes of them.

Source: Prometheus' vector matching; error texts are upstream's.
"""

from dataclasses import dataclass

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumns, Labels
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import METADATA_LABELS, Frame, Indices
from podium.telemetry.metrics.promql.grouping import Groups, concatenate, group_without, join, names_without, set_column
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.promql.syntax import Cardinality, Matching
from podium.telemetry.metrics.samples import Flags

ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "^", "atan2"))
COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))
TRIMS = frozenset(("</", ">/"))


@dataclass(frozen=True, slots=True)
class Sides:
    """A vector operation with the one side on the right: swapped for group_right."""

    many: Frame
    one: Frame
    many_keys: Groups  # (S,) equal keys match
    one_keys: Groups
    swapped: bool


def sides(left: Frame, right: Frame, matching: Matching) -> Sides:
    swapped = matching.cardinality is Cardinality.ONE_TO_MANY
    if swapped:
        left, right = right, left
    keys = match_keys(left, right, matching)
    return Sides(left, right, *keys, swapped)


def match_keys(left: Frame, right: Frame, matching: Matching) -> tuple[Groups, Groups]:
    """Both numbered from 0, without gaps."""
    names = sorted(matching.labels) if matching.on else names_without(left.labels, right.labels, matching.labels)
    keys = np.concatenate(join(left.labels, right.labels, names))
    _, ranks = np.unique(keys, return_inverse=True)
    return ranks[: left.rows], ranks[left.rows :]


def pairs(sides: Sides) -> tuple[Indices, Indices]:
    """(rows of the many side, rows of the one side), by the many side's order."""
    order = np.argsort(sides.one_keys, kind="stable")
    ordered = sides.one_keys[order]
    begins = np.searchsorted(ordered, sides.many_keys, "left")
    counts = np.searchsorted(ordered, sides.many_keys, "right") - begins
    many = np.repeat(np.arange(sides.many.rows), counts)
    within = np.arange(len(many)) - np.repeat(np.cumsum(counts) - counts, counts)
    return many, order[np.repeat(begins, counts) + within]


def check_one_side(context: Context, sides: Sides, matching: Matching) -> None:
    """Raises EvaluationError when two series of a match group are there on the one side, at a step at which the other side has any."""
    keys = sides.one_keys
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    doubled = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(doubled):
        return
    suspects = np.unique(ordered[doubled])
    rows = np.flatnonzero(np.isin(keys, suspects))
    there = sides.one.take(rows).there()
    counts = np.zeros((int(keys.max()) + 1, sides.one.steps), np.int32)
    np.add.at(counts, keys[rows], there)
    fills = matching.fill_left is not None or matching.fill_right is not None
    other = np.ones(sides.one.steps, np.bool_) if fills else sides.many.there().any(axis=0)
    wrong = np.argwhere((counts > 1) & other)
    if not len(wrong):
        return
    key, step = min(wrong.tolist(), key=lambda w: (w[1], w[0]))
    twice = [int(r) for r in rows if keys[r] == key and sides.one.take(np.array([r])).there()[0, step]][:2]
    found = [sides.one.labels.row(r) for r in twice]
    group = label_text(_matched(found[0], matching))
    where = "left" if sides.swapped else "right"
    first, second = sorted(label_text(f) for f in found)
    raise EvaluationError(
        f"found duplicate series for the match group {group} on the {where} hand-side of the operation: [{first}, {second}]"
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )


def check_many_side(context: Context, sides: Sides, many: Indices, together: Flags, results: LabelColumns, matching: Matching) -> None:
    """Raises EvaluationError when a match group gives two results that are alike at a step. `together` is (P, T) of the pairs."""
    keys = sides.many_keys[many]
    if matching.cardinality is not Cardinality.ONE_TO_ONE:
        keys = np.unique(np.stack([keys, group_without(results, ()).groups]), axis=1, return_inverse=True)[1].reshape(-1)
    if len(np.unique(keys)) == len(keys):
        return
    counts = np.zeros((int(keys.max()) + 1, together.shape[1]), np.int32)
    np.add.at(counts, keys, together)
    if (counts > 1).any():
        if matching.cardinality is Cardinality.ONE_TO_ONE:
            raise EvaluationError("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
        raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")


def result_labels(many: LabelColumns, one: LabelColumns, operator: str, matching: Matching, *, drop: bool) -> LabelColumns:
    """Of pairs, row by row. `drop`: without the metric's name although the operator would keep it."""
    labels = many
    if operator in ARITHMETIC or drop:
        labels = labels.without(METADATA_LABELS)
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        labels = labels.keep(matching.labels) if matching.on else labels.without(matching.labels)
    for name in matching.include:
        labels = set_column(labels, name, one.columns.get(name))
    return labels


def _matched(labels: Labels, matching: Matching) -> Labels:
    if matching.on:
        return tuple(p for p in labels if p[0] in matching.labels)
    return tuple(p for p in labels if p[0] not in matching.labels and p[0] != METRIC_NAME)


def label_text(labels: Labels) -> str:
    """As upstream writes labels in errors."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def set_operation(operator: str, left: Frame, right: Frame, matching: Matching) -> Frame:
    """and, or, unless: of the series that match, by whether the other side has any of the same match group at the step."""
    left_keys, right_keys = match_keys(left, right, matching)
    groups = int(max(left_keys.max(initial=-1), right_keys.max(initial=-1))) + 1
    if operator == "or":
        return _either(left, right, left_keys, right_keys, groups)
    matched = group_presence(right, right_keys, groups)[left_keys]
    return masked(left, matched if operator == "and" else ~matched).pruned()


def group_presence(frame: Frame, keys: Groups, groups: int) -> Flags:
    """(groups, T) where any series of the group is there."""
    found = np.zeros((groups, frame.steps), np.bool_)
    if not frame.rows:
        return found
    there = frame.there()
    if len(np.unique(keys)) == len(keys):
        found[keys] = there
    else:
        np.logical_or.at(found, keys, there)
    return found


def masked(frame: Frame, kept: Flags) -> Frame:
    """Only where `kept` (S, T) says."""
    histograms = {}
    for row, own in frame.histograms.items():
        left = [h if k else None for h, k in zip(own, kept[row].tolist(), strict=True)]
        if any(h is not None for h in left):
            histograms[row] = left
    return Frame(frame.labels, frame.values, frame.floats() & kept, histograms, frame.drop_name)


def _either(left: Frame, right: Frame, left_keys: Groups, right_keys: Groups, groups: int) -> Frame:
    rest = masked(right, ~group_presence(left, left_keys, groups)[right_keys]).pruned()
    if not rest.rows:
        return left
    if not left.rows:
        return rest
    labels = concatenate([left.labels, rest.labels])
    present = np.concatenate([left.floats(), rest.floats()])
    histograms = {**left.histograms, **{row + left.rows: own for row, own in rest.histograms.items()}}
    drops = None
    if left.drop_name is not None or rest.drop_name is not None:
        drops = np.concatenate([left.drops(), rest.drops()])
    return Frame(labels, np.concatenate([left.values, rest.values]), present, histograms, drops)
