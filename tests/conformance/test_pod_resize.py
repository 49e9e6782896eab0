"""Resizing pods in place, and containers added to look into a running pod, on simulated nodes."""

from typing import Any

import pytest

from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC

shows = pytest.mark.conformance
PODS, NODES = "/api/v1/namespaces/default/pods", "/api/v1/nodes"


def amounts(cpu: str, memory: str, cpu_max: str = "", memory_max: str = "") -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_max or cpu, "memory": memory_max or memory}}


def pod(name: str = "a", *resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    containers = [{"name": f"c{i}", "image": "pause:3", "resources": r, **more} for i, r in enumerate(resources)]
    return {"metadata": {"name": name, "labels": LABELS}, "spec": {"containers": containers}}


async def running(api: Api, name: str = "a") -> Any:
    return await api.settled(f"{PODS}/{name}", lambda p: p and p["status"]["phase"] == "Running")


def resized_to(*wanted: dict[str, Any]) -> Any:
    """The pod says that these amounts are in force."""

    def test(value: Any) -> bool:
        entries = value["status"]["containerStatuses"]
        types = [c["type"] for c in value["status"]["conditions"]]
        done = [e.get("resources") for e in entries] == list(wanted) and [e.get("allocatedResources") for e in entries] == [
            w["requests"] for w in wanted
        ]
        return done and "PodResizeInProgress" not in types and "PodResizePending" not in types

    return test


def condition(value: Any, kind: str) -> Any:
    return next((c for c in value["status"].get("conditions") or () if c["type"] == kind), None)


async def resize(api: Api, name: str, *resources: dict[str, Any]) -> Any:
    containers = [{"name": f"c{i}", "resources": r} for i, r in enumerate(resources)]
    return await api.patch(f"{PODS}/{name}/resize", {"spec": {"containers": containers}}, STRATEGIC)


@shows("[sig-node] Pod InPlace Resize Container resize pod via the replace endpoint [MinimumKubeletVersion:1.34]")
def test_a_pod_is_resized_by_replacing_its_resources() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod("a", amounts("10m", "20Mi", "20m", "40Mi")))
        await running(api)
        value = await api.get(f"{PODS}/a/resize")
        value["spec"]["containers"][0]["resources"] = amounts("15m", "30Mi", "30m", "60Mi")
        value["spec"]["containers"][0]["image"] = "other:1"  # not through this door
        answer = await api.put(f"{PODS}/a/resize", value)
        assert answer["spec"]["containers"][0]["image"] == "pause:3" and answer["metadata"]["generation"] == 2
        found = await api.settled(f"{PODS}/a", resized_to(amounts("15m", "30Mi", "30m", "60Mi")))
        assert found["spec"]["containers"][0]["resources"] == amounts("15m", "30Mi", "30m", "60Mi")
        assert found["status"]["containerStatuses"][0]["restartCount"] == 0 and found["status"]["observedGeneration"] == 2
        assert await api.get(f"{PODS}/a/resize") == await api.get(f"{PODS}/a")

    run(scenario, nodes=1)


def test_a_container_restarts_where_its_policy_says_so() -> None:
    async def scenario(api: Api) -> None:
        policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}, {"resourceName": "cpu", "restartPolicy": "NotRequired"}]
        await api.post(PODS, pod("a", amounts("10m", "20Mi"), resizePolicy=policy))
        await running(api)
        await resize(api, "a", amounts("20m", "20Mi"))
        found = await api.settled(f"{PODS}/a", resized_to(amounts("20m", "20Mi")))
        assert found["status"]["containerStatuses"][0]["restartCount"] == 0
        for count, memory in ((1, "40Mi"), (2, "30Mi")):
            await resize(api, "a", amounts("20m", memory))
            found = await api.settled(f"{PODS}/a", resized_to(amounts("20m", memory)), 5)
            assert found["status"]["containerStatuses"][0]["restartCount"] == count

    run(scenario, nodes=1)


def test_a_resize_waits_for_room_or_is_said_to_be_impossible() -> None:
    async def scenario(api: Api) -> None:
        node = await api.settled(f"{NODES}/simulated-0", lambda n: n and n["status"].get("allocatable"))
        cpus = int(node["status"]["allocatable"]["cpu"])
        await api.post(PODS, pod("a", amounts("1", "20Mi")))
        await api.post(PODS, pod("b", amounts(str(cpus - 2), "20Mi")))
        await running(api, "a")
        await running(api, "b")
        await resize(api, "a", amounts(str(cpus + 1), "20Mi"))
        found = await api.settled(f"{PODS}/a", lambda p: condition(p, "PodResizePending"))
        pending = condition(found, "PodResizePending")
        assert pending["reason"] == "Infeasible" and pending["observedGeneration"] == 2
        assert pending["message"] == f"Node didn't have enough capacity: cpu, requested: {cpus + 1}000, capacity: {cpus}000"
        assert found["status"]["containerStatuses"][0]["allocatedResources"]["cpu"] == "1"
        await resize(api, "a", amounts("4", "20Mi"))
        found = await api.settled(f"{PODS}/a", lambda p: (condition(p, "PodResizePending") or {}).get("reason") == "Deferred")
        message = f"Node didn't have enough resource: cpu, requested: 4000, used: {cpus - 2}000, capacity: {cpus}000"
        assert condition(found, "PodResizePending")["message"] == message
        await api.post(PODS, pod("late", amounts("1", "20Mi")))  # the scheduler counts what was asked for
        waiting = await api.settled(f"{PODS}/late", lambda p: p["status"].get("conditions"))
        assert "Insufficient cpu" in waiting["status"]["conditions"][0]["message"]
        await resize(api, "b", amounts("1", "20Mi"))
        await api.settled(f"{PODS}/b", resized_to(amounts("1", "20Mi")), 5)
        await api.settled(f"{PODS}/a", resized_to(amounts("4", "20Mi")), 5)
        await running(api, "late")

    run(scenario, nodes=1)


REFUSALS = [
    ("another class of service", amounts("10m", "20Mi"), amounts("10m", "20Mi", "20m"),
     "Pod QOS Class may not change as a result of resizing"),
    ("a limit is removed", amounts("10m", "20Mi", "20m"), {"requests": {"cpu": "10m"}, "limits": {"cpu": None}},
     "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"),
    ("a request is removed", {"requests": {"cpu": "10m", "memory": "1Mi"}}, {"requests": {"cpu": None}},
     "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"),
    ("other resources", amounts("10m", "20Mi", "20m"), {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "1Gi"}},
     "only cpu and memory resources are mutable"),
    ("a request above its limit", amounts("10m", "20Mi", "20m"), {"requests": {"cpu": "30m"}}, "must be less than or equal to cpu limit of 20m"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "why"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_what_a_resize_may_not_do(before: dict[str, Any], after: dict[str, Any], why: str) -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod("a", before))
        body = {"spec": {"containers": [{"name": "c0", "resources": after}]}}
        refusal = await api.refused(422, "PATCH", f"{PODS}/a/resize", body, content_type=STRATEGIC)
        assert why in refusal["message"], refusal["message"]
        assert (await api.get(f"{PODS}/a"))["metadata"]["generation"] == 1

    run(scenario)


def test_containers_stay_who_they_are() -> None:
    async def scenario(api: Api) -> None:
        value = await api.post(PODS, pod("a", amounts("10m", "20Mi")))
        value["spec"]["containers"][0]["name"] = "other"
        refusal = await api.refused(405, "DELETE", f"{PODS}/a/resize")
        assert refusal["message"] == "the server does not allow this method on the requested resource"
        refusal = await api.refused(422, "PUT", f"{PODS}/a/resize", value)
        assert "containers may not be renamed or reordered on resize" in refusal["message"]

    run(scenario)


def test_quotas_and_limit_ranges_hold_for_resizes() -> None:
    async def scenario(api: Api) -> None:
        await api.post("/api/v1/namespaces/default/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "1"}}})
        limit = {"type": "Container", "max": {"memory": "1Gi"}}
        await api.post("/api/v1/namespaces/default/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limit]}})
        await api.post(PODS, pod("a", amounts("500m", "20Mi")))
        body = {"spec": {"containers": [{"name": "c0", "resources": amounts("2", "20Mi")}]}}
        refusal = await api.refused(403, "PATCH", f"{PODS}/a/resize", body, content_type=STRATEGIC)
        assert "exceeded quota: q, requested: requests.cpu=1500m, used: requests.cpu=500m" in refusal["message"]
        body = {"spec": {"containers": [{"name": "c0", "resources": amounts("500m", "2Gi")}]}}
        refusal = await api.refused(403, "PATCH", f"{PODS}/a/resize", body, content_type=STRATEGIC)
        assert "maximum memory usage per Container is 1Gi" in refusal["message"]
        await resize(api, "a", amounts("1", "20Mi"))

    run(scenario)


def debugger(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox:1", "command": ["sh"], **more}


async def added(api: Api, *containers: dict[str, Any], name: str = "a") -> Any:
    return await api.patch(f"{PODS}/{name}/ephemeralcontainers", {"spec": {"ephemeralContainers": list(containers)}}, STRATEGIC)


def ephemeral(value: Any) -> dict[str, Any]:
    return {e["name"]: e["state"] for e in value["status"].get("ephemeralContainerStatuses") or ()}


@shows("[sig-node] Ephemeral Containers [NodeConformance] should update the ephemeral containers in an existing pod")
def test_ephemeral_containers_are_added_to_a_running_pod() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, {"metadata": {"name": "a"}, "spec": POD_SPEC})
        await running(api)
        await added(api, debugger("debugger", targetContainerName="main"))
        found = await api.settled(f"{PODS}/a", lambda p: "running" in ephemeral(p).get("debugger", {}))
        assert [c["name"] for c in found["spec"]["ephemeralContainers"]] == ["debugger"] and found["metadata"]["generation"] == 2
        value = await api.get(f"{PODS}/a/ephemeralcontainers")
        value["spec"]["ephemeralContainers"].append(debugger("debugger2"))
        value["spec"]["containers"][0]["image"] = "other:1"  # not through this door
        await api.put(f"{PODS}/a/ephemeralcontainers", value)
        found = await api.settled(f"{PODS}/a", lambda p: len([s for s in ephemeral(p).values() if "running" in s]) == 2)
        assert [c["name"] for c in found["spec"]["ephemeralContainers"]] == ["debugger", "debugger2"]
        assert found["spec"]["containers"][0]["image"] == POD_SPEC["containers"][0]["image"]
        assert found["status"]["containerStatuses"][0]["restartCount"] == 0
        assert not any(e["ready"] for e in found["status"]["ephemeralContainerStatuses"])

    run(scenario, nodes=1)


def test_ephemeral_containers_run_once_and_do_not_count() -> None:
    async def scenario(api: Api) -> None:
        quick = {"podium.dev/simulated-run-duration": "40s", "podium.dev/simulated-exit-code": "3"}
        await api.post(PODS, {"metadata": {"name": "a", "annotations": quick}, "spec": POD_SPEC})
        await running(api)
        await added(api, debugger("debugger"))
        found = await api.settled(f"{PODS}/a", lambda p: "terminated" in ephemeral(p).get("debugger", {}))
        assert ephemeral(found)["debugger"]["terminated"]["exitCode"] == 3
        found = await api.settled(f"{PODS}/a", lambda p: p["status"]["containerStatuses"][0]["restartCount"] >= 2, 300)
        assert "terminated" in ephemeral(found)["debugger"]
        assert [e["restartCount"] for e in found["status"]["ephemeralContainerStatuses"]] == [0]
        await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 1})
        await api.settled(f"{PODS}/a", lambda p: p is None)

    run(scenario, nodes=1)


EPHEMERAL_REFUSALS = [
    ("a name that is taken", [debugger("main")], "Duplicate value"),
    ("ports", [debugger("d", ports=[{"containerPort": 1}])], "cannot be set for an Ephemeral Container"),
    ("resources", [debugger("d", resources={"requests": {"cpu": "1"}})], "cannot be set for an Ephemeral Container"),
    ("an unknown target", [debugger("d", targetContainerName="none")], "targetContainerName"),
    ("what Podium does not do", [debugger("d", volumeDevices=[{"name": "v", "devicePath": "/dev/x"}])], "does not support block devices"),
]


@pytest.mark.parametrize(("containers", "why"), [r[1:] for r in EPHEMERAL_REFUSALS], ids=[r[0] for r in EPHEMERAL_REFUSALS])
def test_what_an_ephemeral_container_may_not_be(containers: list[Any], why: str) -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, {"metadata": {"name": "a"}, "spec": POD_SPEC})
        body = {"spec": {"ephemeralContainers": containers}}
        refusal = await api.refused(422, "PATCH", f"{PODS}/a/ephemeralcontainers", body, content_type=STRATEGIC)
        assert why in refusal["message"], refusal["message"]

    run(scenario)


def test_ephemeral_containers_are_neither_changed_nor_removed_nor_set_elsewhere() -> None:
    async def scenario(api: Api) -> None:
        whole = {**POD_SPEC, "ephemeralContainers": [debugger("d")]}
        refusal = await api.refused(422, "POST", PODS, {"metadata": {"name": "a"}, "spec": whole})
        assert "cannot be set on create" in refusal["message"]
        await api.post(PODS, {"metadata": {"name": "a"}, "spec": POD_SPEC})
        value = await added(api, debugger("d"))
        changed = {**value, "spec": {**value["spec"], "ephemeralContainers": [debugger("d", image="other:1")]}}
        refusal = await api.refused(422, "PUT", f"{PODS}/a/ephemeralcontainers", changed)
        assert 'existing ephemeral containers "d" may not be changed' in refusal["message"]
        removed = {**value, "spec": {k: v for k, v in value["spec"].items() if k != "ephemeralContainers"}}
        refusal = await api.refused(422, "PUT", f"{PODS}/a/ephemeralcontainers", removed)
        assert 'existing ephemeral containers "d" may not be removed' in refusal["message"]
        await api.refused(422, "PATCH", f"{PODS}/a", {"spec": {"ephemeralContainers": [debugger("e")]}}, content_type=STRATEGIC)

    run(scenario)
