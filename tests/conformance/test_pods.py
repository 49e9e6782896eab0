"""Pods: their life as objects, on simulated nodes where they must run."""

import asyncio
from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.objects.resources import resource
from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC

shows = pytest.mark.conformance
PODS, NODES = "/api/v1/namespaces/default/pods", "/api/v1/nodes"


@pytest.fixture
async def api(api: Api) -> Api:
    client: InProcessClient = api.plane.client()
    await client.create(resource("serviceaccounts"), {"metadata": {"name": "default", "namespace": "default"}})
    return api


def pod(name: str = "a", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": LABELS, "annotations": annotations or {}}, "spec": {**POD_SPEC, **spec}}


def container(**more: Any) -> dict[str, Any]:
    return {**POD_SPEC["containers"][0], **more}


async def running(api: Api, name: str = "a") -> Any:
    return await api.settled(f"{PODS}/{name}", lambda p: p and p["status"]["phase"] == "Running" and _ready(p))


def _ready(value: Any) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in value["status"].get("conditions", ()))


@shows("[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu")
async def test_the_quality_of_service_is_told(api: Api) -> None:
    amounts = {"cpu": "100m", "memory": "100Mi"}
    created = await api.post(PODS, pod(containers=[container(resources={"requests": amounts, "limits": amounts})]))
    assert created["status"]["qosClass"] == "Guaranteed"


@shows("[sig-node] Sysctls [LinuxOnly] [NodeConformance] should reject invalid sysctls")
async def test_sysctls_have_names(api: Api) -> None:
    names = ["foo-", "kernel.shmmax", "safe-and-unsafe", "bar.."]
    body = pod(securityContext={"sysctls": [{"name": name, "value": "42"} for name in names]})
    refusal = await api.refused(422, "POST", PODS, body)
    assert 'Invalid value: "foo-"' in refusal["message"] and 'Invalid value: "bar.."' in refusal["message"]
    assert "safe-and-unsafe" not in refusal["message"] and "kernel.shmmax" not in refusal["message"]


@shows("[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API")
async def test_pods_with_inline_volumes_are_data(api: Api) -> None:
    volume = {"name": "inline", "csi": {"driver": "e2e.example.com", "volumeAttributes": {"a": "b"}}}
    await api.post(PODS, pod(volumes=[volume], containers=[container(volumeMounts=[{"name": "inline", "mountPath": "/data"}])]))
    assert (await api.get(f"{PODS}/a"))["spec"]["volumes"][0]["csi"]["driver"] == "e2e.example.com"
    await api.patch(f"{PODS}/a", {"metadata": {"labels": {"p": "q"}}})
    assert await api.names("/api/v1/pods?labelSelector=p%3Dq") == ["a"]
    await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 0})
    assert await api.names(PODS) == []


@shows("[sig-node] Pods should be submitted and removed [NodeConformance]")
@shows("[sig-node] Pods should get a host IP [NodeConformance]")
def test_a_pod_comes_and_goes_gracefully() -> None:
    async def scenario(api: Api) -> None:
        async with api.watch(PODS, labels="app=web") as watch:
            await api.post(PODS, pod())
            await watch.next("ADDED")
            found = await running(api)
            assert found["status"]["hostIP"] and found["status"]["podIP"]
            await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 30})
            going = await watch.until(lambda kind, p: "deletionTimestamp" in p["metadata"])
            assert going["metadata"]["deletionGracePeriodSeconds"] == 30
            await watch.until(lambda kind, _: kind == "DELETED")
        assert await api.names(PODS) == []

    run(scenario, nodes=1)


@shows("[sig-node] Pods should be updated [NodeConformance]")
@shows("[sig-node] Pods should allow activeDeadlineSeconds to be updated [NodeConformance]")
def test_what_may_be_changed_of_a_pod() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod())
        value = await running(api)
        value["metadata"]["labels"]["time"] = "later"
        assert (await api.put(f"{PODS}/a", value))["metadata"]["labels"]["time"] == "later"
        await api.refused(422, "PATCH", f"{PODS}/a", {"spec": {"nodeName": "other"}}, content_type="application/merge-patch+json")
        await api.patch(f"{PODS}/a", {"spec": {"activeDeadlineSeconds": 5}})
        late = await api.settled(f"{PODS}/a", lambda p: p["status"]["phase"] == "Failed")
        assert late["status"]["reason"] == "DeadlineExceeded"

    run(scenario, nodes=1)


@shows("[sig-node] Pods should delete a collection of pods")
def test_pods_go_as_a_collection() -> None:
    async def scenario(api: Api) -> None:
        for name in "abc":
            await api.post(PODS, pod(name))
            await running(api, name)
        await api.delete(f"{PODS}?labelSelector=app%3Dweb")
        await api.settled(PODS, lambda f: not f["items"])

    run(scenario, nodes=1)


@shows("[sig-node] Pods should patch a pod status")
@shows("[sig-node] Pods should run through the lifecycle of Pods and PodStatus")
def test_the_status_of_a_pod() -> None:
    async def scenario(api: Api) -> None:
        async with api.watch(PODS, labels="app=web") as watch:
            await api.post(PODS, pod())
            await running(api)
            patch = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"containers": [{"name": "main", "image": "other:1"}]}}
            await api.patch(f"{PODS}/a", patch, STRATEGIC)
            changed = await watch.until(lambda kind, p: p["metadata"]["labels"].get("patched") == "yes")
            assert changed["spec"]["containers"][0]["image"] == "other:1"
            status = {"conditions": [{"type": "example.com/custom", "status": "True", "message": "set by a test"}]}
            patched = await api.patch(f"{PODS}/a/status", {"status": status}, STRATEGIC)
            assert "set by a test" in [c.get("message") for c in patched["status"]["conditions"]]
            assert (await api.get(f"{PODS}/a/status"))["status"]["phase"] == "Running"
            value = await api.get(f"{PODS}/a")
            ready = [{**c, "status": "False"} if c["type"] == "Ready" else c for c in value["status"]["conditions"]]
            updated = await api.put(f"{PODS}/a/status", {**value, "status": {**value["status"], "conditions": ready}})
            assert not _ready(updated)
            await api.delete(f"{PODS}?labelSelector=app%3Dweb")
            await watch.until(lambda kind, _: kind == "DELETED")

    run(scenario, nodes=1)


@shows(
    "[sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34]"
)
@shows("[sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and graceful delete")
@shows(
    "[sig-node] Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify generation and observedGeneration eventually "
    "converge [MinimumKubeletVersion:1.34]"
)
def test_the_generation_counts_changes_of_the_spec() -> None:
    async def scenario(api: Api) -> None:
        body = pod()
        body["metadata"]["generation"] = 100
        assert (await api.post(PODS, body))["metadata"]["generation"] == 1
        await running(api)
        assert (await api.patch(f"{PODS}/a", {"metadata": {"labels": {"no": "change"}}}))["metadata"]["generation"] == 1
        toleration = {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
        tolerations = [*(await api.get(f"{PODS}/a"))["spec"]["tolerations"], toleration]
        assert (await api.patch(f"{PODS}/a", {"spec": {"tolerations": tolerations}}))["metadata"]["generation"] == 2
        for number in range(498):
            changed = {"spec": {"containers": [{"name": "main", "image": f"image:{number}"}]}}
            last = await api.patch(f"{PODS}/a", changed, STRATEGIC)
        assert last["metadata"]["generation"] == 500
        await api.settled(f"{PODS}/a", lambda p: p["status"].get("observedGeneration") == 500)
        await api.patch(f"{PODS}/a", {"metadata": {"finalizers": ["example.com/kept"]}})
        await api.delete(f"{PODS}/a")
        assert (await api.get(f"{PODS}/a"))["metadata"]["generation"] == 501

    run(scenario, nodes=1)


QUICK = {"podium.dev/simulated-run-duration": "1s"}
FAILS = {**QUICK, "podium.dev/simulated-exit-code": "1"}
INITS = [{"name": "init1", "image": "i"}, {"name": "init2", "image": "i"}]


@shows("[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartNever pod")
@shows("[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartAlways pod")
@pytest.mark.parametrize("policy", ["Never", "Always"])
def test_init_containers_run_first_in_order(policy: str) -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod(annotations=QUICK, restartPolicy=policy, initContainers=INITS))
        found = await api.settled(f"{PODS}/a", lambda p: p["status"]["phase"] in ("Running", "Succeeded"))
        inits = found["status"]["initContainerStatuses"]
        ends = [s["state"]["terminated"] for s in inits]
        assert [(s["name"], s["ready"], e["exitCode"]) for s, e in zip(inits, ends, strict=True)] == [
            ("init1", True, 0),
            ("init2", True, 0),
        ]
        assert ends[0]["finishedAt"] <= ends[1]["startedAt"]
        assert {c["type"]: c["status"] for c in found["status"]["conditions"]}["Initialized"] == "True"
        if policy == "Never":
            await api.settled(f"{PODS}/a", lambda p: p["status"]["phase"] == "Succeeded")

    run(scenario, nodes=1)


@shows(
    "[sig-node] InitContainer [NodeConformance] should not start app containers and fail the pod if init containers fail on a RestartNever pod"
)
@shows("[sig-node] InitContainer [NodeConformance] should not start app containers if init containers fail on a RestartAlways pod")
@pytest.mark.parametrize("policy", ["Never", "Always"])
def test_nothing_starts_after_a_failed_init_container(policy: str) -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod(annotations=FAILS, restartPolicy=policy, initContainers=INITS))
        if policy == "Never":
            found = await api.settled(f"{PODS}/a", lambda p: p["status"]["phase"] == "Failed")
        else:
            found = await api.settled(
                f"{PODS}/a", lambda p: p["status"].get("initContainerStatuses", [{}])[0].get("restartCount", 0) >= 3, 300
            )
            assert found["status"]["phase"] == "Pending"
        assert "waiting" in found["status"]["containerStatuses"][0]["state"] and not found["status"]["containerStatuses"][0].get("started")
        assert {c["type"]: c["status"] for c in found["status"]["conditions"]}["Initialized"] == "False"

    run(scenario, nodes=1)


@shows("[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance]")
@shows("[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance]")
def test_a_pod_that_always_fails_says_so_and_can_be_deleted() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod(annotations=FAILS))

        def ended(value: Any) -> Any:
            state = (value["status"].get("containerStatuses") or [{}])[0]
            return (state.get("state") or {}).get("terminated") or (state.get("lastState") or {}).get("terminated")

        found = await api.settled(f"{PODS}/a", ended)
        assert ended(found)["reason"] == "Error" and ended(found)["exitCode"] == 1
        await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 0})
        await api.settled(f"{PODS}/a", lambda p: p is None)

    run(scenario, nodes=1)


@shows("[sig-node] Probing container with readiness probe should not be ready before initial delay and never restart [NodeConformance]")
def test_a_pod_is_not_ready_before_its_probe_allows() -> None:
    async def scenario(api: Api) -> None:
        probe = {"exec": {"command": ["true"]}, "initialDelaySeconds": 30, "periodSeconds": 5}
        await api.post(PODS, pod(containers=[container(readinessProbe=probe)]))
        started = await api.settled(f"{PODS}/a", lambda p: p["status"]["phase"] == "Running")
        assert not _ready(started)
        await asyncio.sleep(25)
        assert not _ready(await api.get(f"{PODS}/a"))
        ready = await running(api)
        assert ready["status"]["containerStatuses"][0]["restartCount"] == 0

    run(scenario, nodes=1)


@shows("[sig-node] Probing container with readiness probe that fails should never be ready and never restart [NodeConformance]")
def test_a_pod_whose_readiness_probe_fails_is_never_ready_and_never_restarts() -> None:
    async def scenario(api: Api) -> None:
        probe = {"exec": {"command": ["/bin/false"]}, "initialDelaySeconds": 5, "periodSeconds": 5}
        failing = {"podium.dev/simulated-unhealthy-after": "0s"}
        async with api.watch(PODS, labels="app=web") as watch:
            await api.post(PODS, pod(annotations=failing, containers=[container(readinessProbe=probe)]))
            await api.settled(f"{PODS}/a", lambda p: p["status"]["phase"] == "Running")
            await asyncio.sleep(180)
            seen = []
            while not watch.quiet:
                seen.append((await watch.next())["object"])
        assert len(seen) > 2 and not any(_ready(value) for value in seen)
        status = (await api.get(f"{PODS}/a"))["status"]["containerStatuses"][0]
        assert status["restartCount"] == 0 and not status["ready"] and "running" in status["state"]
        said = (await api.get("/api/v1/namespaces/default/events?fieldSelector=reason%3DUnhealthy"))["items"]
        assert said and "Readiness probe failed" in said[0]["message"]

    run(scenario, nodes=1)


@shows("[sig-node] NoExecuteTaintManager Single Pod [Serial] removing taint cancels eviction [Disruptive]")
@shows("[sig-node] NoExecuteTaintManager Multiple Pods [Serial] evicts pods with minTolerationSeconds [Disruptive]")
def test_a_taint_evicts_after_the_tolerated_time_unless_it_goes() -> None:
    async def scenario(api: Api) -> None:
        tolerations = {"one": 60, "two": 120}
        for name, seconds in tolerations.items():
            key = {"key": "k", "value": "v", "effect": "NoExecute", "operator": "Equal", "tolerationSeconds": seconds}
            await api.post(PODS, pod(name, tolerations=[key]))
            await running(api, name)
        node = await api.get(f"{NODES}/simulated-0")
        taints = node["spec"].get("taints", [])
        await api.patch(f"{NODES}/simulated-0", {"spec": {"taints": [*taints, {"key": "k", "value": "v", "effect": "NoExecute"}]}})
        await api.settled(f"{PODS}/one", lambda p: p is None, 90)
        assert await api.names(PODS) == ["two"]
        await api.patch(f"{NODES}/simulated-0", {"spec": {"taints": taints or None}})
        await asyncio.sleep(120)
        assert await api.names(PODS) == ["two"]

    run(scenario, nodes=1)


@shows("[sig-architecture] Conformance Tests should have at least two untainted nodes")
def test_simulated_nodes_are_ready_and_untainted() -> None:
    async def scenario(api: Api) -> None:
        def good(found: Any) -> bool:
            fine = [n for n in found["items"] if not n["spec"].get("taints") and not n["spec"].get("unschedulable")]
            return len([n for n in fine if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"]["conditions"])]) >= 2

        await api.settled(NODES, good)

    run(scenario, nodes=2)


@shows("[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if matching")
@shows("[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not matching")
@shows("[sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are allowed to run")
def test_where_pods_may_go() -> None:
    async def scenario(api: Api) -> None:
        await api.patch(f"{NODES}/simulated-1", {"metadata": {"labels": {"color": "blue"}}})
        await api.post(PODS, pod("blue", nodeSelector={"color": "blue"}))
        assert (await running(api, "blue"))["spec"]["nodeName"] == "simulated-1"
        await api.post(PODS, pod("red", nodeSelector={"color": "red"}))
        size = (await api.get(f"{NODES}/simulated-1"))["status"]["allocatable"]["cpu"]
        filler = [container(resources={"requests": {"cpu": size}})]
        for name in ("full-0", "full-1", "too-much"):
            await api.post(PODS, pod(name, containers=filler))
        await running(api, "full-0")
        await running(api, "full-1")
        for name, why in (("red", "didn't match Pod's node affinity/selector"), ("too-much", "Insufficient cpu")):
            waiting = await api.settled(f"{PODS}/{name}", lambda p: p["status"].get("conditions"))
            condition = waiting["status"]["conditions"][0]
            assert condition["reason"] == "Unschedulable" and why in condition["message"]

    run(scenario, nodes=2)


@shows(
    "[sig-network] HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol [LinuxOnly]"
)
@shows(
    "[sig-scheduling] SchedulerPredicates [Serial] validates that there exists conflict between pods with same hostPort and protocol but one "
    "using 0.0.0.0 hostIP"
)
def test_host_ports_conflict_by_address_and_protocol() -> None:
    async def scenario(api: Api) -> None:
        def ported(name: str, ip: str, protocol: str) -> dict[str, Any]:
            port = {"containerPort": 8080, "hostPort": 54321, "hostIP": ip, "protocol": protocol}
            return pod(name, containers=[container(ports=[port])])

        for name, ip, protocol in (("one", "127.0.0.1", "TCP"), ("two", "10.0.0.9", "TCP"), ("three", "127.0.0.1", "UDP")):
            await api.post(PODS, ported(name, ip, protocol))
            await running(api, name)
        await api.post(PODS, ported("all", "0.0.0.0", "TCP"))
        waiting = await api.settled(f"{PODS}/all", lambda p: p["status"].get("conditions"))
        assert "didn't have free ports" in waiting["status"]["conditions"][0]["message"]

    run(scenario, nodes=1)
