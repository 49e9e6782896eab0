"""An alert's life, evaluation by evaluation: a table of what the expression gave and what the alert was then."""

import pytest

from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.promql.syntax import NumberLiteral
from podium.telemetry.metrics.rules.alerts import RESOLVED_RETENTION_MS, AlertStates, Found
from podium.telemetry.metrics.rules.errors import RuleFailed
from podium.telemetry.metrics.rules.rule import AlertingRule

S = 1000
JOB = labels_of({"job": "a"})


def rule(for_s: int = 0, keep_s: int = 0) -> AlertingRule:
    return AlertingRule("Down", "up == 0", NumberLiteral(1), for_s * S, keep_s * S)


def found(source: Labels = JOB, value: float = 1.0, labels: Labels | None = None) -> Found:
    return Found(source, labels if labels is not None else labels_of({**dict(source), "alertname": "Down"}), {}, value)


LIVES = [
    # for, keep_firing_for, seconds at which the condition holds (evaluated every 10), state after each evaluation (. inactive, p, F)
    (0, 0, "1111..", "FFFF.."),
    (20, 0, "1111..", "ppFF.."),
    (20, 0, "11.111", "pp.ppF"),
    (0, 20, "1....", "FFF.."),
    (0, 20, "1.1....", "FFFFF.."),
    (20, 20, "11.11", "pp.pp"),
]


@pytest.mark.parametrize(("for_s", "keep_s", "holds", "states"), LIVES)
def test_an_alert_goes_from_pending_to_firing_and_ends(for_s: int, keep_s: int, holds: str, states: str) -> None:
    alerts = AlertStates(rule(for_s, keep_s))
    seen = ""
    for i, holding in enumerate(holds):
        alerts.advance([found()] if holding == "1" else [], i * 10 * S)
        seen += {"inactive": ".", "pending": "p", "firing": "F"}[alerts.state]
    assert seen == states


def test_a_resolved_alert_is_sent_once_more_and_forgotten_after_the_retention() -> None:
    alerts = AlertStates(rule())
    alerts.advance([found()], 0)
    assert [a.state for a, _ in alerts.to_send(0, 60 * S, 10 * S)] == ["firing"]
    assert alerts.to_send(60 * S, 60 * S, 10 * S) == []
    alerts.advance([found()], 61 * S)
    [(_, until)] = alerts.to_send(61 * S, 60 * S, 10 * S)
    assert until == 61 * S + 4 * 60 * S
    alerts.advance([], 70 * S)
    assert [a.resolved_at_ms for a, _ in alerts.to_send(70 * S, 60 * S, 10 * S)] == [70 * S]
    assert alerts.current() == []
    alerts.advance([], 71 * S + RESOLVED_RETENTION_MS)
    assert alerts.active == {}


def test_a_pending_alert_is_never_sent() -> None:
    alerts = AlertStates(rule(for_s=60))
    alerts.advance([found()], 0)
    assert alerts.to_send(0, 60 * S, 10 * S) == []


def test_an_alert_that_comes_back_is_a_new_one() -> None:
    alerts = AlertStates(rule())
    for at, results in ((0, [found()]), (10, []), (20, [found()])):
        alerts.advance(results, at * S)
    assert [(a.active_at_ms, a.resolved_at_ms) for a in alerts.active.values()] == [(20 * S, None)]


def test_the_series_name_the_state_and_since_when() -> None:
    alerts = AlertStates(rule(for_s=60))
    alerts.advance([found()], 30 * S)
    series = {dict(labels)["__name__"]: (dict(labels), value) for labels, value in alerts.series()}
    assert series["ALERTS"] == ({"__name__": "ALERTS", "alertname": "Down", "alertstate": "pending", "job": "a"}, 1.0)
    assert series["ALERTS_FOR_STATE"] == ({"__name__": "ALERTS_FOR_STATE", "alertname": "Down", "job": "a"}, 30.0)


def test_two_results_with_the_same_alert_labels_are_refused() -> None:
    same = labels_of({"alertname": "Down"})
    with pytest.raises(RuleFailed, match="vector contains metrics with the same labelset after applying alert labels"):
        AlertStates(rule()).advance([found(JOB, 1, same), found((), 1, same)], 0)


def test_beyond_the_limit_all_alerts_are_dropped() -> None:
    alerts = AlertStates(rule())
    alerts.advance([found()], 0, limit=1)
    with pytest.raises(RuleFailed, match="exceeded limit of 1 with 2 alerts"):
        alerts.advance([found(), found(labels_of({"job": "b"}))], 10 * S, limit=1)
    assert alerts.active == {}
