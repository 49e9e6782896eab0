"""The control loops on the real API server: defaults, validation, field checks and graceful deletion included."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.objects.resources import resource
from podium.objects.status import Conflict
from podium.objects.values import copy, key_of
from tests.controllers import api_cluster
from tests.controllers.api_cluster import PODS

DEPLOYMENTS = resource("deployments", "apps")
REPLICA_SETS = resource("replicasets", "apps")
SERVICES = resource("services")
SLICES = resource("endpointslices", "discovery.k8s.io")
ENDPOINTS = resource("endpoints")
NAMESPACES = resource("namespaces")
CONFIGMAPS = resource("configmaps")


def deployment(replicas=3, **spec):
    container = {"name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


async def change(c, update):
    """As kubectl edit: read, change, replace; again on a conflict."""
    while True:
        value = copy(await c.client.get(DEPLOYMENTS, "web", "default"))
        update(value["spec"])
        try:
            return await c.client.update(DEPLOYMENTS, value)
        except Conflict:
            continue


def image(text):
    def update(spec):
        spec["template"]["spec"]["containers"][0]["image"] = text

    return update


async def settle(c, rounds=30):
    for _ in range(rounds):
        await asyncio.sleep(0.5)
        await c.run_pods()
    await asyncio.sleep(1)


async def condition(c, type):
    value = await c.client.get(DEPLOYMENTS, "web", "default")
    return next(x for x in value["status"]["conditions"] if x["type"] == type)


@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_rollout_ends_and_then_nothing_is_written_any_more(strategy):
    async def scenario(c):
        await c.client.create(DEPLOYMENTS, deployment(strategy={"type": strategy}))
        await settle(c)
        await change(c, image("web:2"))
        await settle(c)
        assert [p["spec"]["containers"][0]["image"] for p in await c.items(PODS)] == ["web:2"] * 3
        assert (await condition(c, "Progressing"))["reason"] == "NewReplicaSetAvailable"
        value = await c.client.get(DEPLOYMENTS, "web", "default")
        assert value["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        assert value["status"]["observedGeneration"] == value["metadata"]["generation"] == 2
        before = c.store.revision
        await asyncio.sleep(120)
        written = [e for e in c.store.history("/", before) if "/nodes/" not in e.record.key and "/leases/" not in e.record.key]
        assert [e.record.key for e in written if e.record.key.startswith(("/apps/", "/core/pods/"))] == []

    api_cluster.run(scenario)


def test_undo_by_replacing_the_template_brings_the_old_replica_set_back():
    async def scenario(c):
        await c.client.create(DEPLOYMENTS, deployment())
        await settle(c)
        (first,) = await c.items(REPLICA_SETS)
        await change(c, image("web:2"))
        await settle(c)
        template = copy(first["spec"]["template"])
        del template["metadata"]["labels"]["pod-template-hash"]
        await c.client.patch(DEPLOYMENTS, "web", [{"op": "replace", "path": "/spec/template", "value": template}], "default", type="json")
        await settle(c)
        assert len(await c.items(REPLICA_SETS)) == 2
        again = await c.client.get(REPLICA_SETS, first["metadata"]["name"], "default")
        assert again["status"]["availableReplicas"] == 3
        assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    api_cluster.run(scenario)


def test_service_serves_by_named_port_while_pods_come_and_go():
    async def scenario(c):
        await c.client.create(
            SERVICES,
            {
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
            },
        )
        await c.client.create(DEPLOYMENTS, deployment(5))
        await settle(c)
        (one,) = [s for s in await c.items(SLICES) if s["metadata"]["labels"]["kubernetes.io/service-name"] == "web"]
        assert len(one["endpoints"]) == 5
        assert one["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        assert one["metadata"]["ownerReferences"][0]["kind"] == "Service"
        held = await c.client.get(ENDPOINTS, "web", "default")
        assert len(held["subsets"][0]["addresses"]) == 5
        await c.client.delete(PODS, one["endpoints"][0]["targetRef"]["name"], "default")
        await asyncio.sleep(1)
        going = [e["conditions"] for e in (await c.client.get(SLICES, one["metadata"]["name"], "default"))["endpoints"]]
        assert {"ready": False, "serving": True, "terminating": True} in going
        await settle(c)
        assert len((await c.client.get(SLICES, one["metadata"]["name"], "default"))["endpoints"]) == 5
        before = c.store.revision
        await asyncio.sleep(60)
        assert [e.record.key for e in c.store.history("/discovery.k8s.io/", before)] == []
        await c.client.delete(SERVICES, "web", "default")
        await asyncio.sleep(20)
        assert [s for s in await c.items(SLICES) if s["metadata"]["labels"].get("kubernetes.io/service-name") == "web"] == []

    api_cluster.run(scenario)


def test_namespace_goes_with_all_that_is_in_it():
    async def scenario(c):
        await c.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await asyncio.sleep(1)
        value = deployment()
        value["metadata"]["namespace"] = "shop"
        await c.client.create(DEPLOYMENTS, value)
        for _ in range(10):
            await asyncio.sleep(0.5)
            await c.run_pods("shop")
        assert len(await c.items(PODS, "shop")) == 3
        await c.client.delete(NAMESPACES, "shop")
        assert (await c.client.get(NAMESPACES, "shop"))["status"]["phase"] == "Terminating"
        await asyncio.sleep(3)
        conditions = {x["type"]: x for x in (await c.client.get(NAMESPACES, "shop"))["status"]["conditions"]}
        assert conditions["NamespaceContentRemaining"]["message"] == "Some resources are remaining: pods. has 3 resource instances"
        for _ in range(40):
            await asyncio.sleep(1)
            await c.run_pods("shop")
        assert "shop" not in [n["metadata"]["name"] for n in await c.items(NAMESPACES, None)]
        assert [key for key in ("pods", "configmaps", "serviceaccounts", "events") if await c.items(resource(key), "shop")] == []

    api_cluster.run(scenario)


def test_stuck_rollout_is_reported():
    async def scenario(c):
        await c.client.create(DEPLOYMENTS, deployment(progressDeadlineSeconds=30))
        await asyncio.sleep(45)
        assert (await condition(c, "Progressing"))["reason"] == "ProgressDeadlineExceeded"

    api_cluster.run(scenario)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["put 1", "put 2", "remove 1", "remove 2", "compact", "drop", "wait"]), max_size=25))
def test_mirror_equals_the_server_through_compactions_and_ended_watches(steps):
    async def scenario(c):
        mirror = c.mirrors.of(CONFIGMAPS, namespace="default")
        held = {}
        mirror.subscribe(lambda x: held.__setitem__(key_of(x.object), x.new))
        for number, step in enumerate(steps):
            word, _, name = step.partition(" ")
            name = f"c{name}"
            present = {o["metadata"]["name"] for o in await c.items(CONFIGMAPS)}
            if word == "put" and name not in present:
                await c.client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}, "data": {"n": str(number)}})
            elif word == "put":
                await c.client.patch(CONFIGMAPS, name, {"data": {"n": str(number)}}, "default")
            elif word == "remove" and name in present:
                await c.client.delete(CONFIGMAPS, name, "default")
            elif word == "compact":
                await c.store.compact(c.store.revision)
            elif word == "drop":
                c.plane.server.hubs.close()
            else:
                await asyncio.sleep(0.5)
        await asyncio.sleep(30)
        server = {key_of(o): o["metadata"]["resourceVersion"] for o in await c.items(CONFIGMAPS)}
        assert {key: value["metadata"]["resourceVersion"] for key, value in held.items() if value is not None} == server
        assert [key_of(o) for o in mirror.all()] == sorted(server)

    api_cluster.run(scenario)
