"""What work queues count, under client-go's names (workqueue_*), one label set a queue.

Source: client-go util/workqueue/metrics.go; k8s.io/component-base metrics/prometheus/workqueue.
"""

from typing import TYPE_CHECKING

from podium.instrument.metrics import Registry
from podium.world.interface import Clock

if TYPE_CHECKING:
    from podium.client.work_queue import WorkQueue

_BUCKETS_S = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
_NAMES = ("name",)

UPSTREAM = {
    "deployments": "deployment", "replicasets": "replicaset", "replicationcontrollers": "replicationmanager", "jobs": "job",
    "stateful-sets": "statefulset", "daemon-sets": "daemonset", "cron-jobs": "cronjob", "endpoints": "endpoint", "namespaces": "namespace",
    "resource-quotas": "resourcequota_primary", "certificate-signing": "certificate", "node-lifecycle": "node_lifecycle_controller",
    "garbage-collection": "garbage_collector_attempt_to_delete", "taint-eviction": "noexec_taint_pod",
    "cluster-role-aggregation": "ClusterRoleAggregator", "endpoint-slices": "endpoint_slice", "service-accounts": "serviceaccount",
    "root-ca": "root_ca_cert_publisher", "pv-protection": "pvprotection", "pvc-protection": "pvcprotection",
}  # fmt: skip
"""Our control loops whose queues have other names upstream; the rest differ in the hyphen at most."""


class QueueFamilies:
    """Once a registry; queues of one name (several loops of it, one after the other) count together."""

    def __init__(self, registry: Registry) -> None:
        self.adds = registry.counter("workqueue_adds_total", "Keys added.", _NAMES)
        self.retries = registry.counter("workqueue_retries_total", "Keys added again after a failure.", _NAMES)
        text = "How long keys wait before they are worked on."
        self.waits = registry.histogram("workqueue_queue_duration_seconds", text, _NAMES, _BUCKETS_S)
        self.works = registry.histogram("workqueue_work_duration_seconds", "How long work on a key takes.", _NAMES, _BUCKETS_S)
        self.queues: dict[str, QueueMetrics] = {}
        registry.read("workqueue_depth", "gauge", "Keys that wait.", _NAMES, lambda: [((n,), len(q.queue)) for n, q in self._sorted()])
        text = "Seconds of work that is in progress."
        registry.read(
            "workqueue_unfinished_work_seconds", "gauge", text, _NAMES, lambda: [((n,), sum(q.ages())) for n, q in self._sorted()]
        )
        text = "How long the oldest work has been in progress."
        name = "workqueue_longest_running_processor_seconds"
        registry.read(name, "gauge", text, _NAMES, lambda: [((n,), max(q.ages(), default=0.0)) for n, q in self._sorted()])

    def _sorted(self) -> "list[tuple[str, QueueMetrics]]":
        return sorted(self.queues.items())

    def of(self, name: str, queue: "WorkQueue", clock: Clock) -> "QueueMetrics":
        name = UPSTREAM.get(name) or name.replace("-", "_")
        found = self.queues[name] = QueueMetrics(self, name, queue, clock)
        return found


class QueueMetrics:
    def __init__(self, families: QueueFamilies, name: str, queue: "WorkQueue", clock: Clock) -> None:
        self.queue = queue
        self._monotonic = clock.monotonic
        self._adds = families.adds.labels(name)
        self._retries = families.retries.labels(name)
        self._waits = families.waits.labels(name)
        self._works = families.works.labels(name)
        self._added_s: dict[str, float] = {}
        self._taken_s: dict[str, float] = {}

    def added(self, key: str) -> None:
        self._adds.add()
        self._added_s[key] = self._monotonic()

    def taken(self, key: str) -> None:
        now_s = self._taken_s[key] = self._monotonic()
        self._waits.observe(now_s - self._added_s.pop(key, now_s))

    def done(self, key: str) -> None:
        taken_s = self._taken_s.pop(key, None)
        if taken_s is not None:
            self._works.observe(self._monotonic() - taken_s)

    def retried(self) -> None:
        self._retries.add()

    def ages(self) -> list[float]:
        """How long each key has been worked on, in seconds."""
        now_s = self._monotonic()
        return [now_s - taken_s for taken_s in self._taken_s.values()]
