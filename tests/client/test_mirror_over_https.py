"""A mirror whose server goes away and comes back: real TLS on loopback."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from podium.api.authority import Authority
from podium.client.https import Endpoint, HttpsClient
from podium.client.mirror import Mirror
from podium.control_plane import build
from podium.objects.resources import resource
from podium.objects.values import key_of
from podium.store.memory import MemoryStore
from podium.world.http_server import HttpServer
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor

CONFIGMAPS = resource("configmaps")


@asynccontextmanager
async def served(plane, authority, port=0):
    certificate, key = authority.issue_files("apiserver", "kube-apiserver", hosts=["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(cafile=str(authority.ca_path))
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = HttpServer(plane.server.handle, tls, on_crash=plane.server.crashed, on_too_large=plane.server.too_large)
    try:
        yield await server.listen("127.0.0.1", port)
    finally:
        await server.close()


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("compacted", [False, True])
async def test_mirror_survives_a_server_that_restarts(tmp_path, compacted):
    authority, world = Authority.load_or_create(tmp_path), RealWorld()
    plane = await build(MemoryStore(), world, service_cidr="10.96.0.0/24", signing_key=authority.service_account_key)
    writer = plane.client()

    async def put(name):
        await writer.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})

    supervisor = Supervisor("test")
    changes = []
    try:
        async with served(plane, authority) as port:
            identity = authority.issue_files("admin", "kubernetes-admin", ["system:masters"])
            client = HttpsClient(Endpoint(f"https://127.0.0.1:{port}", authority.ca_path, *identity))
            mirror = Mirror(client, CONFIGMAPS, world)
            mirror.subscribe(lambda change: changes.append((change.type, key_of(change.object))))
            supervisor.start("mirror", mirror.run())
            await put("a")
            await until(lambda: ("added", "default/a") in changes)
        await put("b")
        await writer.delete(CONFIGMAPS, "a", "default")
        if compacted:
            await plane.server.core.store.compact(plane.server.core.store.revision)
        async with served(plane, authority, port):
            await put("c")
            await until(lambda: ("added", "default/c") in changes)
        assert sorted(changes) == [("added", "default/a"), ("added", "default/b"), ("added", "default/c"), ("deleted", "default/a")]
        assert [key_of(value) for value in mirror.all()] == ["default/b", "default/c"]
    finally:
        await supervisor.stop()
        await client.aclose()
        await plane.stop()
