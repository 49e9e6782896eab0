"""Debian's Prometheus scrapes a live cluster: every component by the job that docs/exporters.md gives it, with a service account's token."""

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import KUBECTL_PROGRAMS, LiveCluster, end_cluster, start_cluster
from tests.e2e.test_envtest import free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not KUBECTL_PROGRAMS or shutil.which("prometheus") is None, reason="needs kubectl and Debian's prometheus"),
]

PATIENCE_S = 60.0
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: prometheus}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [nodes/metrics], verbs: [get]}
- {nonResourceURLs: [/metrics, "/metrics/*"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects: [{kind: ServiceAccount, name: prometheus, namespace: default}]
---
apiVersion: v1
kind: Pod
metadata: {name: busy, namespace: default}
spec:
  nodeSelector: {podium.dev/simulated: "true"}
  tolerations: [{operator: Exists}]
  containers: [{name: app, image: app, resources: {requests: {cpu: 250m, memory: 64Mi}}}]
"""

NODES = 3
"""This machine and two simulated ones."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    found = start_cluster("process", tmp_path_factory.mktemp("metrics"), "--simulated-nodes", "2")
    deadline = time.monotonic() + PATIENCE_S
    while len(kubectl(found, "get", "nodes", "-o", "name").split()) < NODES and time.monotonic() < deadline:
        time.sleep(0.1)  # `up` returns when the API is ready: nodes come a moment later
    yield found
    end_cluster(found)


@pytest.fixture(scope="module")
def prometheus(live: LiveCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("prometheus")
    kubectl(live, "apply", "-f", "-", stdin=ACCOUNT)
    (directory / "token").write_text(kubectl(live, "create", "token", "prometheus").strip())
    port = free_port()
    (directory / "prometheus.yml").write_text(json.dumps(configuration(live, directory)))
    command = [
        "prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def configuration(live: LiveCluster, directory: Path) -> dict[str, Any]:
    """JSON is YAML."""
    ca = str(live.cluster.pki_dir / "ca.crt")
    access: dict[str, Any] = {
        "scheme": "https",
        "tls_config": {"ca_file": ca},
        "authorization": {"credentials_file": str(directory / "token")},
    }
    api = [{"targets": [live.cluster.api_url.removeprefix("https://")]}]
    nodes = [target(node) for node in json.loads(kubectl(live, "get", "nodes", "-o", "json"))["items"]]
    real = [node for node in nodes if not node["labels"]["instance"].startswith("simulated-")]
    jobs: list[dict[str, Any]] = [
        {"job_name": "apiserver", "metrics_path": "/metrics", "static_configs": api},
        {"job_name": "kube-scheduler", "metrics_path": "/metrics/kube-scheduler", "static_configs": api},
        {"job_name": "kube-controller-manager", "metrics_path": "/metrics/kube-controller-manager", "static_configs": api},
        *(
            {"job_name": f"kubelet{path}", "metrics_path": f"/metrics{path}", "static_configs": nodes}
            for path in ("", "/cadvisor", "/resource", "/probes")
        ),
        {"job_name": "kube-proxy", "metrics_path": "/metrics/kube-proxy", "static_configs": real},
    ]
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [{**access, **job} for job in jobs]}


def target(node: dict[str, Any]) -> dict[str, Any]:
    """What discovery makes of a node (Debian's Prometheus is built without it)."""
    name, status = node["metadata"]["name"], node["status"]
    address = next(a["address"] for a in status["addresses"] if a["type"] == "InternalIP")
    port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    return {"targets": [f"{address}:{port}"], "labels": {"instance": name, "__param_node": name}}


def kubectl(live: LiveCluster, *arguments: str, stdin: str = "") -> str:
    program = next(iter(KUBECTL_PROGRAMS.values()))
    done = subprocess.run([program, "--kubeconfig", live.kubeconfig, *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def query(url: str, text: str) -> list[tuple[dict[str, str], float]]:
    with urllib.request.urlopen(f"{url}/api/v1/query?query={urllib.parse.quote(text)}", timeout=10) as answer:
        return [(entry["metric"], float(entry["value"][1])) for entry in json.loads(answer.read())["data"]["result"]]


def eventually(url: str, text: str, count: int) -> list[tuple[dict[str, str], float]]:
    found: list[tuple[dict[str, str], float]] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            found = query(url, text)
        except OSError:
            found = []
        if len(found) == count:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{text}: {found}")


def test_every_job_is_up_and_has_upstream_s_names(prometheus: str) -> None:
    up = eventually(prometheus, "up == 1", 16)
    assert {labels["job"] for labels, _ in up} == {
        "apiserver", "kube-scheduler", "kube-controller-manager", "kubelet", "kubelet/cadvisor", "kubelet/resource", "kubelet/probes", "kube-proxy",
    }  # fmt: skip
    assert eventually(
        prometheus, 'rate(container_cpu_usage_seconds_total{pod="busy",container="app",job="kubelet/cadvisor"}[10s]) > 0.2', 1
    )
    assert eventually(prometheus, "kubeproxy_sync_proxy_rules_duration_seconds_count > 0", 1)
    assert eventually(prometheus, 'workqueue_depth{job="kube-controller-manager",name="deployment"}', 1)
    assert eventually(prometheus, "scheduler_schedule_attempts_total{result='scheduled'} > 0", 1)
    assert eventually(prometheus, 'kubelet_node_name{node="simulated-1"} and on (instance) up', 2)
    assert len(query(prometheus, "count by (job) (process_resident_memory_bytes)")) == 5
    assert not query(prometheus, "up == 0")


def test_kubectl_reads_the_same_through_the_api_server(live: LiveCluster, prometheus: str) -> None:
    node = eventually(prometheus, 'container_memory_working_set_bytes{pod="busy",container="app",job="kubelet/cadvisor"}', 1)[0][0][
        "instance"
    ]
    shown = kubectl(live, "get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource")
    assert f'pod_memory_working_set_bytes{{namespace="default",pod="busy"}} {64 * 1024 * 1024}' in shown
    summary = json.loads(kubectl(live, "get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    assert summary["node"]["nodeName"] == node and [p["podRef"]["name"] for p in summary["pods"]] == ["busy"]
    assert "kubelet_running_pods" in kubectl(live, "get", "--raw", "/api/v1/nodes/podium/proxy/metrics")


def test_kube_state_follows_the_cluster(live: LiveCluster) -> None:
    command = [sys.executable, "-m", "podium", "metrics", "exporter", "kube-state", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--data-dir", str(live.cluster.data_dir)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        url = f"http://127.0.0.1:{process.stderr.readline().rpartition(' ')[2].strip()}"
        deadline = time.monotonic() + PATIENCE_S
        text = ""
        while 'kube_node_status_condition{node="simulated-1",condition="Ready",status="true"} 1' not in text:
            assert time.monotonic() < deadline, text[-500:]
            with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        assert 'kube_namespace_status_phase{namespace="kube-system",phase="Active"} 1' in text
    finally:
        process.terminate()
        process.wait()
