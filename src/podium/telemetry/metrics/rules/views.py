"""Rules and alerts as the HTTP API shows them. Source: Prometheus' HTTP API, "Rules", "Alerts"."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.rules.alerts import INACTIVE, Alert
from podium.telemetry.metrics.rules.evaluation import GroupState, RuleState
from podium.telemetry.metrics.rules.rule import AlertingRule
from podium.telemetry.metrics.rules.schedule import RuleSchedule

Json = dict[str, Any]
NEVER = "0001-01-01T00:00:00Z"


class RuleViews:
    def __init__(self, schedule: RuleSchedule) -> None:
        self._schedule = schedule

    def groups(self, selectors: Sequence[Sequence[Matcher]] = ()) -> list[Json]:
        shown = [self._group(state, selectors) for _, state in sorted(self._schedule.groups.items())]
        return [group for group in shown if group["rules"] or not selectors]

    def alerts(self) -> list[Json]:
        states = [rule for _, group in sorted(self._schedule.groups.items()) for rule in group.rules]
        return [_alert(a) for state in states if state.alerts is not None for a in state.alerts.current()]

    def _group(self, state: GroupState, selectors: Sequence[Sequence[Matcher]]) -> Json:
        return {
            "name": state.group.name,
            "file": state.group.file,
            "rules": [_rule(rule) for rule in state.rules if not selectors or _matches(rule, selectors)],
            "interval": state.interval_ms(self._schedule.server) / 1000,
            "limit": state.group.limit,
            "evaluationTime": state.duration_s,
            "lastEvaluation": time_text(state.evaluated_at_ms),
        }


def _matches(state: RuleState, selectors: Sequence[Sequence[Matcher]]) -> bool:
    labels = state.rule.labels
    return any(all(m.matches(labels.get(m.name, "")) for m in matchers) for matchers in selectors)


def _rule(state: RuleState) -> Json:
    rule = state.rule
    shown: Json = {"name": rule.name, "query": state.text}
    if isinstance(rule, AlertingRule) and state.alerts is not None:
        shown = {
            "state": state.alerts.state, **shown,
            "duration": rule.for_ms / 1000,
            "keepFiringFor": rule.keep_firing_for_ms / 1000,
            "labels": dict(rule.labels),
            "annotations": dict(rule.annotations),
            "alerts": [_alert(a) for a in state.alerts.current()],
        }  # fmt: skip
    elif rule.labels:
        shown["labels"] = dict(rule.labels)
    shown["health"] = state.health
    if state.error:
        shown["lastError"] = state.error
    kind = "alerting" if isinstance(rule, AlertingRule) else "recording"
    return {**shown, "evaluationTime": state.duration_s, "lastEvaluation": time_text(state.evaluated_at_ms), "type": kind}


def _alert(alert: Alert) -> Json:
    shown: Json = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": time_text(alert.active_at_ms),
        "value": value_text(alert.value),
    }
    if alert.keep_firing_since_ms is not None and alert.state != INACTIVE:
        shown["keepFiringSince"] = time_text(alert.keep_firing_since_ms)
    return shown


def value_text(value: float) -> str:
    """Go's strconv 'e' with the fewest digits: 1e+00."""
    if not math.isfinite(value):
        return "NaN" if value != value else f"{'+' if value > 0 else '-'}Inf"
    digits = repr(value)
    precision = len(digits.partition("e")[0].replace("-", "").replace(".", "").strip("0")) or 1
    return f"{value:.{precision - 1}e}"


def time_text(time_ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond where there is one; 0: never."""
    if not time_ms:
        return NEVER
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    fraction = f".{time_ms % 1000:03d}".rstrip("0") if time_ms % 1000 else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"
