"""info(): adds labels of info metrics (target_info by default) to series of the same instance and job.

Source: Prometheus' experimental info function.
"""

import re
from collections.abc import Sequence

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumns, Labels, Matcher, MatchType
from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame, Steps, empty_frame
from podium.telemetry.metrics.promql.grouping import distinct_texts, texts
from podium.telemetry.metrics.promql.matching import label_text, masked
from podium.telemetry.metrics.promql.naming import merged
from podium.telemetry.metrics.promql.selection import instant_vector
from podium.telemetry.metrics.promql.syntax import Expression, VectorSelector, children

IDENTIFYING = ("instance", "job")
TARGET_INFO = "target_info"
ANY_INFO = ".+_info"
"""What info metrics are called, where a selector only says what they are not called."""


def info_matchers(selector: VectorSelector | None) -> list[Matcher]:
    """Of the info metrics that may count: those of the identities that there are, among them."""
    matchers = selector.matchers if selector is not None else ()
    named = _named(matchers) or [Matcher(MatchType.EQUAL, METRIC_NAME, TARGET_INFO)]
    return [*named, *(m for m in matchers if m.name != METRIC_NAME)]


def _named(matchers: Sequence[Matcher]) -> list[Matcher]:
    named = [m for m in matchers if m.name == METRIC_NAME]
    if named and not any(m.type in (MatchType.EQUAL, MatchType.REGEXP) for m in named):
        named.append(Matcher(MatchType.REGEXP, METRIC_NAME, ANY_INFO))
    return named


def add_labels(context: Context, steps: Steps, node: Expression, frame: Frame, selector: VectorSelector | None) -> Frame:
    """`node` is the first argument (whose @ and offset the info metrics are read with), `frame` what it gave. Raises EvaluationError."""
    matchers = selector.matchers if selector is not None else ()
    named = _named(matchers)
    wanted = [m for m in matchers if m.name != METRIC_NAME]
    ignoring = named if selector is not None else [Matcher(MatchType.EQUAL, METRIC_NAME, TARGET_INFO)]
    names = texts(frame.labels, METRIC_NAME)
    ignored = [bool(ignoring) and all(m.matches(name) for m in ignoring) for name in names]
    info, times = _info_series(context, steps, node, frame, ignored, named, wanted)
    return _combined(frame, ignored, info, times, wanted)


def _info_series(
    context: Context,
    steps: Steps,
    node: Expression,
    frame: Frame,
    ignored: Sequence[bool],
    named: Sequence[Matcher],
    wanted: Sequence[Matcher],
) -> tuple[Frame, np.ndarray]:
    """(info metrics of the instances and jobs there are, when their samples are from)."""
    identity = []
    rows = frame.labels.take(np.flatnonzero(~np.array(ignored, np.bool_)))
    for name in IDENTIFYING:
        values = sorted(v for v in distinct_texts(rows, name)[0] if v)
        if values:
            identity.append(Matcher(MatchType.REGEXP, name, "|".join(re.escape(v) for v in values)))
    if not identity:
        return empty_frame(steps.count), np.empty((0, steps.count), np.int64)
    name_matchers = list(named) or [Matcher(MatchType.EQUAL, METRIC_NAME, TARGET_INFO)]
    at = info_times(node, steps)
    lookback = context.settings.lookback_ms
    chosen = [*name_matchers, *identity, *wanted]
    selection = context.select((id(node), "info"), chosen, int(at.min()) - lookback + 1, int(at.max()), only=identity)
    context.reserve(selection.labels.count * steps.count)
    found = instant_vector(selection, at, lookback, with_times=True)
    if found.frame.histograms:
        row = found.frame.labels.row(min(found.frame.histograms))
        raise EvaluationError(f"this should be an info metric, with float samples: {label_text(row)}")
    assert found.times is not None
    return found.frame, found.times


def info_times(node: Expression, steps: Steps) -> np.ndarray:
    selector = _first_selector(node)
    times = steps.times
    if selector is None:
        return times
    assert not isinstance(selector.at, type(None)) or isinstance(selector.offset_ms, int)
    if isinstance(selector.at, int):
        times = np.full(len(times), selector.at)
    return times - selector.offset_ms if isinstance(selector.offset_ms, int) else times


def _first_selector(node: Expression) -> VectorSelector | None:
    if isinstance(node, VectorSelector):
        return node
    return next((found for child in children(node) if (found := _first_selector(child)) is not None), None)


def _combined(frame: Frame, ignored: Sequence[bool], info: Frame, times: np.ndarray, wanted: Sequence[Matcher]) -> Frame:
    """Row by row, for runs of steps at which the same info series count."""
    chosen = _newest(info, times)
    required = any(not m.matches("") for m in wanted)
    only = {m.name for m in wanted}
    info_rows = info.labels.rows()
    rows: list[int] = []
    labels: list[Labels] = []
    kept = np.zeros((0, frame.steps), np.bool_)
    masks: list[np.ndarray] = []
    for row, own in enumerate(frame.labels.rows()):
        if ignored[row]:
            rows, labels, masks = [*rows, row], [*labels, own], [*masks, np.ones(frame.steps, np.bool_)]
            continue
        matches = chosen.get(_identity(own), {})
        for picked, mask in _alternatives(matches, frame.steps):
            if not picked and required:
                continue
            rows.append(row)
            labels.append(_enriched(own, [info_rows[i] for i in picked], only))
            masks.append(mask)
    kept = np.array(masks) if masks else kept
    taken = masked(frame.take(np.array(rows, np.int64)), kept)
    return merged(Frame(LabelColumns.of(labels), taken.values, taken.present, taken.histograms, taken.drop_name).pruned())


def _identity(labels: Labels) -> Labels:
    return tuple(p for p in labels if p[0] in IDENTIFYING)


def _newest(info: Frame, times: np.ndarray) -> dict[Labels, dict[str, np.ndarray]]:
    """Of each identity and info metric, which series counts at each step (T,), -1: none: the one with the newest sample."""
    present = info.floats()
    found: dict[Labels, dict[str, np.ndarray]] = {}
    for row, own in enumerate(info.labels.rows()):
        name = dict(own).get(METRIC_NAME, "")
        chosen = found.setdefault(_identity(own), {}).setdefault(name, np.full(info.steps, -1))
        for step in np.flatnonzero(present[row]).tolist():
            other = int(chosen[step])
            if other >= 0 and times[other, step] == times[row, step]:
                raise EvaluationError(
                    f"found duplicate series for info metric: existing {label_text(info.labels.row(other))} @ {times[other, step]}, "
                    f"new {label_text(own)} @ {times[row, step]}"
                )
            if other < 0 or times[other, step] < times[row, step]:
                chosen[step] = row
    return found


def _alternatives(matches: dict[str, np.ndarray], steps: int) -> list[tuple[list[int], np.ndarray]]:
    """(info rows, at which steps they count) for each combination of info series."""
    if not matches:
        return [([], np.ones(steps, np.bool_))]
    table = np.stack([matches[name] for name in sorted(matches)])
    distinct, which = np.unique(table, axis=1, return_inverse=True)
    return [([r for r in distinct[:, n].tolist() if r >= 0], which.reshape(-1) == n) for n in range(distinct.shape[1])]


def _enriched(own: Labels, infos: Sequence[Labels], only: set[str]) -> Labels:
    mine = dict(own)
    added: dict[str, str] = {}
    for info in infos:
        for name, value in info:
            if name == METRIC_NAME or (only and name not in only):
                continue
            if added.get(name, value) != value:
                raise EvaluationError(f"conflicting label: {name}")
            if name not in mine:
                added[name] = value
    return tuple(sorted({**mine, **added}.items()))
