"""The operator's resources as CustomResourceDefinitions."""

from dataclasses import dataclass
from typing import Any

from podium.telemetry.prometheus_operator.alertmanager_schemas import ALERTMANAGER_CONFIG, ALERTMANAGER_CONFIG_V1BETA1
from podium.telemetry.prometheus_operator.schemas import (
    ALERTMANAGER,
    BOOLEAN,
    GROUP,
    INTEGER,
    POD_MONITOR,
    PROBE,
    PROMETHEUS,
    PROMETHEUS_AGENT,
    RULE,
    SCRAPE_CONFIG,
    SERVICE_MONITOR,
    STRING,
    Schema,
    listed,
    record,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """`versions` are (name, schema of its spec); the first one is what is stored, and what the operator reads."""

    kind: str
    plural: str
    short: str
    versions: tuple[tuple[str, Schema], ...]
    server: bool = False  # something runs for it

    @property
    def spec(self) -> Schema:
        return self.versions[0][1]


KINDS = (
    Kind("Prometheus", "prometheuses", "prom", (("v1", PROMETHEUS),), server=True),
    Kind("PrometheusAgent", "prometheusagents", "promagent", (("v1alpha1", PROMETHEUS_AGENT),), server=True),
    Kind("Alertmanager", "alertmanagers", "am", (("v1", ALERTMANAGER),), server=True),
    Kind(
        "AlertmanagerConfig", "alertmanagerconfigs", "amcfg", (("v1alpha1", ALERTMANAGER_CONFIG), ("v1beta1", ALERTMANAGER_CONFIG_V1BETA1))
    ),
    Kind("ServiceMonitor", "servicemonitors", "smon", (("v1", SERVICE_MONITOR),)),
    Kind("PodMonitor", "podmonitors", "pmon", (("v1", POD_MONITOR),)),
    Kind("Probe", "probes", "prb", (("v1", PROBE),)),
    Kind("ScrapeConfig", "scrapeconfigs", "scfg", (("v1alpha1", SCRAPE_CONFIG),)),
    Kind("PrometheusRule", "prometheusrules", "promrule", (("v1", RULE),)),
)
BY_PLURAL = {kind.plural: kind for kind in KINDS}
BY_NAME = {kind.kind: kind for kind in KINDS}

CONDITIONS = listed(
    record(
        ("type", "status", "lastTransitionTime"), type=STRING, status=STRING, reason=STRING, message=STRING,
        lastTransitionTime={**STRING, "format": "date-time"}, observedGeneration=INTEGER,
    ),
    **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
)  # fmt: skip
STATUS = record(
    paused=BOOLEAN, replicas=INTEGER, updatedReplicas=INTEGER, availableReplicas=INTEGER, unavailableReplicas=INTEGER,
    conditions=CONDITIONS, url=STRING,
)  # fmt: skip


_AGE: Schema = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _condition_column(name: str) -> Schema:
    return {"name": name, "type": "string", "jsonPath": f".status.conditions[?(@.type == '{name}')].status"}


SERVER_COLUMNS: tuple[Schema, ...] = (
    {"name": "Ready", "type": "integer", "jsonPath": ".status.availableReplicas"},
    _condition_column("Reconciled"), _condition_column("Available"), _AGE,
    {"name": "Paused", "type": "boolean", "jsonPath": ".status.paused", "priority": 1},
    {"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1},
)  # fmt: skip


def definitions(conversion: Schema | None = None) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions, by name. Without `conversion` (a webhook's, as in a definition) only what is stored is served."""
    return sorted((_definition(kind, conversion) for kind in KINDS), key=lambda d: str(d["metadata"]["name"]))


def _definition(kind: Kind, conversion: Schema | None) -> dict[str, Any]:
    versions = kind.versions if conversion is not None else kind.versions[:1]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/managed-by": "podium"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.kind.lower(),
                "shortNames": [kind.short], "categories": ["prometheus-operator"],
            },
            "versions": [
                {
                    "name": name, "served": True, "storage": index == 0, "schema": {"openAPIV3Schema": _object(spec)},
                    "subresources": {"status": {}}, "additionalPrinterColumns": list(SERVER_COLUMNS if kind.server else (_AGE,)),
                }
                for index, (name, spec) in enumerate(versions)
            ],
            **({"conversion": conversion} if len(versions) > 1 else {}),
        },
    }  # fmt: skip


def _object(spec: Schema) -> Schema:
    properties = {"apiVersion": STRING, "kind": STRING, "metadata": {"type": "object"}, "spec": spec, "status": STATUS}
    return {"type": "object", "required": ["spec"], "properties": properties}
