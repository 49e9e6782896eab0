"""Disruption budgets: their status, and evictions held back by it."""

from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC, SELECTOR, TEMPLATE

shows = pytest.mark.conformance
BUDGETS, PODS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets", "/api/v1/namespaces/default/pods"
REPLICA_SETS = "/apis/apps/v1/namespaces/default/replicasets"


async def with_pods(api: Api, replicas: int) -> list[str]:
    await api.post(REPLICA_SETS, {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": SELECTOR, "template": TEMPLATE}})
    await api.settled(f"{REPLICA_SETS}/web", lambda r: r["status"].get("availableReplicas") == replicas)
    return await api.names(PODS)


def allows(count: int) -> Any:
    return lambda b: b["status"].get("disruptionsAllowed") == count and b["status"]["observedGeneration"] == b["metadata"]["generation"]


def budget(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "b"}, "spec": {"selector": SELECTOR, **spec}}


@shows("[sig-apps] DisruptionController should observe PodDisruptionBudget status updated")
def test_the_status_follows_the_pods() -> None:
    async def scenario(api: Api) -> None:
        await api.post(BUDGETS, budget(minAvailable=1))
        await api.settled(f"{BUDGETS}/b", allows(0))
        await with_pods(api, 3)
        status = (await api.settled(f"{BUDGETS}/b", allows(2)))["status"]
        assert (status["currentHealthy"], status["desiredHealthy"], status["expectedPods"]) == (3, 1, 3)
        assert status["conditions"][0]["reason"] == "SufficientPods"

    run(scenario, nodes=1)


@pytest.mark.parametrize(("spec", "allowed"), [
    ({"minAvailable": "50%"}, 2), ({"maxUnavailable": 1}, 1), ({"maxUnavailable": "30%"}, 2), ({"minAvailable": 0}, 4), ({"maxUnavailable": 0}, 0),
])  # fmt: skip
def test_how_many_may_go(spec: dict[str, Any], allowed: int) -> None:
    async def scenario(api: Api) -> None:
        await api.post(BUDGETS, budget(**spec))
        await with_pods(api, 4)
        await api.settled(f"{BUDGETS}/b", lambda b: allows(allowed)(b) and b["status"]["expectedPods"] == 4)

    run(scenario, nodes=1)


@shows("[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it")
def test_evictions_wait_until_the_budget_allows_them() -> None:
    async def scenario(api: Api) -> None:
        names = await with_pods(api, 3)
        await api.post(BUDGETS, budget(minAvailable=3))
        await api.settled(f"{BUDGETS}/b", lambda b: allows(0)(b) and b["status"]["currentHealthy"] == 3)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": names[0]}}
        refusal = await api.refused(429, "POST", f"{PODS}/{names[0]}/eviction", eviction)
        assert refusal["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
        assert refusal["details"]["causes"][0]["message"] == "The disruption budget b needs 3 healthy pods and has 3 currently"
        await api.patch(f"{BUDGETS}/b", {"spec": {"minAvailable": 2}})
        await api.refused(429, "POST", f"{PODS}/{names[0]}/eviction", eviction)
        await api.settled(f"{BUDGETS}/b", allows(1))
        await api.post(f"{PODS}/{names[0]}/eviction?dryRun=All", eviction)
        await api.post(f"{PODS}/{names[0]}/eviction", eviction)
        await api.refused(429, "POST", f"{PODS}/{names[1]}/eviction", {"metadata": {"name": names[1]}})
        await api.settled(f"{PODS}/{names[0]}", lambda p: p is None)
        await api.settled(f"{BUDGETS}/b", lambda b: allows(1)(b) and b["status"]["currentHealthy"] == 3)
        await api.delete(f"{BUDGETS}/b")
        await api.post(f"{PODS}/{names[1]}/eviction", {"metadata": {"name": names[1]}})

    run(scenario, nodes=1)


def test_a_pod_that_is_not_ready_may_go_when_the_budget_says_so() -> None:
    async def scenario(api: Api) -> None:
        for name in ("one", "two"):
            await api.post(PODS, {"metadata": {"name": name, "labels": LABELS}, "spec": POD_SPEC})
            await api.settled(f"{PODS}/{name}", lambda p: p["status"]["phase"] == "Running")
        await api.post(BUDGETS, budget(minAvailable=3))
        await api.settled(f"{BUDGETS}/b", lambda b: b["status"].get("currentHealthy") == 2)
        conditions = [{"type": "Ready", "status": "False"}]
        await api.patch(f"{PODS}/one/status", {"status": {"conditions": conditions}})
        await api.refused(429, "POST", f"{PODS}/one/eviction", {"metadata": {"name": "one"}})
        await api.patch(f"{BUDGETS}/b", {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}})
        await api.post(f"{PODS}/one/eviction", {"metadata": {"name": "one"}})

    run(scenario, nodes=1)
