import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.controllers.deployments import DeploymentController
from podium.controllers.replica_sets import ReplicaSetController
from podium.objects.status import Forbidden
from podium.objects.values import copy
from tests.controllers import cluster
from tests.controllers.cluster import DEPLOYMENTS, PODS, REPLICA_SETS, template


def deployment(replicas=3, image="web:1", strategy="RollingUpdate", **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": {"type": strategy},
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def change(c, **spec):
    """As kubectl would: replaces fields of the spec."""
    value = copy(c.get(DEPLOYMENTS, "web"))
    value["spec"] |= spec
    c.client.put(value)


def both(scenario, **options):
    async def main(c):
        c.start(DeploymentController)
        c.start(ReplicaSetController)
        await scenario(c)

    cluster.run(main, **options)


async def settle(c, rounds=30, step_s=0.5):
    for _ in range(rounds):
        await asyncio.sleep(step_s)
        c.run_pods()
    await asyncio.sleep(1)


def images(c):
    return sorted(p["spec"]["containers"][0]["image"] for p in c.client.all(PODS))


def condition(c, type):
    return next((x for x in c.get(DEPLOYMENTS, "web")["status"]["conditions"] if x["type"] == type), None)


def test_rollout_replaces_the_pods_and_tells_its_steps():
    async def scenario(c):
        c.client.put(deployment())
        await settle(c)
        value = c.get(DEPLOYMENTS, "web")
        assert value["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
        counts = {k: v for k, v in value["status"].items() if k != "conditions"}
        threes = {f"{field}eplicas": 3 for field in ("r", "updatedR", "readyR", "availableR")}
        assert counts == {**threes, "observedGeneration": 1, "terminatingReplicas": 0}
        assert condition(c, "Progressing")["reason"] == "NewReplicaSetAvailable"
        assert condition(c, "Available")["status"] == "True"
        change(c, template=template("web:2"))
        await settle(c)
        assert images(c) == ["web:2"] * 3
        assert c.get(DEPLOYMENTS, "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        old, new = sorted(c.client.all(REPLICA_SETS), key=lambda r: r["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
        a, b = old["metadata"]["name"], new["metadata"]["name"]
        assert sorted(c.messages("ScalingReplicaSet")) == sorted(
            [
                f"Scaled up replica set {a} from 0 to 3",
                f"Scaled up replica set {b} from 0 to 1",
                f"Scaled down replica set {a} from 3 to 2",
                f"Scaled up replica set {b} from 1 to 2",
                f"Scaled down replica set {a} from 2 to 1",
                f"Scaled up replica set {b} from 2 to 3",
                f"Scaled down replica set {a} from 1 to 0",
            ]
        )

    both(scenario)


def test_undo_brings_the_old_replica_set_back_with_a_new_revision():
    async def scenario(c):
        c.client.put(deployment())
        await settle(c)
        (first,) = c.client.all(REPLICA_SETS)
        change(c, template=template("web:2"))
        await settle(c)
        undone = copy(first["spec"]["template"])
        del undone["metadata"]["labels"]["pod-template-hash"]
        change(c, template=undone)
        await settle(c)
        assert images(c) == ["web:1"] * 3
        assert len(c.client.all(REPLICA_SETS)) == 2
        again = c.get(REPLICA_SETS, first["metadata"]["name"])
        assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        assert c.get(DEPLOYMENTS, "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    both(scenario)


def test_recreation_never_runs_old_and_new_together():
    async def scenario(c):
        c.client.put(deployment(strategy="Recreate"))
        await settle(c)
        change(c, template=template("web:2"))
        for _ in range(40):
            await asyncio.sleep(0.25)
            assert len(set(images(c))) <= 1
            c.run_pods()
        assert images(c) == ["web:2"] * 3

    both(scenario)


def test_stuck_rollout_is_reported_after_its_deadline_and_recovers():
    async def scenario(c):
        c.client.put(deployment(progressDeadlineSeconds=60))
        await asyncio.sleep(50)
        assert condition(c, "Progressing")["reason"] in ("ReplicaSetUpdated", "NewReplicaSetCreated")
        await asyncio.sleep(20)
        stuck = condition(c, "Progressing")
        assert (stuck["status"], stuck["reason"]) == ("False", "ProgressDeadlineExceeded")
        await settle(c)
        assert condition(c, "Progressing")["reason"] == "NewReplicaSetAvailable"

    both(scenario)


def test_pause_holds_a_change_back_until_resumed():
    async def scenario(c):
        c.client.put(deployment())
        await settle(c)
        change(c, paused=True)
        await settle(c, 4)
        assert condition(c, "Progressing")["reason"] == "DeploymentPaused"
        change(c, template=template("web:2"), replicas=5)
        await settle(c)
        assert images(c) == ["web:1"] * 5
        change(c, paused=False)
        await settle(c)
        assert images(c) == ["web:2"] * 5
        assert condition(c, "Progressing")["reason"] == "NewReplicaSetAvailable"

    both(scenario)


def test_minimum_ready_time_delays_availability_and_with_it_the_rollout():
    async def scenario(c):
        c.client.put(deployment(replicas=1, minReadySeconds=30))
        await asyncio.sleep(1)
        c.run_pods()
        await asyncio.sleep(20)
        assert c.get(DEPLOYMENTS, "web")["status"]["readyReplicas"] == 1
        assert "availableReplicas" not in c.get(DEPLOYMENTS, "web")["status"]
        await asyncio.sleep(12)
        assert c.get(DEPLOYMENTS, "web")["status"]["availableReplicas"] == 1

    both(scenario)


def test_history_keeps_no_more_than_its_limit():
    async def scenario(c):
        c.client.put(deployment(revisionHistoryLimit=2))
        for number in range(2, 7):
            await settle(c, 12)
            change(c, template=template(f"web:{number}"))
        await settle(c)
        revisions = [r["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for r in c.client.all(REPLICA_SETS)]
        assert sorted(revisions) == ["4", "5", "6"]

    both(scenario)


def test_matching_replica_set_is_adopted_as_it_is():
    async def scenario(c):
        orphan = cluster.replica_set("mine", 3)
        orphan["metadata"]["labels"] = {"app": "web"}
        c.client.put(orphan)
        await asyncio.sleep(1)
        c.client.put(deployment())
        await settle(c)
        (found,) = c.client.all(REPLICA_SETS)
        assert found["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
        assert len(c.client.all(PODS)) == 3
        assert condition(c, "Progressing")["reason"] == "NewReplicaSetAvailable"

    both(scenario)


def test_collision_of_the_hash_is_counted_and_avoided():
    async def scenario(c):
        c.client.put(deployment())
        await asyncio.sleep(1)
        name = c.client.all(REPLICA_SETS)[0]["metadata"]["name"]
        c.client.remove(DEPLOYMENTS, "web", "default")
        c.client.remove(REPLICA_SETS, name, "default")
        foreign = cluster.replica_set(name, 0)
        foreign["metadata"]["labels"] = {"app": "other"}
        c.client.put(foreign)
        c.client.put(deployment())
        await settle(c)
        assert c.get(DEPLOYMENTS, "web")["status"]["collisionCount"] == 1
        assert len(c.client.all(REPLICA_SETS)) == 2
        assert c.get(DEPLOYMENTS, "web")["status"]["availableReplicas"] == 3

    both(scenario)


def test_refused_replica_set_is_reported():
    async def scenario(c):
        c.client.refuse("create replicasets", Forbidden("exceeded quota"), times=3)
        c.client.put(deployment())
        await asyncio.sleep(0.007)
        failed = condition(c, "Progressing")
        assert (failed["status"], failed["reason"]) == ("False", "ReplicaSetCreateError")
        assert failed["message"].endswith(": exceeded quota")
        await settle(c)
        assert condition(c, "Progressing")["reason"] == "NewReplicaSetAvailable"

    both(scenario)


def test_empty_selector_is_refused_with_an_event():
    async def scenario(c):
        c.client.put(deployment(selector={}))
        await asyncio.sleep(1)
        assert c.client.all(REPLICA_SETS) == []
        assert c.messages("SelectingAll") == ["This deployment is selecting all pods. A non-empty selector is required."]
        assert c.get(DEPLOYMENTS, "web")["status"]["observedGeneration"] == 1

    both(scenario)


def test_steady_deployment_writes_nothing():
    async def scenario(c):
        c.client.put(deployment())
        await settle(c)
        written = len(c.client.log)
        await asyncio.sleep(3600)
        assert len(c.client.log) == written

    both(scenario)


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(
            ["image 1", "image 2", "image 3", "scale 0", "scale 2", "scale 7", "kill", "ready", "lost", "pause", "resume", "wait"]
        ),
        max_size=20,
    ),
    strategy=st.sampled_from(["RollingUpdate", "Recreate"]),
    lag_s=st.sampled_from([0.0, 0.01, 0.2]),
)
def test_always_converges(steps, strategy, lag_s):
    async def scenario(c):
        c.client.put(deployment(strategy=strategy))
        replicas, image = 3, "web:1"
        await asyncio.sleep(1)
        for step in steps:
            word, _, number = step.partition(" ")
            if word == "image":
                image = f"web:{number}"
                change(c, template=template(image))
            elif word == "scale":
                replicas = int(number)
                change(c, replicas=replicas)
            elif word == "kill" and c.client.all(PODS):
                c.client.remove(PODS, c.client.all(PODS)[0]["metadata"]["name"], "default")
            elif word == "ready":
                c.run_pods()
            elif word == "lost":
                c.client.disconnect()
                c.client.compact()
            elif word in ("pause", "resume"):
                change(c, paused=word == "pause")
            else:
                await asyncio.sleep(0.3)
        change(c, paused=False)
        await settle(c, 60, 1.0)
        assert images(c) == [image] * replicas
        status = c.get(DEPLOYMENTS, "web")["status"]
        assert (status.get("availableReplicas", 0), status.get("replicas", 0), status["terminatingReplicas"]) == (replicas, replicas, 0)
        assert condition(c, "Progressing")["reason"] == "NewReplicaSetAvailable"

    both(scenario, lag_s=lag_s)


@pytest.mark.parametrize("lag_s", [0.0, 0.05, 1.0])
def test_rollout_keeps_its_bounds_seen_from_the_server(lag_s):
    async def scenario(c):
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
        value = deployment(10)
        value["spec"]["strategy"] = rolling
        c.client.put(value)
        await settle(c, 40)
        change(c, template=template("web:2"))
        for _ in range(400):
            await asyncio.sleep(0.1)
            active = [p for p in c.client.all(PODS) if "deletionTimestamp" not in p["metadata"]]
            ready = [p for p in active if p.get("status")]
            assert len(active) <= 12
            assert len(ready) >= 9
            waiting = [p for p in active if not p.get("status")]
            if waiting:
                c.set_ready(waiting[0])
            for p in c.client.all(PODS):
                if "deletionTimestamp" in p["metadata"]:
                    c.client.remove(PODS, p["metadata"]["name"], "default")
        assert images(c) == ["web:2"] * 10

    both(scenario, lag_s=lag_s)
