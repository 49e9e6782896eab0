"""kill -9 at random moments: what was acknowledged is there, and the feed has no gaps.

A failure prints its seed; `PODIUM_TEST_SEED=N pytest tests/store/test_crash.py` starts the same writers (the moment of the kill is as close as
the machine allows). PODIUM_TEST_ROUNDS sets how many kills.
"""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from podium.store.sqlite import SqliteStore
from tests.store.samples import said

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("PODIUM_TEST_ROUNDS", "6"))
SEED = int(os.environ.get("PODIUM_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


async def acknowledged_until_killed(path: Path, seed: int, alive_s: float) -> list[tuple[str, str, int, str]]:
    """Runs the writer, kills it `alive_s` after its first acknowledgement; the writes it acknowledged."""
    command = [sys.executable, "-m", "tests.store.crashing_writer", str(path), str(seed)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    output = b""

    async def collect() -> None:
        nonlocal output
        while chunk := await process.stdout.read(1 << 20):
            output += chunk

    collecting = asyncio.ensure_future(collect())
    while not output and process.returncode is None:
        await asyncio.sleep(0.005)
    await asyncio.sleep(alive_s)
    assert process.returncode is None, "the writer ended by itself"
    process.kill()
    await process.wait()
    await collecting
    rows = [line.split(" ") for line in output.decode().split("\n")[:-1]]
    return [(kind, key, int(revision), note) for kind, key, revision, note in rows]


@pytest.mark.slow
async def test_acknowledged_writes_survive_kill_9_and_the_feed_has_no_gaps(tmp_path):
    print(f"seed {SEED}")
    draw, path = random.Random(SEED), tmp_path / "store.db"
    total = 0
    for turn in range(ROUNDS):
        acknowledged = await acknowledged_until_killed(path, SEED + turn, alive_s=draw.uniform(0.0, 0.4))
        total += len(acknowledged)
        store = SqliteStore.open(path)
        history = said(store.history("/", store.oldest_revision))
        assert [event[2] for event in history] == list(range(store.oldest_revision + 1, store.revision + 1))
        by_revision = {event[2]: event for event in history}
        for write in acknowledged:
            kind, key, revision, _ = write
            assert revision <= store.revision, f"{write} was acknowledged and is lost"
            if revision > store.oldest_revision:
                assert by_revision[revision] == write
            elif kind != "delete" and not any(e[1] == key and e[2] > revision for e in history):
                current = await store.get(key)
                newer = [w for w in acknowledged if w[1] == key and w[2] > revision]
                assert newer or (current is not None and current.revision >= revision)
        page = await store.range("/")
        assert [(r.key, r.revision) for r in page.records] == sorted((r.key, r.revision) for r in page.records)
        await store.close()
    assert total > 100 * ROUNDS
