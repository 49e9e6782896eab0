"""All scripts over the real store, which is closed and opened again before each question that follows a load. It keeps no start timestamps."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.results import Result
from podium.telemetry.metrics.promql.scripts import run_script
from podium.telemetry.metrics.promql.syntax import Expression
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.storage import Rejected
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.real import RealWorld
from tests.telemetry.metrics.promql.test_upstream_cases import OWN, UPSTREAM

WORLD = RealWorld()
STORABLE = [path for path in (*UPSTREAM, *OWN) if "@st" not in path.read_text()]


class Reopened:
    """A store in a directory, and the engine over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = self.open()
        self.settled = True

    def open(self) -> Tsdb:
        return Tsdb.open(self.directory, WORLD, StoreOptions(retention_ms=0), threads=False)

    def append_samples(self, samples: Sequence[Sample]) -> Rejected:
        self.settled = False
        return self.store.append_samples(sorted(samples, key=lambda s: s.time_ms))

    async def engine(self) -> Engine:
        if not self.settled:
            await self.store.close()
            self.store = self.open()
            self.settled = True
        return Engine(self.store, WORLD, Options(experimental=True, delayed_name_removal=True))

    async def instant(self, query: str | Expression, time_ms: int) -> Result:
        return await (await self.engine()).instant(query, time_ms)

    async def range(self, query: str | Expression, start_ms: int, end_ms: int, step_ms: int) -> Result:
        return await (await self.engine()).range(query, start_ms, end_ms, step_ms)


@pytest.mark.slow
@pytest.mark.parametrize("path", STORABLE, ids=lambda path: path.stem)
async def test_scripts_pass_over_a_store_that_was_reopened(path: Path, tmp_path: Path) -> None:
    new_store: Callable[[], Reopened] = lambda: Reopened(Path(tempfile.mkdtemp(dir=tmp_path)))  # noqa: E731
    report = await run_script(path.read_text(), path.name, lambda store: store, new_store)  # type: ignore[arg-type, return-value]
    assert report.passed > 0
    assert not report.failures, "\n" + "\n".join(str(failure) for failure in report.failures)
