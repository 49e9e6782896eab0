"""Scripts of our own (cases/*.test): facts about the engine that upstream's published cases do not show."""

from pathlib import Path

import pytest

from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.scripts import run_script
from podium.world.real import RealWorld

CASES = sorted((Path(__file__).parent / "cases").glob("*.test"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_our_own_cases_pass(path: Path) -> None:
    options = Options(experimental=True, delayed_name_removal=True)
    report = await run_script(path.read_text(), path.name, lambda store: Engine(store, RealWorld(), options))
    assert report.passed > 0
    assert not report.failures, "\n" + "\n".join(str(failure) for failure in report.failures)
