"""Aggregated APIs, against an extension server on loopback that believes only the front proxy."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import pytest

from podium.api.aggregation import APISERVICES, Backend
from podium.api.aggregation_checks import PASSED, check_service
from podium.api.aggregation_documents import aggregated_rows
from podium.api.authority import Authority
from podium.api.front_proxy import CONFIG_MAP, FrontProxy
from podium.client.https import Endpoint, HttpsClient
from podium.control_plane import ControlPlane, build
from podium.objects.resources import resource
from podium.objects.status import Invalid
from podium.store.memory import MemoryStore
from podium.world.http_client import HttpClient, HttpResponse
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from podium.world.real import RealWorld
from tests.api.conftest import SERVICE_CIDR

pytestmark = pytest.mark.conformance(
    "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator [LinuxOnly]"
)
ROOT = "/apis/wardle.example.com/v1alpha1"
FLUNDERS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "wardle.example.com/v1alpha1",
    "resources": [
        {
            "name": "flunders",
            "singularName": "flunder",
            "namespaced": True,
            "kind": "Flunder",
            "verbs": ["get", "list"],
            "shortNames": ["fl"],
        },
        {"name": "flunders/status", "singularName": "", "namespaced": True, "kind": "Flunder", "verbs": ["get"]},
    ],
}
LIST = {"kind": "FlunderList", "apiVersion": "wardle.example.com/v1alpha1", "metadata": {"resourceVersion": "1"}, "items": []}
DOCUMENT = {
    "swagger": "2.0",
    "paths": {f"{ROOT}/": {"get": {"operationId": "get", "responses": {"200": {"description": "OK"}}}}, "/apis/": {}},
    "definitions": {"com.example.wardle.v1alpha1.Flunder": {"type": "object", "description": "theirs"}},
}


@dataclass
class Extension:
    """An extension API server: what it was asked, and what it answers."""

    port: int = 0
    asked: list[HttpRequest] = field(default_factory=list)
    healthy: bool = True

    async def handle(self, http: HttpRequest, connection: Connection) -> Response | None:
        self.asked.append(http)
        assert http.peer is not None and http.peer.common_name == "front-proxy-client"
        if not self.healthy:
            return Response(500, b"ill")
        if "upgrade" in http.headers:
            raw = connection.switch_protocols(((b"upgrade", b"echo"), (b"connection", b"Upgrade")))
            while (data := await raw.receive()) is not None:
                raw.send(data.upper())
            return None
        if "watch" in http.query:
            stream = connection.start_stream(200, ((b"content-type", b"application/json"),))
            for name in ("a", "b"):
                stream.write(b'{"type":"ADDED","object":{"metadata":{"name":"%b"}}}\n' % name.encode())
                await asyncio.sleep(0)
            await stream.wait_closed()
            return None
        found = {
            ROOT: FLUNDERS,
            "/openapi/v3": {"paths": {ROOT[1:]: {"serverRelativeURL": f"/openapi/v3{ROOT}?hash=1"}}},
            f"/openapi/v3{ROOT}": {"openapi": "3.0.0", "info": {"title": "theirs"}},
            "/openapi/v2": DOCUMENT,
            f"{ROOT}/namespaces/default/flunders": LIST,
        }.get(http.path)
        if found is None:
            return Response(404, b'{"kind":"Status","reason":"NotFound","code":404}')
        body = http.body if http.method == "POST" else orjson.dumps(found)
        return Response(201 if http.method == "POST" else 200, body, ((b"content-type", b"application/json"), (b"x-theirs", b"1")))


@dataclass
class Aggregated:
    plane: ControlPlane
    extension: Extension
    authority: Authority
    admin: HttpsClient
    port: int

    async def ask(self, method: str, target: str, body: bytes = b"", accept: str = "application/json", **headers: str) -> HttpResponse:
        names = {"accept": accept} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.admin._http.request(method, target, body, names)

    async def register(self, *, service: str = "wardle", **spec: object) -> None:
        value = {
            "metadata": {"name": "v1alpha1.wardle.example.com"},
            "spec": {
                "group": "wardle.example.com", "version": "v1alpha1", "groupPriorityMinimum": 2000, "versionPriority": 200,
                "caBundle": base64.b64encode(self.authority.ca_pem).decode(),
                "service": {"namespace": "default", "name": service, "port": self.extension.port},
            } | spec,
        }  # fmt: skip
        await self.plane.client().create(APISERVICES, {**value, "spec": {k: v for k, v in value["spec"].items() if v is not None}})

    async def condition(self, reason: str) -> dict[str, str]:
        """Waits until the Available condition has it."""
        for _ in range(400):
            value = await self.plane.client().get(APISERVICES, "v1alpha1.wardle.example.com")
            conditions = value.get("status", {}).get("conditions", [])
            if conditions and conditions[0]["reason"] == reason:
                return conditions[0]
            await asyncio.sleep(0.005)
        raise AssertionError(conditions)


def _tls(authority: Authority, clients: str, hosts: list[str]) -> ssl.SSLContext:
    certificate, key = authority.issue_files(hosts[0], hosts[0], hosts=hosts)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(cadata=clients)
    tls.verify_mode = ssl.CERT_OPTIONAL
    return tls


@pytest.fixture
async def aggregated(authority: Authority) -> AsyncIterator[Aggregated]:
    front = FrontProxy.load_or_create(authority)
    plane = await build(MemoryStore(), RealWorld(), service_cidr=SERVICE_CIDR, signing_key=authority.service_account_key, front_proxy=front)
    extension = Extension()
    theirs = HttpServer(extension.handle, _tls(authority, front.ca_pem, ["wardle.default.svc"]))
    extension.port = await theirs.listen("localhost", 0)
    ours = HttpServer(plane.server.handle, _tls(authority, authority.ca_pem.decode(), ["127.0.0.1"]), on_crash=plane.server.crashed)
    port = await ours.listen("127.0.0.1", 0)
    certificate, key = authority.issue_files("admin", "kubernetes-admin", ["system:masters"])
    admin = HttpsClient(Endpoint(f"https://127.0.0.1:{port}", authority.ca_path, certificate, key))
    service = {"metadata": {"name": "wardle", "namespace": "default"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
    await plane.client().create(resource("services"), service)
    yield Aggregated(plane, extension, authority, admin, port)
    await admin.aclose()
    await ours.close()
    await plane.stop()
    await theirs.close()


async def test_requests_are_passed_on_with_who_asks(aggregated: Aggregated) -> None:
    await aggregated.register()
    assert (await aggregated.condition("Passed"))["message"] == "all checks passed"
    answer = await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders?limit=5", x_remote_user="mallory", authorization="")
    assert (answer.status, orjson.loads(answer.body), answer.headers["x-theirs"]) == (200, LIST, "1")
    asked = aggregated.extension.asked[-1]
    assert asked.target == f"{ROOT}/namespaces/default/flunders?limit=5"
    assert asked.headers["x-remote-user"] == "kubernetes-admin"
    assert asked.headers["x-remote-group"] == "system:masters, system:authenticated"
    assert "authorization" not in asked.headers
    created = await aggregated.ask("POST", f"{ROOT}/namespaces/default/flunders", b'{"kind":"Flunder"}')
    assert (created.status, created.body) == (201, b'{"kind":"Flunder"}')
    assert (await aggregated.ask("GET", f"{ROOT}/namespaces/default/gadgets")).status == 404


async def test_others_are_refused_here_and_not_there(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    answer = await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders", impersonate_user="ann")
    assert answer.status == 403 and not any("flunders" in asked.path for asked in aggregated.extension.asked)
    message = orjson.loads(answer.body)["message"]
    assert 'cannot list resource "flunders" in API group "wardle.example.com" in the namespace "default"' in message


async def test_requests_are_counted_and_take_a_seat(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    answer = await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")
    assert answer.headers["x-kubernetes-pf-flowschema-uid"] and answer.headers["x-kubernetes-pf-prioritylevel-uid"]
    counted = (await aggregated.ask("GET", "/metrics")).body.decode()
    labels = 'verb="LIST",group="wardle.example.com",version="v1alpha1",resource="flunders",subresource="",scope="namespace",code="200"'
    assert f"apiserver_request_total{{{labels}}} 1" in counted
    assert aggregated.plane.server.flows is not None
    assert not any(lane.running for lane in aggregated.plane.server.flows._lanes.values()), "a seat was not given back"


async def test_both_servers_know_a_request_by_one_audit_id(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    answer = await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders", audit_id="mine")
    assert answer.headers["audit-id"] == "mine" == aggregated.extension.asked[-1].headers["audit-id"]


async def test_watches_are_passed_on_as_they_come(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    async with await aggregated.admin._http.stream("GET", f"{ROOT}/namespaces/default/flunders?watch=1") as stream:
        lines = stream.lines()
        assert [orjson.loads(await anext(lines))["object"]["metadata"]["name"] for _ in range(2)] == ["a", "b"]


async def test_upgraded_connections_are_passed_on(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    switched = await aggregated.admin._http.upgrade("GET", f"{ROOT}/x", {"connection": "Upgrade", "upgrade": "echo"})
    assert not isinstance(switched, HttpResponse)
    headers, raw = switched
    raw.send(b"hello")
    assert headers["upgrade"] == "echo" and await raw.receive() == b"HELLO"
    raw.close()


async def test_discovery_has_the_group_where_its_priority_puts_it(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    groups = [g["name"] for g in orjson.loads((await aggregated.ask("GET", "/apis")).body)["groups"]]
    assert groups.index("wardle.example.com") == len(groups) - 1 and "apps" in groups
    group = orjson.loads((await aggregated.ask("GET", "/apis/wardle.example.com")).body)
    assert group["preferredVersion"] == {"groupVersion": "wardle.example.com/v1alpha1", "version": "v1alpha1"}
    assert orjson.loads((await aggregated.ask("GET", ROOT)).body) == FLUNDERS
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    item = orjson.loads((await aggregated.ask("GET", "/apis", accept=accept)).body)["items"][-1]
    (version,) = item["versions"]
    assert (version["freshness"], version["resources"]) == ("Current", aggregated_rows(FLUNDERS["resources"]))
    assert version["resources"][0]["subresources"][0]["subresource"] == "status"


async def test_openapi_has_their_documents(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    index = orjson.loads((await aggregated.ask("GET", "/openapi/v3")).body)["paths"]
    assert index[ROOT[1:]]["serverRelativeURL"] == f"/openapi/v3{ROOT}?hash=1" and "apis/apps/v1" in index
    theirs = orjson.loads((await aggregated.ask("GET", f"/openapi/v3{ROOT}?hash=1")).body)
    assert theirs["info"]["title"] == "theirs"
    whole = orjson.loads((await aggregated.ask("GET", "/openapi/v2")).body)
    assert "com.example.wardle.v1alpha1.Flunder" in whole["definitions"] and f"{ROOT}/" in whole["paths"]
    protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    assert b"com.example.wardle.v1alpha1.Flunder" in (await aggregated.ask("GET", "/openapi/v2", accept=protobuf)).body


async def test_an_ill_backend_is_unavailable_until_it_is_well(aggregated: Aggregated) -> None:
    aggregated.extension.healthy = False
    await aggregated.register()
    condition = await aggregated.condition("FailedDiscoveryCheck")
    assert "bad status from https://localhost:" in condition["message"] and condition["message"].endswith(": 500")
    answer = await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")
    assert (answer.status, answer.body) == (503, b"service unavailable\n")
    aggregated.extension.healthy = True
    assert (await aggregated.condition("Passed"))["status"] == "True"
    assert (await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")).status == 200


async def test_a_backend_by_another_authority_is_not_believed(aggregated: Aggregated, authority: Authority) -> None:
    other = Authority.load_or_create(authority.directory / "other")
    await aggregated.register(caBundle=base64.b64encode(other.ca_pem).decode())
    await aggregated.condition("Passed")  # the check asks for nothing secret, and does not verify, as upstream's
    answer = await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")
    assert answer.status == 503 and b"error trying to reach service" in answer.body


async def test_a_removed_registration_is_gone_at_once(aggregated: Aggregated) -> None:
    await aggregated.register(caBundle=None, insecureSkipTLSVerify=True)
    await aggregated.condition("Passed")
    assert (await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")).status == 200
    await aggregated.plane.client().delete(APISERVICES, "v1alpha1.wardle.example.com")
    assert (await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")).status == 404
    assert b"wardle" not in (await aggregated.ask("GET", "/apis")).body


async def test_a_missing_service_is_said(aggregated: Aggregated) -> None:
    await aggregated.register(service="absent")
    assert (await aggregated.condition("ServiceNotFound"))["message"] == 'service/absent in "default" is not present'


async def test_our_own_group_versions_are_local_and_available(aggregated: Aggregated) -> None:
    for _ in range(400):
        page = await aggregated.plane.client().list(APISERVICES)
        local = {i["metadata"]["name"]: i for i in page.items if i.get("status", {}).get("conditions")}
        if "v1.apps" in local and len(local) > 20:
            break
        await asyncio.sleep(0.005)
    assert local["v1."]["spec"] == {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}
    assert local["v1.apps"]["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    (condition,) = local["v1.apps"]["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Available", "True", "Local")
    assert condition["message"] == "Local APIServices are always available"


async def test_registrations_are_listed_with_where_and_whether(aggregated: Aggregated) -> None:
    await aggregated.register(service="absent")
    await aggregated.condition("ServiceNotFound")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = orjson.loads((await aggregated.ask("GET", "/apis/apiregistration.k8s.io/v1/apiservices", accept=accept)).body)
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Service", "Available", "Age"]
    rows = {row["cells"][0]: row["cells"][1:3] for row in table["rows"]}
    assert rows["v1alpha1.wardle.example.com"] == ["default/absent", "False (ServiceNotFound)"]
    assert rows.get("v1.", ["Local"])[0] == "Local"


async def test_extension_servers_find_whom_to_believe(aggregated: Aggregated) -> None:
    data = (await aggregated.plane.client().get(resource("configmaps"), CONFIG_MAP, "kube-system"))["data"]
    assert data["requestheader-username-headers"] == '["X-Remote-User"]' and data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["requestheader-client-ca-file"] != data["client-ca-file"] == aggregated.authority.ca_pem.decode()


BACKEND = Backend("v1.g", "g", "v1", "ns", "s", 443, b"", True, 1, 1)
SERVICE = {"spec": {"type": "ClusterIP", "ports": [{"port": 443, "name": "https"}]}}
READY = {"endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"name": "https", "port": 8443}]}
UNREADY = {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": False}}], "ports": [{"name": "https", "port": 8443}]}


@pytest.mark.parametrize(
    ("service", "slices", "reason", "message"),
    [
        (None, [], "ServiceNotFound", 'service/s in "ns" is not present'),
        ({"spec": {"ports": [{"port": 80}]}}, [], "ServicePortError", 'service/s in "ns" is not listening on port 443'),
        (SERVICE, [], "EndpointsNotFound", 'cannot find endpointslices for service/s in "ns"'),
        (SERVICE, [UNREADY], "MissingEndpoints", 'endpointslices for service/s in "ns" have no addresses with port name "https"'),
        (SERVICE, [UNREADY, READY], PASSED.reason, PASSED.message),
    ],
)
def test_what_is_wrong_with_a_service_is_said_as_upstream_does(service, slices, reason, message) -> None:
    finding = check_service(BACKEND, service, slices)
    assert (finding.reason, finding.message) == (reason, message)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"versionPriority": 0}, "spec.versionPriority"),
        ({"groupPriorityMinimum": 20001}, "spec.groupPriorityMinimum"),
        ({"insecureSkipTLSVerify": True}, "spec.insecureSkipTLSVerify"),
        ({"version": "v2"}, "metadata.name"),
    ],
)
async def test_a_wrong_registration_is_refused(aggregated: Aggregated, change: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await aggregated.register(**change)
    assert field in [c["field"] for c in (refused.value.details or {})["causes"]]


async def test_connections_to_a_backend_are_kept(aggregated: Aggregated) -> None:
    await aggregated.register()
    await aggregated.condition("Passed")
    for _ in range(3):
        await aggregated.ask("GET", f"{ROOT}/namespaces/default/flunders")
    clients = list(aggregated.plane.server.aggregation.clients._clients.values())
    assert all(isinstance(c, HttpClient) and len(c._open) <= 1 for c in clients)
