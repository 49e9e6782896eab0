"""Some 600 broken and odd configurations, rule files and unit tests: what Debian's promtool says of each is what we say.

verdicts/*.txt: a good document, then a line for each change of one value: `refused|taken PLACE = JSON`. Rows on which promtool 2.42 and
Prometheus 3 differ are not there (UTF-8 names, native histograms in tests), nor what makes promtool panic, nor what we refuse and upstream
takes: a queue of no capacity or half a shard, sizes below zero, an empty section of a remote.
"""

import asyncio
import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.cli.metrics_config import check_static_targets
from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.metrics.configuration.configuration import load_file
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.rules.unit_tests import run_file
from podium.world.real import RealWorld

MISSING = "" if shutil.which("promtool") else "needs Debian's promtool"
RULES = "groups: [{name: g, rules: [{alert: A, expr: 'up{job=\"a\"} == 0', for: 5m, labels: {severity: page}, annotations: {s: x}}]}]\n"
COMMANDS = {"config": ["check", "config", "--syntax-only"], "rules": ["check", "rules"], "tests": ["test", "rules"]}


def table(kind: str) -> tuple[Any, list[tuple[str, str, Any]]]:
    """(the good document, [(verdict, place, value)])."""
    good, _, rows = (Path(__file__).parent / "verdicts" / f"{kind}.txt").read_text().partition("---\n")
    split = [(line[:8].strip(), *line[8:].split(" = ", 1)) for line in rows.splitlines()]
    return yaml.safe_load(good), [(verdict, place, json.loads(value)) for verdict, place, value in split]


def changed(good: Any, place: str, value: Any) -> str:
    document = copy.deepcopy(good)
    at = document
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in way:
        at = at[part]
    at[last] = value
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def written(kind: str, directory: Path) -> list[tuple[str, Path]]:
    """(what the table says, the file) of each row."""
    (directory / "r.rules").write_text(RULES)
    (directory / "files").mkdir()
    good, rows = table(kind)
    found = []
    for number, (verdict, place, value) in enumerate(rows):
        path = directory / "files" / f"{number:04}.yml"
        path.write_text(changed(good, place, value))
        found.append((verdict, path))
    return found


def of_config(path: Path) -> None:
    check_static_targets(load_file(path, ALL_KINDS, {}))


def of_rules(path: Path) -> None:
    read(path.read_bytes(), str(path))


def of_tests(path: Path) -> None:
    failures, _ = asyncio.run(run_file(path, RealWorld(), MemorySamples))
    if failures:
        raise ConfigurationError("\n".join(failures))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "check"), [("config", of_config), ("rules", of_rules), ("tests", of_tests)])
def test_we_say_of_each_what_the_table_says(kind: str, check: Callable[[Path], None], tmp_path: Path) -> None:
    wrong = []
    for verdict, path in written(kind, tmp_path):
        try:
            check(path)
            ours, why = "taken", ""
        except (ConfigurationError, RuleFileError) as error:
            ours, why = "refused", str(error)
        if ours != verdict:
            wrong.append(f"{path.stem}: {ours} {why[:200]}")
    assert not wrong


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("kind", list(COMMANDS))
def test_promtool_says_of_each_what_the_table_says(kind: str, tmp_path: Path) -> None:
    rows = written(kind, tmp_path)
    command = ["promtool", *COMMANDS[kind], *[str(path) for _, path in rows]]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    said = done.stdout.decode(errors="replace").replace("Unit Testing:  ", "Checking ").split("Checking ")[1:]
    verdicts = {Path(name.strip()).name: "taken" if "SUCCESS" in rest else "refused" for name, _, rest in (s.partition("\n") for s in said)}
    assert verdicts == {path.name: verdict for verdict, path in rows}
