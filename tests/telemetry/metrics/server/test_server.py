"""A server takes a configuration at any time: what it says of logs and of the store has effect."""

from pathlib import Path

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.server.standalone import store_options
from podium.telemetry.metrics.tsdb.options import HOUR_MS, Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from podium.world.interface import World


def test_queries_are_logged_while_the_configuration_says_so(tmp_path: Path) -> None:
    log = tmp_path / "queries.log"

    async def main(world: World) -> None:
        server = MetricsServer(Tsdb.open(None, world), world, ServerOptions(directory=tmp_path))
        for text, query in (("", "1"), (f"global: {{query_log_file: {log}}}", "2"), ("", "3")):
            server.apply(load(text), [])
            await server.engine.instant(query, 0)
        with pytest.raises(ConfigurationError, match="query_log_file: "):
            server.apply(load("global: {query_log_file: /nowhere/queries.log}"), [])
        await server.stop()

    virtual.run(main)
    [line] = log.read_text().splitlines()
    assert '"query":"2"' in line


OPTIONS = [
    ("", {}),
    ("storage: {tsdb: {out_of_order_time_window: 1h}}", {"out_of_order_window_ms": HOUR_MS}),
    ("storage: {tsdb: {retention: {time: 2h, size: 1MB}}}", {"retention_ms": 2 * HOUR_MS, "retention_bytes": 1 << 20}),
    ("storage: {exemplars: {max_exemplars: 5}}", {"exemplars_max": 5}),
]


@pytest.mark.parametrize(("text", "changes"), OPTIONS)
def test_the_store_is_opened_as_the_configuration_says(text: str, changes: dict[str, int]) -> None:
    assert store_options(Options(), load(text)) == Options(**changes)
