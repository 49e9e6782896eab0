"""The control loops of this folder against the real API server, in process, on the virtual loop; a stand-in for scheduler and node agent."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from podium.api.authority import Authority
from podium.client.interface import DeleteOptions
from podium.client.mirrors import Mirrors
from podium.control_plane import build, start_controllers
from podium.objects.resources import resource
from podium.objects.status import Conflict, NotFound
from podium.store.memory import MemoryStore
from podium.world import virtual

PODS = resource("pods")


class ApiCluster:
    def __init__(self, world, plane):
        self.world = world
        self.plane = plane
        self.store = plane.server.core.store
        self.client = plane.client()
        self.mirrors = Mirrors(self.client, world, plane.controllers)
        self._address = 0

    async def items(self, kind, namespace="default"):
        return (await self.client.list(kind, namespace)).items

    async def run_pods(self, namespace="default"):
        """Binds and starts what waits, ends what is being deleted."""
        for pod in await self.items(PODS, namespace):
            name = pod["metadata"]["name"]
            try:
                if "deletionTimestamp" in pod["metadata"]:
                    await self.client.delete(PODS, name, namespace, DeleteOptions(grace_period_s=0))
                elif not pod["spec"].get("nodeName"):
                    target = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}}
                    await self.client.create(PODS, target, namespace, subresource="binding", name=name)
                elif pod["status"]["phase"] == "Pending":
                    await self._start(pod)
            except (Conflict, NotFound):
                continue

    async def _start(self, pod):
        self._address += 1
        ip = f"10.1.{self._address // 250}.{self._address % 250 + 1}"
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": self.world.clock.timestamp()}
        others = [c for c in pod["status"].get("conditions", ()) if c["type"] != "Ready"]
        status = {**pod["status"], "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [*others, ready]}
        await self.client.update(PODS, {**pod, "status": status}, subresource="status")


@cache
def signing_key():
    with TemporaryDirectory() as directory:
        return Authority.load_or_create(Path(directory)).service_account_key


def run(scenario, *, seed=0):
    async def main(world):
        plane = await build(MemoryStore(), world, service_cidr="10.96.0.0/24", signing_key=signing_key())
        start_controllers(plane, ca_pem="PEM", scheduler=False)
        await plane.client().create(resource("nodes"), {"metadata": {"name": "n1"}})
        try:
            await scenario(ApiCluster(world, plane))
        finally:
            await plane.stop()

    virtual.run(main, seed)
