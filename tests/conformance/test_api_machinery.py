"""Discovery, versions, health, field validation, namespaces: what clients ask before and around objects."""

import re
from typing import Any

import orjson
import pytest

from podium.objects.resources import KUBERNETES_VERSION
from tests.conformance.api import APPLY, JSON_PATCH, MERGE, Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC, SELECTOR, TEMPLATE

shows = pytest.mark.conformance
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BUILT_IN = {
    ("", "v1", "pods"), ("apps", "v1", "deployments"), ("batch", "v1", "jobs"), ("networking.k8s.io", "v1", "ingresses"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"), ("apiregistration.k8s.io", "v1", "apiservices"),
    ("storage.k8s.io", "v1", "storageclasses"), ("rbac.authorization.k8s.io", "v1", "clusterroles"),
}  # fmt: skip


@shows("[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup")
@shows("[sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup")
async def test_every_group_has_a_preferred_version_and_resources(api: Api) -> None:
    groups = (await api.get("/apis"))["groups"]
    assert len(groups) > 18
    for group in groups:
        versions = [v["groupVersion"] for v in group["versions"]]
        assert group["preferredVersion"]["groupVersion"] in versions
        for group_version in versions:
            found = await api.get(f"/apis/{group_version}")
            assert found["kind"] == "APIResourceList" and found["groupVersion"] == group_version
            assert found["resources"] and all(r["name"] and r["kind"] and r["verbs"] for r in found["resources"])
    assert (await api.get("/api"))["versions"] == ["v1"]


@shows("[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface")
@shows("[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers")
@pytest.mark.parametrize(
    "accept", [AGGREGATED, f"{AGGREGATED},application/json", f"{AGGREGATED.replace('v=v2', 'v=v2beta1')},application/json"]
)
async def test_aggregated_discovery_has_every_resource_at_once(api: Api, accept: str) -> None:
    found = set()
    for root in ("/api", "/apis"):
        answer = await api.call("GET", root, accept=accept)
        assert answer.value["kind"] == "APIGroupDiscoveryList" and "as=APIGroupDiscoveryList" in answer.headers["content-type"]
        again = await api.call("GET", root, accept=accept, if_none_match=answer.headers["etag"])
        assert again.status == 304
        for group in answer.value["items"]:
            for version in group["versions"]:
                found |= {(group["metadata"].get("name", ""), version["version"], r["resource"]) for r in version["resources"]}
    assert found >= BUILT_IN


@shows("[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should include webhook resources in discovery documents")
async def test_webhook_configurations_are_in_every_document(api: Api) -> None:
    name, version = "admissionregistration.k8s.io", {"groupVersion": "admissionregistration.k8s.io/v1", "version": "v1"}
    group = next(g for g in (await api.get("/apis"))["groups"] if g["name"] == name)
    assert version in group["versions"] and version in (await api.get(f"/apis/{name}"))["versions"]
    found = {r["name"]: r["kind"] for r in (await api.get(f"/apis/{name}/v1"))["resources"]}
    assert found["mutatingwebhookconfigurations"] == "MutatingWebhookConfiguration"
    assert found["validatingwebhookconfigurations"] == "ValidatingWebhookConfiguration"


async def test_plain_discovery_is_what_others_get(api: Api) -> None:
    assert (await api.get("/apis"))["kind"] == "APIGroupList" and (await api.get("/api"))["kind"] == "APIVersions"


@shows("[sig-api-machinery] server version should find the server version")
async def test_the_version_is_told(api: Api) -> None:
    version = await api.get("/version")
    major, minor, _ = KUBERNETES_VERSION.split(".")
    assert (version["major"], version["minor"]) == (major, minor) and version["gitVersion"].startswith(f"v{major}.{minor}.")


@pytest.mark.parametrize("root", ["healthz", "livez", "readyz"])
async def test_health_is_told_as_one_word_in_full_and_by_check(api: Api, root: str) -> None:
    assert (await api.call("GET", f"/{root}", peer=None)).body == b"ok"
    verbose = (await api.call("GET", f"/{root}?verbose", peer=None)).body.decode()
    assert verbose.splitlines()[0] == "[+]ping ok" and verbose.endswith(f"{root} check passed\n")
    for check in re.findall(r"\[\+\](\S+) ok", verbose):
        assert (await api.call("GET", f"/{root}/{check}", peer=None)).body == b"ok"
    without = (await api.call("GET", f"/{root}?verbose&exclude=etcd", peer=None)).body.decode()
    assert "[+]etcd excluded: ok\n" in without
    assert (await api.call("GET", f"/{root}/nonsense", peer=None)).status == 404


DEPLOYMENT = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": LABELS},
    "spec": {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE},
}  # fmt: skip
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def _with_duplicates(extra: dict[str, Any], *, metadata: bool = False) -> bytes:
    value: dict[str, Any] = {**DEPLOYMENT}
    if metadata:
        value["metadata"] = {**DEPLOYMENT["metadata"], **extra}  # type: ignore[dict-item]
        return orjson.dumps(value)
    value["spec"] = {**DEPLOYMENT["spec"], **extra}  # type: ignore[dict-item]
    return orjson.dumps(value).replace(b'"spec":{"replicas":1,', b'"spec":{"replicas":1,"paused":true,"paused":false,', 1)


@shows("[sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed object")
@pytest.mark.parametrize("how", ["create", "update", "merge", "json", "apply"])
async def test_unknown_and_duplicate_fields_of_a_typed_object(api: Api, how: str) -> None:
    body = _with_duplicates({"unknownField": "foo"})
    if how != "create":
        await api.post(DEPLOYMENTS, DEPLOYMENT)
    method, target, kind = {
        "create": ("POST", DEPLOYMENTS, "application/json"), "update": ("PUT", f"{DEPLOYMENTS}/web", "application/json"),
        "merge": ("PATCH", f"{DEPLOYMENTS}/web", MERGE), "json": ("PATCH", f"{DEPLOYMENTS}/web", JSON_PATCH),
        "apply": ("PATCH", f"{DEPLOYMENTS}/web", APPLY),
    }[how]  # fmt: skip
    texts = ['unknown field "spec.unknownField"', 'duplicate field "spec.paused"']
    if how == "json":
        body = b'[{"op":"add","path":"/spec/unknownField","value":"foo"}]'
        texts = texts[:1]
    mark = "&" if how == "apply" else ""
    target += f"?fieldManager=tester&force=true{mark}" if how == "apply" else "?"
    refusal = await api.refused(400, method, f"{target}fieldValidation=Strict", body, content_type=kind)
    assert "strict decoding error" in refusal["message"] and all(t in refusal["message"] for t in texts)
    warned = await api.call(method, f"{target}fieldValidation=Warn&dryRun=All", body, content_type=kind)
    assert warned.status < 300 and all(t.replace('"', '\\"') in warned.headers["warning"] for t in texts), warned
    ignored = await api.call(method, f"{target}fieldValidation=Ignore", body, content_type=kind)
    assert ignored.status < 300 and "warning" not in ignored.headers and "unknownField" not in ignored.value["spec"]


@shows("[sig-api-machinery] FieldValidation should detect unknown metadata fields of a typed object")
async def test_unknown_fields_of_metadata(api: Api) -> None:
    body = _with_duplicates({"unknownMeta": "foo"}, metadata=True)
    refusal = await api.refused(400, "POST", f"{DEPLOYMENTS}?fieldValidation=Strict", body)
    assert 'strict decoding error: unknown field "metadata.unknownMeta"' in refusal["message"]


async def test_field_validation_is_one_of_three(api: Api) -> None:
    refusal = await api.refused(422, "POST", f"{DEPLOYMENTS}?fieldValidation=Some", DEPLOYMENT)
    assert 'fieldValidation: Unsupported value: "Some"' in refusal["message"]


NAMESPACES = "/api/v1/namespaces"


@shows("[sig-api-machinery] Namespaces [Serial] should patch a Namespace")
@shows("[sig-api-machinery] Namespaces [Serial] should apply an update to a Namespace")
async def test_a_namespace_is_patched_and_updated(api: Api) -> None:
    await api.post(NAMESPACES, {"metadata": {"name": "one"}})
    await api.patch(f"{NAMESPACES}/one", {"metadata": {"labels": {"testLabel": "testValue"}}})
    one = await api.get(f"{NAMESPACES}/one")
    assert one["metadata"]["labels"] == {"testLabel": "testValue", "kubernetes.io/metadata.name": "one"}
    one["metadata"]["labels"]["updated"] = "yes"
    assert (await api.put(f"{NAMESPACES}/one", one))["metadata"]["labels"]["updated"] == "yes"


@shows("[sig-api-machinery] Namespaces [Serial] should apply changes to a namespace status")
async def test_the_status_of_a_namespace(api: Api) -> None:
    created = await api.post(NAMESPACES, {"metadata": {"name": "one"}})
    assert created["status"] == {"phase": "Active"} and (await api.get(f"{NAMESPACES}/one/status"))["status"]["phase"] == "Active"
    condition = {
        "type": "StatusPatch",
        "status": "True",
        "reason": "E2E",
        "message": "Patched",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patched = await api.patch(f"{NAMESPACES}/one/status", {"metadata": {"annotations": {"a": "b"}}, "status": {"conditions": [condition]}})
    assert patched["status"]["conditions"] == [condition] and patched["metadata"]["annotations"] == {"a": "b"}
    updated = {**patched, "status": {**patched["status"], "conditions": [condition, {**condition, "type": "StatusUpdate"}]}}
    assert len((await api.put(f"{NAMESPACES}/one/status", updated))["status"]["conditions"]) == 2


@shows("[sig-api-machinery] Namespaces [Serial] should apply a finalizer to a Namespace")
async def test_finalizers_of_a_namespace(api: Api) -> None:
    created = await api.post(NAMESPACES, {"metadata": {"name": "one"}})
    assert created["spec"]["finalizers"] == ["kubernetes"]
    created["spec"]["finalizers"].append("e2e.example.com/fake")
    updated = await api.put(f"{NAMESPACES}/one/finalize", created)
    assert updated["spec"]["finalizers"] == ["kubernetes", "e2e.example.com/fake"]
    updated["spec"]["finalizers"].pop()
    assert (await api.put(f"{NAMESPACES}/one/finalize", updated))["spec"]["finalizers"] == ["kubernetes"]


@shows("[sig-api-machinery] Namespaces [Serial] should ensure that all services are removed when a namespace is deleted")
def test_services_go_with_their_namespace() -> None:
    async def scenario(api: Api) -> None:
        await api.post(NAMESPACES, {"metadata": {"name": "one"}})
        await api.post(f"{NAMESPACES}/one/services", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
        await api.delete(f"{NAMESPACES}/one")
        await api.settled(f"{NAMESPACES}/one", lambda n: n is None)
        await api.post(NAMESPACES, {"metadata": {"name": "one"}})
        assert await api.names(f"{NAMESPACES}/one/services") == []

    run(scenario)


def _pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": POD_SPEC}


@shows("[sig-api-machinery] Namespaces [Serial] should ensure that all pods are removed when a namespace is deleted")
def test_pods_go_with_their_namespace() -> None:
    async def scenario(api: Api) -> None:
        await api.post(NAMESPACES, {"metadata": {"name": "one"}})
        await api.settled(f"{NAMESPACES}/one/serviceaccounts/default", bool)
        await api.post(f"{NAMESPACES}/one/pods", _pod("web"))
        await api.settled(f"{NAMESPACES}/one/pods/web", lambda p: p["status"]["phase"] == "Running")
        await api.delete(f"{NAMESPACES}/one")
        await api.settled(f"{NAMESPACES}/one", lambda n: n is None)
        await api.post(NAMESPACES, {"metadata": {"name": "one"}})
        assert await api.names(f"{NAMESPACES}/one/pods") == []

    run(scenario, nodes=1)


@shows("[sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first")
def test_pods_go_before_the_rest_of_a_namespace() -> None:
    async def scenario(api: Api) -> None:
        await api.post(NAMESPACES, {"metadata": {"name": "one"}})
        await api.settled(f"{NAMESPACES}/one/serviceaccounts/default", bool)
        await api.post(f"{NAMESPACES}/one/pods", _pod("web", finalizers=["example.com/wait"]))
        await api.post(f"{NAMESPACES}/one/configmaps", {"metadata": {"name": "kept"}})
        await api.delete(f"{NAMESPACES}/one")
        await api.settled(f"{NAMESPACES}/one/pods/web", lambda p: "deletionTimestamp" in p["metadata"])
        blocked = await api.settled(
            f"{NAMESPACES}/one", lambda n: any(c["type"] == "NamespaceContentRemaining" for c in n["status"].get("conditions", ()))
        )
        conditions = {c["type"]: c for c in blocked["status"]["conditions"]}
        assert conditions["NamespaceDeletionContentFailure"]["status"] in ("True", "False")
        assert "deletionTimestamp" not in (await api.get(f"{NAMESPACES}/one/configmaps/kept"))["metadata"]
        await api.patch(f"{NAMESPACES}/one/pods/web", {"metadata": {"finalizers": None}})
        await api.settled(f"{NAMESPACES}/one", lambda n: n is None)

    run(scenario, nodes=1)
