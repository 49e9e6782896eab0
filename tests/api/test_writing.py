"""Create, update, patch: what is stored, what is refused and how it is said."""

import asyncio
from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects import values
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, BadRequest, Conflict, Forbidden, Invalid, NotFound, StatusError
from tests.api.objects import configmap, deployment, pod

CONFIGMAPS, PODS, DEPLOYMENTS = resource("configmaps"), resource("pods"), resource("deployments", "apps")


async def test_a_created_object_has_identity_time_and_revision(client: InProcessClient, plane: ControlPlane) -> None:
    created = await client.create(CONFIGMAPS, configmap("a", k="v"))
    metadata = created["metadata"]
    assert metadata["resourceVersion"] == str(plane.server.core.store.revision)
    assert len(metadata["uid"]) == 36 and metadata["creationTimestamp"].endswith("Z")
    assert await client.get(CONFIGMAPS, "a", "default") == created


async def test_the_stored_bytes_are_the_object(client: InProcessClient, plane: ControlPlane) -> None:
    import orjson

    created = await client.create(CONFIGMAPS, configmap("a", k="v"))
    record = await plane.server.core.store.get(CONFIGMAPS.key("default", "a"))
    assert record is not None and orjson.loads(record.encoded) == created


async def test_generate_name_appends_a_suffix(client: InProcessClient) -> None:
    value = {"metadata": {"generateName": "x-", "namespace": "default"}}
    names = {(await client.create(CONFIGMAPS, value))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3 and all(n.startswith("x-") and len(n) == 7 for n in names)


REFUSED_CREATES: list[tuple[str, dict[str, Any], type[StatusError], str]] = [
    ("wrong kind", {"kind": "Pod"}, BadRequest, "the kind in the data does not match the expected kind (ConfigMap)"),
    ("wrong version", {"apiVersion": "v2"}, BadRequest, "the API version in the data (v2) does not match the expected API version (v1)"),
    ("other namespace", {"metadata": {"name": "a", "namespace": "other"}}, BadRequest, "does not match the namespace sent on the request"),
    ("a resourceVersion", {"metadata": {"name": "a", "resourceVersion": "5"}}, BadRequest, "resourceVersion should not be set"),
    ("no name", {"metadata": {}}, Invalid, "name or generateName is required"),
    ("bad name", {"metadata": {"name": "A_b"}}, Invalid, "a lowercase RFC 1123 subdomain must consist of"),
    ("unknown field", {"dta": {}}, BadRequest, 'strict decoding error: unknown field "dta"'),
    ("wrong type", {"data": {"k": 5}}, Invalid, "data.k"),
]


@pytest.mark.parametrize(("case", "change", "error", "says"), REFUSED_CREATES, ids=[c[0] for c in REFUSED_CREATES])
async def test_a_wrong_object_is_refused(
    client: InProcessClient, case: str, change: dict[str, Any], error: type[StatusError], says: str
) -> None:
    with pytest.raises(error) as caught:
        await client.create(CONFIGMAPS, {**configmap("a"), **change}, "default")
    assert says in caught.value.message
    with pytest.raises(NotFound):
        await client.get(CONFIGMAPS, "a", "default")


async def test_invalid_names_every_cause(client: InProcessClient) -> None:
    bad = pod("p", restartPolicy="Sometimes", containers=[{"name": "X"}])
    with pytest.raises(Invalid) as caught:
        await client.create(PODS, bad)
    fields = {c["field"] for c in (caught.value.details or {})["causes"]}
    assert {"spec.restartPolicy", "spec.containers[0].name", "spec.containers[0].image"} <= fields
    assert caught.value.message.startswith('Pod "p" is invalid: [')


async def test_creating_twice_is_already_exists(client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("a"))
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        await client.create(CONFIGMAPS, configmap("a"))


async def test_nothing_is_created_in_an_absent_or_terminating_namespace(client: InProcessClient) -> None:
    value = configmap("a")
    value["metadata"]["namespace"] = "gone"
    with pytest.raises(NotFound, match='namespaces "gone" not found'):
        await client.create(CONFIGMAPS, value)
    await client.create(resource("namespaces"), {"metadata": {"name": "gone"}})
    await client.delete(resource("namespaces"), "gone")
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await client.create(CONFIGMAPS, value)


async def test_a_stale_update_is_a_conflict(client: InProcessClient) -> None:
    old = await client.create(CONFIGMAPS, configmap("a", k="1"))
    await client.update(CONFIGMAPS, {**values.copy(old), "data": {"k": "2"}})
    with pytest.raises(Conflict, match="the object has been modified"):
        await client.update(CONFIGMAPS, {**values.copy(old), "data": {"k": "3"}})


async def test_an_update_that_changes_nothing_makes_no_revision(client: InProcessClient) -> None:
    old = await client.create(CONFIGMAPS, configmap("a", k="1"))
    assert (await client.update(CONFIGMAPS, values.copy(old)))["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"]
    assert (await client.patch(CONFIGMAPS, "a", {"data": {"k": "1"}}, "default")) == old


async def test_identity_survives_updates(client: InProcessClient) -> None:
    old = await client.create(CONFIGMAPS, configmap("a"))
    with pytest.raises(Conflict, match="UID in precondition"):
        await client.update(CONFIGMAPS, {**configmap("a"), "metadata": {"name": "a", "namespace": "default", "uid": "other"}})
    new = await client.update(CONFIGMAPS, {**configmap("a", k="v"), "metadata": {"name": "a", "namespace": "default"}})
    for field in ("uid", "creationTimestamp"):
        assert new["metadata"][field] == old["metadata"][field]


async def test_spec_and_status_have_a_door_each(client: InProcessClient) -> None:
    created = await client.create(DEPLOYMENTS, {**deployment("d"), "status": {"replicas": 7}})
    assert created["status"] == {} and created["metadata"]["generation"] == 1
    status = {"observedGeneration": 1, "replicas": 1}
    through_status = await client.update(DEPLOYMENTS, {**values.copy(created), "spec": {}, "status": status}, subresource="status")
    assert through_status["spec"] == created["spec"] and through_status["status"] == status
    assert through_status["metadata"]["generation"] == 1
    through_main = await client.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 2}, "status": {"replicas": 9}}, "default")
    assert through_main["status"] == status and through_main["metadata"]["generation"] == 2


PATCHES: list[tuple[str, Any, dict[str, str]]] = [
    ("merge", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
    ("strategic", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
    ("json", [{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/c", "value": "3"}], {"b": "2", "c": "3"}),
]


@pytest.mark.parametrize(("kind", "patch", "expect"), PATCHES, ids=[p[0] for p in PATCHES])
async def test_every_patch_type_is_served(client: InProcessClient, kind: Any, patch: Any, expect: dict[str, str]) -> None:
    await client.create(CONFIGMAPS, configmap("x", a="1", b="2"))
    assert (await client.patch(CONFIGMAPS, "x", patch, "default", type=kind))["data"] == expect


async def test_concurrent_patches_all_count(client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("a"))
    await asyncio.gather(*(client.patch(CONFIGMAPS, "a", {"data": {f"k{i}": "v"}}, "default") for i in range(30)))
    assert len((await client.get(CONFIGMAPS, "a", "default"))["data"]) == 30


async def test_a_merge_patch_may_insist_on_a_revision(client: InProcessClient) -> None:
    old = await client.create(CONFIGMAPS, configmap("a"))
    await client.patch(CONFIGMAPS, "a", {"data": {"k": "1"}}, "default")
    with pytest.raises(Conflict):
        await client.patch(
            CONFIGMAPS, "a", {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"k": "2"}}, "default"
        )


async def test_a_patch_cannot_rename(client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("a"))
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await client.patch(CONFIGMAPS, "a", {"metadata": {"name": "b"}}, "default")


async def test_a_pod_gets_its_account_token_tolerations_and_class(client: InProcessClient) -> None:
    spec = (created := await client.create(PODS, pod("p")))["spec"]
    assert spec["serviceAccountName"] == "default" and spec["priority"] == 0
    assert [m["mountPath"] for m in spec["containers"][0]["volumeMounts"]] == ["/var/run/secrets/kubernetes.io/serviceaccount"]
    assert {t["key"] for t in spec["tolerations"]} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


async def test_a_pod_of_an_absent_account_is_refused(client: InProcessClient) -> None:
    with pytest.raises(Forbidden, match='error looking up service account default/robot: serviceaccount "robot" not found'):
        await client.create(PODS, pod("p", serviceAccountName="robot"))


async def test_secret_text_is_stored_as_data(client: InProcessClient) -> None:
    value = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"user": "me"}}
    created = await client.create(resource("secrets"), value)
    assert created["data"] == {"user": "bWU="} and "stringData" not in created
