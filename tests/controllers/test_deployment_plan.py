"""What a turn decides: tables of cases, and properties of rollouts played against the pure plan."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.controllers.deployment_history import new_replica_set, plan_forgetting
from podium.controllers.deployment_plan import plan_deployment
from podium.controllers.deployment_sizes import fenceposts, plan_new_size, plan_old_sizes, plan_scaling
from podium.objects.values import copy
from tests.controllers.cluster import template

NOW, NOW_S = "2026-01-01T00:00:00Z", 1_767_225_600.0


def deployment(replicas=10, surge=2, unavailable=2, image="web:2", strategy="RollingUpdate", **spec):
    rolling = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}} if strategy == "RollingUpdate" else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "u-d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": {"type": strategy, **rolling},
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def replica_set(name, replicas, available=None, image="web:1", created="2026-01-01T00:00:00Z", desired=None, most=None, revision=None):
    annotations = {
        f"deployment.kubernetes.io/{key}": str(value)
        for key, value in (("desired-replicas", desired), ("max-replicas", most), ("revision", revision))
        if value is not None
    }
    available = replicas if available is None else available
    status = {
        "replicas": replicas,
        "readyReplicas": available,
        "availableReplicas": available,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "creationTimestamp": created,
            "annotations": annotations,
            "generation": 1,
        },
        "spec": {"replicas": replicas, "template": template(image, {"app": "web", "pod-template-hash": name})},
        "status": status,
    }


def new(replicas, available=None, **options):
    return replica_set("new", replicas, available, image="web:2", created="2026-01-01T00:05:00Z", **options)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (3, "25%", "25%", (1, 0)),
        (1, "25%", "25%", (1, 0)),
        (10, 0, 0, (0, 1)),
        (10, "0%", "5%", (0, 1)),
        (10, 0, "50%", (0, 5)),
        (3, "100%", 5, (3, 3)),
        (0, 1, 1, (1, 0)),
        (7, "30%", "30%", (3, 2)),
    ],
)
def test_fenceposts_round_surge_up_and_unavailable_down(replicas, surge, unavailable, expected):
    assert fenceposts(deployment(replicas, surge, unavailable)) == expected


@pytest.mark.parametrize(
    ("replicas", "surge", "size", "old", "expected"),
    [
        (10, 0, 0, 10, 0),
        (10, 2, 0, 10, 2),
        (10, 2, 0, 5, 7),
        (10, 2, 10, 2, 10),
        (10, 2, 12, 0, 10),
        (10, 2, 5, 10, 5),
    ],
)
def test_new_replica_set_grows_into_the_room_there_is(replicas, surge, size, old, expected):
    assert plan_new_size(deployment(replicas, surge, 1), new(size), [replica_set("old", old)]) == expected


@pytest.mark.parametrize(
    ("unavailable", "old", "old_available", "size", "available", "expected"),
    [
        (2, 10, 10, 0, 0, {"old": 8}),
        (0, 10, 10, 0, 0, {}),
        (2, 10, 8, 2, 0, {"old": 8}),  # the two broken ones go, no serving one
        (2, 8, 8, 2, 0, {}),
        (2, 8, 8, 2, 2, {"old": 6}),
        (2, 10, 0, 2, 0, {"old": 8}),  # the new ones that may not come up count against the budget
        (2, 10, 0, 2, 2, {"old": 6}),
        (2, 0, 0, 10, 10, {}),
        (0, 10, 10, 2, 1, {"old": 9}),
    ],
)
def test_old_replica_sets_shrink_as_far_as_availability_allows(unavailable, old, old_available, size, available, expected):
    assert plan_old_sizes(deployment(10, 2, unavailable), new(size, available), [replica_set("old", old, old_available)]) == expected


def test_broken_replicas_of_any_old_one_go_before_serving_ones():
    older = replica_set("older", 5, 5, created="2026-01-01T00:00:00Z")
    broken = replica_set("broken", 5, 0, created="2026-01-01T00:01:00Z")
    assert plan_old_sizes(deployment(5, 5, 0), new(2, 2), [older, broken]) == {"older": 3, "broken": 0}


@pytest.mark.parametrize(
    ("replicas", "olds", "size", "expected"),
    [
        (20, [(10, 10, 12)], 0, {"old0": 20}),  # one active: it alone
        (15, [(7, 10, 13)], 6, {"old0": 10, "new": 9}),  # shared out: 15 + 4 in all (25 % of 15 up)
        (5, [(7, 10, 13)], 6, {"old0": 4, "new": 3}),
        (0, [(7, 10, 13)], 6, {"old0": 0, "new": 0}),
    ],
)
def test_scaling_during_a_rollout_is_shared_in_proportion(replicas, olds, size, expected):
    value = deployment(replicas, "25%", "25%")
    old = [replica_set(f"old{i}", n, desired=d, most=m) for i, (n, d, m) in enumerate(olds)]
    assert plan_scaling(value, new(size, desired=10, most=13), old) == expected


def test_scaling_after_a_rollout_empties_the_old_ones():
    old = [replica_set("old", 2, desired=10, most=12)]
    assert plan_scaling(deployment(10), new(10, desired=10, most=12), old) == {"old": 0}


@given(
    st.lists(st.integers(1, 50), min_size=2, max_size=5),
    st.integers(0, 200),
    st.sampled_from(["0%", "25%", "100%"]),
    st.sampled_from(["25%", 1]),
)
def test_shared_sizes_add_up_to_what_is_allowed(sizes, replicas, surge, unavailable):
    was = sum(sizes)
    value = deployment(replicas, surge, unavailable)
    old = [replica_set(f"old{i}", n, desired=was, most=was, created=f"2026-01-01T00:0{i}:00Z") for i, n in enumerate(sizes[1:])]
    planned = plan_scaling(value, new(sizes[0], 0, desired=was, most=was), old)
    assert all(n >= 0 for n in planned.values())
    allowed, total = (replicas + fenceposts(value)[0] if replicas else 0), sum(planned.values())
    # What rounding leaves over goes to the first set, which cannot go below nothing: then the rest waits for the next round, as upstream.
    assert total == allowed or (total > allowed and 0 in planned.values())


def test_new_replica_set_has_the_hash_in_its_name_labels_and_selector():
    value = deployment(minReadySeconds=5)
    value["metadata"]["annotations"] = {"kubernetes.io/change-cause": "v2", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    made = new_replica_set(value, 4, 2, 7)
    hashed = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"web-{hashed}"
    assert (
        made["spec"]["selector"]["matchLabels"]
        == made["spec"]["template"]["metadata"]["labels"]
        == {"app": "web", "pod-template-hash": hashed}
    )
    assert made["spec"]["minReadySeconds"] == 5
    assert made["metadata"]["annotations"] == {
        "kubernetes.io/change-cause": "v2",
        "deployment.kubernetes.io/revision": "7",
        "deployment.kubernetes.io/desired-replicas": "10",
        "deployment.kubernetes.io/max-replicas": "12",
    }
    value["status"] = {"collisionCount": 1}
    assert new_replica_set(value, 4, 2, 7)["metadata"]["name"] != made["metadata"]["name"]


def test_going_back_gives_the_old_replica_set_a_new_revision():
    first = replica_set("first", 0, revision=1, image="web:2", desired=10, most=12)
    second = replica_set("second", 10, revision=2, desired=10, most=12)
    plan = plan_deployment(deployment(10), [first, second], False, NOW, NOW_S)
    (update,) = plan.updates
    assert update.value["metadata"]["name"] == "first"
    annotations = update.value["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3" == plan.revision
    assert annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert update.value["spec"]["replicas"] == 2


@pytest.mark.parametrize(("limit", "expected"), [(0, ["a", "c"]), (1, ["a"]), (2, ["a"]), (3, []), (2**31 - 1, [])])
def test_history_past_the_limit_is_forgotten_oldest_first_but_never_what_has_pods(limit, expected):
    old = [replica_set("c", 0, revision=3), replica_set("a", 0, revision=1), replica_set("b", 1, revision=2)]
    assert [o["metadata"]["name"] for o in plan_forgetting(deployment(revisionHistoryLimit=limit), old)] == expected


def condition(plan, type):
    return next((c for c in plan.status["conditions"] if c["type"] == type), None)


def with_progress(value, reason, at, status="True"):
    value["status"] = {
        **value.get("status", {}),
        "conditions": [
            {"type": "Progressing", "status": status, "reason": reason, "message": "", "lastUpdateTime": at, "lastTransitionTime": at}
        ],
    }
    return value


def test_first_turn_creates_and_says_so():
    plan = plan_deployment(deployment(3), [], False, NOW, NOW_S)
    assert plan.create["spec"]["replicas"] == 3
    said = condition(plan, "Progressing")
    assert (said["status"], said["reason"]) == ("True", "NewReplicaSetCreated")
    assert said["message"] == f'Created new replica set "{plan.create["metadata"]["name"]}"'
    assert condition(plan, "Available")["message"] == "Deployment does not have minimum availability."
    assert plan.status["unavailableReplicas"] == 3
    assert plan.check_after_s == 601


@pytest.mark.parametrize(
    ("available", "before", "at", "expected"),
    [
        (3, {}, "2025-12-31T23:59:00Z", ("True", "NewReplicaSetAvailable", 'ReplicaSet "new" has successfully progressed.')),
        (
            2,
            {"updatedReplicas": 3, "availableReplicas": 1},
            "2025-12-31T23:00:00Z",
            ("True", "ReplicaSetUpdated", 'ReplicaSet "new" is progressing.'),
        ),
        (
            1,
            {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 1, "availableReplicas": 1},
            "2025-12-31T23:00:00Z",
            ("False", "ProgressDeadlineExceeded", 'ReplicaSet "new" has timed out progressing.'),
        ),
        (1, {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 1, "availableReplicas": 1}, "2025-12-31T23:55:00Z", ("True", "X", "")),
    ],
)
def test_progress_is_told_as_upstream_does(available, before, at, expected):
    value = with_progress(deployment(3), "X", at)
    value["status"] |= before
    plan = plan_deployment(value, [new(3, available, revision=1)], False, NOW, NOW_S)
    said = condition(plan, "Progressing")
    assert (said["status"], said["reason"], said["message"]) == expected


def test_completed_rollout_stays_complete_when_a_pod_fails_later():
    value = with_progress(deployment(3), "NewReplicaSetAvailable", "2025-12-01T00:00:00Z")
    plan = plan_deployment(value, [new(3, 0, revision=1)], False, NOW, NOW_S)
    assert condition(plan, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert condition(plan, "Available")["status"] == "False"


def test_paused_deployment_scales_but_does_not_roll():
    value = with_progress(deployment(12, paused=True), "NewReplicaSetAvailable", "2025-12-01T00:00:00Z")
    plan = plan_deployment(value, [replica_set("old", 10, desired=10, most=12, revision=1)], False, NOW, NOW_S)
    assert plan.create is None
    assert [(u.value["metadata"]["name"], u.before, u.value["spec"]["replicas"]) for u in plan.updates] == [("old", 10, 12)]
    assert condition(plan, "Progressing")["reason"] == "DeploymentPaused"
    value["spec"]["paused"] = False
    value["status"] = plan.status
    resumed = plan_deployment(value, [plan.updates[0].value], False, NOW, NOW_S)
    assert resumed.create is not None
    assert condition(resumed, "Progressing")["reason"] == "NewReplicaSetCreated"


def test_recreation_waits_until_every_old_pod_is_gone():
    value = deployment(3, strategy="Recreate")
    plan = plan_deployment(value, [replica_set("old", 3)], True, NOW, NOW_S)
    assert [u.value["spec"]["replicas"] for u in plan.updates] == [0]
    assert plan.create is None
    gone = replica_set("old", 0)
    assert plan_deployment(value, [gone], True, NOW, NOW_S).create is None
    assert plan_deployment(value, [gone], False, NOW, NOW_S).create["spec"]["replicas"] == 3


def test_deployment_being_deleted_only_reports():
    value = deployment(3)
    value["metadata"]["deletionTimestamp"] = NOW
    plan = plan_deployment(value, [replica_set("old", 3)], False, NOW, NOW_S)
    assert (plan.create, plan.updates, plan.delete) == (None, [], [])
    assert plan.status["availableReplicas"] == 3


def test_failure_of_a_replica_set_is_shown():
    failing = new(3, 0, revision=1)
    failing["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}]
    plan = plan_deployment(deployment(3), [failing], False, NOW, NOW_S)
    assert condition(plan, "ReplicaFailure")["message"] == "quota"
    plan = plan_deployment({**deployment(3), "status": plan.status}, [new(3, 0, revision=1)], False, NOW, NOW_S)
    assert condition(plan, "ReplicaFailure") is None


# Rollouts played to the end


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(0, 12),
    surge=st.sampled_from([0, 1, 3, "25%", "100%"]),
    unavailable=st.sampled_from([0, 1, 2, "25%", "100%"]),
    old_sizes=st.lists(st.integers(0, 12), max_size=3),
    broken=st.booleans(),
    data=st.data(),
)
def test_rollout_keeps_its_bounds_and_converges(replicas, surge, unavailable, old_sizes, broken, data):
    """Never above replicas + maxSurge, never fewer available than replicas - maxUnavailable (of those that were), and it ends."""
    value = deployment(replicas, surge, unavailable)
    surge_pods, unavailable_pods = fenceposts(value)
    budget = replicas
    sets = []
    for i, wanted in enumerate(old_sizes):
        size = min(wanted, budget)
        budget -= size
        sets.append(
            replica_set(
                f"old{i}", size, 0 if broken else size, image=f"old:{i}", revision=i + 1, desired=replicas, most=replicas + surge_pods
            )
        )
    most = max(replicas + surge_pods, sum(r["spec"]["replicas"] for r in sets))
    least = min(replicas - unavailable_pods, sum(r["status"]["availableReplicas"] for r in sets))
    for _ in range(200):
        plan = plan_deployment(value, copy(sets), False, NOW, NOW_S)
        value["status"] = plan.status
        if plan.create:
            made = copy(plan.create)
            made["metadata"] |= {"uid": "new", "creationTimestamp": "2026-01-01T01:00:00Z", "generation": 1}
            sets.append({**made, "status": {"replicas": 0, "availableReplicas": 0}})
        by_name = {u.value["metadata"]["name"]: u.value for u in plan.updates}
        sets = [by_name.get(r["metadata"]["name"], r) for r in sets]
        for r in sets:  # the worst pods could do: those that go were available as long as any is left
            size, status = r["spec"]["replicas"], r["status"]
            status["replicas"] = size
            status["availableReplicas"] = min(size, status.get("availableReplicas", 0))
        assert sum(r["spec"]["replicas"] for r in sets) <= most
        assert sum(r["status"]["availableReplicas"] for r in sets) >= least
        is_new = [r for r in sets if r["spec"]["template"]["spec"] == value["spec"]["template"]["spec"]]
        for r in is_new:
            r["status"]["availableReplicas"] += data.draw(st.integers(0, r["spec"]["replicas"] - r["status"]["availableReplicas"]))
        if not plan.create and not plan.updates:
            for r in is_new:
                r["status"]["availableReplicas"] = r["spec"]["replicas"]
            if plan_deployment(value, copy(sets), False, NOW, NOW_S).updates == []:
                break
    assert {r["metadata"]["name"]: r["spec"]["replicas"] for r in sets if r["spec"]["replicas"]} == (
        {is_new[0]["metadata"]["name"]: replicas} if replicas else {}
    )
