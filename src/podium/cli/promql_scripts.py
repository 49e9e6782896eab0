"""`podium metrics test-promql FILE...`: runs PromQL test scripts, every experimental part of the language on.

A line for each case that fails, `file:line: query: what was expected, what came`; the last line counts. Exit code 1 when any failed or a
file is no script.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from podium.cli.refusal import Refusal
from podium.telemetry.metrics.promql.engine import Engine, Options
from podium.telemetry.metrics.promql.script_commands import ScriptError
from podium.telemetry.metrics.promql.scripts import Report, run_script
from podium.telemetry.metrics.storage import Queryable
from podium.world.interface import World
from podium.world.real import RealWorld

SAMPLES_MAX = 10_000
"""Samples a query of a script may hold, as in upstream's."""
SCRIPT_OPTIONS = Options(experimental=True, delayed_name_removal=True, start_timestamps=True, samples_max=SAMPLES_MAX)
"""Upstream's cases are written for these."""


async def run_file(path: Path, world: World) -> Report:
    """Raises ScriptError, OSError and UnicodeDecodeError."""

    def engine_of(store: Queryable) -> Engine:
        return Engine(store, world, SCRIPT_OPTIONS)

    return await run_script(path.read_text(encoding="utf-8"), str(path), engine_of)


def run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_run([Path(file) for file in arguments.files], RealWorld()))


async def _run(paths: list[Path], world: World) -> int:
    passed = failed = 0
    for path in paths:
        try:
            report = await run_file(path, world)
        except ScriptError as error:
            print(error)
            failed += 1
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"cannot read {path}: {error}") from error
        for failure in report.failures:
            print(failure)
        passed += report.passed
        failed += len(report.failures)
    print(f"{passed} passed, {failed} failed")
    sys.stdout.flush()
    return 1 if failed else 0
