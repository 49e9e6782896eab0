"""kubernetes_sd_configs against a client: what is told when objects come, change and go; the section itself; kubeconfigs."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.client.mirrors import Mirrors
from podium.objects.resources import resource
from podium.telemetry.discovery import ec2
from podium.telemetry.discovery.ec2 import Ec2Discoverer, Ec2DiscoveryConfig
from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.discovery.kubernetes import KubernetesDiscoverer
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess, read_kubeconfig
from podium.telemetry.discovery.kubernetes_config import KubernetesDiscoveryConfig
from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.discovery.groups import TargetGroup
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed
from podium.telemetry.metrics.errors import ConfigurationError
from podium.world import virtual
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld
from tests.fakes.fake_client import FakeClient
from tests.telemetry.metrics.discovery.test_discovery import Found


def section(text: str, key: str = "kubernetes_sd_configs") -> Any:
    (job,) = load(f"scrape_configs: [{{job_name: j, {key}: [{{{text}}}]}}]", ALL_KINDS).jobs
    return job.discovery[key][0]


def pod(name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    spec = {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}]}], "nodeName": "n1"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"podIP": f"ip-{name}", **more}}


def endpoint_slice(name: str, *pods: str) -> dict[str, Any]:
    endpoints = [{"addresses": [f"ip-{p}"], "targetRef": {"kind": "Pod", "namespace": "shop", "name": p}, "nodeName": "n1"} for p in pods]
    metadata = {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}}
    ports = [{"port": 80, "protocol": "TCP"}]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "endpoints": endpoints, "ports": ports}


def service(**labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "labels": labels}, "spec": {}}


def node(**labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}}


def run(text: str, test: Callable[[FakeClient, Found], Awaitable[None]], *objects: dict[str, Any]) -> None:
    async def main(world: VirtualWorld) -> None:
        supervisor = Supervisor("test")
        client, found = FakeClient(world), Found()
        for value in objects:
            client.put(value)
        discoverer = KubernetesDiscoverer(section(text), Mirrors(client, world, supervisor), own_namespace="mine")
        supervisor.start("discovery", discoverer.run(found))
        try:
            await asyncio.sleep(1)
            await test(client, found)
        finally:
            await supervisor.stop()

    virtual.run(main)


def label(group: TargetGroup, name: str) -> str:
    return {**group.labels, **group.targets[0]}.get(f"__meta_kubernetes_{name}", "")


def test_pods_come_change_and_go() -> None:
    async def test(client: FakeClient, found: Found) -> None:
        assert found.shown() == {"pod/shop/a": ["ip-a:80"], "pod/shop/b": ["ip-b:80"]}
        assert found.updates == 1
        client.put(pod("a", phase="Running"))
        client.put(pod("c"))
        client.remove(resource("pods"), "b", "shop")
        await asyncio.sleep(1)
        assert sorted(found.groups) == ["pod/shop/a", "pod/shop/c"]
        assert label(found.groups["pod/shop/a"], "pod_phase") == "Running"

    run("role: pod", test, pod("a"), pod("b"))


def test_an_endpoint_slice_follows_its_service_pods_and_node() -> None:
    async def test(client: FakeClient, found: Found) -> None:
        source = "endpointslice/shop/web-1"
        assert label(found.groups[source], "pod_name") == ""
        client.put(pod("a", phase="Pending"))
        client.put(service(v="1"))
        client.put(node(zone="z"))
        await asyncio.sleep(1)
        group = found.groups[source]
        assert [label(group, name) for name in ("pod_phase", "service_label_v", "node_label_zone")] == ["Pending", "1", "z"]
        client.put(pod("a", phase="Running"))
        client.put(service(v="2"))
        client.put(node(zone="y"))
        await asyncio.sleep(1)
        group = found.groups[source]
        assert [label(group, name) for name in ("pod_phase", "service_label_v", "node_label_zone")] == ["Running", "2", "y"]
        client.remove(resource("endpointslices", "discovery.k8s.io"), "web-1", "shop")
        await asyncio.sleep(1)
        assert found.groups == {}

    run("role: endpointslice, attach_metadata: {node: true}", test, endpoint_slice("web-1", "a"))


def test_endpoints_follow_their_service_by_name() -> None:
    subsets = [{"ports": [{"port": 80}], "addresses": [{"ip": "10.0.0.1"}]}]
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "shop"}, "subsets": subsets}

    async def test(client: FakeClient, found: Found) -> None:
        assert found.shown() == {"endpoints/shop/web": ["10.0.0.1:80"]}
        client.put(service(v="1"))
        await asyncio.sleep(1)
        assert label(found.groups["endpoints/shop/web"], "service_label_v") == "1"

    run("role: endpoints", test, endpoints)


def test_namespaces_and_selectors_narrow_what_is_found() -> None:
    async def test(client: FakeClient, found: Found) -> None:
        assert sorted(found.groups) == ["pod/mine/d", "pod/shop/a"]

    text = "role: pod, namespaces: {own_namespace: true, names: [shop]}, selectors: [{role: pod, label: 'app=x'}]"
    labelled = {"metadata": {"labels": {"app": "x"}}}
    run(text, test, pod("a", **labelled), pod("b"), pod("c", "other", **labelled), pod("d", "mine", **labelled))


def test_a_namespaces_labels_are_attached_and_followed() -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}

    async def test(client: FakeClient, found: Found) -> None:
        assert label(found.groups["pod/shop/a"], "namespace_label_team") == "a"
        space["metadata"] = {"name": "shop", "labels": {"team": "b"}}
        client.put(space)
        await asyncio.sleep(1)
        assert label(found.groups["pod/shop/a"], "namespace_label_team") == "b"

    run("role: pod, attach_metadata: {namespace: true}", test, space, pod("a"))


REFUSED = [
    ("", "role missing"),
    ("role: vacation", 'unknown Kubernetes SD role "vacation"'),
    ("role: pod, basic_auth: {username: a}", "to use custom HTTP client configuration please provide the 'api_server' URL explicitly"),
    ("role: pod, api_server: 'https://x', kubeconfig_file: y", "cannot use 'kubeconfig_file' and 'api_server' simultaneously"),
    ("role: pod, kubeconfig_file: y, bearer_token: z", "cannot use a custom HTTP client configuration together with 'kubeconfig_file'"),
    ("role: pod, api_server: 'https://x', namespaces: {own_namespace: true}", "cannot use 'api_server' and 'namespaces.own_namespace'"),
    ("role: pod, api_server: 'http://x'", "api_server must be an https:// address"),
    ("role: pod, api_server: 'https://x', basic_auth: {username: a}", "kubernetes_sd_configs supports authorization and tls_config only"),
    ("role: pod, api_server: 'https://x', tls_config: {insecure_skip_verify: true}", "tls_config of kubernetes_sd_configs supports"),
    ("role: node, selectors: [{role: pod}]", "node role supports only node selectors"),
    ("role: endpoints, selectors: [{role: node}]", "endpoints role supports only pod, service, endpoints selectors"),
    ("role: pod, selectors: [{role: pod}, {role: pod}]", "duplicated selector role: pod"),
    ("role: pod, selectors: [{role: pod, label: 'a in'}]", ""),
    ("role: pod, foo: 1", "yaml: unmarshal errors:\n  line 1: field foo not found in type kubernetes.plain"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_section_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        section(text)
    assert message in str(refused.value)


def test_a_kubeconfig_says_where_and_who(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("authority")
    value: dict[str, Any] = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://x:6443", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"client-certificate-data": base64.b64encode(b"cert").decode(), "client-key": "/k"}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(value))
    endpoint = read_kubeconfig(path)
    assert (endpoint.url, endpoint.ca_path, endpoint.key_path) == ("https://x:6443", tmp_path / "ca.crt", Path("/k"))
    assert endpoint.certificate_path is not None
    assert endpoint.certificate_path.read_bytes() == b"cert"
    assert endpoint.certificate_path.stat().st_mode & 0o077 == 0
    value["users"][0]["user"] = {"exec": {}}
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(ConfigurationError, match="users with exec are not supported"):
        read_kubeconfig(path)
    path.write_text("a: [")
    with pytest.raises(ConfigurationError, match="kubeconfig"):
        read_kubeconfig(path)


class FakeInstances:
    async def describe(self, config: Ec2DiscoveryConfig) -> Any:
        interface = {"SubnetId": "s1", "Ipv6Addresses": [{"Ipv6Address": "fd00::1", "IsPrimaryIpv6": True}, {"Ipv6Address": "fd00::2"}]}
        instance = {
            "InstanceId": "i-1", "PrivateIpAddress": "10.0.0.1", "PublicIpAddress": "1.2.3.4", "PublicDnsName": "p", "ImageId": "ami-1",
            "Placement": {"AvailabilityZone": "eu-a"}, "State": {"Name": "running"}, "InstanceType": "m5.large", "Architecture": "x86_64",
            "VpcId": "v1", "SubnetId": "s1", "NetworkInterfaces": [interface, {**interface, "SubnetId": "s2"}, {}],
            "Tags": [{"Key": "app.name", "Value": "web"}],
        }  # fmt: skip
        return [{"OwnerId": "o", "Instances": [instance, {"InstanceId": "i-2"}]}], {"eu-a": "eu1-az1"}


def test_a_key_in_a_file_goes_with_the_process(tmp_path: Path) -> None:
    data = base64.b64encode(b"x").decode()
    user = {"client-certificate-data": data, "client-key-data": data}
    cluster = {"server": "https://h:6443", "certificate-authority-data": data}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    clusters, users = [{"name": "c", "cluster": cluster}], [{"name": "u", "user": user}]
    config = {"current-context": "c", "contexts": [context], "clusters": clusters, "users": users}
    (tmp_path / "config").write_text(json.dumps(config))
    code = (
        "import sys, pathlib; from podium.telemetry.discovery import kubernetes_clients as k; k.read_kubeconfig(pathlib.Path(sys.argv[1]))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "config"], env=environment, check=True, timeout=60)
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


async def test_ec2_instances_are_targets() -> None:
    config = section("region: eu, port: 9100, filters: [{name: 'tag:x', values: [y]}]", "ec2_sd_configs")
    (group,) = await Ec2Discoverer(config, FakeInstances()).refresh()
    (target,) = group.targets
    assert target["__address__"] == "10.0.0.1:9100"
    assert {n.removeprefix("__meta_ec2_"): v for n, v in target.items() if n != "__address__"} == {
        "instance_id": "i-1", "owner_id": "o", "private_ip": "10.0.0.1", "public_ip": "1.2.3.4", "public_dns_name": "p", "ami": "ami-1",
        "availability_zone": "eu-a", "availability_zone_id": "eu1-az1", "instance_state": "running", "instance_type": "m5.large",
        "architecture": "x86_64", "region": "eu", "vpc_id": "v1", "primary_subnet_id": "s1", "subnet_id": ",s1,s2,",
        "ipv6_addresses": ",fd00::1,fd00::2,fd00::1,fd00::2,", "primary_ipv6_addresses": ",fd00::1,fd00::1,", "tag_app_name": "web",
    }  # fmt: skip
    for text, message in [("port: 1", "requires a region"), ("region: x, filters: [{name: a}]", "filter values cannot be empty")]:
        with pytest.raises(ConfigurationError, match=message):
            section(text, "ec2_sd_configs")


def test_the_section_prints_itself() -> None:
    text = load("scrape_configs: [{job_name: j, kubernetes_sd_configs: [{role: pod, namespaces: {names: [a]}}]}]", ALL_KINDS).printed()
    assert "kubernetes_sd_configs:\n  - role: pod\n" in text
    assert isinstance(load(text, ALL_KINDS).jobs[0].discovery["kubernetes_sd_configs"][0], KubernetesDiscoveryConfig)


@pytest.mark.slow  # boto3 takes a second to load
def test_boto3_is_asked_for_zones_and_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    from botocore.stub import Stubber

    client = boto3.client("ec2", region_name="eu", aws_access_key_id="a", aws_secret_access_key="b")
    stubber = Stubber(client)
    stubber.add_response("describe_availability_zones", {"AvailabilityZones": [{"ZoneName": "eu-a", "ZoneId": "eu1-az1"}]}, {})
    filters = [{"Name": "tag:x", "Values": ["y"]}]
    page = {"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}]}
    stubber.add_response("describe_instances", {**page, "NextToken": "t"}, {"Filters": filters})
    stubber.add_response("describe_instances", page, {"Filters": filters, "NextToken": "t"})
    stubber.add_client_error("describe_availability_zones", "AuthFailure", "not you")
    monkeypatch.setattr(ec2, "_client", lambda boto3, config: client)
    config = section("region: eu, filters: [{name: 'tag:x', values: [y]}]", "ec2_sd_configs")
    with stubber:
        reservations, zones = ec2._describe(config)
        assert (len(reservations), zones) == (2, {"eu-a": "eu1-az1"})
        with pytest.raises(DiscoveryFailed, match=r"could not describe instances: .*not you"):
            ec2._describe(config)


def test_without_a_cluster_it_is_said_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    async def main(world: VirtualWorld) -> None:
        supervisor = Supervisor("test")
        config = section("role: pod")
        with pytest.raises(ConfigurationError, match="give api_server or kubeconfig_file"):
            KubernetesAccess(world, supervisor).discoverer(config)
        client = FakeClient(world)
        access = KubernetesAccess(world, supervisor, client)
        client.put(pod("a"))
        founds = [Found(), Found()]
        for found in founds:
            supervisor.start("discovery", access.discoverer(config).run(found))
        await asyncio.sleep(1)
        assert [list(found.groups) for found in founds] == [["pod/shop/a"]] * 2
        assert client.calls["list", "pods"] == 1
        await supervisor.stop()
        await access.aclose()

    virtual.run(main)
