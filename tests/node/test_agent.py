import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from podium.node.agent import NodeAgent
from podium.node.config import NodeConfig
from podium.node.role import run_node
from podium.node.runtime.interface import RuntimeInfo, RuntimeUnavailable
from podium.objects.resources import resource
from podium.objects.status import ServiceUnavailable
from podium.objects.values import Object
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient
from tests.node.flaky_runtime import FlakyRuntime
from tests.node.scene import PODS, pod

NODES, EVENTS, LEASES = resource("nodes"), resource("events"), resource("leases", "coordination.k8s.io")


class Bench:
    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.client = FakeClient(world)
        self.runtime = FlakyRuntime(world)
        self.away = False
        self.runtime.info = self._info  # type: ignore[attr-defined]
        self.supervisor = Supervisor("agent")
        capacity = {"cpu": "4", "memory": "8Gi"}
        self.config = NodeConfig(
            "n1", "192.168.0.5", directory, capacity=capacity, reserved={"cpu": "500m", "memory": "1Gi"}, labels={"tier": "x"}
        )

    async def _info(self) -> RuntimeInfo:
        if self.away:
            raise RuntimeUnavailable("connection refused")
        return RuntimeInfo("simulated", "1")

    async def start(self) -> NodeAgent:
        return await run_node(self.config, self.client, self.world, self.runtime, self.supervisor)  # type: ignore[arg-type]

    def node(self) -> Object:
        (node,) = self.client.all(NODES)
        return node

    def ready(self) -> tuple[str, str]:
        (condition,) = [c for c in self.node()["status"]["conditions"] if c["type"] == "Ready"]
        return condition["status"], condition["message"]

    def reasons(self) -> list[str]:
        return [e["reason"] for e in self.client.all(EVENTS) if e["involvedObject"]["kind"] == "Node"]


def on_bench(tmp_path: Path, main: Callable[[Bench], Awaitable[None]]) -> None:
    async def entry(world: World) -> None:
        bench = Bench(world, tmp_path)
        await main(bench)
        await bench.supervisor.stop()

    virtual.run(entry)


def test_a_node_registers_with_what_it_has(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.start()
        await asyncio.sleep(1)
        node = bench.node()
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1" and node["metadata"]["labels"]["tier"] == "x"
        status = node["status"]
        assert (status["capacity"]["cpu"], status["allocatable"]["cpu"]) == ("4", "3500m")
        assert (status["capacity"]["memory"], status["allocatable"]["memory"]) == ("8Gi", str(7 * 2**30))
        assert status["capacity"]["pods"] == "110"
        assert {"type": "InternalIP", "address": "192.168.0.5"} in status["addresses"]
        assert status["nodeInfo"]["containerRuntimeVersion"] == "simulated://1"
        assert bench.ready() == ("True", "kubelet is posting ready status")
        (lease,) = bench.client.all(LEASES)
        assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]
        assert "Starting" in bench.reasons() and "NodeReady" in bench.reasons()

    on_bench(tmp_path, main)


def test_a_known_node_keeps_its_own_labels_and_conditions(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        bench.client.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "n1", "labels": {"mine": "1", "kubernetes.io/hostname": "old"}},
                "spec": {"unschedulable": True},
                "status": {"conditions": [{"type": "NetworkUnavailable", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            }
        )
        await bench.start()
        node = bench.node()
        assert node["metadata"]["labels"]["mine"] == "1" and node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
        assert node["spec"]["unschedulable"]
        assert {c["type"] for c in node["status"]["conditions"]} >= {"NetworkUnavailable", "Ready"}

    on_bench(tmp_path, main)


def test_it_waits_for_a_runtime_and_an_api_that_are_late(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        bench.away = True
        bench.client.refuse("get", ServiceUnavailable("starting"), 3)
        starting = bench.supervisor.start("starting", bench.start())
        await asyncio.sleep(10)
        assert not starting.done() and bench.client.all(NODES) == []
        bench.away = False
        await asyncio.sleep(10)
        assert starting.done() and bench.ready()[0] == "True"

    on_bench(tmp_path, main)


def test_a_runtime_that_goes_away_makes_the_node_not_ready_until_it_is_back(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.start()
        await asyncio.sleep(15)
        bench.away = True
        await asyncio.sleep(15)
        assert bench.ready() == ("False", "container runtime is down: connection refused")
        assert "NodeNotReady" in bench.reasons()
        bench.away = False
        await asyncio.sleep(15)
        assert bench.ready()[0] == "True"

    on_bench(tmp_path, main)


def test_a_quiet_node_writes_its_status_every_five_minutes_and_its_lease_every_ten_seconds(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.start()
        await asyncio.sleep(20)
        bench.client.log.clear()
        await asyncio.sleep(600)
        writes = [key for _, key, _ in bench.client.log]
        assert sum("/nodes/" in key for key in writes) == 2
        assert 55 <= sum("/leases/" in key for key in writes) <= 65

    on_bench(tmp_path, main)


def test_stopping_the_agent_leaves_containers_and_the_next_one_ends_orphans(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.start()
        bench.client.put(pod("stays"))
        bench.client.put(pod("goes"))
        await asyncio.sleep(5)
        await bench.supervisor.stop()
        assert len(await bench.runtime.list_containers()) == 2
        bench.client.remove(PODS, "goes", "default")
        bench.supervisor = Supervisor("agent")
        agent = await bench.start()
        await asyncio.sleep(15)
        assert [s.name for s in await bench.runtime.list_sandboxes()] == ["stays"]
        assert bench.client.all(PODS)[0]["status"]["containerStatuses"][0]["restartCount"] == 0
        assert agent.find("default", "stays") is not None and agent.find("default", "goes") is None

    on_bench(tmp_path, main)
