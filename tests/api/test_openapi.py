import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
import pytest

from podium.api import openapi, routing, server
from podium.api.openapi_paths import PATCH_TYPES, operations
from podium.objects.resources import Catalog, Resource, builtin

DOCUMENTS = openapi.Documents(builtin())
ASKED_BY_CLIENTS = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


@cache
def get(path: str) -> Any:
    document = DOCUMENTS.find(path)
    assert document is not None
    assert document.content_type == "application/json"
    return orjson.loads(document.body)


def name_of(resource: Resource) -> str:
    return f"/openapi/v3/apis/{resource.group}/{resource.version}" if resource.group else f"/openapi/v3/api/{resource.version}"


def every_operation(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def gvk_of(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def test_the_index_names_each_group_version_with_a_hash() -> None:
    paths = get("/openapi/v3")["paths"]
    assert set(paths) == {name_of(r).removeprefix("/openapi/v3/") for r in builtin()}
    for name, entry in paths.items():
        url, _, digest = entry["serverRelativeURL"].partition("?hash=")
        assert url == f"/openapi/v3/{name}"
        assert re.fullmatch("[0-9A-F]{64}", digest)
        assert get(url)["openapi"] == "3.0.0"


def test_explain_finds_every_resource_as_kubectl_looks_for_it() -> None:
    """By the operation's kind at one of four paths, then by the schema of that kind."""
    missing = []
    for resource in builtin():
        document, root = get(name_of(resource)), resource.path(None)
        scoped = resource.path("{namespace}")
        found = [document["paths"].get(p, {}) for p in (root, f"{root}/{{name}}", scoped, f"{scoped}/{{name}}")]
        kinds = [
            item[m]["x-kubernetes-group-version-kind"] for item in found for m in ("get", "post", "put", "patch", "delete") if m in item
        ]
        schemas = document["components"]["schemas"].values()
        described = any(gvk_of(resource) in s.get("x-kubernetes-group-version-kind", ()) for s in schemas)
        if not kinds or any(kind != gvk_of(resource) for kind in kinds) or not described:
            missing.append(resource)
    assert missing == []


def test_every_patch_takes_strategic_merges_and_field_validation() -> None:
    """What kubectl apply asks of the document before it relies on the server."""
    patches = [o for r in builtin() if r.version == "v1" for _, m, o in every_operation(get(name_of(r))) if m == "patch"]
    assert len(patches) > 50
    for operation in patches:
        assert "application/strategic-merge-patch+json" in operation["requestBody"]["content"]
        assert "fieldValidation" in [p["name"] for p in operation["parameters"]]


def test_the_documented_patch_types_are_those_the_server_takes() -> None:
    assert set(PATCH_TYPES) == set(server._PATCH_TYPES)


@pytest.mark.parametrize(
    "path", ["/openapi/v2", "/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1", "/openapi/v3/apis/apiextensions.k8s.io/v1"]
)
def test_every_reference_leads_somewhere(path: str) -> None:
    document = get(path)
    known = document["definitions"] if "definitions" in document else document["components"]["schemas"]
    prefix = "#/definitions/" if "definitions" in document else "#/components/schemas/"
    references = set(re.findall(r'"\$ref":"([^"]+)"', orjson.dumps(document).decode()))
    assert len(references) > 20
    assert [r for r in references if not r.startswith(prefix) or r.removeprefix(prefix) not in known] == []


def test_version_3_keeps_merge_keys_beside_references() -> None:
    schemas = get("/openapi/v3/apis/apps/v1")["components"]["schemas"]
    strategy = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"]
    assert strategy["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}]
    assert strategy["x-kubernetes-patch-strategy"] == "retainKeys"
    assert strategy["description"].startswith("The deployment strategy")
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert (containers["x-kubernetes-patch-merge-key"], containers["x-kubernetes-patch-strategy"]) == ("name", "merge")
    assert containers["items"] == {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}


def test_string_or_number_scalars_are_written_as_each_version_does() -> None:
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    mixed = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    v2, v3 = get("/openapi/v2")["definitions"], get("/openapi/v3/api/v1")["components"]["schemas"]
    assert v2[quantity]["type"] == "string"
    assert v3[quantity]["oneOf"] == [{"type": "string"}, {"type": "number"}]
    assert (v2[mixed]["type"], v2[mixed]["format"]) == ("string", "int-or-string")
    assert (v3[mixed]["oneOf"], v3[mixed]["format"]) == ([{"type": "integer"}, {"type": "string"}], "int-or-string")


def test_every_field_has_its_text() -> None:
    fields = get("/openapi/v3/api/v1")["components"]["schemas"]["io.k8s.api.core.v1.Container"]["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_operations_are_named_once_and_as_upstream_names_them() -> None:
    names = [o["operationId"] for _, _, o in every_operation(get("/openapi/v2"))]
    assert len(names) == len(set(names))
    assert {"listCoreV1NamespacedPod", "createAppsV1NamespacedDeployment", "readCoreV1Node", "deleteCoreV1CollectionNamespacedPod",
            "listCoreV1PodForAllNamespaces", "patchAppsV1NamespacedDeploymentScale", "connectCoreV1GetNamespacedPodExec",
            "replaceRbacAuthorizationV1ClusterRole"} <= set(names)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "method", "action", "kind", "answer"),
    [
        ("/api/v1/namespaces/{namespace}/pods", "get", "list", "Pod", "PodList"),
        ("/api/v1/namespaces/{namespace}/pods", "post", "post", "Pod", "Pod"),
        ("/api/v1/namespaces/{namespace}/pods", "delete", "deletecollection", "Pod", "Status"),
        ("/api/v1/pods", "get", "list", "Pod", "PodList"),
        ("/api/v1/namespaces/{namespace}/pods/{name}", "put", "put", "Pod", "Pod"),
        ("/api/v1/namespaces/{namespace}/pods/{name}/eviction", "post", "post", "Eviction", "Eviction"),
        ("/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", "patch", "patch", "Scale", "Scale"),
        ("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", "post", "post", "TokenRequest", "TokenRequest"),
        ("/api/v1/nodes/{name}", "get", "get", "Node", "Node"),
        ("/apis/authentication.k8s.io/v1/tokenreviews", "post", "post", "TokenReview", "TokenReview"),
        ("/api/v1/namespaces/{namespace}/pods/{name}/exec", "get", "connect", "PodExecOptions", ""),
        ("/api/v1/namespaces/{namespace}/pods/{name}/log", "get", "get", "Pod", ""),
    ],
)
def test_operations_say_their_action_kind_and_answer(path: str, method: str, action: str, kind: str, answer: str) -> None:
    operation = get("/openapi/v2")["paths"][path][method]
    assert (operation["x-kubernetes-action"], operation["x-kubernetes-group-version-kind"]["kind"]) == (action, kind)
    assert operation["responses"]["200"]["schema"].get("$ref", "").rpartition(".")[2] == answer


def test_every_documented_path_is_routed() -> None:
    catalog = builtin()
    paths = {o.path for r in catalog for o in operations(r)}
    assert [p for p in sorted(paths) if routing.parse(p.replace("{namespace}", "ns").replace("{name}", "n"), catalog) is None] == []


def test_an_added_resource_changes_the_documents() -> None:
    catalog = Catalog(builtin())
    documents = openapi.Documents(catalog)
    before = documents.find("/openapi/v3")
    assert documents.find("/openapi/v3/apis/example.com/v1") is None
    catalog.add(Resource("example.com", "v1", "things", "Thing", True, ("get", "list")))
    after = documents.find("/openapi/v3")
    assert before is not None and after is not None and before.etag != after.etag
    assert documents.find("/openapi/v3/apis/example.com/v1") is not None


@pytest.mark.parametrize("path", ["/openapi/v3/apis/nothing/v1", "/openapi/v4", "/openapi", "/openapi/v3/api"])
def test_what_is_not_there_has_no_document(path: str) -> None:
    assert DOCUMENTS.find(path) is None


def test_documents_are_built_once() -> None:
    assert DOCUMENTS.find("/openapi/v2") is DOCUMENTS.find("/openapi/v2", "application/json")


# Protobuf, read back with a reader of the wire format alone


def fields(message: bytes) -> list[tuple[int, Any]]:
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        assert key & 7 in (0, 2)
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        else:
            size = varint()
            found.append((key >> 3, message[at : at + size]))
            at += size
    assert at == len(message)
    return found


def first(message: bytes, *path: int) -> Any:
    value: Any = message
    for number in path:
        value = next(v for n, v in fields(value) if n == number)
    return value


def entries(message: bytes, number: int = 1) -> dict[str, bytes]:
    """A map: repeated (name, value)."""
    return {first(m, 1).decode(): first(m, 2) if len(fields(m)) > 1 else b"" for n, m in fields(message) if n == number}


@pytest.mark.parametrize("accept", [ASKED_BY_CLIENTS, openapi.PROTOBUF_V2, f"{ASKED_BY_CLIENTS},application/json"])
def test_version_2_comes_as_protobuf_when_asked(accept: str) -> None:
    document = DOCUMENTS.find("/openapi/v2", accept)
    assert document is not None
    assert document.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert (first(document.body, 1), first(document.body, 2, 1)) == (b"2.0", b"Kubernetes")


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", f"application/json,{ASKED_BY_CLIENTS}"])
def test_version_2_comes_as_json_otherwise(accept: str) -> None:
    document = DOCUMENTS.find("/openapi/v2", accept)
    assert document is not None and document.content_type == "application/json"


def test_the_protobuf_document_says_what_the_json_one_does() -> None:
    document, expected = DOCUMENTS.find("/openapi/v2", ASKED_BY_CLIENTS), get("/openapi/v2")
    assert document is not None
    paths, definitions = entries(first(document.body, 8), 2), entries(first(document.body, 9))
    assert sorted(paths) == sorted(expected["paths"])
    assert sorted(definitions) == sorted(expected["definitions"])

    spec = definitions["io.k8s.api.core.v1.PodSpec"]
    containers = entries(first(spec, 25))["containers"]
    assert first(containers, 22, 1) == b"array"
    assert first(containers, 23, 1, 1) == b"#/definitions/io.k8s.api.core.v1.Container"
    extensions = {name: orjson.loads(first(value, 2)) for name, value in entries(containers, 31).items()}
    assert extensions == {k: v for k, v in expected["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"].items()
                          if k.startswith("x-")}  # fmt: skip
    assert [v for n, v in fields(spec) if n == 19] == [b"containers"]

    patch = first(paths["/api/v1/namespaces/{namespace}/pods/{name}"], 8)
    assert first(patch, 5) == b"patchCoreV1NamespacedPod"
    body, *queries = [v for n, v in fields(patch) if n == 8]
    assert first(body, 1, 1, 5, 1) == b"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
    assert b"fieldValidation" in [first(q, 1, 2, 3, 4) for q in queries]
    assert orjson.loads(first(entries(patch, 13)["x-kubernetes-group-version-kind"], 2)) == {"group": "", "version": "v1", "kind": "Pod"}
