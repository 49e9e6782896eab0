"""Who goes when whose owner goes, against the fake client."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.controllers.garbage_collection import GarbageCollector, collectable
from podium.controllers.ownership_graph import OwnershipGraph, Plan, owners_of, plan_dependent
from podium.objects.resources import builtin, resource
from podium.objects.status import ServerError
from tests.controllers.cluster import PODS, REPLICA_SETS, pod, replica_set, run

CONFIG_MAPS, NODES = resource("configmaps"), resource("nodes")


def config_map(name, *owners, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "ownerReferences": list(owners), **metadata},
    }


def owned_by(owner, **more):
    metadata = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"], **more}


def names(cluster, kind=CONFIG_MAPS):
    return [value["metadata"]["name"] for value in cluster.client.all(kind)]


def deleting(value, finalizer):
    return {**value, "metadata": {**value["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer]}}


async def started(cluster):
    collector = cluster.start(GarbageCollector)
    await asyncio.sleep(1)
    return collector


def test_dependents_follow_their_owner():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        middle = cluster.client.put(config_map("middle", owned_by(owner)))
        cluster.client.put(config_map("leaf", owned_by(middle)))
        cluster.client.put(config_map("free"))
        collector = await started(cluster)
        assert len(names(cluster)) == 3
        cluster.client.remove(REPLICA_SETS, "web", "default")
        await asyncio.sleep(1)
        assert names(cluster) == ["free"]
        assert len(collector.graph) == 0

    run(scenario)


def test_an_owner_that_was_gone_before_the_start_is_found_out():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        cluster.client.put(config_map("a", owned_by(owner)))
        cluster.client.put(config_map("b", {**owned_by(owner), "uid": "another-of-that-name"}))
        await started(cluster)
        assert names(cluster) == ["a"]

    run(scenario)


def test_owner_is_verified_with_the_server_before_dependents_go():
    """The dependent is seen before its owner, because the mirror of owners is behind."""

    async def scenario(cluster):
        await started(cluster)
        deliver = cluster.client._deliver
        cluster.client._deliver = lambda key, *event: deliver(key, *event) if "/configmaps/" in key else None
        owner = cluster.client.put(replica_set())
        cluster.client.put(config_map("a", owned_by(owner)))
        await asyncio.sleep(5)
        assert names(cluster) == ["a"]
        assert cluster.client.calls["get", "replicasets"] == 1

    run(scenario)


def test_errors_of_the_verification_never_delete():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        await started(cluster)
        cluster.client.refuse("get replicasets", ServerError("no"), times=3)
        cluster.client.put(config_map("a", {**owned_by(owner), "uid": "gone"}))
        await asyncio.sleep(0.005)
        assert names(cluster) == ["a"]
        await asyncio.sleep(2)
        assert names(cluster) == []

    run(scenario)


def test_a_solid_owner_keeps_the_object_and_absent_references_are_dropped():
    async def scenario(cluster):
        first, second = cluster.client.put(replica_set("first")), cluster.client.put(replica_set("second"))
        cluster.client.put(config_map("a", owned_by(first), owned_by(second)))
        await started(cluster)
        cluster.client.remove(REPLICA_SETS, "first", "default")
        await asyncio.sleep(1)
        value = cluster.get(CONFIG_MAPS, "a")
        assert [o["name"] for o in value["metadata"]["ownerReferences"]] == ["second"]

    run(scenario)


def test_foreground_deletion_waits_for_blocking_dependents():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        held = config_map("held", owned_by(owner, blockOwnerDeletion=True), finalizers=["example.com/hold"])
        cluster.client.put(held)
        cluster.client.put(config_map("a", owned_by(owner, blockOwnerDeletion=True)))
        await started(cluster)
        cluster.client.put(deleting(owner, "foregroundDeletion"))
        await asyncio.sleep(1)
        assert names(cluster) == ["held"]
        assert names(cluster, REPLICA_SETS) == ["web"]
        cluster.client.remove(CONFIG_MAPS, "held", "default")
        await asyncio.sleep(1)
        assert names(cluster, REPLICA_SETS) == []

    run(scenario)


def test_foreground_deletion_does_not_wait_for_the_others():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        cluster.client.put(config_map("held", owned_by(owner), finalizers=["example.com/hold"]))
        await started(cluster)
        cluster.client.put(deleting(owner, "foregroundDeletion"))
        await asyncio.sleep(1)
        assert names(cluster, REPLICA_SETS) == []

    run(scenario)


def test_orphaning_lets_dependents_go_free():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        other = cluster.client.put(replica_set("other"))
        cluster.client.put(config_map("a", owned_by(owner)))
        cluster.client.put(config_map("b", owned_by(owner), owned_by(other)))
        await started(cluster)
        cluster.client.put(deleting(owner, "orphan"))
        await asyncio.sleep(1)
        assert names(cluster, REPLICA_SETS) == ["other"]
        assert "ownerReferences" not in cluster.get(CONFIG_MAPS, "a")["metadata"]
        assert [o["name"] for o in cluster.get(CONFIG_MAPS, "b")["metadata"]["ownerReferences"]] == ["other"]

    run(scenario)


def test_owner_in_another_namespace_is_absent_and_reported():
    async def scenario(cluster):
        owner = replica_set()
        owner["metadata"]["namespace"] = "far"
        owner = cluster.client.put(owner)
        cluster.client.put(config_map("a", owned_by(owner)))
        await started(cluster)
        assert names(cluster) == []
        (message,) = cluster.messages("OwnerRefInvalidNamespace")
        assert message.endswith('does not exist in namespace "default"')

    run(scenario)


def test_cluster_scoped_object_of_a_namespaced_owner_is_never_collected():
    async def scenario(cluster):
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "nobody"}
        cluster.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "ownerReferences": [reference]}})
        await started(cluster)
        assert names(cluster, NODES) == ["n"]
        assert len(cluster.messages("OwnerRefInvalidNamespace")) == 1

    run(scenario)


def test_cluster_scoped_owner_of_a_namespaced_object():
    async def scenario(cluster):
        node = cluster.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        cluster.client.put(config_map("a", owned_by(node)))
        await started(cluster)
        assert names(cluster) == ["a"]
        cluster.client.remove(NODES, "n")
        await asyncio.sleep(1)
        assert names(cluster) == []

    run(scenario)


def test_unknown_kinds_of_owners_are_left_alone():
    async def scenario(cluster):
        cluster.client.put(config_map("a", {"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "t"}))
        await started(cluster)
        assert names(cluster) == ["a"]

    run(scenario)


@pytest.mark.slow
def test_a_thousand_dependents_cost_one_request_each():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        for number in range(1000):
            value = pod(f"p{number}", ownerReferences=[owned_by(owner)])
            cluster.client.put(value)
        collector = await started(cluster)
        assert len(collector.graph) == 1000
        cluster.client.calls.clear()
        cluster.client.remove(REPLICA_SETS, "web", "default")
        await asyncio.sleep(1)
        assert names(cluster, PODS) == []
        assert cluster.client.calls["delete", "pods"] == 1000
        assert cluster.client.calls["get", "replicasets"] <= 20

    run(scenario)


@pytest.mark.slow
def test_a_thousand_blocking_dependents_are_not_gone_through_again_and_again():
    async def scenario(cluster):
        owner = cluster.client.put(replica_set())
        for number in range(1000):
            cluster.client.put(pod(f"p{number}", ownerReferences=[owned_by(owner, blockOwnerDeletion=True)]))
        collector = await started(cluster)
        added = Counter()
        add = collector._queue.add
        collector._queue.add = lambda key: (added.update([key]), add(key))
        cluster.client.calls.clear()
        cluster.client.put(deleting(owner, "foregroundDeletion"))
        await asyncio.sleep(2)
        assert names(cluster, PODS) == names(cluster, REPLICA_SETS) == []
        assert cluster.client.calls["delete", "pods"] == 1000
        assert added.total() < 4000

    run(scenario)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=3), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["", "foregroundDeletion", "orphan"])), max_size=6),
)
def test_what_is_left_has_an_owner_left_or_never_had_one(owners_of_each, deletions):
    """Any graph of owners, any deletions, one after another: compared with a model."""

    async def scenario(cluster):
        await started(cluster)
        model = {}
        for number, picks in enumerate(owners_of_each):
            owners = {pick % number: blocks for pick, blocks in picks} if number else {}
            references = [owned_by(cluster.get(CONFIG_MAPS, f"c{o:02}"), blockOwnerDeletion=blocks) for o, blocks in owners.items()]
            cluster.client.put(config_map(f"c{number:02}", *references))
            model[number] = set(owners)
        await asyncio.sleep(0.5)
        for number, finalizer in deletions:
            if number not in model:
                continue
            if finalizer:
                cluster.client.put(deleting(cluster.get(CONFIG_MAPS, f"c{number:02}"), finalizer))
            else:
                cluster.client.remove(CONFIG_MAPS, f"c{number:02}", "default")
            delete(model, number, orphan=finalizer == "orphan")
            await asyncio.sleep(30)
            assert names(cluster) == [f"c{number:02}" for number in sorted(model)]

    run(scenario)


def delete(model, number, orphan=False):
    """The model: object -> its owners."""
    del model[number]
    for other in sorted(model):
        if other in model and number in model[other]:
            model[other].discard(number)
            if not orphan and not model[other]:
                delete(model, other)


@pytest.mark.parametrize(
    ("states", "waits_below", "has_dependents", "plan"),
    [
        (["solid", "solid"], False, False, Plan()),
        (["solid", "absent"], False, False, Plan(drop=("u1",))),
        (["solid", "waiting"], False, True, Plan(drop=("u1",))),
        (["absent", "absent"], False, True, Plan(delete="Background")),
        (["absent", "waiting"], False, False, Plan(delete="Background")),
        (["absent", "waiting"], False, True, Plan(delete="Foreground")),
        (["waiting", "waiting"], True, True, Plan(delete="Foreground", unblock=True)),
    ],
)
def test_plans(states, waits_below, has_dependents, plan):
    value = config_map("a", *({"apiVersion": "v1", "kind": "Node", "name": f"n{i}", "uid": f"u{i}"} for i in range(2)))
    by_uid = {f"u{i}": state for i, state in enumerate(states)}
    assert plan_dependent(value, lambda owner: by_uid[owner.uid], lambda: waits_below, lambda: has_dependents) == plan


def test_graph_shares_and_forgets():
    graph = OwnershipGraph()
    reference = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n", "blockOwnerDeletion": True}
    value = config_map("a", reference, uid="a")
    assert graph.set(0, value) == ()
    assert graph.is_blocked("n")
    released = graph.set(0, config_map("a", {**reference, "blockOwnerDeletion": False}, uid="a"))
    assert [owner.uid for owner in released] == ["n"]
    assert not graph.is_blocked("n")
    assert [d.uid for d in graph.dependents("n")] == ["a"]
    assert graph.remove("a") == tuple(owners_of(config_map("a", {**reference, "blockOwnerDeletion": False})))
    assert len(graph) == 0 and not graph._owners and not graph._dependents


def test_collectable_resources_are_followed_once():
    found = collectable(builtin())
    plurals = [(r.group, r.plural) for r in found]
    assert len(plurals) == len(set(plurals))
    assert ("apps", "deployments") in plurals and ("", "events") not in plurals and ("", "bindings") not in plurals
