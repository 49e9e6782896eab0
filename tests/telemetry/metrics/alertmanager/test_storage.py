"""State on disk: what was acknowledged is there after a crash, whatever the crash cut off."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from podium.telemetry.metrics.alertmanager import storage as module
from podium.telemetry.metrics.alertmanager.errors import StorageError
from podium.telemetry.metrics.alertmanager.storage import DiskStorage


def test_the_last_record_of_a_key_counts(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    for number in range(3):
        storage.put("s", "a", {"n": number}, sync=True)
    storage.put("s", "b", {"n": 7}, sync=False)
    storage.close()
    assert DiskStorage(tmp_path).load("s") == {"a": {"n": 2}, "b": {"n": 7}}


def test_a_file_of_outdated_lines_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OUTDATED_LINES_MIN", 10)
    storage = DiskStorage(tmp_path)
    for number in range(1_000):
        storage.put("s", f"k{number % 3}", {"n": number}, sync=False)
    assert (tmp_path / "s.jsonl").read_bytes().count(b"\n") < 30
    storage.close()
    assert DiskStorage(tmp_path).load("s") == {"k0": {"n": 999}, "k1": {"n": 997}, "k2": {"n": 998}}


CUTS = [1, 5, 12]


@pytest.mark.parametrize("cut", CUTS)
def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    storage = DiskStorage(tmp_path)
    storage.put("s", "a", {"n": 1}, sync=True)
    storage.put("s", "b", {"n": 2}, sync=True)
    storage.close()
    path = tmp_path / "s.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    again = DiskStorage(tmp_path)
    expected = {"a": {"n": 1}, "b": {"n": 2}} if cut == 1 else {"a": {"n": 1}}  # only its newline is missing
    assert again.load("s") == expected
    again.put("s", "c", {"n": 3}, sync=True)
    again.close()
    assert DiskStorage(tmp_path).load("s") == {**expected, "c": {"n": 3}}


def test_damage_is_set_aside_and_the_rest_kept(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_bytes(b'["a",{"n":1}]\n\x00\xffgarbage\n[1]\n["b",{"n":2}]\n')
    storage = DiskStorage(tmp_path)
    assert storage.load("s") == {"a": {"n": 1}, "b": {"n": 2}}
    assert b"garbage" in (tmp_path / "s.damaged").read_bytes()
    storage.close()
    assert DiskStorage(tmp_path).load("s") == {"a": {"n": 1}, "b": {"n": 2}}


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    with pytest.raises(StorageError, match="in use by another process"):
        DiskStorage(tmp_path)
    storage.close()
    DiskStorage(tmp_path).close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot write to"):
        DiskStorage(tmp_path / "x")


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    storage = DiskStorage(tmp_path)
    (tmp_path / "s.jsonl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left on device"):
        storage.put("s", "a", {"n": 1}, sync=False)


WRITER = """
import sys
from pathlib import Path
from podium.telemetry.metrics.alertmanager import storage as module
module.OUTDATED_LINES_MIN = 20
storage = module.DiskStorage(Path(sys.argv[1]))
number = max([r["n"] for r in storage.load("s").values()], default=-1) + 1
while True:
    storage.put("s", f"k{number % 10}", {"n": number}, sync=False)
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    for _ in range(10):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(150)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(n) for n in rest[:-1] if n)])
        writer.wait()
        writer.stdout.close()
        storage = DiskStorage(tmp_path)
        records = storage.load("s")
        storage.close()
        latest = max(r["n"] for r in records.values())
        assert latest in (acknowledged, acknowledged + 1)
        assert sorted(r["n"] for r in records.values()) == list(range(latest - 9, latest + 1))
