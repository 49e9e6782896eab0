"""Prometheus' own cases, from ../shared (they are not ours to keep), and our own for what those do not have: every file is a test."""

from pathlib import Path

import pytest

from podium.cli.promql_scripts import run_file
from podium.world.real import RealWorld

HERE = Path(__file__).parent
UPSTREAM = sorted((HERE.parents[4] / "shared" / "reference" / "promql").glob("*.test"))
OWN = sorted((HERE / "cases").glob("*.test"))


async def passes(path: Path) -> None:
    report = await run_file(path, RealWorld())
    assert report.passed > 0
    assert not report.failures, "\n" + "\n".join(str(failure) for failure in report.failures)


@pytest.mark.skipif(not UPSTREAM, reason="upstream's cases (../shared/reference/promql) are not here")
@pytest.mark.parametrize("path", UPSTREAM or [HERE], ids=lambda path: path.stem)
async def test_upstreams_cases_pass(path: Path) -> None:
    await passes(path)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
async def test_our_own_cases_pass(path: Path) -> None:
    await passes(path)
