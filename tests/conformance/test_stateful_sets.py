"""StatefulSets on simulated nodes: order, identity, updates and ways back."""

import asyncio
from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC, SELECTOR

shows = pytest.mark.conformance
SETS, PODS = "/apis/apps/v1/namespaces/default/statefulsets", "/api/v1/namespaces/default/pods"


def stateful_set(replicas: int, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": LABELS}, "spec": POD_SPEC}
    return {"metadata": {"name": "ss", "labels": LABELS}, "spec": {
        "replicas": replicas, "serviceName": "test", "selector": SELECTOR, "template": template, **spec}}  # fmt: skip


def ready(count: int) -> Any:
    return lambda s: s["status"].get("readyReplicas", 0) == count == s["status"]["replicas"] and _seen(s)


def _seen(value: Any) -> bool:
    return bool(value["status"].get("observedGeneration") == value["metadata"]["generation"])


async def image(api: Api, name: str) -> None:
    await api.patch(f"{SETS}/ss", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": name}]}}}})


async def images(api: Api) -> list[str]:
    return [p["spec"]["containers"][0]["image"] for p in (await api.get(PODS))["items"]]


async def gate(api: Api, name: str, status: str) -> None:
    """Opens or closes the readiness gate of a pod of GATED."""
    pod = await api.get(f"{PODS}/{name}")
    others = [c for c in pod["status"]["conditions"] if c["type"] != "example.com/gate"]
    await api.patch(f"{PODS}/{name}/status", {"status": {"conditions": [*others, {"type": "example.com/gate", "status": status}]}})


GATED = {"metadata": {"labels": LABELS}, "spec": {**POD_SPEC, "readinessGates": [{"conditionType": "example.com/gate"}]}}


@shows(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should happen in predictable order and halt if any stateful "
    "pod is unhealthy [Slow]"
)
def test_scaling_goes_in_order_and_halts() -> None:
    async def scenario(api: Api) -> None:
        async with api.watch(PODS) as watch:
            await api.post(SETS, stateful_set(3, template=GATED))
            for ordinal in range(3):
                await api.settled(f"{PODS}/ss-{ordinal}", lambda p: p and p["status"]["phase"] == "Running")
                await asyncio.sleep(5)
                assert await api.names(PODS) == [f"ss-{n}" for n in range(ordinal + 1)], "the next waits for this one"
                await gate(api, f"ss-{ordinal}", "True")
            await api.settled(f"{SETS}/ss", ready(3))
            for ordinal in range(3):
                await gate(api, f"ss-{ordinal}", "False")
            await asyncio.sleep(5)
            await api.patch(f"{SETS}/ss/scale", {"spec": {"replicas": 0}})
            await asyncio.sleep(10)
            assert await api.names(PODS) == ["ss-0", "ss-1", "ss-2"], "they are not healthy"
            for ordinal in range(3):
                await gate(api, f"ss-{ordinal}", "True")
            gone = [(await watch.until(lambda kind, _: kind == "DELETED"))["metadata"]["name"] for _ in range(3)]
            assert gone == ["ss-2", "ss-1", "ss-0"]

    run(scenario, nodes=1)


@shows(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling should run to completion even with unhealthy pods [Slow]"
)
def test_parallel_sets_do_not_wait() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, stateful_set(3, template=GATED, podManagementPolicy="Parallel"))
        await api.settled(PODS, lambda f: len(f["items"]) == 3)
        await api.settled(f"{SETS}/ss", lambda s: s["status"]["replicas"] == 3)
        await api.patch(f"{SETS}/ss/scale", {"spec": {"replicas": 1}})
        await api.settled(PODS, lambda f: [p["metadata"]["name"] for p in f["items"]] == ["ss-0"])
        await api.patch(f"{SETS}/ss/scale", {"spec": {"replicas": 0}})
        await api.settled(PODS, lambda f: not f["items"])

    run(scenario, nodes=1)


@shows(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of "
    "template modifications"
)
def test_an_update_goes_from_the_highest_and_back_to_the_same_revision() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, stateful_set(3))
        first = (await api.settled(f"{SETS}/ss", ready(3)))["status"]
        assert first["currentRevision"] == first["updateRevision"]
        async with api.watch(PODS) as watch:
            await image(api, "new:1")
            gone = [(await watch.until(lambda kind, _: kind == "DELETED"))["metadata"]["name"] for _ in range(3)]
            assert gone == ["ss-2", "ss-1", "ss-0"]
        second = (
            await api.settled(f"{SETS}/ss", lambda s: ready(3)(s) and s["status"]["currentRevision"] == s["status"]["updateRevision"])
        )["status"]
        assert second["currentRevision"] != first["currentRevision"] and await images(api) == ["new:1"] * 3
        await image(api, POD_SPEC["containers"][0]["image"])
        back = await api.settled(f"{SETS}/ss", lambda s: ready(3)(s) and s["status"]["currentRevision"] == first["currentRevision"])
        assert back["status"]["updateRevision"] == first["currentRevision"] and back["status"]["updatedReplicas"] == 3
        revisions = (await api.get("/apis/apps/v1/namespaces/default/controllerrevisions"))["items"]
        assert sorted(r["revision"] for r in revisions) == [2, 3]

    run(scenario, nodes=1)


@shows(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template "
    "modifications"
)
def test_a_partition_holds_the_others_back() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, stateful_set(3, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}))
        first = (await api.settled(f"{SETS}/ss", ready(3)))["status"]["currentRevision"]
        await image(api, "new:1")
        await api.settled(f"{SETS}/ss", lambda s: s["status"]["updateRevision"] != first)
        await asyncio.sleep(10)
        assert "new:1" not in await images(api)
        old = POD_SPEC["containers"][0]["image"]
        for partition, expect in ((2, [old, old, "new:1"]), (1, [old, "new:1", "new:1"]), (0, ["new:1"] * 3)):
            await api.patch(f"{SETS}/ss", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": partition}}}})
            await api.settled(f"{SETS}/ss", lambda s, n=3 - partition: ready(3)(s) and s["status"].get("updatedReplicas") == n)
            assert await images(api) == expect
            for name in ("ss-0", "ss-2"):
                await api.delete(f"{PODS}/{name}", {"gracePeriodSeconds": 0})
            await api.settled(f"{SETS}/ss", lambda s: s["status"].get("readyReplicas", 0) < 3)
            await api.settled(f"{SETS}/ss", ready(3))
            assert await images(api) == expect, "what comes back keeps to the partition"

    run(scenario, nodes=1)


@shows("[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset")
def test_a_failed_pod_is_made_again() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, stateful_set(1))
        await api.settled(f"{SETS}/ss", ready(1))
        before = await api.get(f"{PODS}/ss-0")
        async with api.watch(PODS, fields="metadata.name=ss-0") as watch:
            await api.patch(f"{PODS}/ss-0", {"spec": {"activeDeadlineSeconds": 3}})  # its node ends it: it has failed for good
            failed = await watch.until(lambda _, p: p["status"]["phase"] == "Failed")
            assert failed["metadata"]["uid"] == before["metadata"]["uid"] and failed["status"]["reason"] == "DeadlineExceeded"
            await watch.until(lambda kind, _: kind == "DELETED")
        await api.settled(f"{PODS}/ss-0", lambda p: p and p["metadata"]["uid"] != before["metadata"]["uid"])
        await api.settled(f"{SETS}/ss", ready(1))

    run(scenario, nodes=1)


@shows("[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a working scale subresource")
def test_the_scale_of_a_set() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, stateful_set(1))
        await api.settled(f"{SETS}/ss", ready(1))
        scale = await api.get(f"{SETS}/ss/scale")
        assert (scale["spec"]["replicas"], scale["status"]["replicas"], scale["status"]["selector"]) == (1, 1, "app=web")
        await api.put(f"{SETS}/ss/scale", {**scale, "spec": {"replicas": 2}})
        await api.settled(f"{SETS}/ss", ready(2))
        assert (await api.get(f"{SETS}/ss/scale"))["status"]["replicas"] == 2
        await api.patch(f"{SETS}/ss/scale", {"spec": {"replicas": 4}})
        await api.settled(f"{SETS}/ss", ready(4))
        pod = await api.get(f"{PODS}/ss-1")
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("ss-1", "test")
        assert (
            pod["metadata"]["labels"] | LABELS == pod["metadata"]["labels"]
            and pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
        )

    run(scenario, nodes=1)


@shows(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets"
)
@shows("[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints")
def test_a_set_is_listed_patched_told_and_deleted() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, stateful_set(1))
        await api.settled(f"{SETS}/ss", ready(1))
        assert await api.names("/apis/apps/v1/statefulsets?labelSelector=app%3Dweb") == ["ss"]
        condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "m"}
        value = await api.get(f"{SETS}/ss/status")
        updated = await api.put(f"{SETS}/ss/status", {**value, "status": {**value["status"], "conditions": [condition]}})
        assert updated["status"]["conditions"] == [condition]
        patched = await api.patch(f"{SETS}/ss/status", {"status": {"conditions": [{**condition, "type": "StatusPatched"}]}})
        assert patched["status"]["conditions"][0]["type"] == "StatusPatched"
        assert (await api.get(f"{SETS}/ss/status"))["status"]["conditions"][0]["type"] == "StatusPatched"
        spec = {"replicas": 2, "template": {"spec": {"terminationGracePeriodSeconds": 1}}}
        await api.patch(f"{SETS}/ss", {"metadata": {"labels": {"p": "q"}}, "spec": spec})
        settled = await api.settled(f"{SETS}/ss", ready(2))
        assert settled["status"]["conditions"][0]["type"] == "StatusPatched"
        await api.delete(f"{SETS}?labelSelector=p%3Dq")
        await api.settled(SETS, lambda f: not f["items"])
        await api.settled(PODS, lambda f: not f["items"])

    run(scenario, nodes=1)
