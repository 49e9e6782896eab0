"""Inhibition: alerts that are not worth a notification while another one fires.

A rule mutes what matches its target while an alert fires that matches its source and has the same values of its `equal` labels (an absent
label equals an empty one). What matches both sides is not muted by another alert that matches both.

Each rule keeps its firing sources by their `equal` values: a question costs one look-up per rule that has the target.
Source: upstream's inhibit package.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.alertmanager.configuration import InhibitRule
from podium.telemetry.metrics.alertmanager.matchers import match_all

_Key = tuple[str, ...]


class Inhibitor:
    def __init__(self, rules: Iterable[InhibitRule]) -> None:
        self._rules = [(rule, _Sources(rule)) for rule in rules]

    def put(self, alert: Alert) -> None:
        """An alert that came or changed."""
        for rule, sources in self._rules:
            if match_all(rule.source, alert.labels):
                sources.put(alert)

    def inhibited_by(self, labels: Mapping[str, str], now: datetime) -> list[str]:
        """The fingerprint of the alert that mutes such an alert now; empty when none does."""
        for rule, sources in self._rules:
            if match_all(rule.target, labels):
                found = sources.find(labels, now, both_sides=match_all(rule.source, labels))
                if found:
                    return [found]
        return []

    def forget_resolved(self, now: datetime) -> None:
        for _, sources in self._rules:
            sources.forget_resolved(now)


class _Sources:
    """Alerts that match a rule's source, by their values of its equal labels, then by fingerprint."""

    def __init__(self, rule: InhibitRule) -> None:
        self._rule = rule
        self._alerts: dict[_Key, dict[str, Alert]] = {}

    def _key(self, labels: Mapping[str, str]) -> _Key:
        return tuple(labels.get(name, "") for name in self._rule.equal)

    def put(self, alert: Alert) -> None:
        self._alerts.setdefault(self._key(alert.labels), {})[alert.fingerprint] = alert

    def find(self, labels: Mapping[str, str], now: datetime, *, both_sides: bool) -> str:
        for name, alert in self._alerts.get(self._key(labels), {}).items():
            if alert.resolved_at(now) or (both_sides and match_all(self._rule.target, alert.labels)):
                continue
            return name
        return ""

    def forget_resolved(self, now: datetime) -> None:
        for key in list(self._alerts):
            kept = {name: alert for name, alert in self._alerts[key].items() if not alert.resolved_at(now)}
            if kept:
                self._alerts[key] = kept
            else:
                del self._alerts[key]
