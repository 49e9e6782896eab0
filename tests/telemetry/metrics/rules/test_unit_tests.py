"""promtool's unit-test files: what passes there passes here, and what fails is told in its words."""

import shutil
import subprocess
from pathlib import Path

import pytest

from podium.main import main

FILES = Path(__file__).parent / "unit"


def test_a_file_that_holds_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "test-rules", str(FILES / "passes.yml")]) == 0
    assert "SUCCESS" in capsys.readouterr().out


def test_what_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "test-rules", str(FILES / "fails.yml")]) == 1
    said = capsys.readouterr().err
    for text in (
        "WARNING: no file match pattern nothing-*.yml",
        "alertname: Down, time: 5m",
        'Annotations:{summary=" of  is down (0)"}',
        'expr: "up", time: 1m,',
        'expr: "sum(", time: 1m, err: 1:5: parse error: unclosed left parenthesis',
    ):
        assert text in said


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here: python3 tools/setup_system.py --tests fetches it")
@pytest.mark.parametrize(("name", "code"), [("passes.yml", 0), ("fails.yml", 1)])
def test_promtool_agrees(name: str, code: int) -> None:
    done = subprocess.run(["promtool", "test", "rules", str(FILES / name)], capture_output=True, timeout=60, check=False)
    assert done.returncode == code


BAD = [
    ("rule_file: []", "field rule_file not found in type main.unitTestFile"),
    ("group_eval_order: [a, a]", "group name repeated in evaluation order: a"),
    ("evaluation_interval: x", "not a valid duration string"),
    ("tests: [{input_series: [{series: 'a{', values: '1'}]}]", "parse error"),
    ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "misses required attribute alertname at eval_time 1m"),
    ("tests: [{alert_rule_test: [{eval_time: 1000y, alertname: a}]}]", ""),
    (": [", "yaml: "),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_a_bad_file_fails_with_what_is_wrong(text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.yml"
    path.write_text(text)
    assert main(["metrics", "test-rules", str(path)]) == 1
    assert reason in capsys.readouterr().err
