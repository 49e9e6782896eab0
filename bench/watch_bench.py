"""Many open watches: what they hold, and how soon one event reaches them all."""

import argparse
import asyncio
import resource
import ssl
import time

from api_bench import credentials
from clusters import Running, cluster, report, resident_mb

HEAD = "GET /api/v1/namespaces/default/configmaps?watch=1&resourceVersion={version} HTTP/1.1\r\nhost: podium\r\naccept: application/json\r\n\r\n"


class _Reader(asyncio.Protocol):
    """One watch: says when it is open and when the event came."""

    def __init__(self, request: bytes, seen: list[float]) -> None:
        self._request, self._seen = request, seen
        self.open = False
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.open:
            assert data.startswith(b"HTTP/1.1 200"), data[:100]
            self.open = True
        if b'"name":"the-event"' in data:
            self._seen.append(time.perf_counter())


async def _measure(running: Running, count: int) -> None:
    server, certificate, key = credentials(running)
    port = int(server.rpartition(":")[2])
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(certificate, key)
    pid = running.pids()["control-plane"]
    before = resident_mb(pid)
    version = running.kubectl("get", "configmaps", "-o", "jsonpath={.metadata.resourceVersion}")
    seen: list[float] = []
    request = HEAD.format(version=version).encode()
    loop = asyncio.get_running_loop()
    readers: list[_Reader] = []
    for start in range(0, count, 100):
        batch = [loop.create_connection(lambda: _Reader(request, seen), "127.0.0.1", port, ssl=tls) for _ in range(min(100, count - start))]
        readers += [reader for _, reader in await asyncio.gather(*batch)]
    while not all(r.open for r in readers):
        await asyncio.sleep(0.05)
    held = resident_mb(pid)
    command = ("create", "configmap", "the-event", "--from-literal=k=v")
    created = time.perf_counter()
    await loop.run_in_executor(None, lambda: running.kubectl(*command))
    while len(seen) < count:
        await asyncio.sleep(0.01)
    report(
        "open watches", watches=count, resident_mb_before=before, resident_mb=held, spread_ms=round((max(seen) - min(seen)) * 1e3),
        all_within_ms_of_the_call=round((max(seen) - created) * 1e3),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watches", type=int, default=10_000)
    arguments = parser.parse_args()
    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with cluster("--runtime", "simulated", "--simulated-nodes", "0") as running:
        uvloop.run(_measure(running, arguments.watches))


if __name__ == "__main__":
    main()
