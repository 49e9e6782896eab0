"""What every role's process does around its work: its lock, its refusals, its guardian, its exit code."""

import contextlib
import errno
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from podium.cli import processes, supervise
from podium.cli.cluster import Cluster, require, write_atomically
from podium.cli.refusal import Refusal


def run_supervisor(arguments: Namespace) -> int:
    return supervise.run_supervisor(require(Path(arguments.data_dir)))


def run_role(arguments: Namespace, work: Callable[[Cluster], None]) -> int:
    """Runs `work` (which returns at SIGTERM) as that role. A refusal is written where `up` and the supervisor find it."""
    cluster = require(Path(arguments.data_dir))
    role = arguments.role
    lock = processes.take_lock(cluster, role)
    if lock is None:
        raise Refusal(f"{role} of {cluster.data_dir} is running already: end it with `podium down --data-dir {cluster.data_dir}`")
    supervise.guard(cluster)
    try:
        work(cluster)
    except Refusal as refusal:
        return _refuse(cluster, role, refusal.message)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refuse(
            cluster, role, f"a port of {role} is in use by another program ({error.strerror or error}): end it, or use another --data-dir"
        )
    return 0


def run_once(arguments: Namespace, work: Callable[[Cluster], None]) -> int:
    """A role that ends by itself."""
    work(require(Path(arguments.data_dir)))
    return 0


def _refuse(cluster: Cluster, role: str, message: str) -> int:
    print(f"{role}: {message}", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        write_atomically(supervise.refusal_file(cluster, role), message + "\n")
    return supervise.REFUSED_EXIT_CODE
