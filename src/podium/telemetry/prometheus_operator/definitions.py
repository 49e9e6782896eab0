"""The operator's resources as CustomResourceDefinitions."""

from typing import Any

from podium.telemetry.prometheus_operator.alertmanager_schemas import ALERTMANAGER_CONFIG
from podium.telemetry.prometheus_operator.schemas import (
    ALERTMANAGER,
    BOOLEAN,
    GROUP,
    INTEGER,
    POD_MONITOR,
    PROBE,
    PROMETHEUS,
    RULE,
    SCRAPE_CONFIG,
    SERVICE_MONITOR,
    STRING,
    Schema,
    listed,
    record,
)

KINDS: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, ...], Schema], ...] = (
    ("Prometheus", "prometheuses", "prometheus", ("v1",), ("prom",), PROMETHEUS),
    ("PrometheusAgent", "prometheusagents", "prometheusagent", ("v1alpha1",), ("promagent",), PROMETHEUS),
    ("Alertmanager", "alertmanagers", "alertmanager", ("v1",), ("am",), ALERTMANAGER),
    ("AlertmanagerConfig", "alertmanagerconfigs", "alertmanagerconfig", ("v1alpha1",), ("amcfg",), ALERTMANAGER_CONFIG),
    ("ServiceMonitor", "servicemonitors", "servicemonitor", ("v1",), ("smon",), SERVICE_MONITOR),
    ("PodMonitor", "podmonitors", "podmonitor", ("v1",), ("pmon",), POD_MONITOR),
    ("Probe", "probes", "probe", ("v1",), ("prb",), PROBE),
    ("ScrapeConfig", "scrapeconfigs", "scrapeconfig", ("v1alpha1",), ("scfg",), SCRAPE_CONFIG),
    ("PrometheusRule", "prometheusrules", "prometheusrule", ("v1",), ("promrule",), RULE),
)
"""(kind, plural, singular, versions, short names, schema of its spec)."""

CONDITIONS = listed(
    record(
        ("type", "status", "lastTransitionTime"), type=STRING, status=STRING, reason=STRING, message=STRING,
        lastTransitionTime={**STRING, "format": "date-time"}, observedGeneration=INTEGER,
    ),
    **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
)  # fmt: skip
STATUS = record(
    paused=BOOLEAN, replicas=INTEGER, updatedReplicas=INTEGER, availableReplicas=INTEGER, unavailableReplicas=INTEGER, conditions=CONDITIONS,
    url=STRING,
)  # fmt: skip


def definitions() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions, by name."""
    return sorted((_definition(*kind) for kind in KINDS), key=lambda d: d["metadata"]["name"])


def _definition(kind: str, plural: str, singular: str, versions: tuple[str, ...], short: tuple[str, ...], spec: Schema) -> dict[str, Any]:
    schema = {
        "type": "object", "required": ["spec"],
        "properties": {"apiVersion": STRING, "kind": STRING, "metadata": {"type": "object"}, "spec": spec, "status": STATUS},
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/managed-by": "podium"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular, "shortNames": list(short),
                "categories": ["prometheus-operator"],
            },
            "versions": [
                {
                    "name": version, "served": True, "storage": index == 0, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
                    "additionalPrinterColumns": [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
                }
                for index, version in enumerate(versions)
            ],
        },
    }  # fmt: skip
