"""What a cluster has on this machine, by its data directory and its id: for tests that it is there once, and that nothing is there afterwards."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from podium.cli.cluster import Cluster
from podium.node.runtime import process_cgroup


def commands() -> Iterator[tuple[int, list[str]]]:
    """(process id, command line) of every process that is not a zombie."""
    for name in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if words:
            yield int(name), words


def processes_showing(text: str) -> list[str]:
    """On their command line."""
    return [f"process {pid}: {' '.join(words)}" for pid, words in commands() if any(text in word for word in words)]


def roles(cluster: Cluster) -> Counter[str]:
    """How many processes of each role there are."""
    found: Counter[str] = Counter()
    for _, words in commands():
        if str(cluster.data_dir) in words and "run" in words:
            found[words[words.index("run") + 1]] += 1
        elif words[0].endswith("containerd") and any(word.startswith(f"{cluster.data_dir}/") for word in words):
            found["containerd"] += 1
    return found


def of(cluster: Cluster) -> list[str]:
    """One line per thing."""
    name, data_dir = f"podium-{cluster.cluster_id}", str(cluster.data_dir)
    found = processes_showing(data_dir)
    found += [f"network namespace {path.name}" for path in sorted(Path("/run/netns").glob(f"{name}*"))]
    links = Path("/sys/class/net")
    found += [f"network device {path.name}" for pattern in (name, f"pd{cluster.cluster_id}*") for path in sorted(links.glob(pattern))]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"mount {line.split()[1]}" for line in mounts if data_dir in line or name in line]
    groups = (name, process_cgroup.group_name(str(cluster.processes_dir)))
    found += [f"control group {path}" for group in groups for path in process_cgroup.places(group)]
    found += [f"file {path}" for path in sorted(Path("/run").glob(f"{name}*"))]
    found += [f"file {path}" for path in sorted(cluster.run_dir.glob("*")) if path.name != "stopping"]
    found += [f"network result {path}" for path in sorted(Path("/var/lib/cni").glob(f"*/{name}*"))]
    return found + [f"nftables {line}" for line in _nft_tables() if name in line.split()]


def _nft_tables() -> list[str]:
    if os.geteuid() != 0 or shutil.which("nft") is None:
        return []
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout.splitlines()
