"""`podium metrics test-promql`: what it prints and how it exits."""

from pathlib import Path

import pytest

from podium.cli.arguments import run

SCRIPT = """load 1m
  x{a="1"} 1 2 3

eval instant at 1m x + 1
  {a="1"} 3

eval instant at 2m sum(x)
  {} 4
"""


def call(*files: Path) -> int:
    return run(["metrics", "test-promql", *map(str, files)], {})


def test_failing_cases_are_a_line_each_and_the_last_line_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "sums.test"
    script.write_text(SCRIPT)
    assert call(script) == 1
    assert capsys.readouterr().out.splitlines() == [f"{script}:7: sum(x): expected {{}} 4, got 3", "1 passed, 1 failed"]


def test_several_files_that_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = [tmp_path / name for name in ("a.test", "b.test")]
    for script in scripts:
        script.write_text(SCRIPT.replace("{} 4", "{} 3"))
    assert call(*scripts) == 0
    assert capsys.readouterr().out == "4 passed, 0 failed\n"


def test_a_file_that_is_no_script_fails_with_its_line_and_the_others_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, good = tmp_path / "broken.test", tmp_path / "good.test"
    broken.write_text("load 1m\n  x 1+1\n")
    good.write_text("eval instant at 0s 1\n  1\n")
    assert call(broken, good) == 1
    assert capsys.readouterr().out.splitlines() == [f'{broken}:2: column 3: unexpected "1+1" in series values', "1 passed, 1 failed"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "none.test") == 1
    assert "cannot read" in capsys.readouterr().err
