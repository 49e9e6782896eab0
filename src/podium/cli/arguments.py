"""The command line: what can be typed, and which code it leads to. Only argparse is imported before a command is chosen."""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from podium import __version__
from podium.cli import metrics as metrics_command
from podium.cli.refusal import Refusal

RUNTIMES = ("auto", "cri", "process", "simulated")
Role = Callable[["argparse.Namespace"], int]

EXAMPLES = """\
examples:
  podium up                         a cluster until Ctrl-C
  podium up --detach                a cluster in the background
  podium up --simulated-nodes 100   with a hundred simulated nodes beside this machine
  kubectl get nodes                 any Kubernetes client works
  podium down                       end it; its data stays
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="podium",
        description="A whole Kubernetes platform in one Python package.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"podium {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_up(commands)
    down = commands.add_parser("down", help="end a cluster; its data stays")
    _add_data_dir(down)
    left = commands.add_parser("leftovers", help="what clusters left on this machine whose data directory is gone")
    left.add_argument("mark", nargs="*", metavar="NAME", help="only what is listed under these names")
    left.add_argument("--remove", action="store_true", help="take it away")
    status = commands.add_parser("status", help="processes, nodes and addresses of a cluster")
    _add_data_dir(status)
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    config = commands.add_parser("kubeconfig", help="print a cluster's kubeconfig")
    _add_data_dir(config)
    image = commands.add_parser("image", help="images of a cluster with containers").add_subparsers(
        dest="image_command", metavar="COMMAND", required=True
    )
    load = image.add_parser("load", help="load an image archive (docker save, or an OCI archive)")
    load.add_argument("file", metavar="FILE")
    _add_data_dir(load)
    envtest = commands.add_parser("envtest", help="write kube-apiserver and etcd for controller-runtime's envtest into a directory")
    envtest.add_argument("directory", metavar="DIR", help="what KUBEBUILDER_ASSETS is to name")
    rotate = commands.add_parser("rotate-encryption-key", help="a new key for Secrets on disk, from the next start on")
    _add_data_dir(rotate)
    if metrics_command.COMMANDS:
        metrics_command.declare(commands.add_parser("metrics", help="the metrics engine by itself"))
    commands.add_parser("version", help="print versions")
    _add_run(commands)
    return top


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    up = commands.add_parser("up", help="start a cluster")
    _add_data_dir(up)
    up.add_argument("--detach", "-d", action="store_true", help="return when it is ready, and leave it running")
    up.add_argument(
        "--runtime", choices=RUNTIMES, default="auto", help="what runs pods (default: containers where containerd is, processes otherwise)"
    )
    up.add_argument("--simulated-nodes", type=_count, metavar="N", help="simulated nodes beside this machine's own")
    up.add_argument("--audit-policy-file", metavar="F", help="record requests to the API server as this policy says (empty: no more)")
    up.add_argument("--audit-log-file", metavar="F", help="where they are recorded (default: log/audit.log of the data directory)")
    up.add_argument("--admission-control-config-file", metavar="F", help="settings of PodSecurity: defaults and exemptions (empty: none)")
    metrics = up.add_mutually_exclusive_group()
    metrics.add_argument("--no-metrics", dest="metrics", action="store_false", default=None, help="without scraping, rules and alerts")
    metrics.add_argument("--metrics", dest="metrics", action="store_true", default=None, help="with them (the default)")
    up.add_argument("--manifests", metavar="DIR", help="apply the YAML files of this directory, and again when they change")


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`podium run ROLE`: what the supervisor starts; not for users, so not in the help."""
    run = commands.add_parser("run")
    commands._choices_actions = [action for action in commands._choices_actions if action.dest != "run"]
    run.add_argument("role", choices=("supervisor", "control-plane", "node", "simulated-nodes", "stop-pods", "telemetry"))
    run.add_argument("--data-dir", metavar="D", required=True)
    run.add_argument("--name", metavar="NAME")


def _add_data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        type=_path,
        metavar="D",
        help="the cluster's directory (default: /var/lib/podium for root, ~/.local/share/podium otherwise)",
    )


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number") from None
    if not 0 <= number <= 10_000:
        raise argparse.ArgumentTypeError("must be between 0 and 10000")
    return number


def run(argv: Sequence[str] | None, roles: Mapping[str, Role]) -> int:
    """Parses and runs a command; returns its exit code: 0, 1 after a refusal, 2 after a usage error. `roles` are what `podium run` starts."""
    arguments = parser().parse_args(argv)
    _find_system_programs()
    try:
        return roles[arguments.role](arguments) if arguments.command == "run" else _command(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Refusal as refusal:
        print(f"podium: {refusal.message}", file=sys.stderr)
        return refusal.code
    except OSError as error:
        if arguments.command == "run":
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"podium: {place}{error.strerror or error}: {_advice(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _advice(error: OSError) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
        return "use another address to listen on, or stop who has it"
    return "check the data directory and its disk, or use another --data-dir"


def _find_system_programs() -> None:
    """Debian's `su` leaves `ip` and `nft` out of PATH."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(d for d in ("/usr/sbin", "/sbin") if d not in path)])


def _command(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "up":
            from podium.cli.up import up

            return up(arguments)
        case "down":
            from podium.cli.down import down

            return down(arguments)
        case "leftovers":
            from podium.cli.leftovers import leftovers

            return leftovers(arguments)
        case "status":
            from podium.cli.status import status

            return status(arguments)
        case "kubeconfig":
            return _kubeconfig(arguments)
        case "image":
            from podium.cli.image import load

            return load(arguments)
        case "envtest":
            from podium.cli.envtest import write_programs

            return write_programs(arguments)
        case "metrics":
            return metrics_command.metrics(arguments)
        case "rotate-encryption-key":
            return _rotate_encryption_key(arguments)
        case _:
            print(f"podium {__version__}")
            return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    from podium.cli.cluster import require, resolve_data_dir

    cluster = require(resolve_data_dir(arguments.data_dir))
    try:
        sys.stdout.write(cluster.kubeconfig_path.read_text())
    except OSError:
        raise Refusal(
            f"{cluster.kubeconfig_path} cannot be read: start the cluster with `podium up --data-dir {cluster.data_dir}`"
        ) from None
    return 0


def _rotate_encryption_key(arguments: argparse.Namespace) -> int:
    from podium.cli.cluster import require, resolve_data_dir
    from podium.store.errors import StoreError
    from podium.store.seal import rotate

    cluster = require(resolve_data_dir(arguments.data_dir))
    try:
        name = rotate(cluster.encryption_keys_path)
    except (StoreError, OSError) as error:
        raise Refusal(str(error)) from error
    print(
        f"{name} is the current key in {cluster.encryption_keys_path}: restart the cluster (podium down, podium up) to write Secrets anew with it"
    )
    return 0
