"""Behaviours of the certification suite that are about kubectl itself, each with every kubectl there is, on simulated nodes."""

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Kubectl, without_kubectl
from tests.e2e.test_kubectl_streams import read_until, streaming

pytestmark = [pytest.mark.e2e, pytest.mark.slow, without_kubectl]
shows = pytest.mark.conformance
AGNHOST, BUSYBOX = "registry.k8s.io/e2e-test-images/agnhost:2.56", "registry.k8s.io/e2e-test-images/busybox:1.37.0-1"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: web}}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: {image}}}]}}
"""


@shows("[sig-cli] Kubectl client Kubectl api-versions should check if v1 is in available api versions")
def test_v1_is_among_the_api_versions(kubectl: Kubectl) -> None:
    versions = kubectl("api-versions").splitlines()
    assert "v1" in versions and "apps/v1" in versions and versions == sorted(versions)


@shows("[sig-cli] Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info")
def test_the_control_plane_is_named(kubectl: Kubectl) -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", kubectl("cluster-info"))
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    assert f"Kubernetes control plane is running at {server}" in plain


@shows("[sig-cli] Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments")
def test_diff_shows_both_images(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=DEPLOYMENT.format(image=AGNHOST))
    for mode in ([], ["--server-side", "--force-conflicts"]):
        lines = kubectl("diff", *mode, "-f", "-", stdin=DEPLOYMENT.format(image=BUSYBOX), code=1).splitlines()
        assert f"-      - image: {AGNHOST}" in lines and f"+      - image: {BUSYBOX}" in lines
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == AGNHOST
    kubectl("diff", "-f", "-", stdin=DEPLOYMENT.format(image=AGNHOST))  # nothing differs


@shows("[sig-cli] Kubectl client Kubectl run pod should create a pod from an image when restart is Never")
def test_run_makes_a_pod_that_is_not_restarted(kubectl: Kubectl) -> None:
    kubectl("run", "once", "--restart=Never", f"--image={AGNHOST}")
    pod = json.loads(kubectl("get", "pod", "once", "-o", "json"))
    assert [c["image"] for c in pod["spec"]["containers"]] == [AGNHOST] and pod["spec"]["restartPolicy"] == "Never"


@shows("[sig-cli] Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods")
def test_a_dry_run_on_the_server_changes_nothing(kubectl: Kubectl) -> None:
    kubectl("run", "dry", f"--image={AGNHOST}", "--labels=run=dry")
    kubectl("wait", "--for=condition=Ready", "pod/dry", "--timeout=30s")
    change = json.dumps({"spec": {"containers": [{"name": "dry", "image": BUSYBOX}]}})
    image = "jsonpath={.spec.containers[0].image}"
    assert kubectl("patch", "pod", "dry", "-p", change, "--dry-run=server", "-o", image) == BUSYBOX
    assert kubectl("get", "pod", "dry", "-o", image) == AGNHOST
    kubectl("run", "never", f"--image={AGNHOST}", "--dry-run=server")
    kubectl("get", "pod", "never", code=1)


@shows("[sig-cli] Kubectl client Kubectl version should check is all data is printed")
def test_version_tells_of_client_and_server(kubectl: Kubectl) -> None:
    text = kubectl("version")
    assert re.search(r"(?m)^Client Version: v1\.\d+", text) and re.search(r"(?m)^Server Version: v1\.\d+\.\d+(\+\w+)?$", text)
    told = json.loads(subprocess.run(
        ["kubectl", "version", "-o", "json"], env=kubectl.environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout)  # fmt: skip
    fields = ("major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
    for side in ("clientVersion", "serverVersion"):
        assert all(told[side].get(field) for field in fields), told[side]


@contextmanager
def proxy(kubectl: Kubectl, *options: str) -> Iterator[str]:
    """Where the proxy says it listens."""
    with streaming(kubectl, "proxy", *options) as (_, output):
        said = read_until(output, lambda text: re.search("Starting to serve on .*\n", text) is not None)
        yield said.partition("Starting to serve on ")[2].strip()


def api_versions(connection: http.client.HTTPConnection) -> list[str]:
    connection.request("GET", "/api/")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["kind"] == "APIVersions"
    return list(answer["versions"])


@shows("[sig-cli] Kubectl client Proxy server should support --unix-socket=/path")
def test_the_proxy_listens_on_a_unix_socket(kubectl: Kubectl, tmp_path: Path) -> None:
    path = f"/tmp/{kubectl.namespace}-proxy.sock" if len(str(tmp_path)) > 80 else str(tmp_path / "proxy.sock")
    with proxy(kubectl, f"--unix-socket={path}") as address:
        assert address == path
        connection = http.client.HTTPConnection("localhost", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(path)
        assert api_versions(connection) == ["v1"]
    Path(path).unlink(missing_ok=True)


@shows("[sig-cli] Kubectl client Proxy server should support proxy with --port 0")
def test_the_proxy_finds_a_port(kubectl: Kubectl) -> None:
    with proxy(kubectl, "--port=0", "--disable-filter=true") as address:
        host, _, port = address.rpartition(":")
        assert int(port) > 0
        assert api_versions(http.client.HTTPConnection(host, int(port), timeout=20)) == ["v1"]
