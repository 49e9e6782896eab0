"""A Prometheus (or PrometheusAgent) and what it selects, as the text of a prometheus.yml and of its rule files.

One object that cannot be acted on is left out and told of in its status and an event; the others are unharmed.

Source: the Prometheus operator's API reference, PrometheusSpec.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from podium.telemetry.metrics.configuration.configuration import Configuration, load
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.prometheus_operator.credentials import Credentials, Lookup
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.relabeling import written
from podium.telemetry.prometheus_operator.rule_groups import groups_of
from podium.telemetry.prometheus_operator.scrape_jobs import JOBS, Rendering
from podium.telemetry.prometheus_operator.selection import chosen

Object = dict[str, Any]
Listing = Callable[[str], Sequence[Object]]
"""Resource -> all objects of it."""

UNSUPPORTED = (
    "additionalScrapeConfigs",
    "additionalAlertRelabelConfigs",
    "additionalAlertManagerConfigs",
    "thanos",
    "tracingConfig",
    "objectStorageConfig",
)
"""Fields of a Prometheus that are refused by name (those that only say how upstream's pods are run have no meaning here)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be acted on."""

    resource: str
    namespace: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What a Prometheus is to be: pure, made anew from what there is."""

    namespace: str
    name: str
    configuration: Configuration
    text: str
    groups: tuple[Group, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Making:
    prometheus: Object
    listing: Listing
    lookup: Lookup
    kinds: Mapping[str, type]
    problems: list[Problem] = field(default_factory=list)

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.prometheus["spec"]
        return spec

    @property
    def namespace(self) -> str:
        return str(self.prometheus["metadata"]["namespace"])

    def select(self, resource: str, prefix: str) -> list[Object]:
        namespaces = {n["metadata"]["name"]: n for n in self.listing("namespaces")}
        return chosen(self.spec, prefix, self.namespace, self.listing(resource), namespaces)

    def refuse(self, resource: str, given: Object, reason: object) -> None:
        self.problems.append(Problem(resource, given["metadata"]["namespace"], given["metadata"]["name"], str(reason)))

    def jobs(self) -> list[dict[str, Any]]:
        rendering = Rendering(self.spec, self.lookup, int(self.spec.get("shards") or 1), 0)
        found: list[dict[str, Any]] = []
        for resource, prefix, make in JOBS:
            for given in self.select(resource, prefix):
                try:
                    jobs = make(rendering, given)
                    load(yaml.safe_dump({"scrape_configs": jobs}), self.kinds)
                except (ResourceRefused, ConfigurationError) as error:
                    self.refuse(resource, given, error)
                else:
                    found += jobs
        return found

    def rules(self) -> list[Group]:
        found: list[Group] = []
        enforced = self.spec.get("enforcedNamespaceLabel")
        for given in self.select("prometheusrules", "rule"):
            if enforced:
                self.refuse(
                    "prometheusrules", given, "enforcedNamespaceLabel is not supported for rules: expressions would have to be rewritten"
                )
                continue
            try:
                found += groups_of(given)
            except RuleFileError as error:
                self.refuse("prometheusrules", given, error)
        return found

    def alerting(self) -> dict[str, Any]:
        alertmanagers = []
        for number, given in enumerate((self.spec.get("alerting") or {}).get("alertmanagers") or ()):
            namespace, where = given.get("namespace") or self.namespace, f"alerting.alertmanagers[{number}]"
            relabelings = [
                {"action": "keep", "source_labels": ["__meta_kubernetes_service_name"], "regex": given.get("name", "")},
                {"action": "keep", "source_labels": ["__meta_kubernetes_endpoint_port_name"], "regex": str(given.get("port", ""))},
            ]
            config = {
                "kubernetes_sd_configs": [{"role": "endpoints", "namespaces": {"names": [namespace]}}],
                "relabel_configs": [*relabelings, *written(given.get("relabelings"))],
                "api_version": given.get("apiVersion") or "v2",
                "path_prefix": given.get("pathPrefix") or "/",
                "scheme": given.get("scheme") or "http",
                **Credentials(self.lookup, namespace).http(given, where),
            }
            if given.get("timeout"):
                config["timeout"] = given["timeout"]
            if given.get("alertRelabelings"):
                config["alert_relabel_configs"] = written(given["alertRelabelings"])
            alertmanagers.append(config)
        return {"alertmanagers": alertmanagers} if alertmanagers else {}

    def global_(self) -> dict[str, Any]:
        spec = self.spec
        labels = dict(spec.get("externalLabels") or {})
        for field_name, default, value in (
            ("prometheusExternalLabelName", "prometheus", f"{self.namespace}/{self.prometheus['metadata']['name']}"),
            ("replicaExternalLabelName", "prometheus_replica", f"prometheus-{self.prometheus['metadata']['name']}-0"),
        ):
            name = spec.get(field_name, default)
            if name:
                labels.setdefault(name, value)
        config = {
            "scrape_interval": spec.get("scrapeInterval") or "30s",
            "evaluation_interval": spec.get("evaluationInterval") or "30s",
            "external_labels": labels,
        }
        if spec.get("scrapeTimeout"):
            config["scrape_timeout"] = spec["scrapeTimeout"]
        return config

    def remote(self) -> list[dict[str, Any]]:
        found = []
        for number, given in enumerate(self.spec.get("remoteWrite") or ()):
            where = f"remoteWrite[{number}]"
            config = {"url": given.get("url", ""), **Credentials(self.lookup, self.namespace).http(given, where)}
            for theirs, ours in (
                ("name", "name"),
                ("remoteTimeout", "remote_timeout"),
                ("headers", "headers"),
                ("sendExemplars", "send_exemplars"),
                ("sendNativeHistograms", "send_native_histograms"),
            ):
                if given.get(theirs) is not None:
                    config[ours] = given[theirs]
            if given.get("writeRelabelConfigs"):
                config["write_relabel_configs"] = written(given["writeRelabelConfigs"])
            if queue := given.get("queueConfig"):
                names = {
                    "capacity": "capacity", "minShards": "min_shards", "maxShards": "max_shards", "maxSamplesPerSend": "max_samples_per_send",
                    "batchSendDeadline": "batch_send_deadline", "minBackoff": "min_backoff", "maxBackoff": "max_backoff",
                    "retryOnRateLimit": "retry_on_http_429", "sampleAgeLimit": "sample_age_limit",
                }  # fmt: skip
                config["queue_config"] = {ours: queue[theirs] for theirs, ours in names.items() if queue.get(theirs) is not None}
            found.append(config)
        return found


def plan_server(
    prometheus: Object, listing: Listing, lookup: Lookup, kinds: Mapping[str, type], extra_jobs: Sequence[Mapping[str, Any]] = ()
) -> ServerPlan:
    """Pure. Raises ResourceRefused when the Prometheus itself cannot be. `kinds` are the kinds of discovery, `extra_jobs` are scraped as
    well (what every cluster has)."""
    making = _Making(prometheus, listing, lookup, kinds)
    for name in UNSUPPORTED:
        if making.spec.get(name):
            raise ResourceRefused(f"spec.{name} is not supported")
    document: dict[str, Any] = {"global": making.global_(), "scrape_configs": [*extra_jobs, *making.jobs()]}
    if alerting := making.alerting():
        document["alerting"] = alerting
    if remote := making.remote():
        document["remote_write"] = remote
    text = yaml.safe_dump(document, sort_keys=False)
    try:
        configuration = load(text, kinds)
    except ConfigurationError as error:
        raise ResourceRefused(str(error)) from error
    metadata = prometheus["metadata"]
    return ServerPlan(metadata["namespace"], metadata["name"], configuration, text, tuple(making.rules()), problems=tuple(making.problems))
