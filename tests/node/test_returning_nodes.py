"""A node that was silent until it counted as lost, and comes back: it is ready again as soon as it has reported, not at its next regular report."""

import asyncio
from pathlib import Path

import pytest

from podium.client.events import EventRecorder
from podium.client.mirrors import Mirrors
from podium.control_plane import ControlPlane, build
from podium.controllers.node_lifecycle import NodeLifecycleController
from podium.node.config import FleetConfig, NodeConfig
from podium.node.role import run_fleet, run_node
from podium.node.runtime.simulated import SimulatedRuntime
from podium.objects.resources import resource
from podium.store.memory import MemoryStore
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient

NODES = resource("nodes")


class Cut:
    """A client whose line can be cut: every call and every event of a watch then fails."""

    def __init__(self, client: object) -> None:
        self._client = client
        self.cut = False

    def __getattr__(self, name: str) -> object:
        whole = getattr(self._client, name)

        async def call(*arguments: object, **options: object) -> object:
            if self.cut:
                raise ConnectionError("cut")
            return await whole(*arguments, **options)

        async def watch(*arguments: object, **options: object):  # type: ignore[no-untyped-def]
            async for event in whole(*arguments, **options):
                if self.cut:
                    raise ConnectionError("cut")
                yield event

        return watch if name == "watch" else call


async def ready(plane: ControlPlane) -> list[str]:
    nodes = (await plane.client().list(NODES)).items
    return [c["status"] for node in nodes for c in node["status"]["conditions"] if c["type"] == "Ready"]


@pytest.mark.parametrize("kind", ["fleet", "agent"])
@pytest.mark.parametrize("silent_s", [15, 55, 400])
def test_a_node_that_was_silent_is_ready_again_within_one_heartbeat(tmp_path: Path, kind: str, silent_s: int) -> None:
    async def main(world: World) -> None:
        plane = await build(MemoryStore(), world, service_cidr="10.96.0.0/24", signing_key=b"k" * 32)
        client, events = plane.client(), EventRecorder(plane.client(), world, "tester")
        plane.controllers.start("events", events.run())
        controller = NodeLifecycleController(client, Mirrors(client, world, plane.controllers), events, world)
        plane.controllers.start("node-lifecycle", controller.run())
        line, supervisor = Cut(plane.client()), Supervisor("nodes")
        if kind == "fleet":
            await run_fleet(FleetConfig(3), line, world, supervisor)  # type: ignore[arg-type]
        else:
            runtime = SimulatedRuntime(world, "n", "10.0.0.0/24")
            await run_node(NodeConfig("n", "127.0.0.1", tmp_path), line, world, runtime, supervisor)  # type: ignore[arg-type]
        await asyncio.sleep(30)
        assert set(await ready(plane)) == {"True"}
        line.cut = True
        await asyncio.sleep(silent_s)
        assert set(await ready(plane)) == ({"True"} if silent_s < 40 else {"Unknown"})
        line.cut = False
        await asyncio.sleep(21)
        assert set(await ready(plane)) == {"True"}
        await supervisor.stop()
        await plane.stop()

    virtual.run(main)


def test_a_node_that_was_never_silent_writes_no_more_than_its_regular_report() -> None:
    async def main(world: World) -> None:
        client, supervisor = FakeClient(world), Supervisor("nodes")
        await run_fleet(FleetConfig(3), client, world, supervisor)
        await asyncio.sleep(1)
        client.log.clear()
        await asyncio.sleep(290)
        assert [key for verb, key, _ in client.log if "/nodes/" in key] == []
        await supervisor.stop()

    virtual.run(main)
