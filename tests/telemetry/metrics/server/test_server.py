"""A configuration that is applied again: what did not change in it goes on undisturbed."""

from podium.telemetry.metrics.configuration.configuration import Configuration, load
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from podium.world.interface import World

WRITING = """
global: {external_labels: {dc: %s}}
remote_write:
- {url: "http://127.0.0.1:9/one", headers: {X-Tenant: a}, write_relabel_configs: [{source_labels: [job], regex: kept, action: keep}]}
- {url: "http://127.0.0.1:9/%s"}
"""


def configuration(dc: str, second: str) -> Configuration:
    return load((WRITING % (dc, second)).encode())


def test_writers_whose_section_did_not_change_go_on() -> None:
    async def main(world: World) -> None:
        server = MetricsServer(Tsdb.open(None, world, threads=False), world, ServerOptions())
        server.apply(configuration("x", "two"), [])
        one, two = server.tee.writers
        server.apply(configuration("x", "two"), [])
        assert server.tee.writers == [one, two]
        server.apply(configuration("x", "three"), [])
        assert server.tee.writers[0] is one and server.tee.writers[1] is not two
        server.apply(configuration("y", "three"), [])
        assert len(server.tee.writers) == 2 and one not in server.tee.writers
        server.apply(Configuration().checked(), [])
        assert not server.tee.writers
        await server.stop()

    virtual.run(main)
