import asyncio

from podium.controllers.pod_garbage_collection import PodGarbageCollector
from podium.objects.resources import resource
from tests.controllers.cluster import PODS, pod, run

NODES = resource("nodes")


def names(cluster):
    return [p["metadata"]["name"] for p in cluster.client.all(PODS)]


def put(cluster, name, node="", phase="Running", **metadata):
    value = pod(name, **metadata)
    value["spec"] |= {"nodeName": node} if node else {}
    value["status"] = {"phase": phase}
    cluster.client.put(value)


def test_pods_of_vanished_nodes_go_after_quarantine():
    async def scenario(cluster):
        cluster.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        put(cluster, "kept", "n1")
        put(cluster, "lost", "gone")
        cluster.start(PodGarbageCollector)
        await asyncio.sleep(59)
        assert names(cluster) == ["kept", "lost"]
        await asyncio.sleep(10)
        assert names(cluster) == ["kept"]
        (failed,) = [value for verb, _, value in cluster.client.log if verb == "update/status"]
        assert failed["status"]["phase"] == "Failed"
        assert failed["status"]["conditions"][0]["message"] == "PodGC: node no longer exists"

    run(scenario)


def test_node_that_only_the_mirror_misses_keeps_its_pods():
    async def scenario(cluster):
        cluster.start(PodGarbageCollector)
        await asyncio.sleep(1)
        deliver = cluster.client._deliver
        cluster.client._deliver = lambda key, *event: deliver(key, *event) if "/pods/" in key else None
        cluster.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        put(cluster, "p", "n1")
        await asyncio.sleep(200)
        assert names(cluster) == ["p"]

    run(scenario)


def test_deleted_before_it_was_scheduled():
    async def scenario(cluster):
        put(cluster, "p", phase="Pending", deletionTimestamp="2026-01-01T00:00:00Z")
        cluster.start(PodGarbageCollector)
        await asyncio.sleep(25)
        assert names(cluster) == []

    run(scenario)


def test_finished_pods_beyond_the_threshold_go_oldest_first():
    async def scenario(cluster):
        for number in range(5):
            put(cluster, f"p{number}", "", "Succeeded", creationTimestamp=f"2026-01-01T00:00:0{9 - number}Z")
        put(cluster, "running", "")
        cluster.start(PodGarbageCollector, 2)
        await asyncio.sleep(25)
        assert names(cluster) == ["p0", "p1", "running"]

    run(scenario)
