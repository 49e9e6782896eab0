"""What goes with its owner, what stays, and in which order."""

from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC, SELECTOR, TEMPLATE

shows = pytest.mark.conformance
PODS, CONTROLLERS = "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/replicationcontrollers"
DEPLOYMENTS, REPLICA_SETS = "/apis/apps/v1/namespaces/default/deployments", "/apis/apps/v1/namespaces/default/replicasets"


def controller(name: str, replicas: int, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": labels, "template": {"metadata": {"labels": labels}, "spec": POD_SPEC}},
    }


async def with_pods(api: Api, name: str, replicas: int, labels: dict[str, str]) -> Any:
    await api.post(CONTROLLERS, controller(name, replicas, labels))
    return await api.settled(f"{CONTROLLERS}/{name}", lambda c: c["status"].get("replicas") == replicas)


async def deployed(api: Api) -> None:
    await api.post(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}})
    await api.settled(DEPLOYMENTS + "/web", lambda d: d["status"].get("replicas") == 2)


async def none_left(api: Api, target: str) -> None:
    await api.settled(target, lambda found: found["items"] == [])


@shows("[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning")
def test_pods_go_with_their_controller() -> None:
    async def scenario(api: Api) -> None:
        await with_pods(api, "a", 2, LABELS)
        await api.delete(f"{CONTROLLERS}/a", {"propagationPolicy": "Background"})
        assert await api.names(CONTROLLERS) == []
        await none_left(api, PODS)

    run(scenario)


@shows("[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so [Serial]")
def test_pods_stay_as_orphans_when_asked_to() -> None:
    async def scenario(api: Api) -> None:
        await with_pods(api, "a", 10, LABELS)
        await api.delete(f"{CONTROLLERS}/a", {"propagationPolicy": "Orphan"})
        await none_left(api, CONTROLLERS)
        pods = (await api.get(PODS))["items"]
        assert len(pods) == 10 and not any(p["metadata"].get("ownerReferences") for p in pods)

    run(scenario)


@shows(
    "[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so [Serial]"
)
def test_a_controller_stays_until_its_pods_are_gone() -> None:
    async def scenario(api: Api) -> None:
        await with_pods(api, "a", 10, LABELS)
        async with api.watch(PODS) as pods, api.watch(CONTROLLERS) as controllers:
            await api.delete(f"{CONTROLLERS}/a", {"propagationPolicy": "Foreground"})
            held = await api.get(f"{CONTROLLERS}/a")
            assert "foregroundDeletion" in held["metadata"]["finalizers"]
            last = 0
            for _ in range(10):
                last = max(last, int((await pods.until(lambda kind, _: kind == "DELETED"))["metadata"]["resourceVersion"]))
            gone = await controllers.until(lambda kind, _: kind == "DELETED")
            assert int(gone["metadata"]["resourceVersion"]) > last

    run(scenario)


@shows(
    "[sig-api-machinery] Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to "
    "be deleted [Serial]"
)
def test_a_dependent_with_another_owner_stays() -> None:
    async def scenario(api: Api) -> None:
        first = await with_pods(api, "going", 10, {"name": "going"})
        other = await api.post(CONTROLLERS, controller("staying", 0, {"name": "staying"}))
        names = await api.names(PODS)
        reference = {"apiVersion": "v1", "kind": "ReplicationController", "name": "staying", "uid": other["metadata"]["uid"]}
        for name in names[::2]:
            pod = await api.get(f"{PODS}/{name}")
            await api.patch(f"{PODS}/{name}", {"metadata": {"ownerReferences": [*pod["metadata"]["ownerReferences"], reference]}})
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": first["metadata"]["uid"]}}
        await api.delete(f"{CONTROLLERS}/going", options)
        await api.settled(f"{CONTROLLERS}/going", lambda c: c is None)
        left = (await api.get(PODS))["items"]
        assert [p["metadata"]["name"] for p in left] == names[::2]
        assert not any("deletionTimestamp" in p["metadata"] for p in left)
        assert all([r["name"] for r in p["metadata"]["ownerReferences"]] == ["staying"] for p in left)

    run(scenario)


@shows("[sig-api-machinery] Garbage collector should not be blocked by dependency circle")
def test_a_circle_of_owners_is_collected() -> None:
    async def scenario(api: Api) -> None:
        pods = {name: await api.post(PODS, {"metadata": {"name": name}, "spec": POD_SPEC}) for name in ("pod1", "pod2", "pod3")}
        for owned, owner in (("pod1", "pod3"), ("pod2", "pod1"), ("pod3", "pod2")):
            uid = pods[owner]["metadata"]["uid"]
            reference = {"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": uid, "controller": True, "blockOwnerDeletion": True}
            await api.patch(f"{PODS}/{owned}", {"metadata": {"ownerReferences": [reference]}})
        await api.delete(f"{PODS}/pod1", {"propagationPolicy": "Foreground", "gracePeriodSeconds": 0})
        await none_left(api, PODS)

    run(scenario)


@shows("[sig-api-machinery] Garbage collector should delete RS created by deployment when not orphaning")
def test_replica_sets_and_pods_go_with_a_deployment() -> None:
    async def scenario(api: Api) -> None:
        await deployed(api)
        await api.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Background"})
        await none_left(api, REPLICA_SETS)
        await none_left(api, PODS)

    run(scenario)


@shows("[sig-api-machinery] Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan")
def test_replica_sets_stay_without_their_deployment_when_asked_to() -> None:
    async def scenario(api: Api) -> None:
        await deployed(api)
        await api.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Orphan"})
        await none_left(api, DEPLOYMENTS)
        sets = (await api.get(REPLICA_SETS))["items"]
        assert len(sets) == 1 and not sets[0]["metadata"].get("ownerReferences") and len(await api.names(PODS)) == 2

    run(scenario)
