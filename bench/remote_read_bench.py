"""What answering and reading a remote read costs; prints JSON: CPU seconds for a million samples, bytes a sample, the least of several runs.

    python bench/remote_read_bench.py

1,000 series of 1,000 samples, one every 15 s (with jitter where it says so): `encode` and `decode` are chunks by themselves; `chunks` and
`samples` are whole answers of a server over its store, message by message, without sockets.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote import xor_chunks, xor_encoder
from podium.telemetry.metrics.remote.messages import compress, message
from podium.telemetry.metrics.remote.reading import ReadServer
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.http_messages import HttpRequest
from podium.world.real import RealWorld

SERIES, SAMPLES, STEP_MS, RUNS = 1000, 1000, 15_000, 3
START_MS = 1_700_000_000_000


def shapes() -> dict[str, Any]:
    """(times, values) by name."""
    random = np.random.default_rng(1)
    steady = START_MS + STEP_MS * np.arange(SAMPLES)
    counters = np.cumsum(random.integers(0, 50, (SERIES, SAMPLES)), 1) + 1e5
    return {
        "nothing changes": (steady, np.ones((SERIES, SAMPLES))),
        "counters": (steady, counters),
        "counters, jitter": (steady + random.integers(0, 20, SAMPLES), counters),
        "fractions": (steady, random.random((SERIES, SAMPLES))),
    }


def least(work: Callable[[], Any]) -> tuple[float, Any]:
    best, found = float("inf"), None
    for _ in range(RUNS):
        start = time.process_time()
        found = work()
        best = min(best, time.process_time() - start)
    return best / (SERIES * SAMPLES / 1e6), found


def chunks(times: Any, values: Any) -> dict[str, float]:
    firsts = (np.arange(SERIES)[:, None] * SAMPLES + np.arange(0, SAMPLES, xor_encoder.SAMPLES_PER_CHUNK)).ravel()
    flat = np.tile(times, SERIES)
    encode, made = least(lambda: xor_encoder.encode(flat, values.ravel(), firsts))
    decode, _ = least(lambda: xor_chunks.decode(made))
    return {"encode": round(encode, 3), "decode": round(decode, 3), "bytes": round(sum(map(len, made)) / (SERIES * SAMPLES), 2)}


def answers(times: Any, values: Any) -> dict[str, float]:
    store = Tsdb.open(None, RealWorld(), threads=False)
    layout = store.layout([labels_of({"__name__": "m", "i": str(i)}) for i in range(SERIES)])
    for at, column in zip(times.tolist(), values.T, strict=True):
        store.append(layout, at, column)
    server = ReadServer(store)
    query = {"end_timestamp_ms": START_MS * 2, "matchers": [{"name": "__name__", "value": "m"}]}
    found: dict[str, float] = {}
    for name, accepted in (("chunks", [1]), ("samples", [0])):
        body = compress(message("ReadRequest")(queries=[query], accepted_response_types=accepted).SerializeToString())
        request = HttpRequest("POST", "/", "/", {}, {}, body, None)
        seconds, _ = least(lambda request=request: asyncio.run(server(request)))
        found[name] = round(seconds, 3)
    return found


def main() -> None:
    for name, (times, values) in shapes().items():
        print(json.dumps({"series": name, **chunks(times, values), **answers(times, values)}))


if __name__ == "__main__":
    main()
