"""Whatever is killed comes back, once, and the living are adopted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podium.cli import processes, supervise
from podium.cli.cluster import Cluster
from podium.cli.down import take_down
from tests.cli.clusters import make_cluster

PATIENCE_S = 10.0
FAKES = """
import sys
from pathlib import Path
from podium.cli import processes, supervise
from podium.cli.cluster import require
processes.wanted = lambda cluster: ["node", "simulated-nodes"]
processes.role_command = lambda cluster, role: ["sleep", "300"]
sys.exit(supervise.run_supervisor(require(Path(sys.argv[1]))))
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = make_cluster(tmp_path / "d")
    yield made
    supervise.stopping_file(made).touch()
    for process in processes.living(made):
        processes.end(process, 0.5)


def start_supervisor(cluster: Cluster) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", FAKES, str(cluster.data_dir)])


def pids(cluster: Cluster) -> dict[str, int]:
    return {p.name: p.pid for p in processes.living(cluster)}


@pytest.mark.slow
def test_killed_roles_come_back_and_a_new_supervisor_adopts_the_living(cluster: Cluster) -> None:
    first = start_supervisor(cluster)
    until(lambda: len(pids(cluster)) == 3)
    before = pids(cluster)
    os.kill(before["node"], signal.SIGKILL)
    until(lambda: pids(cluster).get("node", before["node"]) != before["node"])
    assert pids(cluster)["simulated-nodes"] == before["simulated-nodes"]

    second = start_supervisor(cluster)
    assert second.wait(PATIENCE_S) == 0, "a second supervisor leaves"
    one = pids(cluster)["node"]
    first.kill()
    first.wait()
    os.kill(before["simulated-nodes"], signal.SIGKILL)
    third = start_supervisor(cluster)
    until(lambda: pids(cluster).get("supervisor") == third.pid and "simulated-nodes" in pids(cluster))
    assert pids(cluster)["node"] == one, "adopted, not started again"
    assert pids(cluster)["simulated-nodes"] != before["simulated-nodes"]

    running = processes.living(cluster)
    take_down(cluster)
    third.wait(PATIENCE_S)
    assert not [process for process in running if process.alive]
    assert [p.name for p in cluster.run_dir.iterdir()] == ["stopping"]
    take_down(cluster)


BACKOFF = [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.2), (5, 0.8), (9, 5.0), (1000, 5.0)]


@pytest.mark.parametrize(("ends", "pause_s"), BACKOFF)
def test_pauses_double_up_to_a_limit(ends: int, pause_s: float) -> None:
    assert supervise.backoff_s(ends) == pytest.approx(pause_s)


def test_pid_of_another_process_is_not_taken_for_ours(cluster: Cluster) -> None:
    me = processes.Process("node", os.getpid(), 1, ("x",), 0.0)
    processes.record(cluster, me)
    assert not me.alive
    assert processes.open_pidfd(me) is None
    assert processes.living(cluster) == []
    assert processes.end(me) is True


def test_role_lock_is_held_once(cluster: Cluster) -> None:
    held = processes.take_lock(cluster, "node")
    assert held is not None
    assert processes.take_lock(cluster, "node", patience_s=0.05) is None
    os.close(held)
    again = processes.take_lock(cluster, "node", patience_s=0.05)
    assert again is not None
    os.close(again)


def test_holder_of_the_lock_is_found_when_the_run_file_names_a_loser(cluster: Cluster) -> None:
    held = processes.take_lock(cluster, "node")
    assert held is not None
    processes.record(cluster, processes.Process("node", os.getpid(), 1, ("loser",), 0.0, restarts=3))
    found = processes.find(cluster, "node")
    assert found is not None
    assert (found.pid, found.restarts, found.alive) == (os.getpid(), 3, True)
    assert processes.read(cluster, "node") == found
    os.close(held)
    (cluster.run_dir / "node.lock").write_text(json.dumps({"pid": os.getpid(), "start_ticks": 1}))
    processes.forget(cluster, "node")
    assert processes.find(cluster, "node") is None


@pytest.mark.slow
def test_process_without_run_file_is_found_by_its_data_directory(cluster: Cluster, tmp_path: Path) -> None:
    code = "import time; time.sleep(60)"
    words = ["-m", "podium", "run", "node", "--data-dir", str(cluster.data_dir), "--name", "x"]
    stray = subprocess.Popen([sys.executable, "-c", code, *words])
    other = subprocess.Popen([sys.executable, "-c", code, *words[:-3], f"{cluster.data_dir}-other"])
    try:
        until(lambda: [p.pid for p in processes.strays(cluster)] == [stray.pid])
    finally:
        for process in (stray, other):
            process.kill()
            process.wait()
