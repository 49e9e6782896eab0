"""All control loops at work on a real API, each under its own identity: everything gets done, and nobody is ever refused."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane, start_controllers
from podium.objects.resources import resource
from podium.objects.status import Forbidden, NotFound
from tests.api.conftest import authority, plane
from tests.api.objects import deployment, service

__all__ = ["authority", "plane"]
PODS, NODES, DEPLOYMENTS = resource("pods"), resource("nodes"), resource("deployments", "apps")
SLICES, NAMESPACES, EVENTS = resource("endpointslices", "discovery.k8s.io"), resource("namespaces"), resource("events")
PATIENCE_S = 20.0

Object = dict[str, Any]


@pytest.fixture
async def refusals(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What any component is refused from now on."""
    found: list[str] = []
    authorize = plane.server.core.authorizer.authorize

    def noted(request: Any, verb: str = "") -> None:
        try:
            authorize(request, verb)
        except Forbidden as error:
            found.append(error.message)
            raise

    monkeypatch.setattr(plane.server.core.authorizer, "authorize", noted)
    return found


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await done():
            await asyncio.sleep(0.01)


async def add_node(client: InProcessClient, name: str) -> None:
    amounts = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    await client.create(NODES, {"metadata": {"name": name}})
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": None, "lastTransitionTime": None}
    await client.patch(
        NODES, name, {"status": {"capacity": amounts, "allocatable": amounts, "conditions": [condition]}}, subresource="status"
    )


async def mark_ready(client: InProcessClient) -> int:
    """Plays the node: every bound pod is ready. Returns how many are."""
    pods = [p for p in (await client.list(PODS, "default")).items if p["spec"].get("nodeName") and "deletionTimestamp" not in p["metadata"]]
    for number, pod in enumerate(pods):
        if pod["status"].get("phase") != "Running":
            conditions = [{"type": t, "status": "True"} for t in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
            status = {
                "phase": "Running",
                "podIP": f"10.0.0.{number + 1}",
                "podIPs": [{"ip": f"10.0.0.{number + 1}"}],
                "conditions": conditions,
            }
            await client.patch(PODS, pod["metadata"]["name"], {"status": status}, "default", subresource="status")
    return len(pods)


@pytest.mark.slow
async def test_everything_gets_done_and_nobody_is_refused(plane: ControlPlane, refusals: list[str]) -> None:
    start_controllers(plane, ca_pem="pem")
    client = plane.client()
    await add_node(client, "n1")
    await client.create(DEPLOYMENTS, deployment("web", 2))
    await client.create(resource("services"), service("web"))

    async def available() -> bool:
        await mark_ready(client)
        status = (await client.get(DEPLOYMENTS, "web", "default")).get("status", {})
        return bool(status.get("availableReplicas") == 2 and status.get("updatedReplicas") == 2 and status.get("replicas") == 2)

    async def spread() -> bool:
        slices = (await client.list(SLICES, "default", labels="kubernetes.io/service-name=web")).items
        return sum(len(s["endpoints"]) for s in slices) == 2

    await until(available)
    await until(spread)
    await client.patch(DEPLOYMENTS, "web", {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}}, "default")

    async def rolled() -> bool:
        for pod in (await client.list(PODS, "default")).items:
            if "deletionTimestamp" in pod["metadata"]:
                await _finish(client, pod)
        return await available()

    await until(rolled)
    await client.delete(DEPLOYMENTS, "web", "default")

    async def gone() -> bool:
        pods = (await client.list(PODS, "default")).items
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                await _finish(client, pod)
        return not pods

    await until(gone)
    await client.create(NAMESPACES, {"metadata": {"name": "brief"}})
    await until(lambda: _exists(client, resource("serviceaccounts"), "default", "brief"))
    await until(lambda: _exists(client, resource("configmaps"), "kube-root-ca.crt", "brief"))
    await client.delete(NAMESPACES, "brief")

    async def away() -> bool:
        return not await _exists(client, NAMESPACES, "brief", None)

    await until(away)
    await client.delete(NODES, "n1")
    await keep_quotas_claims_and_policies(client)
    assert {e["reason"] for e in (await client.list(EVENTS)).items} >= {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled"}
    assert refusals == []


async def keep_quotas_claims_and_policies(client: InProcessClient) -> None:
    """What the smaller loops do: count against a quota, free a claim, check a policy."""
    quotas, claims = resource("resourcequotas"), resource("persistentvolumeclaims")
    policies = resource("validatingadmissionpolicies", "admissionregistration.k8s.io")
    await client.create(quotas, {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"configmaps": "9"}}})
    await until(lambda: _has(client, quotas, "q", "default", lambda value: (value.get("status") or {}).get("used")))
    claim: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await client.create(claims, {"metadata": {"name": "c", "namespace": "default"}, "spec": claim})
    await client.delete(claims, "c", "default")

    async def freed() -> bool:
        return not await _exists(client, claims, "c", "default")

    await until(freed)
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "true"}]}
    await client.create(policies, {"metadata": {"name": "p"}, "spec": spec})
    await until(lambda: _has(client, policies, "p", None, lambda value: (value.get("status") or {}).get("observedGeneration")))


async def _has(client: InProcessClient, kind: Any, name: str, namespace: str | None, test: Callable[[Object], Any]) -> bool:
    return bool(test(await client.get(kind, name, namespace)))


async def _finish(client: InProcessClient, pod: Object) -> None:
    from podium.client.interface import DeleteOptions

    try:
        await client.delete(PODS, pod["metadata"]["name"], "default", DeleteOptions(grace_period_s=0))
    except NotFound:
        return


async def _exists(client: InProcessClient, kind: Any, name: str, namespace: str | None) -> bool:
    try:
        await client.get(kind, name, namespace)
    except NotFound:
        return False
    return True
