"""Deployments and ReplicaSets on simulated nodes."""

from typing import Any

import pytest

from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC, SELECTOR, TEMPLATE

shows = pytest.mark.conformance
DEPLOYMENTS, REPLICA_SETS = "/apis/apps/v1/namespaces/default/deployments", "/apis/apps/v1/namespaces/default/replicasets"
PODS = "/api/v1/namespaces/default/pods"


def deployment(replicas: int = 1, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "d", "labels": LABELS}, "spec": {"replicas": replicas, "selector": SELECTOR, "template": TEMPLATE, **spec}}


def replica_set(replicas: int, **metadata: Any) -> dict[str, Any]:
    spec = {"replicas": replicas, "selector": SELECTOR, "template": TEMPLATE}
    return {"metadata": {"name": "rs", "labels": LABELS, **metadata}, "spec": spec}


def done(count: int) -> Any:
    def settled(value: Any) -> bool:
        status = value["status"]
        counts = {status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")}
        return counts == {count} and status["observedGeneration"] == value["metadata"]["generation"]

    return settled


def available(count: int) -> Any:
    return lambda r: r["status"].get("availableReplicas", 0) == count == r["status"]["replicas"]


async def image(api: Api, name: str) -> None:
    await api.patch(f"{DEPLOYMENTS}/d", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": name}]}}}}, STRATEGIC)


@shows("[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones")
def test_a_rolling_update_adopts_replaces_and_keeps_the_old_set_empty() -> None:
    async def scenario(api: Api) -> None:
        await api.post(REPLICA_SETS, replica_set(1))
        await api.settled(f"{REPLICA_SETS}/rs", available(1))
        new = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": "new:1"}]}}
        await api.post(DEPLOYMENTS, deployment(1, template=new))
        await api.settled(f"{DEPLOYMENTS}/d", done(1))
        old = await api.settled(f"{REPLICA_SETS}/rs", lambda r: r["status"]["replicas"] == 0)
        assert [r["name"] for r in old["metadata"]["ownerReferences"]] == ["d"] and len(await api.names(REPLICA_SETS)) == 2

    run(scenario, nodes=1)


@shows("[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones")
def test_recreate_never_runs_old_beside_new() -> None:
    async def scenario(api: Api) -> None:
        await api.post(DEPLOYMENTS, deployment(2, strategy={"type": "Recreate"}))
        await api.settled(f"{DEPLOYMENTS}/d", done(2))
        async with api.watch(PODS) as watch:
            await image(api, "new:1")
            alive = dict.fromkeys(await api.names(PODS), POD_SPEC["containers"][0]["image"])
            while len(alive) < 2 or set(alive.values()) != {"new:1"}:
                event = await watch.next()
                pod = event["object"]
                if event["type"] == "DELETED":
                    del alive[pod["metadata"]["name"]]
                else:
                    alive[pod["metadata"]["name"]] = pod["spec"]["containers"][0]["image"]
                assert len(set(alive.values())) <= 1
        await api.settled(f"{DEPLOYMENTS}/d", done(2))

    run(scenario, nodes=1)


@shows("[sig-apps] Deployment deployment should delete old replica sets")
def test_history_is_kept_short() -> None:
    async def scenario(api: Api) -> None:
        await api.post(DEPLOYMENTS, deployment(1, revisionHistoryLimit=0))
        await api.settled(f"{DEPLOYMENTS}/d", done(1))
        await image(api, "new:1")
        await api.settled(f"{DEPLOYMENTS}/d", done(1))
        await api.settled(REPLICA_SETS, lambda f: len(f["items"]) == 1)

    run(scenario, nodes=1)


@shows("[sig-apps] Deployment deployment should support rollover")
def test_a_newer_update_overtakes_one_under_way() -> None:
    async def scenario(api: Api) -> None:
        await api.post(DEPLOYMENTS, deployment(1, minReadySeconds=10))
        await api.settled(f"{DEPLOYMENTS}/d", done(1))
        gated = {"spec": {"template": {"spec": {"readinessGates": [{"conditionType": "example.com/never"}]}}}}
        await api.patch(f"{DEPLOYMENTS}/d", gated)
        await api.settled(REPLICA_SETS, lambda f: len(f["items"]) == 2)
        await api.patch(f"{DEPLOYMENTS}/d", {"spec": {"template": {"spec": {"readinessGates": None}}}})
        await image(api, "newest:1")
        await api.settled(f"{DEPLOYMENTS}/d", done(1))
        sizes = {
            r["spec"]["template"]["spec"]["containers"][0]["image"]: r["spec"]["replicas"] for r in (await api.get(REPLICA_SETS))["items"]
        }
        assert sizes["newest:1"] == 1 and sum(sizes.values()) == 1

    run(scenario, nodes=1)


@shows("[sig-apps] Deployment deployment should support proportional scaling")
def test_scaling_while_updating_is_in_proportion() -> None:
    async def scenario(api: Api) -> None:
        await api.post(DEPLOYMENTS, deployment(10, strategy={"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}))
        await api.settled(f"{DEPLOYMENTS}/d", done(10))
        gates = [{"conditionType": "example.com/never"}]
        await api.patch(f"{DEPLOYMENTS}/d", {"spec": {"template": {"spec": {"readinessGates": gates}}}})

        def sizes(*wanted: int) -> Any:
            return lambda f: sorted(r["spec"]["replicas"] for r in f["items"]) == sorted(wanted)

        await api.settled(REPLICA_SETS, sizes(8, 5))
        await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 30}})
        await api.settled(REPLICA_SETS, sizes(20, 13))

    run(scenario, nodes=1)


@shows("[sig-apps] Deployment Deployment should have a working scale subresource")
@shows("[sig-apps] Deployment should run the lifecycle of a Deployment")
@shows("[sig-apps] Deployment should validate Deployment Status endpoints")
def test_the_life_of_a_deployment() -> None:
    async def scenario(api: Api) -> None:
        async with api.watch(DEPLOYMENTS, labels="app=web") as watch:
            await api.post(DEPLOYMENTS, deployment(1))
            await watch.until(lambda _, d: done(1)(d) if d["status"].get("observedGeneration") else False)
            scale = await api.get(f"{DEPLOYMENTS}/d/scale")
            assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
            await api.put(f"{DEPLOYMENTS}/d/scale", {**scale, "spec": {"replicas": 2}})
            await watch.until(lambda _, d: done(2)(d))
            assert (await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 3}}))["spec"]["replicas"] == 3
            await watch.until(lambda _, d: done(3)(d))
            assert (await api.get(f"{DEPLOYMENTS}/d/scale"))["status"]["replicas"] == 3
            await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 2}})
            await watch.until(lambda _, d: done(2)(d))
            condition = {
                "type": "StatusUpdate",
                "status": "True",
                "reason": "E2E",
                "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            value = await api.get(f"{DEPLOYMENTS}/d/status")
            conditions = [*value["status"]["conditions"], condition]
            updated = await api.put(f"{DEPLOYMENTS}/d/status", {**value, "status": {**value["status"], "conditions": conditions}})
            assert condition in updated["status"]["conditions"]
            assert condition in (await api.get(f"{DEPLOYMENTS}/d/status"))["status"]["conditions"]
            other = {**condition, "type": "StatusPatched"}
            patch = {"metadata": {"annotations": {"p": "q"}}, "status": {"conditions": [*conditions, other]}}
            await api.patch(f"{DEPLOYMENTS}/d/status", patch)
            assert {"StatusUpdate", "StatusPatched"} <= {c["type"] for c in (await api.get(f"{DEPLOYMENTS}/d"))["status"]["conditions"]}
            await image(api, "new:1")
            await watch.until(lambda _, d: done(2)(d) and d["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2")
            assert await api.names("/apis/apps/v1/deployments?labelSelector=app%3Dweb") == ["d"]
            await api.delete(f"{DEPLOYMENTS}?labelSelector=app%3Dweb")
            await watch.until(lambda kind, _: kind == "DELETED")
        await api.settled(PODS, lambda f: not f["items"])

    run(scenario, nodes=1)


@shows("[sig-apps] ReplicaSet Replicaset should have a working scale subresource")
@shows("[sig-apps] ReplicaSet Replace and Patch tests")
@shows("[sig-apps] ReplicaSet should validate Replicaset Status endpoints")
@shows("[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets")
def test_the_life_of_a_replica_set() -> None:
    async def scenario(api: Api) -> None:
        at = f"{REPLICA_SETS}/rs"
        await api.post(REPLICA_SETS, replica_set(1))
        await api.settled(at, available(1))
        scale = await api.get(f"{at}/scale")
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
        await api.put(f"{at}/scale", {**scale, "spec": {"replicas": 2}})
        await api.settled(at, available(2))
        await api.patch(f"{at}/scale", {"spec": {"replicas": 4}})
        await api.settled(at, available(4))
        assert (await api.get(f"{at}/scale"))["status"]["replicas"] == 4
        await api.patch(at, {"spec": {"replicas": 3}, "metadata": {"labels": {"patched": "yes"}}})
        await api.settled(at, available(3))
        value = await api.get(at)
        await api.put(at, {**value, "spec": {**value["spec"], "replicas": 1}})
        await api.settled(at, available(1))
        condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "m"}
        value = await api.get(f"{at}/status")
        updated = await api.put(f"{at}/status", {**value, "status": {**value["status"], "conditions": [condition]}})
        assert updated["status"]["conditions"] == [condition]
        patched = await api.patch(f"{at}/status", {"status": {"conditions": [{**condition, "type": "StatusPatched"}]}})
        assert patched["status"]["conditions"][0]["type"] == "StatusPatched"
        assert (await api.get(at))["status"]["conditions"][0]["type"] == "StatusPatched"
        assert await api.names("/apis/apps/v1/replicasets?labelSelector=patched%3Dyes") == ["rs"]
        await api.delete(f"{REPLICA_SETS}?labelSelector=patched%3Dyes")
        await api.settled(PODS, lambda f: not f["items"])

    run(scenario, nodes=1)


@shows("[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods")
def test_pods_are_adopted_and_released() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, {"metadata": {"name": "orphan", "labels": LABELS}, "spec": POD_SPEC})
        owner = await api.post(REPLICA_SETS, replica_set(1))
        adopted = await api.settled(f"{PODS}/orphan", lambda p: p["metadata"].get("ownerReferences"))
        assert adopted["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
        await api.patch(f"{PODS}/orphan", {"metadata": {"labels": {"app": "other"}}})
        await api.settled(f"{PODS}/orphan", lambda p: not p["metadata"].get("ownerReferences"))

    run(scenario, nodes=1)


QUOTAS, CONTROLLERS = "/api/v1/namespaces/default/resourcequotas", "/api/v1/namespaces/default/replicationcontrollers"
CONTROLLER = {"metadata": {"name": "rc"}, "spec": {"replicas": 3, "selector": LABELS, "template": TEMPLATE}}


@shows("[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota")
def test_a_quota_that_is_exceeded_shows_at_the_controller() -> None:
    async def scenario(api: Api) -> None:
        await api.post(QUOTAS, {"metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}})
        await api.settled(f"{QUOTAS}/two", lambda q: q["status"].get("used"))
        await api.post(CONTROLLERS, CONTROLLER)
        failed = await api.settled(f"{CONTROLLERS}/rc", lambda c: c["status"].get("conditions"))
        condition = failed["status"]["conditions"][0]
        assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate") and "exceeded quota: two" in condition[
            "message"
        ]
        await api.patch(f"{CONTROLLERS}/rc/scale", {"spec": {"replicas": 2}})
        await api.settled(f"{CONTROLLERS}/rc", lambda c: not c["status"].get("conditions"))

    run(scenario)


@shows("[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller.")
def test_a_quota_counts_controllers() -> None:
    async def scenario(api: Api) -> None:
        await api.post(QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"replicationcontrollers": "10"}}})
        for used in ("0", "1"):
            await api.settled(f"{QUOTAS}/q", lambda q, n=used: q["status"].get("used", {}).get("replicationcontrollers") == n)
            if used == "0":
                await api.post(CONTROLLERS, {**CONTROLLER, "spec": {**CONTROLLER["spec"], "replicas": 0}})
        await api.delete(f"{CONTROLLERS}/rc")
        await api.settled(f"{QUOTAS}/q", lambda q: q["status"]["used"]["replicationcontrollers"] == "0")

    run(scenario)


@shows("[sig-api-machinery] ResourceQuota should apply changes to a resourcequota status")
def test_the_status_of_a_quota_does_not_change_its_spec() -> None:
    async def scenario(api: Api) -> None:
        def both(value: str) -> Any:
            return lambda q: q["spec"]["hard"]["cpu"] == value == q["status"].get("hard", {}).get("cpu")

        await api.post(QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"cpu": "500m", "memory": "500Mi"}}})
        value = await api.settled(f"{QUOTAS}/q", both("500m"))
        value["spec"]["hard"] = {"cpu": "1", "memory": "1Gi"}
        await api.put(f"{QUOTAS}/q", value)
        await api.settled(f"{QUOTAS}/q", both("1"))
        await api.patch(f"{QUOTAS}/q", {"spec": {"hard": {"cpu": "2"}}})
        await api.settled(f"{QUOTAS}/q", both("2"))
        async with api.watch(QUOTAS) as watch:
            patched = await api.patch(f"{QUOTAS}/q/status", {"status": {"hard": {"cpu": "750m"}}})
            assert patched["status"]["hard"]["cpu"] == "750m" and patched["spec"]["hard"]["cpu"] == "2"
            await watch.until(lambda _, q: both("2")(q))
        assert (await api.get(f"{QUOTAS}/q/status"))["status"]["hard"]["cpu"] == "2"

    run(scenario)
