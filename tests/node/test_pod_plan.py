import pytest

from podium.node.observation import PodView
from podium.node.pod_memory import CrashBackoff, Doom, Health, PodMemory, Verdict, Waiting, next_crash_backoff
from podium.node.pod_plan import (
    Held,
    KillContainer,
    Now,
    RemoveContainer,
    RemoveSandbox,
    RunSandbox,
    StartContainer,
    StopSandbox,
    plan_pod,
)
from podium.node.runtime.interface import ContainerState, ContainerStatus, SandboxStatus
from tests.node.scene import container, pod

NOW = Now(1000.0, 50.0)


def box(attempt: int = 0, ready: bool = True) -> SandboxStatus:
    return SandboxStatus(f"s{attempt}", "default", "web", "u", attempt, ready, "10.0.0.2", attempt)


def run(
    name: str, attempt: int = 0, state: ContainerState = ContainerState.RUNNING, code: int = 0, sandbox: str = "s0", ago_s: float = 5.0
):
    finished = int((NOW.wall_s - ago_s) * 1e9) if state is ContainerState.EXITED else 0
    return ContainerStatus(f"{name}{attempt}", sandbox, "u", name, attempt, state, f"{name}:1", "", attempt, 1, finished, code)


def view(*items) -> PodView:
    boxes = sorted((i for i in items if isinstance(i, SandboxStatus)), key=lambda s: -s.attempt)
    runs = sorted((i for i in items if isinstance(i, ContainerStatus)), key=lambda c: -c.attempt)
    return PodView(tuple(boxes), tuple(runs))


def short(action) -> str:
    """An action in a few letters, for the tables."""
    match action:
        case RunSandbox():
            return f"sandbox {action.attempt}"
        case StopSandbox():
            return f"stop {action.sandbox_id}"
        case StartContainer():
            return f"start {action.name} {action.attempt}"
        case KillContainer():
            return f"kill {action.container.id} {action.grace_s:g}"
        case RemoveContainer():
            return f"remove {action.container_id}"
        case RemoveSandbox():
            return f"remove {action.sandbox_id}"


def made(value):
    value["metadata"]["uid"] = "u"
    return value


EXITED, CREATED, UNKNOWN = ContainerState.EXITED, ContainerState.CREATED, ContainerState.UNKNOWN
PLAIN = made(pod())
TWO = made(pod(containers=[container("a"), container("b")]))
INIT = made(pod(initContainers=[container("i"), container("j")]))
SIDE = made(pod(initContainers=[container("side", restartPolicy="Always"), container("i")]))
NEVER = made(pod(restartPolicy="Never"))
ON_FAILURE = made(pod(restartPolicy="OnFailure"))
NEVER_INIT = made(pod(restartPolicy="Never", initContainers=[container("i")]))
DELETED = made(pod(terminationGracePeriodSeconds=40))
DELETED["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 9}
SIDE_DELETED = made(pod(initContainers=[container("s1", restartPolicy="Always"), container("s2", restartPolicy="Always")]))
SIDE_DELETED["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z"}
LOST = made(pod())
LOST["status"]["containerStatuses"] = [{"name": "app", "restartCount": 4, "state": {"running": {}}}]

CASES = [
    ("a new pod gets its sandbox first", PLAIN, view(), ["sandbox 0"]),
    ("then all containers", TWO, view(box()), ["start a 0", "start b 0"]),
    ("what runs is left alone", PLAIN, view(box(), run("app")), []),
    ("a dead sandbox is replaced", PLAIN, view(box(ready=False), run("app", state=EXITED)), ["sandbox 1"]),
    ("what still runs in a dead sandbox is killed", PLAIN, view(box(ready=False), run("app")), ["kill app0 1", "sandbox 1"]),
    ("containers follow into the new sandbox", PLAIN, view(box(0, False), box(1), run("app", state=EXITED)), ["start app 1"]),
    ("an exited container is restarted", PLAIN, view(box(), run("app", 3, EXITED, 1)), ["start app 4"]),
    ("also after success", PLAIN, view(box(), run("app", 3, EXITED, 0)), ["start app 4"]),
    ("a created one is made anew in the same attempt", PLAIN, view(box(), run("app", 2, CREATED)), ["remove app2", "start app 2"]),
    ("an unknown one is killed first", PLAIN, view(box(), run("app", 0, UNKNOWN)), ["kill app0 2"]),
    ("attempts go on from the status when the runtime lost them", LOST, view(box()), ["start app 5"]),
    ("old dead containers are removed", PLAIN, view(box(), run("app", 3), run("app", 2, EXITED), run("app", 1, EXITED)), ["remove app1"]),
    ("and sandboxes that nothing is left of", PLAIN, view(box(0, False), box(1), run("app", 1, sandbox="s1")), ["remove s0"]),
    (
        "but not while an ended container is theirs",
        PLAIN,
        view(box(0, False), box(1), run("app", 1, sandbox="s1"), run("app", 0, EXITED)),
        [],
    ),
    ("init containers begin alone", INIT, view(box()), ["start i 0"]),
    ("one after the other", INIT, view(box(), run("i", 0, EXITED, 0)), ["start j 0"]),
    ("the next waits while one runs", INIT, view(box(), run("i")), []),
    ("a failed one is tried again", INIT, view(box(), run("i", 0, EXITED, 1)), ["start i 1"]),
    ("then the containers", INIT, view(box(), run("i", 0, EXITED), run("j", 0, EXITED)), ["start app 0"]),
    (
        "they run again in a new sandbox",
        INIT,
        view(box(0, False), box(1), run("i", 0, EXITED), run("j", 0, EXITED), run("app", 0, EXITED)),
        ["start i 1"],
    ),
    ("a sidecar goes first", SIDE, view(box()), ["start side 0"]),
    ("the rest wait until it has started", SIDE, view(box(), run("side")), []),
    ("a dead sidecar is restarted while the pod runs", SIDE, view(box(), run("side", 0, EXITED), run("app")), ["start side 1"]),
    ("Never: nothing is restarted, the sandbox goes", NEVER, view(box(), run("app", 0, EXITED, 1)), ["stop s0"]),
    ("Never: a dead sandbox is not replaced", NEVER, view(box(ready=False), run("app", 0, EXITED, 137)), []),
    ("Never: a failed init container ends the pod", NEVER_INIT, view(box(), run("i", 0, EXITED, 1)), ["stop s0"]),
    ("OnFailure: success ends it", ON_FAILURE, view(box(), run("app", 0, EXITED, 0)), ["stop s0"]),
    ("OnFailure: failure restarts it", ON_FAILURE, view(box(), run("app", 0, EXITED, 2)), ["start app 1"]),
    ("deleted: kill with the grace of the deletion", DELETED, view(box(), run("app")), ["kill app0 9"]),
    ("deleted: then the sandbox", DELETED, view(box(), run("app", 0, EXITED)), ["stop s0"]),
    ("deleted: sidecars last", SIDE_DELETED, view(box(), run("s1"), run("s2"), run("app")), ["kill app0 30"]),
    ("deleted: and in reverse order", SIDE_DELETED, view(box(), run("s1"), run("s2")), ["kill s20 30"]),
]


@pytest.mark.parametrize(("value", "seen", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_next_actions(value, seen: PodView, expected: list[str]) -> None:
    assert [short(a) for a in plan_pod(value, seen, PodMemory(), NOW).actions] == expected


def test_an_ended_pod_is_over() -> None:
    assert plan_pod(DELETED, view(box(ready=False), run("app", 0, EXITED)), PodMemory(), NOW).over
    assert plan_pod(PLAIN, view(), PodMemory(), NOW, gone=True).over
    assert not plan_pod(NEVER, view(box(ready=False), run("app", 0, EXITED)), PodMemory(), NOW).over


def test_a_crash_backoff_holds_the_restart_and_says_until_when() -> None:
    memory = PodMemory(crashes={"app": CrashBackoff(20.0, 990.0)})
    plan = plan_pod(PLAIN, view(box(), run("app", 0, EXITED, 1, ago_s=5)), memory, NOW)
    assert plan.actions == () and plan.held == (Held("app", 20.0),) and plan.wake_at == 65.0


def test_a_waiting_container_is_not_started_before_its_time() -> None:
    memory = PodMemory(waiting={"app": Waiting("ErrImagePull", "", retry_at=60.0)})
    plan = plan_pod(PLAIN, view(box()), memory, NOW)
    assert plan.actions == () and plan.wake_at == 60.0
    assert plan_pod(PLAIN, view(box()), memory, Now(1010.0, 60.0)).actions != ()


def test_a_doomed_container_is_killed_with_its_probe_grace() -> None:
    memory = PodMemory(doomed={"app0": Doom("failed", 3.0)}, health={"app0": Health()})
    assert [short(a) for a in plan_pod(PLAIN, view(box(), run("app")), memory, NOW).actions] == ["kill app0 3"]


def test_a_changed_image_restarts_the_container() -> None:
    memory = PodMemory(images={"app0": "app:0"})
    assert [short(a) for a in plan_pod(PLAIN, view(box(), run("app")), memory, NOW).actions] == ["kill app0 30"]


def test_a_failed_pod_is_wound_down() -> None:
    memory = PodMemory(verdict=Verdict("DeadlineExceeded", ""))
    assert [short(a) for a in plan_pod(PLAIN, view(box(), run("app")), memory, NOW).actions] == ["kill app0 30"]


def test_crash_delays_double_to_five_minutes_and_are_forgotten_after_ten() -> None:
    backoff, at, delays = None, 0.0, []
    for _ in range(8):
        backoff = next_crash_backoff(backoff, at, at)
        delays.append(backoff.delay_s)
        at += backoff.delay_s + 1
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]
    assert next_crash_backoff(backoff, backoff.updated_s + 601, backoff.updated_s + 601).delay_s == 10
    assert not backoff.holds(backoff.updated_s + 601, backoff.updated_s + 602)
