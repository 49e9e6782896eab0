"""`podium up`: from nothing, or from what a crash left, to a cluster that answers.

What takes time runs beside each other: the control plane and the node agent start first and load their code while this process makes
the certificates, writes the kubeconfig and then asks /readyz. The supervisor comes last and adopts what was started here;
should this process be killed before that, a guardian starts it.

`up` may be repeated: on a cluster that runs it only says so, after starting what is missing. In the foreground it stays until Ctrl-C or
a closed terminal and then takes the cluster down; killed with -9, it leaves the cluster to its supervisor.
"""

import os
import signal
import sys
import time
from argparse import Namespace
from pathlib import Path

from podium.cli import addresses, kubeconfig, processes, readiness, supervise
from podium.cli.cluster import Cluster, load, load_or_create, prepare, resolve_data_dir
from podium.cli.progress import Progress
from podium.cli.refusal import Refusal

READY_PATIENCE_S = 60.0
READY_PAUSE_S = 0.01
MANIFEST_PAUSE_S = 1.0
FIRST = (processes.CONTROL_PLANE,)


def up(arguments: Namespace) -> int:
    data_dir = resolve_data_dir(arguments.data_dir)
    progress = Progress()
    if arguments.manifests and not Path(arguments.manifests).is_dir():
        raise Refusal(f"--manifests {arguments.manifests} is not a directory: give one that holds YAML files")
    if _already_running(data_dir, arguments):
        progress.say(f"already running: the cluster in {data_dir} (podium status, podium down)")
        return 0
    began = time.monotonic()
    cluster = bring_up(data_dir, arguments.runtime, arguments.simulated_nodes, progress)
    name, path = kubeconfig.install(cluster)
    progress.say(f"ready in {time.monotonic() - began:.2f} s: {cluster.api_url}, context {name} in {path}")
    if arguments.manifests:
        from podium.cli import manifests

        manifests.apply_directory(cluster, Path(arguments.manifests), progress)
    _say_next(progress, cluster, name, detached=arguments.detach)
    return 0 if arguments.detach and not arguments.manifests else _stay(cluster, arguments, progress)


def _already_running(data_dir: Path, arguments: Namespace) -> bool:
    before = load(data_dir)
    if before is None or supervise.stopping_file(before).exists():
        return False
    if arguments.simulated_nodes not in (None, before.simulated_nodes):
        return False
    alive = {process.name for process in processes.living(before)}
    return {*processes.wanted(load_or_create(data_dir, arguments.runtime, None)), processes.SUPERVISOR} <= alive


def bring_up(data_dir: Path, runtime: str, simulated_nodes: int | None, progress: Progress) -> Cluster:
    """Creates what is missing, starts it, and returns when the API is ready."""
    with progress.step(f"cluster in {data_dir}"):
        before = load(data_dir)
        cluster = load_or_create(data_dir, runtime, simulated_nodes)
        prepare(data_dir)
        if before is not None and before != cluster:  # another number of simulated nodes: who knows the old one starts anew
            for name in (processes.SUPERVISOR, processes.SIMULATED):
                _retire(cluster, name)
        supervise.stopping_file(cluster).unlink(missing_ok=True)
        _check_port(cluster)
        _start_missing(cluster, first=True)
    with progress.step("certificates and kubeconfig"):
        kubeconfig.write_own(cluster)
        _start_missing(cluster, first=False)
    with progress.step(f"control plane at {cluster.api_url}"):
        _await_ready(cluster)
        supervise.ensure_supervisor(cluster)
    return cluster


def _retire(cluster: Cluster, name: str) -> None:
    process = processes.find(cluster, name)
    if process is not None:
        processes.end(process)
    processes.forget(cluster, name)


def _start_missing(cluster: Cluster, *, first: bool) -> None:
    """First what the API waits for, which then loads while this process makes certificates; then the rest."""
    for role in processes.wanted(cluster):
        if (role in FIRST) == first and processes.find(cluster, role) is None:
            supervise.start(cluster, role)


def _check_port(cluster: Cluster) -> None:
    recorded = processes.read(cluster, processes.CONTROL_PLANE)
    if recorded is not None and recorded.alive:
        return
    if not addresses.port_is_free(cluster.api_port):
        raise Refusal(
            f"port {cluster.api_port} is in use by another program: end that program, or start a cluster on its own ports with another --data-dir"
        )


def _await_ready(cluster: Cluster) -> None:
    """Raises Refusal with the reason that a role gave, or the end of its log; what was started is taken down again then."""
    context = readiness.tls_context(cluster)
    deadline = time.monotonic() + READY_PATIENCE_S
    while not readiness.is_ready(cluster, context):
        reason = _refusal(cluster) or _crash(cluster)
        if reason is None and time.monotonic() > deadline:
            reason = f"the API server was not ready within {READY_PATIENCE_S:.0f} s: see {cluster.log_dir}/control-plane.log"
        if reason is not None:
            from podium.cli.down import take_down

            take_down(cluster)
            raise Refusal(reason)
        time.sleep(READY_PAUSE_S)


def _refusal(cluster: Cluster) -> str | None:
    for role in processes.wanted(cluster):
        try:
            return supervise.refusal_file(cluster, role).read_text().strip() or f"{role} refused to start"
        except FileNotFoundError:
            continue
    return None


def _crash(cluster: Cluster) -> str | None:
    """The last line of its log when the control plane has ended by itself: nobody starts it again yet."""
    process = processes.read(cluster, processes.CONTROL_PLANE)
    if (process is not None and process.alive) or supervise.supervised(cluster):
        return None
    log = cluster.log_dir / f"{processes.CONTROL_PLANE}.log"
    last = (log.read_text(errors="replace").strip().splitlines() or ["it left no message"])[-1]
    return f"the control plane ended ({last}): see {log}"


def _say_next(progress: Progress, cluster: Cluster, context: str, *, detached: bool) -> None:
    directory = f" --data-dir {cluster.data_dir}"
    progress.note("")
    progress.note(f"  kubectl --context {context} get nodes")
    progress.note(f"  podium status{directory}")
    progress.note(f"  podium down{directory}" if detached else "  Ctrl-C takes the cluster down")


class _Interrupted(Exception):
    pass


def _stay(cluster: Cluster, arguments: Namespace, progress: Progress) -> int:
    """Follows the manifests, if any, until interrupted; then takes the cluster down unless it was started detached."""

    def interrupt(*_: object) -> None:
        raise _Interrupted

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        _follow(cluster, arguments, progress)
    except _Interrupted:
        pass
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not arguments.detach and not supervise.stopping_file(cluster).exists() and cluster.path.exists():
        from podium.cli.down import take_down

        sys.stderr.flush()
        with progress.step("taking the cluster down"):
            take_down(cluster)
            kubeconfig.remove(cluster)
    return 0


def _follow(cluster: Cluster, arguments: Namespace, progress: Progress) -> None:
    """Returns when the cluster is taken down by someone else."""
    seen = None
    while not supervise.stopping_file(cluster).exists() and cluster.run_dir.exists():
        if arguments.manifests:
            from podium.cli import manifests

            directory = Path(arguments.manifests)
            current = manifests.fingerprint(directory)
            if seen is not None and current != seen:
                manifests.apply_directory(cluster, directory, progress)
            seen = current
        _reap_children()
        time.sleep(MANIFEST_PAUSE_S)


def _reap_children() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
