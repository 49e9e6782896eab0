"""A rule, and a group of them, as they are written: immutable, checked, their expressions parsed.

Source: Prometheus' documentation, "Recording rules", "Alerting rules".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.promql.syntax import Expression


@dataclass(frozen=True, slots=True)
class RecordingRule:
    name: str
    text: str
    expression: Expression
    labels: Mapping[str, str] = field(default_factory=dict)

    def recorded(self, labels: Labels) -> Labels:
        """The labels of the series that a result becomes. The rule's own win; an empty one takes a label away."""
        return labels_of({**dict(labels), METRIC_NAME: self.name, **self.labels})


@dataclass(frozen=True, slots=True)
class AlertingRule:
    name: str
    text: str
    expression: Expression
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)  # templates
    annotations: Mapping[str, str] = field(default_factory=dict)  # templates


Rule = RecordingRule | AlertingRule


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after another, at the same times."""

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval_ms: int  # 0: the server's evaluation interval
    query_offset_ms: int | None = None  # None: the server's
    limit: int = 0  # of series or alerts a rule; 0: none

    @property
    def key(self) -> str:
        """Names a group among all files'; upstream's label `rule_group`."""
        return f"{self.file};{self.name}"
