import asyncio
from itertools import pairwise

from podium.client.interface import DeleteOptions
from podium.node.runtime.simulated import EXIT_CODE, RUN_DURATION, STOP_DELAY
from tests.node.scene import HOST_IP, PODS, Scene, container, play, pod


def conditions(status: dict) -> dict[str, str]:
    return {c["type"]: c["status"] for c in status["conditions"]}


def test_a_pod_runs_with_one_status_write() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod())
        await asyncio.sleep(5)
        status = scene.status()
        assert status["phase"] == "Running"
        assert status["podIP"] == "10.0.1.2" and status["podIPs"] == [{"ip": "10.0.1.2"}]
        assert status["hostIP"] == HOST_IP
        assert status["qosClass"] == "BestEffort"
        assert set(conditions(status).values()) == {"True"}
        entry = status["containerStatuses"][0]
        assert entry["ready"] and entry["started"] and entry["restartCount"] == 0
        assert "running" in entry["state"] and entry["containerID"].startswith("simulated://")
        assert scene.writer.patches == 1
        assert scene.reasons() == ["Pulled", "Created", "Started"]

    play(main)


def test_a_finished_job_pod_succeeds_and_stays() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(restartPolicy="Never", annotations={RUN_DURATION: "30s"}))
        await asyncio.sleep(20)
        assert scene.status()["phase"] == "Running"
        await asyncio.sleep(20)
        status = scene.status()
        assert status["phase"] == "Succeeded"
        assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        assert conditions(status)["Ready"] == "False"
        await scene.restart()
        await asyncio.sleep(20)
        assert scene.status() == status
        assert [c.name for c in scene.workers.find("default", "web").view.containers] == ["app"]

    play(main)


def test_a_crashing_container_backs_off_by_10_20_40_seconds() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(annotations={RUN_DURATION: "1s", EXIT_CODE: "3"}))
        starts: list[float] = []
        seen = -1
        for _ in range(1200):
            await asyncio.sleep(0.1)
            entry = (scene.status().get("containerStatuses") or [{}])[0]
            if "running" in entry.get("state", {}) and entry["restartCount"] > seen:
                seen = entry["restartCount"]
                starts.append(scene.world.clock.monotonic())
        gaps = [round(b - a) for a, b in pairwise(starts)]
        assert gaps[:4] == [1, 11, 21, 41], gaps
        entry = scene.status()["containerStatuses"][0]
        assert entry["lastState"]["terminated"]["exitCode"] == 3
        assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        uid = scene.get()["metadata"]["uid"]
        assert entry["state"]["waiting"]["message"] == f"back-off 1m20s restarting failed container=app pod=web_default({uid})"
        assert scene.messages("BackOff") == [f"Back-off restarting failed container app in pod web_default({uid})"]

    play(main)


def test_init_containers_run_in_order_before_the_rest() -> None:
    async def main(scene: Scene) -> None:
        inits = [container("first"), container("second")]
        scene.create(pod(initContainers=inits, annotations={RUN_DURATION: "10s"}, restartPolicy="OnFailure"))
        await asyncio.sleep(5)
        status = scene.status()
        assert status["phase"] == "Pending"
        assert "running" in status["initContainerStatuses"][0]["state"]
        assert status["initContainerStatuses"][1]["state"]["waiting"]["reason"] == "PodInitializing"
        reasons = {c["type"]: c.get("message") for c in status["conditions"]}
        assert reasons["Initialized"] == "containers with incomplete status: [first second]"
        await asyncio.sleep(12)
        assert [("running" in e["state"], e["ready"]) for e in scene.status()["initContainerStatuses"]] == [(False, True), (True, False)]
        await asyncio.sleep(12)
        assert scene.status()["phase"] == "Running"
        await asyncio.sleep(12)
        assert scene.status()["phase"] == "Succeeded"

    play(main)


def test_a_sidecar_starts_first_and_ends_last() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(initContainers=[container("proxy", restartPolicy="Always")]))
        await asyncio.sleep(8)
        status = scene.status()
        assert status["phase"] == "Running"
        assert status["initContainerStatuses"][0]["ready"] and status["initContainerStatuses"][0]["started"]
        await scene.client.delete(PODS, "web", "default")
        await asyncio.sleep(5)
        assert scene.get() is None
        last = scene.history["web"][-1]["status"]
        ended = {e["name"]: e["state"]["terminated"] for e in last["initContainerStatuses"] + last["containerStatuses"]}
        assert ended["proxy"]["finishedAt"] >= ended["app"]["finishedAt"]

    play(main)


def test_deleting_stops_within_the_grace_period_and_removes_everything() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(terminationGracePeriodSeconds=7, annotations={STOP_DELAY: "60s"}))
        await asyncio.sleep(5)
        await scene.client.delete(PODS, "web", "default")
        await asyncio.sleep(6)
        assert scene.status()["phase"] == "Running"
        await asyncio.sleep(2)
        assert scene.get() is None
        assert scene.history["web"][-1]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
        assert await scene.runtime.list_containers() == [] and await scene.runtime.list_sandboxes() == []
        assert "Killing" in scene.reasons() and scene.messages("Killing") == ["Stopping container app"]

    play(main)


def test_a_shorter_grace_asked_later_is_obeyed() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(terminationGracePeriodSeconds=300, annotations={STOP_DELAY: "1000s"}))
        await asyncio.sleep(5)
        await scene.client.delete(PODS, "web", "default")
        await asyncio.sleep(5)
        value = scene.get()
        scene.client.put({**value, "metadata": {**value["metadata"], "deletionGracePeriodSeconds": 2}})
        await asyncio.sleep(4)
        assert scene.get() is None

    play(main)


def test_a_pod_deleted_by_force_is_killed_as_an_orphan() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod())
        await asyncio.sleep(5)
        await scene.client.delete(PODS, "web", "default", DeleteOptions(grace_period_s=0))
        await asyncio.sleep(5)
        assert await scene.runtime.list_containers() == [] and await scene.runtime.list_sandboxes() == []
        assert scene.workers.all() == []

    play(main)


def test_a_restarted_agent_adopts_what_runs_without_touching_it() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(annotations={RUN_DURATION: "20s"}))
        await asyncio.sleep(60)
        before = scene.status()
        assert before["containerStatuses"][0]["restartCount"] >= 1
        await scene.restart()
        await asyncio.sleep(1)
        assert scene.status()["containerStatuses"][0]["restartCount"] == before["containerStatuses"][0]["restartCount"]
        assert scene.writer.patches <= 1

    play(main)


def test_pods_that_vanished_while_the_agent_was_away_are_stopped() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod())
        await asyncio.sleep(5)
        await scene.supervisor.stop()
        scene.client.remove(PODS, "web", "default")
        await scene.restart()
        await asyncio.sleep(5)
        assert await scene.runtime.list_containers() == [] and await scene.runtime.list_sandboxes() == []

    play(main)


def test_a_dead_sandbox_is_replaced_and_counts_go_on() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod())
        await asyncio.sleep(5)
        (sandbox,) = await scene.runtime.list_sandboxes()
        await scene.runtime.stop_sandbox(sandbox.id)
        await asyncio.sleep(5)
        status = scene.status()
        assert status["phase"] == "Running" and status["containerStatuses"][0]["restartCount"] == 1
        assert "running" in status["containerStatuses"][0]["state"]
        assert "SandboxChanged" in scene.reasons()

    play(main)


def test_the_active_deadline_fails_the_pod() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(activeDeadlineSeconds=30))
        await asyncio.sleep(20)
        assert scene.status()["phase"] == "Running"
        await asyncio.sleep(20)
        status = scene.status()
        assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
        assert await scene.runtime.list_sandboxes() == [] or not (await scene.runtime.list_sandboxes())[0].ready

    play(main)


def test_a_failing_liveness_probe_restarts_the_container() -> None:
    async def main(scene: Scene) -> None:
        probe = {"httpGet": {"port": 80}, "periodSeconds": 5, "failureThreshold": 2}
        scene.create(pod(containers=[container(livenessProbe=probe)], annotations={"podium.dev/simulated-unhealthy-after": "30s"}))
        await asyncio.sleep(25)
        assert scene.status()["containerStatuses"][0]["restartCount"] == 0
        await asyncio.sleep(20)
        assert scene.status()["containerStatuses"][0]["restartCount"] >= 1
        assert scene.messages("Killing")[0] == "Container app failed liveness probe, will be restarted"
        assert scene.messages("Unhealthy")[0].startswith("Liveness probe failed: ")

    play(main)


def test_readiness_follows_its_probe() -> None:
    async def main(scene: Scene) -> None:
        probe = {"tcpSocket": {"port": 80}, "periodSeconds": 1}
        scene.create(pod(containers=[container(readinessProbe=probe)], annotations={"podium.dev/simulated-ready-after": "10s"}))
        await asyncio.sleep(6)
        status = scene.status()
        assert status["phase"] == "Running" and not status["containerStatuses"][0]["ready"]
        message = next(c["message"] for c in status["conditions"] if c["type"] == "Ready")
        assert message == "containers with unready status: [app]"
        await asyncio.sleep(6)
        assert scene.status()["containerStatuses"][0]["ready"]

    play(main)


def test_a_ready_pod_that_was_said_not_to_be_says_so_again() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod())
        await asyncio.sleep(5)
        assert conditions(scene.status())["Ready"] == "True"
        value = scene.get()
        taken = [{**c, "status": "False"} if c["type"] == "Ready" else c for c in value["status"]["conditions"]]
        scene.client.put({**value, "status": {**value["status"], "conditions": taken}})
        assert conditions(scene.status())["Ready"] == "False"
        await asyncio.sleep(1)
        assert conditions(scene.status())["Ready"] == "True"

    play(main)


def test_a_readiness_gate_waits_for_its_condition() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod(readinessGates=[{"conditionType": "example.com/green"}]))
        await asyncio.sleep(5)
        assert conditions(scene.status())["Ready"] == "False" and conditions(scene.status())["ContainersReady"] == "True"
        value = scene.get()
        green = {"type": "example.com/green", "status": "True"}
        scene.client.put({**value, "status": {**value["status"], "conditions": [*value["status"]["conditions"], green]}})
        await asyncio.sleep(1)
        assert conditions(scene.status())["Ready"] == "True" and conditions(scene.status())["example.com/green"] == "True"

    play(main)
