"""Ends what a private containerd left when it, or its pods, could not be ended in the ordinary way.

The ordinary way is `end_pods` through CRI while containerd runs: it gives back addresses, namespaces and mounts. `sweep` is for when that is
impossible (containerd was removed, its state is damaged): it works from what the kernel has, and touches nothing that does not name this
containerd's socket or lie below its directories. Requires root; containerd must not run any more.

Source: containerd runtime/v2 (shims carry `-address SOCKET`), libcni's result cache.
"""

import contextlib
import ctypes
import json
import os
import signal
from pathlib import Path

from podium.node.runtime.interface import Runtime

CNI_RESULTS = Path("/var/lib/cni/results")
CGROUP_PARENT = "k8s.io"
MNT_DETACH = 2


async def end_pods(runtime: Runtime) -> int:
    """Stops and removes all sandboxes of a cluster, with what runs in them; returns how many there were."""
    sandboxes = await runtime.list_sandboxes()
    for sandbox in sandboxes:
        await runtime.stop_sandbox(sandbox.id)
        await runtime.remove_sandbox(sandbox.id)
    return len(sandboxes)


def shims(socket: Path) -> list[int]:
    """Process ids of the shims of the containerd at `socket`; each parents the containers of one pod."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if b"containerd-shim" in words[0] and os.fsencode(socket) in words:
                    found.append(int(name))
    return sorted(found)


def sweep(socket: Path, directories: tuple[Path, ...], network: str) -> None:
    """`directories` are containerd's root and state; `network` is the CNI network's name."""
    for shim in shims(socket):
        for pid in [*_descendants(shim), shim]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    below = tuple(f"{directory}/" for directory in directories)
    for point in sorted((point for point in _mount_points() if point.startswith(below)), key=len, reverse=True):
        _unmount(point)
    _release_networks(network)
    remove_cgroups()


def _descendants(pid: int) -> list[int]:
    children = []
    with contextlib.suppress(OSError):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in _descendants(child))]


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split(" ")[1].encode().decode("unicode_escape") for line in lines]


def _unmount(point: str) -> None:
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), MNT_DETACH)


def _release_networks(network: str) -> None:
    """The cache names the network namespace of every sandbox whose network was not released."""
    for file in sorted(CNI_RESULTS.glob(f"{network}-*")):
        cached = json.loads(file.read_bytes())
        for netns in sorted({interface["sandbox"] for interface in cached["result"]["interfaces"] if interface.get("sandbox")}):
            _unmount(netns)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(netns)
        for other in CNI_RESULTS.glob(f"*-{cached['containerId']}-*"):
            other.unlink(missing_ok=True)


def remove_cgroups() -> None:
    """Empty ones only: another containerd may be using the same parent."""
    for top in [Path("/sys/fs/cgroup"), *sorted(Path("/sys/fs/cgroup").glob("*/"))]:
        for child in [*sorted(top.glob(f"{CGROUP_PARENT}/*/")), top / CGROUP_PARENT]:
            with contextlib.suppress(OSError):
                child.rmdir()
