"""Clients that want to hurt the API server, over TLS: upstream's status and words, nothing stored, and the server lives on."""

import asyncio
import ssl
import time

import orjson
import pytest

from podium.api import stream_watch
from podium.objects.resources import resource
from tests.api.objects import configmap, pod
from tests.api.test_server import Live, live  # noqa: F401  a fixture

CONFIGMAPS = resource("configmaps")
TARGET = "/api/v1/namespaces/default/configmaps"
MERGE, JSON, STRATEGIC, APPLY = (
    f"application/{kind}" for kind in ("merge-patch+json", "json-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
)


async def slow_reader(live: Live, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # noqa: F811
    tls = ssl.create_default_context(cafile=str(live.authority.ca_path))
    tls.load_cert_chain(*live.authority.issue_files("admin", "kubernetes-admin", ["system:masters"]))
    port = int(live.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1024)
    writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\n\r\n".encode())
    return reader, writer


async def test_a_watcher_that_does_not_read_is_cut_off_and_not_buffered(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(stream_watch, "BUFFERED_BYTES_MAX", 500_000)
    created = await live.admin.create(CONFIGMAPS, configmap("a", k="v"))
    reader, writer = await slow_reader(live, f"{TARGET}?watch=1&resourceVersion={created['metadata']['resourceVersion']}")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    hub = live.plane.server.hubs.of(CONFIGMAPS)
    other = live.admin.watch(CONFIGMAPS, "default", revision=created["metadata"]["resourceVersion"])
    buffered = 0
    for i in range(60):
        await live.admin.patch(CONFIGMAPS, "a", {"data": {"k": f"{i}" + "x" * 200_000}}, "default")
        assert (await anext(other)).object["data"]["k"].startswith(f"{i}x")  # who reads is not disturbed
        slow = [w for group in hub._groups.values() for w in group.watchers if w._stream.buffered_bytes]
        buffered = max([buffered, *(w._stream.buffered_bytes for w in slow)])
        if hub.watcher_count == 1:
            break
    assert hub.watcher_count == 1 and buffered < 1_000_000
    await other.aclose()  # type: ignore[attr-defined]
    writer.close()


DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [%b]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 108))
DOUBLING = [{"op": "add", "path": "/data/x", "value": "x" * 1000}] + [
    {"op": "copy", "from": "/data", "path": f"/data/{i}"} for i in range(30)
]


@pytest.mark.parametrize(
    ("method", "target", "body", "media", "status", "words"),
    [
        ("POST", TARGET, DEEP, "application/json", 400, "exceeded max depth"),
        ("POST", TARGET, b"[" * 1_000_000, "application/json", 400, ""),
        ("POST", TARGET, b"- " * 100_000, "application/yaml", 400, ""),
        ("POST", TARGET, b"{a: " * 20_000, "application/yaml", 400, ""),
        ("POST", TARGET, BOMB, "application/yaml", 400, ""),
        ("POST", TARGET, b"\x0a" * 100_000, "application/vnd.kubernetes.protobuf", 400, ""),
        ("POST", TARGET, b"k8s\x00" + b"\x12\x80\x80\x04" * 10_000, "application/vnd.kubernetes.protobuf", 400, ""),
        ("POST", TARGET, bytes(3 * 1024 * 1024 + 1), "application/json", 413, "limit is 3145728"),
        ("PATCH", f"{TARGET}/a", DEEP, MERGE, 400, "exceeded max depth"),
        ("PATCH", f"{TARGET}/a", DEEP, STRATEGIC, 400, "exceeded max depth"),
        ("PATCH", f"{TARGET}/a?fieldManager=m", b"{a: " * 20_000, APPLY, 400, ""),
        ("PATCH", f"{TARGET}/a", orjson.dumps([{"op": "test", "path": "/data/k", "value": "v"}] * 10_001), JSON, 413, "10000"),
        ("PATCH", f"{TARGET}/a", orjson.dumps(DOUBLING), JSON, 422, "accumulated size"),
        ("GET", f"{TARGET}?labelSelector=" + "a," * 10_000 + "a", b"", "", 200, ""),
        ("GET", f"{TARGET}?continue=" + "A" * 30_000, b"", "", 400, "continue"),
        ("GET", "/api/v1/" + "a/" * 20_000, b"", "", 404, ""),
    ],
)  # fmt: skip
async def test_a_bomb_is_refused_quickly(live: Live, method: str, target: str, body: bytes, media: str, status: int, words: str) -> None:  # noqa: F811
    await live.admin.create(CONFIGMAPS, configmap("a", k="v"))
    began = time.process_time()
    response = await live.ask(method, target, body, content_type=media)
    message = orjson.loads(response.body).get("message", "")
    assert response.status == status and words in message, (response.status, message[:300])
    assert time.process_time() - began < 1.0
    assert len(response.body) < 10_000
    assert [i["metadata"]["name"] for i in (await live.admin.list(CONFIGMAPS, "default")).items] == ["a"]


async def test_a_hundred_thousand_labels_are_told_to_be_too_much(live: Live) -> None:  # noqa: F811
    value = configmap("many")
    value["metadata"]["labels"] = {f"l{i}": "v" for i in range(100_000)}
    response = await live.ask("POST", TARGET, value)
    status = orjson.loads(response.body)
    assert response.status == 413 and status["message"].startswith("etcdserver: request is too large"), status["message"][:200]
    assert (await live.ask("GET", f"{TARGET}/many")).status == 404


async def test_large_annotations_are_too_long(live: Live) -> None:  # noqa: F811
    value = configmap("many")
    value["metadata"]["annotations"] = {f"a{i}": "v" * 1000 for i in range(300)}
    response = await live.ask("POST", TARGET, value)
    assert (
        response.status == 422
        and "metadata.annotations: Too long: may not be more than 262144 bytes" in orjson.loads(response.body)["message"]
    )


async def test_a_pod_of_ten_thousand_containers_is_judged_in_time(live: Live) -> None:  # noqa: F811
    value = pod("p")
    value["spec"]["containers"] = [{"name": f"c{i}", "image": "app:1"} for i in range(10_000)]
    began = time.process_time()
    response = await live.ask("POST", "/api/v1/namespaces/default/pods", value)
    assert response.status in (201, 413, 422, 500) and time.process_time() - began < 3.0
