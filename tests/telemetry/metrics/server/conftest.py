"""The HTTP application over a small store, asked without sockets."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import orjson
import pytest

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.samples import Exemplar, Sample
from podium.telemetry.metrics.server.application import Application
from podium.telemetry.metrics.server.sources import Sources, Switches
from podium.telemetry.metrics.storage import Metadata
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World

START_S = 1_767_225_600
"""The virtual clock's first second."""

Ask = Callable[..., Response]


def request(
    method: str, target: str, form: dict[str, Any] | None = None, body: bytes = b"", headers: dict[str, str] | None = None
) -> HttpRequest:
    path, _, query = target.partition("?")
    sent = dict(headers or {})
    if form is not None:
        body, sent["content-type"] = urlencode(form, doseq=True).encode(), "application/x-www-form-urlencoded"
    return HttpRequest(method, unquote(path), target, parse_qs(query, keep_blank_values=True), sent, body, None)


def storage() -> MemorySamples:
    """`up` of two jobs, every 15 s over the 10 minutes before START_S; one exemplar; metadata of two targets."""
    found = MemorySamples()
    for job in ("api", "web"):
        labels = labels_of({"__name__": "up", "job": job})
        found.append_samples([Sample(labels, (START_S - 600 + 15 * i) * 1000, 1.0 if job == "api" else i % 2 * 0.5) for i in range(41)])
    total = labels_of({"__name__": "requests_total", "job": "api"})
    found.append_samples([Sample(total, (START_S - 600 + 15 * i) * 1000, 30.0 * i) for i in range(41)])
    found.append_exemplars([(total, Exemplar(labels_of({"trace_id": "abc"}), 0.5, (START_S - 10) * 1000))])
    found.set_metadata(labels_of({"job": "api"}), {"requests_total": Metadata("counter", "Requests."), "up": Metadata("gauge", "")})
    found.set_metadata(labels_of({"job": "web"}), {"up": Metadata("gauge", "Up.")})
    return found


@pytest.fixture
def ask() -> Ask:
    """`ask("GET", target, form=..., switches=..., **sources)` -> Response."""

    def asked(
        method: str,
        target: str,
        form: dict[str, Any] | None = None,
        *,
        switches: Switches | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Response:
        async def main(world: World) -> Response:
            store = storage()
            sources = Sources(store, Engine(store, world), world, switches=switches or Switches(), **more)
            return await Application(sources)(request(method, target, form, headers=headers))

        return virtual.run(main)

    return asked


def data(response: Response) -> Any:
    assert response.status == 200, response.body
    value = orjson.loads(response.body)
    assert value["status"] == "success"
    return value["data"]
