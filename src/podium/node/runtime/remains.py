"""Ends what runtimes left when they, or their pods, could not be ended in the ordinary way.

The ordinary way is `drain.stop_everything` while the runtime works: it gives back addresses, namespaces, mounts and control groups. What is
here works from what the kernel has when that was impossible (containerd was removed, state is damaged), and finds little or nothing
otherwise. It touches only what names this cluster: its socket, its directories, its network, its control groups. The runtime must not run
any more.

Source: containerd runtime/v2 (shims carry `-address SOCKET`), libcni's result cache.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
from pathlib import Path

from podium.node.runtime import process_cgroup

CNI_RESULTS = Path("/var/lib/cni/results")
MNT_DETACH = 2


def containerd_shims(socket: Path) -> list[int]:
    """Process ids of the shims of the containerd at `socket`; each parents the containers of one pod."""
    return [pid for pid, words in _commands() if b"containerd-shim" in words[0] and os.fsencode(socket) in words]


def process_shims(directory: Path) -> list[int]:
    """Process ids of the shims of the process runtime of that directory; each parents one container."""
    below = os.fsencode(f"{directory}/containers/")
    return [pid for pid, words in _commands() if any(b"process_shim" in w for w in words) and any(w.startswith(below) for w in words)]


def end_containerd(socket: Path, directories: tuple[Path, ...], network: str) -> None:
    """`directories` are containerd's root and state; `network` is the CNI network's name."""
    kill(containerd_shims(socket))
    for directory in directories:
        unmount_below(directory)
    release_networks(network)


def kill(shims: list[int]) -> None:
    """With what runs below them."""
    for shim in shims:
        for pid in [*descendants(shim), shim]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def unmount_below(directory: Path) -> None:
    """Detaches every mount under that directory, the innermost first."""
    for point in mounts_below(directory):
        _unmount(point)


def mounts_below(directory: Path) -> list[str]:
    """The innermost first."""
    try:
        points = [line.split(b" ")[1] for line in Path("/proc/self/mounts").read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    plain = [os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), point)) for point in points]
    return sorted((p for p in plain if p.startswith(f"{directory}/")), key=len, reverse=True)


def remove_groups(name: str) -> bool:
    """Removes the control groups of that name with those below, as far as they are empty; whether none is left. (A killed process stays in
    its group for a moment.)"""
    for top in process_cgroup.places(name):
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    return not process_cgroup.places(name)


def end_groups(name: str) -> bool:
    """`remove_groups`, with whoever is in them: what escaped from a shim that was killed itself. Call again while it is false."""
    for top in process_cgroup.places(name):
        for directory, _, _ in os.walk(top):
            process_cgroup.kill([directory])
    return remove_groups(name)


def _commands() -> list[tuple[int, list[bytes]]]:
    """(process id, command line) of every process, by process id."""
    found = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            found.append((pid, Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")))
    return found


def descendants(pid: int) -> list[int]:
    children = []
    with contextlib.suppress(OSError):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def _unmount(point: str) -> None:
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), MNT_DETACH)


def release_networks(network: str) -> None:
    """The cache names the network namespace of every sandbox whose network was not released."""
    for file in sorted(CNI_RESULTS.glob(f"{network}-*")):
        cached = json.loads(file.read_bytes())
        for netns in sorted({interface["sandbox"] for interface in cached["result"]["interfaces"] if interface.get("sandbox")}):
            _unmount(netns)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(netns)
        for other in CNI_RESULTS.glob(f"*-{cached['containerId']}-*"):
            other.unlink(missing_ok=True)
