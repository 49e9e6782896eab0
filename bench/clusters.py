"""A cluster of its own for a measurement: started in a temporary directory, taken down afterwards, its processes by name."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PODIUM = [sys.executable, "-m", "podium"]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    data_dir: Path
    environment: dict[str, str]

    def pids(self) -> dict[str, int]:
        """Of every process of the cluster, by role."""
        found = {}
        for path in sorted((self.data_dir / "run").glob("*.json")):
            value = json.loads(path.read_text())
            if "pid" in value and Path(f"/proc/{value['pid']}").exists():
                found[path.stem] = int(value["pid"])
        return found

    def resident_mb(self, field: str = "VmRSS") -> dict[str, int]:
        """By role; the most there ever was with `VmHWM`."""
        return {name: resident_mb(pid, field) for name, pid in self.pids().items()}

    def cpu_s(self) -> float:
        return sum(cpu_s(pid) for pid in self.pids().values())

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [shutil.which("kubectl") or "kubectl", *arguments]
        return subprocess.run(command, input=stdin, env=self.environment, check=True, text=True, capture_output=True).stdout


def resident_mb(pid: int, field: str = "VmRSS") -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) // 1024
    return 0


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextmanager
def cluster(*flags: str) -> Iterator[Running]:
    """`flags` go to `podium up --detach`. A measurement that is ended (TERM) takes its cluster along."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    directory = Path(tempfile.mkdtemp(prefix="podium-bench-"))
    running = Running(directory / "data", {**os.environ, "KUBECONFIG": str(directory / "kubeconfig")})
    try:
        up(running, *flags)
        yield running
    finally:
        down(running)
        shutil.rmtree(directory, ignore_errors=True)


def up(running: Running, *flags: str) -> None:
    command = [*PODIUM, "up", "--detach", "--data-dir", str(running.data_dir), *flags]
    subprocess.run(command, env=running.environment, check=True, stdout=subprocess.DEVNULL)


def down(running: Running) -> None:
    subprocess.run([*PODIUM, "down", "--data-dir", str(running.data_dir)], env=running.environment, check=True, stdout=subprocess.DEVNULL)


def report(name: str, **figures: Any) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **figures}), flush=True)
