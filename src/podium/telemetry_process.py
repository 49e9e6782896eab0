"""Wires the telemetry role: metrics, rules and alerts of a live cluster, in a process of their own."""

import asyncio
import signal
import ssl
from pathlib import Path

from podium.api.authority import Authority
from podium.cli import identity
from podium.cli.cluster import Cluster
from podium.client.https import Endpoint, HttpsClient
from podium.telemetry.monitoring.jobs import Place
from podium.telemetry.monitoring.role import Monitoring
from podium.telemetry.monitoring.surroundings import LiveSurroundings
from podium.world.allocation import give_back_early
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor


def run(cluster: Cluster) -> None:
    """Returns after SIGTERM or SIGINT."""
    import uvloop

    from podium.instrument.log import configure

    give_back_early()
    configure()

    async def live() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        authority: Authority = identity.authority(cluster)
        (certificate, key), serving = identity.issue_telemetry(authority)
        client = HttpsClient(Endpoint(cluster.api_url, authority.ca_path, certificate, key), user_agent="podium/telemetry", trim=True)
        place = Place(
            api=f"{cluster.api_host}:{cluster.api_port}",
            own=f"127.0.0.1:{cluster.metrics_port}",
            agent=f"{cluster.node_ip}:{cluster.kubelet_port}" if cluster.runtime != "simulated" else "",
            node_name=cluster.node_name,
            ca=authority.ca_path,
            certificate=certificate,
            key=key,
            dns=cluster.network == "kernel",
            simulated=bool(cluster.simulated_nodes),
        )
        world = RealWorld()
        around = LiveSurroundings(
            world, cluster.metrics_dir, "127.0.0.1", cluster.metrics_port, place, admission_tls=_admission_tls(authority, *serving),
            service_host=cluster.node_ip,
        )  # fmt: skip
        supervisor = Supervisor("telemetry")
        supervisor.start("monitoring", Monitoring(around, client, world, supervisor).run())
        try:
            await supervisor.until(stopping)
        finally:
            await supervisor.stop()
            await client.aclose()

    uvloop.run(live())


def _admission_tls(authority: Authority, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
