"""ResourceQuota: what counts for what, and that nobody gets more, however many ask at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from podium.api.authority import Authority
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane, build
from podium.objects import quotas
from podium.objects.quantities import NANO
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid
from podium.store.sqlite import SqliteStore
from podium.world.real import RealWorld
from tests.api.objects import configmap, pod, service

PODS, QUOTAS, CONFIGMAPS, SERVICES = resource("pods"), resource("resourcequotas"), resource("configmaps"), resource("services")


def quota(name: str = "q", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def test_what_exceeds_a_quota_is_refused_and_what_is_deleted_is_free_again(client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("before"))
    await client.create(QUOTAS, quota(hard={"configmaps": "2"}))
    await client.create(CONFIGMAPS, configmap("second"))
    with pytest.raises(Forbidden) as refusal:
        await client.create(CONFIGMAPS, configmap("third"))
    assert refusal.value.message == (
        'configmaps "third" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2'
    )
    await client.delete(CONFIGMAPS, "before", "default")
    await client.create(CONFIGMAPS, configmap("third"))


async def test_a_quota_is_never_exceeded_by_concurrent_writers(client: InProcessClient) -> None:
    await client.create(QUOTAS, quota(hard={"count/configmaps": "7"}))
    results = await asyncio.gather(*(client.create(CONFIGMAPS, configmap(f"c{i}")) for i in range(40)), return_exceptions=True)
    assert sum(not isinstance(r, Exception) for r in results) == 7
    assert all(isinstance(r, Forbidden) for r in results if isinstance(r, Exception))
    assert len((await client.list(CONFIGMAPS, "default")).items) == 7


async def test_a_failed_write_gives_its_share_back(client: InProcessClient) -> None:
    await client.create(QUOTAS, quota(hard={"configmaps": "2"}))
    await client.create(CONFIGMAPS, configmap("a"))
    results = await asyncio.gather(*(client.create(CONFIGMAPS, configmap("a")) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(r, Exception) for r in results)
    await client.create(CONFIGMAPS, configmap("b"))


async def test_a_pod_must_name_what_is_limited(client: InProcessClient) -> None:
    await client.create(QUOTAS, quota(hard={"limits.cpu": "1", "requests.memory": "1Gi"}))
    with pytest.raises(Forbidden) as refusal:
        await client.create(PODS, pod("p"))
    assert refusal.value.message == 'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c'
    value = pod("p")
    value["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}, "requests": {"memory": "100Mi"}}
    with pytest.raises(Forbidden, match=r"exceeded quota: q, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1"):
        await client.create(PODS, value)
    value["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "900m"
    await client.create(PODS, value)


async def test_scopes_choose_the_pods_that_count(client: InProcessClient) -> None:
    await client.create(QUOTAS, quota("ending", hard={"pods": "0"}, scopes=["Terminating"]))
    await client.create(
        QUOTAS,
        quota(
            "important",
            hard={"pods": "0"},
            scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]},
        ),
    )
    await client.create(PODS, pod("plain"))
    with pytest.raises(Forbidden, match="exceeded quota: ending"):
        await client.create(PODS, pod("a", activeDeadlineSeconds=10))
    with pytest.raises(Forbidden, match="exceeded quota: important"):
        await client.create(PODS, pod("b", priorityClassName="system-node-critical"))


async def test_a_service_that_wants_ports_later_is_counted_then(client: InProcessClient) -> None:
    await client.create(QUOTAS, quota(hard={"services": "2", "services.nodeports": "0"}))
    await client.create(SERVICES, service("web"))
    with pytest.raises(Forbidden, match=r"requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0"):
        await client.patch(SERVICES, "web", {"spec": {"type": "NodePort"}}, "default")


async def test_a_raised_limit_counts_at_once(client: InProcessClient) -> None:
    await client.create(QUOTAS, quota(hard={"configmaps": "0"}))
    with pytest.raises(Forbidden):
        await client.create(CONFIGMAPS, configmap("a"))
    await client.patch(QUOTAS, "q", {"spec": {"hard": {"configmaps": "1"}}}, "default")
    await client.create(CONFIGMAPS, configmap("a"))
    await client.delete(QUOTAS, "q", "default")
    await client.create(CONFIGMAPS, configmap("b"))


async def test_a_dry_run_takes_nothing(plane: ControlPlane, client: InProcessClient) -> None:
    from podium.api.request import Request, User

    await client.create(QUOTAS, quota(hard={"configmaps": "1"}))
    admin = User("admin", ("system:masters",))
    dry = Request("create", CONFIGMAPS, admin, "default", value=configmap("dry"), options={"dryRun": "All"})
    await plane.server.execute(dry)
    await client.create(CONFIGMAPS, configmap("a"))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"hard": {"walruses": "1"}}, "must be a standard resource for quota"),
        ({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}, "conflicting scopes"),
        ({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}, "unsupported scope applied to resource"),
        ({"hard": {"pods": "1.5"}}, "must be an integer"),
    ],
)
async def test_a_quota_without_sense_is_refused(client: InProcessClient, spec: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        await client.create(QUOTAS, quota(**spec))


def test_what_an_object_counts_for() -> None:
    spec = {
        "containers": [{"resources": {"requests": {"cpu": "1", "example.com/gpu": "2"}, "limits": {"cpu": "2", "example.com/gpu": "2"}}}]
    }
    assert quotas.usage_of("", "pods", {"metadata": {}, "spec": spec}) == {
        "count/pods": NANO, "pods": NANO, "cpu": NANO, "requests.cpu": NANO, "requests.example.com/gpu": 2 * NANO, "limits.cpu": 2 * NANO,
    }  # fmt: skip
    assert quotas.usage_of("", "pods", {"metadata": {}, "spec": spec, "status": {"phase": "Failed"}}) == {"count/pods": NANO}
    claim = {"metadata": {}, "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}}
    assert quotas.usage_of("", "persistentvolumeclaims", claim) == {
        "count/persistentvolumeclaims": NANO, "persistentvolumeclaims": NANO, "requests.storage": 2**30 * NANO,
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": NANO,
        "fast.storageclass.storage.k8s.io/requests.storage": 2**30 * NANO,
    }  # fmt: skip
    assert quotas.usage_of("", "services", {"metadata": {}, "spec": {"type": "LoadBalancer", "ports": [{}, {}]}}) == {
        "count/services": NANO, "services": NANO, "services.nodeports": 2 * NANO, "services.loadbalancers": NANO,
    }  # fmt: skip
    assert quotas.usage_of("apps", "deployments", {"metadata": {}}) == {"count/deployments.apps": NANO}


async def test_nothing_is_exceeded_on_disk_either(authority: Authority, tmp_path: Path) -> None:
    """Commits are gathered there, so a write waits between its check and its end; deletions come between."""
    plane = await build(
        SqliteStore.open(tmp_path / "store.db"), RealWorld(), service_cidr="10.96.0.0/24", signing_key=authority.service_account_key
    )
    client = plane.client()
    await client.create(QUOTAS, quota(hard={"configmaps": "5"}))
    most = 0

    async def write(name: str) -> None:
        nonlocal most
        try:
            await client.create(CONFIGMAPS, configmap(name))
        except Forbidden:
            return
        most = max(most, len((await client.list(CONFIGMAPS, "default")).items))
        await client.delete(CONFIGMAPS, name, "default")

    for wave in range(3):
        await asyncio.gather(*(write(f"c{wave}-{i}") for i in range(20)))
    assert most == 5
    assert plane.server.core.admission.quotas.within("default")["q"].used("configmaps") == 0
    await plane.stop()
