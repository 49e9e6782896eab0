"""The whole scheduler against the fake client, on the virtual clock."""

import asyncio
import random
from collections import Counter

from podium.objects.resources import resource
from podium.objects.status import Conflict, ServerError
from podium.objects.values import copy
from podium.scheduler import scheduler as module
from podium.scheduler.scheduler import Scheduler
from tests.controllers.cluster import PODS, replica_set, run
from tests.scheduler.building import node, pod

NODES = resource("nodes")


def put_node(cluster, *arguments, **named):
    cluster.client.put({"apiVersion": "v1", "kind": "Node", **node(*arguments, **named)})


def put_pod(cluster, *arguments, **named):
    return cluster.client.put({"apiVersion": "v1", "kind": "Pod", **pod(*arguments, **named)})


def where(cluster):
    return {p["metadata"]["name"]: p["spec"].get("nodeName") for p in cluster.client.all(PODS)}


def condition(cluster, name):
    value = cluster.get(PODS, name, "ns")
    return next((c for c in (value.get("status") or {}).get("conditions") or () if c["type"] == "PodScheduled"), None)


async def started(cluster):
    scheduler = cluster.start(Scheduler)
    await asyncio.sleep(0.1)
    return scheduler


def test_pods_are_bound_and_the_event_says_where():
    async def scenario(cluster):
        put_node(cluster, "a")
        put_pod(cluster, "p", "1")
        await started(cluster)
        assert where(cluster) == {"p": "a"}
        await asyncio.sleep(1)
        assert cluster.messages("Scheduled") == ["Successfully assigned ns/p to a"]

    run(scenario)


def test_refused_pod_says_why_once_and_is_placed_when_there_is_room():
    async def scenario(cluster):
        put_node(cluster, "a", "1")
        put_node(cluster, "b", "4", taints="k=v:NoSchedule")
        put_pod(cluster, "p", "2")
        scheduler = await started(cluster)
        why = (
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        )
        found = condition(cluster, "p")
        assert (found["status"], found["reason"], found["message"]) == ("False", "Unschedulable", why)
        assert scheduler.queue.place("ns/p") == "refused"
        await asyncio.sleep(700)
        assert set(cluster.messages("FailedScheduling")) == {why}
        assert cluster.client.calls["patch", "pods"] == 1
        put_node(cluster, "a", "2")
        await asyncio.sleep(15)
        assert where(cluster) == {"p": "a"}

    run(scenario)


def test_room_of_deleted_finished_and_vanished_pods_is_used_again():
    async def scenario(cluster):
        put_node(cluster, "a", "1")
        put_pod(cluster, "first", "1", node="a")
        put_pod(cluster, "second", "1")
        put_pod(cluster, "third", "1")
        await started(cluster)
        finished = copy(cluster.get(PODS, "first", "ns"))
        finished["status"] = {"phase": "Succeeded"}
        cluster.client.put(finished)
        await asyncio.sleep(5)
        placed = [name for name in ("second", "third") if where(cluster)[name]]
        assert len(placed) == 1
        cluster.client.remove(PODS, placed[0], "ns")
        await asyncio.sleep(12)
        assert [n for n in where(cluster).values() if n] == ["a", "a"]

    run(scenario)


def test_pods_of_others_gated_and_deleted_ones_are_left_alone():
    async def scenario(cluster):
        put_node(cluster, "a")
        put_pod(cluster, "other", schedulerName="mine")
        gated = put_pod(cluster, "gated", schedulingGates=[{"name": "x"}])
        value = pod("deleted")
        value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        cluster.client.put({"apiVersion": "v1", "kind": "Pod", **value})
        await started(cluster)
        assert where(cluster) == {"other": None, "gated": None, "deleted": None}
        assert condition(cluster, "gated")["reason"] == "SchedulingGated"
        assert condition(cluster, "other") is None
        value = copy(cluster.get(PODS, "gated", "ns"))
        value["spec"]["schedulingGates"] = []
        cluster.client.put(value)
        await asyncio.sleep(1)
        assert where(cluster)["gated"] == "a"
        assert gated is not None

    run(scenario)


def test_more_gated_pods_than_can_be_written_at_once():
    async def scenario(cluster):
        for number in range(700):
            put_pod(cluster, f"p{number}", schedulingGates=[{"name": "x"}])
        await started(cluster)
        await asyncio.sleep(100)
        conditions = [(p.get("status") or {}).get("conditions") for p in cluster.client.all(PODS)]
        assert all(c and c[0]["reason"] == "SchedulingGated" for c in conditions)

    run(scenario)


def test_failed_bind_gives_the_room_back_and_is_tried_again():
    async def scenario(cluster):
        put_node(cluster, "a", "1")
        cluster.client.refuse("create pods", ServerError("no"), times=1)
        cluster.client.refuse("create pods", Conflict("no"), times=1)
        put_pod(cluster, "p", "1")
        scheduler = await started(cluster)
        assert where(cluster) == {"p": None}
        assert scheduler.cluster.nodes.requested[0, 0] == 0
        assert scheduler.queue.place("ns/p") == "backoff"
        await asyncio.sleep(5)
        assert where(cluster) == {"p": "a"}
        assert len(scheduler.queue) == 0 and not scheduler._assumed

    run(scenario)


def test_pod_replaced_by_a_namesake_while_it_was_bound():
    async def scenario(cluster):
        put_node(cluster, "a", "1")
        scheduler = await started(cluster)
        put_pod(cluster, "p", "1")
        await asyncio.sleep(0)
        cluster.client.remove(PODS, "p", "ns")
        put_pod(cluster, "p", "1")
        await asyncio.sleep(5)
        assert where(cluster) == {"p": "a"}
        assert scheduler.cluster.nodes.requested[0, 0] == 1000

    run(scenario)


def test_pods_of_a_replica_set_spread_over_nodes_and_zones():
    async def scenario(cluster):
        for number in range(6):
            put_node(cluster, f"n{number}", zone=f"z{number % 3}")
        owner = replica_set()
        owner["metadata"]["namespace"] = "ns"
        cluster.client.put(owner)
        for number in range(12):
            put_pod(cluster, f"p{number}", "10m", labels={"app": "web"}, owner="web")
        await started(cluster)
        assert sorted(Counter(where(cluster).values()).values()) == [2] * 6

    run(scenario)


def test_with_a_lagging_mirror_nothing_is_given_away_twice():
    async def scenario(cluster):
        for number in range(5):
            put_node(cluster, f"n{number}", "2")
        scheduler = await started(cluster)
        await asyncio.sleep(1)
        draw = random.Random(3)
        for number in range(60):
            put_pod(cluster, f"p{number}", f"{draw.choice([200, 300, 700])}m")
            await asyncio.sleep(draw.random() * 0.2)
            if number % 7 == 6:
                bound = [n for n, w in where(cluster).items() if w]
                cluster.client.remove(PODS, draw.choice(bound), "ns")
        await asyncio.sleep(30)
        used = Counter()
        for value in cluster.client.all(PODS):
            if value["spec"].get("nodeName"):
                used[value["spec"]["nodeName"]] += int(value["spec"]["containers"][0]["resources"]["requests"]["cpu"][:-1])
        assert used and max(used.values()) <= 2000
        columns = scheduler.cluster.nodes
        assert {name: int(columns.requested[0, slot]) for name, slot in columns.slots.items()} == dict(used)

    run(scenario, lag_s=0.5)


def test_a_pod_that_cannot_be_decided_does_not_stop_the_others():
    async def scenario(cluster):
        put_node(cluster, "a")
        put_pod(cluster, "bad", topologySpreadConstraints=[{"topologyKey": "zone", "labelSelector": {"matchExpressions": [{"key": "x"}]}}])
        put_pod(cluster, "good")
        await started(cluster)
        assert where(cluster) == {"bad": None, "good": "a"}
        assert condition(cluster, "bad")["reason"] == "SchedulerError"

    run(scenario)


def test_no_nodes_yet():
    async def scenario(cluster):
        put_pod(cluster, "p")
        await started(cluster)
        assert condition(cluster, "p")["message"] == "no nodes available to schedule pods"
        put_node(cluster, "a")
        await asyncio.sleep(2)
        assert where(cluster) == {"p": "a"}

    run(scenario)


def test_pods_that_found_the_queue_full_are_offered_again(monkeypatch):
    monkeypatch.setattr(module.SchedulingQueue.__init__, "__defaults__", (2,))

    async def scenario(cluster):
        for number in range(6):
            put_pod(cluster, f"p{number}")
        put_node(cluster, "a")
        await started(cluster)
        await asyncio.sleep(100)
        assert set(where(cluster).values()) == {"a"}

    run(scenario)


def test_the_same_seed_gives_the_same_placements():
    def placements(seed):
        found = []

        async def scenario(cluster):
            for number in range(10):
                put_node(cluster, f"n{number}")
            for number in range(30):
                put_pod(cluster, f"p{number}")
            await started(cluster)
            found.append(where(cluster))

        run(scenario, seed=seed)
        return found[0]

    assert placements(1) == placements(1)
    assert placements(1) != placements(2)
