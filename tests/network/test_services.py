"""From Services and EndpointSlices to forwards."""

from typing import Any

import pytest

from podium.network.services import Endpoint, plan_forwards

Object = dict[str, Any]


def service(name: str = "web", **spec: Any) -> Object:
    base = {"clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20"], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return {"metadata": {"namespace": "default", "name": name}, "spec": {**base, **spec}}


def piece(*endpoints: Object, service_name: str = "web", ports: list[Object] | None = None, family: str = "IPv4") -> Object:
    return {
        "metadata": {"namespace": "default", "name": "s", "labels": {"kubernetes.io/service-name": service_name}},
        "addressType": family,
        "ports": ports or [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def endpoint(ip: str, node: str = "", **conditions: bool) -> Object:
    return {"addresses": [ip], "conditions": conditions, **({"nodeName": node} if node else {})}


A, B = "10.1.0.1", "10.1.0.2"
CHOICES = [
    ("ready by default", {}, [endpoint(B), endpoint(A)], [A, B]),
    ("not ready", {}, [endpoint(A, ready=True), endpoint(B, ready=False, serving=False)], [A]),
    ("terminating ones serve when none is ready", {}, [endpoint(A, ready=False, serving=True), endpoint(B, ready=False, serving=False)], [A]),
    ("terminating ones do not serve otherwise", {}, [endpoint(A, ready=False, serving=True, terminating=True), endpoint(B, ready=True)], [B]),
    ("repeated", {}, [endpoint(A), endpoint(A)], [A]),
    ("local only", {"internalTrafficPolicy": "Local"}, [endpoint(A, "here"), endpoint(B, "there")], [A]),
    ("IPv6 left out", {}, [endpoint("fd00::1"), endpoint(A)], [A]),
    ("none", {}, [], []),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "endpoints", "expected"), [c[1:] for c in CHOICES], ids=[c[0] for c in CHOICES])
def test_endpoints_chosen(spec: Object, endpoints: list[Object], expected: list[str]) -> None:
    (forward,) = plan_forwards([service(**spec)], [piece(*endpoints)], "here")
    assert forward.endpoints == tuple(Endpoint(ip, 8080) for ip in expected)


NONE = [("headless", {"clusterIP": "None", "clusterIPs": ["None"]}), ("no address", {"clusterIP": "", "clusterIPs": []}),
        ("external name", {"type": "ExternalName"})]  # fmt: skip


@pytest.mark.parametrize("spec", [n[1] for n in NONE], ids=[n[0] for n in NONE])
def test_services_without_a_cluster_ip_have_no_forwards(spec: Object) -> None:
    assert plan_forwards([service(**spec)], [piece(endpoint(A))]) == ()


def test_ports_match_by_name_and_protocol() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "gone", "port": 9}]
    slices = [
        piece(endpoint(A), ports=[{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5353, "protocol": "UDP"}])
    ]
    found = {f.port_name: [(e.ip, e.port) for e in f.endpoints] for f in plan_forwards([service(ports=ports)], slices)}
    assert found == {"http": [(A, 8080)], "dns": [(A, 5353)], "gone": []}


def test_node_port_follows_the_external_policy() -> None:
    spec = {"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}
    (forward,) = plan_forwards([service(**spec)], [piece(endpoint(A, "here"), endpoint(B, "there"))], "here")
    assert [e.ip for e in forward.endpoints] == [A, B]
    assert [e.ip for e in forward.node_endpoints] == [A]


def test_plan_is_in_the_order_of_keys_whatever_the_input_order() -> None:
    services = [service("b"), service("a", clusterIPs=["10.96.0.21"], externalIPs=["192.0.2.9"], sessionAffinity="ClientIP")]
    slices = [piece(endpoint(A)), piece(endpoint(B), service_name="a")]
    plan = plan_forwards(services, slices)
    assert plan == plan_forwards(services[::-1], slices[::-1])
    assert [(f.name, f.addresses, f.sticky) for f in plan] == [
        ("a", ("10.96.0.21", "192.0.2.9"), True),
        ("b", ("10.96.0.20",), False),
    ]


def test_slices_of_a_service_add_up() -> None:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "admin", "port": 81, "protocol": "TCP"}]
    slices = [
        piece(endpoint(A), endpoint(B, ready=False, serving=True)),
        piece(endpoint(A), ports=[{"name": "admin", "port": 9090, "protocol": "TCP"}]),
        piece(endpoint(B), endpoint(A), ports=[{"name": "http", "port": 8081, "protocol": "TCP"}]),
        piece(endpoint("fd00::1"), family="IPv6"),
    ]
    found = {f.port_name: [(e.ip, e.port) for e in f.endpoints] for f in plan_forwards([service(ports=ports)], slices)}
    assert found == {"http": [(A, 8080), (A, 8081), (B, 8081)], "admin": [(A, 9090)]}


def test_one_slice_with_a_ready_endpoint_is_enough_to_pass_over_ending_ones() -> None:
    ending, ready = piece(endpoint(A, ready=False, serving=True, terminating=True)), piece(endpoint(B))
    (both,) = plan_forwards([service()], [ending, ready])
    (alone,) = plan_forwards([service()], [ending])
    assert [e.ip for e in both.endpoints] == [B] and [e.ip for e in alone.endpoints] == [A]
