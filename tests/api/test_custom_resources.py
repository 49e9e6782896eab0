"""Custom resources through the whole request path: they come, are written and read, change with their definitions, and go."""

import asyncio
from typing import Any

import pytest

from podium.api.request import Request
from podium.client.in_process import InProcessClient
from podium.control_plane import ADMINISTRATOR, ControlPlane
from podium.objects.resources import Resource, resource
from podium.objects.status import BadRequest, Conflict, Invalid, MethodNotAllowed, NotFound, ServerError, StatusError, UnsupportedMediaType
from podium.objects.values import copy

DEFINITIONS = resource("customresourcedefinitions", "apiextensions.k8s.io")
API_MACHINERY = "[sig-api-machinery] "
RESOURCES = API_MACHINERY + "CustomResourceDefinition resources [Privileged:ClusterAdmin] "
SIMPLE = RESOURCES + "Simple CustomResourceDefinition "

SPEC = {
    "type": "object",
    "required": ["cron"],
    "properties": {
        "cron": {"type": "string", "maxLength": 20},
        "image": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 0, "default": 1},
        "steps": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "run": {"type": "string"}}},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"spec": SPEC, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}


def version(name: str = "v1", schema: Any = SCHEMA, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}, **more}


def definition(
    *versions: dict[str, Any], plural: str = "crontabs", kind: str = "CronTab", short: tuple[str, ...] = (), **spec: Any
) -> dict[str, Any]:
    names = {"plural": plural, "kind": kind, "shortNames": list(short)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": list(versions or (version(),)), **spec},
    }  # fmt: skip


def crontab(name: str = "a", api_version: str = "example.com/v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": api_version, "kind": "CronTab", "metadata": {"name": name, "namespace": "default"}, "spec": {"cron": "* *", **spec},
    }  # fmt: skip


def served(plane: ControlPlane, name: str = "v1", plural: str = "crontabs") -> Resource:
    found = plane.server.core.catalog.lookup("example.com", name, plural)
    assert found is not None
    return found


async def define(plane: ControlPlane, *versions: dict[str, Any], **more: Any) -> Resource:
    await plane.client().create(DEFINITIONS, definition(*versions, **more))
    return served(plane)


async def settled(client: InProcessClient, name: str = "crontabs.example.com", wanted: str = "Established") -> dict[str, Any]:
    """The conditions by type, once `wanted` is there."""
    for _ in range(100):
        found = {c["type"]: c for c in (await client.get(DEFINITIONS, name))["status"].get("conditions", ())}
        if wanted in found:
            return found
        await asyncio.sleep(0.002)
    raise AssertionError(f"{name} never had the condition {wanted}")


async def gone(client: InProcessClient, name: str = "crontabs.example.com") -> None:
    for _ in range(100):
        try:
            await client.get(DEFINITIONS, name)
        except NotFound:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{name} is still there")


# Definitions


@pytest.mark.conformance(SIMPLE + "creating/deleting custom resource definition objects works")
async def test_a_resource_is_served_as_soon_as_it_is_defined(plane: ControlPlane, client: InProcessClient) -> None:
    answer = await client.create(DEFINITIONS, definition())
    assert answer["status"] == {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]}
    created = await client.create(served(plane), crontab())
    assert (created["metadata"]["generation"], created["spec"]["replicas"]) == (1, 1)
    conditions = await settled(client)
    told = [(c["type"], c["status"], c["reason"], c["message"]) for c in conditions.values()]
    assert told == [
        ("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
        ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
    names = (await client.get(DEFINITIONS, "crontabs.example.com"))["status"]["acceptedNames"]
    assert names == {"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList"}
    await client.delete(DEFINITIONS, "crontabs.example.com")
    await gone(client)
    assert plane.server.core.catalog.lookup("example.com", "v1", "crontabs") is None
    assert plane.server.core.store.count("/example.com/crontabs/") == 0


@pytest.mark.conformance(SIMPLE + "listing custom resource definition objects works")
async def test_definitions_are_listed_and_deleted_together(client: InProcessClient) -> None:
    for plural, kind in (("alphas", "Alpha"), ("betas", "Beta")):
        value = definition(plural=plural, kind=kind)
        value["metadata"]["labels"] = {"set": "x"}
        await client.create(DEFINITIONS, value)
    assert len((await client.list(DEFINITIONS, labels="set=x")).items) == 2


async def test_a_definition_with_instances_waits_for_them(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    held = crontab()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await client.create(crontabs, held)
    await client.create(crontabs, crontab("b"))
    await client.delete(DEFINITIONS, "crontabs.example.com")
    conditions = await settled(client, wanted="Terminating")
    assert conditions["Terminating"]["reason"] in ("InstanceDeletionPending", "InstanceDeletionInProgress")
    with pytest.raises(MethodNotAllowed, match="create not allowed while custom resource definition is terminating"):
        await client.create(crontabs, crontab("c"))
    await asyncio.sleep(0.02)
    assert [v["metadata"]["name"] for v in (await client.list(crontabs)).items] == ["a"]
    await client.patch(crontabs, "a", {"metadata": {"finalizers": None}}, "default")
    await gone(client)


async def test_a_definition_with_the_name_of_a_built_in_resource_leaves_its_objects_alone(
    plane: ControlPlane, client: InProcessClient
) -> None:
    leases = resource("leases", "coordination.k8s.io")
    await client.create(leases, {"metadata": {"name": "kept", "namespace": "default"}})
    value = definition(plural="leases", kind="Lease", group="coordination.k8s.io")
    value["metadata"] = {"name": "leases.coordination.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}}
    await client.create(DEFINITIONS, value)
    assert plane.server.core.catalog.lookup("coordination.k8s.io", "v1", "leases") is leases
    await client.delete(DEFINITIONS, "leases.coordination.k8s.io")
    await gone(client, "leases.coordination.k8s.io")
    assert [v["metadata"]["name"] for v in (await client.list(leases, "default")).items] == ["kept"]


async def test_a_definition_that_was_never_served_goes_at_once(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(DEFINITIONS, definition(plural="alphas", kind="Alpha"))
    await client.create(DEFINITIONS, definition(plural="betas", kind="Alpha"))
    await client.delete(DEFINITIONS, "betas.example.com")
    await gone(client, "betas.example.com")


async def test_the_second_to_ask_for_a_name_waits_for_it(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(DEFINITIONS, definition(plural="alphas", kind="Alpha", short=("x",)))
    await client.create(DEFINITIONS, definition(plural="betas", kind="Alpha", short=("x",)))
    conditions = await settled(client, "betas.example.com", "NamesAccepted")
    assert conditions["Established"]["status"] == "False"
    assert conditions["NamesAccepted"]["status"] == "False"
    assert conditions["NamesAccepted"]["message"] in ('"Alpha" is already in use', '"AlphaList" is already in use', '"x" is already in use')
    assert plane.server.core.catalog.lookup("example.com", "v1", "betas") is None
    await client.delete(DEFINITIONS, "alphas.example.com")
    await gone(client, "alphas.example.com")
    assert served(plane, plural="betas").kind == "Alpha"


@pytest.mark.conformance(SIMPLE + "getting/updating/patching custom resource definition status sub-resource works")
async def test_the_status_of_a_definition_is_a_door_of_its_own(client: InProcessClient) -> None:
    await client.create(DEFINITIONS, definition())
    await settled(client)
    condition = {
        "type": "StatusUpdate",
        "status": "True",
        "reason": "E2E",
        "message": "Set from e2e test",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    old = await client.get(DEFINITIONS, "crontabs.example.com", subresource="status")
    new = copy(old)
    new["status"]["conditions"].append(condition)
    await client.update(DEFINITIONS, new, subresource="status")
    found = await client.patch(DEFINITIONS, "crontabs.example.com", {"metadata": {"annotations": {"a": "b"}}}, subresource="status")
    assert condition in found["status"]["conditions"]


# Objects


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"replicas": "x"}, 'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"'),
        ({"cron": None}, "spec.cron: Required value"),
        ({"steps": [{"name": "a"}, {"name": "a"}]}, 'spec.steps[1]: Duplicate value: {"name":"a"}'),
    ],
)
async def test_an_object_that_breaks_its_schema_is_refused(plane: ControlPlane, client: InProcessClient, spec: Any, told: str) -> None:
    crontabs = await define(plane)
    with pytest.raises(Invalid) as refused:
        await client.create(crontabs, crontab(**spec))
    assert refused.value.message == f'CronTab.example.com "a" is invalid: {told}'
    assert plane.server.core.store.count(crontabs.prefix) == 0


@pytest.mark.conformance(
    API_MACHINERY + "FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema"
)
async def test_unknown_fields_are_refused_when_asked_so(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    value = crontab(nope=1)
    value["metadata"]["strange"] = True
    with pytest.raises(BadRequest) as refused:
        await client.create(crontabs, value)
    assert refused.value.message == (
        'CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "metadata.strange", unknown field "spec.nope"'
    )


@pytest.mark.conformance(
    API_MACHINERY + "FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR"
)
async def test_unknown_metadata_of_embedded_objects_is_refused(plane: ControlPlane, client: InProcessClient) -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    crontabs = await define(
        plane, version(schema={"type": "object", "properties": {"spec": {"type": "object", "properties": {"pod": embedded}}}})
    )
    value = crontab()
    value["spec"] = {"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "unknownSubMeta": 1}}}
    with pytest.raises(BadRequest, match=r'unknown field "spec.pod.metadata.unknownSubMeta"'):
        await client.create(crontabs, value)


@pytest.mark.conformance(API_MACHINERY + "FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema")
async def test_where_all_is_preserved_all_stays(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane, version(schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    created = await client.create(crontabs, crontab(any={"thing": [1, {"a": None}]}))
    assert created["spec"]["any"] == {"thing": [1, {"a": None}]}


async def test_metadata_obeys_the_rules_of_all_objects(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    for metadata in ({"name": "A_b", "namespace": "default"}, {"name": "a", "namespace": "default", "labels": {"x": "a b"}}):
        with pytest.raises(Invalid):
            await client.create(crontabs, {**crontab(), "metadata": metadata})


async def test_generations_count_changes_of_all_but_metadata_and_status(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane, version(subresources={"status": {}}))
    created = await client.create(crontabs, {**crontab(), "status": {"x": 1}})
    assert "status" not in created

    async def patched(patch: Any, **more: Any) -> tuple[int, Any]:
        value = await client.patch(crontabs, "a", patch, "default", **more)
        return value["metadata"]["generation"], value.get("status")

    assert await patched({"metadata": {"labels": {"a": "b"}}}) == (1, None)
    assert await patched({"spec": {"image": "x"}, "status": {"y": 1}}) == (2, None)
    assert await patched({"spec": {"image": "z"}, "status": {"y": 2}}, subresource="status") == (2, {"y": 2})
    assert (await client.get(crontabs, "a", "default"))["spec"]["image"] == "x"


async def test_patches(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    await client.create(crontabs, crontab(tags=["a"]))
    merged = await client.patch(crontabs, "a", {"spec": {"tags": ["b"]}}, "default")
    assert merged["spec"]["tags"] == ["b"]
    patched = await client.patch(crontabs, "a", [{"op": "add", "path": "/spec/tags/-", "value": "c"}], "default", type="json")
    assert patched["spec"]["tags"] == ["b", "c"]
    with pytest.raises(UnsupportedMediaType) as refused:
        await client.patch(crontabs, "a", {"spec": {}}, "default", type="strategic")
    assert refused.value.message == (
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
        "application/merge-patch+json, application/apply-patch+yaml"
    )


async def test_a_write_that_changes_nothing_makes_no_revision(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    created = await client.create(crontabs, crontab())
    again = await client.patch(crontabs, "a", {"spec": {"replicas": 1}}, "default")
    assert again["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


async def test_replicas_are_where_the_definition_says(plane: ControlPlane, client: InProcessClient) -> None:
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.count", "labelSelectorPath": ".status.selector"}
    crontabs = await define(plane, version(subresources={"scale": scale, "status": {}}))
    await client.create(crontabs, crontab(replicas=3))
    await client.patch(crontabs, "a", {"status": {"count": 2, "selector": "a=b"}}, "default", subresource="status")
    found = await client.get(crontabs, "a", "default", subresource="scale")
    assert (found["spec"], found["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    found = await client.patch(crontabs, "a", {"spec": {"replicas": 5}}, "default", subresource="scale")
    assert found["spec"] == {"replicas": 5}
    assert (await client.get(crontabs, "a", "default"))["spec"]["replicas"] == 5
    applied = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 6}}
    options = {"fieldManager": "m", "force": "true"}
    request = Request("patch", crontabs, ADMINISTRATOR, "default", "a", "scale", applied, options, patch_type="apply")
    assert (await plane.server.execute(request)).to_value()["spec"] == {"replicas": 6}  # type: ignore[union-attr]
    stored = await client.get(crontabs, "a", "default")
    (entry,) = [e for e in stored["metadata"]["managedFields"] if e["manager"] == "m"]
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}} and stored["spec"]["replicas"] == 6
    with pytest.raises(Invalid):
        await client.patch(crontabs, "a", {"spec": {"replicas": -1}}, "default")


@pytest.mark.conformance(
    API_MACHINERY
    + "CustomResourceFieldSelectors [Privileged:ClusterAdmin] CustomResourceFieldSelectors MUST list and watch custom resources "
    "matching the field selector"
)
async def test_fields_are_selected(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane, version(selectableFields=[{"jsonPath": ".spec.image"}, {"jsonPath": ".spec.replicas"}]))
    await client.create(crontabs, crontab("a", image="x"))
    await client.create(crontabs, crontab("b", image="y"))
    for fields, names in (("spec.image=x", ["a"]), ("spec.image!=x", ["b"]), ("spec.replicas=1", ["a", "b"]), ("metadata.name=b", ["b"])):
        assert [v["metadata"]["name"] for v in (await client.list(crontabs, "default", fields=fields)).items] == names
    with pytest.raises(BadRequest, match=r"field label not supported: spec\.cron"):
        await client.list(crontabs, fields="spec.cron=x")


# Rules


async def test_rules_hold(plane: ControlPlane, client: InProcessClient) -> None:
    schema = copy(SCHEMA)
    schema["properties"]["spec"]["x-kubernetes-validations"] = [
        {
            "rule": "self.replicas <= 5",
            "messageExpression": "'at most 5, ' + (self.replicas > 99 ? 'far ' : '') + 'not more'",
            "fieldPath": ".replicas",
        },
        {"rule": "self.cron == oldSelf.cron", "message": "cron stays", "reason": "FieldValueForbidden"},
    ]
    crontabs = await define(plane, version(schema=schema))
    with pytest.raises(Invalid) as refused:
        await client.create(crontabs, crontab(replicas=9))
    assert refused.value.message == 'CronTab.example.com "a" is invalid: spec.replicas: Invalid value: at most 5, not more'
    await client.create(crontabs, crontab())
    with pytest.raises(Invalid) as refused:
        await client.patch(crontabs, "a", {"spec": {"cron": "1 1"}}, "default")
    assert refused.value.message == 'CronTab.example.com "a" is invalid: spec: Forbidden: cron stays'
    with pytest.raises(Invalid, match="some validation rules were not checked because the object was invalid"):
        await client.patch(crontabs, "a", {"spec": {"replicas": "x"}}, "default")


# Definitions change


@pytest.mark.conformance(RESOURCES + "custom resource defaulting for requests and from storage works")
async def test_stored_objects_show_new_defaults(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    await client.create(crontabs, crontab(image="x"))
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    fields = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["level"] = {"type": "string", "default": "high"}
    del fields["image"]
    await client.update(DEFINITIONS, changed)
    found = await client.get(crontabs, "a", "default")
    assert found["spec"] == {"cron": "* *", "replicas": 1, "level": "high"}
    assert (await client.list(crontabs, "default")).items == [found]
    patched = await client.patch(crontabs, "a", {"spec": {"replicas": 2}}, "default")
    assert patched["spec"] == {"cron": "* *", "replicas": 2, "level": "high"}


async def test_a_stricter_schema_leaves_old_parts_alone(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    await client.create(crontabs, crontab(cron="0123456789"))
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["cron"]["maxLength"] = 3
    await client.update(DEFINITIONS, changed)
    await client.patch(crontabs, "a", {"spec": {"image": "y"}}, "default")
    with pytest.raises(Invalid, match="may not be more than 3 bytes"):
        await client.patch(crontabs, "a", {"spec": {"cron": "01234"}}, "default")


async def test_what_is_served_in_the_catalog_follows_the_definition(plane: ControlPlane, client: InProcessClient) -> None:
    await define(plane, version(), version("v2"))
    assert served(plane, "v2").custom is not None
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    changed["spec"]["versions"][1]["served"] = False
    await client.update(DEFINITIONS, changed)
    assert plane.server.core.catalog.lookup("example.com", "v2", "crontabs") is None
    assert plane.server.core.catalog.lookup("example.com", "v1", "crontabs") is not None


async def test_versions_differ_in_their_name_alone(plane: ControlPlane, client: InProcessClient) -> None:
    v1 = await define(plane, version(), version("v2"))
    v2 = served(plane, "v2")
    created = await client.create(v2, crontab(api_version="example.com/v2"))
    assert created["apiVersion"] == "example.com/v2"
    assert (await plane.server.core.store.range(v1.prefix)).records[0].value["apiVersion"] == "example.com/v1"
    assert (await client.get(v1, "a", "default"))["apiVersion"] == "example.com/v1"
    page = await client.list(v2, "default")
    assert [v["apiVersion"] for v in page.items] == ["example.com/v2"]
    assert page.items[0]["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    patched = await client.patch(v2, "a", {"spec": {"replicas": 4}}, "default")
    assert (patched["apiVersion"], patched["spec"]["replicas"]) == ("example.com/v2", 4)


async def test_an_untouched_object_moves_to_the_new_storage_version(plane: ControlPlane, client: InProcessClient) -> None:
    v1 = await define(plane, version(), version("v2"))
    await client.create(v1, crontab())
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    changed["spec"]["versions"][0]["storage"], changed["spec"]["versions"][1]["storage"] = False, True
    answer = await client.update(DEFINITIONS, changed)
    assert answer["status"]["storedVersions"] == ["v1", "v2"]
    await client.update(v1, await client.get(v1, "a", "default"))
    stored = (await plane.server.core.store.range(v1.prefix)).records[0].value
    assert stored["apiVersion"] == "example.com/v2"
    unchanged = await client.update(v1, await client.get(v1, "a", "default"))
    assert unchanged["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


@pytest.mark.conformance(
    API_MACHINERY + "CustomResourceDefinition Watch [Privileged:ClusterAdmin] CustomResourceDefinition Watch watch on custom resource "
    "definition objects"
)
async def test_watches_show_the_version_that_was_asked_for(plane: ControlPlane, client: InProcessClient) -> None:
    v1 = await define(plane, version(), version("v2"))
    seen: list[str] = []

    async def follow() -> None:
        async for event in client.watch(served(plane, "v2"), "default", revision="0"):
            seen.append(f"{event.type} {event.object['apiVersion']}")
            if event.type == "DELETED":
                return

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0.01)
    await client.create(v1, crontab())
    await client.patch(v1, "a", {"spec": {"replicas": 2}}, "default")
    await client.delete(v1, "a", "default")
    await asyncio.wait_for(task, 20)
    assert seen == [f"{kind} example.com/v2" for kind in ("ADDED", "MODIFIED", "DELETED")]


async def test_watches_end_with_the_definition(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)

    async def follow() -> list[str]:
        return [event.type async for event in client.watch(crontabs, "default", revision="0")]

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0.01)
    await client.create(crontabs, crontab())
    await client.delete(DEFINITIONS, "crontabs.example.com")
    assert await asyncio.wait_for(task, 20) == ["ADDED", "DELETED"]
    with pytest.raises(NotFound, match="the server could not find the requested resource"):
        await client.list(crontabs)


# Conversion by webhook


async def test_a_conversion_that_fails_stores_nothing(plane: ControlPlane, client: InProcessClient) -> None:
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/convert"}}
    await define(plane, version(), version("v2"), conversion={"strategy": "Webhook", "webhook": webhook})
    with pytest.raises(ServerError, match=r"conversion webhook for example.com/v2, Kind=CronTab failed"):
        await client.create(served(plane, "v2"), crontab(api_version="example.com/v2"))
    assert plane.server.core.store.count("/example.com/crontabs/") == 0


# A restart


async def test_a_new_server_serves_what_was_defined(plane: ControlPlane, client: InProcessClient) -> None:
    from podium.api.core import Core
    from podium.api.custom.registry import CustomResources
    from podium.api.watching import Hubs
    from podium.objects.resources import Catalog, builtin

    await define(plane)
    await settled(client)
    core = Core(plane.server.core.store, plane.world, Catalog(builtin()))
    await CustomResources(core, Hubs(core)).start()
    assert core.catalog.lookup("example.com", "v1", "crontabs") is not None


async def test_a_resource_without_definition_is_not_found(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    await client.delete(DEFINITIONS, "crontabs.example.com")
    await gone(client)
    with pytest.raises(StatusError) as refused:
        await client.create(crontabs, crontab())
    assert refused.value.code == 404


async def test_definitions_that_are_wrong_are_refused(client: InProcessClient) -> None:
    with pytest.raises(Invalid) as refused:
        await client.create(DEFINITIONS, definition(version(schema={"type": "object", "properties": {"spec": {}}})))
    assert refused.value.message == (
        'CustomResourceDefinition.apiextensions.k8s.io "crontabs.example.com" is invalid: spec.validation.openAPIV3Schema.properties[spec].type: '
        "Required value: must not be empty for specified object fields"
    )


async def test_a_lost_race_is_a_conflict(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    created = await client.create(crontabs, crontab())
    await client.patch(crontabs, "a", {"spec": {"replicas": 2}}, "default")
    with pytest.raises(Conflict):
        await client.update(crontabs, {**created, "spec": {"cron": "x"}})
