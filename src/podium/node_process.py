"""Wires the node roles: the agent of this machine's own node, and the fleet of simulated ones. Each runs in a process of its own and reaches
the API server over HTTPS with a node's certificate.
"""

import asyncio
import signal
import ssl
from collections.abc import Awaitable, Callable

from podium.api.authority import Authority
from podium.cli.cluster import Cluster
from podium.client.https import Endpoint, HttpsClient
from podium.node.config import FleetConfig, NodeConfig
from podium.node.runtime.interface import Runtime
from podium.world.interface import World
from podium.world.supervisor import Supervisor

Body = Callable[[World, Supervisor], Awaitable[None]]


def run(cluster: Cluster, name: str) -> None:
    """The node role of this machine: returns after SIGTERM or SIGINT; containers keep running."""
    _run(lambda world, tasks: _start_node(cluster, name, world, tasks))


def run_simulated(cluster: Cluster) -> None:
    """The simulated nodes of the cluster, all in this process."""
    _run(lambda world, tasks: _start_fleet(cluster, world, tasks))


def stop_pods(cluster: Cluster) -> None:
    """Ends every pod of this machine's node, for `podium down`."""
    _run_once(lambda world: _stop_pods(cluster, world))


def _run(body: Body) -> None:
    import uvloop

    async def main() -> None:
        from podium.world.real import RealWorld

        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        tasks = Supervisor("node")
        await body(RealWorld(), tasks)
        await stopping.wait()
        await tasks.stop()

    uvloop.run(main())


def _run_once(body: Callable[[World], Awaitable[None]]) -> None:
    import uvloop

    async def main() -> None:
        from podium.world.real import RealWorld

        await body(RealWorld())

    uvloop.run(main())


async def _start_node(cluster: Cluster, name: str, world: World, tasks: Supervisor) -> None:
    from podium.node.role import run_node

    authority = Authority.load_or_create(cluster.pki_dir)
    config = NodeConfig(
        name=name, address=cluster.node_ip, directory=cluster.pods_dir, port=cluster.kubelet_port, tls=_server_tls(authority, name, cluster.node_ip),
        cluster_dns=(cluster.dns_ip,), cluster_domain=cluster.cluster_domain, pod_cidr=cluster.node_cidr, ca_pem=authority.ca_pem.decode(),
    )  # fmt: skip
    await run_node(config, _client(cluster, authority, name), world, _runtime(cluster, world), tasks)


async def _start_fleet(cluster: Cluster, world: World, tasks: Supervisor) -> None:
    from podium.node.role import run_fleet

    authority = Authority.load_or_create(cluster.pki_dir)
    name = "simulated-nodes"
    config = FleetConfig(count=cluster.simulated_nodes, pod_cidr=cluster.simulated_cidr, tls=_server_tls(authority, name, "127.0.0.1"))
    await run_fleet(config, _client(cluster, authority, name), world, tasks)


async def _stop_pods(cluster: Cluster, world: World) -> None:
    from podium.node.role import stop_everything

    if cluster.runtime in ("process", "cri"):
        await stop_everything(_runtime(cluster, world))


def _runtime(cluster: Cluster, world: World) -> Runtime:
    if cluster.runtime == "cri":
        from podium.node.runtime.cri import CriRuntime

        return CriRuntime(str(cluster.runtime_socket), cluster.cluster_id, world)
    from podium.node.runtime.pod_network import LoopbackNetwork
    from podium.node.runtime.process import ProcessRuntime

    return ProcessRuntime(cluster.data_dir / "processes", LoopbackNetwork(cluster.data_dir / "addresses"), world)


def _client(cluster: Cluster, authority: Authority, name: str) -> HttpsClient:
    certificate, key = authority.issue_files(f"node-{name}", f"system:node:{name}", ["system:nodes"])
    return HttpsClient(Endpoint(cluster.api_url, authority.ca_path, certificate, key), user_agent="kubelet")


def _server_tls(authority: Authority, name: str, address: str) -> ssl.SSLContext:
    """The node agent's own door: only clients with a certificate of the cluster come in."""
    certificate, key = authority.issue_files(f"kubelet-{name}", f"system:node:{name}", ["system:nodes"], [name, address])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cafile=str(authority.ca_path))
    context.verify_mode = ssl.CERT_REQUIRED
    return context
