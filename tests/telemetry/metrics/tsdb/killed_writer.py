"""A process that appends and says what is on disk, until it is killed: `python -m tests.telemetry.metrics.tsdb.killed_writer DIRECTORY FIRST`.

Prints `N` when all columns below N are synced. Windows are short, so that cuts and compactions go on all the time.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np

from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor
from tests.telemetry.metrics.tsdb.stores import series

SERIES = 200
STEP_MS = 1_000
OPTIONS = Options(
    window_ms=60_000,
    retention_ms=0,
    block_max_ms=540_000,
    wal_segment_bytes=20_000,
    wal_bytes_max=60_000,
    flush_interval_s=0.01,
    maintenance_interval_s=0.02,
)


def column(k: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.arange(SERIES) * 1e6 + k


async def main(directory: Path, first: int) -> None:
    store = Tsdb.open(directory, RealWorld(), OPTIONS)
    tasks = Supervisor("store")
    tasks.start("run", store.run())
    layout = store.layout(series(SERIES))
    k = first
    while True:
        for _ in range(5):
            rejected = store.append(layout, k * STEP_MS, column(k))
            assert not rejected, rejected
            k += 1
        await store.synced()
        print(k, flush=True)
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
