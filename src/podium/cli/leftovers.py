"""`podium leftovers`: what clusters left on this machine whose data directory is gone, listed, and with --remove taken away.

`podium down` ends a cluster by its data directory. When somebody removed that first (or the directory of a test went with everything in it),
what the kernel keeps can still be told by its names: processes show the directory on their command lines; network devices, namespaces, nftables
tables, control groups and files in /run bear the cluster's id.

Safe means: a cluster is there as long as its directory is, running or not, and then it is left alone; `podium down --data-dir D` is for that.
Directories are looked up as the process sees them (/proc/PID/root), so that a Podium inside a container does not look orphaned from outside.
A control group or a network namespace in which a process lives that belongs to none of what was found is in use, and stays with all that
bears its id. Only what was listed is removed.

Bounds: it learns of directories from running processes and from the default one. Of a cluster elsewhere whose processes are all dead, the
kernel's part counts as left; `podium up` makes it anew, as after a reboot.

Source: the idea is that of k3s-killall.sh, which goes by names as well but knows only one cluster per machine.
"""

import contextlib
import os
import re
import shutil
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from podium.cli import readiness
from podium.cli.cluster import default_data_dir, load
from podium.cli.refusal import Refusal
from podium.network import fabric
from podium.node.runtime import process_cgroup, remains

PATIENCE_S = 5.0
"""For processes to die and their groups to become empty."""

_NAME = re.compile(r"podium-([0-9a-f]{6})(?:-.*)?$|pd([0-9a-f]{6})[0-9a-f]{7}$")
"""Of devices (also the pods' ends), namespaces, tables, CNI's results and /run."""
_GROUP = re.compile(r"podium-([0-9a-f]{6}|[0-9a-f]{12})$")
_ROLE = re.compile(r"\0-m\0podium\0run\0[a-z-]+\0--data-dir\0([^\0]+)\0")
_CONTAINERD = re.compile(r"^[^\0]*containerd\0--config\0([^\0]+)/containerd/config\.toml\0--log-level\0")
_SHIM = re.compile(r"^[^\0]*containerd-shim[^\0]*\0.*-address\0(?:([^\0]+)/run|/run/podium-([0-9a-f]{6}))/containerd\.sock\0", re.DOTALL)
_PROCESS_SHIM = re.compile(r"process_shim[^\0]*\0(?:[^\0]*\0)*?([^\0]+)/processes/containers/")


@dataclass(slots=True)
class Leftover:
    """What one cluster left. `mark` is its id, or for control groups of the process runtime the name that its directory gives; `directory` is
    empty when nothing tells it. `things` are shown; `pids` are among them."""

    mark: str
    directory: str = ""
    things: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    in_use_by: int = 0


def leftovers(arguments: Namespace) -> int:
    """The command. Exit code 1 when something could not be removed. Raises Refusal for a mark that nothing left bears."""
    found = _chosen(find(), arguments.mark)
    mark_use(found)
    for left in found:
        print(f"{left.mark}: left of a cluster{f' in {left.directory}' if left.directory else ''}")
        for thing in left.things:
            print(f"  {thing}")
        if left.in_use_by:
            print(f"  in use by process {left.in_use_by}: stays")
    if not found:
        print("nothing is left of clusters that are gone")
    elif not arguments.remove:
        print("remove it with `podium leftovers --remove`, or one by its name with `podium leftovers --remove NAME`")
    else:
        return _removed(found)
    return 0


def _chosen(found: list[Leftover], marks: Sequence[str]) -> list[Leftover]:
    unknown = [mark for mark in marks if mark not in {left.mark for left in found}]
    if unknown:
        raise Refusal(f"nothing is left of {unknown[0]}: `podium leftovers` lists what is")
    return [left for left in found if not marks or left.mark in marks]


def _removed(found: list[Leftover]) -> int:
    free = [left for left in found if not left.in_use_by]
    remains.kill([pid for left in free for pid in left.pids])
    for left in free:
        remove(left)
    marks = {left.mark for left in found}

    def staying() -> list[str]:
        return [f"{left.mark}: {thing}" for left in find() if left.mark in marks for thing in left.things]

    if len(free) == len(found):
        readiness.wait_until(lambda: not staying(), PATIENCE_S)
    still = staying()
    for line in still:
        print(f"stays: {line}")
    if not still:
        print(f"removed: {', '.join(sorted(marks))}")
    return 1 if still else 0


# Finding


def find() -> list[Leftover]:
    """By mark."""
    mine = _own_processes()
    directories = {pid: place for pid, words in mine.items() if (place := data_dir_of(words))}
    gone = {place for pid, place in directories.items() if not os.path.isdir(f"/proc/{pid}/root{place}")}
    there = {place for place in directories.values() if place not in gone}
    with contextlib.suppress(Refusal):
        there.add(str(default_data_dir()))
    kept = set(_marks_of_clusters(directories, there))
    found: dict[str, Leftover] = {}
    for place in sorted(gone):
        left = found[_group_mark(place)] = Leftover(_group_mark(place), place)
        left.pids = sorted(pid for pid, directory in directories.items() if directory == place)
        left.things = [f"process {pid}: {' '.join(mine[pid].split(chr(0))).strip()}" for pid in left.pids]
        left.things += [f"mount {point}" for point in remains.mounts_below(Path(place))]
    for mark, pid in sorted(_short_sockets(mine)):
        if mark not in kept:
            left = found.setdefault(mark, Leftover(mark))
            left.pids.append(pid)
            left.things.append(f"process {pid}: {' '.join(mine[pid].split(chr(0))).strip()}")
    for mark, thing in _named_things() if os.geteuid() == 0 else ():
        if mark not in kept:
            found.setdefault(mark, Leftover(mark)).things.append(thing)
    return [found[mark] for mark in sorted(found)]


def data_dir_of(words: str) -> str:
    """The data directory that a command line (words ended by NUL) shows to belong to; empty when it is none of ours."""
    for pattern in (_ROLE, _CONTAINERD, _SHIM, _PROCESS_SHIM):
        if (match := pattern.search(words)) is not None and match.group(1):
            return match.group(1)
    return ""


def _own_processes() -> dict[int, str]:
    """Command lines by process id: every user's for root, else the caller's own."""
    user = os.geteuid()
    found = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            if user == 0 or os.stat(f"/proc/{pid}").st_uid == user:
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return found


def _short_sockets(mine: dict[int, str]) -> list[tuple[str, int]]:
    """(id, process id) of shims that show no directory, because their socket's path would have been too long."""
    found = ((_SHIM.search(words), pid) for pid, words in mine.items())
    return [(match.group(2), pid) for match, pid in found if match is not None and match.group(2)]


def _marks_of_clusters(directories: dict[int, str], there: Iterable[str]) -> list[str]:
    """Ids and group names of clusters whose directory is there, as their processes see it."""
    views = [(f"/proc/{pid}/root{place}", place) for pid, place in directories.items()] + [(place, place) for place in there]
    found = [_group_mark(place) for place in there]
    for view, _ in views:
        with contextlib.suppress(Refusal):
            cluster = load(Path(view))
            found += [cluster.cluster_id] if cluster is not None else []
    return found


def _group_mark(place: str) -> str:
    return process_cgroup.group_name(f"{place}/processes").removeprefix("podium-")


def _named_things() -> list[tuple[str, str]]:
    """(mark, what it is) of all that bears a cluster's mark in this machine's kernel, and in the directories that go with it."""
    found = []
    for pattern, kind, names in (
        (_NAME, "network device", _entries(Path("/sys/class/net"))),
        (_NAME, "network namespace", _entries(fabric.NETNS_DIR)),
        (_NAME, "nftables table", sorted({table for _, table in fabric.nft_tables()})),
        (_NAME, "network result", _entries(remains.CNI_RESULTS)),
        (_NAME, "file /run/", _entries(Path("/run"))),
        (_GROUP, "control group", sorted({name for tree in process_cgroup.trees() for name in _entries(Path(tree))})),
    ):
        found += [(match[match.lastindex or 0], f"{kind} {name}") for name in names if (match := pattern.match(name))]
    return found


def _entries(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def mark_use(found: Sequence[Leftover]) -> None:
    """A process in a left group or namespace that is not to go with these: somebody uses it."""
    doomed = {child for left in found for pid in left.pids for child in (pid, *remains.descendants(pid))}
    for left in found:
        users = [pid for pid in _members(left.mark) if pid not in doomed]
        left.in_use_by = users[0] if users else 0


def _members(mark: str) -> list[int]:
    """Processes in the control groups and the network namespaces of that mark."""
    found = []
    for top in process_cgroup.places(f"podium-{mark}"):
        for directory, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                found += [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
    spaces = {path.stat().st_ino for path in fabric.NETNS_DIR.glob(f"podium-{mark}-*")} if fabric.NETNS_DIR.is_dir() else set()
    for name in os.listdir("/proc") if spaces else ():
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}/ns/net").st_ino in spaces:
                found.append(int(name))
    return sorted(set(found))


# Removing


def remove(left: Leftover) -> None:
    """In the order in which one holds the other: mounts, networks, files, control groups. Its processes were ended."""
    name = f"podium-{left.mark}"
    if left.directory:
        remains.unmount_below(Path(left.directory))
    if os.geteuid() == 0 and len(left.mark) == 6:
        remains.release_networks(name)
        fabric.teardown(name)
        shutil.rmtree(Path("/run") / name, ignore_errors=True)
    if os.geteuid() == 0:
        readiness.wait_until(lambda: remains.remove_groups(name), PATIENCE_S)
