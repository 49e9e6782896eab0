"""An extension API server in a process of its own, reached through the aggregator with every verb, until its namespace is gone."""

import asyncio
import base64
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from podium.api.aggregation import APISERVICES
from podium.api.authority import Authority
from podium.api.front_proxy import FrontProxy
from podium.api.request import User
from podium.client.https import Endpoint, HttpsClient
from podium.control_plane import ControlPlane, build, start_controllers
from podium.objects.resources import Resource, resource
from podium.objects.status import AlreadyExists, Forbidden, Invalid, NotFound, ServiceUnavailable
from podium.store.memory import MemoryStore
from podium.world.http_server import HttpServer
from podium.world.real import RealWorld
from tests.fakes.sample_api_server import GROUP, ROOT, VERBS, VERSION

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
NAME = f"{VERSION}.{GROUP}"
NAMESPACE = "wardle"
FLUNDERS = Resource(GROUP, VERSION, "flunders", "Flunder", True, tuple(VERBS))
FLUNDER = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "rest-flunder", "labels": {"sample": "yes"}}}
WITHIN_S = 20.0
Object = dict[str, Any]


@dataclass
class Aggregator:
    plane: ControlPlane
    admin: HttpsClient
    process: asyncio.subprocess.Process
    registration: Object

    async def settled(self, condition: Any) -> Object:
        """The APIService once it meets `condition`."""
        async with asyncio.timeout(WITHIN_S):
            while not condition(value := await self.admin.get(APISERVICES, NAME)):
                await asyncio.sleep(0.01)
        return value

    async def gone(self, kind: Resource, name: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    await self.admin.get(kind, name)
                except NotFound:
                    return
                await asyncio.sleep(0.01)


def available(value: Object) -> str:
    return next((c["status"] for c in value.get("status", {}).get("conditions", ()) if c["type"] == "Available"), "")


def _tls(authority: Authority) -> ssl.SSLContext:
    certificate, key = authority.issue_files("server", "server", hosts=["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(authority.ca_path)
    tls.verify_mode = ssl.CERT_OPTIONAL
    return tls


async def started(theirs: Authority, front: FrontProxy, directory: Path) -> tuple[asyncio.subprocess.Process, int]:
    certificate, key = theirs.issue_files("sample", "sample", hosts=[f"api.{NAMESPACE}.svc"])
    clients = directory / "clients.crt"
    clients.write_text(front.ca_pem)
    files = ("--certificate", str(certificate), "--key", str(key), "--clients-ca", str(clients))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.fakes.sample_api_server", *files, stdout=PIPE)
    assert process.stdout is not None
    return process, int(await asyncio.wait_for(process.stdout.readline(), WITHIN_S))


@pytest.fixture
async def aggregator(tmp_path: Path) -> AsyncIterator[Aggregator]:
    ours, theirs = Authority.load_or_create(tmp_path / "ours"), Authority.load_or_create(tmp_path / "theirs")
    front = FrontProxy.load_or_create(ours)
    process, port = await started(theirs, front, tmp_path)
    plane = await build(
        MemoryStore(), RealWorld(), service_cidr="10.96.0.0/24", signing_key=ours.service_account_key, front_proxy=front
    )  # fmt: skip
    start_controllers(plane, ca_pem=ours.ca_pem.decode(), scheduler=False)
    server = HttpServer(plane.server.handle, _tls(ours), on_crash=plane.server.crashed)
    url = f"https://127.0.0.1:{await server.listen('127.0.0.1', 0)}"
    admin = HttpsClient(Endpoint(url, ours.ca_path, *ours.issue_files("admin", "kubernetes-admin", ["system:masters"])))
    await admin.create(resource("namespaces"), {"metadata": {"name": NAMESPACE}})
    service = {"metadata": {"name": "api", "namespace": NAMESPACE}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
    await admin.create(resource("services"), service)
    spec = {
        "group": GROUP, "version": VERSION, "groupPriorityMinimum": 2000, "versionPriority": 200,
        "caBundle": base64.b64encode(theirs.ca_pem).decode(), "service": {"namespace": NAMESPACE, "name": "api", "port": port},
    }  # fmt: skip
    yield Aggregator(plane, admin, process, {"metadata": {"name": NAME, "labels": {"e2e": "aggregator"}}, "spec": spec})
    if process.returncode is None:
        process.terminate()
    await process.wait()
    await admin.aclose()
    await server.close()
    await plane.stop()


@pytest.mark.conformance(
    "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator [LinuxOnly]"
)
async def test_a_sample_api_server_is_served_by_the_aggregator(aggregator: Aggregator) -> None:
    admin = aggregator.admin
    await admin.create(APISERVICES, aggregator.registration)
    value = await aggregator.settled(lambda v: available(v) == "True")
    await discovered(admin)
    await flunders_live(admin)
    await the_registration_is_changed(aggregator, value)
    await admin.delete(APISERVICES, NAME)
    await aggregator.gone(APISERVICES, NAME)
    with pytest.raises(NotFound):
        await admin.list(FLUNDERS, NAMESPACE)


async def discovered(admin: HttpsClient) -> None:
    groups = {g["name"]: g for g in await read(admin, "/apis", "groups")}
    assert groups[GROUP]["preferredVersion"]["version"] == VERSION
    assert {r["name"] for r in await read(admin, ROOT, "resources")} == {"flunders", "fischers"}


async def read(admin: HttpsClient, path: str, field: str) -> list[Object]:
    answer = await admin.raw("GET", path)
    assert answer.status == 200
    found: list[Object] = orjson.loads(answer.body)[field]
    return found


async def flunders_live(admin: HttpsClient) -> None:
    watch = aiter(admin.watch(FLUNDERS, NAMESPACE, revision="1"))
    began = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.1)
    created = await admin.create(FLUNDERS, FLUNDER, NAMESPACE)
    assert (created["metadata"]["name"], created["metadata"]["namespace"]) == ("rest-flunder", NAMESPACE)
    with pytest.raises(AlreadyExists):
        await admin.create(FLUNDERS, FLUNDER, NAMESPACE)
    with pytest.raises(Invalid):
        both = {**FLUNDER, "metadata": {"name": "both"}, "spec": {"flunderReference": "a", "fischerReference": "b"}}
        await admin.create(FLUNDERS, both, NAMESPACE)
    assert [item["metadata"]["name"] for item in (await admin.list(FLUNDERS, NAMESPACE)).items] == ["rest-flunder"]
    patched = await admin.patch(FLUNDERS, "rest-flunder", {"spec": {"reference": "a"}}, NAMESPACE)
    assert patched["spec"] == {"reference": "a"} and (await admin.get(FLUNDERS, "rest-flunder", NAMESPACE)) == patched
    await admin.delete(FLUNDERS, "rest-flunder", NAMESPACE)
    assert (await admin.list(FLUNDERS, NAMESPACE)).items == []
    async with asyncio.timeout(WITHIN_S):
        seen = [await began, await anext(watch), await anext(watch)]
    assert [(e.type, e.object["metadata"]["uid"]) for e in seen] == [
        (kind, created["metadata"]["uid"]) for kind in ("ADDED", "MODIFIED", "DELETED")
    ]
    await watch.aclose()  # type: ignore[attr-defined]


async def the_registration_is_changed(aggregator: Aggregator, value: Object) -> None:
    admin = aggregator.admin
    patched = await admin.patch(APISERVICES, NAME, {"spec": {"versionPriority": 400}})
    assert patched["spec"]["versionPriority"] == 400 and patched["metadata"]["generation"] == value["metadata"]["generation"] + 1
    assert NAME in [item["metadata"]["name"] for item in (await admin.list(APISERVICES, labels="e2e=aggregator")).items]
    condition = {"type": "StatusUpdated", "status": "True", "reason": "E2E", "message": "Set by a test"}
    updated = {**patched, "status": {**patched["status"], "conditions": [*patched["status"]["conditions"], condition]}}
    assert condition["type"] in [
        c["type"] for c in (await admin.update(APISERVICES, updated, subresource="status"))["status"]["conditions"]
    ]
    at = await admin.get(APISERVICES, NAME, subresource="status")
    assert {c["type"] for c in at["status"]["conditions"]} == {"Available", "StatusUpdated"}
    assert (await admin.raw("DELETE", f"{APISERVICES.path()}?labelSelector=e2e%3Dnone")).status == 200
    assert available(await admin.get(APISERVICES, NAME)) == "True"


async def test_a_namespace_takes_its_flunders_with_it(aggregator: Aggregator) -> None:
    admin = aggregator.admin
    await admin.create(APISERVICES, aggregator.registration)
    await aggregator.settled(lambda v: available(v) == "True")
    await admin.create(resource("namespaces"), {"metadata": {"name": "short-lived"}})
    for n in range(3):
        await admin.create(FLUNDERS, {**FLUNDER, "metadata": {"name": f"f{n}"}}, "short-lived")
    await admin.create(FLUNDERS, FLUNDER, "default")
    await admin.delete(resource("namespaces"), "short-lived")
    await aggregator.gone(resource("namespaces"), "short-lived")
    assert [item["metadata"]["namespace"] for item in (await admin.list(FLUNDERS)).items] == ["default"]


async def test_a_namespace_stays_while_an_api_is_silent(aggregator: Aggregator) -> None:
    """Nobody can tell what is in it there."""
    admin, namespaces = aggregator.admin, resource("namespaces")
    await admin.create(APISERVICES, aggregator.registration)
    await aggregator.settled(lambda v: available(v) == "True")
    await admin.create(namespaces, {"metadata": {"name": "short-lived"}})
    aggregator.process.terminate()
    await aggregator.process.wait()
    await admin.patch(APISERVICES, NAME, {"spec": {"versionPriority": 300}})  # is checked anew
    await aggregator.settled(lambda v: available(v) == "False")
    with pytest.raises(ServiceUnavailable):
        await admin.list(FLUNDERS, "short-lived")
    await admin.delete(namespaces, "short-lived")
    async with asyncio.timeout(WITHIN_S):
        while not (conditions := (await admin.get(namespaces, "short-lived"))["status"].get("conditions")):
            await asyncio.sleep(0.01)
    (failure,) = [c for c in conditions if c["type"] == "NamespaceDeletionDiscoveryFailure"]
    assert (failure["status"], failure["reason"]) == ("True", "DiscoveryFailed")
    assert f"{GROUP}/{VERSION}: stale GroupVersion discovery: {GROUP}/{VERSION}" in failure["message"]
    await admin.delete(APISERVICES, NAME)
    await aggregator.gone(namespaces, "short-lived")


async def test_a_component_reaches_an_aggregated_api_as_itself(aggregator: Aggregator) -> None:
    await aggregator.admin.create(APISERVICES, aggregator.registration)
    await aggregator.settled(lambda v: available(v) == "True")
    client = aggregator.plane.client()
    made = await client.create(FLUNDERS, FLUNDER, NAMESPACE)
    assert (await client.get(FLUNDERS, "rest-flunder", NAMESPACE))["metadata"]["uid"] == made["metadata"]["uid"]
    assert (await client.update(FLUNDERS, {**made, "spec": {"reference": "b"}}))["spec"] == {"reference": "b"}
    assert (await client.list(FLUNDERS, NAMESPACE)).items[0]["kind"] == "Flunder"
    with pytest.raises(Forbidden):
        await aggregator.plane.client(User("ann", ("system:authenticated",))).list(FLUNDERS, NAMESPACE)
    with pytest.raises(NotFound):
        await client.delete(FLUNDERS, "absent", NAMESPACE)
