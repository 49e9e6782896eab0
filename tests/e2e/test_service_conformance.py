"""Pods that answer, and Services by which they are reached: real servers in processes of this machine, asked from within pods and from outside."""

import json
import os
import sys
import time
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import Kubectl, without_kubectl

ABOUT_KUBECTL = False
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.runtime("process"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: pods have addresses of their own"),
    without_kubectl,
]
shows = pytest.mark.conformance
PATIENCE_S = 30.0
PORT = 9376
SERVER = f"""
import http.server, os, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["POD_NAME"].encode())
    def log_message(self, *_): pass
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", {PORT}), Handler).serve_forever()
"""
LABELS = {"app": "hostname"}
POD_SPEC = {
    "terminationGracePeriodSeconds": 1,
    "containers": [
        {
            "name": "c",
            "image": "hostname",
            "command": [sys.executable, "-c", SERVER],
            "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"containerPort": PORT}],
            "readinessProbe": {"httpGet": {"port": PORT}, "periodSeconds": 1},
        }
    ],
}  # fmt: skip


def workload(kind: str, api_version: str, selector: Any, replicas: int = 2) -> str:
    spec = {"replicas": replicas, "selector": selector, "template": {"metadata": {"labels": LABELS}, "spec": POD_SPEC}}
    return json.dumps({"apiVersion": api_version, "kind": kind, "metadata": {"name": "hostname"}, "spec": spec})


def fetched(url: str) -> str:
    """What is served there, once it is."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("kind", "api_version", "selector"),
    [
        pytest.param("ReplicaSet", "apps/v1", {"matchLabels": LABELS}, id="ReplicaSet",
                     marks=shows("[sig-apps] ReplicaSet should serve a basic image on each replica with a public image")),
        pytest.param("ReplicationController", "v1", LABELS, id="ReplicationController",
                     marks=shows("[sig-apps] ReplicationController should serve a basic image on each replica with a public image")),
    ],
)  # fmt: skip
def test_every_replica_answers_with_its_name(kubectl: Kubectl, kind: str, api_version: str, selector: Any) -> None:
    kubectl("create", "-f", "-", stdin=workload(kind, api_version, selector))
    kubectl("wait", f"{kind}/hostname", "--for=jsonpath={.status.availableReplicas}=2", "--timeout=60s")
    pods = json.loads(kubectl("get", "pods", "-l", "app=hostname", "-o", "json"))["items"]
    assert len(pods) == 2
    for pod in pods:
        assert fetched(f"http://{pod['status']['podIP']}:{PORT}/") == pod["metadata"]["name"]


def inside(kubectl: Kubectl, code: str) -> str:
    """What Python says in the pod `client`; fails when it never ends well."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said = kubectl("exec", "client", "--", sys.executable, "-c", f"try:\n {code}\nexcept OSError as error:\n print('error', error)")
        if not said.startswith("error"):
            return said.strip()
        assert time.monotonic() < deadline, said
        time.sleep(0.3)


def reached(kubectl: Kubectl, place: str) -> str:
    return inside(kubectl, f"import urllib.request; print(urllib.request.urlopen('http://{place}/', timeout=2).read().decode())")


def resolved(kubectl: Kubectl, name: str) -> str:
    return inside(kubectl, f"import socket; print(socket.gethostbyname('{name}'))")


def service(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", "service", "changing", "-o", "json"))["spec"]
    return found


@pytest.fixture
def ready(kubectl: Kubectl) -> Kubectl:
    """With two servers, a Service `target` before them, and a pod that asks."""
    kubectl("create", "-f", "-", stdin=workload("ReplicaSet", "apps/v1", {"matchLabels": LABELS}))
    ports = [{"port": 80, "targetPort": PORT}]
    target = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "target"}, "spec": {"selector": LABELS, "ports": ports}}
    kubectl("create", "-f", "-", stdin=json.dumps(target))
    kubectl("run", "client", "--image=client", "--overrides", json.dumps({"spec": {"terminationGracePeriodSeconds": 1}}), "--command", "--",
            "sleep", "1000")  # fmt: skip
    kubectl("wait", "replicaset/hostname", "--for=jsonpath={.status.availableReplicas}=2", "--timeout=60s")
    kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=60s")
    return kubectl


def create(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "changing"}, "spec": spec}))


def change(kubectl: Kubectl, **spec: Any) -> None:
    kubectl("patch", "service", "changing", "--type=merge", "-p", json.dumps({"spec": spec}))


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("ClusterIP", id="ClusterIP",
                     marks=shows("[sig-network] Services should be able to change the type from ClusterIP to ExternalName")),
        pytest.param("NodePort", id="NodePort",
                     marks=shows("[sig-network] Services should be able to change the type from NodePort to ExternalName")),
    ],
)  # fmt: skip
def test_a_service_becomes_a_name_for_another(ready: Kubectl, before: str) -> None:
    create(ready, {"type": before, "selector": LABELS, "ports": [{"port": 80, "targetPort": PORT}]})
    spec = service(ready)
    assert spec["clusterIP"] and bool(spec["ports"][0].get("nodePort")) == (before == "NodePort")
    assert resolved(ready, "changing") == spec["clusterIP"] and reached(ready, "changing").startswith("hostname-")
    change(ready, type="ExternalName", externalName=f"target.{ready.namespace}.svc.cluster.local", clusterIP="", clusterIPs=None)
    spec = service(ready)
    assert not spec.get("clusterIP") and not any(port.get("nodePort") for port in spec.get("ports") or ())
    target = ready("get", "service", "target", "-o", "jsonpath={.spec.clusterIP}")
    deadline = time.monotonic() + PATIENCE_S
    while resolved(ready, "changing") != target:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert reached(ready, "changing").startswith("hostname-")


@pytest.mark.parametrize(
    "after",
    [
        pytest.param("ClusterIP", id="ClusterIP",
                     marks=shows("[sig-network] Services should be able to change the type from ExternalName to ClusterIP")),
        pytest.param("NodePort", id="NodePort",
                     marks=shows("[sig-network] Services should be able to change the type from ExternalName to NodePort")),
    ],
)  # fmt: skip
def test_a_name_becomes_a_service_with_an_address(ready: Kubectl, after: str) -> None:
    create(ready, {"type": "ExternalName", "externalName": "foo.example.com"})
    assert not service(ready).get("clusterIP")
    change(ready, type=after, externalName=None, selector=LABELS, ports=[{"port": 80, "targetPort": PORT, "protocol": "TCP"}])
    spec = service(ready)
    assert spec["clusterIP"] and "externalName" not in spec
    assert reached(ready, spec["clusterIP"]).startswith("hostname-")
    deadline = time.monotonic() + PATIENCE_S
    while resolved(ready, "changing") != spec["clusterIP"]:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert reached(ready, "changing").startswith("hostname-")
    if after == "NodePort":
        node = ready("get", "nodes", "-o", 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
        assert reached(ready, f"{node}:{spec['ports'][0]['nodePort']}").startswith("hostname-")
