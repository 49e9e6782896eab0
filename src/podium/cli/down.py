"""`podium down`: ends a cluster in order and leaves its data. Idempotent; also cleans up after everything was killed.

Order: D/run/stopping (so that nobody restarts anything), supervisor, node agents, pods, control plane, containerd, network, mounts,
run files. Pods are ended by this process and not by the agent, so that it makes no difference whether the agent still lives.
"""

import shutil
import subprocess
from argparse import Namespace

from podium.cli import kubeconfig, processes, readiness, supervise, turns
from podium.cli.cluster import Cluster, require, resolve_data_dir
from podium.cli.progress import Progress
from podium.cli.refusal import Refusal

STOP_PODS_PATIENCE_S = 90.0
DEATH_PATIENCE_S = 1.0


def down(arguments: Namespace) -> int:
    cluster = require(resolve_data_dir(arguments.data_dir))
    progress = Progress()
    mark_stopping(cluster)
    with turns.turn(cluster.data_dir), turns.uninterrupted():
        ran = bool(processes.living(cluster)) or bool(processes.strays(cluster))
        with progress.step("taking the cluster down"):
            take_down(cluster)
            kubeconfig.remove(cluster)
    progress.say(f"{'down' if ran else 'not running'}: the cluster in {cluster.data_dir} (its data stays there; podium up starts it again)")
    return 0


def take_down(cluster: Cluster) -> None:
    mark_stopping(cluster)
    for name in (processes.SUPERVISOR, processes.TELEMETRY, processes.NODE, processes.SIMULATED):
        _end(cluster, name)
    for stray in processes.strays(cluster):
        processes.end(stray)
    problem = _end_pods(cluster)
    for name in (processes.CONTROL_PLANE, processes.CONTAINERD):
        _end(cluster, name)
    left = _end_remains(cluster)
    if cluster.network == "kernel":
        from podium.network import fabric

        fabric.teardown(cluster.network_device)
    if problem is not None and left:
        raise problem
    _clear(cluster)


def mark_stopping(cluster: Cluster) -> None:
    """From now on nobody starts anything."""
    try:
        cluster.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        supervise.stopping_file(cluster).touch()
    except OSError as error:
        raise Refusal(f"{cluster.run_dir} is not writable ({error.strerror}): make it writable, then run `podium down` again") from None


def _end(cluster: Cluster, name: str) -> None:
    process = processes.read(cluster, name)
    if process is not None:
        processes.end(process)
    processes.forget(cluster, name)


def _end_pods(cluster: Cluster) -> Refusal | None:
    """A failure here must not keep the rest running: it is returned, and said at the end."""
    try:
        if cluster.runtime == "cri":
            if not _ever_ran_containers(cluster):
                return None
            from podium.cli import containerd

            containerd.ensure_running(cluster)
        if cluster.runtime != "simulated":
            _run_stop_pods(cluster)
    except Refusal as refusal:
        return refusal
    except OSError as error:
        return Refusal(f"not all pods could be ended ({error}): run `podium down` again")
    return None


def _run_stop_pods(cluster: Cluster) -> None:
    """The role `stop-pods`, in a process of its own: it loads the runtime, which this command need not."""
    command = processes.role_command(cluster, "stop-pods")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STOP_PODS_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise Refusal(f"pods did not end within {STOP_PODS_PATIENCE_S:.0f} s: run `podium down` again") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Refusal(f"not all pods could be ended ({last}): run `podium down` again")


def _ever_ran_containers(cluster: Cluster) -> bool:
    from podium.cli import containerd

    return containerd.root_dir(cluster).exists()


def _end_remains(cluster: Cluster) -> bool:
    """What is there of pods that could not be ended in the ordinary way; whether some of it does not go."""
    from podium.cli import containerd
    from podium.node.runtime import process_cgroup, remains

    def shims() -> list[int]:
        return remains.containerd_shims(cluster.runtime_socket) + remains.process_shims(cluster.processes_dir)

    if cluster.runtime == "cri":
        directories = (containerd.root_dir(cluster), containerd.state_dir(cluster))
        remains.end_containerd(cluster.runtime_socket, directories, cluster.network_device)
    remains.kill(shims())
    for directory in (cluster.run_dir, cluster.pods_dir, cluster.processes_dir):
        remains.unmount_below(directory)
    names = (cluster.network_device, process_cgroup.group_name(str(cluster.processes_dir)))

    def gone() -> bool:
        groups = [name for name in names if not remains.end_groups(name)]
        return not groups and not shims()

    return not readiness.wait_until(gone, DEATH_PATIENCE_S)


def _clear(cluster: Cluster) -> None:
    if cluster.socket_dir != cluster.run_dir:
        shutil.rmtree(cluster.socket_dir, ignore_errors=True)
    for entry in sorted(cluster.run_dir.iterdir()):
        if entry.name == "stopping":
            continue  # last: a guardian that wakes late must still see it
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
