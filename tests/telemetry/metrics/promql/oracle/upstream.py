"""Debian's Prometheus over generated series: what it answers to a question."""

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from podium.telemetry.metrics.samples import Sample
from tests.telemetry.metrics.promql.oracle.queries import Question
from tests.telemetry.metrics.promql.oracle.series import open_metrics

MISSING = "needs Debian's prometheus and promtool" if not (shutil.which("prometheus") and shutil.which("promtool")) else ""
_READY = re.compile(rb"Listening on.*address=127\.0\.0\.1:(\d+)")


class Upstream:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, question: Question) -> dict[str, Any]:
        """The API's answer: status, data, error."""
        parameters = {"query": question.query.replace("double_exponential_smoothing", "holt_winters")}
        path = "/api/v1/query"
        if question.step_s:
            path += "_range"
            parameters |= {"start": str(question.start_s), "end": str(question.end_s), "step": str(question.step_s)}
        else:
            parameters["time"] = str(question.start_s)
        self.connection.request("POST", path, urlencode(parameters), {"Content-Type": "application/x-www-form-urlencoded"})
        answer: dict[str, Any] = json.loads(self.connection.getresponse().read())
        return answer


@contextmanager
def running(samples: list[Sample], directory: Path) -> Iterator[Upstream]:
    """Imports the samples and serves them, on a port of its own choice."""
    text = directory / "samples.txt"
    text.write_text(open_metrics(samples))
    data = directory / "data"
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True, timeout=120)
    configuration = directory / "prometheus.yml"
    configuration.write_text("global: {}\n")
    arguments = [
        "--web.listen-address=127.0.0.1:0", f"--config.file={configuration}", f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=100y",
    ]  # fmt: skip
    process = subprocess.Popen(["prometheus", *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield Upstream(_port(process))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _port(process: subprocess.Popen[bytes]) -> int:
    """Read from its log, which goes on to be read to the end by `communicate`. The store and the listener are ready in either order."""
    assert process.stderr is not None
    port, ready = 0, False
    for line in process.stderr:
        if match := _READY.search(line):
            port = int(match[1])
        ready = ready or b"Server is ready" in line
        if port and ready:
            return port
    raise AssertionError("prometheus ended before it was ready")
