"""`podium metrics check-config` as a user sees it."""

from pathlib import Path

import pytest

from podium.cli.arguments import run

GOOD = """
rule_files: [rules.yml, "more/*.yml"]
scrape_configs:
- job_name: a
  static_configs: [{targets: ["localhost:9090"]}]
  file_sd_configs: [{files: [targets.json, none.json]}]
- job_name: k
  kubernetes_sd_configs: [{role: pod}]
"""
RULES = "groups:\n- name: g\n  rules:\n  - {record: 'a:b', expr: 'sum(up)'}\n"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "targets.json").write_text('[{"targets": ["a:1"]}]')
    path = tmp_path / "prometheus.yml"
    path.write_text(GOOD)
    return path


def check(*arguments: str) -> int:
    return run(["metrics", "check-config", *arguments], {})


def test_a_good_configuration_and_its_files_are_fine(main: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(str(main)) == 0
    said = capsys.readouterr()
    assert said.out == (
        f"Checking {main}\n  SUCCESS: 1 rule files found\n SUCCESS: {main} is valid prometheus config file syntax\n\n"
        f"Checking {main.parent / 'rules.yml'}\n  SUCCESS: 1 rules found\n\n"
    )
    assert said.err == f'  WARNING: file "{main.parent / "none.json"}" for file_sd in scrape job "a" does not exist\n'


CASES = [
    (GOOD + "  bearer_token_file: token\n", {}, "no such file or directory"),
    (GOOD.replace("rules.yml", "other.yml"), {}, "does not point to an existing file"),
    (GOOD, {"targets.json": "{}"}, "checking SD file: "),
    (GOOD, {"rules.yml": "groups:\n- name: g\n  rules:\n  - {record: 'a:b', expr: 'sum('}\n"}, "FAILED"),
    ("global: {scrape_intervall: 1s}", {}, "field scrape_intervall not found in type config.plain"),
    ("scrape_configs: [{job_name: j, consul_sd_configs: []}]", {}, "kubernetes_sd_configs, static_configs"),
]


@pytest.mark.parametrize(("text", "files", "message"), CASES)
def test_what_is_wrong_is_said(text: str, files: dict[str, str], message: str, main: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.write_text(text)
    for name, content in files.items():
        (main.parent / name).write_text(content)
    assert check(str(main)) == 1
    assert message in capsys.readouterr().err


def test_only_the_syntax_is_checked_on_demand(main: Path) -> None:
    main.write_text(GOOD + "  bearer_token_file: token\n")
    assert check("--syntax-only", str(main)) == 0
    assert check(str(main.parent / "none.yml")) == 1
