"""The smaller plugins: priority, service account, default classes, resize, runtime class."""

import asyncio
from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid
from tests.api.objects import pod

PODS, CLASSES, ACCOUNTS = resource("pods"), resource("priorityclasses", "scheduling.k8s.io"), resource("serviceaccounts")
CLAIMS, STORAGE_CLASSES = resource("persistentvolumeclaims"), resource("storageclasses", "storage.k8s.io")
INGRESSES, INGRESS_CLASSES = resource("ingresses", "networking.k8s.io"), resource("ingressclasses", "networking.k8s.io")
RUNTIME_CLASSES = resource("runtimeclasses", "node.k8s.io")


def priority_class(name: str, value: int, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value, **more}


async def test_the_built_in_priority_classes_are_there_from_the_start(client: InProcessClient) -> None:
    found = {c["metadata"]["name"]: c["value"] for c in (await client.list(CLASSES)).items}
    assert found == {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


async def test_a_pod_gets_the_number_of_its_class(client: InProcessClient) -> None:
    await client.create(CLASSES, priority_class("high", 100, preemptionPolicy="Never"))
    spec = (await client.create(PODS, pod("a", priorityClassName="high")))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (100, "Never")
    with pytest.raises(Forbidden, match="no PriorityClass with name low was found"):
        await client.create(PODS, pod("b", priorityClassName="low"))
    why = r"the integer value of priority \(5\) must not be provided in pod spec; priority admission controller computed 100"
    with pytest.raises(Forbidden, match=why):
        await client.create(PODS, pod("b", priorityClassName="high", priority=5))


async def test_one_class_can_be_the_default(client: InProcessClient) -> None:
    await client.create(CLASSES, priority_class("usual", 10, globalDefault=True))
    spec = (await client.create(PODS, pod("a")))["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == ("usual", 10)
    with pytest.raises(Forbidden, match=r"PriorityClass usual is already marked as default\. Only one default can exist"):
        await client.create(CLASSES, priority_class("other", 11, globalDefault=True))


@pytest.mark.conformance(
    "[sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be operated with "
    "different HTTP methods [Conformance]"
)
async def test_what_a_priority_class_may_be(client: InProcessClient) -> None:
    await client.create(CLASSES, priority_class("p1", 1))
    with pytest.raises(Invalid, match=r"value: Forbidden: may not be changed in an update\."):
        await client.patch(CLASSES, "p1", {"value": 2})
    await client.patch(CLASSES, "p1", {"description": "mine"})
    with pytest.raises(Invalid, match="maximum allowed value of a user defined priority is 1000000000"):
        await client.create(CLASSES, priority_class("big", 2_000_000_000))
    with pytest.raises(Invalid, match=r"prefix are reserved for system use only\. error: system-x is not a known system priority class"):
        await client.create(CLASSES, priority_class("system-x", 1))


async def test_an_account_can_limit_its_pods_to_its_secrets(client: InProcessClient) -> None:
    account = {"metadata": {"name": "a", "namespace": "default", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}}
    await client.create(ACCOUNTS, {**account, "secrets": [{"name": "mine"}]})
    volume = {"name": "s", "secret": {"secretName": "other"}}
    with pytest.raises(Forbidden) as refusal:
        await client.create(PODS, pod("p", serviceAccountName="a", volumes=[volume]))
    assert refusal.value.message == (
        'pods "p" is forbidden: volume with secret.secretName="other" is not allowed because service account a does not reference that secret'
    )
    value = pod("p", serviceAccountName="a", volumes=[{"name": "s", "secret": {"secretName": "mine"}}])
    await client.create(PODS, value)
    value["metadata"]["name"] = "q"
    value["spec"]["containers"][0]["env"] = [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}]
    with pytest.raises(Forbidden, match=r'container c with envVar E referencing secret\.secretName="other" is not allowed'):
        await client.create(PODS, value)


async def test_the_first_pod_of_a_namespace_waits_for_its_account(client: InProcessClient) -> None:
    await client.create(resource("namespaces"), {"metadata": {"name": "n"}})
    value = pod("p")
    value["metadata"]["namespace"] = "n"
    made = asyncio.ensure_future(client.create(PODS, value))
    await asyncio.sleep(0.01)
    await client.create(ACCOUNTS, {"metadata": {"name": "default", "namespace": "n"}})
    assert (await made)["spec"]["serviceAccountName"] == "default"
    with pytest.raises(Forbidden, match='error looking up service account n/other: serviceaccount "other" not found'):
        await client.create(PODS, {**value, "spec": {**value["spec"], "serviceAccountName": "other"}})


def claim(name: str, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }  # fmt: skip


def storage_class(name: str, default: bool = False, **more: Any) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return {"metadata": {"name": name, "annotations": annotations}, "provisioner": "example.com/p", **more}


async def test_a_claim_gets_the_default_class_unless_it_wants_none(client: InProcessClient) -> None:
    await client.create(STORAGE_CLASSES, storage_class("slow"))
    await client.create(STORAGE_CLASSES, storage_class("fast", default=True))
    assert (await client.create(CLAIMS, claim("a")))["spec"]["storageClassName"] == "fast"
    assert (await client.create(CLAIMS, claim("b", storageClassName="")))["spec"]["storageClassName"] == ""


async def test_a_claim_grows_only_where_its_class_allows_it(client: InProcessClient) -> None:
    await client.create(STORAGE_CLASSES, storage_class("fixed"))
    await client.create(STORAGE_CLASSES, storage_class("growing", allowVolumeExpansion=True))
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    for name in ("fixed", "growing"):
        await client.create(CLAIMS, claim(name, storageClassName=name))
        with pytest.raises(Invalid, match=r"spec is immutable after creation except resources\.requests .* for bound claims"):
            await client.patch(CLAIMS, name, grown, "default")
        await client.patch(CLAIMS, name, {"status": {"phase": "Bound"}}, "default", subresource="status")
    with pytest.raises(Forbidden, match="only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc"):
        await client.patch(CLAIMS, "fixed", grown, "default")
    await client.patch(CLAIMS, "growing", grown, "default")


async def test_an_ingress_gets_the_default_class(client: InProcessClient) -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    await client.create(INGRESS_CLASSES, {"metadata": {"name": "web", "annotations": annotations}, "spec": {"controller": "example.com/c"}})
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    made = await client.create(INGRESSES, {"metadata": {"name": "i", "namespace": "default"}, "spec": {"defaultBackend": backend}})
    assert made["spec"]["ingressClassName"] == "web"


@pytest.mark.conformance(
    "[sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass [NodeConformance] [Conformance]"
)
@pytest.mark.conformance("[sig-node] RuntimeClass should reject a Pod requesting a deleted RuntimeClass [NodeConformance] [Conformance]")
async def test_a_pod_with_an_unknown_runtime_class_is_refused(client: InProcessClient) -> None:
    why = r'pods "p" is forbidden: pod rejected: RuntimeClass "r" not found'
    with pytest.raises(Forbidden, match=why):
        await client.create(PODS, pod("p", runtimeClassName="r"))
    await client.create(RUNTIME_CLASSES, {"metadata": {"name": "r"}, "handler": "h"})
    await client.delete(RUNTIME_CLASSES, "r")
    with pytest.raises(Forbidden, match=why):
        await client.create(PODS, pod("p", runtimeClassName="r"))
