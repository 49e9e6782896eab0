"""What clients learn of custom resources: discovery, OpenAPI, tables; over TLS, as clients ask."""

from typing import Any

import orjson
import pytest

from podium.objects.values import copy
from tests.api import test_server
from tests.api.test_custom_resources import API_MACHINERY, DEFINITIONS, RESOURCES, crontab, definition, served, version
from tests.api.test_server import Live

live = test_server.live  # the fixture

OPEN_API = API_MACHINERY + "CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] "
DISCOVERY = API_MACHINERY + "AggregatedDiscovery "
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def got(live: Live, path: str, **headers: str) -> Any:
    answer = await live.ask("GET", path, **headers)
    assert answer.status == 200, answer.body
    return orjson.loads(answer.body)


async def schema_of(live: Live, group_version: str, name: str) -> Any:
    document = await got(live, f"/openapi/v3/apis/{group_version}")
    return document["components"]["schemas"][name]


@pytest.mark.conformance(RESOURCES + "should include custom resource definition resources in discovery documents")
async def test_the_resource_is_in_the_discovery_documents(live: Live) -> None:
    await live.plane.client().create(DEFINITIONS, definition(version(subresources={"status": {}}), short=("ct",)))
    groups = {g["name"]: g for g in (await got(live, "/apis"))["groups"]}
    assert groups["example.com"]["preferredVersion"] == {"groupVersion": "example.com/v1", "version": "v1"}
    rows = {r["name"]: r for r in (await got(live, "/apis/example.com/v1"))["resources"]}
    assert rows["crontabs"] == {
        "name": "crontabs", "singularName": "crontab", "namespaced": True, "kind": "CronTab", "shortNames": ["ct"],
        "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
    }  # fmt: skip
    assert rows["crontabs/status"]["verbs"] == ["get", "patch", "update"]


@pytest.mark.conformance(
    DISCOVERY + "should support aggregated discovery interface for CRDs",
    DISCOVERY + "should support raw aggregated discovery request for CRDs",
)
async def test_the_resource_is_in_aggregated_discovery(live: Live) -> None:
    await live.plane.client().create(DEFINITIONS, definition(version(), version("v2")))
    items = {i["metadata"]["name"]: i for i in (await got(live, "/apis", accept=AGGREGATED))["items"]}
    versions = items["example.com"]["versions"]
    assert [(v["version"], v["freshness"], [r["resource"] for r in v["resources"]]) for v in versions] == [
        ("v2", "Current", ["crontabs"]),
        ("v1", "Current", ["crontabs"]),
    ]


@pytest.mark.conformance(OPEN_API + "works for CRD with validation schema")
async def test_the_schema_is_published(live: Live) -> None:
    await live.plane.client().create(DEFINITIONS, definition())
    node = await schema_of(live, "example.com/v1", "com.example.v1.CronTab")
    assert node["properties"]["spec"]["properties"]["replicas"] == {"type": "integer", "minimum": 0, "default": 1}
    assert node["properties"]["metadata"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]
    assert node["x-kubernetes-group-version-kind"] == [{"group": "example.com", "version": "v1", "kind": "CronTab"}]
    old = (await got(live, "/openapi/v2"))["definitions"]["com.example.v1.CronTab"]
    assert old["properties"]["spec"]["required"] == ["cron"]
    assert old["properties"]["status"] == {"x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.conformance(
    OPEN_API + "works for CRD without validation schema",
    OPEN_API + "works for CRD preserving unknown fields at the schema root",
)
async def test_where_all_is_preserved_nothing_is_published(live: Live) -> None:
    await live.plane.client().create(
        DEFINITIONS, definition(version(schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    )
    node = await schema_of(live, "example.com/v1", "com.example.v1.CronTab")
    assert "properties" not in node
    assert node["x-kubernetes-preserve-unknown-fields"] is True


@pytest.mark.conformance(OPEN_API + "works for CRD preserving unknown fields in an embedded object")
async def test_embedded_objects_are_published_as_open(live: Live) -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": embedded}}
    await live.plane.client().create(DEFINITIONS, definition(version(schema=schema)))
    assert (await schema_of(live, "example.com/v1", "com.example.v1.CronTab"))["properties"]["spec"] == embedded


@pytest.mark.conformance(
    OPEN_API + "works for multiple CRDs of same group and version but different kinds",
    OPEN_API + "works for multiple CRDs of same group but different versions",
    OPEN_API + "works for multiple CRDs of different groups",
)
async def test_many_definitions_are_published_side_by_side(live: Live) -> None:
    client = live.plane.client()
    await client.create(DEFINITIONS, definition(plural="alphas", kind="Alpha"))
    await client.create(DEFINITIONS, definition(version("v1"), version("v2"), plural="betas", kind="Beta"))
    other = definition(plural="alphas", kind="Alpha", group="other.example.com")
    other["metadata"]["name"] = "alphas.other.example.com"
    await client.create(DEFINITIONS, other)
    names = (await got(live, "/openapi/v2"))["definitions"]
    found = sorted(n for n in names if n.startswith("com.example.") and not n.endswith("List"))
    assert found == ["com.example.other.v1.Alpha", "com.example.v1.Alpha", "com.example.v1.Beta", "com.example.v2.Beta"]
    assert {"apis/example.com/v1", "apis/example.com/v2", "apis/other.example.com/v1"} <= (await got(live, "/openapi/v3"))["paths"].keys()


@pytest.mark.conformance(OPEN_API + "updates the published spec when one version gets renamed")
async def test_a_renamed_version_is_published_under_its_new_name(live: Live) -> None:
    client = live.plane.client()
    await client.create(DEFINITIONS, definition(version(), version("v2")))
    digest = (await got(live, "/openapi/v3"))["paths"]["apis/example.com/v1"]
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    changed["spec"]["versions"][1]["name"] = "v3"
    await client.update(DEFINITIONS, changed)
    paths = (await got(live, "/openapi/v3"))["paths"]
    assert "apis/example.com/v2" not in paths
    assert "apis/example.com/v3" in paths
    assert paths["apis/example.com/v1"] == digest
    await schema_of(live, "example.com/v3", "com.example.v3.CronTab")


@pytest.mark.conformance(OPEN_API + "removes definition from spec when one version gets changed to not be served")
async def test_a_version_that_is_not_served_is_not_published(live: Live) -> None:
    client = live.plane.client()
    await client.create(DEFINITIONS, definition(version(), version("v2")))
    assert "com.example.v2.CronTab" in (await got(live, "/openapi/v2"))["definitions"]
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    changed["spec"]["versions"][1]["served"] = False
    await client.update(DEFINITIONS, changed)
    names = (await got(live, "/openapi/v2"))["definitions"]
    assert "com.example.v1.CronTab" in names
    assert "com.example.v2.CronTab" not in names


COLUMNS = [
    {"name": "Cron", "type": "string", "jsonPath": ".spec.cron", "description": "when"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "None", "type": "boolean", "jsonPath": ".spec.nothing"},
]


async def test_a_table_has_the_columns_of_the_definition(live: Live) -> None:
    client = live.plane.client()
    await client.create(DEFINITIONS, definition(version(additionalPrinterColumns=COLUMNS)))
    conditions = [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]
    await client.create(served(live.plane), {**crontab(), "status": {"conditions": conditions}})
    table = await got(live, "/apis/example.com/v1/namespaces/default/crontabs", accept=TABLE)
    columns = [(c["name"], c["type"], c["priority"]) for c in table["columnDefinitions"]]
    assert columns == [("Name", "string", 0)] + [(c["name"], c["type"], c.get("priority", 0)) for c in COLUMNS]
    assert table["rows"][0]["cells"] == ["a", "* *", 1, "True", "0s", None]


async def test_without_columns_a_table_has_the_age(live: Live) -> None:
    await live.plane.client().create(DEFINITIONS, definition())
    await live.plane.client().create(served(live.plane), crontab())
    table = await got(live, "/apis/example.com/v1/crontabs", accept=TABLE)
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Age"]
    name, age = table["rows"][0]["cells"]
    assert name == "a" and age.endswith("s")


async def test_a_deprecated_version_warns(live: Live) -> None:
    await live.plane.client().create(DEFINITIONS, definition(version(deprecated=True)))
    answer = await live.ask("GET", "/apis/example.com/v1/crontabs")
    assert answer.headers["warning"] == '299 - "example.com/v1 CronTab is deprecated"'


@pytest.mark.conformance(API_MACHINERY + "FieldValidation should detect duplicates in a CR when preserving unknown fields")
async def test_duplicate_fields_are_refused(live: Live) -> None:
    await live.plane.client().create(
        DEFINITIONS, definition(version(schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    )
    body = b'{"apiVersion":"example.com/v1","kind":"CronTab","metadata":{"name":"a"},"spec":{"x":1,"x":2}}'
    answer = await live.ask("POST", "/apis/example.com/v1/namespaces/default/crontabs?fieldValidation=Strict", body)
    assert answer.status == 400
    assert b'strict decoding error: duplicate field \\"spec.x\\"' in answer.body


@pytest.mark.conformance(API_MACHINERY + "FieldValidation should create/apply a valid CR for CRD with validation schema")
async def test_server_side_apply_knows_the_lists_of_the_schema(live: Live) -> None:
    await live.plane.client().create(DEFINITIONS, definition())
    path = "/apis/example.com/v1/namespaces/default/crontabs/a?fieldValidation=Strict&fieldManager="

    async def applied(manager: str, **spec: Any) -> Any:
        answer = await live.ask("PATCH", path + manager, {**crontab(**spec)}, content_type="application/apply-patch+yaml")
        assert answer.status in (200, 201), answer.body
        return orjson.loads(answer.body)

    await applied("one", steps=[{"name": "a", "run": "x"}], tags=["t"])
    found = await applied("two", steps=[{"name": "b", "run": "y"}])
    assert found["spec"]["steps"] == [{"name": "a", "run": "x"}, {"name": "b", "run": "y"}]
    own = {m["manager"]: m["fieldsV1"]["f:spec"] for m in found["metadata"]["managedFields"] if m["operation"] == "Apply"}
    assert own["one"]["f:steps"] == {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:run": {}}}
    assert own["one"]["f:tags"] == {}
    found = await applied("one", tags=["t"])
    assert found["spec"]["steps"] == [{"name": "b", "run": "y"}]
