"""The command line: quick to start, plain about what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podium.cli.arguments import parser, run

HEAVY = ("asyncio", "cryptography", "grpc", "numpy", "orjson", "ssl", "subprocess", "yaml")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = f"""
import resource, sys, time
from podium.main import main
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    main(["--help"])
except SystemExit:
    pass
used = resource.getrusage(resource.RUSAGE_SELF)
assert used.ru_utime + used.ru_stime < 0.1, used
loaded = [m for m in {HEAVY} if m in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "podium up" in done.stdout
    assert "control-plane" not in done.stdout


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["up", "--runtime", "docker"], ["up", "--simulated-nodes", "-1"], ["image"]])
def test_usage_errors_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


REFUSED = [
    (["down"], "there is no cluster"),
    (["status"], "there is no cluster"),
    (["kubeconfig"], "there is no cluster"),
    (["image", "load", "/nowhere.tar"], "there is no cluster"),
    (["up", "--manifests", "/nowhere"], "is not a directory"),
]


@pytest.mark.parametrize(("arguments", "why"), REFUSED, ids=[r[0][0] for r in REFUSED])
def test_refusals_are_one_line_and_exit_with_1(arguments: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--data-dir", str(tmp_path / "none")], {}) == 1
    said = capsys.readouterr().err
    assert why in said
    assert said.startswith("podium: ")
    assert said.count(os.linesep) == 1
