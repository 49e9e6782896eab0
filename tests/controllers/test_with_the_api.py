"""Scheduler, garbage collector and node lifecycle as clients of the real API server, in one virtual loop."""

import asyncio

import pytest

from podium.client.events import EventRecorder
from podium.client.interface import DeleteOptions
from podium.client.mirrors import Mirrors
from podium.control_plane import build
from podium.controllers.garbage_collection import GarbageCollector
from podium.controllers.node_lifecycle import NodeLifecycleController
from podium.controllers.pod_garbage_collection import PodGarbageCollector
from podium.controllers.service_accounts import ServiceAccountController
from podium.objects.resources import resource
from podium.scheduler.scheduler import Scheduler
from podium.store.memory import MemoryStore
from podium.world import virtual

PODS, NODES, EVENTS = resource("pods"), resource("nodes"), resource("events")
CONFIG_MAPS, REPLICA_SETS = resource("configmaps"), resource("replicasets", "apps")
CONTROLLERS = (ServiceAccountController, GarbageCollector, NodeLifecycleController, PodGarbageCollector, Scheduler)


def run(scenario):
    async def main(world):
        plane = await build(MemoryStore(), world, service_cidr="10.96.0.0/16", signing_key=b"k" * 32)
        client = plane.client()
        mirrors = Mirrors(client, world, plane.controllers)
        events = EventRecorder(client, world, "tester")
        plane.controllers.start("events", events.run())
        for controller in CONTROLLERS:
            plane.controllers.start(controller.__name__, controller(client, mirrors, events, world).run())
        await asyncio.sleep(1)
        try:
            await scenario(client, world)
        finally:
            await plane.stop()

    virtual.run(main)


async def names(client, kind):
    return [value["metadata"]["name"] for value in (await client.list(kind, "default" if kind.namespaced else None)).items]


async def make_node(client, world, name, cpu="4"):
    await client.create(NODES, {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}})
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    await client.patch(NODES, name, {"status": {"allocatable": allocatable, "capacity": allocatable}}, subresource="status")
    await report(client, world, name)


async def report(client, world, name):
    now = world.clock.timestamp()
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now}
    await client.patch(NODES, name, {"status": {"conditions": [condition]}}, type="strategic", subresource="status")


async def keep_alive(client, world, *names):
    while True:
        for name in names:
            await report(client, world, name)
        await asyncio.sleep(10)


def pod(name, cpu="100m", owner=None):
    references = [owner] if owner else []
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": name, "namespace": "default", "ownerReferences": references}, "spec": {"containers": [container]}}


async def make_owner(client, name="owner", *owners):
    value = {"metadata": {"name": name, "namespace": "default", "ownerReferences": list(owners)}}
    made = await client.create(CONFIG_MAPS, value)
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made["metadata"]["uid"], "blockOwnerDeletion": True}


@pytest.mark.parametrize(
    ("propagation", "left"),
    [("Background", ["kube-root"]), ("", ["kube-root"]), ("Foreground", ["kube-root"]), ("Orphan", ["dependent", "kube-root", "leaf"])],
)
def test_deletion_with_each_propagation(propagation, left):
    async def scenario(client, world):
        await make_owner(client, "kube-root")
        owner = await make_owner(client)
        dependent = await make_owner(client, "dependent", owner)
        await make_owner(client, "leaf", dependent)
        await asyncio.sleep(2)
        await client.delete(CONFIG_MAPS, "owner", "default", DeleteOptions(propagation=propagation))
        await asyncio.sleep(2)
        assert await names(client, CONFIG_MAPS) == left

    run(scenario)


def test_foreground_deletion_waits_for_pods_to_end():
    async def scenario(client, world):
        await make_node(client, world, "n1")
        owner = await make_owner(client)
        await client.create(PODS, pod("p", owner=owner))
        await asyncio.sleep(2)
        await client.delete(CONFIG_MAPS, "owner", "default", DeleteOptions(propagation="Foreground"))
        await asyncio.sleep(2)
        assert await names(client, CONFIG_MAPS) == ["owner"]
        assert "deletionTimestamp" in (await client.get(PODS, "p", "default"))["metadata"]
        await client.delete(PODS, "p", "default", DeleteOptions(grace_period_s=0))
        await asyncio.sleep(2)
        assert await names(client, CONFIG_MAPS) == await names(client, PODS) == []

    run(scenario)


def test_pods_are_scheduled_or_say_why_not():
    async def scenario(client, world):
        await make_node(client, world, "n1")
        await make_node(client, world, "n2", "8")
        await client.create(PODS, pod("big", "6"))
        await client.create(PODS, pod("huge", "9"))
        await asyncio.sleep(2)
        assert (await client.get(PODS, "big", "default"))["spec"]["nodeName"] == "n2"
        huge = await client.get(PODS, "huge", "default")
        (condition,) = [c for c in huge["status"]["conditions"] if c["type"] == "PodScheduled"]
        assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
        assert condition["message"].startswith("0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2")
        await make_node(client, world, "n3", "16")
        await asyncio.sleep(15)
        assert (await client.get(PODS, "huge", "default"))["spec"]["nodeName"] == "n3"
        reasons = [event["reason"] for event in (await client.list(EVENTS)).items]
        assert reasons.count("Scheduled") == 2 and "FailedScheduling" in reasons

    run(scenario)


def test_pods_leave_a_silent_node_after_five_minutes_and_the_node_recovers():
    async def scenario(client, world):
        await make_node(client, world, "n1")
        await client.create(PODS, pod("p"))
        await asyncio.sleep(2)
        await make_node(client, world, "n2")
        alive = asyncio.get_running_loop().create_task(keep_alive(client, world, "n2"))
        await asyncio.sleep(60)
        taints = (await client.get(NODES, "n1"))["spec"]["taints"]
        assert [(t["key"], t["effect"]) for t in taints] == [
            ("node.kubernetes.io/unreachable", "NoSchedule"),
            ("node.kubernetes.io/unreachable", "NoExecute"),
        ]
        await asyncio.sleep(270)
        assert "deletionTimestamp" not in (await client.get(PODS, "p", "default"))["metadata"]
        await asyncio.sleep(30)
        leaving = await client.get(PODS, "p", "default")
        assert "deletionTimestamp" in leaving["metadata"]
        assert "DeletionByTaintManager" in [c.get("reason") for c in leaving["status"]["conditions"]]
        await report(client, world, "n1")
        await asyncio.sleep(2)
        assert "taints" not in (await client.get(NODES, "n1"))["spec"]
        await client.delete(NODES, "n1")
        await asyncio.sleep(90)
        assert await names(client, PODS) == []
        alive.cancel()

    run(scenario)
