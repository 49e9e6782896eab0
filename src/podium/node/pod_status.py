"""A pod's status as the API shows it: a pure function of its spec, its last status, what runs and what the agent remembers.

Invariants, whatever is observed: a phase that is Succeeded or Failed stays; a restart count never falls; a container that was terminated
in a pod that will not restart it stays terminated, even when the runtime has forgotten it.

Source: kubelet convertToAPIContainerStatuses, getPhase, generateAPIPodStatus; kubelet/status/generate.go (conditions and their wording).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from podium.node import resize
from podium.node.observation import PodView
from podium.node.pod_memory import PodMemory
from podium.node.pod_plan import Held
from podium.node.pod_spec import TERMINAL_PHASES, display, has_run_before, is_sidecar, phase_of, restart_policy, status_of
from podium.node.runtime.interface import ContainerState, ContainerStatus
from podium.objects.values import Object, is_deleting

LOST_EXIT_CODE = 137
RESIZE_CONDITIONS = (resize.PENDING, resize.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a status says of the node. `runtime` is the scheme of container ids."""

    host_ip: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """All that a status is computed from, beside the pod. `over`: nothing of it runs and nothing will."""

    view: PodView
    memory: PodMemory
    held: tuple[Held, ...] = ()
    over: bool = False


def pod_status(pod: Object, seen: Sighting, node: NodeFacts, timestamp: str) -> Object:
    """The whole status; fields the agent does not own (qosClass, others' conditions) are taken from the last one."""
    old = pod.get("status", {})
    spec = pod["spec"]
    inits = [_container_entry(pod, c, seen, node, init=True) for c in spec.get("initContainers", ())]
    mains = [_container_entry(pod, c, seen, node, init=False) for c in spec["containers"]]
    phase = _phase(pod, seen, inits, mains)
    status = dict(old)
    status["phase"] = phase
    verdict = seen.memory.verdict
    for field in ("reason", "message"):
        if verdict is not None:
            status[field] = getattr(verdict, field)
    status["startTime"] = old.get("startTime") or seen.memory.started_at or timestamp
    status["hostIP"], status["hostIPs"] = node.host_ip, [{"ip": node.host_ip}]
    _set_addresses(pod, status, seen.view, node)
    if verdict is None or seen.view.containers or old.get("containerStatuses"):
        status["containerStatuses"] = mains
        if inits:
            status["initContainerStatuses"] = inits
        if spec.get("ephemeralContainers"):
            status["ephemeralContainerStatuses"] = [_ephemeral_entry(pod, c, seen, node) for c in spec["ephemeralContainers"]]
    if "generation" in pod["metadata"]:
        status["observedGeneration"] = pod["metadata"]["generation"]
    status["conditions"] = _conditions(pod, seen, status, timestamp)
    return status


def _set_addresses(pod: Object, status: Object, view: PodView, node: NodeFacts) -> None:
    """The addresses stay after the sandbox is gone, as the pod's last ones."""
    address = node.host_ip if pod["spec"].get("hostNetwork") else next((s.ip for s in view.sandboxes if s.ip), "")
    if address and (view.sandboxes or status.get("podIP")):
        status["podIP"], status["podIPs"] = address, [{"ip": address}]


# Containers


def _ephemeral_entry(pod: Object, container: Object, seen: Sighting, node: NodeFacts) -> Object:
    """It is never restarted and never counts for readiness."""
    entry = _container_entry({**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}, container, seen, node, init=False)
    return {k: False if k == "ready" else v for k, v in entry.items() if k != "started"}


def _container_entry(pod: Object, container: Object, seen: Sighting, node: NodeFacts, *, init: bool) -> Object:
    name = container["name"]
    old = status_of(pod, name)
    history = seen.view.of(name)
    newest = history[0] if history else None
    if newest is None:
        return {**_unseen_entry(pod, container, old, seen, init), **_amounts(name, None, seen.memory)}
    previous = history[1] if len(history) > 1 else None
    entry = {
        "name": name,
        "image": newest.image or container.get("image", ""),
        "imageID": newest.image_ref,
        "containerID": f"{node.runtime}://{newest.id}",
        "restartCount": max(newest.attempt, int(old.get("restartCount", 0))),
        "ready": False,
        "started": False,
        "state": _state(newest, seen.memory, node),
        "lastState": _last_state(previous, old, newest, seen.memory, node),
        **_amounts(name, newest, seen.memory),
    }
    health = seen.memory.health.get(newest.id)
    if newest.state is ContainerState.RUNNING and health is not None:
        entry["started"] = health.started
        entry["ready"] = health.started and (health.ready if not init or is_sidecar(container) else False)
    elif init and newest.state is ContainerState.EXITED and not is_sidecar(container):
        entry["ready"] = newest.exit_code == 0
    waiting = None if _stays_terminated(pod, container, newest, init) else _waiting(pod, name, seen)
    if waiting is not None and newest.state is not ContainerState.RUNNING:
        if newest.state is ContainerState.EXITED:
            entry["lastState"] = entry["state"]
        entry["state"] = {"waiting": waiting}
        entry["ready"] = False
    return entry


def _amounts(name: str, container: ContainerStatus | None, memory: PodMemory) -> Object:
    """What the node grants the container, and what is in force in it; nothing for one that has no amounts."""
    granted = memory.granted.get(name) or {}
    running = container is not None and container.state is ContainerState.RUNNING
    in_force = memory.in_force.get(container.id, granted) if running and container is not None else granted
    found: Object = {"allocatedResources": granted["requests"]} if granted.get("requests") else {}
    return {**found, "resources": in_force} if in_force else found


def _stays_terminated(pod: Object, container: Object, newest: ContainerStatus, init: bool) -> bool:
    if newest.state is not ContainerState.EXITED or is_sidecar(container):
        return False
    policy = restart_policy(pod)
    return policy == "Never" or (newest.exit_code == 0 and (init or policy == "OnFailure"))


def _state(c: ContainerStatus, memory: PodMemory, node: NodeFacts) -> Object:
    if c.state is ContainerState.RUNNING:
        return {"running": {"startedAt": rfc3339(c.started_ns)}}
    if c.state is ContainerState.CREATED:
        return {"waiting": {"reason": "ContainerCreating"}}
    terminated = {
        "exitCode": c.exit_code if c.state is ContainerState.EXITED else LOST_EXIT_CODE,
        "reason": _exit_reason(c),
        "startedAt": rfc3339(c.started_ns),
        "finishedAt": rfc3339(c.finished_ns),
        "containerID": f"{node.runtime}://{c.id}",
    }
    message = memory.messages.get(c.id) or c.message
    if message:
        terminated["message"] = message
    return {"terminated": {k: v for k, v in terminated.items() if v is not None}}


def _exit_reason(c: ContainerStatus) -> str:
    if c.state is ContainerState.UNKNOWN:
        return "ContainerStatusUnknown"
    return c.reason or ("Completed" if c.exit_code == 0 else "Error")


def _last_state(previous: ContainerStatus | None, old: Object, newest: ContainerStatus, memory: PodMemory, node: NodeFacts) -> Object:
    if previous is not None and previous.state is ContainerState.EXITED:
        return _state(previous, memory, node)
    last: Object = old.get("lastState") or {}
    before = (old.get("state") or {}).get("terminated")
    if before and not before.get("containerID", "").endswith(newest.id):
        return {"terminated": before}  # the runtime forgot it, the status had not
    return last if newest.attempt else {}


def _waiting(pod: Object, name: str, seen: Sighting) -> Object | None:
    """The `waiting` state of a container that should run and does not; None when nothing is known to hold it."""
    known = seen.memory.waiting.get(name)
    if known is not None:
        return {"reason": known.reason, "message": known.message} if known.message else {"reason": known.reason}
    for held in seen.held:
        if held.name == name:
            message = f"back-off {duration(held.delay_s)} restarting failed container={name} pod={display(pod)}"
            return {"reason": "CrashLoopBackOff", "message": message}
    return None


def _unseen_entry(pod: Object, container: Object, old: Object, seen: Sighting, init: bool) -> Object:
    """A container that the runtime does not know: not made yet, or lost."""
    name = container["name"]
    entry: Object = {
        "name": name,
        "image": old.get("image") or container.get("image", ""),
        "imageID": old.get("imageID", ""),
        "restartCount": old.get("restartCount", 0),
        "ready": False,
        "started": False,
        "state": {"waiting": _waiting(pod, name, seen) or {"reason": _default_reason(pod, init)}},
        "lastState": old.get("lastState") or {},
    }
    if "containerID" in old:
        entry["containerID"] = old["containerID"]
    if not has_run_before(old):
        return entry
    state = old.get("state") or {}
    if "terminated" in state and (seen.over or phase_of(pod) in TERMINAL_PHASES or _keeps(pod, container, state["terminated"], init)):
        entry["state"], entry["ready"] = {"terminated": state["terminated"]}, bool(old.get("ready")) and init
    elif "terminated" in state:
        entry["lastState"] = {"terminated": state["terminated"]}
    elif "running" in state:
        lost = {
            "exitCode": LOST_EXIT_CODE,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated"
            if seen.over
            else "The container could not be located when the pod was deleted.  The container used to be Running",
            **{k: v for k, v in (("containerID", old.get("containerID")), ("startedAt", state["running"].get("startedAt"))) if v},
        }
        field = "state" if seen.over else "lastState"
        entry[field] = {"terminated": lost}
    return entry


def _keeps(pod: Object, container: Object, terminated: Object, init: bool) -> bool:
    policy = "Always" if is_sidecar(container) else restart_policy(pod)
    if policy == "Never":
        return True
    return terminated.get("exitCode") == 0 and (policy == "OnFailure" or (init and not is_sidecar(container)))


def _default_reason(pod: Object, init: bool) -> str:
    return "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"


# Phase


def _phase(pod: Object, seen: Sighting, inits: list[Object], mains: list[Object]) -> str:
    old = phase_of(pod)
    if old in TERMINAL_PHASES:
        return old
    if seen.memory.verdict is not None:
        return "Failed"
    specs = pod["spec"].get("initContainers", ())
    if not any(has_run_before(e) for e in mains):
        for container, entry in zip(specs, inits, strict=True):
            if is_sidecar(container):
                continue
            ended = entry["state"].get("terminated")
            if ended and ended["exitCode"] != 0 and (seen.over or restart_policy(pod) == "Never"):
                return "Failed"
    return _phase_of_mains(pod, mains, over=seen.over)


def _phase_of_mains(pod: Object, mains: list[Object], *, over: bool) -> str:
    running = sum("running" in e["state"] for e in mains)
    ended = [e["state"].get("terminated") or (e.get("lastState") or {}).get("terminated") for e in mains if "running" not in e["state"]]
    if any(e is None for e in ended):
        # Containers that never ran end with the pod: an ended pod that never started anything has failed.
        return "Failed" if over and not is_deleting(pod) else "Pending"
    if running:
        return "Running"
    succeeded = all(e["exitCode"] == 0 for e in ended if e is not None)
    policy = restart_policy(pod)
    if over:
        return "Succeeded" if succeeded else "Failed"
    if policy == "Always":
        return "Running"
    if succeeded and all("terminated" in e["state"] for e in mains):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


# Conditions


def _conditions(pod: Object, seen: Sighting, status: Object, timestamp: str) -> list[Object]:
    old = {c["type"]: c for c in pod.get("status", {}).get("conditions") or ()}
    containers_ready = _containers_ready(pod, status)
    computed = {
        "PodReadyToStartContainers": ("True" if seen.view.sandbox is not None else "False", "", ""),
        "Initialized": _initialized(pod, status),
        "Ready": _ready(pod, containers_ready, old),
        "ContainersReady": containers_ready,
    }
    if "PodScheduled" not in old:
        computed["PodScheduled"] = ("True", "", "")
    computed |= _resize_conditions(pod, seen)
    generation = pod["metadata"].get("generation")
    mine = [_condition(name, *answer, old.get(name), timestamp, generation) for name, answer in computed.items()]
    return mine + [c for name, c in old.items() if name not in computed and name not in RESIZE_CONDITIONS]


def _condition(name: str, value: str, reason: str, message: str, old: Object | None, timestamp: str, generation: int | None) -> Object:
    since = old["lastTransitionTime"] if old and old["status"] == value and "lastTransitionTime" in old else timestamp
    condition: Object = {"type": name, "status": value, "lastTransitionTime": since}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    if generation is not None:
        condition["observedGeneration"] = generation
    return condition


Answer = tuple[str, str, str]


def _containers_ready(pod: Object, status: Object) -> Answer:
    phase = status["phase"]
    if phase == "Failed":
        return "False", "PodFailed", ""
    if "containerStatuses" not in status:
        return "False", "UnknownContainerStatuses", ""
    if phase == "Succeeded":
        return "False", "PodCompleted", ""
    sidecars = {c["name"] for c in pod["spec"].get("initContainers", ()) if is_sidecar(c)}
    entries = [e for e in status.get("initContainerStatuses", ()) if e["name"] in sidecars] + status["containerStatuses"]
    unready = [e["name"] for e in entries if not e["ready"]]
    if unready:
        return "False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return "True", "", ""


def _initialized(pod: Object, status: Object) -> Answer:
    if status["phase"] == "Succeeded":
        return "True", "PodCompleted", ""
    entries = {e["name"]: e for e in status.get("initContainerStatuses", ())}
    if any(has_run_before(e) for e in status.get("containerStatuses", ())):
        return "True", "", ""
    incomplete = []
    for container in pod["spec"].get("initContainers", ()):
        entry = entries.get(container["name"], {})
        if not entry.get("started" if is_sidecar(container) else "ready"):
            incomplete.append(container["name"])
    if incomplete:
        return "False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(incomplete)}]"
    return "True", "", ""


def _resize_conditions(pod: Object, seen: Sighting) -> dict[str, Answer]:
    """There while a resize waits or is on its way, and only then."""
    memory, found = seen.memory, {}
    if memory.resize_pending is not None:
        found[resize.PENDING] = ("True", *memory.resize_pending)
    if resize.unfinished_resizes(seen.view, memory):
        error = memory.resize_error
        found[resize.IN_PROGRESS] = ("True", "", "") if error is None else ("True", error.reason, error.message)
    return found


def _ready(pod: Object, containers_ready: Answer, old: dict[str, Object]) -> Answer:
    if containers_ready[0] != "True":
        return containers_ready
    problems = []
    for gate in pod["spec"].get("readinessGates") or ():
        name = gate["conditionType"]
        condition = old.get(name)
        if condition is None:
            problems.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif condition["status"] != "True":
            problems.append(f'the status of pod readiness gate "{name}" is not "True", but {condition["status"]}')
    return ("False", "ReadinessGatesNotReady", ", ".join(problems)) if problems else ("True", "", "")


# Forms


def rfc3339(nanoseconds: int) -> str | None:
    """metav1.Time of a moment; None (upstream's null) when there was none."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if nanoseconds else None


def duration(value_s: float) -> str:
    """Whole seconds as Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(value_s), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
