"""What one event costs for one more watcher: the API server's CPU for the same writes with and without watchers, the difference divided.

Writes come one after the other (nothing is batched by their number) and 32 at once. The writers and readers are in this process, whose CPU
does not count. `us_per_watch_event` is what must hold 3.
"""

import argparse
import asyncio
import ssl
import time
from functools import partial
from typing import Any

import orjson
from api_bench import credentials
from clusters import Running, cluster, cpu_s, report

WATCH = "GET /api/v1/namespaces/default/configmaps?watch=1&resourceVersion={version} HTTP/1.1\r\nhost: podium\r\naccept: application/json\r\n\r\n"
AT_ONCE = 32
SETTLED_S = 30.0


class _Reader(asyncio.Protocol):
    """A watch that counts its events."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.open = False
        self.events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.open = True
        self.events += data.count(b'{"type":')


class _Writer(asyncio.Protocol):
    """One connection for writes: a request, its answer, the next."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    async def put(self, body: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._buffer = b""
        head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: podium\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
        self._transport.write(head.format(len(body)).encode() + body)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._answer is None or self._answer.done():
            return
        lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        if lengths and len(rest) >= int(lengths[0]):
            self._answer.set_result(head[:15])


async def _write(writers: list[_Writer], count: int, lot: str) -> None:
    async def run(number: int) -> None:
        for n in range(number, count, len(writers)):
            body = orjson.dumps({"metadata": {"name": f"{lot}-{n}"}, "data": {"key": "x" * 200}})
            status = await writers[number].put(body)
            assert b" 201" in status, status

    await asyncio.gather(*(run(number) for number in range(len(writers))))


async def _measure(running: Running, watchers: int, events: int, rounds: int) -> None:
    server, certificate, key = credentials(running)
    port = int(server.rpartition(":")[2])
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(certificate, key)
    pid, loop = running.pids()["control-plane"], asyncio.get_running_loop()
    pool = [(await loop.create_connection(_Writer, "127.0.0.1", port, ssl=tls))[1] for _ in range(AT_ONCE)]
    await _write(pool, 200, "warm")
    for name, writers in (("one write at a time", pool[:1]), (f"{AT_ONCE} writes at once", pool)):
        alone, watched = [], []
        for round_ in range(rounds):
            alone.append(await _cpu_of(pid, writers, events, f"a{len(writers)}-{round_}"))
            version = running.kubectl("get", "configmaps", "-o", "jsonpath={.metadata.resourceVersion}")
            request = WATCH.format(version=version).encode()
            opened = [await loop.create_connection(partial(_Reader, request), "127.0.0.1", port, ssl=tls) for _ in range(watchers)]
            readers = [reader for _, reader in opened]
            while not all(reader.open for reader in readers):
                await asyncio.sleep(0.02)
            watched.append(await _cpu_of(pid, writers, events, f"w{len(writers)}-{round_}", readers))
            for transport, _ in opened:
                transport.close()
            await asyncio.sleep(0.5)
        each = (min(watched) - min(alone)) / (events * watchers) * 1e6
        report("fan-out", writes=name, watchers=watchers, events=events, us_per_watch_event=round(each, 2),
               us_per_write=round(min(alone) / events * 1e6))  # fmt: skip


async def _cpu_of(pid: int, writers: list[_Writer], events: int, lot: str, readers: list[_Reader] | None = None) -> float:
    before, started = [r.events for r in readers or ()], cpu_s(pid)
    await _write(writers, events, lot)
    deadline = time.monotonic() + SETTLED_S
    while any(r.events - b < events for r, b in zip(readers or (), before, strict=True)):
        assert time.monotonic() < deadline, "not every watcher got every event"
        await asyncio.sleep(0.02)
    return cpu_s(pid) - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    import uvloop

    with cluster("--runtime", "simulated", "--simulated-nodes", "0") as running:
        uvloop.run(_measure(running, arguments.watchers, arguments.events, arguments.rounds))


if __name__ == "__main__":
    main()
