"""What the operator plans for Alertmanagers is run, reloaded, started anew and ended; what cannot be used leaves the one of before."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from podium.telemetry.metrics.alertmanager.alertmanager import RETENTION_S, PostedAlert
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.monitoring.alerting import Alerting
from podium.telemetry.monitoring.jobs import Place
from podium.telemetry.monitoring.surroundings import LiveSurroundings
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan
from podium.world import virtual

KEY = ("alertmanagers", "shop", "main")
URL = "http://127.0.0.1:9090/alertmanager"


def plan(receiver: str, more: str = "", **given: Any) -> AlertmanagerPlan:
    text = f"{{route: {{receiver: {receiver}}}, receivers: [{{name: {receiver}}}]{more}}}"
    return AlertmanagerPlan("shop", "main", load(text), text, **given)


def run(scenario: Callable[[Alerting], Awaitable[None]], directory: Path) -> None:
    async def main(world: Any) -> None:
        place = Place(
            api="", own="", agent="", node_name="", ca=directory, certificate=directory, key=directory, dns=False, simulated=False
        )
        alerting = Alerting(world, LiveSurroundings(world, directory, "127.0.0.1", 0, place))
        try:
            await scenario(alerting)
        finally:
            await alerting.stop()

    virtual.run(main, 0)


def test_a_new_configuration_is_a_reload_that_keeps_alerts(tmp_path: Path) -> None:
    async def scenario(alerting: Alerting) -> None:
        await alerting.run(KEY, plan("a"), "state", URL)
        running = alerting.get(KEY)
        assert running is not None
        await running.manager.put_alerts([PostedAlert({"alertname": "Down"})])
        await alerting.run(KEY, plan("b"), "state", URL)
        assert alerting.get(KEY) is running
        assert running.manager.receivers_of({}) == ["b"]
        assert len(running.manager.alerts()) == 1
        await running.reload()
        assert running.manager.receivers_of({}) == ["b"]

    run(scenario, tmp_path)


def test_another_address_or_retention_starts_it_anew_on_the_same_disk(tmp_path: Path) -> None:
    async def scenario(alerting: Alerting) -> None:
        await alerting.run(KEY, plan("a"), "state", URL)
        before = alerting.get(KEY)
        await alerting.run(KEY, plan("a", external_url="https://alerts.example", retention_s=3600.0), "state", URL)
        after = alerting.get(KEY)
        assert before is not None
        assert after is not None
        assert (before.identity, after.identity) == ((URL, None), ("https://alerts.example", 3600.0))
        assert after.manager.external_url == "https://alerts.example"
        assert RETENTION_S > 3600

    run(scenario, tmp_path)


def test_a_configuration_that_cannot_be_used_leaves_the_one_of_before(tmp_path: Path) -> None:
    async def scenario(alerting: Alerting) -> None:
        await alerting.run(KEY, plan("a"), "state", URL)
        (tmp_path / "bad.tmpl").write_text("{{ define")
        with pytest.raises(ConfigurationError):
            await alerting.run(KEY, plan("b", f", templates: ['{tmp_path}/*.tmpl']"), "state", URL)
        running = alerting.get(KEY)
        assert running is not None
        assert running.manager.receivers_of({}) == ["a"]

    run(scenario, tmp_path)


def test_a_disk_that_refuses_is_an_error_of_that_one(tmp_path: Path) -> None:
    async def scenario(alerting: Alerting) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigurationError, match="cannot write to"):
            await alerting.run(KEY, plan("a"), "file", URL)
        assert alerting.get(KEY) is None
        await alerting.run(KEY, plan("a"), "folder", URL)
        await alerting.end(KEY)
        assert alerting.get(KEY) is None
        await alerting.end(KEY)

    run(scenario, tmp_path)
