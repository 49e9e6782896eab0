"""Delete: at once, gracefully, held back by finalizers, under preconditions."""

import pytest

from podium.client.in_process import InProcessClient
from podium.client.interface import DeleteOptions
from podium.objects.resources import resource
from podium.objects.status import Conflict, Forbidden, NotFound
from tests.api.objects import configmap, deployment, pod

CONFIGMAPS, PODS, NAMESPACES = resource("configmaps"), resource("pods"), resource("namespaces")


async def test_a_free_object_goes_at_once(client: InProcessClient) -> None:
    created = await client.create(CONFIGMAPS, configmap("a"))
    answer = await client.delete(CONFIGMAPS, "a", "default")
    assert answer["status"] == "Success"
    assert answer["details"] == {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}
    with pytest.raises(NotFound, match='configmaps "a" not found'):
        await client.delete(CONFIGMAPS, "a", "default")


async def test_a_finalizer_holds_an_object_until_it_is_removed(client: InProcessClient) -> None:
    value = configmap("a")
    value["metadata"]["finalizers"] = ["example.org/wait"]
    await client.create(CONFIGMAPS, value)
    marked = await client.delete(CONFIGMAPS, "a", "default")
    assert "deletionTimestamp" in marked["metadata"]
    await client.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": []}}, "default")
    with pytest.raises(NotFound):
        await client.get(CONFIGMAPS, "a", "default")


async def test_a_running_pod_is_marked_and_goes_when_its_node_says_so(client: InProcessClient) -> None:
    created = await client.create(PODS, pod("p", nodeName="n1", terminationGracePeriodSeconds=7))
    marked = await client.delete(PODS, "p", "default")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7 and "deletionTimestamp" in marked["metadata"]
    shorter = await client.delete(PODS, "p", "default", DeleteOptions(grace_period_s=3))
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 3
    longer = await client.delete(PODS, "p", "default", DeleteOptions(grace_period_s=60))
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 3
    await client.delete(PODS, "p", "default", DeleteOptions(uid=created["metadata"]["uid"], grace_period_s=0))
    with pytest.raises(NotFound):
        await client.get(PODS, "p", "default")


async def test_an_unscheduled_pod_goes_at_once(client: InProcessClient) -> None:
    await client.create(PODS, pod("p"))
    await client.delete(PODS, "p", "default")
    with pytest.raises(NotFound):
        await client.get(PODS, "p", "default")


@pytest.mark.parametrize("options", [DeleteOptions(uid="other"), DeleteOptions(revision="1")])
async def test_preconditions_protect_another_object(client: InProcessClient, options: DeleteOptions) -> None:
    await client.create(CONFIGMAPS, configmap("a"))
    with pytest.raises(Conflict, match="Precondition failed"):
        await client.delete(CONFIGMAPS, "a", "default", options)


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation_becomes_a_finalizer(client: InProcessClient, policy: str, finalizer: str) -> None:
    deployments = resource("deployments", "apps")
    await client.create(deployments, deployment("d"))
    marked = await client.delete(deployments, "d", "default", DeleteOptions(propagation=policy))  # type: ignore[arg-type]
    assert marked["metadata"]["finalizers"] == [finalizer]


async def test_a_namespace_waits_for_its_finalizer(client: InProcessClient) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": "n"}})
    marked = await client.delete(NAMESPACES, "n")
    assert marked["status"]["phase"] == "Terminating" and marked["spec"]["finalizers"] == ["kubernetes"]
    await client.update(NAMESPACES, {**marked, "spec": {"finalizers": []}}, subresource="finalize")
    with pytest.raises(NotFound):
        await client.get(NAMESPACES, "n")


async def test_the_platforms_namespaces_stay(client: InProcessClient) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await client.delete(NAMESPACES, "kube-system")
