"""Services, Endpoints, EndpointSlices and the `kubernetes` Service."""

from typing import Any

import pytest

from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC

shows = pytest.mark.conformance
SERVICES, ENDPOINTS = "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/endpoints"
PODS, SLICES = "/api/v1/namespaces/default/pods", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


@shows("[sig-network] API Server should provide secure master service")
@shows("[sig-network] Services should find a service from listing all namespaces")
async def test_the_kubernetes_service_is_there(api: Api) -> None:
    service = await api.get(f"{SERVICES}/kubernetes")
    assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == [("https", 443)]
    found = (await api.get("/api/v1/services"))["items"]
    assert ("default", "kubernetes") in [(s["metadata"]["namespace"], s["metadata"]["name"]) for s in found]


@shows("[sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server")
async def test_the_api_server_is_behind_it(api: Api) -> None:
    subset = (await api.get(f"{ENDPOINTS}/kubernetes"))["subsets"][0]
    assert subset["addresses"] == [{"ip": "10.0.0.1"}] and subset["ports"] == [{"name": "https", "port": 6443, "protocol": "TCP"}]
    slices = (await api.get(f"{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes"))["items"]
    assert [s["endpoints"][0]["addresses"] for s in slices] == [["10.0.0.1"]]


@shows("[sig-network] Services should complete a service status lifecycle")
async def test_the_status_of_a_service(api: Api) -> None:
    async with api.watch(SERVICES) as watch:
        ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}]
        await api.post(SERVICES, {"metadata": {"name": "a"}, "spec": {"type": "LoadBalancer", "ports": ports}})
        await watch.next("ADDED")
        assert (await api.get(f"{SERVICES}/a/status"))["status"] == {"loadBalancer": {}}
        patch = {"metadata": {"annotations": {"patched": "true"}}, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
        patched = await api.patch(f"{SERVICES}/a/status", patch)
        ingress = [{"ip": "203.0.113.1", "ipMode": "VIP"}]
        assert patched["status"]["loadBalancer"]["ingress"] == ingress
        assert (await watch.next("MODIFIED"))["metadata"]["annotations"] == {"patched": "true"}
        condition = {"type": "Updated", "status": "True", "reason": "E2E", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        updated = await api.put(f"{SERVICES}/a/status", {**patched, "status": {**patched["status"], "conditions": [condition]}})
        assert updated["status"]["conditions"] == [condition]
        await watch.next("MODIFIED")
        labelled = await api.patch(f"{SERVICES}/a", {"metadata": {"labels": {"test": "patched"}}}, STRATEGIC)
        assert labelled["status"] == updated["status"]
        await watch.next("MODIFIED")
        await api.delete(f"{SERVICES}/a")
        await watch.next("DELETED")


@shows("[sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods")
@shows("[sig-network] EndpointsController should create and delete Endpoints for a Service with a selector that matches no pods")
def test_a_service_without_pods_has_empty_endpoints_until_it_goes() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SERVICES, {"metadata": {"name": "a"}, "spec": {"selector": {"does": "not-match"}, "ports": [{"port": 80}]}})
        endpoints = await api.settled(f"{ENDPOINTS}/a", bool)
        assert not endpoints.get("subsets")
        chosen = f"{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Da"
        slices = (await api.settled(chosen, lambda found: found["items"]))["items"]
        assert len(slices) == 1 and not slices[0]["endpoints"]
        assert slices[0]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
        await api.delete(f"{SERVICES}/a")
        await api.settled(f"{ENDPOINTS}/a", lambda e: e is None)
        await api.settled(chosen, lambda found: not found["items"])

    run(scenario)


def pod(name: str, port_name: str, port: int) -> dict[str, Any]:
    container = {**POD_SPEC["containers"][0], "ports": [{"name": port_name, "containerPort": port}]}
    return {"metadata": {"name": name, "labels": LABELS | {name: "yes"}}, "spec": {"containers": [container]}}


@shows("[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service")
@shows("[sig-network] EndpointsController should create Endpoints for Pods matching a Service")
def test_endpoints_follow_pods() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, pod("one", "example-name", 3000))
        await api.post(PODS, pod("two", "other-name", 3001))
        ports = [{"name": "example", "port": 80, "targetPort": "example-name"}]
        await api.post(SERVICES, {"metadata": {"name": "one"}, "spec": {"selector": LABELS | {"one": "yes"}, "ports": ports}})
        headless = [{"name": "x", "port": 80, "targetPort": 8080}]
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": LABELS, "ports": headless}
        await api.post(SERVICES, {"metadata": {"name": "both"}, "spec": spec})
        one = await api.settled(f"{ENDPOINTS}/one", lambda e: e and e.get("subsets") and e["subsets"][0].get("addresses"))
        assert one["subsets"][0]["ports"] == [{"name": "example", "port": 3000, "protocol": "TCP"}]
        both = f"{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dboth"
        found = await api.settled(both, lambda s: s["items"] and sum(len(i["endpoints"]) for i in s["items"]) == 2)
        ready = [e["targetRef"]["name"] for s in found["items"] for e in s["endpoints"]]
        assert sorted(ready) == ["one", "two"] and found["items"][0]["ports"] == [{"name": "x", "port": 8080, "protocol": "TCP"}]
        await api.delete(f"{PODS}/one", {"gracePeriodSeconds": 0})
        await api.settled(f"{ENDPOINTS}/one", lambda e: not e.get("subsets"))

    run(scenario, nodes=1)


CHANGES = [("ClusterIP", "ExternalName"), ("ExternalName", "ClusterIP"), ("ExternalName", "NodePort"), ("NodePort", "ExternalName")]


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_a_service_changes_its_type(api: Api, before: str, after: str) -> None:
    spec = {"type": before, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 9376}]}
    if before == "ExternalName":
        spec = {"type": before, "externalName": "foo.example.com"}
    created = await api.post(SERVICES, {"metadata": {"name": "a"}, "spec": spec})
    if after == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "externalTrafficPolicy"):
            created["spec"].pop(field, None)
        created["spec"] |= {"type": after, "externalName": "web.default.svc.cluster.local"}
    else:
        created["spec"] |= {"type": after, "externalName": "", "ports": [{"port": 80, "name": "http", "targetPort": 9376}]}
    changed = (await api.put(f"{SERVICES}/a", created))["spec"]
    assert changed["type"] == after
    assert bool(changed.get("clusterIP")) == (after != "ExternalName")
    assert bool(changed.get("ports", [{}])[0].get("nodePort")) == (after == "NodePort")


@shows("[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete")
def test_endpoints_written_by_hand_are_mirrored() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SERVICES, {"metadata": {"name": "custom"}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}]}})
        subsets = [{"ports": [{"port": 80}], "addresses": [{"ip": "10.1.2.3"}]}]
        await api.post(ENDPOINTS, {"metadata": {"name": "custom"}, "subsets": subsets})
        chosen = f"{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dcustom"
        found = (await api.settled(chosen, lambda s: s["items"]))["items"]
        assert len(found) == 1 and found[0]["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
        assert [p["port"] for p in found[0]["ports"]] == [80] and [e["addresses"] for e in found[0]["endpoints"]] == [["10.1.2.3"]]
        subsets = [{"ports": [{"name": "", "port": 81}], "addresses": [{"ip": "10.2.3.4"}], "notReadyAddresses": [{"ip": "10.2.3.5"}]}]
        value = await api.get(f"{ENDPOINTS}/custom")
        await api.put(f"{ENDPOINTS}/custom", {**value, "subsets": subsets})
        changed = await api.settled(chosen, lambda s: [p["port"] for i in s["items"] for p in i["ports"]] == [81])
        endpoints = [(e["addresses"][0], e["conditions"]["ready"]) for e in changed["items"][0]["endpoints"]]
        assert endpoints == [("10.2.3.4", True), ("10.2.3.5", False)]
        await api.delete(f"{ENDPOINTS}/custom")
        await api.settled(chosen, lambda s: not s["items"])

    run(scenario)


@pytest.mark.parametrize("metadata", [
    {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}, {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}},
])  # fmt: skip
def test_some_endpoints_are_not_mirrored(metadata: dict[str, Any]) -> None:
    async def scenario(api: Api) -> None:
        await api.post(SERVICES, {"metadata": {"name": "custom"}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}]}})
        subsets = [{"ports": [{"port": 80}], "addresses": [{"ip": "10.1.2.3"}]}]
        await api.post(ENDPOINTS, {"metadata": {"name": "custom", **metadata}, "subsets": subsets})
        await api.post(SERVICES, {"metadata": {"name": "other"}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}]}})
        await api.post(ENDPOINTS, {"metadata": {"name": "other"}, "subsets": subsets})
        slices = (await api.settled(SLICES, lambda s: len(s["items"]) > 1))["items"]
        assert {s["metadata"]["labels"]["kubernetes.io/service-name"] for s in slices} == {"kubernetes", "other"}

    run(scenario)
