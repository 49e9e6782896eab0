"""Startup, liveness and readiness probes of all containers of this process, from one schedule.

One task sleeps until the next probe is due and starts it as a task that ends with its result; a heap orders them by time. Per container
the startup probe runs alone until it succeeds, then the other two run. Results change the container's `Health`; a failure of startup or
liveness dooms the container. After an agent restart the thresholds count anew, from what the pod's status said.

Bounds: RUNNING_MAX probes at once; the rest run as these finish. Periods begin with a random part, so that pods of one Deployment do not
all probe in the same millisecond.

Source: kubelet/prober worker.go and prober.go (order of the gates, thresholds, wording of events).
"""

import asyncio
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from podium.instrument.log import logger
from podium.node.pod_memory import Doom, Health
from podium.node.pod_worker import PodWorker
from podium.objects.values import Object
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("node.probes")

RUNNING_MAX = 256
EAGER_FIRST_S = 0.1
"""A container that just started is asked again this soon, then after twice as long, within its first period: being ready is noticed at
once, and the failures of a process that is still starting are neither counted nor told."""
OUTPUT_MAX = 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ok` None: the probe itself could not be run, which changes nothing."""

    ok: bool | None
    output: str = ""
    settled: bool = False
    """The same answer would come for ever: no need to ask again (simulated pods)."""


class ProbeTarget(Protocol):
    async def probe(self, probe: Object, container: Object, container_id: str, address: str, pod: Object) -> Outcome:
        """One attempt, within the probe's timeoutSeconds."""
        ...


class ProbeSink(Protocol):
    """Whom results concern: one node's pods."""

    def health_changed(self, uid: str) -> None: ...
    def pod_event(self, worker: PodWorker, type: str, reason: str, message: str, container: str = "") -> None: ...


@dataclass(slots=True)
class _Probe:
    kind: str
    """startup, liveness or readiness."""
    spec: Object
    due_s: float
    eager_until_s: float = 0.0
    eager_delay_s: float = EAGER_FIRST_S
    successes: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Watched:
    worker: PodWorker
    sink: ProbeSink
    target: ProbeTarget
    container: Object
    container_id: str
    address: str
    health: Health
    probes: list[_Probe] = field(default_factory=list)
    gone: bool = False
    leaving: bool = False
    """The pod is being stopped: only its readiness still matters."""
    results: dict[tuple[str, str], int] = field(default_factory=dict)
    """(kind of probe; successful, failed or unknown) to how often."""


class ProbeSchedule:
    def __init__(self, world: World, supervisor: Supervisor) -> None:
        self._clock = world.clock
        self._random = world.random("probes")
        self._supervisor = supervisor
        self._watched: dict[str, _Watched] = {}
        self._heap: list[tuple[float, int, _Watched, _Probe]] = []
        self._sequence = 0
        self._running = 0
        self._changed = asyncio.Event()

    def watch(
        self, worker: PodWorker, sink: ProbeSink, target: ProbeTarget, container: Object, container_id: str, started_s: float, address: str
    ) -> None:
        """Probes the running container until `forget`; `started_s` (monotonic) is when it started, which the initial delays count from.
        Does nothing for one that has no probes or is watched already."""
        if container_id in self._watched:
            return
        kinds = [k for k in ("startup", "liveness", "readiness") if f"{k}Probe" in container]
        health = worker.memory.health.get(container_id)
        if not kinds or health is None:
            return
        watched = _Watched(worker, sink, target, container, container_id, address, health)
        self._watched[container_id] = watched
        now_s = self._clock.monotonic()
        for kind in kinds:
            if kind == "startup" and health.started:
                continue
            spec = container[f"{kind}Probe"]
            probe = _Probe(kind, spec, max(now_s, started_s + spec.get("initialDelaySeconds", 0)))
            if now_s - started_s < spec.get("periodSeconds", 10):
                probe.eager_until_s = probe.due_s + spec.get("periodSeconds", 10)
            watched.probes.append(probe)
            if kind == "startup" or health.started:
                self._push(watched, probe)

    def forget(self, container_id: str) -> None:
        watched = self._watched.pop(container_id, None)
        if watched is not None:
            watched.gone = True

    def only_readiness(self, container_id: str) -> None:
        """For a pod that is being stopped: whether it still serves is of interest, killing it for its health is not."""
        watched = self._watched.get(container_id)
        if watched is not None:
            watched.leaving = True

    def __len__(self) -> int:
        return len(self._watched)

    def results(self) -> Iterator[tuple[PodWorker, str, dict[tuple[str, str], int]]]:
        """Of each container that is probed: its pod, its name, how often which kind of probe had which result."""
        for watched in self._watched.values():
            yield watched.worker, watched.container["name"], watched.results

    async def run(self) -> None:
        """Forever."""
        while True:
            self._changed.clear()
            now_s = self._clock.monotonic()
            while self._heap and self._heap[0][0] <= now_s and self._running < RUNNING_MAX:
                _, _, watched, probe = heapq.heappop(self._heap)
                if not watched.gone and not (watched.leaving and probe.kind != "readiness"):
                    self._running += 1
                    self._supervisor.start(f"probe/{probe.kind}/{watched.container_id[:12]}", self._run(watched, probe))
            wait_s = None
            if self._heap and self._running < RUNNING_MAX:
                wait_s = max(0.0, self._heap[0][0] - now_s)
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _push(self, watched: _Watched, probe: _Probe) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (probe.due_s, self._sequence, watched, probe))
        self._changed.set()

    async def _run(self, watched: _Watched, probe: _Probe) -> None:
        try:
            outcome = await watched.target.probe(probe.spec, watched.container, watched.container_id, watched.address, watched.worker.pod)
        except Exception as error:
            log.error("probe crashed", container=watched.container_id, error=error)
            outcome = Outcome(None, repr(error))
        finally:
            self._running -= 1
            self._changed.set()
        if watched.gone or (watched.leaving and probe.kind != "readiness"):
            return
        if outcome.ok is False and self._clock.monotonic() + probe.eager_delay_s < probe.eager_until_s:
            probe.due_s = self._clock.monotonic() + probe.eager_delay_s
            probe.eager_delay_s *= 2
            self._push(watched, probe)
            return
        probe.eager_until_s = 0.0
        again = self._note(watched, probe, outcome)
        if again and not outcome.settled:
            period_s = probe.spec.get("periodSeconds", 10)
            probe.due_s = max(self._clock.monotonic(), probe.due_s + period_s)
            self._push(watched, probe)

    def _note(self, watched: _Watched, probe: _Probe, outcome: Outcome) -> bool:
        """Counts the outcome and acts at the thresholds; whether this probe goes on."""
        result = (probe.kind, "unknown" if outcome.ok is None else "successful" if outcome.ok else "failed")
        watched.results[result] = watched.results.get(result, 0) + 1
        if outcome.ok is not True:
            word = "failed" if outcome.ok is False else "errored"
            message = f"{probe.kind.capitalize()} probe {word}: {outcome.output[:OUTPUT_MAX]}"
            watched.sink.pod_event(watched.worker, "Warning", "Unhealthy", message, watched.container["name"])
        if outcome.ok is None:
            return True
        if outcome.ok:
            probe.successes, probe.failures = probe.successes + 1, 0
            if probe.successes >= probe.spec.get("successThreshold", 1) or outcome.settled:
                return self._succeeded(watched, probe)
        else:
            probe.successes, probe.failures = 0, probe.failures + 1
            if probe.failures >= probe.spec.get("failureThreshold", 3):
                return self._failed(watched, probe)
        return True

    def _succeeded(self, watched: _Watched, probe: _Probe) -> bool:
        health = watched.health
        if probe.kind == "startup":
            health.started = True
            now_s = self._clock.monotonic()
            for other in watched.probes:
                if other is not probe:
                    other.due_s = max(now_s, other.due_s)
                    self._push(watched, other)
            watched.sink.health_changed(watched.worker.uid)
            return False
        if probe.kind == "readiness" and not health.ready:
            health.ready = True
            watched.sink.health_changed(watched.worker.uid)
        return True

    def _failed(self, watched: _Watched, probe: _Probe) -> bool:
        if probe.kind == "readiness":
            if watched.health.ready:
                watched.health.ready = False
                watched.sink.health_changed(watched.worker.uid)
            return True
        grace_s = probe.spec.get("terminationGracePeriodSeconds")
        name = watched.container["name"]
        message = f"Container {name} failed {probe.kind} probe, will be restarted"
        watched.worker.memory.doomed[watched.container_id] = Doom(message, float(grace_s) if grace_s is not None else None)
        self.forget(watched.container_id)
        watched.sink.health_changed(watched.worker.uid)
        return False
