"""Kubernetes objects as target groups: objects in YAML, addresses and meta labels (without their prefix) out."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from podium.telemetry.discovery.kubernetes_groups import (
    endpoint_slice_group,
    endpoints_group,
    ingress_group,
    no_object,
    node_group,
    pod_group,
    service_group,
)  # fmt: skip
from podium.telemetry.metrics.discovery.groups import TargetGroup

POD = yaml.safe_load("""
metadata:
  name: web-1
  namespace: shop
  uid: u1
  labels: {app: web, "example.com/tier": front}
  annotations: {prometheus.io/scrape: "true"}
  ownerReferences: [{kind: ReplicaSet, name: web, controller: true}]
spec:
  nodeName: n1
  containers:
  - {name: main, image: web:1, ports: [{containerPort: 8080, name: http, protocol: TCP}, {containerPort: 9090, name: metrics, protocol: TCP}]}
  - {name: plain, image: plain:1}
  initContainers:
  - {name: mesh, image: mesh:1, ports: [{containerPort: 15020, name: stats, protocol: TCP}]}
status:
  podIP: 10.0.0.7
  hostIP: 192.168.0.1
  phase: Running
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: main, containerID: containerd://c1}]
  initContainerStatuses: [{name: mesh, containerID: containerd://c2}]
""")
NODE = yaml.safe_load("""
metadata: {name: n1, labels: {zone: a}, annotations: {note: x}}
spec: {providerID: aws:///a/i-1}
status:
  addresses: [{type: Hostname, address: n1.local}, {type: InternalIP, address: 192.168.0.1}, {type: InternalIP, address: 192.168.0.2}]
  daemonEndpoints: {kubeletEndpoint: {Port: 10250}}
""")
SERVICE = yaml.safe_load("""
metadata: {name: web, namespace: shop, labels: {app: web}, annotations: {a/b: c}}
spec: {type: LoadBalancer, clusterIP: 10.1.0.1, loadBalancerIP: 1.2.3.4, ports: [{port: 80, name: http, protocol: TCP}]}
""")
NAMESPACE = {"metadata": {"name": "shop", "labels": {"team": "a"}, "annotations": {"owner": "b"}}}

POD_LABELS = {
    "pod_name": "web-1", "pod_ip": "10.0.0.7", "pod_ready": "true", "pod_phase": "Running", "pod_node_name": "n1", "pod_host_ip": "192.168.0.1",
    "pod_uid": "u1", "pod_controller_kind": "ReplicaSet", "pod_controller_name": "web", "pod_label_app": "web", "pod_labelpresent_app": "true",
    "pod_label_example_com_tier": "front", "pod_labelpresent_example_com_tier": "true", "pod_annotation_prometheus_io_scrape": "true",
    "pod_annotationpresent_prometheus_io_scrape": "true",
}  # fmt: skip
SERVICE_LABELS = {
    "namespace": "shop", "service_name": "web", "service_label_app": "web", "service_labelpresent_app": "true", "service_annotation_a_b": "c",
    "service_annotationpresent_a_b": "true",
}  # fmt: skip
NODE_LABELS = {"node_name": "n1", "node_label_zone": "a", "node_labelpresent_zone": "true"}


def container(name: str, image: str, init: bool = False, port: int = 0, port_name: str = "") -> dict[str, str]:
    labels = {"pod_container_name": name, "pod_container_image": image, "pod_container_init": str(init).lower()}
    if port:
        labels |= {"pod_container_port_name": port_name, "pod_container_port_number": str(port), "pod_container_port_protocol": "TCP"}
    return labels


def short(labels: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix("__meta_kubernetes_"): value for name, value in labels.items() if value}


def targets(group: TargetGroup) -> dict[str, dict[str, str]]:
    return {t["__address__"]: short({n: v for n, v in t.items() if n != "__address__"}) for t in group.targets}


def find(value: Any) -> Any:
    metadata = value["metadata"]
    return lambda namespace, name: value if (namespace, name) == (metadata.get("namespace", ""), metadata["name"]) else None


def test_a_pod_has_a_target_for_each_port_and_each_container_without_one() -> None:
    group = pod_group(POD)
    assert group.source == "pod/shop/web-1"
    assert short(group.labels) == {"namespace": "shop", **POD_LABELS}
    assert targets(group) == {
        "10.0.0.7:8080": {**container("main", "web:1", False, 8080, "http"), "pod_container_id": "containerd://c1"},
        "10.0.0.7:9090": {**container("main", "web:1", False, 9090, "metrics"), "pod_container_id": "containerd://c1"},
        "10.0.0.7": container("plain", "plain:1"),
        "10.0.0.7:15020": {**container("mesh", "mesh:1", True, 15020, "stats"), "pod_container_id": "containerd://c2"},
    }


def test_a_pod_without_an_address_has_no_targets() -> None:
    assert pod_group({**POD, "status": {}}) == TargetGroup("pod/shop/web-1")


def test_node_and_namespace_are_attached_on_demand() -> None:
    labels = short(pod_group(POD, NODE, NAMESPACE).labels)
    attached = {
        "namespace_label_team": "a", "namespace_labelpresent_team": "true", "namespace_annotation_owner": "b",
        "namespace_annotationpresent_owner": "true",
    }  # fmt: skip
    assert labels == {"namespace": "shop", **POD_LABELS, **NODE_LABELS, **attached}


def test_a_node_is_one_target_at_its_preferred_address() -> None:
    group = node_group(NODE, ("InternalIP", "Hostname"))
    assert group.source == "node/n1"
    assert group.targets == (
        {
            "__address__": "192.168.0.1:10250", "instance": "n1", "__meta_kubernetes_node_address_InternalIP": "192.168.0.1",
            "__meta_kubernetes_node_address_Hostname": "n1.local",
        },
    )  # fmt: skip
    more = {"node_provider_id": "aws:///a/i-1", "node_annotation_note": "x", "node_annotationpresent_note": "true"}
    assert short(group.labels) == {**NODE_LABELS, **more}
    assert node_group(NODE, ("Hostname",)).targets[0]["__address__"] == "n1.local:10250"
    assert node_group({"metadata": {"name": "n1"}}, ("InternalIP",)) == TargetGroup("node/n1")


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({}, {"service_type": "LoadBalancer", "service_cluster_ip": "10.1.0.1", "service_loadbalancer_ip": "1.2.3.4"}),
        ({"type": "ClusterIP"}, {"service_type": "ClusterIP", "service_cluster_ip": "10.1.0.1"}),
        ({"type": "ExternalName", "externalName": "x.y"}, {"service_type": "ExternalName", "service_external_name": "x.y"}),
    ],
)
def test_a_service_has_a_target_for_each_port(spec: dict[str, str], labels: dict[str, str]) -> None:
    group = service_group({**SERVICE, "spec": {**SERVICE["spec"], **spec}})
    assert (group.source, short(group.labels)) == ("svc/shop/web", SERVICE_LABELS)
    port = {"service_port_name": "http", "service_port_number": "80", "service_port_protocol": "TCP"}
    assert targets(group) == {"web.shop.svc:80": {**port, **labels}}


REFERENCE = {"kind": "Pod", "name": "web-1", "namespace": "shop"}
UNCOVERED = {
    "10.0.0.7:9090": {**container("main", "web:1", False, 9090, "metrics"), **POD_LABELS},
    "10.0.0.7:15020": {**container("mesh", "mesh:1", True, 15020, "stats"), **POD_LABELS},
}


def test_endpoints_are_targets_and_so_are_the_other_ports_of_their_pods() -> None:
    endpoints = {
        "metadata": {"name": "web", "namespace": "shop", "labels": {"l": "1"}},
        "subsets": [
            {
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "addresses": [{"ip": "10.0.0.7", "nodeName": "n1", "targetRef": REFERENCE}],
                "notReadyAddresses": [{"ip": "fd00::1", "hostname": "h"}],
            }
        ],
    }
    group = endpoints_group(endpoints, SERVICE, find(POD), find(NODE))
    assert group.source == "endpoints/shop/web"
    own = {"endpoints_name": "web", "endpoints_label_l": "1", "endpoints_labelpresent_l": "true"}
    assert short(group.labels) == {**own, **SERVICE_LABELS}
    port = {"endpoint_port_name": "http", "endpoint_port_protocol": "TCP"}
    about = {
        "endpoint_ready": "true",
        "endpoint_address_target_kind": "Pod",
        "endpoint_address_target_name": "web-1",
        "endpoint_node_name": "n1",
    }
    assert targets(group) == {
        "10.0.0.7:8080": {**port, **about, **NODE_LABELS, **POD_LABELS, **container("main", "web:1", False, 8080, "http")},
        "[fd00::1]:8080": {**port, "endpoint_ready": "false", "endpoint_hostname": "h"},
        **UNCOVERED,
    }
    assert len(endpoints_group(endpoints, None, no_object).targets) == 2


def test_endpoint_slices_are_targets_with_their_conditions() -> None:
    endpoint = {
        "addresses": ["10.0.0.7"], "conditions": {"ready": True, "serving": True, "terminating": False}, "hostname": "h", "nodeName": "n1",
        "zone": "a", "targetRef": REFERENCE,
    }  # fmt: skip
    slice_ = {
        "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "h2c"}],
    }
    group = endpoint_slice_group(slice_, SERVICE, find(POD))
    assert group.source == "endpointslice/shop/web-x"
    own = {"endpointslice_name": "web-x", "endpointslice_address_type": "IPv4", "endpointslice_label_kubernetes_io_service_name": "web"}
    assert short(group.labels) == {**own, "endpointslice_labelpresent_kubernetes_io_service_name": "true", **SERVICE_LABELS}
    about = {
        "port_name": "http", "port_protocol": "TCP", "port": "8080", "port_app_protocol": "h2c", "endpoint_conditions_ready": "true",
        "endpoint_conditions_serving": "true", "endpoint_conditions_terminating": "false", "endpoint_hostname": "h", "endpoint_node_name": "n1",
        "endpoint_zone": "a", "address_target_kind": "Pod", "address_target_name": "web-1",
    }  # fmt: skip
    mine = {f"endpointslice_{name}": value for name, value in about.items()}
    assert targets(group) == {"10.0.0.7:8080": {**mine, **POD_LABELS, **container("main", "web:1", False, 8080, "http")}, **UNCOVERED}


def test_an_ingress_has_a_target_for_each_path() -> None:
    ingress = {
        "metadata": {"name": "i", "namespace": "shop"},
        "spec": {
            "ingressClassName": "podium",
            "tls": [{"hosts": ["*.example.com"]}],
            "rules": [
                {"host": "a.example.com", "http": {"paths": [{"path": "/x"}, {}]}},
                {"host": "b.c.example.com"},
            ],
        },
    }
    group = ingress_group(ingress)
    assert (group.source, short(group.labels)) == (
        "ingress/shop/i",
        {"namespace": "shop", "ingress_name": "i", "ingress_class_name": "podium"},
    )
    assert [short({n: v for n, v in t.items() if n != "__address__"}) for t in group.targets] == [
        {"ingress_scheme": "https", "ingress_host": "a.example.com", "ingress_path": "/x"},
        {"ingress_scheme": "https", "ingress_host": "a.example.com", "ingress_path": "/"},
        {"ingress_scheme": "http", "ingress_host": "b.c.example.com", "ingress_path": "/"},
    ]
