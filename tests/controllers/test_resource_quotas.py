"""The status of quotas follows what is there: the certified life cycles of ResourceQuota, on the real API, on the virtual loop."""

import asyncio

import pytest

from podium.objects.resources import resource
from podium.objects.status import Forbidden
from tests.api.objects import configmap, pod, service
from tests.controllers.api_cluster import run

QUOTAS, CONFIGMAPS, SECRETS, SERVICES, PODS = (resource(p) for p in ("resourcequotas", "configmaps", "secrets", "services", "pods"))
REPLICA_SETS = resource("replicasets", "apps")


async def used(cluster, name="q"):
    await asyncio.sleep(1)
    return (await cluster.client.get(QUOTAS, name, "default")).get("status", {}).get("used")


def quota(hard, name="q", **spec):
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "default"}, "spec": {"hard": hard, **spec}}


def _life(kind, value, names, after):
    async def scenario(cluster):
        await asyncio.sleep(1)
        await cluster.client.create(QUOTAS, quota(dict.fromkeys(names, "10"), "q"))
        before = await used(cluster)
        assert set(before) == set(names)
        await cluster.client.create(kind, value)
        now = await used(cluster)
        assert {k: now[k] for k in names if now[k] != before[k]} == after
        await cluster.client.delete(kind, value["metadata"]["name"], "default")
        assert await used(cluster) == before

    run(scenario)


def secret(name):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}}


def replica_set(name):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap.")
def test_config_maps_are_counted_while_they_live():
    _life(CONFIGMAPS, configmap("a"), ["configmaps"], {"configmaps": "2"})


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret.")
def test_secrets_are_counted_while_they_live():
    _life(SECRETS, secret("a"), ["secrets", "configmaps"], {"secrets": "1"})


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service.")
def test_services_are_counted_while_they_live():
    names = ["services", "services.nodeports", "services.loadbalancers"]
    _life(SERVICES, service("a", type="NodePort"), names, {"services": "2", "services.nodeports": "1"})


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set.")
def test_replica_sets_are_counted_by_name():
    _life(REPLICA_SETS, replica_set("a"), ["count/replicasets.apps"], {"count/replicasets.apps": "1"})


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.")
def test_the_status_is_there_promptly():
    async def scenario(cluster):
        await asyncio.sleep(1)
        await cluster.client.create(QUOTAS, quota({"resourcequotas": "5", "cpu": "1", "memory": "500Mi"}))
        assert await used(cluster) == {"cpu": "0", "memory": "0", "resourcequotas": "1"}
        status = (await cluster.client.get(QUOTAS, "q", "default"))["status"]
        assert status["hard"] == {"cpu": "1", "memory": "500Mi", "resourcequotas": "5"}

    run(scenario)


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod.")
def test_what_a_pod_asks_for_is_counted_while_it_lives():
    async def scenario(cluster):
        await asyncio.sleep(1)
        await cluster.client.create(QUOTAS, quota({"pods": "5", "cpu": "1", "memory": "500Mi", "requests.example.com/dongle": "3"}))
        value = pod("a")
        amounts = {"cpu": "500m", "memory": "252Mi", "example.com/dongle": "2"}
        value["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": {"example.com/dongle": "2"}}
        await cluster.client.create(PODS, value)
        assert await used(cluster) == {"cpu": "500m", "memory": "252Mi", "pods": "1", "requests.example.com/dongle": "2"}
        value["metadata"]["name"] = "b"
        with pytest.raises(Forbidden, match="exceeded quota"):
            await cluster.client.create(PODS, value)
        await cluster.client.delete(PODS, "a", "default")
        assert await used(cluster) == {"cpu": "0", "memory": "0", "pods": "0", "requests.example.com/dongle": "0"}

    run(scenario)


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota.")
def test_a_changed_quota_is_counted_anew():
    async def scenario(cluster):
        await asyncio.sleep(1)
        await cluster.client.create(QUOTAS, quota({"configmaps": "3"}))
        assert await used(cluster) == {"configmaps": "1"}
        await cluster.client.patch(QUOTAS, "q", {"spec": {"hard": {"configmaps": "5", "secrets": "1"}}}, "default")
        assert await used(cluster) == {"configmaps": "1", "secrets": "0"}
        await cluster.client.delete(QUOTAS, "q", "default")

    run(scenario)


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes.")
def test_terminating_scopes_count_their_pods_alone():
    async def scenario(cluster):
        await asyncio.sleep(1)
        await cluster.client.create(QUOTAS, quota({"pods": "1"}, "ending", scopes=["Terminating"]))
        await cluster.client.create(QUOTAS, quota({"pods": "1"}, "staying", scopes=["NotTerminating"]))
        await cluster.client.create(PODS, pod("a"))
        assert (await used(cluster, "ending"), await used(cluster, "staying")) == ({"pods": "0"}, {"pods": "1"})
        await cluster.client.create(PODS, pod("b", activeDeadlineSeconds=3600))
        assert (await used(cluster, "ending"), await used(cluster, "staying")) == ({"pods": "1"}, {"pods": "1"})

    run(scenario)


@pytest.mark.conformance("[sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope.")
def test_best_effort_scopes_count_their_pods_alone():
    async def scenario(cluster):
        await asyncio.sleep(1)
        await cluster.client.create(QUOTAS, quota({"pods": "5"}, "best", scopes=["BestEffort"]))
        await cluster.client.create(QUOTAS, quota({"pods": "5"}, "other", scopes=["NotBestEffort"]))
        await cluster.client.create(PODS, pod("a"))
        value = pod("b")
        value["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
        await cluster.client.create(PODS, value)
        assert (await used(cluster, "best"), await used(cluster, "other")) == ({"pods": "1"}, {"pods": "1"})

    run(scenario)
