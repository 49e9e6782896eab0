"""What a Prometheus enforces on the objects that it selects: the label of their namespace, and limits.

`enforcedNamespaceLabel` keeps teams apart. Targets and samples of a monitor get the label last, so that nothing of the monitor's can change it;
every selector of a rule asks for it, and what the rule makes carries it. Objects in `excludedFromEnforcement` are left as they are.

Enforced limits, as upstream for Prometheus 2.45 and later: a monitor's limit counts where it is stricter; a monitor without one has the enforced
one (instead of the Prometheus' own default for such monitors).

Source: the Prometheus operator's pkg/namespacelabeler, getLimit of pkg/prometheus/promcfg.go, and its API reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from podium.telemetry.metrics.configuration.values import parse_bytes
from podium.telemetry.metrics.promql.enforcement import enforced
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.schemas import ENFORCED_LIMITS

Config = dict[str, Any]
Object = dict[str, Any]
Spec = Mapping[str, Any]
_RESOURCES = {
    "ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "Probe": "probes", "ScrapeConfig": "scrapeconfigs",
    "PrometheusRule": "prometheusrules",
}  # fmt: skip
LIMITS = {
    "sampleLimit": "sample_limit", "targetLimit": "target_limit", "labelLimit": "label_limit", "labelNameLengthLimit": "label_name_length_limit",
    "labelValueLengthLimit": "label_value_length_limit", "keepDroppedTargets": "keep_dropped_targets", "bodySizeLimit": "body_size_limit",
}  # fmt: skip
"""Field of a monitor, and of a Prometheus -> that of prometheus.yml."""


@dataclass(frozen=True, slots=True)
class NamespaceLabel:
    """`name` is '' where none is enforced. `excluded` has (resource, namespace, name); a name of '' is all of that namespace."""

    name: str = ""
    excluded: frozenset[tuple[str, str, str]] = frozenset()

    def applies(self, resource: str, given: Object) -> bool:
        """`resource` is the kind's plural, or the kind itself."""
        plural, metadata = _RESOURCES.get(resource, resource), given["metadata"]
        keys = {(plural, metadata["namespace"], metadata["name"]), (plural, metadata["namespace"], "")}
        return bool(self.name) and not keys & self.excluded

    def relabeling(self, resource: str, given: Object) -> list[Config]:
        """What comes last among a monitor's relabelings."""
        if not self.applies(resource, given):
            return []
        return [{"target_label": self.name, "replacement": given["metadata"]["namespace"]}]

    def on_rules(self, given: Object, groups: list[Group]) -> list[Group]:
        """`groups` are those of `given`, a PrometheusRule."""
        if not self.applies("prometheusrules", given):
            return groups
        return [_confined(group, self.name, given["metadata"]["namespace"]) for group in groups]


def label_of(spec: Spec) -> NamespaceLabel:
    """Of a Prometheus. Raises ResourceRefused."""
    name = spec.get("enforcedNamespaceLabel") or ""
    if name == "__name__":
        raise ResourceRefused("spec.enforcedNamespaceLabel: __name__ is what a series is called")
    excluded = {(e["resource"], e["namespace"], e.get("name") or "") for e in spec.get("excludedFromEnforcement") or ()}
    for entry in spec.get("prometheusRulesExcludedFromEnforce") or ():
        if entry["ruleName"] and entry["ruleNamespace"]:
            excluded.add(("prometheusrules", entry["ruleNamespace"], entry["ruleName"]))
    return NamespaceLabel(name, frozenset(excluded))


def _confined(group: Group, label: str, namespace: str) -> Group:
    rules = []
    for rule in group.rules:
        expression = enforced(rule.expression, label, namespace)
        rules.append(replace(rule, expression=expression, text=print_query(expression), labels={**rule.labels, label: namespace}))
    return replace(group, rules=tuple(rules))


def job_limits(spec: Spec, monitor: Spec) -> Config:
    """The limits of a job. Raises ResourceRefused."""
    config: Config = {}
    for enforced_name, name in ENFORCED_LIMITS.items():
        given, highest = monitor.get(name), spec.get(enforced_name)
        if given is None:
            continue
        config[LIMITS[name]] = highest if _exceeds(given, highest, name) else given
    return config


def global_limits(spec: Spec) -> Config:
    """Of jobs that say nothing."""
    found = {}
    for enforced_name, name in ENFORCED_LIMITS.items():
        value = spec.get(enforced_name) or spec.get(name)
        if value:
            found[LIMITS[name]] = value
    return found


def _exceeds(given: Any, highest: Any, name: str) -> bool:
    """0 is no limit, and so exceeds every other."""
    try:
        limit, most = (parse_bytes(str(v or "0")) if name == "bodySizeLimit" else int(v or 0) for v in (given, highest))
    except ValueError as error:
        raise ResourceRefused(f"{name}: {error}") from error
    return bool(most) and (not limit or limit > most)
