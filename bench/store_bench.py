"""CPU time of the store's hot paths, as one line of JSON: `python bench/store_bench.py [--quick]`.

Objects of about 900 bytes, already encoded. `put_*_us` is process CPU (all threads) for each write; `put_sqlite_64_us` with 64 concurrent
writers.
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from podium.store.interface import Store
from podium.store.memory import MemoryStore
from podium.store.sqlite import SqliteStore

ENCODED = b'{"metadata":{"name":"x","namespace":"default"},"spec":{"a":"' + b"x" * 840 + b'"}}'
OBJECTS = 5_000
WATCHERS = 1_000


def keys() -> list[str]:
    return [f"/core/pods/ns-{n % 20}/pod-{n:06d}" for n in range(OBJECTS)]


async def put_cpu_us(store: Store, concurrency: int, writes: int) -> tuple[float, float]:
    """(CPU µs for each write, writes a second)."""
    names = iter([key for _ in range(1 + writes // OBJECTS) for key in keys()][:writes])

    async def write() -> None:
        for key in names:
            await store.put(key, ENCODED, expected=None)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write() for _ in range(concurrency)))
    return (time.process_time() - cpu) / writes * 1e6, writes / (time.perf_counter() - wall)


async def range_ms(store: Store, **options: Any) -> float:
    best = float("inf")
    for _ in range(5):
        cpu = time.process_time()
        await store.range("/core/pods/", **options)
        best = min(best, time.process_time() - cpu)
    return best * 1e3


async def fan_out_us(store: Store, prefix: str) -> float:
    """CPU of a write for each of WATCHERS listeners under `prefix`."""
    heard: list[int] = []
    cancels = [store.feed(prefix, lambda events: heard.append(len(events))) for _ in range(WATCHERS)]
    cpu = time.process_time()
    for _ in range(100):
        await store.put("/core/pods/ns-1/watched", ENCODED, expected=None)
    spent = (time.process_time() - cpu) / 100 / WATCHERS * 1e6
    for cancel in cancels:
        cancel()
    return spent


async def reopen_ms(path: Path) -> float:
    began = time.perf_counter()
    await SqliteStore.open(path).close()
    return (time.perf_counter() - began) * 1e3


async def measure(quick: bool) -> dict[str, float]:
    writes = OBJECTS if quick else 4 * OBJECTS
    figures: dict[str, float] = {}
    memory = MemoryStore()
    figures["put_memory_us"], _ = await put_cpu_us(memory, 1, writes)
    figures["range_5000_ms"] = await range_ms(memory)
    figures["range_page_500_ms"] = await range_ms(memory, limit=500)
    before = memory.revision
    await put_cpu_us(memory, 1, 1000)
    figures["range_5000_past_ms"] = await range_ms(memory, revision=before)
    figures["fan_out_us"] = await fan_out_us(memory, "/core/pods/")
    figures["fan_out_elsewhere_us"] = await fan_out_us(memory, "/core/configmaps/")
    del memory
    gc.collect()
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path = Path(directory) / "store.db"
        sqlite = SqliteStore.open(path)
        for concurrency in (1, 64, 1000):
            count = min(writes, 500) if concurrency == 1 else writes
            cpu, rate = await put_cpu_us(sqlite, concurrency, count)
            figures[f"put_sqlite_{concurrency}_us"] = cpu
            figures[f"put_sqlite_{concurrency}_per_s"] = rate
        cpu_began = time.process_time()
        versions = sqlite.revision - sqlite.oldest_revision
        await sqlite.compact(sqlite.revision)
        figures["compact_us_per_version"] = (time.process_time() - cpu_began) / versions * 1e6
        await sqlite.close()
        figures["reopen_5000_ms"] = await reopen_ms(path)
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    try:
        import uvloop

        run: Any = uvloop.run
    except ImportError:
        run = asyncio.run
    print(json.dumps({"store": run(measure("--quick" in sys.argv))}))
