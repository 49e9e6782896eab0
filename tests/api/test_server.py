"""The front over TLS: identities, forms, warnings, refusals; the HTTPS client against it."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import orjson
import pytest

from podium.api.authority import Authority
from podium.client.https import Endpoint, HttpsClient
from podium.client.interface import DeleteOptions
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, Conflict, Expired, Forbidden, NotFound, Unauthorized
from podium.world.http_client import HttpClient, HttpResponse
from podium.world.http_server import HttpServer
from tests.api.objects import configmap, grant, pod

CONFIGMAPS = resource("configmaps")


@dataclass
class Live:
    """A served control plane; `raw` has no identity, `admin` is an administrator."""

    plane: ControlPlane
    authority: Authority
    url: str
    raw: HttpClient
    admin: HttpsClient

    async def ask(self, method: str, target: str, body: object = None, **headers: str) -> HttpResponse:
        """As the administrator; header names with underscores for dashes."""
        data = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
        names = {"accept": "application/json", "content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.admin._http.request(method, target, data, names)

    def token_client(self, token: str) -> HttpsClient:
        return HttpsClient(Endpoint(self.url, self.authority.ca_path, token=token))


@pytest.fixture
async def live(plane: ControlPlane, authority: Authority) -> AsyncIterator[Live]:
    certificate, key = authority.issue_files("apiserver", "kube-apiserver", hosts=["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(cafile=str(authority.ca_path))
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = HttpServer(plane.server.handle, tls, on_crash=plane.server.crashed, on_too_large=plane.server.too_large)
    port = await server.listen("127.0.0.1", 0)
    url = f"https://127.0.0.1:{port}"
    admin = HttpsClient(Endpoint(url, authority.ca_path, *authority.issue_files("admin", "kubernetes-admin", ["system:masters"])))
    raw = HttpClient("127.0.0.1", port, ssl.create_default_context(cafile=str(authority.ca_path)))
    yield Live(plane, authority, url, raw, admin)
    await admin.aclose()
    await raw.aclose()
    await server.close()


async def test_the_https_client_is_told_what_the_in_process_client_is(live: Live) -> None:
    created = await live.admin.create(CONFIGMAPS, configmap("a", k="v"))
    assert created == await live.plane.client().get(CONFIGMAPS, "a", "default")
    assert (await live.admin.patch(CONFIGMAPS, "a", {"data": {"x": "y"}}, "default"))["data"] == {"k": "v", "x": "y"}
    with pytest.raises(AlreadyExists):
        await live.admin.create(CONFIGMAPS, configmap("a"))
    with pytest.raises(Conflict):
        await live.admin.update(CONFIGMAPS, {**created, "data": {}})
    assert [i["metadata"]["name"] for i in (await live.admin.list(CONFIGMAPS, "default")).items] == ["a"]
    with pytest.raises(Conflict):
        await live.admin.delete(CONFIGMAPS, "a", "default", DeleteOptions(uid="other"))
    await live.admin.delete(CONFIGMAPS, "a", "default")
    with pytest.raises(NotFound):
        await live.admin.get(CONFIGMAPS, "a", "default")


async def test_a_watch_over_https_gives_every_event(live: Live) -> None:
    first = await live.admin.create(CONFIGMAPS, configmap("a"))
    watch = live.admin.watch(CONFIGMAPS, "default", revision=first["metadata"]["resourceVersion"])
    for i in range(50):
        await live.admin.patch(CONFIGMAPS, "a", {"data": {"i": str(i)}}, "default")
    got = [(await anext(watch)).object["data"]["i"] for _ in range(50)]
    assert got == [str(i) for i in range(50)]
    await watch.aclose()  # type: ignore[attr-defined]


async def test_an_expired_watch_is_said_in_the_stream(live: Live) -> None:
    old = (await live.admin.create(CONFIGMAPS, configmap("a")))["metadata"]["resourceVersion"]
    await live.admin.create(CONFIGMAPS, configmap("b"))
    await live.admin.create(CONFIGMAPS, configmap("c"))
    await live.plane.server.core.store.compact(live.plane.server.core.store.revision)
    with pytest.raises(Expired):
        await anext(live.admin.watch(CONFIGMAPS, "default", revision=old))


@pytest.mark.parametrize("path", ["/api/v1/pods", "/api", "/version", "/openapi/v2", "/nonsense"])
async def test_nobody_is_anonymous(live: Live, path: str) -> None:
    response = await live.raw.request("GET", path)
    assert response.status == 401 and orjson.loads(response.body)["reason"] == "Unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz/ping", "/livez?verbose"])
async def test_health_is_public(live: Live, path: str) -> None:
    assert (await live.raw.request("GET", path)).status == 200


async def test_a_certificate_of_another_authority_is_not_let_in(live: Live, tmp_path: object) -> None:
    from pathlib import Path

    other = Authority.load_or_create(Path(str(tmp_path)) / "other")
    certificate, key = other.issue_files("mallory", "kubernetes-admin", ["system:masters"])
    client = HttpsClient(Endpoint(live.url, live.authority.ca_path, certificate, key))
    with pytest.raises(ConnectionError):
        await client.get(CONFIGMAPS, "a", "default")


async def _token(live: Live, **spec: object) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    created = await live.admin.create(resource("serviceaccounts"), body, "default", subresource="token", name="default")
    return str(created["status"]["token"])


async def test_a_service_account_token_says_who_it_is(live: Live) -> None:
    client = live.token_client(await _token(live))
    with pytest.raises(Forbidden, match='User "system:serviceaccount:default:default" cannot list resource "configmaps"'):
        await client.list(CONFIGMAPS, "default")
    await grant(live.plane.client(), "view", "ServiceAccount", "default", namespace="default")
    assert (await client.list(CONFIGMAPS, "default")).items == []
    with pytest.raises(Forbidden, match='User "system:serviceaccount:default:default" cannot list resource "nodes"'):
        await client.list(resource("nodes"))
    await live.admin.delete(resource("serviceaccounts"), "default", "default")
    with pytest.raises(Unauthorized):
        await client.list(CONFIGMAPS, "default")


async def test_a_bound_token_ends_with_its_pod(live: Live) -> None:
    await grant(live.plane.client(), "view", "ServiceAccount", "default", namespace="default")
    await live.admin.create(resource("pods"), pod("p"))
    client = live.token_client(await _token(live, boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "p"}))
    await client.list(CONFIGMAPS, "default")
    await live.admin.delete(resource("pods"), "p", "default")
    with pytest.raises(Unauthorized):
        await client.list(CONFIGMAPS, "default")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_forged_token_is_not_let_in(live: Live, token: str) -> None:
    response = await live.raw.request("GET", "/api/v1/pods", headers={"authorization": f"Bearer {token}"})
    assert response.status == 401


async def test_a_token_for_another_audience_is_not_let_in(live: Live) -> None:
    with pytest.raises(Unauthorized):
        await live.token_client(await _token(live, audiences=["elsewhere"])).list(CONFIGMAPS, "default")


async def test_an_expired_token_is_not_let_in(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await _token(live, expirationSeconds=600)
    clock = live.plane.world.clock
    later = clock.now() + timedelta(seconds=601)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(Unauthorized):
        await live.token_client(token).list(CONFIGMAPS, "default")


BAD_INPUT: list[tuple[str, str, bytes, str, int, str]] = [
    ("POST", "/api/v1/namespaces/default/configmaps", b"{", "application/json", 400, "BadRequest"),
    ("POST", "/api/v1/namespaces/default/configmaps", b"a: [", "application/yaml", 400, "BadRequest"),
    ("POST", "/api/v1/namespaces/default/configmaps", b"[]", "application/json", 400, "BadRequest"),
    ("POST", "/api/v1/namespaces/default/configmaps", b"", "application/json", 400, "BadRequest"),
    ("POST", "/api/v1/namespaces/default/configmaps", b"k8s\x00", "application/vnd.kubernetes.protobuf", 400, "BadRequest"),
    ("POST", "/api/v1/namespaces/default/configmaps", b"\xa0", "application/cbor", 415, "UnsupportedMediaType"),
    ("POST", "/api/v1/namespaces/default/configmaps", b"[" * 20_000, "application/json", 400, "BadRequest"),
    ("PATCH", "/api/v1/namespaces/default/configmaps/a", b"{}", "application/apply-patch+yaml", 422, "Invalid"),
    ("PATCH", "/api/v1/namespaces/default/configmaps/a", b"{}", "application/json", 415, "UnsupportedMediaType"),
    ("POST", "/api/v1/configmaps", b"{}", "application/json", 405, "MethodNotAllowed"),
    ("TRACE", "/api/v1/namespaces/default/configmaps", b"", "", 405, "MethodNotAllowed"),
    ("GET", "/api/v1/namespaces/default/configmaps/absent", b"", "", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/gadgets", b"", "", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/pods/absent/log", b"", "", 404, "NotFound"),
    ("DELETE", "/api/v1/namespaces/default/configmaps/a", b'{"propagationPolicy":"Sideways"}', "application/json", 422, "Invalid"),
    ("GET", "/api/v1/namespaces/default/configmaps?limit=-1", b"", "", 400, "BadRequest"),
    ("GET", "/api/v1/namespaces/default/configmaps?labelSelector=a%3D%3D%3Db", b"", "", 400, "BadRequest"),
    ("GET", "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=x", b"", "", 400, "BadRequest"),
]


@pytest.mark.parametrize(("method", "target", "body", "media", "status", "reason"), BAD_INPUT)
async def test_bad_input_is_told_so(live: Live, method: str, target: str, body: bytes, media: str, status: int, reason: str) -> None:
    response = await live.ask(method, target, body, content_type=media)
    assert (response.status, orjson.loads(response.body)["reason"]) == (status, reason), response.body
    assert b"Traceback" not in response.body


@pytest.mark.parametrize(
    ("mode", "status", "warned"),
    [
        ("", 201, True),
        ("?fieldValidation=Warn", 201, True),
        ("?fieldValidation=Ignore", 201, False),
        ("?fieldValidation=Strict", 400, False),
    ],
)
async def test_field_validation_says_what_to_do_with_unknown_fields(live: Live, mode: str, status: int, warned: bool) -> None:
    body = b'{"metadata":{"name":"a"},"dta":{},"data":{"k":"1"},"data":{"k":"2"}}'
    response = await live.ask("POST", f"/api/v1/namespaces/default/configmaps{mode}", body)
    assert response.status == status
    assert ('unknown field \\"dta\\"' in response.headers.get("warning", "")) is warned


@pytest.mark.parametrize(
    "target", ["/healthz", "/api/v1/namespaces", "/api/v1/pods/nowhere/x", "/apis", "/api/v1/namespaces/n/pods/absent"]
)
async def test_every_answer_has_an_audit_id(live: Live, target: str) -> None:
    own = [(await live.ask("GET", target)).headers["audit-id"] for _ in range(2)]
    assert len(set(own)) == 2 and all(len(text) == 36 for text in own)
    assert (await live.ask("GET", target, audit_id="given")).headers["audit-id"] == "given"


async def test_a_watch_has_an_audit_id(live: Live) -> None:
    async with await live.admin._http.stream("GET", "/api/v1/configmaps?watch=1", headers={"audit-id": "given"}) as stream:
        assert stream.headers["audit-id"] == "given"


async def test_too_large_is_said_before_the_body_is_read(live: Live) -> None:
    response = await live.ask("POST", "/api/v1/namespaces/default/configmaps", bytes(3 * 1024 * 1024 + 1))
    assert (response.status, orjson.loads(response.body)["reason"]) == (413, "RequestEntityTooLarge")


async def test_tables_and_metadata_are_forms_of_the_same_list(live: Live) -> None:
    await live.admin.create(CONFIGMAPS, configmap("a", k="v"))
    target = "/api/v1/namespaces/default/configmaps"
    table = orjson.loads((await live.ask("GET", target, accept="application/json;as=Table;v=v1;g=meta.k8s.io")).body)
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Data", "Age"] and table["rows"][0]["cells"][:2] == ["a", 1]
    partial = orjson.loads((await live.ask("GET", target, accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")).body)
    assert partial["kind"] == "PartialObjectMetadataList" and partial["items"][0].keys() == {"kind", "apiVersion", "metadata"}
    assert b"name: a" in (await live.ask("GET", target, accept="application/yaml")).body


async def test_dry_run_answers_and_stores_nothing(live: Live) -> None:
    target = "/api/v1/namespaces/default/configmaps"
    assert (await live.ask("POST", f"{target}?dryRun=All", configmap("a"))).status == 201
    assert (await live.ask("GET", f"{target}/a")).status == 404
    assert (await live.ask("POST", f"{target}?dryRun=Some", configmap("a"))).status == 422


async def test_events_are_the_same_objects_in_both_groups(live: Live) -> None:
    event = {
        "metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "R", "message": "M", "type": "Normal",
    }  # fmt: skip
    assert (await live.ask("POST", "/api/v1/namespaces/default/events", event)).status == 201
    other = orjson.loads((await live.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")).body)
    assert (other["apiVersion"], other["note"], other["regarding"]["name"]) == ("events.k8s.io/v1", "M", "p")


async def test_scale_is_a_view_of_the_workload(live: Live) -> None:
    from tests.api.objects import deployment

    await live.ask("POST", "/apis/apps/v1/namespaces/default/deployments", deployment("d", 2))
    scale = orjson.loads((await live.ask("GET", "/apis/apps/v1/namespaces/default/deployments/d/scale")).body)
    assert (scale["spec"], scale["status"]["selector"]) == ({"replicas": 2}, "app=d")
    scale["spec"]["replicas"] = 5
    assert (await live.ask("PUT", "/apis/apps/v1/namespaces/default/deployments/d/scale", scale)).status == 200
    deployment_now = orjson.loads((await live.ask("GET", "/apis/apps/v1/namespaces/default/deployments/d")).body)
    assert deployment_now["spec"]["replicas"] == 5 and deployment_now["metadata"]["generation"] == 2


async def test_an_applied_scale_is_owned_by_its_manager(live: Live) -> None:
    from tests.api.objects import deployment

    at, media = "/apis/apps/v1/namespaces/default/deployments/d", "application/apply-patch+yaml"
    await live.ask("POST", "/apis/apps/v1/namespaces/default/deployments?fieldManager=maker", deployment("d", 2))

    def scale(replicas: object) -> dict[str, object]:
        return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": replicas}}

    conflicted = await live.ask("PATCH", f"{at}/scale?fieldManager=hpa", scale(7), content_type=media)
    message = orjson.loads(conflicted.body)["message"]
    assert conflicted.status == 409 and message.startswith('Apply failed with 1 conflict: conflict with "maker" using apps/v1')
    assert message.endswith(": .spec.replicas")
    forced = await live.ask("PATCH", f"{at}/scale?fieldManager=hpa&force=true", scale(7), content_type=media)
    assert (forced.status, orjson.loads(forced.body)["kind"], orjson.loads(forced.body)["spec"]) == (200, "Scale", {"replicas": 7})
    value = orjson.loads((await live.ask("GET", at)).body)
    (entry,) = [e for e in value["metadata"]["managedFields"] if e["manager"] == "hpa"]
    assert (entry["operation"], entry["subresource"], entry["fieldsV1"]) == ("Apply", "scale", {"f:spec": {"f:replicas": {}}})
    assert value["spec"]["replicas"] == 7 and value["spec"]["template"]["spec"]["containers"]
    tried = await live.ask("PATCH", f"{at}/scale?fieldManager=hpa&dryRun=All", scale(9), content_type=media)
    assert orjson.loads(tried.body)["spec"] == {"replicas": 9}
    for wrong, status in ((scale(-1), 422), (scale("x"), 422), (scale(None), 422), ({**scale(1), "kind": "Pod"}, 400)):
        assert (await live.ask("PATCH", f"{at}/scale?fieldManager=hpa", wrong, content_type=media)).status == status
    absent = f"{at}x/scale?fieldManager=hpa"
    assert (await live.ask("PATCH", absent, {**scale(1), "metadata": {"name": "dx"}}, content_type=media)).status == 404
    assert (await live.ask("PATCH", f"{at}/scale", scale(1), content_type=media)).status == 422  # no manager
    assert orjson.loads((await live.ask("GET", at)).body)["spec"]["replicas"] == 7


async def test_binding_happens_once(live: Live) -> None:
    await live.admin.create(resource("pods"), pod("p"))
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await live.ask("POST", "/api/v1/namespaces/default/pods/p/binding", binding)).status == 201
    bound = await live.admin.get(resource("pods"), "p", "default")
    assert bound["spec"]["nodeName"] == "n1" and bound["status"]["conditions"][0]["type"] == "PodScheduled"
    again = await live.ask("POST", "/api/v1/namespaces/default/pods/p/binding", binding)
    assert again.status == 409 and "already assigned to node" in orjson.loads(again.body)["message"]


async def test_a_disruption_budget_holds_an_eviction_back(live: Live) -> None:
    pods = resource("pods")
    await live.admin.create(pods, pod("p", nodeName="n1"))
    await live.admin.patch(pods, "p", {"status": {"phase": "Running"}}, "default", subresource="status")
    budget = {"metadata": {"name": "b", "namespace": "default"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "p"}}}}
    await live.admin.create(resource("poddisruptionbudgets", "policy"), budget)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
    refused = await live.ask("POST", "/api/v1/namespaces/default/pods/p/eviction", eviction)
    assert refused.status == 429 and "disruption budget" in orjson.loads(refused.body)["message"]
    await live.admin.delete(resource("poddisruptionbudgets", "policy"), "b", "default")
    assert (await live.ask("POST", "/api/v1/namespaces/default/pods/p/eviction", eviction)).status == 201
    assert "deletionTimestamp" in (await live.admin.get(pods, "p", "default"))["metadata"]


async def test_requests_are_counted_under_upstreams_names(live: Live) -> None:
    await live.ask("GET", "/api/v1/namespaces/default/configmaps/absent")
    await live.ask("POST", "/api/v1/namespaces/default/configmaps", configmap("a"))
    text = (await live.ask("GET", "/metrics")).body.decode()
    labels = 'group="",version="v1",resource="configmaps",subresource=""'
    assert f'apiserver_request_total{{verb="GET",{labels},scope="resource",code="404"}} 1' in text
    assert f'apiserver_request_total{{verb="POST",{labels},scope="namespace",code="201"}} 1' in text
    assert f'apiserver_request_duration_seconds_count{{verb="POST",{labels},scope="namespace"}} 1' in text
    assert 'apiserver_storage_objects{resource="configmaps"} 1' in text
    assert 'apiserver_current_inflight_requests{request_kind="mutating"} 0' in text


async def test_a_running_watch_is_a_long_running_request(live: Live) -> None:
    created = await live.admin.create(CONFIGMAPS, configmap("a"))
    watch = live.admin.watch(CONFIGMAPS, "default", revision=created["metadata"]["resourceVersion"])
    await live.admin.patch(CONFIGMAPS, "a", {"data": {"k": "v"}}, "default")
    await anext(watch)
    series = 'apiserver_longrunning_requests{verb="WATCH",group="",version="v1",resource="configmaps",subresource="",scope="namespace"}'
    assert f"{series} 1" in (await live.ask("GET", "/metrics")).body.decode()
    await watch.aclose()  # type: ignore[attr-defined]


async def test_a_large_answer_is_compressed_for_those_who_ask(live: Live) -> None:
    import gzip

    await live.admin.create(CONFIGMAPS, configmap("big", k="x" * 200_000))
    target = "/api/v1/namespaces/default/configmaps"
    plain = await live.ask("GET", target)
    packed = await live.ask("GET", target, accept_encoding="gzip")
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) // 10


async def test_warnings_come_with_refusals_too(live: Live) -> None:
    body = b'{"metadata":{"name":"a"},"dta":{},"data":{"not a key":"v"}}'
    response = await live.ask("POST", "/api/v1/namespaces/default/configmaps", body)
    assert response.status == 422 and "unknown field" in response.headers["warning"]


async def test_admin_may_act_as_another_user_and_is_then_bound_by_their_rights(live: Live):
    as_ann = {"impersonate_user": "ann", "impersonate_group": "dev"}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    asked = await live.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, **as_ann)
    assert orjson.loads(asked.body)["status"] == {"userInfo": {"username": "ann", "groups": ["dev", "system:authenticated"]}}
    listed = await live.ask("GET", "/api/v1/namespaces/default/pods", **as_ann)
    assert (listed.status, orjson.loads(listed.body)["message"]) == (
        403, 'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "default"',
    )  # fmt: skip


async def test_impersonation_is_for_administrators_and_needs_a_user(live: Live):
    assert (await live.ask("GET", "/api/v1/nodes", impersonate_group="dev")).status == 400
    assert (await live.ask("GET", "/api/v1/nodes", impersonate_user="ann", impersonate_extra_a="b")).status == 403
    token = await live.admin.create(resource("serviceaccounts"), {"spec": {}}, "default", subresource="token", name="default")
    headers = {"authorization": f"Bearer {token['status']['token']}", "impersonate-user": "kubernetes-admin"}
    refused = await live.raw.request("GET", "/api/v1/namespaces/default/pods", b"", headers)
    assert (refused.status, orjson.loads(refused.body)["details"]["kind"]) == (403, "users")


async def test_scale_is_printed_with_its_own_columns(live: Live):
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]},
    }
    await live.admin.create(resource("deployments", "apps"), {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    asked = await live.ask("GET", "/apis/apps/v1/namespaces/default/deployments/web/scale", accept=accept)
    table = orjson.loads(asked.body)
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert table["rows"][0]["cells"][:3] == ["web", 2, 0]


async def test_use_of_a_deprecated_resource_is_warned_of(live: Live):
    answer = await live.ask("GET", "/api/v1/namespaces/default/endpoints")
    assert answer.headers["warning"] == '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    assert "warning" not in (await live.ask("GET", "/api/v1/namespaces/default/services")).headers
