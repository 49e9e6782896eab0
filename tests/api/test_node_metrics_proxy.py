"""nodes/NAME/proxy: a node's metrics through the API server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from podium.api.authority import Authority
from podium.api.node_metrics_proxy import node_and_port
from podium.control_plane import build
from podium.objects.resources import resource
from podium.objects.status import BadRequest
from podium.store.memory import MemoryStore
from podium.world.http_messages import HttpRequest, Peer, Response
from podium.world.http_server import HttpServer
from podium.world.real import RealWorld

ADMINISTRATOR = Peer("admin", ("system:masters",))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Any]:
    """A control plane, and a node `n1` that repeats what it is asked."""
    authority = Authority.load_or_create(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue_files("n1", "system:node:n1", hosts=["127.0.0.1"]))

    def repeat(request: HttpRequest, connection: object) -> Response:
        kind = (b"content-type", b"text/plain; version=0.0.4")
        said = f"{request.method} {request.target} {request.headers.get('accept', '')}"
        return Response(404 if "none" in request.path else 200, said.encode(), (kind,))

    server = HttpServer(repeat, tls)
    port = await server.listen("127.0.0.1", 0)
    nodes_tls = ssl.create_default_context(cafile=str(authority.ca_path))
    plane = await build(
        MemoryStore(), RealWorld(), service_cidr="10.96.0.0/24", signing_key=authority.service_account_key, nodes_tls=nodes_tls
    )
    nodes = resource("nodes")
    made = await plane.client().create(nodes, {"metadata": {"name": "n1"}})
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    status = {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    await plane.client().update(nodes, {**made, "status": status}, subresource="status")
    yield plane, port
    await plane.stop()
    await server.close()


async def ask(cluster: Any, path: str, method: str = "GET", peer: Peer = ADMINISTRATOR, query: dict[str, list[str]] | None = None) -> Any:
    plane, _ = cluster
    target = f"/api/v1/nodes/{path}"
    answer = plane.server.handle(
        HttpRequest(method, target, target, query or {}, {"accept": "x/y"}, b"", peer), SimpleNamespace(detached=False)
    )
    return answer if isinstance(answer, Response) else await answer


async def test_metrics_are_passed_on(cluster: Any) -> None:
    answer = await ask(cluster, "n1/proxy/metrics/cadvisor", query={"a": ["b"], "node": ["other"]})
    assert (answer.status, answer.body) == (200, b"GET /metrics/cadvisor?a=b&node=n1 x/y")
    assert dict(answer.headers)[b"content-type"] == b"text/plain; version=0.0.4"
    assert (await ask(cluster, f"n1:{cluster[1]}/proxy/healthz")).body.startswith(b"GET /healthz?")
    assert (await ask(cluster, "n1/proxy/metrics/none")).status == 404


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("n1/proxy/exec/default/web/app", "GET", 405),
        ("n1/proxy/", "GET", 405),
        ("n1/proxy/metrics", "POST", 405),
        ("none/proxy/metrics", "GET", 404),
        ("n1:1/proxy/metrics", "GET", 400),
        ("a:n1:1:2/proxy/metrics", "GET", 400),
    ],
)
async def test_everything_else_is_refused(cluster: Any, path: str, method: str, status: int) -> None:
    assert (await ask(cluster, path, method)).status == status


async def test_who_may_not_is_refused(cluster: Any) -> None:
    assert (await ask(cluster, "n1/proxy/metrics", peer=Peer("eve", ()))).status == 403
    assert (await ask(cluster, "n1/proxy/metrics", peer=Peer("kubelet-reader", ("system:authenticated",)))).status == 403


async def test_a_node_that_is_gone_is_a_clear_error(cluster: Any) -> None:
    plane, _ = cluster
    nodes = resource("nodes")
    node = await plane.client().get(nodes, "n1")
    status = {**node["status"], "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}
    await plane.client().update(nodes, {**node, "status": status}, subresource="status")
    answer = await ask(cluster, "n1/proxy/metrics")
    assert answer.status == 500 and b"error dialing backend" in answer.body
    await asyncio.sleep(0)


def test_names_may_have_a_scheme_and_a_port() -> None:
    assert [node_and_port(name) for name in ("n", "n:1", "https:n:1")] == [("n", ""), ("n", "1"), ("n", "1")]
    with pytest.raises(BadRequest):
        node_and_port("http:n:1")
