"""RuntimeClasses on simulated nodes, which know every handler: what a class gives its pods, and how it is counted."""

from typing import Any

import pytest

from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import POD_SPEC

shows = pytest.mark.conformance
PODS, NODES, CLASSES = "/api/v1/namespaces/default/pods", "/api/v1/nodes", "/apis/node.k8s.io/v1/runtimeclasses"
QUOTAS = "/api/v1/namespaces/default/resourcequotas"


def pod(name: str, runtime_class: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {**POD_SPEC, "runtimeClassName": runtime_class, **more}}


async def scheduled(api: Api, name: str) -> Any:
    value = await api.settled(f"{PODS}/{name}", lambda p: p["spec"].get("nodeName") and p["status"]["phase"] == "Running")
    assert {"type": "PodScheduled", "status": "True"}.items() <= next(
        c for c in value["status"]["conditions"] if c["type"] == "PodScheduled"
    ).items()
    return value


@shows("[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance]")
def test_a_pod_of_a_class_is_scheduled_where_the_class_says() -> None:
    async def scenario(api: Api) -> None:
        await api.patch(f"{NODES}/simulated-1", {"metadata": {"labels": {"vm": "yes"}}})
        taints = (await api.get(f"{NODES}/simulated-1"))["spec"].get("taints") or []
        taint = {"key": "vm", "value": "yes", "effect": "NoSchedule"}
        await api.patch(f"{NODES}/simulated-1", {"spec": {"taints": [*taints, taint]}}, STRATEGIC)
        tolerated = {"key": "vm", "operator": "Exists", "effect": "NoSchedule"}
        await api.post(CLASSES, {"metadata": {"name": "plain"}, "handler": "test-handler"})
        scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [tolerated]}
        await api.post(CLASSES, {"metadata": {"name": "vm"}, "handler": "kata", "scheduling": scheduling})
        for name in ("plain", "vm"):
            await api.post(PODS, pod(name, name))
        assert (await scheduled(api, "plain"))["spec"]["nodeName"] == "simulated-0"
        found = (await scheduled(api, "vm"))["spec"]
        assert found["nodeName"] == "simulated-1" and found["nodeSelector"] == {"vm": "yes"} and tolerated in found["tolerations"]
        assert "overhead" not in found
        refusal = await api.refused(403, "POST", PODS, pod("none", "none"))
        assert 'RuntimeClass "none" not found' in refusal["message"]

    run(scenario, nodes=2)


@shows("[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead [NodeConformance]")
def test_the_overhead_of_a_class_is_the_pods_and_counts() -> None:
    async def scenario(api: Api) -> None:
        size = (await api.settled(f"{NODES}/simulated-0", lambda n: n and n["status"].get("allocatable")))["status"]["allocatable"]["cpu"]
        overhead = {"cpu": "750m", "memory": "120Mi"}
        await api.post(CLASSES, {"metadata": {"name": "heavy"}, "handler": "kata", "overhead": {"podFixed": overhead}})
        await api.post(QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "1000", "requests.memory": "1000Gi"}}})
        container = {**POD_SPEC["containers"][0], "resources": {"requests": {"cpu": "250m", "memory": "8Mi"}}}
        await api.post(PODS, pod("heavy", "heavy", containers=[container]))
        assert (await scheduled(api, "heavy"))["spec"]["overhead"] == overhead
        quota = await api.settled(f"{QUOTAS}/q", lambda q: (q.get("status") or {}).get("used", {}).get("requests.cpu") == "1")
        assert quota["status"]["used"]["requests.memory"] == "128Mi"
        rest = {**container, "resources": {"requests": {"cpu": str(int(size) - 1), "memory": "8Mi"}}}
        await api.post(PODS, {"metadata": {"name": "fits"}, "spec": {"containers": [rest]}})
        await scheduled(api, "fits")
        await api.delete(f"{PODS}/fits", {"gracePeriodSeconds": 0})
        await api.post(PODS, pod("too-much", "heavy", containers=[rest]))
        waiting = await api.settled(f"{PODS}/too-much", lambda p: p["status"].get("conditions"))
        assert "Insufficient cpu" in waiting["status"]["conditions"][0]["message"]
        refusal = await api.refused(403, "POST", PODS, pod("other", "heavy", containers=[container], overhead={"cpu": "1"}))
        assert "Pod's Overhead doesn't match RuntimeClass's defined Overhead" in refusal["message"]

    run(scenario, nodes=1)
