"""Carrying out a plan: each action's calls to the runtime, its events, and what it leaves in the pod's memory.

An action that fails leaves a reason to wait and a time to try again; the next plan respects both. Nothing here decides what to do.

Source: kubelet/kuberuntime startContainer, killContainer; kubelet/images (pull backoff, wording of events).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from podium.instrument.log import logger
from podium.node import log_rotation
from podium.node.environment import CONFIG_ERROR
from podium.node.hooks import HookFailure, Hooks
from podium.node.pod_memory import CRASH_BACKOFF_FIRST_S, CRASH_BACKOFF_MAX_S, Doom, Health, Waiting, next_crash_backoff
from podium.node.pod_plan import (
    Action,
    KillContainer,
    RemoveContainer,
    RemoveSandbox,
    ResizeContainer,
    RunSandbox,
    StartContainer,
    StopSandbox,
)
from podium.node.pod_spec import display
from podium.node.pod_status import NodeFacts
from podium.node.pod_worker import PodWorker
from podium.node.preparation import Preparation, PreparationFailure
from podium.node.resize import amounts
from podium.node.runtime.interface import (
    ContainerSpec,
    ContainerState,
    ImageError,
    Runtime,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxSpec,
)
from podium.objects.values import Object
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("node.pod_actions")

ERR_IMAGE_PULL_SHOWN_S = 1.0
"""How long a failed pull shows ErrImagePull before it becomes ImagePullBackOff."""
CONFIG_RETRY_S = 5.0
CREATE_RETRY_S = 10.0
MOUNT_RETRY_FIRST_S = 0.25
MOUNT_RETRY_MAX_S = 10.0
IMAGE_PRESENT_WITHIN_S = 0.25
"""A runtime that answers sooner than this for IfNotPresent had the image already: the interface does not say."""
TERM_AFTER_HOOK_MIN_S = 2.0


class PodEvents(Protocol):
    def __call__(self, worker: PodWorker, type: str, reason: str, message: str, container: str = "") -> None: ...


class PodActions:
    def __init__(
        self,
        runtime: Runtime,
        preparation: Preparation,
        hooks: Hooks,
        events: PodEvents,
        world: World,
        supervisor: Supervisor,
        facts: NodeFacts,
    ) -> None:
        self._runtime = runtime
        self._preparation = preparation
        self._hooks = hooks
        self._event = events
        self._world = world
        self._supervisor = supervisor
        self._host_ip = facts.host_ip
        self._has_images = facts.runtime != "process"

    async def apply(self, worker: PodWorker, actions: tuple[Action, ...], superseded: Callable[[], bool]) -> None:
        """In order, kills at once; stops early when the plan is `superseded`. Raises RuntimeUnavailable."""
        kills = [a for a in actions if isinstance(a, KillContainer)]
        if kills:
            await self._kill_all(worker, kills)
        for action in actions:
            if isinstance(action, KillContainer):
                continue
            if isinstance(action, StartContainer | RunSandbox) and superseded():
                return
            if not await self._apply(worker, action):
                return

    async def _apply(self, worker: PodWorker, action: Action) -> bool:
        """Whether the actions after it still make sense."""
        match action:
            case RunSandbox():
                return await self._run_sandbox(worker, action)
            case StartContainer():
                await self._start(worker, action)
            case StopSandbox():
                await self._runtime.stop_sandbox(action.sandbox_id)
            case RemoveSandbox():
                await self._runtime.remove_sandbox(action.sandbox_id)
            case ResizeContainer():
                await self._resize(worker, action)
            case RemoveContainer():
                await self._runtime.remove_container(action.container_id)
                for container in worker.view.containers:
                    if container.id == action.container_id and container.log_path:
                        log_rotation.remove(Path(container.log_path))
        return True

    # Sandbox

    async def _run_sandbox(self, worker: PodWorker, action: RunSandbox) -> bool:
        if action.changed:
            self._event(worker, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        try:
            await self._prepare(worker)
            handler = await self._preparation.handler(worker.pod)
            await self._runtime.run_sandbox(replace(self._preparation.sandbox_spec(worker.pod, action.attempt), handler=handler))
        except RuntimeUnavailable:
            raise
        except PreparationFailure as failure:
            self._sandbox_failed(worker, failure.reason, failure.message)
            return False
        except RuntimeFailure as failure:
            self._sandbox_failed(worker, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {failure}")
            return False
        worker.memory.sandbox_error = None
        return True

    async def _prepare(self, worker: PodWorker) -> None:
        if not worker.memory.prepared:
            await self._preparation.prepare(worker.pod)
            worker.memory.prepared = True

    def _sandbox_failed(self, worker: PodWorker, reason: str, message: str) -> None:
        old = worker.memory.sandbox_error
        delay_s = min(old.delay_s * 2, MOUNT_RETRY_MAX_S) if old else MOUNT_RETRY_FIRST_S
        worker.memory.sandbox_error = Waiting(reason, message, self._world.clock.monotonic() + delay_s, delay_s)
        self._event(worker, "Warning", reason, message)

    # Start

    async def _start(self, worker: PodWorker, action: StartContainer) -> None:
        container = worker.container_spec(action.name)
        sandbox = worker.view.sandbox
        if container is None or sandbox is None:
            return
        memory, name = worker.memory, action.name
        if name in memory.granted:
            container = {**container, "resources": memory.granted[name]}
        try:
            await self._prepare(worker)
            if not await self._pull(worker, container):
                return
            address = worker.address(self._host_ip)
            spec = await self._preparation.container_spec(worker.pod, container, action.attempt, address)
            if target := container.get("targetContainerName"):
                spec = replace(spec, target_id=_running(worker, target))
        except PreparationFailure as failure:
            reason = "ContainerCreating" if failure.reason == "FailedMount" else failure.reason
            memory.waiting[name] = self._retry(reason, failure.message, CONFIG_RETRY_S)
            if failure.reason == "FailedMount":
                self._event(worker, "Warning", "FailedMount", failure.message)
            else:
                self._event(worker, "Warning", "Failed", f"Error: {failure.message}", name)
            return
        if spec.security.seccomp_default and not self._has_images:
            message = "seccompProfile RuntimeDefault is not applied: process containers have no system call filter"
            self._event(worker, "Warning", "SecurityContextNotApplied", message, name)
        sandbox_spec = self._preparation.sandbox_spec(worker.pod, sandbox.attempt)
        if action.after is not None:
            old, now_s = memory.crashes.get(name), self._world.clock.now().timestamp()
            memory.crashes[name] = next_crash_backoff(old, action.after.finished_ns / 1e9, now_s)
        container_id = await self._create_and_start(worker, sandbox.id, spec, sandbox_spec, container)
        if container_id is not None:
            await self._after_start(worker, container, container_id, address)

    async def _create_and_start(
        self, worker: PodWorker, sandbox_id: str, spec: ContainerSpec, sandbox_spec: SandboxSpec, container: Object
    ) -> str | None:
        memory, name = worker.memory, container["name"]
        try:
            container_id = await self._runtime.create_container(sandbox_id, spec, sandbox_spec)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as failure:
            memory.waiting[name] = self._retry("CreateContainerError", str(failure), CREATE_RETRY_S)
            self._event(worker, "Warning", "Failed", f"Error: {failure}", name)
            return None
        memory.images[container_id] = container.get("image", "")
        memory.in_force[container_id] = container.get("resources") or {}
        self._event(worker, "Normal", "Created", "Container created", name)
        try:
            await self._runtime.start_container(container_id)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as failure:
            memory.waiting[name] = self._retry("RunContainerError", str(failure), CREATE_RETRY_S)
            self._event(worker, "Warning", "Failed", f"Error: {failure}", name)
            return None
        self._event(worker, "Normal", "Started", "Container started", name)
        return container_id

    async def _after_start(self, worker: PodWorker, container: Object, container_id: str, address: str) -> None:
        memory, name = worker.memory, container["name"]
        memory.waiting.pop(name, None)
        hook = (container.get("lifecycle") or {}).get("postStart")
        if hook:
            try:
                worker.interruptible = True
                await self._hooks.run(hook, container, container_id, address)
            except HookFailure as failure:
                self._event(worker, "Warning", "FailedPostStartHook", f"PostStartHook failed: {failure}", name)
                memory.doomed[container_id] = Doom("FailedPostStartHook")
            finally:
                worker.interruptible = False
        memory.health[container_id] = Health("startupProbe" not in container, "readinessProbe" not in container)

    # Resize

    async def _resize(self, worker: PodWorker, action: ResizeContainer) -> None:
        memory, container = worker.memory, action.container
        try:
            await self._runtime.update_container(container.id, amounts({"resources": action.resources}))
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as failure:
            message = f"Error resizing container {container.name}: {failure}"
            memory.resize_error = self._retry("Error", message, CREATE_RETRY_S)
            self._event(worker, "Warning", "ResizeError", message)
            return
        memory.in_force[container.id] = action.resources
        memory.resize_error = None

    # Images

    async def _pull(self, worker: PodWorker, container: Object) -> bool:
        memory, name = worker.memory, container["name"]
        image, policy = container.get("image", ""), pull_policy(container)
        now_s = self._world.clock.monotonic()
        failed = memory.image_failures.get(name)
        if failed is not None and failed.retry_at > now_s:
            message = f'Back-off pulling image "{image}"'
            memory.waiting[name] = Waiting("ImagePullBackOff", f"{message}: {failed.message}", failed.retry_at)
            self._event(worker, "Normal", "BackOff", message, name)
            self._event(worker, "Warning", "Failed", "Error: ImagePullBackOff", name)
            return False
        if policy == "Always" and self._has_images:
            self._event(worker, "Normal", "Pulling", f'Pulling image "{image}"', name)
        try:
            worker.interruptible = True
            await self._runtime.ensure_image(image, policy)
        except ImageError as error:
            self._pull_failed(worker, name, image, error)
            return False
        finally:
            worker.interruptible = False
        memory.image_failures.pop(name, None)
        took_s = self._world.clock.monotonic() - now_s
        took = f"{took_s:.3f}s" if took_s >= 1 else f"{round(took_s * 1000)}ms"
        if not self._has_images:
            message = f'Image "{image}" is not used: process containers run programs of the host'
        elif policy == "Always" or took_s >= IMAGE_PRESENT_WITHIN_S:
            message = f'Successfully pulled image "{image}" in {took} ({took} including waiting).'
        else:
            message = f'Container image "{image}" already present on machine and can be accessed by the pod'
        self._event(worker, "Normal", "Pulled", message, name)
        return True

    def _pull_failed(self, worker: PodWorker, name: str, image: str, error: ImageError) -> None:
        memory = worker.memory
        old = memory.image_failures.get(name)
        delay_s = min(old.delay_s * 2, CRASH_BACKOFF_MAX_S) if old else CRASH_BACKOFF_FIRST_S
        memory.image_failures[name] = self._retry(error.reason, str(error), delay_s)
        if error.reason == "ErrImagePull":
            self._event(worker, "Warning", "Failed", f'Failed to pull image "{image}": {error}', name)
            memory.waiting[name] = self._retry(error.reason, str(error), ERR_IMAGE_PULL_SHOWN_S)
        else:
            self._event(worker, "Warning", error.reason, str(error), name)
            memory.waiting[name] = self._retry(error.reason, str(error), delay_s)
        self._event(worker, "Warning", "Failed", f"Error: {error.reason}", name)
        secrets = [s.get("name", "") for s in worker.pod["spec"].get("imagePullSecrets") or ()]
        if secrets:
            message = f"Podium does not use image pull secrets yet ({', '.join(secrets)}): give the container runtime the credentials"
            self._event(worker, "Warning", "FailedToRetrieveImagePullSecret", message)

    def _retry(self, reason: str, message: str, delay_s: float) -> Waiting:
        return Waiting(reason, message, self._world.clock.monotonic() + delay_s, delay_s)

    # Stop

    async def _kill_all(self, worker: PodWorker, kills: list[KillContainer]) -> None:
        for kill in kills:
            self._event(worker, "Normal", "Killing", kill.message, kill.container.name)
        worker.interruptible = True
        try:
            if len(kills) == 1:
                await self._kill(worker, kills[0])
                return
            tasks = [self._supervisor.start(f"kill/{kill.container.id[:12]}", self._guarded_kill(worker, kill)) for kill in kills]
            try:
                failures = [await task for task in tasks]
            finally:
                for task in tasks:
                    task.cancel()
            for failure in failures:
                if failure is not None:
                    raise failure
        finally:
            worker.interruptible = False

    async def _guarded_kill(self, worker: PodWorker, kill: KillContainer) -> RuntimeFailure | None:
        try:
            await self._kill(worker, kill)
        except RuntimeFailure as failure:
            return failure
        return None

    async def _kill(self, worker: PodWorker, kill: KillContainer) -> None:
        container = worker.container_spec(kill.container.name) or {}
        hook = (container.get("lifecycle") or {}).get("preStop")
        grace_s = kill.grace_s
        if hook and kill.hook:
            began_s = self._world.clock.monotonic()
            try:
                await self._hooks.run(hook, container, kill.container.id, worker.address(self._host_ip), grace_s)
            except HookFailure as failure:
                self._event(worker, "Warning", "FailedPreStopHook", f"PreStopHook failed: {failure}", kill.container.name)
            grace_s = max(TERM_AFTER_HOOK_MIN_S, grace_s - (self._world.clock.monotonic() - began_s))
        await self._runtime.stop_container(kill.container.id, grace_s)
        log.debug("container stopped", pod=display(worker.pod), container=kill.container.name)


def _running(worker: PodWorker, name: str) -> str:
    """The id of a container whose processes another one is to see. Raises PreparationFailure."""
    found = worker.view.newest(name)
    if found is None or found.state is not ContainerState.RUNNING:
        raise PreparationFailure(CONFIG_ERROR, f'unable to find target container "{name}"')
    return found.id


def pull_policy(container: Object) -> str:
    """The API defaults it; a pod written without defaults gets upstream's: Always for :latest or no tag."""
    policy = container.get("imagePullPolicy")
    if policy:
        return str(policy)
    image = container.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return "IfNotPresent" if "@" in image or (tag and tag != "latest") else "Always"
