import pytest

from podium.node.pod_memory import Health, PodMemory
from podium.node.pod_status import NodeFacts, Sighting, pod_status
from podium.node.slim_pods import SlimPods
from podium.objects.values import copy
from podium.world import virtual
from podium.world.interface import World
from tests.fakes.fake_client import FakeClient
from tests.node.scene import PODS, container, pod
from tests.node.test_pod_plan import box, run, view

NODE = NodeFacts("192.168.0.5", "cri")


def full(name: str = "web") -> dict:
    app = container(env=[{"name": "A", "value": "1"}], volumeMounts=[{"name": "v", "mountPath": "/v"}], readinessProbe={"exec": {}})
    value = pod(name, containers=[app], volumes=[{"name": "v", "emptyDir": {}}], readinessGates=[{"conditionType": "x/y"}])
    value["metadata"] |= {"uid": "u", "labels": {"a": "b"}, "annotations": {"big": "x" * 1000, "podium.dev/simulated-run-duration": "1s"}}
    return value


def test_a_slim_pod_gives_the_same_status() -> None:
    sight = Sighting(view(box(), run("app")), PodMemory(health={"app0": Health()}))
    slim = SlimPods(FakeClient.__new__(FakeClient)).slim
    value = full()
    for _ in range(2):
        expected = pod_status(value, sight, NODE, "2026-01-01T00:00:00Z")
        assert pod_status(slim(value), sight, NODE, "2026-01-01T00:00:00Z") == expected
        value["status"] = expected


def test_what_pods_have_in_common_is_one_object() -> None:
    slim = SlimPods(FakeClient.__new__(FakeClient)).slim
    slim(full("none"))  # what comes once is not remembered
    one, two = slim(full("one")), slim(copy(full("two")))
    assert one["spec"] is two["spec"]
    assert "volumes" not in one["spec"] and "labels" not in one["metadata"]
    assert list(one["metadata"]["annotations"]) == ["podium.dev/simulated-run-duration"]
    assert one["spec"]["containers"][0].keys() == {"name", "image", "imagePullPolicy", "readinessProbe"}


def test_a_version_that_comes_twice_is_one_object() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        client.put(full())
        pods = SlimPods(client)
        first = await pods.get(PODS, "web", "default")
        assert (await pods.get(PODS, "web", "default")) is first
        client.put(full())
        assert (await pods.get(PODS, "web", "default")) is not first

    virtual.run(main)


def test_a_slim_pod_is_never_written_back() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        client.put(full())
        pods = SlimPods(client)
        page = await pods.list(PODS)
        with pytest.raises(AssertionError):
            await pods.update(PODS, page.items[0])

    virtual.run(main)
