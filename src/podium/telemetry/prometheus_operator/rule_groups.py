"""A PrometheusRule as groups of rules."""

from typing import Any

import yaml

from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.rule import Group

THANOS_ONLY = "partial_response_strategy"
"""A group's field that Prometheus does not know, as upstream's operator drops it."""


def groups_of(given: dict[str, Any]) -> list[Group]:
    """Raises RuleFileError with all that is wrong."""
    metadata = given["metadata"]
    file = f"{metadata.get('namespace', '')}-{metadata.get('name', '')}-{metadata.get('uid', '')}.yaml"
    groups = [{k: v for k, v in g.items() if k != THANOS_ONLY} for g in given["spec"].get("groups") or ()]
    return read(yaml.safe_dump({"groups": groups}, sort_keys=False), file)
