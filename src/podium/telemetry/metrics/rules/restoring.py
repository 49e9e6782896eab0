"""How long alerts had been pending before the server was restarted: read back from the series ALERTS_FOR_STATE.

The time that the server was down does not count, neither for nor against an alert: `active_at` moves by it. An alert that had nearly
been pending long enough waits for the grace period, so that one evaluation with few data does not fire it.

Source: Prometheus' documentation, --rules.alert.for-outage-tolerance and --rules.alert.for-grace-period.
"""

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, Labels, Matcher, MatchType
from podium.telemetry.metrics.rules.alerts import ALERTS_FOR_STATE, AlertStates
from podium.telemetry.metrics.rules.evaluation import GroupState, Server
from podium.telemetry.metrics.samples import is_absent, is_stale


def restore(state: GroupState, server: Server, now_ms: int) -> None:
    """After the second evaluation since the start; ALERTS series are written from then on. Raises StorageFailed."""
    for rule in state.rules:
        if rule.alerts is not None and not rule.restored:
            if rule.alerts.rule.for_ms >= server.timing.for_grace_period_ms and rule.alerts.active:
                _restore_rule(rule.alerts, server, now_ms)
            rule.restored = True


def _restore_rule(states: AlertStates, server: Server, now_ms: int) -> None:
    known = _last_states(states.rule.name, server, now_ms)
    for alert in states.active.values():
        if (found := known.get(tuple(pair for pair in alert.labels if pair[0] != METRIC_NAME))) is not None:
            down_at_ms, active_at_ms = found
            alert.active_at_ms = restored_active_at_ms(
                active_at_ms, down_at_ms, now_ms, states.rule.for_ms, server.timing.for_grace_period_ms
            )


def restored_active_at_ms(active_at_ms: int, down_at_ms: int, now_ms: int, for_ms: int, grace_ms: int) -> int:
    remaining_ms = for_ms - (down_at_ms - active_at_ms)
    if remaining_ms <= 0:  # it was firing
        return active_at_ms
    if remaining_ms < grace_ms:
        return now_ms + grace_ms - for_ms
    return active_at_ms + now_ms - down_at_ms


def _last_states(alert: str, server: Server, now_ms: int) -> dict[Labels, tuple[int, int]]:
    """Labels without the name -> (time of the last sample, active at), both in milliseconds; without those that had ended."""
    matchers = [Matcher(MatchType.EQUAL, METRIC_NAME, ALERTS_FOR_STATE), Matcher(MatchType.EQUAL, "alertname", alert)]
    selection = server.storage.select(matchers, now_ms - server.timing.outage_tolerance_ms, now_ms)
    found: dict[Labels, tuple[int, int]] = {}
    for columns in selection.columns:
        present = ~is_absent(columns.values)
        for row, there, values in zip(columns.rows.tolist(), present, columns.values, strict=True):
            at = int(np.flatnonzero(there)[-1]) if there.any() else -1
            if at >= 0 and not is_stale(values[at : at + 1])[0]:
                labels = tuple(pair for pair in selection.labels.row(row) if pair[0] != METRIC_NAME)
                found[labels] = (int(columns.times[at]), int(values[at]) * 1000)
    return found
