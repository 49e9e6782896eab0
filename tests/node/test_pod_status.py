import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.node.observation import PodView
from podium.node.pod_memory import Health, PodMemory, Verdict, Waiting
from podium.node.pod_plan import Held
from podium.node.pod_status import NodeFacts, Sighting, duration, pod_status
from podium.node.runtime.interface import ContainerState
from podium.node.status_writer import status_changes
from podium.objects import patches
from tests.node.scene import container, pod
from tests.node.test_pod_plan import box, made, run, view

NODE = NodeFacts("192.168.0.5", "cri")
EXITED, RUNNING = ContainerState.EXITED, ContainerState.RUNNING
T = "2026-01-01T00:00:00Z"


def status(value, *items, over: bool = False, held: tuple[Held, ...] = (), **memory):
    return pod_status(value, Sighting(view(*items), PodMemory(**memory), held, over), NODE, T)


HEALTHY = {"health": {"app0": Health(), "a0": Health(), "b0": Health(), "side0": Health()}}
PHASES = [
    ("nothing yet", pod(), [], {}, "Pending"),
    ("only a sandbox", pod(), [box()], {}, "Pending"),
    ("running", pod(), [box(), run("app")], {}, "Running"),
    ("one of two running", pod(containers=[container("a"), container("b")]), [box(), run("a")], {}, "Pending"),
    ("one ended, one runs", pod(containers=[container("a"), container("b")]), [box(), run("a", 0, EXITED), run("b")], {}, "Running"),
    ("crashed, always restarted", pod(), [box(), run("app", 0, EXITED, 1)], {}, "Running"),
    ("Never, succeeded", pod(restartPolicy="Never"), [run("app", 0, EXITED)], {}, "Succeeded"),
    ("Never, failed", pod(restartPolicy="Never"), [run("app", 0, EXITED, 1)], {}, "Failed"),
    ("OnFailure, succeeded", pod(restartPolicy="OnFailure"), [run("app", 0, EXITED)], {}, "Succeeded"),
    ("OnFailure, failed", pod(restartPolicy="OnFailure"), [run("app", 0, EXITED, 1)], {}, "Running"),
    ("init running", pod(initContainers=[container("i")]), [box(), run("i")], {}, "Pending"),
    ("init failed for good", pod(restartPolicy="Never", initContainers=[container("i")]), [run("i", 0, EXITED, 1)], {}, "Failed"),
    ("init failed, to be tried again", pod(initContainers=[container("i")]), [box(), run("i", 0, EXITED, 1)], {}, "Pending"),
    ("Always, stopped for good with 0", pod(), [run("app", 0, EXITED)], {"over": True}, "Succeeded"),
    ("Always, stopped for good with 137", pod(), [run("app", 0, EXITED, 137)], {"over": True}, "Failed"),
    ("condemned", pod(), [box(), run("app")], {"verdict": Verdict("Evicted", "m")}, "Failed"),
]


@pytest.mark.parametrize(("value", "items", "more", "expected"), [c[1:] for c in PHASES], ids=[c[0] for c in PHASES])
def test_the_phase(value, items, more, expected: str) -> None:
    assert status(made(value), *items, **more)["phase"] == expected


def test_a_terminal_phase_stays_whatever_is_seen() -> None:
    done = made(pod())
    done["status"]["phase"] = "Succeeded"
    assert status(done, box(), run("app"))["phase"] == "Succeeded"
    assert status(done)["phase"] == "Succeeded"


def test_a_running_container() -> None:
    entry = status(made(pod()), box(), run("app", 2), health={"app2": Health()})["containerStatuses"][0]
    assert entry == {
        "name": "app",
        "image": "app:1",
        "imageID": "",
        "containerID": "cri://app2",
        "restartCount": 2,
        "ready": True,
        "started": True,
        "state": {"running": {"startedAt": "1970-01-01T00:00:00Z"}},
        "lastState": {},
    }


def test_a_crash_loop_shows_waiting_and_the_last_exit() -> None:
    value = made(pod())
    got = status(value, box(), run("app", 1, EXITED, 3), held=(Held("app", 40.0),))["containerStatuses"][0]
    assert got["state"]["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 40s restarting failed container=app pod=web_default(u)",
    }
    assert got["lastState"]["terminated"]["exitCode"] == 3 and got["lastState"]["terminated"]["reason"] == "Error"
    assert got["restartCount"] == 1


def test_a_config_error_is_the_waiting_reason() -> None:
    waiting = {"app": Waiting("CreateContainerConfigError", 'configmap "x" not found')}
    got = status(made(pod()), box(), waiting=waiting)
    assert got["containerStatuses"][0]["state"]["waiting"] == {
        "reason": "CreateContainerConfigError",
        "message": 'configmap "x" not found',
    }
    assert got["phase"] == "Pending"


def test_conditions_and_their_words() -> None:
    value = made(pod(containers=[container("a"), container("b")], initContainers=[container("i")]))
    rows = {c["type"]: (c["status"], c.get("reason"), c.get("message")) for c in status(value, box())["conditions"]}
    assert rows == {
        "PodReadyToStartContainers": ("True", None, None),
        "Initialized": ("False", "ContainersNotInitialized", "containers with incomplete status: [i]"),
        "Ready": ("False", "ContainersNotReady", "containers with unready status: [a b]"),
        "ContainersReady": ("False", "ContainersNotReady", "containers with unready status: [a b]"),
        "PodScheduled": ("True", None, None),
    }


def test_a_transition_time_moves_only_with_the_status() -> None:
    value = made(pod())
    value["status"] = status(value, box(), run("app"), **HEALTHY)
    later = pod_status(value, Sighting(view(box(), run("app")), PodMemory(**HEALTHY)), NODE, "2026-01-02T00:00:00Z")
    assert {c["lastTransitionTime"] for c in later["conditions"]} == {T}
    lost = pod_status(value, Sighting(view(box(), run("app")), PodMemory()), NODE, "2026-01-02T00:00:00Z")
    assert {c["type"]: c["lastTransitionTime"] for c in lost["conditions"]}["Ready"] == "2026-01-02T00:00:00Z"


def test_others_conditions_are_kept() -> None:
    value = made(pod())
    value["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
    assert value["status"]["conditions"][0] in status(value, box())["conditions"]


def test_a_lost_container_of_an_ended_pod_is_unknown_with_137() -> None:
    value = made(pod())
    value["status"] = {**status(value, box(), run("app"), **HEALTHY)}
    entry = status(value, over=True)["containerStatuses"][0]
    assert entry["state"]["terminated"]["exitCode"] == 137 and entry["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_the_pod_address_of_the_host_network_is_the_hosts() -> None:
    got = status(made(pod(hostNetwork=True)), box())
    assert got["podIP"] == "192.168.0.5"


@pytest.mark.parametrize(("value_s", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_durations_as_go_prints_them(value_s: float, text: str) -> None:
    assert duration(value_s) == text


# Whatever is observed, in whatever order

STATES = st.sampled_from([ContainerState.RUNNING, ContainerState.EXITED, ContainerState.CREATED, ContainerState.UNKNOWN])
SIGHTS = st.builds(
    lambda runs, ready, over, held: Sighting(
        PodView((box(0, ready),) if ready is not None else (), tuple(runs)), PodMemory(), (Held("app", 10.0),) if held else (), over
    ),
    st.lists(st.builds(run, st.sampled_from(["app", "i"]), st.integers(0, 5), STATES, st.sampled_from([0, 1])), max_size=4),
    st.sampled_from([None, True, False]),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(SIGHTS, min_size=1, max_size=8), st.sampled_from(["Always", "OnFailure", "Never"]))
def test_phases_end_and_counts_never_fall(sights: list[Sighting], policy: str) -> None:
    value = made(pod(restartPolicy=policy, initContainers=[container("i")]))
    phase, counts = "Pending", {"app": 0, "i": 0}
    for sight in sights:
        before = value["status"]
        value["status"] = pod_status(value, sight, NODE, T)
        assert phase not in ("Succeeded", "Failed") or value["status"]["phase"] == phase
        phase = value["status"]["phase"]
        for entry in value["status"]["containerStatuses"] + value["status"]["initContainerStatuses"]:
            assert entry["restartCount"] >= counts[entry["name"]]
            counts[entry["name"]] = entry["restartCount"]
            assert len(entry["state"]) == 1
        patched = patches.apply_strategic({"status": before}, {"status": status_changes(before, value["status"])}, "v1", "Pod")
        assert _sorted(patched["status"]) == _sorted(value["status"])


def _sorted(value):
    return {**value, "conditions": sorted(value["conditions"], key=lambda c: c["type"])}
