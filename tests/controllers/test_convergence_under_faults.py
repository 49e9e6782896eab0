"""Requests fail, answers get lost, watches break, mirrors lag: what was asked for comes true all the same, once the faults end."""

import asyncio

import pytest

from podium.controllers.deployments import DeploymentController
from podium.controllers.endpoint_slices import EndpointSliceController
from podium.controllers.endpoints import EndpointsController
from podium.controllers.namespaces import NamespaceController
from podium.controllers.replica_sets import ReplicaSetController
from podium.controllers.root_ca import RootCaController
from podium.controllers.service_accounts import ServiceAccountController
from podium.objects.resources import builtin, resource
from podium.objects.values import copy
from tests.controllers import cluster
from tests.controllers.cluster import DEPLOYMENTS, ENDPOINTS, NAMESPACES, PODS, SLICES, template

CONFIGMAPS = resource("configmaps")

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"replicas": 12, "selector": {"matchLabels": {"app": "web"}}, "template": template(), "progressDeadlineSeconds": 600},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}


async def live(c, seconds, addresses):
    """Pods start, with an address of their own, and end."""
    for _ in range(seconds * 2):
        await asyncio.sleep(0.5)
        for pod in c.client.all(PODS):
            if "deletionTimestamp" in pod["metadata"]:
                c.client.remove(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
            elif not pod.get("status"):
                c.set_ready(pod, ip=f"10.0.{len(addresses) // 250}.{len(addresses) % 250 + 1}")
                addresses.append(pod["metadata"]["name"])


@pytest.mark.parametrize("seed", range(6))
def test_rollout_and_its_endpoints_come_true(seed):
    async def scenario(c):
        for controller in (DeploymentController, ReplicaSetController, EndpointSliceController, EndpointsController):
            c.start(controller)
        addresses = []
        c.client.put(SERVICE)
        c.client.put(DEPLOYMENT)
        await live(c, 20, addresses)
        for number, spec in enumerate(({"template": template("web:2")}, {"replicas": 30}, {"template": template("web:3"), "replicas": 5})):
            changed = copy(c.get(DEPLOYMENTS, "web"))
            changed["spec"] |= spec
            c.client.put(changed)
            await live(c, 10 + number, addresses)
            c.client.compact()
        assert c.chaos.failures > 20
        c.chaos.rate = 0
        await live(c, 90, addresses)  # past the longest backoff
        pods = c.client.all(PODS)
        assert [p["spec"]["containers"][0]["image"] for p in pods] == ["web:3"] * 5
        status = c.get(DEPLOYMENTS, "web")["status"]
        assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (5, 5, 5)
        held = [e["targetRef"]["name"] for s in c.client.all(SLICES) for e in s["endpoints"]]
        assert sorted(held) == [p["metadata"]["name"] for p in pods]
        assert len(c.get(ENDPOINTS, "web")["subsets"][0]["addresses"]) == 5

    cluster.run(scenario, seed=seed, lag_s=0.02, chaos=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_namespaces_are_furnished_and_emptied(seed):
    async def scenario(c):
        c.start(ServiceAccountController)
        c.start(RootCaController, "PEM")
        c.start(NamespaceController, builtin)
        for name in ("stays", "goes"):
            await c.client.create(NAMESPACES, {"metadata": {"name": name}})
        for number in range(40):
            c.client.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": "goes"}})
        await asyncio.sleep(20)
        await c.client.delete(NAMESPACES, "goes")
        await asyncio.sleep(60)
        assert c.chaos.failures > 5
        c.chaos.rate = 0
        await asyncio.sleep(60)
        assert [n["metadata"]["name"] for n in c.client.all(NAMESPACES)] == ["stays"]
        assert [(m["metadata"]["namespace"], m["metadata"]["name"]) for m in c.client.all(CONFIGMAPS)] == [("stays", "kube-root-ca.crt")]
        assert len(c.client.all(resource("serviceaccounts"))) == 1

    cluster.run(scenario, seed=seed, lag_s=0.02, chaos=0.15)
