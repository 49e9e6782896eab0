"""Preemption on simulated nodes, as upstream's tests do it: pods of low priority make room for more important ones."""

from typing import Any

import pytest

from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import POD_SPEC

shows = pytest.mark.conformance
PODS, NODES, SETS = "/api/v1/namespaces/default/pods", "/api/v1/nodes", "/apis/apps/v1/namespaces/default/replicasets"
SYSTEM_PODS, CLASSES = "/api/v1/namespaces/kube-system/pods", "/apis/scheduling.k8s.io/v1/priorityclasses"
RESOURCE = "scheduling.k8s.io/foo"


async def nodes_with(api: Api, amount: int, name: str = RESOURCE) -> list[str]:
    """Gives every node so much of an extended resource; their names."""
    found = await api.settled(NODES, lambda value: value["items"] and all(n["status"].get("allocatable") for n in value["items"]))
    names = [node["metadata"]["name"] for node in found["items"]]
    for node in names:
        amounts = {name: str(amount)}
        await api.patch(f"{NODES}/{node}/status", {"status": {"capacity": amounts, "allocatable": amounts}}, STRATEGIC)
    return names


async def classes(api: Api, **values: int) -> None:
    for name, value in values.items():
        await api.post(CLASSES, {"metadata": {"name": name}, "value": value})


def spec(priority_class: str, amount: int, *, name: str = RESOURCE, node: str = "", **more: Any) -> dict[str, Any]:
    amounts = {name: str(amount)}
    container = {**POD_SPEC["containers"][0], "resources": {"requests": amounts, "limits": amounts}}
    chosen = {"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    return {"containers": [container], "priorityClassName": priority_class, "terminationGracePeriodSeconds": 0, **chosen, **more}


async def running(api: Api, target: str) -> Any:
    return await api.settled(target, lambda p: p and p["status"]["phase"] == "Running")


async def filled(api: Api, names: list[str]) -> list[str]:
    """Two pods on each node that together take all of it; the first one of the first node has the lowest priority."""
    pods = []
    for number, node in enumerate(names):
        for which, amount in enumerate((2, 3)):
            name = f"pod{number}-{which}"
            low = number == which == 0
            await api.post(PODS, {"metadata": {"name": name}, "spec": spec("low" if low else "medium", amount, node=node)})
            await running(api, f"{PODS}/{name}")
            pods.append(name)
    return pods


@shows("[sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works")
def test_a_pod_of_lower_priority_makes_room() -> None:
    async def scenario(api: Api) -> None:
        names = await nodes_with(api, 5)
        await classes(api, low=1, medium=100, high=1000)
        pods = await filled(api, names)
        await api.post(PODS, {"metadata": {"name": "preemptor"}, "spec": spec("high", 2)})
        await running(api, f"{PODS}/preemptor")
        assert sorted(await api.names(PODS)) == sorted([*pods[1:], "preemptor"])
        said = (await api.get("/api/v1/namespaces/default/events?fieldSelector=reason%3DPreempted"))["items"]
        assert [e["involvedObject"]["name"] for e in said] == [pods[0]]

    run(scenario, nodes=2)


@shows("[sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by critical pod")
def test_a_critical_pod_makes_pods_of_lower_priority_leave() -> None:
    async def scenario(api: Api) -> None:
        names = await nodes_with(api, 5)
        await classes(api, low=1, medium=100)
        pods = await filled(api, names)
        await api.settled("/api/v1/namespaces/kube-system/serviceaccounts/default", bool)
        created = await api.post(SYSTEM_PODS, {"metadata": {"name": "critical"}, "spec": spec("system-cluster-critical", 2)})
        assert created["spec"]["priority"] == 2_000_000_000
        await running(api, f"{SYSTEM_PODS}/critical")
        assert sorted(await api.names(PODS)) == sorted(pods[1:])

    run(scenario, nodes=2)


@shows("[sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to the preempted pod")
def test_a_preempted_pod_says_why_it_ends() -> None:
    async def scenario(api: Api) -> None:
        await nodes_with(api, 1)
        await classes(api, low=1, high=1000)
        await api.post(PODS, {"metadata": {"name": "victim", "finalizers": ["example.com/test"]}, "spec": spec("low", 1)})
        await running(api, f"{PODS}/victim")
        await api.post(PODS, {"metadata": {"name": "preemptor"}, "spec": spec("high", 1)})
        victim = await api.settled(f"{PODS}/victim", lambda p: "deletionTimestamp" in p["metadata"])
        [condition] = [c for c in victim["status"]["conditions"] if c["type"] == "DisruptionTarget"]
        assert (condition["status"], condition["reason"]) == ("True", "PreemptionByScheduler")
        await running(api, f"{PODS}/preemptor")
        assert "nominatedNodeName" not in (await api.get(f"{PODS}/preemptor"))["status"]
        kept = await api.get(f"{PODS}/victim")
        assert [c["reason"] for c in kept["status"]["conditions"] if c["type"] == "DisruptionTarget"] == ["PreemptionByScheduler"]
        await api.patch(f"{PODS}/victim", {"metadata": {"finalizers": None}})
        await api.settled(f"{PODS}/victim", lambda p: p is None)

    run(scenario, nodes=1)


def replica_set(name: str, amount: int) -> dict[str, Any]:
    labels = {"name": name}
    template = {"metadata": {"labels": labels}, "spec": spec(name, amount, name="example.com/fakecpu")}
    return {"metadata": {"name": name}, "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}}


@shows("[sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to verify preemption running path")
def test_replica_sets_of_four_priorities_come_to_rest() -> None:
    async def scenario(api: Api) -> None:
        await nodes_with(api, 1000, "example.com/fakecpu")
        await classes(api, p1=1, p2=2, p3=3, p4=4)
        async with api.watch(PODS) as watch:
            for name, amount in (("p1", 200), ("p2", 300), ("p3", 450)):
                await api.post(SETS, replica_set(name, amount))
                await api.settled(f"{SETS}/{name}", lambda s: s["status"].get("readyReplicas") == 1)
            await api.post(SETS, replica_set("p4", 500))
            await api.settled(f"{SETS}/p4", lambda s: s["status"].get("readyReplicas") == 1)
            made: dict[str, int] = {}
            await api.settled(PODS, lambda found: len([p for p in found["items"] if "deletionTimestamp" not in p["metadata"]]) == 4)
            while not watch.quiet:
                event = await watch.next()
                if event["type"] == "ADDED":
                    owner = event["object"]["metadata"]["labels"]["name"]
                    made[owner] = made.get(owner, 0) + 1
        assert made == {"p1": 2, "p2": 2, "p3": 1, "p4": 1}
        sets = {s["metadata"]["name"]: s["status"].get("readyReplicas", 0) for s in (await api.get(SETS))["items"]}
        assert sets == {"p1": 0, "p2": 0, "p3": 1, "p4": 1}

    run(scenario, nodes=1)


def test_a_budget_saves_its_pods_where_others_can_go() -> None:
    async def scenario(api: Api) -> None:
        await nodes_with(api, 5)
        await classes(api, low=1, medium=100, high=1000)
        guarded = {"metadata": {"name": "guarded", "labels": {"app": "web"}}, "spec": spec("low", 2)}
        await api.post(PODS, guarded)
        await api.post(PODS, {"metadata": {"name": "free"}, "spec": spec("medium", 3)})
        for name in ("guarded", "free"):
            await running(api, f"{PODS}/{name}")
        budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        await api.post(budgets, {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}})
        await api.settled(f"{budgets}/b", lambda b: (b.get("status") or {}).get("currentHealthy") == 1)
        await api.post(PODS, {"metadata": {"name": "preemptor"}, "spec": spec("high", 2)})
        await running(api, f"{PODS}/preemptor")
        assert sorted(await api.names(PODS)) == ["guarded", "preemptor"]

    run(scenario, nodes=1)
