"""What a node grants of resized pods, and what it remembers of it."""

import asyncio
from typing import Any

import pytest

from podium.node.resize import grant, granted_before, in_spec, needs_restart
from podium.node.runtime.interface import Resources, RuntimeFailure
from podium.node.runtime.simulated import RUN_DURATION, SimulatedRuntime
from podium.objects.resources import resource
from podium.objects.values import Object, copy
from tests.node.scene import Scene, container, play, pod


def asks(cpu: str = "", memory: str = "", /, **limits: str) -> Object:
    requests = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    return {"requests": requests, **({"limits": limits} if limits else {})}


EVENTS = resource("events")
ROOM = {"cpu": "4", "memory": "8Gi"}
NEVER, LATER = "Infeasible", "Deferred"
GRANTS: list[tuple[str, Object, Object, list[Object], str]] = [
    ("as before", asks("1"), asks("1"), [asks("4")], ""),
    ("the same in other words", asks("1", "1Gi"), asks("1000m", "1024Mi"), [asks("4")], ""),
    ("it fits", asks("1"), asks("2"), [asks("2")], ""),
    ("not beside the others", asks("1"), asks("2"), [asks("2"), asks("100m")], LATER),
    ("never", asks("1"), asks("5"), [], NEVER),
    ("less is always granted", asks("3"), asks("2"), [asks("3")], ""),
    ("less of one and more of another", asks("1", "1Gi"), asks("500m", "7Gi"), [asks("0", "2Gi")], LATER),
    ("only limits", asks("1", cpu="1"), asks("1", cpu="9"), [asks("4")], ""),
]


@pytest.mark.parametrize(("before", "wanted", "others", "reason"), [g[1:] for g in GRANTS], ids=[g[0] for g in GRANTS])
def test_what_is_granted(before: Object, wanted: Object, others: list[Object], reason: str) -> None:
    value = pod(containers=[container(resources=wanted)])
    rest = [(other := pod(f"o{i}", containers=[container(resources=r)]), in_spec(other)) for i, r in enumerate(others)]
    answer = grant(value, {"app": before}, rest, ROOM)
    assert answer.reason == reason
    assert answer.granted == {"app": wanted if not reason else before}


def test_overhead_and_sidecars_count() -> None:
    sidecar = container("side", restartPolicy="Always", resources=asks("1"))
    value = pod(containers=[container(resources=asks("2"))], initContainers=[sidecar], overhead={"cpu": "1"})
    assert grant(value, {"app": asks("1"), "side": asks("1")}, [], ROOM).reason == ""
    assert grant(value, {"app": asks("1"), "side": asks("1")}, [], {"cpu": "3"}).message == (
        "Node didn't have enough capacity: cpu, requested: 4000, capacity: 3000"
    )


def test_without_numbers_there_is_no_bound() -> None:
    assert grant(pod(containers=[container(resources=asks("5000"))]), {"app": asks("1")}, [], {}).reason == ""


RESTARTS = [
    ([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}], asks("2"), True),
    ([{"resourceName": "memory", "restartPolicy": "RestartContainer"}], asks("2"), False),
    ([{"resourceName": "cpu", "restartPolicy": "NotRequired"}], asks("2"), False),
    ([{"resourceName": "memory", "restartPolicy": "RestartContainer"}], asks("1", "1Gi"), True),
    ([], asks("2", "1Gi"), False),
]


@pytest.mark.parametrize(("policy", "after", "expected"), RESTARTS)
def test_restarts_by_policy(policy: list[Object], after: Object, expected: bool) -> None:
    assert needs_restart(container(resizePolicy=policy), asks("1"), after) is expected


def test_what_was_granted_is_read_from_the_status() -> None:
    value = pod(containers=[container(resources=asks("3", cpu="4")), container("other", resources=asks("1"))])
    entry = {"name": "app", "allocatedResources": {"cpu": "2"}, "resources": asks("2", cpu="3")}
    value["status"]["containerStatuses"] = [entry]
    assert granted_before(value) == {"app": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}}, "other": asks("1")}


class Recording(SimulatedRuntime):
    """Notes what it was asked to bring into force; fails while `broken`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.updates: list[Resources] = []
        self.broken = False

    async def update_container(self, container_id: str, resources: Resources) -> None:
        await super().update_container(container_id, resources)
        if self.broken:
            raise RuntimeFailure("device or resource busy")
        self.updates.append(resources)


def recording(world: Any) -> Recording:
    return Recording(world, "n1", "10.0.1.0/24")


def ask(scene: Scene, resources: Object, name: str = "web") -> None:
    """A write through the resize subresource."""
    value = copy(scene.get(name))
    value["spec"]["containers"][0]["resources"] = resources
    value["metadata"]["generation"] = value["metadata"].get("generation", 1) + 1
    scene.client.put(value)


def types(scene: Scene) -> set[str]:
    return {c["type"] for c in scene.status()["conditions"] if c["type"].startswith("PodResize")}


def test_a_resize_reaches_the_runtime_and_the_events() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(containers=[container(resources=asks("1", "1Gi"))]))
        await asyncio.sleep(5)
        ask(scene, asks("2", "2Gi", memory="3Gi"))
        await asyncio.sleep(1)
        assert scene.runtime.updates == [Resources(2000, 0, 2 << 30, 3 << 30)]
        entry = scene.status()["containerStatuses"][0]
        assert entry["allocatedResources"] == {"cpu": "2", "memory": "2Gi"} and entry["resources"] == asks("2", "2Gi", memory="3Gi")
        assert entry["restartCount"] == 0 and not types(scene)
        await asyncio.sleep(5)
        assert [r for r in scene.reasons() if r.startswith("Resize")] == ["ResizeStarted", "ResizeCompleted"]

    play(main, runtime=recording)


def test_a_resize_that_fails_says_so_and_is_tried_again() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(containers=[container(resources=asks("1"))]))
        await asyncio.sleep(5)
        scene.runtime.broken = True
        ask(scene, asks("2"))
        await asyncio.sleep(5)
        [found] = [c for c in scene.status()["conditions"] if c["type"] == "PodResizeInProgress"]
        assert (found["status"], found["reason"]) == ("True", "Error") and "device or resource busy" in found["message"]
        entry = scene.status()["containerStatuses"][0]
        assert entry["allocatedResources"] == {"cpu": "2"} and entry["resources"] == asks("1")
        scene.runtime.broken = False
        await asyncio.sleep(15)
        assert not types(scene) and scene.status()["containerStatuses"][0]["resources"] == asks("2")
        assert "ResizeError" in scene.reasons()

    play(main, runtime=recording)


def test_a_restarted_agent_goes_on_with_a_resize() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(containers=[container(resources=asks("1"))]))
        await asyncio.sleep(5)
        scene.runtime.broken = True
        ask(scene, asks("2"))
        await asyncio.sleep(2)
        scene.runtime.broken = False
        await scene.restart()
        await asyncio.sleep(5)
        assert scene.runtime.updates == [Resources(2000, 0, 0, 0)]
        assert not types(scene) and scene.status()["containerStatuses"][0]["resources"] == asks("2")

    play(main, runtime=recording)


def test_ephemeral_containers_outlive_the_agent_and_are_not_run_again() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(annotations={RUN_DURATION: "20s"}))
        await asyncio.sleep(5)
        value = copy(scene.get())
        value["spec"]["ephemeralContainers"] = [container("debugger")]
        scene.client.put(value)
        await asyncio.sleep(5)
        assert "running" in scene.status()["ephemeralContainerStatuses"][0]["state"]
        await scene.restart()
        await asyncio.sleep(25)
        [entry] = scene.status()["ephemeralContainerStatuses"]
        assert entry["state"]["terminated"]["reason"] == "Completed" and entry["restartCount"] == 0
        await scene.runtime.remove_container(entry["containerID"].removeprefix("simulated://"))
        await scene.restart()
        await asyncio.sleep(5)
        [entry] = scene.status()["ephemeralContainerStatuses"]
        assert entry["state"]["terminated"]["reason"] == "Completed"
        [event] = [
            e for e in scene.client.all(EVENTS) if e["reason"] == "Started" and "debugger" in e["involvedObject"].get("fieldPath", "")
        ]
        assert event["involvedObject"]["fieldPath"] == "spec.ephemeralContainers{debugger}" and event["count"] == 1

    play(main)
