"""What containers and pods use, as cAdvisor, the kubelet's resource metrics and its summary API tell of it.

`Pods` pairs what the runtime measures with what the API calls it; the three answers are made of that. A pod's own amounts are the sums of its
containers'.

Source: cadvisor metrics/prometheus.go with kubelet's container labels; kubelet metrics/collectors/resource_metrics.go; kubelet stats/v1alpha1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from podium.instrument.exposition import LineFamily, Lines, Pairs, escaped, label_text
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
        return _total(getattr(usage, field) for _, usage in self.containers)


def _total(amounts: Iterable[float | None]) -> float | None:
    """Of those that are known; None when none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


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
_CPU = "container_cpu_usage_seconds_total"
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


_AMOUNTS: Callable[[ContainerUsage], tuple[float | None, ...]] = attrgetter(*(field for _, _, field, _ in _CADVISOR))
"""All that _CADVISOR shows of a container, in that order."""


def cadvisor(measured: Measured, now_s: float, out: Lines) -> None:
    """/metrics/cadvisor."""
    out.add("container_scrape_error", "gauge", "1 when containers could not be measured, 0 otherwise.", "", bool(measured.failure))
    families = [out.family(metric, kind, text) for metric, kind, _, text in _CADVISOR]
    of_pods = [(number, family) for number, family in enumerate(families) if family.name in _OF_PODS]
    for pod in measured.pods:
        amounts = [_AMOUNTS(usage) for _, usage in pod.containers]
        of_pod = f"/kubepods/pod{pod.uid}"
        if amounts:
            whole = amounts[0] if len(amounts) == 1 else [_total(column) for column in zip(*amounts, strict=True)]
            _add([(family, whole[number]) for number, family in of_pods], *_labels(pod, container="", id=of_pod, image="", name=""))
        for (status, usage), own in zip(pod.containers, amounts, strict=True):
            labels, with_cpu = _labels(pod, container=status.name, id=f"{of_pod}/{status.id}", image=status.image, name=status.id)
            _add(zip(families, own, strict=True), labels, with_cpu)
            _container(pod, status, usage, now_s, labels, out)
        for interface in pod.interfaces:
            pairs = (
                ("id", of_pod),
                ("image", ""),
                ("interface", interface.name),
                ("name", ""),
                ("namespace", pod.namespace),
                ("pod", pod.name),
            )
            labels = label_text(pairs)
            for metric, field, text in _NETWORK:
                if (value := getattr(interface, field)) is not None:
                    out.add(f"container_network_{metric}", "counter", text, labels, value)


def _add(amounts: Iterable[tuple[LineFamily, float | None]], labels: str, with_cpu: str) -> None:
    """A line for each amount that is known. CPU time has a label of its own."""
    for family, value in amounts:
        if value is not None:
            family.add(with_cpu if family.name == _CPU else labels, value)


def _container(pod: MeasuredPod, status: ContainerStatus, usage: ContainerUsage, now_s: float, labels: str, out: Lines) -> None:
    for kind, value in (("pgfault", usage.page_faults), ("pgmajfault", usage.major_page_faults)):
        if value is not None:
            container, rest = labels.split(",", 1)
            start, end = rest.split(',namespace="', 1)  # labels go by their names
            more = f'{container},failure_type="{kind}",{start},namespace="{end},scope="container"'
            out.add("container_memory_failures_total", "counter", "Page faults.", more, value)
    out.add("container_last_seen", "gauge", "When a container was measured last, in seconds since the epoch.", labels, now_s)
    meaning = "When a container was started, in seconds since the epoch."
    out.add("container_start_time_seconds", "gauge", meaning, labels, status.started_ns / 1e9)
    _limits(pod.pod, status.name, labels, out)


def _limits(pod: Object, name: str, labels: str, out: Lines) -> None:
    for container in [*pod["spec"].get("initContainers", ()), *pod["spec"].get("containers", ())]:
        if container["name"] != name:
            continue
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        out.add("container_spec_cpu_period", "gauge", "The period of a CPU limit, in microseconds.", labels, 100_000)
        shares = max(2, _milli(str(requests.get("cpu", "0"))) * 1024 // 1000)
        out.add("container_spec_cpu_shares", "gauge", "A container's share of CPU under contention.", labels, shares)
        if "cpu" in limits:
            text = "CPU time that a container may use in a period, in microseconds."
            out.add("container_spec_cpu_quota", "gauge", text, labels, _milli(str(limits["cpu"])) * 100)
        most = _whole(str(limits["memory"])) if "memory" in limits else 0
        out.add("container_spec_memory_limit_bytes", "gauge", "The most memory that a container may use; 0: no limit.", labels, most)


_milli, _whole = lru_cache(maxsize=4096)(milli), lru_cache(maxsize=4096)(whole)
"""Many containers ask for few amounts."""


def _labels(pod: MeasuredPod, *, container: str, id: str, image: str, name: str) -> tuple[str, str]:
    """Upstream's labels as text, in alphabetical order; and the same with `cpu`."""
    rest = f'id="{id}",image="{escaped(image)}",name="{name}",namespace="{pod.namespace}",pod="{pod.name}"'
    return f'container="{container}",{rest}', f'container="{container}",cpu="total",{rest}'


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """The machine's, or of a simulated node the sum of its pods'."""

    cpu_s: float
    working_set_bytes: int


def resource_metrics(measured: Measured, node: NodeUsage | None, out: Lines) -> None:
    """/metrics/resource: what autoscaling reads."""
    out.add("resource_scrape_error", "gauge", "1 when containers could not be measured, 0 otherwise.", "", bool(measured.failure))
    if node is not None:
        out.add("node_cpu_usage_seconds_total", "counter", f"CPU time that a node has used, {_SECONDS}.", "", node.cpu_s)
        out.add("node_memory_working_set_bytes", "gauge", "Memory that a node uses.", "", node.working_set_bytes)
    for pod in measured.pods:
        where: Pairs = (("namespace", pod.namespace), ("pod", pod.name))
        of_pod = label_text(where)
        if (cpu := pod.total("cpu_s")) is not None:
            out.add("pod_cpu_usage_seconds_total", "counter", f"CPU time that a pod has used, {_SECONDS}.", of_pod, cpu)
        if (memory := pod.total("working_set_bytes")) is not None:
            out.add("pod_memory_working_set_bytes", "gauge", "Memory that a pod uses.", of_pod, memory)
        for status, usage in pod.containers:
            labels = label_text((("container", status.name), *where))
            text = "When a container was started, in seconds since the epoch."
            out.add("container_start_time_seconds", "gauge", text, labels, status.started_ns / 1e9)
            if usage.cpu_s is not None:
                out.add(_CPU, "counter", f"CPU time that a container has used, {_SECONDS}.", labels, usage.cpu_s)
            if usage.working_set_bytes is not None:
                text = "Memory that a container uses."
                out.add("container_memory_working_set_bytes", "gauge", text, labels, usage.working_set_bytes)


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
