"""Two sessions of pytest that look like one: in a small project with a test directory of each kind."""

import json
import re
import sys
from pathlib import Path

import pytest

from tools import run_tests

GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert 0\n"


def project(root: Path, clusters: str, others: str) -> Path:
    for directory, text in (("tests/e2e", clusters), ("tests/unit", others)):
        (root / directory).mkdir(parents=True)
        (root / directory / f"test_{directory.rpartition('/')[2]}.py").write_text(text)
    (root / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clusters", "others", "code", "last", "failed"),
    [
        (GOOD + BAD, BAD, 1, "2 failed, 1 passed", ["e2e", "unit"]),
        ("", GOOD + BAD, 1, "1 failed, 1 passed", ["unit"]),
    ],
)
def test_both_sessions_count(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], clusters: str, others: str, code: int, last: str, failed: list[str]
) -> None:
    assert run_tests.side_by_side(project(tmp_path, clusters, others)) == code
    said = capfd.readouterr().out
    assert re.fullmatch(rf"{last} in [\d.]+s", said.splitlines()[-1])
    remembered = json.loads((tmp_path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert len(remembered) == len(failed)
    assert all(f"FAILED {name}" in said for name in remembered)


@pytest.mark.parametrize(
    ("outputs", "seconds", "line"),
    [
        (["x\n5 passed in 1.00s", "1 passed in 0.10s"], 3.5, "6 passed in 3.50s"),
        (["1 failed, 5 passed, 1 skipped in 71.00s\n", "1 error in 0.10s"], 75, "1 failed, 5 passed, 1 skipped, 1 error in 75.00s (0:01:15)"),
        (["1 passed, 1 warning in 1.00s", "1 passed, 2 warnings in 1.00s"], 3700, "2 passed, 3 warnings in 3700.00s (1:01:40)"),
        (["no tests ran in 0.01s", "no tests ran in 0.01s"], 1, "no tests ran in 1.00s"),
        (["5 passed in 1.00s", "it crashed"], 1, "5 passed, 1 without an end in 1.00s"),
    ],
)  # fmt: skip
def test_the_last_line_is_pytests(outputs: list[str], seconds: float, line: str) -> None:
    assert run_tests.summary(outputs, seconds) == line


@pytest.mark.parametrize(("codes", "worst"), [([0, 0], 0), ([0, 1], 1), ([5, 0], 0), ([5, 5], 5), ([1, 2], 2), ([-9, 0], 2)])
def test_the_exit_code_is_the_worse_one(codes: list[int], worst: int) -> None:
    assert run_tests.worse(codes) == worst


def test_arguments_make_one_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_tests, "ROOT", project(tmp_path, GOOD, GOOD + BAD))
    assert run_tests.main(["-k", "good"]) == 0
    assert run_tests.command("-x") == [sys.executable, "-m", "pytest", "-q", "-x"]
