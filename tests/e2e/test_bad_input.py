"""What a cluster's commands do when the machine does not play along: one line that says what and what to do, exit code 1, nothing overwritten,
nothing left running; and commands that meet each other or are interrupted.
"""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from podium.cli.cluster import require
from tests.e2e import leftovers

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts")
PODIUM = [sys.executable, "-m", "podium"]
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def refusal(self) -> str:
        assert (self.code, self.out) == (1, ""), self
        assert self.err.startswith("podium: ") and self.err.count("\n") == 1, self
        return self.err


@dataclass(frozen=True)
class Place:
    data_dir: Path
    environment: dict[str, str]

    def start(self, command: str, *flags: str, within: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*within, *PODIUM, command, *flags, "--data-dir", str(self.data_dir)],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def podium(self, command: str, *flags: str, within: tuple[str, ...] = ()) -> Said:
        return finished(self.start(command, *flags, within=within))

    def up(self, *flags: str, runtime: str = "simulated", within: tuple[str, ...] = ()) -> Said:
        return self.podium("up", "--detach", "--runtime", runtime, *flags, within=within)

    def down(self) -> None:
        said = self.podium("down")
        assert said.code == 0, said
        assert self.left() == []

    def left(self) -> list[str]:
        return leftovers.of(require(self.data_dir)) if (self.data_dir / "cluster.json").exists() else []


def finished(process: "subprocess.Popen[str]") -> Said:
    out, err = process.communicate(timeout=150)
    return Said(process.returncode, out, err)


def place_in(directory: Path, name: str = "data") -> Place:
    return Place(directory / name, {**os.environ, "KUBECONFIG": str(directory / "kubeconfig")})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = place_in(tmp_path)
    yield made
    if (made.data_dir / "cluster.json").exists():
        made.down()


# The store


def foreign(_: bytes) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE notes (text)")
    return connection.serialize()


DAMAGE = {
    "garbage": lambda good: b"not a database " * 1000,
    "half of it": lambda good: good[: len(good) // 2],
    "the start of it": lambda good: good[:5000],
    "nothing": lambda good: b"",
    "overwritten in the middle": lambda good: good[:4096] + b"\xff" * 2000 + good[6096:],
    "another program's": foreign,
}


def test_a_store_that_is_none_is_refused_and_left(place: Place) -> None:
    assert place.up().code == 0
    place.down()
    store = place.data_dir / "store.db"
    good = store.read_bytes()
    for name, damage in DAMAGE.items():
        store.write_bytes(damage(good))
        assert "it was left as it is: " in place.up().refusal(), name
        assert store.read_bytes() == damage(good), name
        assert place.left() == [], name
    store.unlink()
    store.mkdir()
    assert str(store) in place.up().refusal()
    store.rmdir()
    store.write_bytes(good)
    assert place.up().code == 0


LOCK = """
import sys, time
from pathlib import Path
from podium.store.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_store_that_another_process_has_open_is_refused_by_its_name(place: Place) -> None:
    assert place.up().code == 0
    place.down()
    arguments = [sys.executable, "-c", LOCK, str(place.data_dir / "store.db.lock")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert f"is in use by process {holder.pid} (" in place.up().refusal()
        holder.kill()
    assert place.up().code == 0


# The disk


def in_mounts(*commands: str) -> tuple[str, ...]:
    """Runs a command in a mount namespace of its own, after these."""
    return ("unshare", "--mount", "sh", "-ec", "; ".join([*commands, 'exec "$@"']), "sh")


@AS_ROOT
def test_a_read_only_disk(place: Place) -> None:
    place.data_dir.mkdir()
    read_only = in_mounts(f"mount --bind {place.data_dir} {place.data_dir}", f"mount -o remount,ro,bind {place.data_dir}")
    assert "Read-only file system" in place.up(within=read_only).refusal()
    assert place.up().code == 0
    place.down()
    before = sorted(place.data_dir.rglob("*"))
    assert "Read-only file system" in place.up(within=read_only).refusal()
    assert "Read-only file system" in place.podium("down", within=read_only).refusal()
    assert sorted(place.data_dir.rglob("*")) == before


@AS_ROOT
@pytest.mark.parametrize("size", ["4k", "32k", "64k", "400k"])
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    place = place_in(tmp_path)
    place.data_dir.mkdir()
    down = f"{sys.executable} -m podium down --data-dir {place.data_dir}"
    script = f'mount -t tmpfs -o size={size} none {place.data_dir}; code=0; "$@" || code=$?; {down} >/dev/null 2>&1; exit $code'
    said = place.up(within=("unshare", "--mount", "sh", "-ec", script, "sh"))
    assert re.search(r"disk .*full|No space left", said.refusal())
    assert not leftovers.processes_showing(str(place.data_dir))


# The runtime


@AS_ROOT
@pytest.mark.containers
@pytest.mark.skipif(shutil.which("containerd") is None, reason="needs containerd")
def test_a_containerd_that_ends_at_once(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "containerd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no such kernel >&2\nexit 3\n")
    program.chmod(0o755)
    place.environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    assert "containerd ended (no such kernel): see " in place.up(runtime="cri").refusal()
    assert place.left() == []


# Names, and other clusters


def test_a_data_directory_with_spaces_and_letters_of_elsewhere(tmp_path: Path) -> None:
    place = place_in(tmp_path, "my clusters/ünï 日本")
    assert place.up("--simulated-nodes", "1", runtime="process").code == 0
    assert str(place.data_dir) in place.podium("status").out
    place.down()


def test_a_cluster_goes_on_when_another_is_taken_down(tmp_path: Path) -> None:
    one, other = place_in(tmp_path, "one"), place_in(tmp_path, "other")
    try:
        assert [place.up(runtime="process").code for place in (one, other)] == [0, 0]
        before = one.podium("status", "-o", "json").out
        other.down()
        time.sleep(1)
        after = one.podium("status", "-o", "json").out
        assert re.findall(r'"pid": \d+', after) == re.findall(r'"pid": \d+', before) != []
        cluster = require(one.data_dir)
        if cluster.network == "kernel":
            assert Path(f"/sys/class/net/{cluster.network_device}").exists()
            assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
        assert "current-context: podium" in (tmp_path / "kubeconfig").read_text()
    finally:
        one.down()


# Commands that meet, and interruptions


def test_several_ups_make_one_cluster_and_several_downs_end_it(place: Place) -> None:
    ups = [finished(up) for up in [place.start("up", "--detach", "--runtime", "simulated") for _ in range(3)]]
    assert [said.code for said in ups] == [0, 0, 0]
    assert place.up().out.startswith("already running")
    deadline = time.monotonic() + 10
    while leftovers.roles(require(place.data_dir)) != {
        "control-plane": 1,
        "supervisor": 1,
        "telemetry": 1,
    }:  # a second supervisor sees the first, and leaves
        assert time.monotonic() < deadline
    downs = [finished(down) for down in [place.start("down") for _ in range(3)]]
    assert [said.code for said in downs] == [0, 0, 0]
    assert sorted(said.out.partition(":")[0] for said in downs) == ["down", "not running", "not running"]
    assert place.left() == []


def test_a_down_ends_what_is_just_being_started(place: Place) -> None:
    print(f"SEED={SEED}")
    draw = random.Random(SEED)
    assert place.up().code == 0
    place.down()
    for _ in range(3):
        up = place.start("up", "--detach", "--runtime", "simulated")
        time.sleep(draw.uniform(0.2, 1.5))
        assert place.podium("down").code == 0
        said = finished(up)
        if said.code == 0:  # it was ready before, or came after
            place.down()
        else:
            assert "was taken down while it started" in said.refusal()
        assert place.left() == []


@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["foreground", "detached"])
def test_an_interrupted_up_takes_down_what_it_started(place: Place, detach: tuple[str, ...]) -> None:
    print(f"SEED={SEED}")
    draw = random.Random(SEED)
    for _ in range(4):
        up = place.start("up", *detach, "--runtime", "process", "--simulated-nodes", "1")
        time.sleep(draw.uniform(0.1, 1.5))
        up.send_signal(draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
        said = finished(up)
        assert "Traceback" not in said.err, said
        if said.out.startswith("ready") and detach:
            place.down()
        assert place.left() == []
        assert not Path(place.environment["KUBECONFIG"]).exists()
