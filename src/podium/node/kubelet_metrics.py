"""The metrics that a node agent serves: its own (kubelet_*), those of its containers, its probes, and those of what else runs in its process.

Paths are the kubelet's (/metrics, /metrics/cadvisor, /metrics/resource, /metrics/probes, /stats/summary), and /metrics/NAME for each
other component of the process (kube-proxy, coredns). Several simulated nodes share one server: `?node=NAME` narrows an answer to one of them.

Source: kubelet/server/server.go (InstallDefaultHandlers), kubelet/metrics/metrics.go, kubelet/prober/prober_manager.go.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import orjson

from podium import __version__
from podium.instrument.exposition import Lines, label_text
from podium.instrument.metrics import Registry
from podium.node import container_metrics
from podium.node.container_metrics import NodeUsage
from podium.node.pod_workers import PodWorkers
from podium.node.probes import ProbeSchedule
from podium.node.runtime import simulated
from podium.node.runtime.interface import ContainerState, Runtime, RuntimeFailure
from podium.node.runtime.usage import TICK_S
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World

_OPERATION_BUCKETS_S = (0.005, 0.0125, 0.03125, 0.078125, 0.1953125, 0.48828125, 1.220703125, 3.0517578125, 7.62939453125, 19.073486328125)
_OPERATIONS = {
    "info": "version",
    "ensure_image": "pull_image",
    "run_sandbox": "run_podsandbox",
    "stop_sandbox": "stop_podsandbox",
    "remove_sandbox": "remove_podsandbox",
    "list_sandboxes": "list_podsandbox",
    "create_container": "create_container",
    "start_container": "start_container",
    "stop_container": "stop_container",
    "remove_container": "remove_container",
    "list_containers": "list_containers",
    "container_status": "container_status",
    "exec_sync": "exec_sync",
    "exec": "exec",
    "attach": "attach",
    "usage": "list_container_stats",
}
PATHS = ("/metrics", "/metrics/cadvisor", "/metrics/resource", "/metrics/probes", "/stats/summary")


class UnknownNode(Exception):
    """?node= names none of this server's."""


class KubeletMetrics:
    """`nodes` gives the nodes that this server speaks for; `components` are the registries of others in this process, by name."""

    def __init__(
        self,
        nodes: Callable[[], Sequence[PodWorkers]],
        probes: ProbeSchedule,
        world: World,
        components: Mapping[str, Registry] | None = None,
    ) -> None:
        self._nodes = nodes
        self._probes = probes
        self._clock = world.clock
        self._components = dict(components or {})
        self.registry = registry = Registry()
        registry.constant("kubernetes_build_info", "The version of this component; always 1.", {"git_version": f"v{__version__}"})
        registry.read("kubelet_node_name", "gauge", "The node's name; always 1.", ("node",), self._names)
        registry.read("kubelet_running_pods", "gauge", "Pods with a sandbox that is ready.", (), self._running_pods)
        registry.read("kubelet_running_containers", "gauge", "Containers, by state.", ("container_state",), self._container_states)
        registry.read("kubelet_desired_pods", "gauge", "Pods that the API wants on this node.", ("static",), self._desired_pods)
        labels = ("operation_type",)
        self.operations = registry.counter("kubelet_runtime_operations_total", "Calls to the container runtime.", labels)
        self.operation_errors = registry.counter("kubelet_runtime_operations_errors_total", "Calls to the runtime that failed.", labels)
        text = "How long calls to the container runtime took."
        self.operation_seconds = registry.histogram("kubelet_runtime_operations_duration_seconds", text, labels, _OPERATION_BUCKETS_S)
        self.started_pods = registry.counter("kubelet_started_pods_total", "Sandboxes that were started, or failed to.").labels()
        text = "Sandboxes that could not be started."
        self.started_pods_errors = registry.counter("kubelet_started_pods_errors_total", text).labels()
        text, kinds = "Containers that were started, or failed to.", ("container_type",)
        self.started_containers = registry.counter("kubelet_started_containers_total", text, kinds)
        text = "Containers that could not be started."
        self.started_containers_errors = registry.counter("kubelet_started_containers_errors_total", text, (*kinds, "code"))
        names = ("path", "method", "server_type", "long_running")
        self._requests = registry.counter("kubelet_http_requests_total", "Requests to this server.", names)

    def measured(self, runtime: Runtime) -> Runtime:
        """The same runtime, with its calls counted."""
        return cast(Runtime, MeasuredRuntime(runtime, self, self._clock.monotonic))

    def container_type(self, pod_uid: str, name: str) -> str:
        """container, init_container or ephemeral_container."""
        for workers in self._nodes():
            for worker in workers.all():
                if worker.uid == pod_uid:
                    spec = worker.pod["spec"]
                    for field, kind in (("initContainers", "init_container"), ("ephemeralContainers", "ephemeral_container")):
                        if any(container["name"] == name for container in spec.get(field) or ()):
                            return kind
        return "container"

    def served(self, path: str) -> bool:
        return path in PATHS or path.removeprefix("/metrics/") in self._components

    def count_request(self, request: HttpRequest) -> None:
        first = request.path.strip("/").split("/")[0] if not self.served(request.path) else request.path.strip("/")
        known = first if first in ("containerLogs", "exec", "attach", "healthz") or self.served(f"/{first}") else "other"
        streams = known in ("containerLogs", "exec", "attach")
        self._requests.labels(known, request.method, "readwrite", str(streams).lower()).add()

    def node_asked(self, request: HttpRequest) -> str:
        """Whose metrics these are, for who decides on access: the node that is named, or the only one, or any of several."""
        wanted = request.query.get("node", [""])[-1]
        if wanted:
            return wanted
        nodes = self._nodes()
        return nodes[0].node if len(nodes) == 1 else ""

    async def respond(self, request: HttpRequest) -> Response:
        """Raises UnknownNode."""
        wanted = request.query.get("node", [""])[-1]
        nodes = [workers for workers in self._nodes() if not wanted or workers.node == wanted]
        if wanted and not nodes:
            raise UnknownNode(wanted)
        name = request.path.removeprefix("/metrics/")
        if name in self._components:
            return self._components[name].respond(request.headers)
        if request.path == "/metrics":
            return self.registry.respond(request.headers)
        if request.path == "/stats/summary":
            return await self._summary(nodes)
        out = Lines()
        if request.path == "/metrics/probes":
            self._probe_results({workers.node for workers in nodes}, out)
        else:
            await self._containers(request.path, nodes, out)
        return out.respond(request.headers)

    async def _containers(self, path: str, nodes: Sequence[PodWorkers], out: Lines) -> None:
        measured = await container_metrics.measure(nodes)
        if path == "/metrics/resource":
            container_metrics.resource_metrics(measured, _usage_of(nodes, measured), out)
            return
        container_metrics.cadvisor(measured, self._clock.now().timestamp(), out)
        if nodes and not _is_simulated(nodes[0]):
            cores, memory = _machine()
            out.add("machine_cpu_cores", "gauge", "CPUs of the machine.", "", cores)
            out.add("machine_memory_bytes", "gauge", "Memory of the machine.", "", memory)

    async def _summary(self, nodes: Sequence[PodWorkers]) -> Response:
        measured = await container_metrics.measure(nodes)
        name = nodes[0].node if len(nodes) == 1 else ""
        body = container_metrics.summary(name, measured, _usage_of(nodes, measured), self._clock.now())
        return Response(200, orjson.dumps(body))

    def _probe_results(self, names: set[str], out: Lines) -> None:
        for worker, container, results in self._probes.results():
            if worker.pod["spec"].get("nodeName", "") not in names:
                continue
            metadata = worker.pod["metadata"]
            for (kind, result), count in results.items():
                labels = (
                    ("container", container), ("namespace", metadata["namespace"]), ("pod", metadata["name"]), ("pod_uid", worker.uid),
                    ("probe_type", kind.capitalize()), ("result", result),
                )  # fmt: skip
                out.add("prober_probe_total", "counter", "Results of a container's probes.", label_text(labels), count)

    def _names(self) -> list[tuple[tuple[str, ...], float]]:
        return [((workers.node,), 1.0) for workers in self._nodes()]

    def _running_pods(self) -> list[tuple[tuple[str, ...], float]]:
        count = sum(1 for workers in self._nodes() for worker in workers.all() if worker.view.sandbox is not None)
        return [((), count)]

    def _desired_pods(self) -> list[tuple[tuple[str, ...], float]]:
        return [(("false",), sum(1 for workers in self._nodes() for worker in workers.all() if not worker.over and not worker.gone))]

    def _container_states(self) -> list[tuple[tuple[str, ...], float]]:
        counts = dict.fromkeys(ContainerState, 0)
        for workers in self._nodes():
            for worker in workers.all():
                for status in worker.view.containers:
                    counts[status.state] += 1
        return [((str(state),), count) for state, count in counts.items()]


class MeasuredRuntime:
    """A runtime whose calls are counted and timed; everything else is the runtime's own."""

    def __init__(self, runtime: Runtime, metrics: KubeletMetrics, monotonic: Callable[[], float]) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._monotonic = monotonic
        self._types: dict[str, str] = {}
        """Of containers that were made and not started yet."""
        for method, operation in _OPERATIONS.items():
            call = getattr(runtime, method, None)
            if call is not None:
                setattr(self, method, self._counted(call, method, operation))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def _counted(self, call: Callable[..., Awaitable[Any]], method: str, operation: str) -> Callable[..., Awaitable[Any]]:
        metrics, monotonic = self._metrics, self._monotonic
        count, errors = metrics.operations.labels(operation), metrics.operation_errors.labels(operation)
        seconds = metrics.operation_seconds.labels(operation)

        async def counted(*arguments: Any, **options: Any) -> Any:
            began_s = monotonic()
            count.add()
            try:
                result = await call(*arguments, **options)
            except RuntimeFailure as failure:
                errors.add()
                self._note(method, arguments, None, failure)
                raise
            finally:
                seconds.observe(monotonic() - began_s)
            self._note(method, arguments, result, None)
            return result

        return counted

    def _note(self, method: str, arguments: tuple[Any, ...], result: Any, failure: RuntimeFailure | None) -> None:
        """Counts starts of sandboxes and containers, the latter by type."""
        metrics = self._metrics
        if method == "run_sandbox":
            metrics.started_pods.add()
            if failure is not None:
                metrics.started_pods_errors.add()
        elif method == "create_container" and failure is None:
            _, spec, sandbox = arguments
            self._types[result] = metrics.container_type(sandbox.uid, spec.name)
        elif method == "remove_container":
            self._types.pop(arguments[0], None)
        elif method == "start_container":
            kind = self._types.pop(arguments[0], "container")
            metrics.started_containers.labels(kind).add()
            if failure is not None:
                metrics.started_containers_errors.labels(kind, "RunContainerError").add()


def _is_simulated(workers: PodWorkers) -> bool:
    return workers.facts.runtime == simulated.NAME


def _usage_of(nodes: Sequence[PodWorkers], measured: container_metrics.Measured) -> NodeUsage | None:
    if len(nodes) != 1:
        return None
    if _is_simulated(nodes[0]):
        cpu = sum(pod.total("cpu_s") or 0 for pod in measured.pods)
        return NodeUsage(cpu, int(sum(pod.total("working_set_bytes") or 0 for pod in measured.pods)))
    try:
        with open("/proc/stat") as file:
            ticks = [int(word) for word in file.readline().split()[1:]]
        memory = _meminfo()
    except OSError:
        return None
    inactive = memory.get("Inactive(file)", 0)
    used = memory.get("MemTotal", 0) - memory.get("MemFree", 0) - inactive
    return NodeUsage((sum(ticks[:8]) - ticks[3] - ticks[4]) * TICK_S, used)


def _machine() -> tuple[int, int]:
    import os

    return os.cpu_count() or 0, _meminfo().get("MemTotal", 0)


def _meminfo() -> dict[str, int]:
    with open("/proc/meminfo") as file:
        return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in file if line.endswith("kB\n")}
