"""The commands as a user types them: a cluster from nothing, the README's session, every process killed, and nothing left."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podium.cli.cluster import load
from podium.node.runtime import process_cgroup
from tests.e2e import leftovers

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl on PATH"),
]


@dataclass(frozen=True)
class Terminal:
    """A user's terminal with a data directory and a kubeconfig of its own."""

    directory: Path

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.directory / "kubeconfig")}

    def podium(self, command: str, *flags: str, code: int = 0) -> str:
        """Its output, standard error included."""
        typed = [sys.executable, "-m", "podium", command, *flags, "--data-dir", str(self.data_dir)]
        done = subprocess.run(typed, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def sh(self, line: str) -> str:
        done = subprocess.run(["sh", "-c", line], env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.podium("status", "-o", "json")))

    def pids(self) -> dict[str, int]:
        return {p["name"]: p["pid"] for p in self.status()["processes"]}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def processes_of(data_dir: Path) -> list[str]:
    found = []
    for entry in sorted(e for e in os.listdir("/proc") if e.isdigit()):
        try:
            command = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(data_dir) in command:
            found.append(command)
    return found


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    if (made.data_dir / "cluster.json").exists():
        made.podium("down")


def session_of_the_readme() -> list[str]:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## A session\n\n((?:    .*\n)+)", text)
    assert block is not None
    return [line.strip() for line in block.group(1).splitlines()]


@pytest.mark.timeout(180)
def test_cluster_from_nothing_to_nothing(terminal: Terminal) -> None:
    said = terminal.podium("up", "--detach", "--runtime", "process")
    assert re.search(r"ready in \d+\.\d\d s: https://127\.0\.0\.1:\d+, context podium in ", said)
    assert terminal.podium("up", "--detach").startswith("already running")

    for line in session_of_the_readme():
        if line.startswith("curl"):
            address = terminal.sh("kubectl get service web -o jsonpath='{.spec.clusterIP}'")
            if address.startswith("127."):
                continue  # an ordinary user's proxy may not listen on port 80
            until(lambda address=address: answers(f"http://{address}/"))
        else:
            terminal.sh(line)

    terminal.sh("kubectl create deployment kept --image=x --replicas=2 -- sleep 1000 && kubectl rollout status deployment/kept")
    pods = terminal.sh("kubectl get pods -l app=kept -o name")
    for victim in ("control-plane", "node", "supervisor", "control-plane"):
        before = terminal.pids()
        os.kill(before[victim], signal.SIGKILL)
        until(lambda before=before: came_back(terminal, before))
    assert terminal.sh("kubectl get pods -l app=kept -o name") == pods
    terminal.sh("kubectl scale deployment/kept --replicas=3 && kubectl rollout status deployment/kept --timeout=30s")

    for pid in terminal.pids().values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not processes_of(terminal.data_dir) or all("process_shim" in p for p in processes_of(terminal.data_dir)))
    assert "is not running: start it with" in terminal.podium("status", code=1)
    terminal.podium("up", "--detach")
    terminal.sh("kubectl rollout status deployment/kept --timeout=30s")

    assert terminal.podium("down").startswith("down: ")
    assert terminal.podium("down").startswith("not running: ")
    assert processes_of(terminal.data_dir) == []
    assert not (terminal.directory / "kubeconfig").exists()
    assert str(terminal.data_dir) not in Path("/proc/self/mounts").read_text()
    identity = json.loads((terminal.data_dir / "cluster.json").read_text())["cluster_id"]
    assert not list(Path("/run/netns").glob(f"podium-{identity}*"))
    assert not [p for p in Path("/sys/class/net").iterdir() if identity in p.name]


def came_back(terminal: Terminal, before: dict[str, int]) -> bool:
    """As many processes as before, one of them new, and the API ready."""
    done = subprocess.run(
        [sys.executable, "-m", "podium", "status", "-o", "json", "--data-dir", str(terminal.data_dir)], capture_output=True, check=False
    )
    if done.returncode != 0:
        return False
    now = {p["name"]: p["pid"] for p in json.loads(done.stdout)["processes"]}
    return now.keys() == before.keys() and now != before


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_taken_port_is_refused_in_one_line_and_nothing_is_left(terminal: Terminal) -> None:
    terminal.podium("up", "--detach", "--runtime", "simulated")
    terminal.podium("down")
    port = json.loads((terminal.data_dir / "cluster.json").read_text())["api_port"]
    with socket.create_server(("127.0.0.1", port)):
        said = terminal.podium("up", "--detach", code=1)
    assert re.fullmatch(rf"podium: port {port} is in use by .*\n", said)
    assert processes_of(terminal.data_dir) == []


def test_damaged_store_is_refused_and_left(terminal: Terminal) -> None:
    terminal.podium("up", "--detach", "--runtime", "simulated")
    terminal.podium("down")
    store = terminal.data_dir / "store.db"
    damaged = b"not a database " * 1000
    store.write_bytes(damaged)
    said = terminal.podium("up", "--detach", code=1)
    assert said.count("\n") == 1
    assert "store" in said
    assert store.read_bytes() == damaged
    assert processes_of(terminal.data_dir) == []


def test_two_clusters_live_side_by_side(terminal: Terminal, tmp_path: Path) -> None:
    other = Terminal(tmp_path / "other")
    terminal.podium("up", "--detach", "--runtime", "simulated", "--simulated-nodes", "2")
    try:
        other.podium("up", "--detach", "--runtime", "simulated")
        until(lambda: len(terminal.status()["nodes"]) == 2)
        assert other.status()["nodes"] == []
        other.podium("up", "--detach", "--simulated-nodes", "1")
        until(lambda: len(other.status()["nodes"]) == 1)
    finally:
        other.podium("down")
    assert terminal.status()["ready"]


def test_what_a_cluster_leaves_when_its_directory_is_removed_goes_by_its_names(terminal: Terminal) -> None:
    terminal.podium("up", "--detach", "--runtime", "process", "--no-metrics")
    cluster = load(terminal.data_dir)
    assert cluster is not None
    terminal.sh("kubectl create deployment kept --image=x --replicas=2 -- sleep 4712 && kubectl rollout status deployment/kept")
    names = {cluster.cluster_id, process_cgroup.group_name(str(cluster.processes_dir)).removeprefix("podium-")}

    def left() -> list[str]:
        said = subprocess.run([sys.executable, "-m", "podium", "leftovers"], capture_output=True, text=True, timeout=60, check=True).stdout
        return sorted(names & {line.partition(":")[0] for line in said.splitlines()})

    assert not left()  # it runs
    for pid in terminal.pids().values():
        os.kill(pid, signal.SIGKILL)
    assert not left()  # its directory is there: `podium up` or `podium down` find it again
    shutil.rmtree(terminal.data_dir)
    removed = left()
    assert removed
    subprocess.run([sys.executable, "-m", "podium", "leftovers", "--remove", *removed], timeout=60, check=True)
    assert not leftovers.of(cluster)
    assert not [words for _, words in leftovers.commands() if words == ["sleep", "4712"]]


def test_manifests_are_applied_and_followed(terminal: Terminal, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    value = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: %s}\n"
    (manifests / "a.yaml").write_text(value % "red")
    (manifests / "b.yaml").write_text("kind: Nothing\napiVersion: v1\nmetadata: {name: x}\n")
    typed = [
        sys.executable,
        "-m",
        "podium",
        "up",
        "--runtime",
        "simulated",
        "--data-dir",
        str(terminal.data_dir),
        "--manifests",
        str(manifests),
    ]
    up = subprocess.Popen(typed, env=terminal.environment, stdout=subprocess.PIPE, text=True)
    try:
        colour = "kubectl get configmap settings -o jsonpath='{.data.colour}' 2>/dev/null || true"
        until(lambda: terminal.sh(colour) == "red")
        (manifests / "a.yaml").write_text(value % "green")
        until(lambda: terminal.sh(colour) == "green")
    finally:
        up.send_signal(signal.SIGINT)
        said = up.communicate(timeout=30)[0]
    assert up.returncode == 0
    assert "b.yaml: no kind Nothing in v1" in said
    assert processes_of(terminal.data_dir) == [], "Ctrl-C takes the cluster down"
