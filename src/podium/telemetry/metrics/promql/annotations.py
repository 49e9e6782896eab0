"""Annotations: what a query's answer should be read with. Warnings say that something is probably wrong, infos that it might be.

The texts are upstream's, for clients and tests match them. Equal texts are one annotation, wherever in the query they came from: the first
place is told. What fixing classic histograms did is summed up over all of them.

Source: Prometheus 3, annotations of the query API.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from podium.telemetry.metrics.promql.errors import position
from podium.telemetry.metrics.promql.numbers import format_general
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.promql.syntax import Span

WARNING, INFO = "PromQL warning: ", "PromQL info: "

SORT_IN_RANGE = WARNING + "sort is ineffective for range queries since results are always ordered by labels"
NOT_MONOTONIC = (
    INFO + "input to histogram_quantile needed to be fixed for monotonicity "
    "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


@dataclass(frozen=True, slots=True)
class Monotonicity:
    """What was fixed in cumulative buckets that went down: between which bounds, by how much at most, how often, when."""

    bound_min: float
    bound_max: float
    difference_max: float
    count: int
    first_ms: int
    last_ms: int

    def merge(self, other: "Monotonicity") -> "Monotonicity":
        return Monotonicity(
            min(self.bound_min, other.bound_min),
            max(self.bound_max, other.bound_max),
            max(self.difference_max, other.difference_max),
            self.count + other.count,
            min(self.first_ms, other.first_ms),
            max(self.last_ms, other.last_ms),
        )

    def __str__(self) -> str:
        first, last = (datetime.fromtimestamp(t // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for t in (self.first_ms, self.last_ms))
        return (
            f", from buckets {format_general(self.bound_min)} to {format_general(self.bound_max)}, with a max diff of "
            f"{format_general(self.difference_max, 2)}, over {self.count} samples from {first} to {last}"
        )


@dataclass(frozen=True, slots=True)
class _Note:
    span: Span
    detail: Monotonicity | None = None


class Annotations:
    """Of one query. Bounded: texts differ by metric name at most, and `ANNOTATIONS_MAX` are kept."""

    ANNOTATIONS_MAX = 10_000

    def __init__(self) -> None:
        self._notes: dict[str, _Note] = {}

    def add(self, text: str, span: Span, detail: Monotonicity | None = None) -> None:
        """`text` starts with WARNING or INFO."""
        kept = self._notes.get(text)
        if kept is None:
            if len(self._notes) < self.ANNOTATIONS_MAX:
                self._notes[text] = _Note(span, detail)
        elif detail is not None and kept.detail is not None:
            self._notes[text] = replace(kept, detail=kept.detail.merge(detail))

    def warnings(self, query: str) -> list[str]:
        """Sorted, with `(line:column)` when there is a query."""
        return self._texts(WARNING, query)

    def infos(self, query: str) -> list[str]:
        return self._texts(INFO, query)

    def _texts(self, kind: str, query: str) -> list[str]:
        found = ((t, n) for t, n in self._notes.items() if t.startswith(kind))
        return sorted(f"{text}{note.detail or ''} ({position(query, note.span.start)})" if query else text for text, note in found)


def named(text: str, metric: str) -> str:
    return f"{text} for metric name {quote(metric)}" if metric else text


def invalid_quantile(value: float) -> str:
    return f"{WARNING}quantile value should be between 0 and 1, got {format_general(value)}"


def invalid_ratio(value: float, to: float) -> str:
    return f"{WARNING}ratio value should be between -1 and 1, got {format_general(value)}, capping to {format_general(to)}"


def bad_bucket(value: str, metric: str) -> str:
    return named(f'{WARNING}bucket label "le" is missing or has a malformed value of {quote(value)}', metric)


def mixed_samples(metric: str) -> str:
    return f"{WARNING}encountered a mix of histograms and floats for metric name {quote(metric)}"


MIXED_IN_AGGREGATION = WARNING + "encountered a mix of histograms and floats for aggregation"


def mixed_classic(metric: str) -> str:
    return named(WARNING + "vector contains a mix of classic and native histograms", metric)


def not_counter(metric: str) -> str:
    return f"{WARNING}this native histogram metric is not a counter: {quote(metric)}"


def not_gauge(metric: str) -> str:
    return f"{WARNING}this native histogram metric is not a gauge: {quote(metric)}"


def mixed_schemas(metric: str) -> str:
    return f"{WARNING}vector contains a mix of histograms with exponential and custom buckets schemas for metric name {quote(metric)}"


def incompatible_layout(operator: str) -> str:
    return f"{WARNING}incompatible bucket layout encountered for binary operator {operator}"


def reset_collision(operation: str) -> str:
    """`operation`: addition, subtraction, aggregation."""
    return f"{WARNING}conflicting counter resets during histogram {operation}"


def reconciled_bounds(operation: str) -> str:
    return f"{INFO}mismatched custom buckets were reconciled during {operation}"


def maybe_not_counter(metric: str) -> str:
    return f"{INFO}metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {quote(metric)}"


def type_not_counter(metric: str, type_label: str) -> str:
    text = 'metric might not be a counter, __type__ label is not set to "counter" or "histogram"'
    return f"{INFO}{text}, got {quote(type_label)}: {quote(metric)}"


def overlapping_starts(metric: str) -> str:
    return f"{WARNING}sample has start time that overlaps with previous sample timestamp for metric {quote(metric)}"


def incompatible_types(left: str, operator: str, right: str) -> str:
    text = f"incompatible sample types encountered for binary operator {quote(operator)}"
    return f"{INFO}{text}: {left} {operator} {right}"


def ignored_in_aggregation(operator: str) -> str:
    return f"{INFO}ignored histogram in {operator} aggregation"


def ignored_in_range(metric: str) -> str:
    return f"{INFO}ignored histograms in a range containing both floats and histograms for metric name {quote(metric)}"


def quantile_is_nan(metric: str) -> str:
    return named(INFO + "input to histogram_quantile has NaN observations, result is NaN", metric)


def quantile_is_skewed(metric: str) -> str:
    return named(INFO + "input to histogram_quantile has NaN observations, result is skewed higher", metric)


def fraction_without_nan(metric: str) -> str:
    return named(INFO + "input to histogram_fraction has NaN observations, which are excluded from all fractions", metric)
