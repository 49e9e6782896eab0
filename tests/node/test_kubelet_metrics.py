"""What a node agent serves of metrics, and to whom."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.instrument.metrics import Registry
from podium.node.access import Denied, NodeAccess, subresource_of
from podium.node.kubelet_metrics import KubeletMetrics, UnknownNode
from podium.node.probes import ProbeSchedule
from podium.node.runtime.interface import RuntimeFailure
from podium.node.runtime.simulated import SimulatedRuntime
from podium.node.runtime.usage import ContainerUsage, InterfaceUsage, RuntimeUsage
from podium.node.server import NodeServer
from podium.objects.status import ServiceUnavailable
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Peer, Response
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.node.scene import Scene, container, pod


def request(path: str, query: str = "", peer: Peer | None = None, method: str = "GET", **headers: str) -> HttpRequest:
    values = {"node": [query]} if query else {}
    return HttpRequest(method, path, path, values, headers, b"", peer)


def scene(check: Callable[[Scene, KubeletMetrics], Awaitable[None]], pods: list[Any] | None = None) -> None:
    async def main(world: World) -> None:
        found = Scene(world)
        metrics = KubeletMetrics(lambda: [found.workers], found.probes, world, {"kube-proxy": _proxy()})
        requests = {"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}}
        for value in pods or [pod(containers=[container(resources=requests), container("side")])]:
            found.client.put(value)
        await asyncio.sleep(100)
        await check(found, metrics)
        await found.stop()

    virtual.run(main)


def _proxy() -> Registry:
    registry = Registry()
    registry.counter("kubeproxy_things_total", "Things.").labels().add(3)
    return registry


async def text(metrics: KubeletMetrics, path: str, query: str = "") -> str:
    return (await metrics.respond(request(path, query))).body.decode()


def value(text: str, start: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(start)]
    assert len(lines) == 1, (start, lines)
    return float(lines[0].rpartition(" ")[2])


def test_cadvisor_shows_containers_and_pods_with_upstream_s_labels() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        shown = await text(metrics, "/metrics/cadvisor")
        uid = found.workers.all()[0].uid
        status = found.workers.all()[0].view.newest("app")
        assert status is not None
        labels = f'container="app",cpu="total",id="/kubepods/pod{uid}/{status.id}",image="app:1",name="{status.id}",namespace="default",pod="web"'
        used = value(shown, "container_cpu_usage_seconds_total{" + labels + "}")
        assert 45 < used <= 50
        assert used == pytest.approx((found.workers.now_s() - status.started_ns / 1e9) / 2)
        whole = f'container="",cpu="total",id="/kubepods/pod{uid}",image="",name="",namespace="default",pod="web"'
        assert value(shown, "container_cpu_usage_seconds_total{" + whole + "}") == pytest.approx(used * 1.002, rel=1e-3)
        assert value(shown, 'container_memory_working_set_bytes{container="app"') == 64 * 1024 * 1024
        assert value(shown, 'container_memory_working_set_bytes{container=""') == 80 * 1024 * 1024
        assert value(shown, 'container_spec_memory_limit_bytes{container="app"') == 128 * 1024 * 1024
        assert value(shown, 'container_spec_cpu_quota{container="app"') == 100_000
        assert value(shown, "container_scrape_error") == 0
        assert "machine_cpu_cores" not in shown  # there is no machine

    scene(check)


def test_resource_metrics_are_what_autoscaling_reads() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        shown = await text(metrics, "/metrics/resource")
        assert value(shown, 'container_memory_working_set_bytes{container="app",namespace="default",pod="web"}') == 64 * 1024 * 1024
        assert value(shown, 'pod_memory_working_set_bytes{namespace="default",pod="web"}') == 80 * 1024 * 1024
        assert value(shown, "node_memory_working_set_bytes") == 80 * 1024 * 1024
        assert value(shown, "node_cpu_usage_seconds_total") == value(shown, "pod_cpu_usage_seconds_total")
        assert value(shown, "resource_scrape_error") == 0

    scene(check)


def test_the_kubelet_counts_its_pods_and_its_calls() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        runtime = metrics.measured(found.runtime)
        await runtime.list_containers()
        with pytest.raises(RuntimeFailure):
            await runtime.start_container("nonsense")
        shown = await text(metrics, "/metrics")
        assert value(shown, 'kubelet_node_name{node="n1"}') == 1
        assert value(shown, "kubelet_running_pods ") == 1
        assert value(shown, 'kubelet_running_containers{container_state="running"}') == 2
        assert value(shown, 'kubelet_desired_pods{static="false"}') == 1
        assert value(shown, 'kubelet_runtime_operations_total{operation_type="list_containers"}') == 1
        assert value(shown, 'kubelet_runtime_operations_errors_total{operation_type="start_container"}') == 1
        assert value(shown, 'kubelet_started_containers_errors_total{container_type="container",code="RunContainerError"}') == 1
        assert await text(metrics, "/metrics/kube-proxy") == (
            "# HELP kubeproxy_things_total Things.\n# TYPE kubeproxy_things_total counter\nkubeproxy_things_total 3\n"
        )

    scene(check)


def test_started_containers_are_counted_by_type() -> None:
    async def main(world: World) -> str:
        metrics = KubeletMetrics(lambda: [found.workers], ProbeSchedule(world, Supervisor("none")), world)
        found = Scene(world, metrics.measured(SimulatedRuntime(world, "n1", "10.0.1.0/24")))
        briefly = {"podium.dev/simulated-run-duration": "5s"}
        found.client.put(pod(containers=[container()], initContainers=[container("init")], annotations=briefly))
        await asyncio.sleep(20)
        await found.stop()
        return (await metrics.respond(request("/metrics"))).body.decode()

    shown = virtual.run(main)
    assert value(shown, 'kubelet_started_containers_total{container_type="init_container"}') == 1
    assert value(shown, 'kubelet_started_containers_total{container_type="container"}') >= 1
    assert value(shown, "kubelet_started_pods_total") == 1
    assert value(shown, "kubelet_started_pods_errors_total") == 0


def test_probes_are_counted_by_result() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        shown = await text(metrics, "/metrics/probes")
        uid = found.workers.all()[0].uid
        labels = f'container="app",namespace="default",pod="web",pod_uid="{uid}",probe_type="Readiness",result="successful"'
        assert value(shown, f"prober_probe_total{{{labels}}}") >= 1

    scene(check, [pod(containers=[container(readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 10})])])


def test_the_summary_tells_the_same() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        shown = json.loads(await text(metrics, "/stats/summary"))
        assert shown["node"]["nodeName"] == "n1"
        assert shown["node"]["memory"]["workingSetBytes"] == 80 * 1024 * 1024
        (told,) = shown["pods"]
        assert told["podRef"]["name"] == "web"
        containers = {c["name"]: c for c in told["containers"]}
        assert sorted(containers) == ["app", "side"]
        assert containers["app"]["cpu"]["usageCoreNanoSeconds"] > 45e9

    scene(check)


def test_annotations_say_what_a_simulated_container_uses() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        shown = await text(metrics, "/metrics/resource")
        assert value(shown, "container_memory_working_set_bytes") == 300 * 1024 * 1024
        assert 180 < value(shown, "container_cpu_usage_seconds_total") <= 200

    scene(check, [pod(annotations={"podium.dev/simulated-cpu": "2", "podium.dev/simulated-memory": "300Mi"})])


def test_an_answer_is_narrowed_to_a_node() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        assert "pod_memory" in await text(metrics, "/metrics/resource", "n1")
        with pytest.raises(UnknownNode):
            await text(metrics, "/metrics/resource", "n2")

    scene(check)


def test_what_a_runtime_measures_is_shown_and_its_failure_told() -> None:
    async def check(found: Scene, metrics: KubeletMetrics) -> None:
        (worker,) = found.workers.all()
        network = InterfaceUsage("eth0", 1, 2, 3, 4, 5, 6, 7, None)
        first = worker.view.containers[0]
        usage = ContainerUsage(cpu_s=1.5, page_faults=9, cpu_throttled_s=0.5, out_of_memory_kills=1)

        async def answers() -> RuntimeUsage:
            return RuntimeUsage({first.id: usage, "unknown": usage}, {worker.view.sandboxes[0].id: [network]})

        found.runtime.usage = answers
        shown = await text(metrics, "/metrics/cadvisor")
        assert value(shown, "container_network_receive_bytes_total{") == 1
        assert 'interface="eth0"' in shown and "container_network_transmit_packets_dropped_total" not in shown
        assert value(shown, "container_memory_failures_total{") == 9
        assert value(shown, "container_oom_events_total{") == 1
        assert "container_memory_usage_bytes" not in shown

        async def fails() -> RuntimeUsage:
            raise RuntimeFailure("gone")

        found.runtime.usage = fails
        assert await text(metrics, "/metrics/cadvisor") == (
            "# HELP container_scrape_error 1 when containers could not be measured, 0 otherwise.\n# TYPE container_scrape_error gauge\n"
            "container_scrape_error 1\n"
        )

    scene(check)


class Reviewer:
    """The API server's reviews: one token is known; alice may read metrics."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False

    async def create(self, resource: Any, value: Any, namespace: str | None = None, **more: Any) -> Any:
        self.asked.append(resource.plural)
        if self.down:
            raise ServiceUnavailable("down")
        spec = value["spec"]
        if resource.plural == "tokenreviews":
            known = spec["token"] == "good"
            return {"status": {"authenticated": known, "user": {"username": "alice", "groups": ["g"]} if known else {}}}
        attributes = spec["resourceAttributes"]
        allowed = spec["user"] == "alice" and attributes == {
            "verb": "get", "resource": "nodes", "name": "n1", "subresource": "metrics", "version": "v1",
        }  # fmt: skip
        return {"status": {"allowed": allowed}}


ACCESS = [
    ("/metrics", None, {"authorization": "Bearer good"}, 0),
    ("/metrics/cadvisor", Peer("alice", ()), {}, 0),
    ("/metrics", None, {}, 401),
    ("/metrics", None, {"authorization": "Bearer bad"}, 401),
    ("/metrics", None, {"authorization": "Basic Z29vZA=="}, 401),
    ("/metrics", Peer("bob", ()), {}, 403),
    ("/stats/summary", Peer("alice", ()), {}, 403),
]


@pytest.mark.parametrize(("path", "peer", "headers", "status"), ACCESS)
def test_the_api_server_decides_who_may_read(path: str, peer: Peer | None, headers: dict[str, str], status: int) -> None:
    async def main(world: World) -> int:
        try:
            await NodeAccess(Reviewer(), world).check(request(path, peer=peer, **headers), "n1")  # type: ignore[arg-type]
        except Denied as denied:
            return denied.status
        return 0

    assert virtual.run(main) == status


def test_decisions_are_remembered_for_a_while() -> None:
    async def main(world: World) -> None:
        reviewer = Reviewer()
        access = NodeAccess(reviewer, world)  # type: ignore[arg-type]
        for _ in range(3):
            await access.check(request("/metrics", authorization="Bearer good"), "n1")
        assert reviewer.asked == ["tokenreviews", "subjectaccessreviews"]
        await asyncio.sleep(200)
        await access.check(request("/metrics", authorization="Bearer good"), "n1")
        assert reviewer.asked == ["tokenreviews", "subjectaccessreviews", "tokenreviews"]
        reviewer.down = True
        with pytest.raises(Denied, match="cannot be asked"):
            await access.check(request("/metrics", authorization="Bearer other"), "n1")

    virtual.run(main)


def test_paths_have_upstream_s_subresources() -> None:
    paths = ["/metrics", "/metrics/cadvisor", "/stats/summary", "/stats", "/statsless", "/pods"]
    assert [subresource_of(path) for path in paths] == ["metrics", "metrics", "stats", "stats", "proxy", "proxy"]


def test_the_server_lets_in_who_may_and_the_api_server() -> None:
    async def main(world: World) -> list[int]:
        found = Scene(world)
        metrics = KubeletMetrics(lambda: [found.workers], found.probes, world)
        access = NodeAccess(Reviewer(), world)  # type: ignore[arg-type]
        server = NodeServer(lambda *_: None, "api", object(), metrics=metrics, access=access)  # type: ignore[arg-type]
        asked = [
            request("/metrics", peer=Peer("api", ())),
            request("/metrics", authorization="Bearer good"),
            request("/metrics"),
            request("/metrics", "n2", peer=Peer("api", ())),
            request("/metrics", method="POST", peer=Peer("api", ())),
            request("/exec/default/web/app", authorization="Bearer good"),
        ]
        answers = [await server._handle(each, None) for each in asked]  # type: ignore[arg-type]
        await found.stop()
        return [answer.status for answer in answers if isinstance(answer, Response)]

    assert virtual.run(main) == [200, 200, 401, 404, 405, 403]
