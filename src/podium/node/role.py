"""The node role's doors, for main: one real node, or a fleet of simulated ones. Both start what they need under the given supervisor and
return; stopping the supervisor ends them and leaves containers running. `stop_everything` (drain.py) ends those too.
"""

from collections.abc import Mapping

from podium.client.interface import Client
from podium.instrument.metrics import Registry
from podium.node.access import NodeAccess
from podium.node.agent import NodeAgent
from podium.node.config import FleetConfig, NodeConfig
from podium.node.drain import stop_everything
from podium.node.fleet import Fleet
from podium.node.runtime.interface import Runtime
from podium.node.server import NodeServer
from podium.world.interface import World
from podium.world.supervisor import Supervisor

__all__ = ["FleetConfig", "NodeConfig", "run_fleet", "run_node", "stop_everything"]


async def run_node(
    config: NodeConfig,
    client: Client,
    world: World,
    runtime: Runtime,
    supervisor: Supervisor,
    components: Mapping[str, Registry] | None = None,
) -> NodeAgent:
    """Returns when the node is registered and follows its pods; waits as long as the API or the runtime do not answer.
    `components` count what else runs in this process, and are served at /metrics/NAME. Raises OSError when the port is taken."""
    agent = NodeAgent(config, client, world, runtime, supervisor, components)
    access = NodeAccess(client, world)
    server = NodeServer(agent.find, config.client_common_name, config.tls, metrics=agent.metrics, access=access)
    port = await _serve(server, config.listen_address or config.address, config.port, supervisor) if config.tls else 0
    await agent.start(port)
    return agent


async def run_fleet(config: FleetConfig, client: Client, world: World, supervisor: Supervisor) -> Fleet:
    """Returns when all simulated nodes are registered. Raises OSError when the port is taken."""
    fleet = Fleet(config, client, world, supervisor)
    access = NodeAccess(client, world)
    server = NodeServer(fleet.find, config.client_common_name, config.tls, metrics=fleet.metrics, access=access)
    port = await _serve(server, config.listen_address, config.port, supervisor) if config.tls else 0
    await fleet.start(port)
    return fleet


async def _serve(server: NodeServer, host: str, port: int, supervisor: Supervisor) -> int:
    port = await server.start(host, port)
    supervisor.start("node/server", server.run())
    return port
