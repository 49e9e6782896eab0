"""What containers and pods use, as cAdvisor, the kubelet's resource metrics and its summary API tell of it.

`Pods` pairs what the runtime measures with what the API calls it; the three answers are made of that. A pod's own amounts are the sums of its
containers'.

Source: cadvisor metrics/prometheus.go with kubelet's container labels; kubelet metrics/collectors/resource_metrics.go; kubelet stats/v1alpha1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from podium.instrument.exposition import Page, Pairs
from podium.node.pod_workers import PodWorkers
from podium.node.runtime.interface import ContainerState, ContainerStatus, RuntimeFailure
from podium.node.runtime.usage import ContainerUsage, InterfaceUsage, Measures, RuntimeUsage
from podium.objects.quantities import milli, whole
from podium.objects.values import Object


@dataclass(frozen=True, slots=True)
class MeasuredPod:
    """`containers` are those that run, with what they use."""

    namespace: str
    name: str
    uid: str
    pod: Object
    containers: tuple[tuple[ContainerStatus, ContainerUsage], ...]
    interfaces: tuple[InterfaceUsage, ...]

    def total(self, field: str) -> float | None:
        amounts = [amount for _, usage in self.containers if (amount := getattr(usage, field)) is not None]
        return sum(amounts) if amounts else None


@dataclass(frozen=True, slots=True)
class Measured:
    """`failure` says why a runtime could not be asked; its pods are then missing."""

    pods: tuple[MeasuredPod, ...]
    failure: str = ""


async def measure(nodes: Sequence[PodWorkers]) -> Measured:
    found: list[MeasuredPod] = []
    failure = ""
    for workers in nodes:
        runtime = workers.runtime
        if not isinstance(runtime, Measures):
            continue
        try:
            usage = await runtime.usage()
        except RuntimeFailure as error:
            failure = str(error)
            continue
        found.extend(_pods(workers, usage))
    return Measured(tuple(found), failure)


def _pods(workers: PodWorkers, usage: RuntimeUsage) -> Iterable[MeasuredPod]:
    for worker in workers.all():
        view, metadata = worker.view, worker.pod["metadata"]
        containers = tuple(
            (status, usage.containers[status.id])
            for status in view.containers
            if status.state is ContainerState.RUNNING and status.id in usage.containers
        )
        sandbox = view.sandboxes[0].id if view.sandboxes else ""
        interfaces = tuple(usage.interfaces.get(sandbox, ()))
        if containers or interfaces:
            yield MeasuredPod(metadata["namespace"], metadata["name"], metadata.get("uid", ""), worker.pod, containers, interfaces)


_SECONDS = "in seconds"
_CADVISOR = (
    ("container_cpu_usage_seconds_total", "counter", "cpu_s", f"CPU time used, {_SECONDS}."),
    ("container_cpu_user_seconds_total", "counter", "user_s", f"CPU time used outside of the kernel, {_SECONDS}."),
    ("container_cpu_system_seconds_total", "counter", "system_s", f"CPU time used in the kernel, {_SECONDS}."),
    ("container_cpu_cfs_periods_total", "counter", "cpu_periods", "Periods in which CPU was limited."),
    ("container_cpu_cfs_throttled_periods_total", "counter", "cpu_throttled_periods", "Periods in which the limit was reached."),
    ("container_cpu_cfs_throttled_seconds_total", "counter", "cpu_throttled_s", f"How long the limit held processes up, {_SECONDS}."),
    ("container_memory_usage_bytes", "gauge", "memory_bytes", "Memory used, whatever it holds."),
    ("container_memory_working_set_bytes", "gauge", "working_set_bytes", "Memory used that cannot be given back under pressure."),
    ("container_memory_rss", "gauge", "rss_bytes", "Memory that no file backs."),
    ("container_memory_cache", "gauge", "cache_bytes", "Memory that holds pages of files."),
    ("container_oom_events_total", "counter", "out_of_memory_kills", "Processes killed because memory ran out."),
    ("container_processes", "gauge", "processes", "Processes that run."),
    ("container_fs_usage_bytes", "gauge", "filesystem_bytes", "Bytes written to the container's own layer."),
)
_OF_PODS = frozenset({
    "container_cpu_usage_seconds_total", "container_cpu_user_seconds_total", "container_cpu_system_seconds_total", "container_memory_usage_bytes",
    "container_memory_working_set_bytes", "container_memory_rss", "container_memory_cache", "container_processes",
})  # fmt: skip
"""Those that a pod has as well, as a whole: with empty labels `container`, `image` and `name`."""
_NETWORK = (
    ("receive_bytes_total", "received_bytes", "Bytes received."),
    ("receive_packets_total", "received_packets", "Packets received."),
    ("receive_errors_total", "received_errors", "Errors in receiving."),
    ("receive_packets_dropped_total", "received_dropped", "Received packets that were dropped."),
    ("transmit_bytes_total", "sent_bytes", "Bytes sent."),
    ("transmit_packets_total", "sent_packets", "Packets sent."),
    ("transmit_errors_total", "sent_errors", "Errors in sending."),
    ("transmit_packets_dropped_total", "sent_dropped", "Packets to be sent that were dropped."),
)


def cadvisor(measured: Measured, now_s: float, page: Page) -> None:
    """/metrics/cadvisor."""
    page.gauge("container_scrape_error", "1 when containers could not be measured, 0 otherwise.", bool(measured.failure))
    for pod in measured.pods:
        whole_pod = _labels(pod, container="", image="", name="", id=f"/kubepods/pod{pod.uid}")
        for metric, kind, field, text in _CADVISOR:
            if metric in _OF_PODS and (total := pod.total(field)) is not None:
                page.family(metric, kind, text).samples["", _with_cpu(metric, whole_pod)] = total
        for status, usage in pod.containers:
            _container(pod, status, usage, now_s, page)
        for interface in pod.interfaces:
            labels = tuple(sorted((*(pair for pair in whole_pod if pair[0] != "container"), ("interface", interface.name))))
            for metric, field, text in _NETWORK:
                if (value := getattr(interface, field)) is not None:
                    page.counter(f"container_network_{metric}", text, value, labels)


def _container(pod: MeasuredPod, status: ContainerStatus, usage: ContainerUsage, now_s: float, page: Page) -> None:
    labels = _labels(pod, container=status.name, image=status.image, name=status.id, id=f"/kubepods/pod{pod.uid}/{status.id}")
    for metric, kind, field, text in _CADVISOR:
        if (value := getattr(usage, field)) is not None:
            page.family(metric, kind, text).samples["", _with_cpu(metric, labels)] = value
    for kind, field in (("pgfault", "page_faults"), ("pgmajfault", "major_page_faults")):
        if (value := getattr(usage, field)) is not None:
            more = (("failure_type", kind), ("scope", "container"))
            page.counter("container_memory_failures_total", "Page faults.", value, tuple(sorted((*labels, *more))))
    page.gauge("container_last_seen", "When a container was measured last, in seconds since the epoch.", now_s, labels)
    text = "When a container was started, in seconds since the epoch."
    page.gauge("container_start_time_seconds", text, status.started_ns / 1e9, labels)
    _limits(pod.pod, status.name, labels, page)


def _limits(pod: Object, name: str, labels: Pairs, page: Page) -> None:
    for container in [*pod["spec"].get("initContainers", ()), *pod["spec"].get("containers", ())]:
        if container["name"] != name:
            continue
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        page.gauge("container_spec_cpu_period", "The period of a CPU limit, in microseconds.", 100_000, labels)
        shares = max(2, milli(str(requests.get("cpu", "0"))) * 1024 // 1000)
        page.gauge("container_spec_cpu_shares", "A container's share of CPU under contention.", shares, labels)
        if "cpu" in limits:
            text = "CPU time that a container may use in a period, in microseconds."
            page.gauge("container_spec_cpu_quota", text, milli(str(limits["cpu"])) * 100, labels)
        most = whole(str(limits["memory"])) if "memory" in limits else 0
        page.gauge("container_spec_memory_limit_bytes", "The most memory that a container may use; 0: no limit.", most, labels)


def _labels(pod: MeasuredPod, *, container: str, image: str, name: str, id: str) -> Pairs:
    """Upstream's, in alphabetical order."""
    return (("container", container), ("id", id), ("image", image), ("name", name), ("namespace", pod.namespace), ("pod", pod.name))


def _with_cpu(metric: str, labels: Pairs) -> Pairs:
    return (labels[0], ("cpu", "total"), *labels[1:]) if metric == "container_cpu_usage_seconds_total" else labels


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """The machine's, or of a simulated node the sum of its pods'."""

    cpu_s: float
    working_set_bytes: int


def resource_metrics(measured: Measured, node: NodeUsage | None, page: Page) -> None:
    """/metrics/resource: what autoscaling reads."""
    page.gauge("resource_scrape_error", "1 when containers could not be measured, 0 otherwise.", bool(measured.failure))
    if node is not None:
        page.counter("node_cpu_usage_seconds_total", f"CPU time that a node has used, {_SECONDS}.", node.cpu_s)
        page.gauge("node_memory_working_set_bytes", "Memory that a node uses.", node.working_set_bytes)
    for pod in measured.pods:
        where: Pairs = (("namespace", pod.namespace), ("pod", pod.name))
        if (cpu := pod.total("cpu_s")) is not None:
            page.counter("pod_cpu_usage_seconds_total", f"CPU time that a pod has used, {_SECONDS}.", cpu, where)
        if (memory := pod.total("working_set_bytes")) is not None:
            page.gauge("pod_memory_working_set_bytes", "Memory that a pod uses.", memory, where)
        for status, usage in pod.containers:
            labels = (("container", status.name), *where)
            text = "When a container was started, in seconds since the epoch."
            page.gauge("container_start_time_seconds", text, status.started_ns / 1e9, labels)
            if usage.cpu_s is not None:
                page.counter("container_cpu_usage_seconds_total", f"CPU time that a container has used, {_SECONDS}.", usage.cpu_s, labels)
            if usage.working_set_bytes is not None:
                page.gauge("container_memory_working_set_bytes", "Memory that a container uses.", usage.working_set_bytes, labels)


def summary(name: str, measured: Measured, node: NodeUsage | None, now: datetime) -> dict[str, Any]:
    """/stats/summary."""
    time = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    of_node: dict[str, Any] = {"nodeName": name}
    if node is not None:
        of_node |= _amounts(time, node.cpu_s, node.working_set_bytes, None, None)
    return {"node": of_node, "pods": [_pod_summary(pod, time) for pod in measured.pods]}


def _pod_summary(pod: MeasuredPod, time: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "startTime": (pod.pod.get("status") or {}).get("startTime"),
        "containers": [_container_summary(status, usage, time) for status, usage in pod.containers],
        **_amounts(time, pod.total("cpu_s"), pod.total("working_set_bytes"), pod.total("memory_bytes"), pod.total("rss_bytes")),
    }
    if pod.interfaces:
        each = [
            {"name": i.name, "rxBytes": i.received_bytes, "rxErrors": i.received_errors, "txBytes": i.sent_bytes, "txErrors": i.sent_errors}
            for i in pod.interfaces
        ]
        found["network"] = {"time": time, **each[0], "interfaces": each}
    return found


def _container_summary(status: ContainerStatus, usage: ContainerUsage, time: str) -> dict[str, Any]:
    started = datetime.fromtimestamp(status.started_ns // 1_000_000_000, UTC)
    found: dict[str, Any] = {"name": status.name, "startTime": f"{started:%Y-%m-%dT%H:%M:%SZ}"}
    found |= _amounts(time, usage.cpu_s, usage.working_set_bytes, usage.memory_bytes, usage.rss_bytes)
    if usage.filesystem_bytes is not None:
        found |= {"rootfs": {"time": time, "usedBytes": usage.filesystem_bytes, "inodesUsed": usage.filesystem_inodes}}
    return found


def _amounts(time: str, cpu_s: float | None, working_set: float | None, used: float | None, rss: float | None) -> dict[str, Any]:
    memory = {"workingSetBytes": working_set, "usageBytes": used, "rssBytes": rss}
    found: dict[str, Any] = {"memory": {"time": time, **{key: value for key, value in memory.items() if value is not None}}}
    if cpu_s is not None:
        found["cpu"] = {"time": time, "usageCoreNanoSeconds": int(cpu_s * 1e9)}
    return found
