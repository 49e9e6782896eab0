"""Garbage collection and the end of namespaces with resources that were defined while the control loops ran."""

import asyncio

import pytest

from podium.client.interface import DeleteOptions
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.objects.values import copy
from tests.controllers import api_cluster

DEFINITIONS = resource("customresourcedefinitions", "apiextensions.k8s.io")
CONFIGMAPS, NAMESPACES = resource("configmaps"), resource("namespaces")
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(name="v1", **more):
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": OPEN}, **more}


def definition(*versions, plural="owners", kind="Owner"):
    return {
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": list(versions or [version()]),
        },
    }


async def define(c, *versions, **more):
    value = await c.client.create(DEFINITIONS, definition(*versions, **more))
    await asyncio.sleep(0.5)
    names = value["spec"]["names"]
    return c.plane.server.core.catalog.lookup("example.com", "v1", names["plural"])


def owned(name, owner, **more):
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"], **more}
    return {"metadata": {"name": name, "namespace": "default", "ownerReferences": [reference]}}


async def names(c, kind):
    return [v["metadata"]["name"] for v in await c.items(kind)]


def test_dependents_of_custom_owners_follow_them():
    async def scenario(c):
        owners = await define(c)
        owner = await c.client.create(owners, {"metadata": {"name": "o", "namespace": "default"}})
        await c.client.create(owners, owned("middle", owner))
        middle = await c.client.get(owners, "middle", "default")
        await c.client.create(CONFIGMAPS, owned("leaf", middle))
        await asyncio.sleep(1)
        assert await names(c, owners) == ["middle", "o"]
        await c.client.delete(owners, "o", "default", DeleteOptions(propagation="Background"))
        await asyncio.sleep(2)
        assert await names(c, owners) == []
        assert "leaf" not in await names(c, CONFIGMAPS)

    api_cluster.run(scenario)


def test_dependents_of_custom_owners_may_be_orphaned():
    async def scenario(c):
        owners = await define(c)
        owner = await c.client.create(owners, {"metadata": {"name": "o", "namespace": "default"}})
        await c.client.create(owners, owned("kept", owner))
        await asyncio.sleep(1)
        await c.client.delete(owners, "o", "default", DeleteOptions(propagation="Orphan"))
        await asyncio.sleep(2)
        assert await names(c, owners) == ["kept"]
        assert "ownerReferences" not in (await c.client.get(owners, "kept", "default"))["metadata"]

    api_cluster.run(scenario)


def test_the_collector_follows_a_definition_to_another_version():
    async def scenario(c):
        owners = await define(c)
        owner = await c.client.create(owners, {"metadata": {"name": "o", "namespace": "default"}})
        changed = copy(await c.client.get(DEFINITIONS, "owners.example.com"))
        changed["spec"]["versions"] = [version(served=False, storage=False), version("v2")]
        await c.client.update(DEFINITIONS, changed)
        owners = c.plane.server.core.catalog.lookup("example.com", "v2", "owners")
        owner = await c.client.get(owners, "o", "default")
        await c.client.create(CONFIGMAPS, owned("leaf", owner))
        await asyncio.sleep(1)
        assert "leaf" in await names(c, CONFIGMAPS)
        await c.client.delete(owners, "o", "default")
        await asyncio.sleep(2)
        assert "leaf" not in await names(c, CONFIGMAPS)

    api_cluster.run(scenario)


def test_a_definition_that_goes_and_comes_again_starts_anew():
    async def scenario(c):
        for _ in range(2):
            owners = await define(c)
            owner = await c.client.create(owners, {"metadata": {"name": "o", "namespace": "default"}})
            await c.client.create(CONFIGMAPS, owned("leaf", owner))
            await asyncio.sleep(1)
            await c.client.delete(DEFINITIONS, "owners.example.com")
            await asyncio.sleep(2)
            with pytest.raises(NotFound):
                await c.client.get(DEFINITIONS, "owners.example.com")
            await c.client.delete(CONFIGMAPS, "leaf", "default")

    api_cluster.run(scenario)


def test_a_namespace_takes_its_custom_resources_along():
    async def scenario(c):
        owners = await define(c)
        await c.client.create(NAMESPACES, {"metadata": {"name": "n"}})
        await c.client.create(owners, {"metadata": {"name": "o", "namespace": "n", "finalizers": ["example.com/hold"]}})
        await c.client.delete(NAMESPACES, "n")
        await asyncio.sleep(5)
        assert (await c.client.get(NAMESPACES, "n"))["status"]["phase"] == "Terminating"
        await c.client.patch(owners, "o", {"metadata": {"finalizers": None}}, "n")
        await asyncio.sleep(60)
        with pytest.raises(NotFound):
            await c.client.get(NAMESPACES, "n")

    api_cluster.run(scenario)
