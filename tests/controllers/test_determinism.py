"""The same seed gives the same writes in the same order, whatever the hash seed of the interpreter."""

import asyncio
import hashlib
import os
import subprocess
import sys

import orjson
import pytest

from podium.controllers.deployments import DeploymentController
from podium.controllers.endpoint_slices import EndpointSliceController
from podium.controllers.endpoints import EndpointsController
from podium.controllers.namespaces import NamespaceController
from podium.controllers.replica_sets import ReplicaSetController
from podium.controllers.service_accounts import ServiceAccountController
from podium.objects.resources import builtin
from podium.objects.values import copy
from podium.world import virtual
from tests.controllers.cluster import DEPLOYMENTS, NAMESPACES, Cluster, template


def fingerprint(seed):
    """Of all writes of a rollout, a scaling and the end of a namespace."""

    async def main(world):
        c = Cluster(world, lag_s=0.003)
        for controller in (
            DeploymentController,
            ReplicaSetController,
            EndpointSliceController,
            EndpointsController,
            ServiceAccountController,
        ):
            c.start(controller)
        c.start(NamespaceController, builtin)
        await c.client.create(NAMESPACES, {"metadata": {"name": "default"}})
        c.client.put(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
            }
        )
        value = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 8, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
        }
        c.client.put(value)
        for spec in ({}, {"template": template("web:2")}, {"replicas": 3}):
            changed = copy(c.get(DEPLOYMENTS, "web"))
            changed["spec"] |= spec
            c.client.put(changed)
            for _ in range(20):
                await asyncio.sleep(0.3)
                c.run_pods()
        await c.client.delete(NAMESPACES, "default")
        for _ in range(20):
            await asyncio.sleep(1)
            c.run_pods()
        assert c.client.all(NAMESPACES) == []
        await c.supervisor.stop()
        return hashlib.sha256(orjson.dumps(c.client.log)).hexdigest() + world.unseed()

    return virtual.run(main, seed)


def test_same_seed_gives_the_same_writes():
    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)


@pytest.mark.slow
def test_hash_seed_changes_nothing():
    code = "from tests.controllers.test_determinism import fingerprint; print(fingerprint(1))"
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == fingerprint(1)
