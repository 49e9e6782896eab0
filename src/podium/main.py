"""The entry: the only place, with the role modules beside it, that wires packages together.

A command (`podium up`) is handled by `cli`; a role (`podium run control-plane`) loads its own wiring only when it is started.
"""

from argparse import Namespace
from collections.abc import Sequence

from podium.cli.arguments import run


def main(argv: Sequence[str] | None = None) -> int:
    return run(argv, {
        "supervisor": _supervisor,
        "control-plane": _control_plane,
        "node": _node,
        "simulated-nodes": _simulated_nodes,
        "stop-pods": _stop_pods,
        "telemetry": _telemetry,
    })  # fmt: skip


def _supervisor(arguments: Namespace) -> int:
    from podium.cli.roles import run_supervisor

    return run_supervisor(arguments)


def _control_plane(arguments: Namespace) -> int:
    from podium import control_plane
    from podium.cli.roles import run_role

    return run_role(arguments, control_plane.run)


def _node(arguments: Namespace) -> int:
    from podium import node_process
    from podium.cli.roles import run_role

    return run_role(arguments, lambda cluster: node_process.run(cluster, arguments.name or cluster.node_name))


def _simulated_nodes(arguments: Namespace) -> int:
    from podium import node_process
    from podium.cli.roles import run_role

    return run_role(arguments, node_process.run_simulated)


def _telemetry(arguments: Namespace) -> int:
    from podium import telemetry_process
    from podium.cli.roles import run_role

    return run_role(arguments, telemetry_process.run)


def _stop_pods(arguments: Namespace) -> int:
    from podium import node_process
    from podium.cli.roles import run_once

    return run_once(arguments, node_process.stop_pods)
