"""What `podium up` cannot do it refuses before anything is started: in one line that says what and what to do, with exit code 1."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.cli.arguments import run
from tests.cli.clusters import make_cluster

Prepare = Callable[[Path, pytest.MonkeyPatch], None]


def refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What it says."""
    assert run(["up", "--detach", "--runtime", "simulated", "--data-dir", str(directory)], {}) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("podium: ") and said.err.count("\n") == 1
    assert ": " in said.err.removeprefix("podium: "), "what is wrong, then what to do"
    return said.err


def a_file_in_its_place(directory: Path, _: pytest.MonkeyPatch) -> None:
    directory.write_text("mine")


def a_file_above_it(directory: Path, _: pytest.MonkeyPatch) -> None:
    directory.parent.rmdir()
    directory.parent.write_text("mine")


def a_file_where_a_folder_goes(directory: Path, _: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    (directory / "run").write_text("mine")


def no_home(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setattr(Path, "home", unknown)


def a_home_that_is_not_there(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", "/proc/none")


REFUSED: list[tuple[Prepare, str]] = [
    (a_file_in_its_place, "is not writable"),
    (a_file_above_it, "is not writable"),
    (a_file_where_a_folder_goes, "is not writable"),
    (no_home, "set HOME"),
    (a_home_that_is_not_there, "cannot be written"),
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cluster would be."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    (tmp_path / "above").mkdir()
    return tmp_path / "above" / "data"


@pytest.mark.parametrize(("prepare", "why"), REFUSED, ids=[case[0].__name__ for case in REFUSED])
def test_directories_that_will_not_do(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prepare: Prepare, why: str
) -> None:
    prepare(directory, monkeypatch)
    assert why in refused(directory, capsys)
    assert not (directory / "cluster.json").exists()
    for file in (directory, directory.parent, directory / "run"):
        assert not file.is_file() or file.read_text() == "mine"


def test_a_name_that_is_too_long(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "too long" in refused(directory / ("x" * 300), capsys)


KUBECONFIGS = {
    "broken": b"a: [1",
    "another document": b"[1, 2]",
    "no list": b"clusters: 3\n",
    "nameless": b"contexts: [{context: {}}]\n",
    "binary": b"\x00\x01\xff",
}


@pytest.mark.parametrize("text", KUBECONFIGS.values(), ids=KUBECONFIGS)
def test_kubeconfigs_that_are_none_stay_as_they_are(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    (tmp_path / "kubeconfig").write_bytes(text)
    assert "KUBECONFIG" in refused(directory, capsys)
    assert (tmp_path / "kubeconfig").read_bytes() == text
    assert not (tmp_path / "kubeconfig.lock").exists() and not directory.exists()


@pytest.mark.parametrize("place", ["above", "/proc/none/config", "/dev/null/config"])
def test_places_where_no_kubeconfig_can_be(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / place))
    assert "KUBECONFIG" in refused(directory, capsys)
    assert not directory.exists()


@pytest.mark.parametrize("which", ["api_port", "kubelet_port"])
@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_ports_that_others_have(directory: Path, capsys: pytest.CaptureFixture[str], which: str, host: str) -> None:
    with socket.create_server((host, 0)) as other:
        port = other.getsockname()[1]
        make_cluster(directory, runtime="process", network="loopback", **{"api_port": 0, "kubelet_port": 0, which: port})
        assert run(["up", "--detach", "--data-dir", str(directory)], {}) == 1
    said = capsys.readouterr().err
    assert said == (
        f"podium: port {port} is in use by another program: end that program, or start a cluster on its own ports with another --data-dir\n"
    )
    assert os.listdir(directory / "run") == []


def test_an_empty_data_directory_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["up", "--data-dir", ""], {})
    assert ended.value.code == 2
