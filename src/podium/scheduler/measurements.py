"""What the scheduler counts, under upstream's names (scheduler_*).

Source: kubernetes pkg/scheduler/metrics/metrics.go.
"""

from podium.instrument.metrics import Distribution, Registry, Value
from podium.scheduler.queue import SchedulingQueue

SCHEDULED, UNSCHEDULABLE, ERROR = "scheduled", "unschedulable", "error"
_ATTEMPT_BUCKETS_S = tuple(0.001 * 2**n for n in range(15))
_PLACES = {"active": "active", "backoff": "backoff", "refused": "unschedulable"}


class Measurements:
    """`profile` is the scheduler's name. Children are made once: an attempt costs two additions."""

    def __init__(self, registry: Registry, queue: SchedulingQueue, profile: str) -> None:
        names = ("profile", "result")
        attempts = registry.counter("scheduler_schedule_attempts_total", "Attempts to find a node for a pod, by result.", names)
        text = "How long an attempt to find a node for a pod takes."
        seconds = registry.histogram("scheduler_scheduling_attempt_duration_seconds", text, names, _ATTEMPT_BUCKETS_S)
        self._results: dict[str, tuple[Value, Distribution]] = {
            result: (attempts.labels(profile, result), seconds.labels(profile, result)) for result in (SCHEDULED, UNSCHEDULABLE, ERROR)
        }
        text = "Attempts that it took to give a pod a node."
        self._tries = registry.histogram("scheduler_pod_scheduling_attempts", text, (), (1, 2, 4, 8, 16)).labels()
        registry.read("scheduler_pending_pods", "gauge", "Pods that wait, by queue.", ("queue",), lambda: _pending(queue))

    def attempted(self, result: str, seconds: float) -> None:
        count, distribution = self._results[result]
        count.value += 1
        distribution.observe(seconds)

    def scheduled(self, attempts: int) -> None:
        """A pod was given a node after so many attempts."""
        self._tries.observe(attempts)


def _pending(queue: SchedulingQueue) -> list[tuple[tuple[str, ...], float]]:
    counts = queue.places()
    return [((shown,), counts.get(place, 0)) for place, shown in _PLACES.items()]
