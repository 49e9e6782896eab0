"""kill -9 under load: nothing that `synced` returned for is lost, and the store opens every time.

KILLS=50 SEED=1 python -m pytest -s tests/telemetry/metrics/tsdb/test_killed.py
"""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.virtual import VirtualWorld
from tests.telemetry.metrics.tsdb.killed_writer import OPTIONS, SERIES, STEP_MS, column

KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("SEED", "1"))
ROOT = Path(__file__).parents[4]


def write_until_killed(directory: Path, first: int, lifetime_s: float) -> int:
    """The column below which all was acknowledged."""
    command = [sys.executable, "-m", "tests.telemetry.metrics.tsdb.killed_writer", str(directory), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        timer: threading.Timer | None = None
        acknowledged = first
        for line in process.stdout:
            if timer is None:  # it runs: from now on
                timer = threading.Timer(lifetime_s, process.kill)
                timer.start()
            if line.endswith("\n"):
                acknowledged = int(line)
        errors = process.stderr.read()
    assert process.returncode == -9, errors
    return acknowledged


def stored_columns(directory: Path) -> int:
    """How many columns there are; asserts that they are all there from 0, with the values that were appended."""
    store = Tsdb.open(directory, VirtualWorld(0), OPTIONS, threads=False)
    answer = store.select([], 0, 2**60)
    count = 0
    for columns in answer.columns:
        count = max(count, len(columns.times))
    for columns in answer.columns:
        assert columns.times.tolist() == [k * STEP_MS for k in range(count)] and columns.dense
        rows = [int(dict(answer.labels.row(row))["i"]) for row in columns.rows.tolist()]
        assert np.array_equal(columns.values, np.array([column(k)[rows] for k in range(count)]).T)
    assert sum(len(c.rows) for c in answer.columns) == SERIES and store.failures == {}
    assert store.lock is not None
    store.lock.release()
    return count


@pytest.mark.slow
@pytest.mark.timeout(KILLS * 30)
def test_acknowledged_samples_survive_kill_9(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    written = 0
    for n in range(KILLS):
        acknowledged = write_until_killed(tmp_path, written, chance.random() * 0.8)
        stored = stored_columns(tmp_path)
        assert stored >= acknowledged > written, f"kill {n} with SEED={SEED}: {acknowledged} acknowledged, {stored} there"
        written = stored
    blocks = len(list(tmp_path.glob("b-*")))
    print(f"{KILLS} kills, {written} columns of {SERIES} series, {blocks} blocks, nothing acknowledged was lost")
