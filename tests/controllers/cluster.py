"""A controller under test: a fake client, mirrors, and a kubelet that does as told, on the virtual loop."""

from collections.abc import Awaitable, Callable

from podium.client.events import EventRecorder
from podium.client.mirrors import Mirrors
from podium.objects.resources import resource
from podium.objects.values import copy
from podium.world import virtual
from podium.world.supervisor import Supervisor
from tests.fakes.chaos_client import ChaosClient
from tests.fakes.fake_client import FakeClient

PODS = resource("pods")
REPLICA_SETS = resource("replicasets", "apps")
DEPLOYMENTS = resource("deployments", "apps")
EVENTS = resource("events")
SERVICES = resource("services")
SLICES = resource("endpointslices", "discovery.k8s.io")
ENDPOINTS = resource("endpoints")
NAMESPACES = resource("namespaces")


class Cluster:
    def __init__(self, world, lag_s=0.0, chaos=0.0):
        self.world = world
        self.client = FakeClient(world, lag_s=lag_s)
        self.chaos = ChaosClient(self.client, world.random("chaos"), chaos)
        self.supervisor = Supervisor("test")
        self.mirrors = Mirrors(self.chaos if chaos else self.client, world, self.supervisor)
        self.events = EventRecorder(self.client, world, "tester")
        self.supervisor.start("events", self.events.run())

    def start(self, controller_class, *arguments):
        controller = controller_class(self.chaos if self.chaos.rate else self.client, self.mirrors, self.events, self.world, *arguments)
        self.supervisor.start(controller_class.__name__, controller.run())
        return controller

    def set_ready(self, pod, ready=True, node="n1", ip=None, **status):
        """What the node agent would report."""
        value = copy(pod)
        value["spec"]["nodeName"] = node
        now = self.world.clock.timestamp()
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
        value["status"] = {"phase": "Running", "conditions": [condition], **status}
        if ip:
            value["status"] |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        return self.client.put(value)

    def run_pods(self):
        """Makes every active pod ready; finishes those that are being deleted."""
        for pod in self.client.all(PODS):
            if "deletionTimestamp" in pod["metadata"]:
                self.client.remove(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
            elif not (pod.get("status") or {}).get("conditions"):
                self.set_ready(pod)

    def get(self, kind, name, namespace="default"):
        return self.client.peek(kind, name, namespace)

    def messages(self, reason):
        return [e["message"] for e in self.client.all(EVENTS) if e["reason"] == reason]


def run(scenario: Callable[[Cluster], Awaitable[None]], *, seed=0, lag_s=0.0, chaos=0.0):
    async def main(world):
        cluster = Cluster(world, lag_s, chaos)
        try:
            await scenario(cluster)
        finally:
            await cluster.supervisor.stop()

    virtual.run(main, seed)


def template(image="web:1", labels=None):
    return {"metadata": {"labels": labels or {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}


def replica_set(name="web", replicas=3, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(), **spec},
    }


def pod(name="p", labels=None, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": "web"}, **metadata},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    }
