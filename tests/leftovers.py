"""What test sessions must not leave on the machine: clusters' devices, namespaces, tables, control groups, mounts and processes.

Other sessions may run beside this one, so only what bears a mark of this one counts: its temporary directory, the id of a cluster whose data
directory lies in there, the group name of a directory in there, or this process's id (which names what tests make without a cluster).
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from podium.network import fabric
from podium.node.runtime import process_cgroup, remains

SESSION = "PODIUM_TEST_SESSION"
"""In the environment of all that the tests start, unless they give it another: the session's temporary directory."""

_NAME = re.compile(r"podium-([0-9a-f]{12}|[0-9a-f]{6})(?:-|$)|pd([0-9a-f]{6})[0-9a-f]{7}$")


def of(session: Path) -> list[str]:
    """One line per thing. `session` is its temporary directory."""
    named = _named()
    marks = _marks(session) if named else set()
    found = [f"{what} {name}" for what, name in named if (match := _NAME.match(name)) and match[match.lastindex or 0] in marks]
    found += [f"mount {point}" for point in remains.mounts_below(session)]
    return found + [f"process {pid}: {words}" for pid, words in _processes(session)]


def _named() -> list[tuple[str, str]]:
    """(what, name) of everything with a name of Podium's."""
    tables = [table for _, table in fabric.nft_tables()] if os.geteuid() == 0 else []
    places = (
        ("network device", Path("/sys/class/net")),
        ("network namespace", fabric.NETNS_DIR),
        ("network result", remains.CNI_RESULTS),
        ("file /run/", Path("/run")),
        *(("control group", Path(tree)) for tree in process_cgroup.trees()),
    )
    found = []
    for what, place in places:
        with contextlib.suppress(OSError):  # not there, or not this user's to look into
            found += [(what, name) for name in sorted(os.listdir(place))]
    found += [("nftables table", table) for table in tables]
    return [(what, name) for what, name in dict.fromkeys(found) if _NAME.match(name)]


def _marks(session: Path) -> set[str]:
    """Ids of the clusters in there, names that directories in there give to groups, and what tests make of the process id."""
    found = {f"{os.getpid():06x}"[-6:], f"{os.getpid() % 0xFFFFFF:06x}"}
    for directory, _, files in os.walk(session):
        found.add(process_cgroup.group_name(directory).removeprefix("podium-"))
        if "cluster.json" in files:
            with contextlib.suppress(OSError, ValueError, KeyError):
                found.add(json.loads(Path(directory, "cluster.json").read_bytes())["cluster_id"])
    return found


def _processes(session: Path) -> Iterator[tuple[int, str]]:
    """Those that show it on their command line or were started with it in their environment; zombies have neither."""
    above = set(_ancestors(os.getpid()))
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in above):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if os.fsencode(session) in words or f"{SESSION}={session}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                yield pid, words.decode(errors="replace").replace("\0", " ").strip()


def _ancestors(pid: int) -> Iterator[int]:
    while pid:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
