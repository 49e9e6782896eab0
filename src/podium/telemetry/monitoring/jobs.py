"""What every cluster is scraped for, under upstream's job names: its components, its machine, its objects, pods that ask for it.

Source: the jobs of Kubernetes' and the Prometheus operator's usual installations; the annotations prometheus.io/scrape, port, path, scheme.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Job = dict[str, Any]
INTERVAL = "30s"
KUBE_STATE_SAMPLES_MAX = 500_000
"""A cluster with more objects than that gives is scraped for the rest, and the job says that it is over its limit."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are, as host:port. `agent` is this machine's node agent, '' when it is no node; `node_name` its name. `machine`: the node
    exporter tells of it. `fleet`: where simulated nodes answer when that is not at their addresses, each for itself (`?node=`) if `fleet_apart`."""

    api: str
    own: str
    agent: str
    node_name: str
    ca: Path
    certificate: Path
    key: Path
    dns: bool
    simulated: bool
    machine: bool = True
    fleet: str = ""
    fleet_apart: bool = True


def cluster_jobs(place: Place) -> Sequence[Job]:
    tls = {"ca_file": str(place.ca), "cert_file": str(place.certificate), "key_file": str(place.key)}
    api = {"scheme": "https", "tls_config": tls, "static_configs": [{"targets": [place.api]}], "scrape_interval": INTERVAL}
    agent = {**api, "tls_config": {**tls, "insecure_skip_verify": True}, "static_configs": [{"targets": [place.agent]}]}
    own = {"static_configs": [{"targets": [place.own]}], "scrape_interval": INTERVAL}
    return [
        {"job_name": "apiserver", **api},
        {"job_name": "kube-controller-manager", "metrics_path": "/metrics/kube-controller-manager", **api},
        {"job_name": "kube-scheduler", "metrics_path": "/metrics/kube-scheduler", **api},
        *(_component(name, agent, place.node_name) for name in (*_PATHS, "coredns") if place.agent and (name != "coredns" or place.dns)),
        *(_fleet(name, api, place) for name in _FLEET_PATHS if place.simulated),
        *_machine(own, place),
        {
            "job_name": "kube-state-metrics", "metrics_path": "/exporters/kube-state/metrics", "honor_labels": True,
            "sample_limit": KUBE_STATE_SAMPLES_MAX, **own,
        },
        {"job_name": "prometheus", **own},
        {"job_name": "alertmanager", "metrics_path": "/alertmanager/metrics", **own},
        _annotated("kubernetes-pods", "pod"),
        _annotated("kubernetes-service-endpoints", "endpoints"),
    ]  # fmt: skip


def _machine(own: Job, place: Place) -> list[Job]:
    if not place.machine:
        return []
    return [{
        "job_name": "node-exporter", "metrics_path": "/exporters/node/metrics", **own,
        "relabel_configs": [{"target_label": "instance", "replacement": place.node_name}],
    }]  # fmt: skip


_PATHS = {
    "kubelet": "/metrics",
    "kubelet/cadvisor": "/metrics/cadvisor",
    "kubelet/probes": "/metrics/probes",
    "kube-proxy": "/metrics/kube-proxy",
}
_FLEET_PATHS = {"kubelet/simulated": "/metrics", "kubelet/simulated-cadvisor": "/metrics/cadvisor"}


def _component(name: str, agent: Job, node: str) -> Job:
    """Of this machine's agent, which has a path for each component."""
    path = _PATHS.get(name, f"/metrics/{name}")
    labels = {"job": name.partition("/")[0], "node": node, "instance": node, "metrics_path": path}
    return {
        "job_name": name,
        "metrics_path": path,
        **agent,
        "relabel_configs": [{"target_label": n, "replacement": v} for n, v in labels.items()],
    }


def _fleet(name: str, api: Job, place: Place) -> Job:
    """Simulated nodes share an agent that tells of all of them: whichever node it is found by, it is one target. Apart, each tells of
    its own containers, as a target with its name."""
    path = _FLEET_PATHS[name]
    if place.fleet:
        job = {"target_label": "job", "replacement": "kubelet"}, {"target_label": "metrics_path", "replacement": path}
        if path == "/metrics" or not place.fleet_apart:
            static = [{"targets": [place.fleet]}]
            return {
                "job_name": name,
                "metrics_path": path,
                "scrape_interval": INTERVAL,
                "static_configs": static,
                "relabel_configs": [*job],
            }
        named = (
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": label} for label in ("__param_node", "node", "instance")
        )
        return {
            "job_name": name, "metrics_path": path, "scrape_interval": INTERVAL, "kubernetes_sd_configs": [{"role": "node"}],
            "relabel_configs": [{"target_label": "__address__", "replacement": place.fleet}, *named, *job],
        }  # fmt: skip
    drop = (
        [{"source_labels": ["__meta_kubernetes_node_name"], "regex": re.escape(place.node_name), "action": "drop"}] if place.agent else []
    )
    return {
        "job_name": name, "metrics_path": path, "scheme": "https", "scrape_interval": INTERVAL,
        "tls_config": {**api["tls_config"], "insecure_skip_verify": True},
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [
            *drop,
            {"source_labels": ["__address__"], "target_label": "instance"},
            {"target_label": "job", "replacement": "kubelet"},
            {"target_label": "metrics_path", "replacement": path},
        ],
    }  # fmt: skip


def _annotated(job: str, role: str) -> Job:
    """Pods, or endpoints of Services, that say prometheus.io/scrape: "true"."""
    meta = "__meta_kubernetes_pod" if role == "pod" else "__meta_kubernetes_service"
    annotation = f"{meta}_annotation_prometheus_io"
    return {
        "job_name": job,
        "scrape_interval": INTERVAL,
        "kubernetes_sd_configs": [{"role": role}],
        "relabel_configs": [
            {"source_labels": [f"{annotation}_scrape"], "regex": "true", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Pending|Succeeded|Failed|Completed", "action": "drop"},
            {"source_labels": [f"{annotation}_scheme"], "regex": "(https?)", "target_label": "__scheme__"},
            {"source_labels": [f"{annotation}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
            {
                "source_labels": ["__address__", f"{annotation}_port"], "regex": r"(.+?)(?::\d+)?;(\d+)", "replacement": "$1:$2",
                "target_label": "__address__",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"source_labels": ["__meta_kubernetes_service_name"], "target_label": "service"},
            {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"},
        ],
    }  # fmt: skip
