from typing import Any

import orjson
import pytest

from podium.api import discovery
from podium.objects.resources import Catalog, Resource, builtin

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


def get(path: str, accept: str = "", catalog: Catalog | None = None) -> Any:
    document = discovery.Documents(catalog or builtin(), "127.0.0.1:6443").find(path, accept)
    assert document is not None
    return orjson.loads(document.body)


def test_groups_come_in_upstreams_order_of_priority() -> None:
    assert [g["name"] for g in get("/apis")["groups"]] == [
        "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
        "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
        "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io",
        "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io", "storagemigration.k8s.io",
    ]  # fmt: skip


def test_the_preferred_version_comes_first() -> None:
    group = get("/apis/autoscaling")
    assert group["kind"] == "APIGroup"
    assert [v["groupVersion"] for v in group["versions"]] == ["autoscaling/v2", "autoscaling/v1"]
    assert group["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}


def test_versions_are_ordered_by_stability_then_number() -> None:
    versions = ["v1alpha1", "v1", "v10", "v2beta1", "foo", "v2", "v1beta2", "v11alpha2", "v1beta1"]
    expected = ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "foo"]
    assert sorted(versions, key=discovery.version_order) == expected


def test_the_core_group_names_its_versions_and_the_server() -> None:
    assert get("/api") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    }


def test_a_resource_list_has_resources_and_subresources() -> None:
    rows = {row["name"]: row for row in get("/api/v1")["resources"]}
    assert rows["pods"] == {
        "name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "shortNames": ["po"], "categories": ["all"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    }  # fmt: skip
    assert rows["pods/exec"] == {
        "name": "pods/exec",
        "singularName": "",
        "namespaced": True,
        "kind": "PodExecOptions",
        "verbs": ["create", "get"],
    }
    assert rows["pods/eviction"]["group"] == "policy"
    scale = {row["name"]: row for row in get("/apis/apps/v1")["resources"]}["deployments/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


@pytest.mark.parametrize("path", ["/apis/nothing", "/apis/apps/v2", "/api/v2", "/apis/apps/v1/deployments", "/apix", "/"])
def test_what_is_not_there_has_no_document(path: str) -> None:
    assert discovery.Documents(builtin()).find(path) is None


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        (V2, "v2"),
        (f"{V2},{V2BETA1},application/json", "v2"),
        (f"{V2BETA1},application/json", "v2beta1"),
        (f"{V2};profile=nopeer,application/json", "v2"),
        (f"application/json,{V2}", ""),
        ("application/json;g=other;v=v2;as=APIGroupDiscoveryList,application/json", ""),
        ("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json", ""),
    ],
)
def test_the_accept_header_chooses_the_form(accept: str, version: str) -> None:
    document = discovery.Documents(builtin()).find("/apis", accept)
    assert document is not None
    value = orjson.loads(document.body)
    if version:
        assert (value["kind"], value["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
        assert document.content_type == f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    else:
        assert (value["kind"], document.content_type) == ("APIGroupList", "application/json")


def test_the_aggregated_form_carries_the_resources() -> None:
    (core,) = get("/api", V2)["items"]
    assert core["metadata"] == {}
    (version,) = core["versions"]
    assert (version["version"], version["freshness"]) == ("v1", "Current")
    pods = {r["resource"]: r for r in version["resources"]}["pods"]
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}
    assert (pods["scope"], pods["singularResource"], pods["shortNames"], pods["categories"]) == ("Namespaced", "pod", ["po"], ["all"])
    kinds = {s["subresource"]: s["responseKind"] for s in pods["subresources"]}
    assert kinds["status"] == {"group": "", "version": "", "kind": "Pod"}
    assert kinds["eviction"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    groups = get("/apis", V2)["items"]
    assert [g["metadata"]["name"] for g in groups] == [g["name"] for g in get("/apis")["groups"]]


def test_both_forms_name_the_same_resources() -> None:
    aggregated = {
        (g["metadata"].get("name", ""), v["version"], name)
        for path in ("/api", "/apis")
        for g in get(path, V2)["items"]
        for v in g["versions"]
        for r in v["resources"]
        for name in (r["resource"], *(f"{r['resource']}/{s['subresource']}" for s in r.get("subresources", ())))
    }
    plain = {
        (group, version, row["name"])
        for group, version in {(r.group, r.version) for r in builtin()}
        for row in get(f"/apis/{group}/{version}" if group else f"/api/{version}")["resources"]
    }
    assert aggregated == plain


def test_an_etag_names_the_content() -> None:
    documents = discovery.Documents(builtin())
    first, again, other = (documents.find("/apis", accept) for accept in (V2, V2, ""))
    assert first is not None and other is not None
    assert first is again
    assert first.etag != other.etag


def test_an_added_resource_shows_at_once() -> None:
    catalog = Catalog(builtin())
    documents = discovery.Documents(catalog)
    before = documents.find("/apis")
    assert documents.find("/apis/example.com/v1") is None
    catalog.add(Resource("example.com", "v1", "things", "Thing", True, ("get", "list")))
    added, after = documents.find("/apis/example.com/v1"), documents.find("/apis")
    assert added is not None and before is not None and after is not None
    assert orjson.loads(added.body)["resources"][0]["name"] == "things"
    assert orjson.loads(after.body)["groups"][-1]["name"] == "example.com"
    assert before.etag != after.etag


def test_the_version_is_the_served_kubernetes_and_podiums() -> None:
    version = get("/version")
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "37", "v1.37.0+podium")
