"""`podium up`: from nothing, or from what a crash left, to a cluster that answers.

What takes time runs beside each other: the control plane and the node agent start first and load their code while this process makes
the certificates, writes the kubeconfig and then asks /readyz. The supervisor comes last and adopts what was started here;
should this process be killed before that, a guardian starts it.

`up` may be repeated: on a cluster that runs it only says so, after starting what is missing. In the foreground it stays until Ctrl-C or
a closed terminal and then takes the cluster down; killed with -9, it leaves the cluster to its supervisor.
"""

import contextlib
import os
import shutil
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from podium.cli import addresses, identity, kubeconfig, processes, readiness, supervise, turns
from podium.cli.cluster import Cluster, load, load_or_create, make_directory, prepare, resolve_data_dir, with_files, with_metrics
from podium.cli.progress import Progress
from podium.cli.refusal import Refusal

NO_FILES: Mapping[str, str | None] = {}

READY_PATIENCE_S = 60.0
CONTAINERD_PATIENCE_S = 20.0
DISK_FREE_MIN = 1 << 20
"""A component that ends where less is free has most likely met the end of the disk."""
READY_PAUSE_S = 0.01
MANIFEST_PAUSE_S = 1.0
INTERRUPTED_EXIT_CODE = 130
FIRST = (processes.CONTROL_PLANE,)


def up(arguments: Namespace) -> int:
    data_dir = resolve_data_dir(arguments.data_dir)
    progress = Progress()
    if arguments.manifests and not Path(arguments.manifests).is_dir():
        raise Refusal(f"--manifests {arguments.manifests} is not a directory: give one that holds YAML files")
    kubeconfig.check()
    make_directory(data_dir)
    course = Course()
    try:
        with turns.interruptible():
            return _run(data_dir, arguments, course, progress)
    except turns.Interrupted:
        return _interrupted(data_dir, arguments, course, progress)


@dataclass
class Course:
    """How far it got. `ran_before`: some process of the cluster ran already, so that it is not ours to end."""

    ran_before: bool = True
    ready: bool = False


def _run(data_dir: Path, arguments: Namespace, course: Course, progress: Progress) -> int:
    with turns.turn(data_dir):
        running = _running(data_dir, arguments)
        if running is not None:
            kubeconfig.install(running)
            progress.say(f"already running: the cluster in {data_dir} (podium status, podium down)")
            return 0
        began = time.monotonic()
        before = load(data_dir)
        course.ran_before = before is not None and bool(processes.living(before))
        cluster = bring_up(data_dir, arguments.runtime, arguments.simulated_nodes, progress, _files(arguments), metrics=arguments.metrics)
        name, path = _install(cluster, course)
        course.ready = True
    progress.say(f"ready in {time.monotonic() - began:.2f} s: {cluster.api_url}, context {name} in {path}")
    if arguments.manifests:
        from podium.cli import manifests

        manifests.apply_directory(cluster, Path(arguments.manifests), progress)
    _say_next(progress, cluster, name, detached=arguments.detach)
    if arguments.manifests or not arguments.detach:
        _follow(cluster, arguments, progress)
    return 0


def _install(cluster: Cluster, course: Course) -> tuple[str, Path]:
    try:
        return kubeconfig.install(cluster)
    except Refusal:
        if not course.ran_before:
            _take_down(cluster)
        raise


def _take_down(cluster: Cluster) -> None:
    """What was started here is taken down again; there is a better reason to tell than why that fails."""
    from podium.cli.down import take_down

    with contextlib.suppress(Refusal):
        take_down(cluster)


def _interrupted(data_dir: Path, arguments: Namespace, course: Course, progress: Progress) -> int:
    """A cluster in the foreground goes with its command; one that was still starting goes unless it ran before."""
    cluster = load(data_dir)
    ours = not arguments.detach if course.ready else not course.ran_before
    if cluster is not None and ours:
        from podium.cli.down import take_down

        with turns.uninterrupted(), turns.turn(data_dir), progress.step("taking the cluster down"):
            take_down(cluster)
            kubeconfig.remove(cluster)
    return 0 if course.ready else INTERRUPTED_EXIT_CODE


def _running(data_dir: Path, arguments: Namespace) -> Cluster | None:
    """The cluster, if all of it runs as it is wanted now."""
    before = load(data_dir)
    if before is None or supervise.stopping_file(before).exists():
        return None
    if arguments.simulated_nodes not in (None, before.simulated_nodes):
        return None
    if arguments.metrics not in (None, before.metrics):
        return None
    if any(setting is not None for setting in _files(arguments).values()):
        return None
    alive = {process.name for process in processes.living(before)}
    kept = load_or_create(data_dir, arguments.runtime, None)
    return kept if {*processes.wanted(kept), processes.SUPERVISOR} <= alive else None


def _files(arguments: Namespace) -> dict[str, str | None]:
    """Settings that are files, by the fields of the cluster; None: as they were."""
    return {
        "audit_policy_file": arguments.audit_policy_file,
        "audit_log_file": arguments.audit_log_file,
        "admission_config_file": arguments.admission_control_config_file,
    }


def bring_up(
    data_dir: Path, runtime: str, simulated_nodes: int | None, progress: Progress, files: Mapping[str, str | None] = NO_FILES, *,
    metrics: bool | None = None,
) -> Cluster:  # fmt: skip
    """Creates what is missing, starts it, and returns when the API is ready. `files`: settings that are files, None as they were;
    `metrics` likewise."""
    with progress.step(f"cluster in {data_dir}"):
        before = load(data_dir)
        cluster = with_metrics(with_files(load_or_create(data_dir, runtime, simulated_nodes), files), metrics)
        prepare(data_dir)
        if before is not None and before != cluster:  # who knows only the old settings starts anew
            changed = any(getattr(before, field) != getattr(cluster, field) for field in files)
            control_plane = (processes.CONTROL_PLANE,) if changed else ()
            for name in (processes.SUPERVISOR, processes.SIMULATED, processes.TELEMETRY, *control_plane):
                _retire(cluster, name)
        supervise.stopping_file(cluster).unlink(missing_ok=True)
        _check_ports(cluster)
        _start_missing(cluster, first=True)
    with progress.step("certificates and kubeconfig"):
        kubeconfig.write_own(cluster)
        if cluster.metrics:
            identity.issue_telemetry(identity.authority(cluster))
        _start_missing(cluster, first=False)
    context = readiness.tls_context(cluster)
    with progress.step(f"control plane at {cluster.api_url}"):
        _await(
            cluster, lambda: readiness.is_ready(cluster, context), "the API server was not ready", processes.CONTROL_PLANE, READY_PATIENCE_S
        )
        if cluster.runtime == "cri":
            from podium.cli import containerd

            _await(cluster, lambda: containerd.answers(cluster), "containerd did not answer", processes.CONTAINERD, CONTAINERD_PATIENCE_S)
        supervise.ensure_supervisor(cluster)
    return cluster


def _retire(cluster: Cluster, name: str) -> None:
    process = processes.find(cluster, name)
    if process is not None:
        processes.end(process)
    processes.forget(cluster, name)


def _start_missing(cluster: Cluster, *, first: bool) -> None:
    """First what the API waits for, which then loads while this process makes certificates; then the rest. Telemetry comes last, from the
    supervisor, when the API is ready."""
    for role in processes.wanted(cluster):
        if role != processes.TELEMETRY and (role in FIRST) == first and processes.find(cluster, role) is None:
            supervise.start(cluster, role)


def _check_ports(cluster: Cluster) -> None:
    ports = {processes.CONTROL_PLANE: (cluster.api_host, cluster.api_port), processes.NODE: (cluster.node_ip, cluster.kubelet_port)}
    if cluster.metrics:
        ports[processes.TELEMETRY] = ("127.0.0.1", cluster.metrics_port)
    for role in processes.wanted(cluster):
        if role in ports and processes.find(cluster, role) is None and not addresses.port_is_free(ports[role][1], ports[role][0]):
            raise Refusal(
                f"port {ports[role][1]} is in use by another program: end that program, or start a cluster on its own ports with another --data-dir"
            )


def _await(cluster: Cluster, condition: Callable[[], bool], problem: str, role: str, patience_s: float) -> None:
    """Raises Refusal with the reason that a role gave, or the end of its log; what was started is taken down again then."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if supervise.stopping_file(cluster).exists():
            raise Refusal(f"the cluster in {cluster.data_dir} was taken down while it started: start it again with `podium up`")
        reason = _refusal(cluster) or _crash(cluster, role)
        if reason is None and time.monotonic() > deadline:
            reason = f"{problem} within {patience_s:.0f} s: see {cluster.log_dir}/{role}.log"
        if reason is not None:
            _take_down(cluster)
            raise Refusal(reason)
        time.sleep(READY_PAUSE_S)


def _refusal(cluster: Cluster) -> str | None:
    for role in processes.wanted(cluster):
        try:
            return supervise.refusal_file(cluster, role).read_text().strip() or f"{role} refused to start"
        except FileNotFoundError:
            continue
    return None


def _crash(cluster: Cluster, role: str) -> str | None:
    """The last line of its log when that role has ended by itself: nobody starts it again yet."""
    process = processes.read(cluster, role)
    if (process is not None and process.alive) or supervise.supervised(cluster):
        return None
    log = cluster.log_dir / f"{role}.log"
    free = shutil.disk_usage(cluster.data_dir).free
    if free < DISK_FREE_MIN:  # it could not write what it began with, nor perhaps say so
        left = f"{free // 1024} KiB are left"
        return f"{role} ended: the disk of {cluster.data_dir} is full ({left}): make room, or choose another with --data-dir"
    last = (log.read_text(errors="replace").strip().splitlines() or ["it left no message"])[-1]
    return f"{role} ended ({last}): see {log}"


def _say_next(progress: Progress, cluster: Cluster, context: str, *, detached: bool) -> None:
    directory = f" --data-dir {cluster.data_dir}"
    progress.note("")
    progress.note(f"  kubectl --context {context} get nodes")
    progress.note(f"  podium status{directory}")
    if cluster.metrics:
        progress.note(f"  {cluster.metrics_url} has metrics and alerts, as Prometheus has")
    progress.note(f"  podium down{directory}" if detached else "  Ctrl-C takes the cluster down")


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
