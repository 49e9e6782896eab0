import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.controllers.replica_set_plan import choose_victims, deletion_cost, plan_replicas, tally
from podium.controllers.replica_sets import ReplicaSetController
from podium.objects.status import Forbidden
from podium.objects.values import copy
from tests.controllers import cluster
from tests.controllers.cluster import PODS, REPLICA_SETS, pod, replica_set

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def state(
    name, *, node="n1", phase="Running", ready=True, ready_at="2025-12-31T23:00:00Z", cost=None, restarts=0, created="2025-12-31T22:00:00Z"
):
    value = pod(name, uid=name, creationTimestamp=created)
    if cost is not None:
        value["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    if node:
        value["spec"]["nodeName"] = node
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": ready_at}]
    value["status"] = {"phase": phase, "conditions": conditions, "containerStatuses": [{"restartCount": restarts}]}
    return value


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"node": "", "phase": "Pending", "ready": False}, {"phase": "Pending", "ready": False}),
        ({"phase": "Pending", "ready": False}, {"phase": "Unknown", "ready": False}),
        ({"ready": False}, {"ready": True}),
        ({"cost": "-5"}, {}),
        ({}, {"cost": "5"}),
        ({"ready_at": "2025-12-31T23:59:00Z"}, {"ready_at": "2025-12-30T00:00:00Z"}),
        ({"restarts": 3}, {"restarts": 1}),
        ({"created": "2025-12-31T23:50:00Z"}, {"created": "2025-11-01T00:00:00Z"}),
        ({"ready": False, "cost": "100"}, {"cost": "-100"}),
    ],
)
def test_cheapest_pod_goes_first(first, then):
    pods = [state("b", **then), state("a", **first)]
    assert [p["metadata"]["name"] for p in choose_victims(pods, pods, 1, NOW_S)] == ["a"]
    pods = [state("a", **then), state("b", **first)]
    assert [p["metadata"]["name"] for p in choose_victims(pods, pods, 1, NOW_S)] == ["b"]


def test_pod_on_the_node_with_most_of_its_kin_goes_first():
    mine = [state("a", node="n1"), state("b", node="n2")]
    kin = [*mine, state("c", node="n2")]
    assert choose_victims(mine, kin, 1, NOW_S)[0]["metadata"]["name"] == "b"


@pytest.mark.parametrize(("text", "cost"), [("10", 10), ("-3", -3), ("x", 0), ("+1", 0), ("01", 0), ("4294967296", 0)])
def test_deletion_cost_counts_only_as_a_plain_integer(text, cost):
    assert deletion_cost(state("a", cost=text)) == cost


def test_tally_counts_by_state():
    value = replica_set(minReadySeconds=10)
    going = state("going")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pods = [
        state("available"),
        state("young", ready_at="2025-12-31T23:59:53Z"),
        state("unready", ready=False),
        state("failed", phase="Failed"),
        going,
        {**state("unlabelled"), "metadata": {"name": "unlabelled", "labels": {}}},
    ]
    counts = tally(value, pods, NOW_S)
    assert len(counts.active) == 4
    assert (counts.labelled, counts.ready, counts.available, counts.terminating) == (3, 3, 2, 1)
    assert counts.check_after_s == pytest.approx(3)


@given(replicas=st.integers(0, 1200), have=st.integers(0, 1200))
def test_plan_never_overshoots(replicas, have):
    active = [state(f"p{i}") for i in range(have)] if have < 30 else [state("p")] * have
    plan = plan_replicas(replica_set(replicas=replicas), active, active, NOW_S)
    assert plan.create == min(500, max(0, replicas - have))
    assert len(plan.delete) == min(500, max(0, have - replicas))


def test_pods_are_created_and_the_status_follows():
    async def scenario(c):
        c.start(ReplicaSetController)
        c.client.put(replica_set())
        await asyncio.sleep(1)
        pods = c.client.all(PODS)
        assert len(pods) == 3
        assert pods[0]["metadata"]["labels"] == {"app": "web"}
        assert pods[0]["metadata"]["name"].startswith("web-")
        (owner,) = pods[0]["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == ("ReplicaSet", "web", True, True)
        assert c.get(REPLICA_SETS, "web")["status"] == {
            "replicas": 3, "fullyLabeledReplicas": 3, "terminatingReplicas": 0, "observedGeneration": 1,
        }  # fmt: skip
        c.run_pods()
        await asyncio.sleep(1)
        status = c.get(REPLICA_SETS, "web")["status"]
        assert (status["readyReplicas"], status["availableReplicas"]) == (3, 3)
        assert sorted(c.messages("SuccessfulCreate")) == sorted(f"Created pod: {p['metadata']['name']}" for p in pods)

    cluster.run(scenario)


def test_scaling_down_deletes_and_counts_the_terminating():
    async def scenario(c):
        c.start(ReplicaSetController)
        c.client.put(replica_set(replicas=5))
        await asyncio.sleep(1)
        c.run_pods()
        c.client.put(replica_set(replicas=2))
        await asyncio.sleep(1)
        going = [p for p in c.client.all(PODS) if "deletionTimestamp" in p["metadata"]]
        assert len(going) == 3
        assert c.get(REPLICA_SETS, "web")["status"]["terminatingReplicas"] == 3
        assert c.get(REPLICA_SETS, "web")["status"]["replicas"] == 2
        c.run_pods()
        await asyncio.sleep(1)
        assert c.get(REPLICA_SETS, "web")["status"]["terminatingReplicas"] == 0
        assert len(c.messages("SuccessfulDelete")) == 3

    cluster.run(scenario)


def test_lost_and_failed_pods_are_replaced():
    async def scenario(c):
        c.start(ReplicaSetController)
        c.client.put(replica_set())
        await asyncio.sleep(1)
        a, b, _ = c.client.all(PODS)
        c.client.remove(PODS, a["metadata"]["name"], "default")
        c.set_ready(b, ready=False, phase="Failed")
        await asyncio.sleep(1)
        names = [p["metadata"]["name"] for p in c.client.all(PODS)]
        assert len(names) == 4  # three active and the failed one, which is kept
        assert b["metadata"]["name"] in names

    cluster.run(scenario)


def test_matching_orphans_are_adopted_and_others_released():
    async def scenario(c):
        c.client.put(pod("orphan"))
        c.client.put(pod("other", labels={"app": "db"}))
        c.start(ReplicaSetController)
        c.client.put(replica_set(replicas=2))
        await asyncio.sleep(1)
        assert len(c.client.all(PODS)) == 3
        assert c.get(PODS, "orphan")["metadata"]["ownerReferences"][0]["name"] == "web"
        assert "ownerReferences" not in c.get(PODS, "other")["metadata"]
        relabelled = copy(c.get(PODS, "orphan"))
        relabelled["metadata"]["labels"] = {"app": "debug"}
        c.client.put(relabelled)
        await asyncio.sleep(1)
        assert not c.get(PODS, "orphan")["metadata"].get("ownerReferences")
        assert len(c.client.all(PODS)) == 4

    cluster.run(scenario)


def test_replica_set_being_deleted_neither_adopts_nor_creates():
    async def scenario(c):
        c.client.put(pod("orphan"))
        value = replica_set()
        value["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}
        c.start(ReplicaSetController)
        c.client.put(value)
        await asyncio.sleep(1)
        assert [p["metadata"]["name"] for p in c.client.all(PODS)] == ["orphan"]
        assert "ownerReferences" not in c.get(PODS, "orphan")["metadata"]

    cluster.run(scenario)


def test_refused_template_costs_one_request_at_a_time_and_is_reported():
    async def scenario(c):
        c.client.refuse("create pods", Forbidden("quota"), times=8)
        c.start(ReplicaSetController)
        c.client.put(replica_set(replicas=100))
        await asyncio.sleep(0.012)
        assert c.client.calls["create", "pods"] <= 3
        (condition,) = c.get(REPLICA_SETS, "web")["status"]["conditions"]
        assert (condition["type"], condition["reason"], condition["message"]) == ("ReplicaFailure", "FailedCreate", "quota")
        await asyncio.sleep(5)
        assert len(c.client.all(PODS)) == 100
        assert "conditions" not in c.get(REPLICA_SETS, "web")["status"]
        assert "Error creating: quota" in c.messages("FailedCreate")

    cluster.run(scenario)


@pytest.mark.parametrize("lag_s", [0.0, 0.01, 0.3, 3.0])
def test_lagging_mirror_never_makes_too_many_nor_deletes_too_many(lag_s):
    async def scenario(c):
        c.client.lags_s["pods"] = lag_s
        c.start(ReplicaSetController)
        c.client.put(replica_set(replicas=40))
        fewest = []
        for number in range(40):
            await asyncio.sleep(0.05 + lag_s / 4)
            touched = copy(c.get(REPLICA_SETS, "web"))
            touched["metadata"]["annotations"] = {"touched": str(number)}
            c.client.put(touched)
            assert len(c.client.all(PODS)) <= 40
        assert len(c.client.all(PODS)) == 40
        c.client.put(replica_set(replicas=10))
        for _ in range(40):
            await asyncio.sleep(0.25 + lag_s / 4)
            fewest.append(len(c.client.all(PODS)))
        assert min(fewest) == 10

    cluster.run(scenario)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(["scale 0", "scale 3", "scale 9", "kill", "ready", "disconnect", "compact", "wait"]), max_size=25),
    st.integers(0, 9),
)
def test_always_converges(steps, seed):
    async def scenario(c):
        c.start(ReplicaSetController)
        c.client.put(replica_set(replicas=4))
        wanted = 4
        for step in steps:
            if step.startswith("scale"):
                wanted = int(step.split()[1])
                c.client.put({**replica_set(replicas=wanted), "status": (c.get(REPLICA_SETS, "web") or {}).get("status", {})})
            elif step == "kill" and c.client.all(PODS):
                c.client.remove(PODS, c.client.all(PODS)[0]["metadata"]["name"], "default")
            elif step == "ready":
                c.run_pods()
            elif step == "disconnect":
                c.client.disconnect()
            elif step == "compact":
                c.client.disconnect()
                c.client.compact()
            else:
                await asyncio.sleep(0.02)
        await asyncio.sleep(400)
        c.run_pods()
        await asyncio.sleep(20)
        assert len(c.client.all(PODS)) == wanted
        status = c.get(REPLICA_SETS, "web")["status"]
        assert (status["replicas"], status.get("availableReplicas", 0), status["terminatingReplicas"]) == (wanted, wanted, 0)

    cluster.run(scenario, seed=seed, lag_s=0.005)


@pytest.mark.slow
def test_five_thousand_pods_cost_little():
    """Measured with the fake client and the mirrors: 0.1 ms of CPU a pod."""

    async def scenario(c):
        c.start(ReplicaSetController)
        c.client.put(replica_set(replicas=5000))
        for _ in range(400):
            await asyncio.sleep(0.1)
            pods = c.client.all(PODS)
            for value in [p for p in pods if not p.get("status")][:200]:
                c.set_ready(value)
            if c.get(REPLICA_SETS, "web").get("status", {}).get("availableReplicas") == 5000:
                break
        assert c.get(REPLICA_SETS, "web")["status"]["availableReplicas"] == 5000
        assert c.client.calls["update", "replicasets"] < 150
        assert c.client.calls["create", "pods"] == 5000

    started = time.process_time()
    cluster.run(scenario)
    assert time.process_time() - started < 5000 * 0.0005
