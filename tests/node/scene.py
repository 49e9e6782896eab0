"""A node on the virtual loop: the fake client as the API, a runtime, and the agent's machinery around one PodWorkers."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from podium.client.events import EventRecorder
from podium.client.mirror import Change, Mirror
from podium.node.pod_status import NodeFacts
from podium.node.pod_workers import NodeParts, PodWorkers, Shared
from podium.node.preparation import NoFiles
from podium.node.probe_targets import SimulatedTarget
from podium.node.probes import ProbeSchedule, ProbeTarget
from podium.node.runtime.interface import Runtime
from podium.node.runtime.simulated import SimulatedRuntime
from podium.node.status_writer import StatusWriter
from podium.objects.resources import resource
from podium.objects.values import Object
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient

PODS = resource("pods")
HOST_IP = "192.168.0.5"


def pod(name: str = "web", *, containers: list[Object] | None = None, node: str = "n1", **spec: Any) -> Object:
    annotations = spec.pop("annotations", None)
    value: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": containers or [container()], **spec},
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }
    if annotations:
        value["metadata"]["annotations"] = annotations
    return value


def container(name: str = "app", **fields: Any) -> Object:
    return {"name": name, "image": f"{name}:1", "imagePullPolicy": "IfNotPresent", **fields}


class Scene:
    """One node, `n1`. `restart` replaces the agent's memory and keeps the runtime, as after a crash of the agent."""

    def __init__(self, world: World, runtime: Runtime | None = None, target: ProbeTarget | None = None) -> None:
        self.world = world
        self.client = FakeClient(world)
        self.runtime: Any = runtime or SimulatedRuntime(world, "n1", "10.0.1.0/24")
        self._target = target or SimulatedTarget(world)
        self.history: dict[str, list[Object]] = {}
        self.start()

    def start(self) -> None:
        self.supervisor = Supervisor("scene")
        self.events = EventRecorder(self.client, self.world, "kubelet", "n1")
        self.writer = StatusWriter(self.client, self.world)
        self.probes = ProbeSchedule(self.world, self.supervisor)
        shared = Shared(self.world, self.supervisor, self.events, self.probes, self.writer.publish)
        parts = NodeParts("n1", NodeFacts(HOST_IP, "simulated"), self.runtime, NoFiles(), self._target, status_patience_s=None)
        self.workers = PodWorkers(parts, shared)
        self.mirror = Mirror(self.client, PODS, self.world, fields="spec.nodeName=n1")
        self.mirror.subscribe(self._changed)
        self.supervisor.start("events", self.events.run())
        self.supervisor.start("writer", self.writer.run())
        self.supervisor.start("probes", self.probes.run())
        self.supervisor.start("mirror", self.mirror.run())
        self.supervisor.start("changes", self._follow())

    async def restart(self) -> None:
        await self.supervisor.stop()
        self.start()
        await self.workers.observe()
        await self.mirror.synced()
        await self.workers.collect()

    async def stop(self) -> None:
        await self.supervisor.stop()

    def create(self, value: Object) -> Object:
        return self.client.put(value)

    def get(self, name: str = "web") -> Object | None:
        return next((p for p in self.client.all(PODS) if p["metadata"]["name"] == name), None)

    def status(self, name: str = "web") -> Object:
        found = self.get(name)
        assert found is not None, name
        status: Object = found["status"]
        return status

    def reasons(self) -> list[str]:
        """The reasons of the events written, oldest first."""
        return [e["reason"] for e in sorted(self.client.all(resource("events")), key=lambda e: int(e["metadata"]["resourceVersion"]))]

    def messages(self, reason: str) -> list[str]:
        return [e["message"] for e in self.client.all(resource("events")) if e["reason"] == reason]

    def _changed(self, change: Change) -> None:
        self.history.setdefault(change.object["metadata"]["name"], []).append(change.object)
        if change.new is None:
            self.workers.gone(change.object)
        else:
            self.workers.update(change.new)

    async def _follow(self) -> None:
        async for uid in self.runtime.changes():
            self.workers.poke(uid)


def play(main: Callable[[Scene], Awaitable[None]], **options: Any) -> None:
    """Runs `main(scene)` in a virtual world, and checks that nothing failed behind its back."""

    async def entry(world: World) -> None:
        make = options.pop("runtime", None)
        scene = Scene(world, make(world) if make else None, **options)
        await main(scene)
        await scene.stop()
        check_history(scene)

    virtual.run(entry, seed=1)


def check_history(scene: Scene) -> None:
    """What must hold of any sequence of statuses a pod went through."""
    for versions in scene.history.values():
        phases = [v["status"].get("phase") for v in versions]
        for before, after in pairwise(phases):
            assert before not in ("Succeeded", "Failed") or after == before, phases
        for field in ("containerStatuses", "initContainerStatuses"):
            counts: dict[str, int] = {}
            for version in versions:
                for entry in version["status"].get(field) or ():
                    assert entry["restartCount"] >= counts.get(entry["name"], 0), (entry["name"], versions)
                    counts[entry["name"]] = entry["restartCount"]
