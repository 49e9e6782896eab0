"""The process that `test_crash.py` kills: writes as fast as it can, and says what was acknowledged.

    python -m tests.store.crashing_writer FILE SEED

Each acknowledged write is a line `kind key revision note` on standard output, written before the next write of that writer begins.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from podium.store import folding
from podium.store.sqlite import SqliteStore
from tests.store.samples import encode

WRITERS = 50
KEYS_EACH = 3
COMPACT_EVERY_S = 0.02


async def write(store: SqliteStore, draw: random.Random, writer: int) -> None:
    while True:
        key = f"/core/pods/ns{writer % 4}/p{writer}-{draw.randrange(KEYS_EACH)}"
        note = f"{draw.getrandbits(48):x}" + "x" * draw.choice((0, 0, 0, 200, 9_000))
        current = await store.get(key)
        if current is not None and draw.random() < 0.3:
            gone = await store.delete(key, expected=current.revision)
            assert gone is not None
            line = f"delete {key} {gone.revision} {gone.value['note']}\n"
        else:
            record = await store.put(key, encode(note), expected=current.revision if current else 0)
            line = f"{'update' if current else 'create'} {key} {record.revision} {note}\n"
        os.write(1, line.encode())


async def compact(store: SqliteStore, draw: random.Random) -> None:
    while True:
        await asyncio.sleep(COMPACT_EVERY_S)
        await store.compact(draw.randint(store.oldest_revision, max(store.oldest_revision, store.revision - 1_000)))


async def main(path: Path, seed: int) -> None:
    folding.FOLD_WRITES_MAX = 100
    draw = random.Random(seed)
    store = SqliteStore.open(path)
    async with asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(write(store, random.Random(seed * 1_000 + writer), writer))
        group.create_task(compact(store, draw))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
