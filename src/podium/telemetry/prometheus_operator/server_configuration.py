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
from podium.telemetry.prometheus_operator.alert_targets import REPLICA_LABEL, alerting
from podium.telemetry.prometheus_operator.credentials import Credentials, Lookup
from podium.telemetry.prometheus_operator.definitions import BY_NAME, BY_PLURAL
from podium.telemetry.prometheus_operator.enforcement import global_limits, label_of
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.field_effects import unsupported, without_effect
from podium.telemetry.prometheus_operator.remote_storage import remote_read, remote_write
from podium.telemetry.prometheus_operator.rule_groups import groups_of
from podium.telemetry.prometheus_operator.scrape_jobs import JOBS, Rendering
from podium.telemetry.prometheus_operator.selection import chosen
from podium.telemetry.prometheus_operator.server_settings import ServerSettings, settings_of

Object = dict[str, Any]
Listing = Callable[[str], Sequence[Object]]
"""Resource -> all objects of it."""

_GLOBAL = {
    "scrapeTimeout": "scrape_timeout", "scrapeProtocols": "scrape_protocols", "scrapeClassicHistograms": "always_scrape_classic_histograms",
    "scrapeNativeHistograms": "scrape_native_histograms", "convertClassicHistogramsToNHCB": "convert_classic_histograms_to_nhcb",
    "ruleQueryOffset": "rule_query_offset",
}  # fmt: skip
_OTLP = {
    "promoteAllResourceAttributes": "promote_all_resource_attributes", "promoteResourceAttributes": "promote_resource_attributes",
    "ignoreResourceAttributes": "ignore_resource_attributes", "translationStrategy": "translation_strategy",
    "keepIdentifyingResourceAttributes": "keep_identifying_resource_attributes", "convertHistogramsToNHCB": "convert_histograms_to_nhcb",
    "promoteScopeMetadata": "promote_scope_metadata",
}  # fmt: skip
_ESCAPING = {"AllowUTF8": "allow-utf-8", "Underscores": "underscores", "Dots": "dots", "Values": "values"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be acted on."""

    resource: str
    namespace: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What a Prometheus is to be: pure, made anew from what there is. `notices` are what its author should know."""

    namespace: str
    name: str
    configuration: Configuration
    text: str
    groups: tuple[Group, ...]
    settings: ServerSettings
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Two plans are the same when this is."""
        return f"{self.settings}\n{self.text}\n{self.groups}"


@dataclass(slots=True)
class _Making:
    prometheus: Object
    listing: Listing
    lookup: Lookup
    kinds: Mapping[str, type]
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

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

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.lookup, self.namespace)

    def jobs(self) -> list[dict[str, Any]]:
        rendering = Rendering(self.spec, self.lookup, self.namespace)
        found: list[dict[str, Any]] = []
        for resource, prefix, make in JOBS:
            for given in self.select(resource, prefix):
                try:
                    _check_fields(resource, given)
                    jobs = make(rendering, given)
                    load(yaml.safe_dump({"scrape_configs": jobs}), self.kinds)
                except (ResourceRefused, ConfigurationError) as error:
                    self.refuse(resource, given, error)
                else:
                    found += jobs
        return found + self.credentials.documents(self.spec.get("additionalScrapeConfigs"), "spec.additionalScrapeConfigs")

    def rules(self) -> list[Group]:
        found: list[Group] = []
        label = label_of(self.spec)
        for given in self.select("prometheusrules", "rule"):
            try:
                _check_fields("prometheusrules", given)
                found += label.on_rules(given, groups_of(given))
            except (RuleFileError, ResourceRefused) as error:
                self.refuse("prometheusrules", given, error)
        return found

    def global_(self) -> dict[str, Any]:
        spec = self.spec
        config = {
            "scrape_interval": spec.get("scrapeInterval") or "30s",
            "evaluation_interval": spec.get("evaluationInterval") or "30s",
            "external_labels": self._external_labels(),
            **global_limits(spec),
        }
        config |= {ours: spec[theirs] for theirs, ours in _GLOBAL.items() if spec.get(theirs)}
        if scheme := spec.get("nameValidationScheme"):
            config["metric_name_validation_scheme"] = scheme.lower()
        if scheme := spec.get("nameEscapingScheme"):
            config["metric_name_escaping_scheme"] = _ESCAPING.get(scheme, scheme)
        return config

    def _external_labels(self) -> dict[str, str]:
        """The operator's two, and the user's but for those."""
        name = self.prometheus["metadata"]["name"]
        own = {
            self.spec.get("prometheusExternalLabelName", "prometheus"): f"{self.namespace}/{name}",
            self.spec.get("replicaExternalLabelName", REPLICA_LABEL): f"prometheus-{name}-0",
        }
        own.pop("", None)
        given = self.spec.get("externalLabels") or {}
        for label in sorted(own.keys() & given.keys()):
            self.notices.append(f"spec.externalLabels: {label} is reserved: its value is {own[label]}")
        return {**given, **own}


def _check_fields(resource: str, given: Object) -> None:
    """Raises ResourceRefused for a field that is there because other definitions than Podium's are in place."""
    if found := unsupported(given["spec"], BY_PLURAL[resource].spec):
        raise ResourceRefused("; ".join(found))


def plan_server(
    prometheus: Object, listing: Listing, lookup: Lookup, kinds: Mapping[str, type], extra_jobs: Sequence[Mapping[str, Any]] = ()
) -> ServerPlan:
    """Pure. Raises ResourceRefused when the Prometheus itself cannot be. `kinds` are the kinds of discovery, `extra_jobs` are scraped as
    well (what every cluster has)."""
    making = _Making(prometheus, listing, lookup, kinds)
    _check_fields(BY_NAME[prometheus["kind"]].plural, prometheus)
    settings, spec = settings_of(making.spec), making.spec
    document: dict[str, Any] = {"global": making.global_(), "scrape_configs": [*extra_jobs, *making.jobs()]}
    if section := alerting(spec, making.namespace, making.credentials):
        document["alerting"] = section
    if entries := remote_write(spec.get("remoteWrite"), making.credentials):
        document["remote_write"] = entries
    if entries := remote_read(spec.get("remoteRead"), making.credentials):
        document["remote_read"] = entries
    if section := {ours: spec["otlp"][theirs] for theirs, ours in _OTLP.items() if (spec.get("otlp") or {}).get(theirs) is not None}:
        document["otlp"] = section
    text = yaml.safe_dump(document, sort_keys=False)
    try:
        configuration = load(text, kinds)
    except ConfigurationError as error:
        raise ResourceRefused(str(error)) from error
    metadata, notices = prometheus["metadata"], without_effect(prometheus["kind"], spec)
    groups = making.rules() if prometheus["kind"] == "Prometheus" else []
    return ServerPlan(
        metadata["namespace"], metadata["name"], configuration, text, tuple(groups), settings, tuple(making.problems),
        (*notices, *making.notices),
    )  # fmt: skip
