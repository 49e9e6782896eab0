"""Preemption by the whole scheduler, against the fake client on the virtual clock: who is deleted, who is promised the room, what is said."""

import asyncio

import pytest

from podium.objects.resources import resource
from podium.objects.status import ServerError
from podium.objects.values import copy
from tests.controllers.cluster import EVENTS, PODS, run
from tests.scheduler.test_scheduler import condition, put_node, put_pod, started, where

BUDGETS = resource("poddisruptionbudgets", "policy")


def nominated(cluster, name):
    return (cluster.get(PODS, name, "ns").get("status") or {}).get("nominatedNodeName")


def finish(cluster, name="low"):
    """The node ends a pod that is being deleted."""
    assert "deletionTimestamp" in cluster.get(PODS, name, "ns")["metadata"]
    cluster.client.remove(PODS, name, "ns")


def disrupted(cluster, name="low"):
    found = (cluster.get(PODS, name, "ns").get("status") or {}).get("conditions") or ()
    return next((c for c in found if c["type"] == "DisruptionTarget"), None)


async def full_node(cluster, **low):
    put_node(cluster, "a", "2")
    put_pod(cluster, "low", "2", node="a", priority=0, **low)
    return await started(cluster)


def test_room_is_made_and_kept_for_the_pod_that_needs_it():
    async def scenario(cluster):
        scheduler = await full_node(cluster)
        put_pod(cluster, "high", "2", priority=10)
        await asyncio.sleep(0.5)
        found = disrupted(cluster)
        assert (found["status"], found["reason"]) == ("True", "PreemptionByScheduler")
        assert found["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
        assert nominated(cluster, "high") == "a" and where(cluster)["high"] is None
        assert condition(cluster, "high")["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        put_pod(cluster, "equal", "1", priority=10)
        put_pod(cluster, "late", "1", priority=1)
        await asyncio.sleep(5)
        finish(cluster)
        await asyncio.sleep(15)
        assert where(cluster) == {"high": "a", "equal": None, "late": None}
        assert not scheduler.cluster.nominations
        uid = cluster.get(PODS, "high", "ns")["metadata"]["uid"]
        [event] = [e for e in cluster.client.all(EVENTS) if e["reason"] == "Preempted"]
        assert event["message"] == f"Preempted by pod {uid} on node a" and event["related"]["name"] == "high"
        assert event["involvedObject"]["name"] == "low" and event["type"] == "Normal"

    run(scenario)


def test_a_pod_waits_for_its_victims_and_says_so():
    async def scenario(cluster):
        scheduler = await full_node(cluster)
        put_node(cluster, "b", "2")
        put_pod(cluster, "other", "2", node="b", priority=1)
        put_pod(cluster, "high", "2", priority=10)
        await asyncio.sleep(3)
        cluster.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "c", "labels": {}}, "spec": {},
                            "status": {"allocatable": {"cpu": "1", "pods": "10"}}})  # a reason to look again  # fmt: skip
        await asyncio.sleep(15)
        why = condition(cluster, "high")["message"]
        assert why.endswith("preemption: not eligible due to a terminating pod on the nominated node.")
        assert "deletionTimestamp" not in cluster.get(PODS, "other", "ns")["metadata"]
        assert scheduler.cluster.nominations.of("ns/high") == "a"

    run(scenario)


def test_never_means_never():
    async def scenario(cluster):
        await full_node(cluster)
        put_pod(cluster, "high", "2", priority=10, preemptionPolicy="Never")
        await asyncio.sleep(60)
        assert disrupted(cluster) is None and not nominated(cluster, "high")
        assert condition(cluster, "high")["message"].endswith("preemption: not eligible due to preemptionPolicy=Never.")

    run(scenario)


def test_with_a_lagging_mirror_a_pod_asks_for_room_once():
    async def scenario(cluster):
        put_node(cluster, "a", "2")
        put_node(cluster, "b", "2")
        put_pod(cluster, "low1", "2", node="a")
        put_pod(cluster, "low2", "2", node="b")
        scheduler = await started(cluster)
        await asyncio.sleep(3)
        put_pod(cluster, "high", "2", priority=10)
        for _ in range(40):
            await asyncio.sleep(0.1)
            scheduler.queue.retry("ns/high")
        assert sum(disrupted(cluster, name) is not None for name in ("low1", "low2")) == 1

    run(scenario, lag_s=1.0)


def test_budgets_choose_the_victim():
    async def scenario(cluster):
        put_node(cluster, "a", "2")
        put_pod(cluster, "guarded", "1", node="a", labels={"app": "web"})
        put_pod(cluster, "free", "1", node="a", priority=5)
        spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
        cluster.client.put({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "ns"}, "spec": spec,
            "status": {"disruptionsAllowed": 0},
        })  # fmt: skip
        await started(cluster)
        put_pod(cluster, "high", "1", priority=10)
        await asyncio.sleep(1)
        assert disrupted(cluster, "free") and not disrupted(cluster, "guarded")

    run(scenario)


def test_a_more_important_pod_takes_over_a_promise():
    async def scenario(cluster):
        await full_node(cluster)
        put_pod(cluster, "high", "2", priority=10)
        await asyncio.sleep(0.5)
        assert nominated(cluster, "high") == "a"
        put_pod(cluster, "higher", "2", priority=20)
        await asyncio.sleep(0.5)
        assert nominated(cluster, "higher") == "a" and not nominated(cluster, "high")
        finish(cluster)
        await asyncio.sleep(15)
        assert where(cluster) == {"high": None, "higher": "a"}

    run(scenario)


@pytest.mark.parametrize("verb", ["delete pods", "patch pods"])
def test_a_victim_that_cannot_be_deleted_is_tried_again(verb):
    async def scenario(cluster):
        await full_node(cluster)
        cluster.client.refuse(verb, ServerError("no"), times=1)
        put_pod(cluster, "high", "2", priority=10)
        await asyncio.sleep(5)
        assert disrupted(cluster) and "deletionTimestamp" in cluster.get(PODS, "low", "ns")["metadata"]
        finish(cluster)
        await asyncio.sleep(15)
        assert where(cluster)["high"] == "a"

    run(scenario)


def test_a_promise_made_before_a_restart_is_kept():
    async def scenario(cluster):
        put_node(cluster, "a", "2")
        value = put_pod(cluster, "high", "2", priority=10)
        cluster.client.put({**copy(value), "status": {"nominatedNodeName": "a"}})
        put_pod(cluster, "leaving", "2", node="a", priority=1)
        await started(cluster)
        put_pod(cluster, "late", "2", priority=5)
        await asyncio.sleep(1)
        cluster.client.remove(PODS, "leaving", "ns")
        await asyncio.sleep(15)
        assert where(cluster) == {"high": "a", "late": None}

    run(scenario)


def test_the_promise_of_a_pod_that_goes_is_free_again():
    async def scenario(cluster):
        await full_node(cluster)
        put_pod(cluster, "high", "2", priority=10)
        await asyncio.sleep(0.5)
        finish(cluster)
        cluster.client.remove(PODS, "high", "ns")
        put_pod(cluster, "late", "2", priority=1)
        await asyncio.sleep(15)
        assert where(cluster) == {"late": "a"}

    run(scenario)


def test_a_promise_that_can_no_longer_help_is_taken_back():
    async def scenario(cluster):
        scheduler = await full_node(cluster)
        put_pod(cluster, "high", "2", priority=10)
        await asyncio.sleep(0.5)
        assert nominated(cluster, "high") == "a"
        put_node(cluster, "a", "2", taints="k:NoSchedule")
        put_node(cluster, "b", "1")
        await asyncio.sleep(15)
        assert not nominated(cluster, "high") and not scheduler.cluster.nominations

    run(scenario)


def test_a_wave_of_important_pods_makes_just_enough_room():
    async def scenario(cluster):
        for number in range(10):
            put_node(cluster, f"n{number}", "4")
            for which in range(4):
                put_pod(cluster, f"low{number}-{which}", "1", node=f"n{number}", priority=which % 2)
        await started(cluster)
        for number in range(8):
            put_pod(cluster, f"high{number}", "2", priority=10)
        for _ in range(60):
            await asyncio.sleep(1)
            for value in cluster.client.all(PODS):
                if "deletionTimestamp" in value["metadata"]:
                    cluster.client.remove(PODS, value["metadata"]["name"], "ns")
        found = where(cluster)
        assert sum(name.startswith("high") and bool(node) for name, node in found.items()) == 8
        left = [v for v in cluster.client.all(PODS) if v["metadata"]["name"].startswith("low")]
        assert len(left) == 40 - 16 and all(
            v["spec"]["priority"] == 1 for v in left if v["spec"]["nodeName"] in {n for p, n in found.items() if p.startswith("high")}
        )

    run(scenario)


@pytest.mark.parametrize("seed", range(6))
def test_room_is_made_whatever_fails_meanwhile(seed):
    async def scenario(cluster):
        for number in range(6):
            put_node(cluster, f"n{number}", "4")
            for which in range(4):
                put_pod(cluster, f"low{number}-{which}", "1", node=f"n{number}")
        scheduler = await started(cluster)
        await asyncio.sleep(2)
        for number in range(9):
            put_pod(cluster, f"high{number}", "2", priority=10)
        for second in range(150):
            await asyncio.sleep(1)
            if second == 40:
                cluster.chaos.rate = 0
            for value in cluster.client.all(PODS):
                if "deletionTimestamp" in value["metadata"]:
                    cluster.client.remove(PODS, value["metadata"]["name"], "ns")
        assert cluster.chaos.failures > 5
        found = where(cluster)
        assert all(node for name, node in found.items() if name.startswith("high"))
        used = {n: sum(2 if p.startswith("high") else 1 for p, node in found.items() if node == n) for n in set(found.values())}
        assert max(used.values()) <= 4 and len(found) - 9 == 6  # nobody left in vain
        assert not scheduler.cluster.nominations and not scheduler._evictions._going

    run(scenario, seed=seed, lag_s=0.05, chaos=0.15)


def test_the_same_seed_chooses_the_same_victims():
    def left(seed):
        found = []

        async def scenario(cluster):
            for number in range(300):
                put_node(cluster, f"n{number:03}", "2")
                put_pod(cluster, f"low{number:03}", "2", node=f"n{number:03}")
            await started(cluster)
            for number in range(10):
                put_pod(cluster, f"high{number}", "2", priority=10)
            await asyncio.sleep(2)
            found.append([v["metadata"]["name"] for v in cluster.client.all(PODS) if "deletionTimestamp" in v["metadata"]])

        run(scenario, seed=seed)
        return found[0]

    first = left(1)
    assert len(first) == 10 and first == left(1) != left(2)
