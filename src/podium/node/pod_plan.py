"""What to do next for one pod: a pure function of its spec, what the runtime shows, and what the agent remembers.

Level-triggered: the plan holds only actions that may be done now; the caller applies them in order, looks again and asks again until the
plan is empty. `wake_at` (monotonic seconds) says when time alone will change the answer.

The states, first match wins:
1. the pod is being deleted, is gone, failed as a whole, or its phase is terminal: kill what runs, stop the sandboxes, done;
2. every container is finished for good by the restart policy: stop the sandbox;
3. no ready sandbox: kill what is left of the old one, make the next;
4. init containers in order, each in the current sandbox, sidecars staying; then the containers, restarted by policy and backoff, and resized
   to what the node grants them (resize.py); beside all of them the ephemeral containers, each once.

Source: kubelet/kuberuntime computePodActions, computeInitContainerActions, doBackOff, killPodWithSyncResult.
"""

from dataclasses import dataclass

from podium.node.observation import PodView
from podium.node.pod_memory import PodMemory
from podium.node.pod_spec import grace_s, has_run_before, is_sidecar, is_terminal, restart_policy, status_of
from podium.node.resize import needs_restart, same
from podium.node.runtime.interface import ContainerState, ContainerStatus
from podium.objects.values import Object

DEAD_KEPT = 1
"""Exited containers kept per name beside the newest, for `logs --previous`."""


@dataclass(frozen=True, slots=True)
class RunSandbox:
    attempt: int
    changed: bool
    """It replaces one that died."""


@dataclass(frozen=True, slots=True)
class StopSandbox:
    sandbox_id: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    name: str
    attempt: int
    after: ContainerStatus | None = None
    """The exited container it takes over from, whose backoff grows with this start."""


@dataclass(frozen=True, slots=True)
class KillContainer:
    """`hook`: run its preStop hook first; not for a container that another one replaces after a lost sandbox."""

    container: ContainerStatus
    message: str
    grace_s: float
    hook: bool = True


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    container_id: str


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    sandbox_id: str


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """`resources` as in a container spec."""

    container: ContainerStatus
    resources: Object


Action = RunSandbox | StopSandbox | StartContainer | KillContainer | ResizeContainer | RemoveContainer | RemoveSandbox


@dataclass(frozen=True, slots=True)
class Held:
    """A container that waits out its crash backoff."""

    name: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    actions: tuple[Action, ...] = ()
    wake_at: float | None = None
    held: tuple[Held, ...] = ()
    over: bool = False
    """The pod is to end, and nothing of it runs any more."""


@dataclass(frozen=True, slots=True)
class Now:
    """`wall_s` since the epoch, `monotonic_s` as the loop's clock."""

    wall_s: float
    monotonic_s: float


def plan_pod(pod: Object, view: PodView, memory: PodMemory, now: Now, *, gone: bool = False) -> Plan:
    """`gone`: the API has no such pod any more."""
    if gone or "deletionTimestamp" in pod["metadata"] or memory.verdict is not None or is_terminal(pod):
        return _end(pod, view, memory, gone)
    return _Planner(pod, view, memory, now).plan()


def next_attempt(pod: Object, view: PodView, name: str) -> int:
    """One more than any attempt known: by the runtime, or by the status when the runtime lost it. Restart counts never fall."""
    newest = view.newest(name)
    if newest is not None:
        return newest.attempt + 1
    entry = status_of(pod, name)
    return int(entry.get("restartCount", 0)) + 1 if has_run_before(entry) else 0


def finished_for_good(pod: Object, container: ContainerStatus | None) -> bool:
    """Whether a container of `containers` will never run again."""
    if container is None or container.state is not ContainerState.EXITED:
        return False
    policy = restart_policy(pod)
    return policy == "Never" or (policy == "OnFailure" and container.exit_code == 0)


def _end(pod: Object, view: PodView, memory: PodMemory, gone: bool) -> Plan:
    grace = float(grace_s(pod))
    sidecars = {c["name"] for c in pod["spec"].get("initContainers", ()) if is_sidecar(c)}
    running = view.running
    mains = [c for c in running if c.name not in sidecars]
    # Sidecars serve the others to the end, and leave in reverse order.
    order = [c["name"] for c in pod["spec"].get("initContainers", ())]
    targets = mains or sorted(running, key=lambda c: -order.index(c.name))[:1]
    kills = tuple(KillContainer(c, f"Stopping container {c.name}", grace) for c in targets)
    if kills:
        return Plan(kills)
    stops = tuple(StopSandbox(s.id) for s in view.sandboxes if s.ready)
    return Plan(stops) if stops else Plan(over=True)


class _Planner:
    def __init__(self, pod: Object, view: PodView, memory: PodMemory, now: Now) -> None:
        self._pod, self._view, self._memory, self._now = pod, view, memory, now
        self._actions: list[Action] = []
        self._held: list[Held] = []
        self._wakes: list[float] = []

    def plan(self) -> Plan:
        if self._all_finished():
            return self._wind_down()
        sandbox = self._view.sandbox
        if sandbox is None:
            return self._new_sandbox()
        if self._plan_inits(sandbox.id):
            for container in self._pod["spec"]["containers"]:
                self._plan_container(container, sandbox.id)
        for container in self._pod["spec"].get("ephemeralContainers") or ():
            self._plan_ephemeral(container["name"])
        self._plan_removals()
        return self._done()

    def _done(self) -> Plan:
        return Plan(tuple(self._actions), min(self._wakes, default=None), tuple(self._held))

    def _all_finished(self) -> bool:
        """Whether the pod has run to its end: every container is over, or an init container failed for good."""
        names = [c["name"] for c in self._pod["spec"]["containers"]]
        if all(finished_for_good(self._pod, self._view.newest(name)) for name in names):
            return True
        if restart_policy(self._pod) != "Never":
            return False
        inits = [c["name"] for c in self._pod["spec"].get("initContainers", ()) if not is_sidecar(c)]
        newest = [self._view.newest(name) for name in inits]
        return any(c is not None and c.state is ContainerState.EXITED and c.exit_code != 0 for c in newest)

    def _wind_down(self) -> Plan:
        """Sidecars that still serve finished containers are stopped, then the sandbox."""
        plan = _end(self._pod, self._view, self._memory, gone=False)
        return Plan(plan.actions)

    def _new_sandbox(self) -> Plan:
        error = self._memory.sandbox_error
        if error is not None and error.retry_at > self._now.monotonic_s:
            return Plan(wake_at=error.retry_at)
        newest = self._view.sandboxes[0] if self._view.sandboxes else None
        for container in self._view.running:
            self._actions.append(KillContainer(container, f"Stopping container {container.name}", 1.0, hook=False))
        self._actions.append(RunSandbox(newest.attempt + 1 if newest else 0, changed=newest is not None))
        return self._done()

    def _plan_inits(self, sandbox_id: str) -> bool:
        """Plans the next step of initialisation; True when the containers may start."""
        inits = self._pod["spec"].get("initContainers", ())
        initialised = self._any_main_started(sandbox_id)
        for container in inits:
            current = self._current(container["name"], sandbox_id)
            if is_sidecar(container):
                self._plan_container(container, sandbox_id)
                if not initialised and not self._has_started(current):
                    return False
            elif not initialised:
                if current is not None and current.state is ContainerState.EXITED and current.exit_code == 0:
                    continue
                self._plan_container(container, sandbox_id)
                return False
        return True

    def _any_main_started(self, sandbox_id: str) -> bool:
        names = [c["name"] for c in self._pod["spec"]["containers"]]
        return any(c.sandbox_id == sandbox_id and c.started_ns for name in names for c in self._view.of(name))

    def _has_started(self, container: ContainerStatus | None) -> bool:
        if container is None or container.state is not ContainerState.RUNNING:
            return False
        health = self._memory.health.get(container.id)
        return health is not None and health.started

    def _current(self, name: str, sandbox_id: str) -> ContainerStatus | None:
        newest = self._view.newest(name)
        return newest if newest is not None and newest.sandbox_id == sandbox_id else None

    def _plan_container(self, container: Object, sandbox_id: str) -> None:
        name = container["name"]
        current = self._current(name, sandbox_id)
        if current is None:
            newest = self._view.newest(name)
            if self._is_init(name) or not finished_for_good(self._pod, newest):
                self._start(name, newest)
        elif current.state is ContainerState.RUNNING:
            self._check_running(container, current)
        elif current.state is ContainerState.EXITED:
            self._restart(container, current)
        elif current.state is ContainerState.CREATED:
            # The agent died between creating and starting it: make it anew, in the same attempt.
            if not self._is_waiting(name):
                self._actions += [RemoveContainer(current.id), StartContainer(name, current.attempt)]
        else:
            self._actions.append(KillContainer(current, f"Container {name} is in unknown state, try killing it before restart", 2.0))

    def _plan_ephemeral(self, name: str) -> None:
        """It runs once, however it ends, and in whichever sandbox there is; also while the pod initialises."""
        newest = self._view.newest(name)
        if newest is None:
            if not has_run_before(status_of(self._pod, name)):
                self._start(name, None)
        elif newest.state is ContainerState.CREATED and not self._is_waiting(name):
            self._actions += [RemoveContainer(newest.id), StartContainer(name, newest.attempt)]

    def _is_init(self, name: str) -> bool:
        return any(c["name"] == name for c in self._pod["spec"].get("initContainers", ()))

    def _start(self, name: str, last: ContainerStatus | None) -> None:
        """`last` is its newest container, here or in an earlier sandbox: an exit of it may ask for patience."""
        if self._is_waiting(name):
            return
        exited = last if last is not None and last.state is ContainerState.EXITED else None
        backoff = self._memory.crashes.get(name)
        if exited is not None and backoff is not None:
            finished_s = exited.finished_ns / 1e9
            if backoff.holds(finished_s, self._now.wall_s):
                self._held.append(Held(name, backoff.delay_s))
                self._wakes.append(self._now.monotonic_s + finished_s + backoff.delay_s - self._now.wall_s)
                return
        self._actions.append(StartContainer(name, next_attempt(self._pod, self._view, name), after=exited))

    def _is_waiting(self, name: str) -> bool:
        waiting = self._memory.waiting.get(name)
        if waiting is None or waiting.retry_at <= self._now.monotonic_s:
            return False
        self._wakes.append(waiting.retry_at)
        return True

    def _check_running(self, container: Object, current: ContainerStatus) -> None:
        doom = self._memory.doomed.get(current.id)
        if doom is not None:
            grace = doom.grace_s if doom.grace_s is not None else float(grace_s(self._pod))
            self._actions.append(KillContainer(current, doom.message, grace))
        elif self._memory.images.get(current.id, container.get("image")) != container.get("image"):
            message = f"Container {container['name']} definition changed, will be restarted"
            self._actions.append(KillContainer(current, message, float(grace_s(self._pod))))
        else:
            self._check_resources(container, current)

    def _check_resources(self, container: Object, current: ContainerStatus) -> None:
        granted, in_force = self._memory.granted.get(container["name"]), self._memory.in_force.get(current.id)
        if granted is None or in_force is None or same(granted, in_force):
            return
        error = self._memory.resize_error
        if error is not None and error.retry_at > self._now.monotonic_s:
            self._wakes.append(error.retry_at)
        elif needs_restart(container, in_force, granted):
            message = f"Container {container['name']} resize requires restart"
            self._actions.append(KillContainer(current, message, float(grace_s(self._pod))))
        else:
            self._actions.append(ResizeContainer(current, granted))

    def _restart(self, container: Object, exited: ContainerStatus) -> None:
        policy = "Always" if is_sidecar(container) else restart_policy(self._pod)
        if policy == "Always" or (policy == "OnFailure" and exited.exit_code != 0):
            self._start(container["name"], exited)

    def _plan_removals(self) -> None:
        """Exited containers beyond the newest and the one before it; dead sandboxes that no container is left of."""
        seen: dict[str, int] = {}
        for container in self._view.containers:
            seen[container.name] = count = seen.get(container.name, 0) + 1
            if count > 1 + DEAD_KEPT and container.state is ContainerState.EXITED:
                self._actions.append(RemoveContainer(container.id))
        used = {c.sandbox_id for c in self._view.containers}
        self._actions += [RemoveSandbox(s.id) for s in self._view.sandboxes[1:] if not s.ready and s.id not in used]
