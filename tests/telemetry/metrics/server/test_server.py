"""A configuration that is applied again: what did not change in it goes on undisturbed."""

import pytest

from podium.telemetry.metrics.configuration.configuration import Configuration, load
from podium.telemetry.metrics.remote.read_client import ReadClient
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.tsdb.options import Options
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


READING = """
global: {external_labels: {dc: %s}}
remote_read:
- {url: "http://127.0.0.1:9/one", headers: {X-Tenant: a}, required_matchers: {job: long}, read_recent: true}
- {url: "http://127.0.0.1:9/%s", name: second, filter_external_labels: false}
"""


def test_readers_whose_section_did_not_change_go_on() -> None:
    async def main(world: World) -> None:
        server = MetricsServer(Tsdb.open(None, world, threads=False), world, ServerOptions())

        def read(dc: str, second: str) -> list[ReadClient]:
            server.apply(load((READING % (dc, second)).encode()), [])
            found = [remote for remote in server.engine.remotes if isinstance(remote, ReadClient)]
            assert len(found) == 2
            return found

        one, two = read("x", "two")
        assert (one.options.external_labels, two.options.external_labels, two.name) == ((("dc", "x"),), (), "second")
        assert (one.options.required_matchers, one.options.read_recent) == ({"job": "long"}, True)
        assert read("x", "two") == [one, two]
        assert read("x", "three")[0] is one
        assert one not in read("y", "three")
        server.apply(Configuration().checked(), [])
        assert not server.engine.remotes
        await server.stop()

    virtual.run(main)


@pytest.mark.parametrize(("samples", "whole_after_ms"), [((), 0), ((5,), -3_595_000)])
def test_what_the_store_has_is_whole_two_windows_after_its_first_sample_or_from_now(samples: tuple[int, ...], whole_after_ms: int) -> None:
    async def main(world: World) -> None:
        store = Tsdb.open(None, world, Options(window_ms=1000), threads=False)
        now_ms = int(world.clock.now().timestamp() * 1000)
        for second in samples:
            store.append_samples([Sample((("__name__", "m"),), now_ms - 3_600_000 + second * 1000, 1.0)])
        server = MetricsServer(store, world, ServerOptions())
        assert server.whole_from_ms() == now_ms + whole_after_ms + 2000
        await server.stop()

    virtual.run(main)
