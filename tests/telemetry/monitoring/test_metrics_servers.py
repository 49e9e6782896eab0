"""What the operator plans for Prometheus objects is run, given new configurations, started anew on the same disk, and ended."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.telemetry.monitoring.metrics_servers import MetricsServers
from podium.telemetry.prometheus_operator.server_settings import settings_of
from podium.world import virtual
from podium.world.supervisor import Supervisor

KEY = ("prometheuses", "shop", "main")
URL = "http://127.0.0.1:9090/prometheus/shop/main"
SETTINGS = settings_of({})
CONFIGURATION = load("global: {scrape_interval: 5s}")


def run(scenario: Callable[[MetricsServers, Supervisor], Awaitable[None]]) -> None:
    async def main(world: Any) -> None:
        supervisor = Supervisor("test")
        servers = MetricsServers(world, supervisor, {}, open_store=partial(Tsdb.open, threads=False))
        try:
            await scenario(servers, supervisor)
        finally:
            await servers.stop()
            await supervisor.stop()

    virtual.run(main, 0)


def test_a_new_configuration_is_taken_by_the_server_that_runs(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, tmp_path, URL)
        before = servers.get(KEY)
        assert before is not None
        await servers.run(KEY, load("global: {scrape_interval: 7s}"), [], SETTINGS, tmp_path, URL)
        assert servers.get(KEY) is before
        assert before.server.configuration.global_config.scrape_interval == 7000

    run(scenario)


def test_other_settings_start_it_anew_on_the_same_disk(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, tmp_path, URL)
        before = servers.get(KEY)
        assert before is not None
        spec = {
            "retention": "3h", "query": {"maxSamples": 7}, "enableAdminAPI": True, "enableFeatures": ["promql-experimental-functions"],
            "rules": {"alert": {"resendDelay": "2s"}}, "externalUrl": "https://metrics.example",
        }  # fmt: skip
        await servers.run(KEY, CONFIGURATION, [], settings_of(spec), tmp_path, URL)
        after = servers.get(KEY)
        assert after is not None
        assert after.server is not before.server
        options = after.server.options
        assert (after.server.store.options.retention_ms, options.engine.samples_max, options.timing.resend_delay_ms) == (
            10_800_000,
            7,
            2000,
        )
        assert (options.switches.admin_api, options.switches.features.functions) == (True, True)
        assert (before.server.options.external_url, options.external_url) == (URL, "https://metrics.example")
        assert [name for name in supervisor.running() if "server/" in name] == ["test/server/prometheuses/shop/main"]

    run(scenario)


def test_kinds_of_the_same_name_are_servers_of_their_own(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        agent = ("prometheusagents", *KEY[1:])
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, tmp_path / "a", URL)
        await servers.run(agent, CONFIGURATION, [], SETTINGS, tmp_path / "b", URL)
        await servers.end(KEY)
        assert servers.get(KEY) is None
        assert servers.get(agent) is not None
        await servers.end(KEY)

    run(scenario)


def test_a_disk_that_refuses_is_an_error_of_that_one(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigurationError):
            await servers.run(KEY, CONFIGURATION, [], SETTINGS, tmp_path / "file", URL)
        assert servers.get(KEY) is None
        await servers.run(KEY, CONFIGURATION, [], replace(SETTINGS, admin_api=True), tmp_path / "folder", URL)
        assert servers.get(KEY) is not None

    run(scenario)
