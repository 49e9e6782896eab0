"""What the operator plans for Prometheus objects is run, given new configurations, started anew on the same disk, and ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.server.server import ServerOptions
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.telemetry.monitoring.metrics_servers import MetricsServers
from podium.telemetry.prometheus_operator.server_settings import settings_of
from podium.world import virtual
from podium.world.supervisor import Supervisor
from tests.telemetry.metrics.server.conftest import data, request

KEY = ("prometheuses", "shop", "main")
URL = "http://127.0.0.1:9090/prometheus/shop/main"
SETTINGS = settings_of({})
CONFIGURATION = load("global: {scrape_interval: 5s}")


def run(scenario: Callable[[MetricsServers, Supervisor], Awaitable[None]], directory: Path) -> None:
    async def main(world: Any) -> None:
        def opened(folder: str, options: StoreOptions) -> tuple[Tsdb, ServerOptions]:
            if folder == "full":
                raise ConfigurationError("the disk is full")
            return Tsdb.open(directory / folder, world, options, threads=False), ServerOptions(directory=directory / folder)

        supervisor = Supervisor("test")
        servers = MetricsServers(world, supervisor, {}, opened)
        try:
            await scenario(servers, supervisor)
        finally:
            await servers.stop()
            await supervisor.stop()

    virtual.run(main, 0)


def test_a_new_configuration_is_taken_by_the_server_that_runs(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, "data", URL)
        before = servers.get(KEY)
        assert before is not None
        await servers.run(KEY, load("global: {scrape_interval: 7s}"), [], SETTINGS, "data", URL)
        assert servers.get(KEY) is before
        assert before.server.configuration.global_config.scrape_interval == 7000

    run(scenario, tmp_path)


def test_other_settings_start_it_anew_on_the_same_disk(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, "data", URL)
        before = servers.get(KEY)
        assert before is not None
        spec = {
            "retention": "3h", "query": {"maxSamples": 7}, "enableAdminAPI": True, "enableFeatures": ["promql-experimental-functions"],
            "rules": {"alert": {"resendDelay": "2s"}}, "externalUrl": "https://metrics.example",
        }  # fmt: skip
        await servers.run(KEY, CONFIGURATION, [], settings_of(spec), "data", URL)
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

    run(scenario, tmp_path)


def test_kinds_of_the_same_name_are_servers_of_their_own(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        agent = ("prometheusagents", *KEY[1:])
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, "a", URL)
        await servers.run(agent, CONFIGURATION, [], SETTINGS, "b", URL)
        await servers.end(KEY)
        assert servers.get(KEY) is None
        assert servers.get(agent) is not None
        await servers.end(KEY)

    run(scenario, tmp_path)


def test_a_disk_that_refuses_is_an_error_of_that_one(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        with pytest.raises(ConfigurationError):
            await servers.run(KEY, CONFIGURATION, [], SETTINGS, "full", URL)
        assert servers.get(KEY) is None
        await servers.run(KEY, CONFIGURATION, [], replace(SETTINGS, admin_api=True), "folder", URL)
        assert servers.get(KEY) is not None

    run(scenario, tmp_path)


def test_a_server_says_what_its_settings_became_and_when_it_started(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        spec = {
            "retention": "3h", "retentionSize": "1MB", "query": {"lookbackDelta": "7m"}, "enableAdminAPI": True,
            "enableFeatures": ["promql-experimental-functions"], "rules": {"alert": {"resendDelay": "2s"}},
        }  # fmt: skip
        await servers.run(KEY, CONFIGURATION, [], settings_of(spec), "data", URL)
        flags, before = await asked(servers, "status/flags"), await asked(servers, "status/runtimeinfo")
        expected = {
            "storage.tsdb.retention.time": "3h", "storage.tsdb.retention.size": "1048576B", "query.lookback-delta": "7m", "query.timeout": "2m",
            "web.enable-admin-api": "true", "web.enable-remote-write-receiver": "false", "web.external-url": URL,
            "enable-feature": "promql-experimental-functions", "rules.alert.resend-delay": "2s", "storage.tsdb.path": str(tmp_path / "data"),
        }  # fmt: skip
        assert {name: flags[name] for name in expected} == expected
        assert before["storageRetention"] == "3h or 1048576B" and before["reloadConfigSuccess"] is True
        await asyncio.sleep(60)
        await servers.run(KEY, load("global: {scrape_interval: 7s}"), [], settings_of(spec), "data", URL)
        after = await asked(servers, "status/runtimeinfo")
        assert after["startTime"] == before["startTime"] and after["lastConfigTime"] > before["lastConfigTime"]

    run(scenario, tmp_path)


def test_a_configuration_that_cannot_be_used_is_a_notification_until_one_can(tmp_path: Path) -> None:
    async def scenario(servers: MetricsServers, supervisor: Supervisor) -> None:
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, "data", URL)
        bad = load(f"global: {{query_log_file: {tmp_path}/no/such/folder}}")
        with pytest.raises(ConfigurationError):
            await servers.run(KEY, bad, [], SETTINGS, "data", URL)
        assert [n["text"] for n in await asked(servers, "notifications")] == ["Configuration reload has failed."]
        assert (await asked(servers, "status/runtimeinfo"))["reloadConfigSuccess"] is False
        await servers.run(KEY, CONFIGURATION, [], SETTINGS, "data", URL)
        assert await asked(servers, "notifications") == []

    run(scenario, tmp_path)


async def asked(servers: MetricsServers, path: str) -> Any:
    running = servers.get(KEY)
    assert running is not None
    answer = await running.answer(request("GET", f"/api/v1/{path}"), None)
    assert answer is not None
    return data(answer)
