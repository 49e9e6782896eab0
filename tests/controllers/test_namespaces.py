import asyncio

import pytest

from podium.controllers.namespaces import NamespaceController, Remains, deletable, plan_status
from podium.controllers.root_ca import RootCaController
from podium.controllers.service_accounts import ServiceAccountController
from podium.objects.resources import builtin, resource
from podium.objects.status import Forbidden, ServerError
from tests.controllers import cluster
from tests.controllers.cluster import NAMESPACES, PODS, pod

CONFIGMAPS = resource("configmaps")
ACCOUNTS = resource("serviceaccounts")
SECRETS = resource("secrets")
NOW = "2026-01-01T00:00:00Z"


def configmap(name, **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop", **metadata}}


async def make(c, name="shop"):
    return await c.client.create(NAMESPACES, {"metadata": {"name": name}})


def emptied(scenario):
    async def main(c):
        c.start(NamespaceController, builtin)
        await make(c)
        await scenario(c)

    cluster.run(main)


def conditions(c):
    return {x["type"]: x for x in c.get(NAMESPACES, "shop", None)["status"]["conditions"]}


def test_all_content_goes_and_then_the_namespace():
    async def scenario(c):
        for number in range(1200):
            c.client.put(configmap(f"c{number}"))
        c.client.put(pod("p", namespace="shop"))
        c.client.put(pod("elsewhere"))
        await c.client.delete(NAMESPACES, "shop")
        await asyncio.sleep(5)
        assert c.client.all(NAMESPACES) == []
        assert c.client.all(CONFIGMAPS) == []
        assert [p["metadata"]["name"] for p in c.client.all(PODS)] == ["elsewhere"]

    emptied(scenario)


def test_living_namespace_is_left_alone():
    async def scenario(c):
        c.client.put(configmap("c"))
        await asyncio.sleep(60)
        assert len(c.client.all(CONFIGMAPS)) == 1

    emptied(scenario)


def test_pods_go_before_what_they_may_need():
    async def scenario(c):
        c.client.put(configmap("c"))
        c.set_ready(c.client.put(pod("p", namespace="shop")))
        await c.client.delete(NAMESPACES, "shop")
        await asyncio.sleep(10)
        assert len(c.client.all(CONFIGMAPS)) == 1
        said = conditions(c)["NamespaceContentRemaining"]
        assert (said["status"], said["reason"]) == ("True", "SomeResourcesRemain")
        assert said["message"] == "Some resources are remaining: pods. has 1 resource instances"
        c.run_pods()
        await asyncio.sleep(0.5)
        assert c.client.all(NAMESPACES) == c.client.all(CONFIGMAPS) == []

    emptied(scenario)


def test_finalizers_that_hold_content_are_named():
    async def scenario(c):
        c.client.put(configmap("held", finalizers=["example.com/keep"]))
        await c.client.delete(NAMESPACES, "shop")
        await asyncio.sleep(5)
        said = conditions(c)["NamespaceFinalizersRemaining"]
        assert said["message"] == "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances"
        await c.client.patch(CONFIGMAPS, "held", {"metadata": {"finalizers": None}}, "shop")
        await asyncio.sleep(20)
        assert c.client.all(NAMESPACES) == []

    emptied(scenario)


@pytest.mark.parametrize(
    ("verb", "type", "reason"),
    [
        ("list secrets", "NamespaceDeletionDiscoveryFailure", "DiscoveryFailed"),
        ("delete secrets", "NamespaceDeletionContentFailure", "ContentDeletionFailed"),
    ],
)
def test_failures_are_told_and_tried_again(verb, type, reason):
    async def scenario(c):
        c.client.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}})
        c.client.refuse(verb, ServerError("broken"), times=4)
        await c.client.delete(NAMESPACES, "shop")
        await asyncio.sleep(0.15)
        assert conditions(c)[type]["reason"] == reason
        assert "broken" in conditions(c)[type]["message"]
        await asyncio.sleep(20)
        assert c.client.all(NAMESPACES) == []

    emptied(scenario)


def test_all_five_conditions_are_told_and_keep_their_time():
    namespace = {"metadata": {"name": "shop"}, "status": {"phase": "Terminating", "conditions": [{"type": "Other"}]}}
    remains = Remains()
    remains.counts.update({"pods.": 2, "deployments.apps": 1})
    status = plan_status(namespace, remains, NOW)
    assert [c["type"] for c in status["conditions"]] == [
        "Other",
        "NamespaceDeletionDiscoveryFailure",
        "NamespaceDeletionGroupVersionParsingFailure",
        "NamespaceDeletionContentFailure",
        "NamespaceContentRemaining",
        "NamespaceFinalizersRemaining",
    ]
    assert status["conditions"][4]["message"] == (
        "Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances"
    )
    remains.counts["pods."] = 1
    later = plan_status({**namespace, "status": status}, remains, "2026-01-01T00:01:00Z")
    assert later["conditions"][4]["lastTransitionTime"] == NOW
    assert plan_status({**namespace, "status": later}, remains, "2026-01-01T00:02:00Z") == later


def test_each_kind_is_deleted_in_one_version():
    kinds = deletable(builtin())
    assert len({(k.group, k.plural) for k in kinds}) == len(kinds)
    assert all(k.namespaced for k in kinds)
    assert resource("pods") in kinds


def test_every_namespace_gets_its_account_and_certificates():
    async def scenario(c):
        c.start(ServiceAccountController)
        c.start(RootCaController, "PEM")
        await make(c, "shop")
        await make(c, "pay")
        await asyncio.sleep(1)
        assert [(a["metadata"]["namespace"], a["metadata"]["name"]) for a in c.client.all(ACCOUNTS)] == [
            ("pay", "default"),
            ("shop", "default"),
        ]
        assert [m["data"] for m in c.client.all(CONFIGMAPS)] == [{"ca.crt": "PEM"}] * 2
        c.client.remove(ACCOUNTS, "default", "shop")
        c.client.put({**c.get(CONFIGMAPS, "kube-root-ca.crt", "pay"), "data": {"ca.crt": "forged"}})
        await asyncio.sleep(1)
        assert len(c.client.all(ACCOUNTS)) == 2
        assert [m["data"] for m in c.client.all(CONFIGMAPS)] == [{"ca.crt": "PEM"}] * 2
        written = len(c.client.log)
        await asyncio.sleep(60)
        assert len(c.client.log) == written

    cluster.run(scenario)


def test_terminating_namespace_gets_nothing_back():
    async def scenario(c):
        c.start(ServiceAccountController)
        c.start(RootCaController, "PEM")
        c.start(NamespaceController, builtin)
        await make(c)
        await asyncio.sleep(1)
        await c.client.delete(NAMESPACES, "shop")
        await asyncio.sleep(10)
        assert c.client.all(NAMESPACES) == c.client.all(ACCOUNTS) == c.client.all(CONFIGMAPS) == []

    cluster.run(scenario)


def test_refused_account_is_tried_again():
    async def scenario(c):
        c.client.refuse("create serviceaccounts", Forbidden("not yet"), times=3)
        c.start(ServiceAccountController)
        await make(c)
        await asyncio.sleep(1)
        assert len(c.client.all(ACCOUNTS)) == 1

    cluster.run(scenario)
