"""Claims in use and bound volumes outlive their deletion; others go at once."""

import asyncio

import pytest

from podium.objects.resources import resource
from podium.objects.status import NotFound
from tests.controllers.api_cluster import run

CLAIMS, VOLUMES = resource("persistentvolumeclaims"), resource("persistentvolumes")


def claim(name):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_a_free_claim_goes_when_it_is_deleted():
    async def scenario(cluster):
        made = await cluster.client.create(CLAIMS, claim("c"))
        assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        await asyncio.sleep(1)
        await cluster.client.delete(CLAIMS, "c", "default")
        await asyncio.sleep(1)
        with pytest.raises(NotFound):
            await cluster.client.get(CLAIMS, "c", "default")

    run(scenario)


def test_a_bound_volume_stays_until_it_is_free():
    async def scenario(cluster):
        source = {"hostPath": {"path": "/tmp/x"}}
        spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **source}
        await cluster.client.create(VOLUMES, {"metadata": {"name": "v"}, "spec": spec})
        await cluster.client.patch(VOLUMES, "v", {"status": {"phase": "Bound"}}, subresource="status")
        await cluster.client.delete(VOLUMES, "v")
        await asyncio.sleep(1)
        assert (await cluster.client.get(VOLUMES, "v"))["metadata"]["deletionTimestamp"]
        await cluster.client.patch(VOLUMES, "v", {"status": {"phase": "Released"}}, subresource="status")
        await asyncio.sleep(1)
        with pytest.raises(NotFound):
            await cluster.client.get(VOLUMES, "v")

    run(scenario)
