import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from podium.node import images

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: images are made of its files")


def layer_of(archive: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(contents(archive)["layer.tar"]))


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        return {name: member.read() for name in outer.getnames() if (member := outer.extractfile(name)) is not None}


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="the program is x86-64 Linux machine code")
def test_the_pause_program_waits_and_ends_by_signal(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(images.pause_program())
    program.chmod(0o755)
    process = subprocess.Popen([program])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.kill()
    assert process.wait() == -9
    assert len(program.read_bytes()) == 129


@linux
def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = images.python_image("podium.local/x:1", {"/app": tmp_path})
    os.utime(tmp_path / "a.py", (1, 1))
    assert images.python_image("podium.local/x:1", {"/app": tmp_path}) == first
    layer = layer_of(first)
    assert {"app/a.py", "usr/bin/python3", "etc/passwd", "tmp"} <= set(layer.getnames())
    assert {(entry.uid, entry.gid) for entry in layer} == {(0, 0)}
    assert len(first) < 64 << 20


@linux
def test_the_manifest_names_the_image_and_its_layer() -> None:
    found = contents(images.pause_image("podium.local/p:2"))
    [entry] = json.loads(found["manifest.json"])
    assert entry["RepoTags"] == ["podium.local/p:2"]
    assert set(found) == {"manifest.json", entry["Config"], *entry["Layers"]}
