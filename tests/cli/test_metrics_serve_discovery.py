"""`podium metrics serve` as a process: discovers, scrapes, answers; reads its configuration again."""

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from podium.world.http_server import Connection, HttpRequest, HttpServer, Response

PATIENCE_S = 20.0


@contextmanager
def serving(config: Path) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """(port, process)"""
    command = [sys.executable, "-m", "podium", "metrics", "serve", "--config", str(config), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--data-dir", str(config.parent / "data")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert found, said
        yield int(found[1]), process
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def ask(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())["data"]


async def wait_for(port: int, expect: dict[str, str]) -> None:
    """Until `up` by job is that."""
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            while found != expect:
                await asyncio.sleep(0.1)
                answer = await asyncio.to_thread(ask, port, f"/api/v1/query?query={quote('up')}")
                found = {item["metric"]["job"]: item["value"][1] for item in answer["result"]}
    except TimeoutError:
        raise AssertionError(f"{found} after {PATIENCE_S:g} s, not {expect}") from None


@pytest.mark.slow
async def test_targets_of_all_kinds_are_served_and_reloaded(tmp_path: Path) -> None:
    def answer(request: HttpRequest, connection: Connection) -> Response:
        return Response(200, b"a 1\n", ((b"content-type", b"text/plain"),))

    server = HttpServer(answer)
    port = await server.listen("127.0.0.1", 0)
    (tmp_path / "targets.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
    config = tmp_path / "prometheus.yml"
    text = (
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n"
        f"- {{job_name: static, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
        "- {job_name: file, file_sd_configs: [{files: [targets.json]}]}\n"
        "- {job_name: cluster, kubernetes_sd_configs: [{role: pod}]}\n"
        "- {job_name: down, static_configs: [{targets: ['127.0.0.1:1']}]}\n"
    )
    config.write_text(text)
    with serving(config) as (own, process):
        await wait_for(own, {"static": "1", "file": "1", "down": "0"})
        errors = {t["scrapePool"]: t["lastError"] for t in (await asyncio.to_thread(ask, own, "/api/v1/targets"))["activeTargets"]}
        assert errors["static"] == ""
        assert errors["down"].startswith('Get "http://127.0.0.1:1/metrics": no connection to 127.0.0.1:1')
        config.write_text(text.replace("job_name: down, ", "job_name: third, ").replace("127.0.0.1:1'", f"127.0.0.1:{port}'"))
        process.send_signal(signal.SIGHUP)
        await wait_for(own, {"static": "1", "file": "1", "third": "1"})
    await server.close()
