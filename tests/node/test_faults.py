"""A pod's whole life with one fault somewhere in it: it must come up, and go without a trace, whatever failed and when."""

import asyncio

import pytest

from podium.node.runtime.simulated import EXIT_CODE, RUN_DURATION
from podium.objects.values import copy
from tests.node.flaky_runtime import FlakyRuntime
from tests.node.scene import PODS, Scene, container, play, pod

CALLS_OF_A_LIFE = 24
MORE = {"requests": {"cpu": "2"}}


async def live(scene: Scene) -> None:
    """A sidecar, two containers, a resize, a debugger."""
    sized = container("app", resources={"requests": {"cpu": "1"}})
    scene.create(pod(containers=[sized, container("helper")], initContainers=[container("proxy", restartPolicy="Always")]))
    await asyncio.sleep(60)
    changed = copy(scene.get())
    changed["spec"]["containers"][0]["resources"] = MORE
    changed["spec"]["ephemeralContainers"] = [container("debugger")]
    scene.client.put(changed)
    await asyncio.sleep(30)
    status = scene.status()
    assert status["containerStatuses"][0]["resources"] == MORE, (status, scene.runtime.calls)
    assert "running" in status["ephemeralContainerStatuses"][0]["state"], (status, scene.runtime.calls)
    assert not [c for c in status["conditions"] if c["type"].startswith("PodResize")]
    assert status["phase"] == "Running", (status, scene.runtime.calls)
    assert all(e["ready"] for e in status["containerStatuses"] + status["initContainerStatuses"])


async def leave(scene: Scene) -> None:
    await scene.client.delete(PODS, "web", "default")
    await asyncio.sleep(90)
    assert scene.get() is None, scene.runtime.calls
    assert await scene.runtime.inner.list_containers() == []
    assert await scene.runtime.inner.list_sandboxes() == []


def test_a_life_has_that_many_calls() -> None:
    async def main(scene: Scene) -> None:
        await live(scene)
        await leave(scene)
        assert len(scene.runtime.calls) == CALLS_OF_A_LIFE, scene.runtime.calls

    play(main, runtime=FlakyRuntime)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(CALLS_OF_A_LIFE))
def test_any_call_of_the_runtime_may_fail_once(number: int, after: bool) -> None:
    async def main(scene: Scene) -> None:
        scene.runtime.fail_at(number, after)
        await live(scene)
        await leave(scene)

    play(main, runtime=FlakyRuntime)


@pytest.mark.parametrize("number", range(CALLS_OF_A_LIFE))
def test_the_agent_may_be_killed_in_any_call(number: int) -> None:
    async def main(scene: Scene) -> None:
        scene.runtime.hang_at = number

        async def killer() -> None:
            while len(scene.runtime.calls) <= number:
                await asyncio.sleep(0.05)
            await scene.restart()

        task = asyncio.get_running_loop().create_task(killer())
        await live(scene)
        await leave(scene)
        await task if task.done() else task.cancel()

    play(main, runtime=FlakyRuntime)


def test_a_runtime_that_is_away_for_a_while_only_delays() -> None:
    async def main(scene: Scene) -> None:
        def trip(n: int, name: str, after: bool) -> None:
            if 5 < scene.world.clock.monotonic() < 50:
                from podium.node.runtime.interface import RuntimeUnavailable

                raise RuntimeUnavailable("connection refused")

        scene.runtime.trip = trip
        await live(scene)
        await leave(scene)

    play(main, runtime=FlakyRuntime)


def test_an_image_that_cannot_be_had_backs_off_and_recovers() -> None:
    async def main(scene: Scene) -> None:
        scene.runtime.missing.add("app:1")
        scene.create(pod())
        await asyncio.sleep(0.5)
        assert scene.status()["containerStatuses"][0]["state"]["waiting"] == {"reason": "ErrImagePull", "message": "app:1: not found"}
        await asyncio.sleep(3)
        waiting = scene.status()["containerStatuses"][0]["state"]["waiting"]
        assert waiting == {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "app:1": app:1: not found'}
        assert scene.status()["phase"] == "Pending"
        assert scene.messages("Failed")[:2] == ['Failed to pull image "app:1": app:1: not found', "Error: ErrImagePull"]
        assert scene.messages("BackOff") == ['Back-off pulling image "app:1"']
        scene.runtime.missing.clear()
        await asyncio.sleep(30)
        assert scene.status()["phase"] == "Running"

    play(main, runtime=FlakyRuntime)


def test_a_corrected_image_is_tried_at_once() -> None:
    async def main(scene: Scene) -> None:
        scene.runtime.missing.add("app:1")
        scene.create(pod())
        await asyncio.sleep(100)
        value = scene.get()
        assert value is not None
        fixed = [{**value["spec"]["containers"][0], "image": "app:2"}]
        scene.client.put({**value, "spec": {**value["spec"], "containers": fixed}})
        await asyncio.sleep(3)
        assert scene.status()["phase"] == "Running" and scene.status()["containerStatuses"][0]["image"] == "app:2"

    play(main, runtime=FlakyRuntime)


def test_a_pod_with_an_unobtainable_image_can_be_deleted_at_once() -> None:
    async def main(scene: Scene) -> None:
        scene.runtime.hang_at = 1  # the pull never ends
        scene.create(pod())
        await asyncio.sleep(5)
        assert scene.runtime.calls == ["run_sandbox", "ensure_image"]
        await scene.client.delete(PODS, "web", "default")
        await asyncio.sleep(2)
        assert scene.get() is None

    play(main, runtime=FlakyRuntime)


def test_a_job_pod_that_fails_is_failed_for_good() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(restartPolicy="Never", annotations={RUN_DURATION: "3s", EXIT_CODE: "7"}))
        await asyncio.sleep(20)
        assert scene.status()["phase"] == "Failed"
        assert scene.status()["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
        await scene.restart()
        await asyncio.sleep(200)
        assert scene.status()["phase"] == "Failed"
        await leave(scene)

    play(main, runtime=FlakyRuntime)


def test_the_counts_survive_a_runtime_that_lost_everything() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(annotations={RUN_DURATION: "20s"}))
        await asyncio.sleep(70)
        before = scene.status()["containerStatuses"][0]["restartCount"]
        assert before >= 2
        await scene.supervisor.stop()
        scene.runtime = FlakyRuntime(scene.world)
        scene.start()
        await asyncio.sleep(5)
        entry = scene.status()["containerStatuses"][0]
        assert entry["restartCount"] == before + 1
        assert entry["lastState"]["terminated"]["exitCode"] in (0, 137)

    play(main, runtime=FlakyRuntime)
