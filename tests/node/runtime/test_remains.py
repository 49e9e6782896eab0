"""What is left of a cluster is found by its name and taken away; what is another's stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podium.node.runtime import process_cgroup, remains

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs root on Linux")
NAMES = ["plain", "with a space", "bücher-日本"]


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)


@AS_ROOT
@pytest.mark.parametrize("name", NAMES)
def test_mounts_below_a_directory_go_and_those_beside_it_stay(tmp_path: Path, name: str) -> None:
    with mounted(tmp_path / name / "outer") as outer, mounted(outer / "inner") as inner, mounted(tmp_path / f"{name}-other") as other:
        remains.unmount_below(tmp_path / name)
        assert [os.path.ismount(place) for place in (outer, inner, other)] == [False, False, True]


def test_nothing_mounted_is_nothing_to_do(tmp_path: Path) -> None:
    remains.unmount_below(tmp_path)
    assert os.path.ismount("/proc")


@AS_ROOT
def test_groups_go_with_those_below_unless_somebody_is_in_them() -> None:
    name = f"podium-test-{os.getpid()}"
    parents = process_cgroup.parents(name)
    if not parents:
        pytest.skip("no control groups can be made here")
    below = process_cgroup.create(parents, "one", 0, 0, 0)
    child = subprocess.Popen(["sleep", "60"])
    for path in below:
        Path(path, "cgroup.procs").write_text(str(child.pid))
    assert not remains.remove_groups(name)
    assert child.poll() is None
    remains.end_groups(name)
    assert child.wait() == -signal.SIGKILL
    assert remains.end_groups(name)
    assert process_cgroup.places(name) == []


@pytest.mark.parametrize(("parent", "code"), [("os.getppid()", 0), ("os.getppid() + 1", -signal.SIGKILL)])
def test_who_is_to_die_with_its_parent_does_so_when_that_is_gone_already(parent: str, code: int) -> None:
    script = f"import os; from podium.node.runtime import process_isolation; process_isolation.die_with({parent})"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == code


def test_shims_are_known_by_their_directory(tmp_path: Path) -> None:
    words = ["podium.node.runtime.process_shim", f"{tmp_path}/containers/abc", "3"]
    script = "import sys, time; time.sleep(60)"
    shim = subprocess.Popen([sys.executable, "-c", script, *words])
    other = subprocess.Popen([sys.executable, "-c", script, words[0], f"{tmp_path}-other/containers/abc", "3"])
    try:
        while not remains.process_shims(tmp_path):
            pass
        assert remains.process_shims(tmp_path) == [shim.pid]
        remains.kill([shim.pid])
        assert shim.wait(10) == -9 and other.poll() is None
    finally:
        for process in (shim, other):
            process.kill()
            process.wait()
