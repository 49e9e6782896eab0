"""Scrape jobs of monitors: ServiceMonitor, PodMonitor, Probe and ScrapeConfig to entries of scrape_configs.

Job names and labels are upstream's, so that dashboards and rules written for it hold: `serviceMonitor/NAMESPACE/NAME/0`; namespace, service,
pod, container, endpoint and job on the series.

Source: the Prometheus operator's API reference and its design documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.prometheus_operator.credentials import Credentials, Lookup, without_files
from podium.telemetry.prometheus_operator.enforcement import NamespaceLabel, job_limits, label_of
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.relabeling import copied_labels, label_name, renamed, selected, written
from podium.telemetry.prometheus_operator.scrape_classes import ScrapeClasses, scrape_classes
from podium.telemetry.prometheus_operator.selection import namespaces_of

Config = dict[str, Any]
Object = dict[str, Any]
_SERVICE, _POD = "__meta_kubernetes_service", "__meta_kubernetes_pod"
_PAGE = {
    "scrapeProtocols": "scrape_protocols", "fallbackScrapeProtocol": "fallback_scrape_protocol",
    "scrapeClassicHistograms": "always_scrape_classic_histograms", "nativeHistogramBucketLimit": "native_histogram_bucket_limit",
    "scrapeNativeHistograms": "scrape_native_histograms", "convertClassicHistogramsToNHCB": "convert_classic_histograms_to_nhcb",
}  # fmt: skip
_ENDPOINT = {
    "interval": "scrape_interval", "scrapeTimeout": "scrape_timeout", "path": "metrics_path", "params": "params", "scheme": "scheme",
    "honorLabels": "honor_labels", "honorTimestamps": "honor_timestamps", "trackTimestampsStaleness": "track_timestamps_staleness",
    "enableCompression": "enable_compression",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rendering:
    """What all jobs of one Prometheus share. `spec` is its spec. Raises ResourceRefused when it is made."""

    spec: Mapping[str, Any]
    lookup: Lookup
    namespace: str = ""
    classes: ScrapeClasses = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", scrape_classes(self.spec))

    @property
    def label(self) -> NamespaceLabel:
        """Raises ResourceRefused."""
        return label_of(self.spec)

    def credentials(self, monitor: Object) -> Credentials:
        return Credentials(self.lookup, monitor["metadata"]["namespace"])

    def access(self, monitor: Object, given: Mapping[str, Any], field: str) -> Config:
        """How its targets are asked: by what it says, or else its scrape class."""
        own = self.credentials(monitor).http(self.checked(given, field), field)
        return self.classes.of(monitor["spec"]).access(own, Credentials(self.lookup, self.namespace))

    def checked(self, given: Mapping[str, Any], field: str) -> Mapping[str, Any]:
        if (self.spec.get("arbitraryFSAccessThroughSMs") or {}).get("deny"):
            without_files(given, field)
        return given

    def overrides(self) -> Config:
        """What every job says, whatever its object does."""
        honored = (("overrideHonorLabels", "honor_labels"), ("overrideHonorTimestamps", "honor_timestamps"))
        return {ours: False for theirs, ours in honored if self.spec.get(theirs)}

    def finish(self, job: Config, kind: str, monitor: Object, relabelings: list[Config]) -> Config:
        """What comes last in every job: the enforced namespace, limits."""
        spec = monitor["spec"]
        job |= {ours: spec[theirs] for theirs, ours in _PAGE.items() if spec.get(theirs) is not None}
        if (protocol := self.classes.of(spec).fallback_protocol) and not job.get("fallback_scrape_protocol"):
            job["fallback_scrape_protocol"] = protocol
        job |= job_limits(self.spec, spec)
        namespace = self.label.relabeling(kind, monitor)
        shared = self.classes.of(spec).metric_relabelings
        job["metric_relabel_configs"] = [*shared, *job.get("metric_relabel_configs", ()), *namespace]
        job["relabel_configs"] = [*relabelings, *namespace]
        return {name: value for name, value in job.items() if value not in (None, [], {})}


def _where(kind: str, monitor: Object, number: int | None = None) -> str:
    name = f"{kind}/{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
    return name if number is None else f"{name}/{number}"


def _base(rendering: Rendering, name: str, monitor: Object, endpoint: Mapping[str, Any], field: str) -> Config:
    job: Config = {"job_name": name}
    for theirs, ours in _ENDPOINT.items():
        if endpoint.get(theirs) is not None:
            job[ours] = endpoint[theirs].lower() if theirs == "scheme" else endpoint[theirs]
    job |= rendering.overrides()
    job |= rendering.access(monitor, endpoint, field)
    job["metric_relabel_configs"] = written(endpoint.get("metricRelabelings"))
    return job


def _discovery(role: str, monitor: Object, rendering: Rendering) -> Config:
    names = namespaces_of(monitor["spec"].get("namespaceSelector"), monitor["metadata"]["namespace"])
    if rendering.spec.get("ignoreNamespaceSelectors"):
        names = [monitor["metadata"]["namespace"]]
    config: Config = {"role": role}
    if names:
        config["namespaces"] = {"names": names}
    return config


def _attached(monitor: Object, rendering: Rendering) -> Config:
    attach = rendering.classes.of(monitor["spec"]).attach_metadata(monitor["spec"].get("attachMetadata"))
    return {"attach_metadata": {"node": True}} if attach.get("node") else {}


def service_monitor_jobs(rendering: Rendering, monitor: Object) -> list[Config]:
    """A job an endpoint. Raises ResourceRefused."""
    role = "endpointslice" if rendering.spec.get("serviceDiscoveryRole") == "EndpointSlice" else "endpoints"
    jobs = []
    for number, endpoint in enumerate(monitor["spec"].get("endpoints") or ()):
        job = _base(rendering, _where("serviceMonitor", monitor, number), monitor, endpoint, f"endpoints[{number}]")
        job["kubernetes_sd_configs"] = [_discovery(role, monitor, rendering) | _attached(monitor, rendering)]
        relabelings = _service_relabelings(monitor["spec"], endpoint, role, rendering.spec.get("podTargetLabels"))
        relabelings += rendering.classes.of(monitor["spec"]).relabelings + written(endpoint.get("relabelings"))
        jobs.append(rendering.finish(job, "ServiceMonitor", monitor, relabelings))
    return jobs


def _service_relabelings(spec: Mapping[str, Any], endpoint: Mapping[str, Any], role: str, pod_labels: Sequence[str] | None) -> list[Config]:
    configs = [renamed("job", "__tmp_prometheus_job_name"), *selected(spec.get("selector"), _SERVICE)]
    port, target = endpoint.get("port"), endpoint.get("targetPort")
    if port:
        configs.append({"action": "keep", "source_labels": [f"__meta_kubernetes_{role.removesuffix('s')}_port_name"], "regex": port})
    elif target:
        configs.append({"action": "keep", "source_labels": [_container_port(target)], "regex": str(target)})
    address = f"__meta_kubernetes_{role.removesuffix('s')}_address_target"
    for kind in ("Node", "Pod"):
        source = [f"{address}_kind", f"{address}_name"]
        configs.append(
            {"source_labels": source, "separator": ";", "regex": f"{kind};(.*)", "replacement": "${1}", "target_label": kind.lower()}
        )
    configs += [
        renamed("__meta_kubernetes_namespace", "namespace"),
        renamed(f"{_SERVICE}_name", "service"),
        renamed(f"{_POD}_name", "pod"),
        renamed(f"{_POD}_container_name", "container"),
    ]
    if endpoint.get("filterRunning") is not False:
        configs.append(_drop_finished())
    configs += copied_labels(spec.get("targetLabels"), _SERVICE)
    configs += copied_labels(spec.get("podTargetLabels"), _POD) + copied_labels(pod_labels, _POD)
    configs.append({"source_labels": [f"{_SERVICE}_name"], "target_label": "job", "replacement": "${1}"})
    if label := spec.get("jobLabel"):
        source = [f"{_SERVICE}_label_{label_name(label)}"]
        configs.append({"source_labels": source, "target_label": "job", "regex": "(.+)", "replacement": "${1}"})
    if port or target:
        configs.append({"target_label": "endpoint", "replacement": str(port or target)})
    return configs


def _container_port(port: object) -> str:
    return f"{_POD}_container_port_{'number' if isinstance(port, int) else 'name'}"


def _drop_finished() -> Config:
    return {"source_labels": [f"{_POD}_phase"], "regex": "(Failed|Succeeded)", "action": "drop"}


def pod_monitor_jobs(rendering: Rendering, monitor: Object) -> list[Config]:
    """A job an endpoint. Raises ResourceRefused."""
    jobs = []
    for number, endpoint in enumerate(monitor["spec"].get("podMetricsEndpoints") or ()):
        job = _base(rendering, _where("podMonitor", monitor, number), monitor, endpoint, f"podMetricsEndpoints[{number}]")
        job["kubernetes_sd_configs"] = [_discovery("pod", monitor, rendering) | _attached(monitor, rendering)]
        relabelings = _pod_relabelings(monitor, endpoint, rendering.spec.get("podTargetLabels"))
        relabelings += rendering.classes.of(monitor["spec"]).relabelings + written(endpoint.get("relabelings"))
        jobs.append(rendering.finish(job, "PodMonitor", monitor, relabelings))
    return jobs


def _pod_relabelings(monitor: Object, endpoint: Mapping[str, Any], pod_labels: Sequence[str] | None) -> list[Config]:
    spec = monitor["spec"]
    configs = [renamed("job", "__tmp_prometheus_job_name")]
    if endpoint.get("filterRunning") is not False:
        configs.append(_drop_finished())
    configs += selected(spec.get("selector"), _POD)
    if port := endpoint.get("port"):
        configs.append({"action": "keep", "source_labels": [f"{_POD}_container_port_name"], "regex": port})
    elif number := endpoint.get("portNumber"):
        configs.append({"action": "keep", "source_labels": [f"{_POD}_container_port_number"], "regex": str(number)})
    elif target := endpoint.get("targetPort"):
        configs.append({"action": "keep", "source_labels": [_container_port(target)], "regex": str(target)})
    configs += [
        renamed("__meta_kubernetes_namespace", "namespace"),
        renamed(f"{_POD}_container_name", "container"),
        renamed(f"{_POD}_name", "pod"),
        *copied_labels(spec.get("podTargetLabels"), _POD),
        *copied_labels(pod_labels, _POD),
        {"target_label": "job", "replacement": f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"},
    ]
    if label := spec.get("jobLabel"):
        source = [f"{_POD}_label_{label_name(label)}"]
        configs.append({"source_labels": source, "target_label": "job", "regex": "(.+)", "replacement": "${1}"})
    if shown := endpoint.get("port") or endpoint.get("portNumber") or endpoint.get("targetPort"):
        configs.append({"target_label": "endpoint", "replacement": str(shown)})
    return configs


def probe_jobs(rendering: Rendering, probe: Object) -> list[Config]:
    """One job. Raises ResourceRefused."""
    spec = probe["spec"]
    prober, targets = spec.get("prober") or {}, spec.get("targets") or {}
    if not prober.get("url"):
        raise ResourceRefused("prober.url: a probe needs a prober, host:port of a blackbox exporter")
    job = _base(rendering, _where("probe", probe), probe, spec, "spec")
    job["metrics_path"] = prober.get("path") or "/probe"
    if prober.get("scheme"):
        job["scheme"] = prober["scheme"].lower()
    if spec.get("module"):
        job["params"] = {"module": [spec["module"]]}
    relabelings = [renamed("job", "__tmp_prometheus_job_name")]
    if spec.get("jobName"):
        relabelings.append({"target_label": "job", "replacement": spec["jobName"]})
    asked = [renamed("__param_target", "instance"), {"target_label": "__address__", "replacement": prober["url"]}]
    asked += rendering.classes.of(spec).relabelings
    if static := targets.get("staticConfig"):
        job["static_configs"] = [
            {"targets": static.get("static") or [], "labels": {"namespace": probe["metadata"]["namespace"], **(static.get("labels") or {})}}
        ]
        relabelings += [renamed("__address__", "__param_target"), *asked, *written(static.get("relabelingConfigs"))]
    elif ingress := targets.get("ingress"):
        job["kubernetes_sd_configs"] = [_discovery("ingress", {"metadata": probe["metadata"], "spec": ingress}, rendering)]
        relabelings += [*selected(ingress.get("selector"), "__meta_kubernetes_ingress"), *_ingress_target()]
        relabelings += [renamed("__address__", "__tmp_ingress_address"), *asked, *written(ingress.get("relabelingConfigs"))]
    else:
        raise ResourceRefused("targets: a probe needs staticConfig or ingress")
    return [rendering.finish(job, "Probe", probe, relabelings)]


def _ingress_target() -> list[Config]:
    meta = "__meta_kubernetes_ingress"
    source = [f"{meta}_scheme", "__address__", f"{meta}_path"]
    return [
        {
            "source_labels": source,
            "separator": ";",
            "regex": "(.+);(.+);(.+)",
            "target_label": "__param_target",
            "replacement": "${1}://${2}${3}",
        },
        renamed("__meta_kubernetes_namespace", "namespace"),
        renamed(f"{meta}_name", "ingress"),
    ]


SCRAPE_CONFIG_DISCOVERY = {
    "staticConfigs": "static_configs", "httpSDConfigs": "http_sd_configs", "fileSDConfigs": "file_sd_configs",
    "dnsSDConfigs": "dns_sd_configs", "kubernetesSDConfigs": "kubernetes_sd_configs",
}  # fmt: skip
_SCRAPE_CONFIG = {
    "scrapeInterval": "scrape_interval", "scrapeTimeout": "scrape_timeout", "metricsPath": "metrics_path", "params": "params",
    "honorLabels": "honor_labels", "honorTimestamps": "honor_timestamps", "trackTimestampsStaleness": "track_timestamps_staleness",
    "enableCompression": "enable_compression",
}  # fmt: skip


def scrape_config_jobs(rendering: Rendering, given: Object) -> list[Config]:
    """One job. Raises ResourceRefused for discovery that Podium has not."""
    spec = given["spec"]
    unknown = sorted(n for n in spec if n.endswith("SDConfigs") and n not in SCRAPE_CONFIG_DISCOVERY)
    if unknown:
        raise ResourceRefused(f"{unknown[0]}: this discovery is not supported; there are {', '.join(SCRAPE_CONFIG_DISCOVERY)}")
    job: Config = {"job_name": _where("scrapeConfig", given)}
    job |= {ours: spec[theirs] for theirs, ours in _SCRAPE_CONFIG.items() if spec.get(theirs) is not None}
    if spec.get("scheme"):
        job["scheme"] = spec["scheme"].lower()
    job |= rendering.overrides()
    credentials = rendering.credentials(given)
    job |= rendering.access(given, spec, "spec")
    for theirs, ours in SCRAPE_CONFIG_DISCOVERY.items():
        if entries := spec.get(theirs):
            for index, entry in enumerate(entries):
                rendering.checked(entry, f"{theirs}[{index}]")
            job[ours] = [_discovery_entry(theirs, entry, credentials, f"{theirs}[{i}]") for i, entry in enumerate(entries)]
    job["metric_relabel_configs"] = written(spec.get("metricRelabelings"))
    relabelings = [renamed("job", "__tmp_prometheus_job_name"), *rendering.classes.of(spec).relabelings]
    if spec.get("jobName"):
        relabelings.append({"target_label": "job", "replacement": spec["jobName"]})
    return [rendering.finish(job, "ScrapeConfig", given, [*relabelings, *written(spec.get("relabelings"))])]


def _discovery_entry(kind: str, entry: Mapping[str, Any], credentials: Credentials, field: str) -> Config:
    match kind:
        case "staticConfigs":
            return {"targets": entry.get("targets") or [], "labels": entry.get("labels") or {}}
        case "fileSDConfigs":
            return _named(entry, {"files": "files", "refreshInterval": "refresh_interval"})
        case "dnsSDConfigs":
            return _named(entry, {"names": "names", "refreshInterval": "refresh_interval", "type": "type", "port": "port"})
        case "httpSDConfigs":
            return _named(entry, {"url": "url", "refreshInterval": "refresh_interval"}) | credentials.http(entry, field)
    config = _named(entry, {"apiServer": "api_server"}) | credentials.http(entry, field)
    config["role"] = str(entry.get("role", "")).lower()
    if namespaces := entry.get("namespaces"):
        config["namespaces"] = {"own_namespace": bool(namespaces.get("ownNamespace")), "names": namespaces.get("names") or []}
    if selectors := entry.get("selectors"):
        config["selectors"] = [{**s, "role": str(s.get("role", "")).lower()} for s in selectors]
    if (entry.get("attachMetadata") or {}).get("node"):
        config["attach_metadata"] = {"node": True}
    return config


def _named(entry: Mapping[str, Any], names: Mapping[str, str]) -> Config:
    return {ours: entry[theirs] for theirs, ours in names.items() if entry.get(theirs) is not None}


JOBS: Sequence[tuple[str, str, Any]] = (
    ("servicemonitors", "serviceMonitor", service_monitor_jobs),
    ("podmonitors", "podMonitor", pod_monitor_jobs),
    ("probes", "probe", probe_jobs),
    ("scrapeconfigs", "scrapeConfig", scrape_config_jobs),
)
"""(resource, prefix of its selectors, what makes its jobs), in upstream's order."""
