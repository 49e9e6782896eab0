"""The life of an alert: inactive, pending, firing, and resolved; computed step by step from what its rule's expression gave.

`AlertStates.advance` is the rule's whole state machine: results in, alerts out, no I/O. An alert is known by the labels of the result that
it came from (before the rule's own labels, which are templates and may change from one evaluation to the next).

A resolved alert is kept for RESOLVED_RETENTION_MS, so that Alertmanagers hear of it more than once.

Source: Prometheus' documentation, "Alerting rules"; upstream's rules/alerting.go for the order of transitions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.rules.errors import RuleFailed
from podium.telemetry.metrics.rules.rule import AlertingRule

RESOLVED_RETENTION_MS = 15 * 60 * 1000
INACTIVE, PENDING, FIRING = "inactive", "pending", "firing"
_RANK = {INACTIVE: 0, PENDING: 1, FIRING: 2}
ALERTS, ALERTS_FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"


@dataclass(slots=True)
class Alert:
    """Times are milliseconds since 1970; None: not yet, or not any more."""

    labels: Labels
    annotations: Mapping[str, str]
    value: float
    active_at_ms: int
    state: str = PENDING
    fired_at_ms: int | None = None
    resolved_at_ms: int | None = None
    keep_firing_since_ms: int | None = None
    last_sent_ms: int | None = None
    _shown: tuple[str, Labels, Labels] | None = field(default=None, compare=False, repr=False)

    def shown(self, alertname: str) -> tuple[Labels, Labels]:
        """Labels of its series ALERTS and ALERTS_FOR_STATE: the same objects as long as its state is."""
        if self._shown is None or self._shown[0] != self.state:
            labels = dict(self.labels)
            now = labels_of({**labels, METRIC_NAME: ALERTS, "alertname": alertname, "alertstate": self.state})
            self._shown = self.state, now, labels_of({**labels, METRIC_NAME: ALERTS_FOR_STATE, "alertname": alertname})
        return self._shown[1], self._shown[2]


@dataclass(frozen=True, slots=True)
class Found:
    """One result of the expression, as an alert to be: its labels and annotations are expanded."""

    source: Labels
    labels: Labels
    annotations: Mapping[str, str]
    value: float


class AlertStates:
    """Of one alerting rule."""

    def __init__(self, rule: AlertingRule) -> None:
        self.rule = rule
        self.active: dict[Labels, Alert] = {}

    def advance(self, found: Iterable[Found], now_ms: int, limit: int = 0) -> None:
        """One evaluation. Raises RuleFailed when two results give alerts of equal labels, or there are more than `limit` (then all are forgotten)."""
        results: dict[Labels, Found] = {}
        labels: set[Labels] = set()
        for result in found:
            if result.labels in labels:
                raise RuleFailed("vector contains metrics with the same labelset after applying alert labels")
            labels.add(result.labels)
            results[result.source] = result
        for source, result in results.items():
            alert = self.active.get(source)
            if alert is not None and alert.state != INACTIVE:
                alert.value, alert.annotations = result.value, result.annotations
            else:
                self.active[source] = Alert(result.labels, result.annotations, result.value, now_ms)
        for source, alert in list(self.active.items()):
            if source in results:
                alert.keep_firing_since_ms = None
            elif not self._keeps_firing(alert, now_ms):
                self._resolve(source, alert, now_ms)
                continue
            if alert.state == PENDING and now_ms - alert.active_at_ms >= self.rule.for_ms:
                alert.state, alert.fired_at_ms = FIRING, now_ms
        if limit and (count := sum(a.state != INACTIVE for a in self.active.values())) > limit:
            self.active.clear()
            raise RuleFailed(f"exceeded limit of {limit} with {count} alerts")

    def _keeps_firing(self, alert: Alert, now_ms: int) -> bool:
        if alert.state != FIRING or not self.rule.keep_firing_for_ms:
            return False
        if alert.keep_firing_since_ms is None:
            alert.keep_firing_since_ms = now_ms
        return now_ms - alert.keep_firing_since_ms < self.rule.keep_firing_for_ms

    def _resolve(self, source: Labels, alert: Alert, now_ms: int) -> None:
        old = alert.resolved_at_ms is not None and now_ms - alert.resolved_at_ms > RESOLVED_RETENTION_MS
        if alert.state == PENDING or old:
            del self.active[source]
        elif alert.state != INACTIVE:
            alert.state, alert.resolved_at_ms = INACTIVE, now_ms

    @property
    def state(self) -> str:
        """The most serious state of any alert."""
        return max((a.state for a in self.active.values()), key=_RANK.__getitem__, default=INACTIVE)

    def current(self) -> list[Alert]:
        """Pending and firing ones."""
        return [a for a in self.active.values() if a.resolved_at_ms is None]

    def series(self) -> list[tuple[Labels, float]]:
        """ALERTS and ALERTS_FOR_STATE of now: (labels, value)."""
        shown = []
        for alert in self.active.values():
            if alert.state != INACTIVE:
                now, state = alert.shown(self.rule.name)
                shown += [(now, 1.0), (state, float(alert.active_at_ms // 1000))]
        return shown

    def to_send(self, now_ms: int, resend_delay_ms: int, interval_ms: int) -> list[tuple[Alert, int]]:
        """(alert, until when it holds unless sent again) for each that Alertmanagers should hear of now; they count as sent."""
        due = []
        for alert in self.active.values():
            if _needs_sending(alert, now_ms, resend_delay_ms):
                alert.last_sent_ms = now_ms
                due.append((alert, now_ms + 4 * max(interval_ms, resend_delay_ms)))
        return due


def _needs_sending(alert: Alert, now_ms: int, resend_delay_ms: int) -> bool:
    if alert.state == PENDING:
        return False
    sent_ms = alert.last_sent_ms
    if sent_ms is None or (alert.resolved_at_ms is not None and alert.resolved_at_ms > sent_ms):
        return True
    return sent_ms + resend_delay_ms < now_ms
