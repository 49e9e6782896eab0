"""`podium down`: ends a cluster in order and leaves its data. Idempotent; also cleans up after everything was killed.

Order: D/run/stopping (so that nobody restarts anything), supervisor, node agents, pods, control plane, containerd, network, mounts,
run files. Pods are ended by this process and not by the agent, so that it makes no difference whether the agent still lives.
"""

import contextlib
import os
import shutil
import subprocess
from argparse import Namespace
from pathlib import Path

from podium.cli import kubeconfig, processes, supervise
from podium.cli.cluster import Cluster, require, resolve_data_dir
from podium.cli.progress import Progress
from podium.cli.refusal import Refusal

STOP_PODS_PATIENCE_S = 90.0


def down(arguments: Namespace) -> int:
    cluster = require(resolve_data_dir(arguments.data_dir))
    progress = Progress()
    ran = bool(processes.living(cluster)) or bool(processes.strays(cluster))
    with progress.step("taking the cluster down"):
        take_down(cluster)
        kubeconfig.remove(cluster)
    progress.say(f"{'down' if ran else 'not running'}: the cluster in {cluster.data_dir} (its data stays there; podium up starts it again)")
    return 0


def take_down(cluster: Cluster) -> None:
    stopping = supervise.stopping_file(cluster)
    cluster.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    stopping.touch()
    for name in (processes.SUPERVISOR, processes.NODE, processes.SIMULATED):
        _end(cluster, name)
    for stray in processes.strays(cluster):
        processes.end(stray)
    problem = _end_pods(cluster)
    for name in (processes.CONTROL_PLANE, processes.CONTAINERD):
        _end(cluster, name)
    if cluster.network == "kernel":
        from podium.network import fabric

        fabric.teardown(cluster.network_device)
    unmount_below(cluster.run_dir)
    unmount_below(cluster.pods_dir)
    if cluster.runtime == "cri":
        _remove_empty_cgroups()
    if problem is not None:
        raise problem
    _clear(cluster)


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


def unmount_below(directory: Path) -> None:
    """Detaches every mount under that directory, the innermost first."""
    with contextlib.suppress(FileNotFoundError):
        lines = Path("/proc/self/mounts").read_text().splitlines()
        points = [line.split()[1].encode().decode("unicode_escape") for line in lines]
        for point in sorted((p for p in points if p.startswith(f"{directory}/")), key=len, reverse=True):
            _unmount(point)


def _unmount(point: str) -> None:
    import ctypes

    detach = 2  # MNT_DETACH
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), detach)


def _remove_empty_cgroups() -> None:
    """containerd's parent groups, if nothing else is in them."""
    for directory in [*sorted(Path("/sys/fs/cgroup").glob("*/k8s.io")), Path("/sys/fs/cgroup/k8s.io")]:
        with contextlib.suppress(OSError):
            directory.rmdir()


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
