"""A whole cluster under the virtual clock: API, controllers, scheduler and simulated nodes; minutes of it take milliseconds."""

from collections.abc import Awaitable, Callable

from podium.control_plane import build, start_controllers
from podium.node.role import FleetConfig, run_fleet
from podium.store.memory import MemoryStore
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.conformance.api import Api
from tests.controllers.api_cluster import signing_key

Scenario = Callable[[Api], Awaitable[None]]


def run(scenario: Scenario, *, nodes: int = 0, seed: int = 0) -> None:
    """`nodes` simulated ones, named simulated-0 and so on; none: pods stay Pending, as on a cluster without a node agent."""

    async def main(world: World) -> None:
        plane = await build(MemoryStore(), world, service_cidr="10.96.0.0/24", signing_key=signing_key(), api_endpoint=("10.0.0.1", 6443))
        start_controllers(plane, ca_pem="PEM", scheduler=nodes > 0)
        fleet = Supervisor("nodes")
        api = Api(plane)
        if nodes:
            await run_fleet(FleetConfig(nodes), plane.client(), world, fleet)
        await api.settled("/api/v1/namespaces/default/serviceaccounts/default", bool)
        try:
            await scenario(api)
        finally:
            await fleet.stop()
            await plane.stop()

    virtual.run(main, seed)
