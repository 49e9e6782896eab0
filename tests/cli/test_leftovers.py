"""The check that ends every session, and `podium leftovers`, which does the same for users: both against things that are really left."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.cli import leftovers as command
from podium.cli.arguments import run
from podium.cli.cluster import Cluster
from podium.network import fabric
from podium.node.runtime import process_cgroup
from podium.node.runtime.command_session import python_command
from tests import leftovers
from tests.cli.clusters import make_cluster

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
SLEEPER = "import time; time.sleep(300)"


def start_role(cluster: Cluster) -> "subprocess.Popen[bytes]":
    """A process that shows the data directory as one of the cluster's would."""
    return subprocess.Popen(
        [sys.executable, "-c", SLEEPER, "-m", "podium", "run", "node", "--data-dir", str(cluster.data_dir), "--name", "n"]
    )


def until(condition: Callable[[], object], patience_s: float = 10.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def made_groups(name: str) -> list[str]:
    """In every hierarchy where this process may, as runtimes do."""
    for tree in process_cgroup.trees():
        if Path(tree, "cgroup.procs").exists():
            Path(tree, name).mkdir()
    return process_cgroup.places(name)


def remove_directory(cluster: Cluster) -> None:
    for path, directories, files in os.walk(cluster.data_dir, topdown=False):
        for name in files:
            Path(path, name).unlink()
        for name in directories:
            Path(path, name).rmdir()
    cluster.data_dir.rmdir()


@pytest.mark.parametrize(
    ("words", "directory"),
    [
        (["python3", "-m", "podium", "run", "node", "--data-dir", "/d e", "--name", "podium"], "/d e"),
        (["python3", "-m", "podium", "run", "supervisor", "--data-dir", "/d"], "/d"),
        (["/usr/bin/containerd", "--config", "/d/containerd/config.toml", "--log-level", "warn"], "/d"),
        (["/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x", "-address", "/d/run/containerd.sock"], "/d"),
        (python_command("podium.node.runtime.process_shim", "/d/processes/containers/x", "25"), "/d"),
        (["/usr/bin/containerd"], ""),
        (["/usr/bin/containerd", "--config", "/etc/containerd/config.toml"], ""),
        (["/usr/bin/containerd-shim-runc-v2", "-id", "x", "-address", "/run/containerd/containerd.sock"], ""),
        (["/usr/bin/containerd-shim-runc-v2", "-id", "x", "-address", "/run/k3s/containerd/containerd.sock"], ""),
        (["vim", "podium run node --data-dir /d"], ""),
        ([""], ""),
    ],
)
def test_the_directory_that_a_command_line_shows(words: list[str], directory: str) -> None:
    assert command.data_dir_of("\0".join(words) + "\0") == directory


def test_a_process_is_left_once_its_directory_is_gone_and_goes_when_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make_cluster(tmp_path / "d")
    process = start_role(cluster)
    try:
        until(lambda: str(cluster.data_dir) in Path(f"/proc/{process.pid}/cmdline").read_text())
        assert str(cluster.data_dir) not in [left.directory for left in command.find()]
        assert [line for line in leftovers.of(tmp_path) if line.startswith(f"process {process.pid}: ")]
        remove_directory(cluster)
        (left,) = [left for left in command.find() if left.directory == str(cluster.data_dir)]
        assert left.pids == [process.pid]
        assert run(["leftovers", left.mark], {}) == 0
        assert process.poll() is None
        assert f"process {process.pid}: " in capsys.readouterr().out
        assert run(["leftovers", "--remove", left.mark], {}) == 0
        assert process.wait(10) == -9
        assert f"removed: {left.mark}" in capsys.readouterr().out
    finally:
        process.kill()
        process.wait()
    assert leftovers.of(tmp_path) == []


def test_what_a_session_started_is_known_without_its_directory_on_the_command_line(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], env={leftovers.SESSION: str(tmp_path)})
    try:
        until(lambda: [line for line in leftovers.of(tmp_path) if line.startswith(f"process {process.pid}: ")])
    finally:
        process.kill()
        process.wait()
    assert leftovers.of(tmp_path) == []


def test_a_name_that_nothing_bears_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["leftovers", "--remove", "no-such"], {}) == 1
    assert capsys.readouterr().err == "podium: nothing is left of no-such: `podium leftovers` lists what is\n"


@pytest.mark.root
@as_root
def test_what_the_kernel_keeps_by_name_is_left_without_its_cluster_and_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = os.urandom(3).hex()
    device = f"podium-{mark}"
    try:
        subprocess.run(["ip", "link", "add", device, "type", "veth", "peer", "name", f"pd{mark}0000001"], check=True)
        subprocess.run(["ip", "netns", "add", f"{device}-0a"], check=True)
        subprocess.run(["nft", "add", "table", "ip", device], check=True)
        groups = made_groups(device)
        kinds = {"network device", "network namespace", "nftables table", "control group"}

        def found() -> set[str]:
            return {thing.rpartition(" ")[0] for left in command.find() if left.mark == mark for thing in left.things}

        assert found() == kinds
        cluster = make_cluster(tmp_path / "d", cluster_id=mark)
        assert {line.rpartition(" ")[0] for line in leftovers.of(tmp_path)} == kinds
        process = start_role(cluster)
        until(lambda: not found())  # it belongs to a cluster that is there
        process.kill()
        process.wait()
        assert run(["leftovers", "--remove", mark], {}) == 0
        assert f"removed: {mark}" in capsys.readouterr().out
        assert found() == set()
        assert not any(Path(group).exists() for group in groups)
    finally:
        fabric.teardown(device)
        command.remove(command.Leftover(mark))
    assert leftovers.of(tmp_path) == []


@pytest.mark.root
@as_root
def test_a_group_that_somebody_uses_stays(capsys: pytest.CaptureFixture[str]) -> None:
    mark = os.urandom(3).hex()
    groups = made_groups(f"podium-{mark}")
    user = subprocess.Popen([sys.executable, "-c", SLEEPER])
    try:
        Path(groups[-1], "cgroup.procs").write_text(str(user.pid))
        assert run(["leftovers", "--remove", mark], {}) == 1
        said = capsys.readouterr().out
        assert f"in use by process {user.pid}: stays" in said
        assert f"stays: {mark}: control group podium-{mark}" in said
        assert all(Path(group).exists() for group in groups)
    finally:
        user.kill()
        user.wait()
        command.remove(command.Leftover(mark))
    assert not process_cgroup.places(f"podium-{mark}")
