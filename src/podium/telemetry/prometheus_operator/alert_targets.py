"""To whom a Prometheus sends its alerts: `alerting.alertmanagers`, and what Secrets add, as prometheus.yml's section `alerting`.

An entry names a Service: Podium makes `alertmanager-operated` for Alertmanager objects (monitoring/governing_services.py), others are the
user's.

Source: the Prometheus operator's generateAlertmanagerConfig and appendAlertingConfig in pkg/prometheus/promcfg.go.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from podium.telemetry.prometheus_operator.credentials import Credentials
from podium.telemetry.prometheus_operator.relabeling import written

Config = dict[str, Any]
REPLICA_LABEL = "prometheus_replica"


def alerting(spec: Mapping[str, Any], namespace: str, credentials: Credentials) -> Config:
    """{} where it says nothing of alerts. `namespace` is the Prometheus'. Raises ResourceRefused."""
    relabelings = credentials.documents(spec.get("additionalAlertRelabelConfigs"), "spec.additionalAlertRelabelConfigs")
    more = credentials.documents(spec.get("additionalAlertManagerConfigs"), "spec.additionalAlertManagerConfigs")
    given = spec.get("alerting")
    if not given and not relabelings and not more:
        return {}
    role = "endpointslice" if spec.get("serviceDiscoveryRole") == "EndpointSlice" else "endpoints"
    entries = (given or {}).get("alertmanagers") or ()
    replica = spec.get("replicaExternalLabelName", REPLICA_LABEL)
    dropped = [{"action": "labeldrop", "regex": re.escape(replica)}] if replica else []
    return {
        "alert_relabel_configs": [*dropped, *relabelings],
        "alertmanagers": [*_entries(entries, namespace, role, credentials), *more],
    }


def _entries(entries: Sequence[Mapping[str, Any]], namespace: str, role: str, credentials: Credentials) -> list[Config]:
    return [_entry(entry, namespace, role, credentials, f"alerting.alertmanagers[{number}]") for number, entry in enumerate(entries)]


def _entry(given: Mapping[str, Any], namespace: str, role: str, credentials: Credentials, where: str) -> Config:
    relabelings: list[Config] = [{"action": "keep", "source_labels": ["__meta_kubernetes_service_name"], "regex": given.get("name", "")}]
    if port := given.get("port"):
        name = f"__meta_kubernetes_{role.removesuffix('s')}_port_name"
        source = "__meta_kubernetes_pod_container_port_number" if isinstance(port, int) else name
        relabelings.append({"action": "keep", "source_labels": [source], "regex": str(port)})
    config: Config = {
        "kubernetes_sd_configs": [{"role": role, "namespaces": {"names": [given.get("namespace") or namespace]}}],
        "relabel_configs": [*relabelings, *written(given.get("relabelings"))],
        "path_prefix": given.get("pathPrefix") or "/",
        "scheme": (given.get("scheme") or "http").lower(),
        **credentials.http(given, where),
    }
    if given.get("apiVersion"):
        config["api_version"] = given["apiVersion"]
    if given.get("timeout"):
        config["timeout"] = given["timeout"]
    if given.get("alertRelabelings"):
        config["alert_relabel_configs"] = written(given["alertRelabelings"])
    return config
