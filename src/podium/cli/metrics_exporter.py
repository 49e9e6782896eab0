"""`podium metrics exporter node|kube-state|blackbox|pushgateway`: an exporter by itself, until Ctrl-C.

Imported for every `podium --help`: what is heavy is imported when a command runs.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from podium.cli.listening import listen_address
from podium.cli.refusal import Refusal

if TYPE_CHECKING:
    import asyncio

LISTEN = {"node": "127.0.0.1:9100", "kube-state": "127.0.0.1:8080", "blackbox": "127.0.0.1:9115", "pushgateway": "127.0.0.1:9091"}


def declare(parser: argparse.ArgumentParser) -> None:
    exporters = parser.add_subparsers(dest="exporter", metavar="EXPORTER", required=True)
    _declare_node(_exporter(exporters, "node", "metrics of this machine (node_*)"))
    _declare_kube_state(_exporter(exporters, "kube-state", "metrics of a cluster's objects (kube_*)"))
    blackbox = _exporter(exporters, "blackbox", "probes targets when it is scraped (probe_*)")
    blackbox.add_argument("--config", metavar="F", help="blackbox.yml (default: http_2xx, http_post_2xx, tcp_connect, icmp, grpc)")
    pushgateway = _exporter(exporters, "pushgateway", "keeps what short jobs push")
    pushgateway.add_argument("--persistence-file", metavar="F", help="where pushed metrics are kept (default: in memory only)")
    pushgateway.add_argument("--enable-admin-api", action="store_true", help="allow PUT /api/v1/admin/wipe")


def _exporter(exporters: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str) -> argparse.ArgumentParser:
    parser = exporters.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--listen", metavar="HOST:PORT", default=LISTEN[name], help=f"where to listen (default: {LISTEN[name]})")
    return parser


def _declare_node(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--path-procfs", metavar="D", default="/proc", help="where proc is (default: /proc)")
    parser.add_argument("--path-sysfs", metavar="D", default="/sys", help="where sys is (default: /sys)")
    parser.add_argument("--path-rootfs", metavar="D", default="/", help="where the machine's file system is (default: /)")
    parser.add_argument("--path-udev-data", metavar="D", default="/run/udev/data", help="udev's database (default: /run/udev/data)")
    parser.add_argument("--textfile-directory", metavar="D", default="", help="*.prom files to show as well")


def _declare_kube_state(parser: argparse.ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--kubeconfig", metavar="F", help="of the cluster (default: Podium's own in --data-dir)")
    whose.add_argument("--data-dir", metavar="D", help="directory of a Podium cluster (default: as `podium up`)")
    parser.add_argument("--context", metavar="NAME", default="", help="of the kubeconfig (default: its current one)")
    parser.add_argument("--resources", metavar="A,B", default="", help="which resources (default: all)")
    parser.add_argument("--metric-labels-allowlist", metavar="R=[K,..],..", default="", help="labels that become kube_*_labels")
    parser.add_argument(
        "--metric-annotations-allowlist", metavar="R=[K,..],..", default="", help="annotations that become kube_*_annotations"
    )


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from podium.telemetry.exporters.errors import BadConfiguration

    host, port = listen_address(arguments.listen, LISTEN[arguments.exporter])
    start = {"node": _node, "kube-state": _kube_state, "blackbox": _blackbox, "pushgateway": _pushgateway}[arguments.exporter]

    async def main() -> None:
        from podium.instrument.log import configure

        configure()
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await start(arguments, host, port, stopping)

    try:
        asyncio.run(main())
    except BadConfiguration as error:
        raise Refusal(str(error)) from error
    return 0


def _say(port: int) -> None:
    print(f"listening on port {port}", file=sys.stderr, flush=True)


async def _node(arguments: argparse.Namespace, host: str, port: int, stopping: "asyncio.Event") -> None:
    from podium.telemetry.exporters import serving
    from podium.telemetry.exporters.node.exporter import NodeExporter
    from podium.telemetry.exporters.node.serving import handle
    from podium.telemetry.exporters.node.sources import Roots
    from podium.world.real import RealWorld

    roots = Roots(
        arguments.path_procfs, arguments.path_sysfs, arguments.path_rootfs, arguments.path_udev_data, arguments.textfile_directory
    )
    exporter = NodeExporter(RealWorld(), roots)
    await serving.serve(lambda request: handle(exporter, request), host, port, stopping, _say)


async def _kube_state(arguments: argparse.Namespace, host: str, port: int, stopping: "asyncio.Event") -> None:
    import tempfile

    from podium.client.https import HttpsClient
    from podium.client.kubeconfig import BadKubeconfig, endpoint
    from podium.client.mirrors import Mirrors
    from podium.telemetry.exporters import serving
    from podium.telemetry.exporters.kube_state.exporter import KubeState, parse_allow_list
    from podium.telemetry.exporters.kube_state.serving import handle
    from podium.world.real import RealWorld
    from podium.world.supervisor import Supervisor

    with tempfile.TemporaryDirectory(prefix="podium-kubeconfig-") as directory:
        try:
            where = endpoint(_kubeconfig(arguments), Path(directory), arguments.context)
        except BadKubeconfig as error:
            raise Refusal(str(error)) from error
        client = HttpsClient(where, user_agent="podium/kube-state-metrics", trim=True)
        world, owner = RealWorld(), Supervisor("kube-state")
        state = KubeState(
            Mirrors(client, world, owner, packed=True),
            resources=[name.strip() for name in arguments.resources.split(",") if name.strip()],
            labels=parse_allow_list(arguments.metric_labels_allowlist),
            annotations=parse_allow_list(arguments.metric_annotations_allowlist),
        )
        state.start()
        try:
            await serving.serve(lambda request: handle(state, request), host, port, stopping, _say)
        finally:
            await owner.stop()
            await client.aclose()


def _kubeconfig(arguments: argparse.Namespace) -> Path:
    if arguments.kubeconfig:
        return Path(arguments.kubeconfig)
    from podium.cli.cluster import require, resolve_data_dir

    return require(resolve_data_dir(arguments.data_dir)).kubeconfig_path


async def _blackbox(arguments: argparse.Namespace, host: str, port: int, stopping: "asyncio.Event") -> None:
    import asyncio

    from podium.instrument.log import logger
    from podium.telemetry.exporters import serving
    from podium.telemetry.exporters.blackbox.exporter import BlackboxExporter
    from podium.telemetry.exporters.errors import BadConfiguration
    from podium.world.real import RealWorld

    exporter = BlackboxExporter(RealWorld(), Path(arguments.config) if arguments.config else None)

    def reload() -> None:
        try:
            exporter.reload()
        except BadConfiguration as error:
            logger("exporters.blackbox").warning("configuration not reloaded", error=str(error))

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    await serving.serve(exporter.handle, host, port, stopping, _say)


async def _pushgateway(arguments: argparse.Namespace, host: str, port: int, stopping: "asyncio.Event") -> None:
    from podium.telemetry.exporters import serving
    from podium.telemetry.exporters.pushgateway.gateway import Pushgateway
    from podium.world.real import RealWorld
    from podium.world.supervisor import Supervisor

    path = Path(arguments.persistence_file) if arguments.persistence_file else None
    gateway, owner = Pushgateway(RealWorld(), path, admin=arguments.enable_admin_api), Supervisor("pushgateway")
    owner.start("persistence", gateway.run())
    try:
        await serving.serve(gateway.handle, host, port, stopping, _say)
    finally:
        await owner.stop()
