"""Wires the node role: this machine as a node (runtime, agent, network), or a fleet of simulated nodes; and the end of all pods."""

import asyncio
import gc
import signal
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from podium.api.authority import Authority
from podium.cli import addresses, identity
from podium.cli.cluster import Cluster
from podium.client.https import Endpoint, HttpsClient
from podium.instrument.process_metrics import register_process
from podium.network import services
from podium.network.fabric import Fabric, FabricFailure, uplink_mtu
from podium.network.hosts_file import HostsFiles
from podium.network.measurements import DnsMeasurements, ProxyMeasurements
from podium.network.role import NetworkConfig, run_network
from podium.node.role import FleetConfig, NodeConfig, run_fleet, run_node, stop_everything
from podium.node.runtime.interface import Runtime, RuntimeFailure
from podium.node.runtime.pod_network import LoopbackNetwork, PodAddress, PodNetwork
from podium.world.allocation import give_back_early
from podium.world.interface import World
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor

CONTAINERD_RETRY_S = 0.05
STOP_GRACE_S = 2.0
FLEET = "podium:simulated-nodes"
"""Who all simulated nodes are: not a node, as they share one client; its roles are the bootstrap roles of that name."""


GC_THRESHOLDS = (50_000, 50, 100)
"""Thousands of objects live long and hold no cycles: with Python's defaults the collector takes a fifth of the time."""

Start = Callable[[World, Supervisor, Authority], Awaitable[None]]


def run(cluster: Cluster, name: str) -> None:
    """The node role of a live cluster: returns after SIGTERM or SIGINT, and leaves pods running."""

    async def start(world: World, supervisor: Supervisor, authority: Authority) -> None:
        hosts = HostsFiles(cluster.processes_dir / "sandboxes", cluster.cluster_domain) if cluster.network == "loopback" else None
        fabric = _fabric(cluster)
        if fabric is not None:
            fabric.set_up()
        client = _client(cluster, authority, f"node-{name}", f"system:node:{name}", ["system:nodes"])
        network = _network_config(cluster, name, hosts)
        network_client = _client(cluster, authority, f"network-{name}", "system:kube-proxy")
        proxy, dns = ProxyMeasurements(world), DnsMeasurements(world)
        supervisor.start("network", run_network(network, network_client, world, supervisor, proxy, dns))
        runtime = _runtime(cluster, world, fabric, hosts)
        if cluster.runtime == "cri":
            await _load_pause_image(cluster)
        components = {"kube-proxy": proxy.registry}
        if cluster.network == "kernel":
            components["coredns"] = dns.registry
        agent = await run_node(_node_config(cluster, name, authority), client, world, runtime, supervisor, components)
        for registry in (agent.metrics.registry, *components.values()):
            register_process(registry)

    _run(cluster, start)


def run_simulated(cluster: Cluster) -> None:
    """The simulated-nodes role: one process for all of them."""

    async def start(world: World, supervisor: Supervisor, authority: Authority) -> None:
        client = _client(cluster, authority, "fleet", FLEET)
        config = FleetConfig(
            count=cluster.simulated_nodes,
            address=cluster.api_host,
            listen_address=cluster.api_host,
            tls=_server_tls(authority, "fleet", FLEET, [cluster.api_host]),
            pod_cidr=cluster.simulated_cidr,
        )
        fleet = await run_fleet(config, client, world, supervisor)
        register_process(fleet.metrics.registry)

    _run(cluster, start)


def stop_pods(cluster: Cluster) -> None:
    """Ends every pod of this machine. Raises RuntimeFailure with what could not be ended."""

    async def stop() -> None:
        runtime = _runtime(cluster, RealWorld(), _fabric(cluster), None)
        try:
            problems = await stop_everything(runtime, STOP_GRACE_S)
        finally:
            await runtime.close()
        if problems:
            raise RuntimeFailure("; ".join(problems[:3]))

    asyncio.run(stop())


def _run(cluster: Cluster, start: Start) -> None:
    import uvloop

    from podium.instrument.log import configure

    give_back_early()
    configure()
    gc.set_threshold(*GC_THRESHOLDS)

    async def live() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        supervisor = Supervisor("node")
        supervisor.start("start", start(RealWorld(), supervisor, identity.authority(cluster)))  # type: ignore[arg-type]
        try:
            await supervisor.until(stopping)
        finally:
            await supervisor.stop()

    uvloop.run(live())


def _client(cluster: Cluster, authority: Authority, file: str, common_name: str, organizations: Sequence[str] = ()) -> HttpsClient:
    certificate, key = authority.issue_files(file, common_name, organizations)
    return HttpsClient(Endpoint(cluster.api_url, authority.ca_path, certificate, key), user_agent=f"podium/{file}", trim=True)


def _server_tls(authority: Authority, name: str, common_name: str, hosts: list[str]) -> ssl.SSLContext:
    """For node agents: a client shows a certificate of the cluster's authority, or none and then perhaps a token; one of another
    authority does not get through the handshake."""
    certificate, key = authority.issue_files(f"serving-{name}", common_name, hosts=hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cafile=str(authority.ca_path))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _node_config(cluster: Cluster, name: str, authority: Authority) -> NodeConfig:
    return NodeConfig(
        name=name,
        address=cluster.node_ip,
        directory=cluster.pods_dir,
        port=cluster.kubelet_port,
        listen_address=cluster.node_ip,
        tls=_server_tls(authority, name, f"system:node:{name}", [name, cluster.node_ip]),
        cluster_dns=(cluster.dns_ip,) if cluster.network == "kernel" else (),
        cluster_domain=cluster.cluster_domain,
        pod_cidr=cluster.node_cidr,
        ca_pem=authority.ca_pem.decode(),
    )


def _network_config(cluster: Cluster, name: str, hosts: HostsFiles | None) -> NetworkConfig:
    return NetworkConfig(
        kind=cluster.network,
        name=cluster.network_device,
        node_name=name,
        pod_cidr=cluster.pod_cidr,
        service_cidr=cluster.service_cidr,
        gateway=cluster.gateway_ip,
        dns_ip=cluster.dns_ip,
        cluster_domain=cluster.cluster_domain,
        api=services.Endpoint(cluster.api_host, cluster.api_port),
        resolvers=cluster.upstream_dns or addresses.machine_resolvers(),
        hosts=hosts,
    )


def _fabric(cluster: Cluster) -> Fabric | None:
    if cluster.network != "kernel":
        return None
    return Fabric(
        cluster.network_device, cluster.node_cidr, cluster.pod_cidr, cluster.service_cidr, cluster.run_dir / "fabric", uplink_mtu()
    )


async def _load_pause_image(cluster: Cluster) -> None:
    """Every sandbox needs it; made here, as there may be no registry. Waits until containerd answers."""
    from podium.cli import containerd
    from podium.node import images

    while not await asyncio.to_thread(containerd.answers, cluster):
        await asyncio.sleep(CONTAINERD_RETRY_S)
    archive = containerd.root_dir(cluster) / "pause.tar"
    if not archive.exists():
        fresh = archive.with_suffix(".new")
        fresh.write_bytes(images.pause_image(containerd.SANDBOX_IMAGE))
        await asyncio.to_thread(images.load, fresh, str(cluster.runtime_socket))
        fresh.rename(archive)


def _runtime(cluster: Cluster, world: World, fabric: Fabric | None, hosts: HostsFiles | None) -> Runtime:
    if cluster.runtime == "cri":
        from podium.node.runtime.cri import CriRuntime

        return CriRuntime(str(cluster.runtime_socket), cluster.cluster_id, world)
    from podium.node.runtime.process import ProcessRuntime

    network: PodNetwork
    if fabric is not None:
        network = FabricNetwork(fabric)
    else:
        network = LoopbackWithHosts(LoopbackNetwork(cluster.run_dir / "addresses", cluster.node_cidr), hosts)
    return ProcessRuntime(cluster.processes_dir, network, world)


@dataclass(frozen=True)
class FabricNetwork:
    """The fabric as the process runtime knows it: its own errors and addresses."""

    fabric: Fabric

    async def attach(self, sandbox_uid: str) -> PodAddress:
        try:
            address = await self.fabric.attach(sandbox_uid)
        except FabricFailure as error:
            raise RuntimeFailure(f"pod network: {error}") from error
        return PodAddress(address.ip, address.netns_path)

    async def detach(self, sandbox_uid: str) -> None:
        await self.fabric.detach(sandbox_uid)


@dataclass(frozen=True)
class LoopbackWithHosts:
    """Loopback addresses; a new pod's /etc/hosts gets the Services' names as soon as the runtime has written it, which it does right
    after `attach` returns."""

    network: LoopbackNetwork
    hosts: HostsFiles | None

    async def attach(self, sandbox_uid: str) -> PodAddress:
        address = await self.network.attach(sandbox_uid)
        if self.hosts is not None:
            asyncio.get_running_loop().call_soon(self.hosts.write_all)
        return address

    async def detach(self, sandbox_uid: str) -> None:
        await self.network.detach(sandbox_uid)
