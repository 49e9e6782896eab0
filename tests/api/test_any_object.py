"""Objects drawn at random from the schema of every kind: no rule and no table breaks on what the structure lets through."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from podium.api import tables
from podium.objects import defaults, schema, structure, support, validation
from podium.objects.resources import Resource, builtin
from podium.objects.values import copy

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WORDS = [
    "", "a", "web", "A_b", "..", "1", "10.0.0.1", "::1", "x/y", "a=b", "Always", "Never", "None", "ClusterIP", "Exists", "In", "TCP", "50%",
    "100m", "-1", "metadata.labels['a']", "metadata.name", "é", "a" * 70, "Localhost", "RollingUpdate", "kubernetes.io/tls", "limits.cpu",
]  # fmt: skip
OFTEN = ("spec", "metadata", "template", "containers", "name", "ports", "selector")
DEPTH_MAX = 9
SERVED = [r for r in builtin() if (r.api_version, r.kind) in schema.kinds()]


def drawn(node: Any, draw: random.Random, depth: int = 0) -> Any:
    if node is None:
        return draw.choice(WORDS)
    if node.quantity:
        return draw.choice(["1", "100m", "-1", "1Gi", "0.5"])
    if node.int_or_string:
        return draw.choice([0, 80, -1, "http", "150%"])
    if node.properties:
        rare = 0.3 if depth < 3 else 0.2
        chance = 0.0 if depth > DEPTH_MAX else rare
        fields = node.properties.items()
        return {k: drawn(v, draw, depth + 1) for k, v in fields if draw.random() < (0.8 if k in OFTEN and chance else chance)}
    if node.type == "array":
        return [drawn(node.items, draw, depth + 1) for _ in range(draw.randrange(3))]
    if node.type == "object":
        return {draw.choice(WORDS): drawn(node.additional, draw, depth + 1) for _ in range(draw.randrange(2))}
    if node.type == "string":
        fixed = {"date-time": "2026-01-01T00:00:00Z", "byte": "eA=="}
        return fixed.get(node.format) or draw.choice(WORDS)
    return {"integer": draw.choice([0, 1, -1, 70000]), "number": 1.5, "boolean": draw.random() < 0.5}.get(node.type, {})


def objects(resource: Resource, seed: int, count: int) -> list[Any]:
    """Well-formed ones with defaults; some lack required fields."""
    found = []
    for i in range(count):
        value = drawn(schema.load(resource.api_version, resource.kind), random.Random(f"{seed}/{resource.plural}/{i}"))
        value.setdefault("metadata", {})
        findings = structure.conform(value, resource.api_version, resource.kind)
        if all(c.reason == "FieldValueRequired" for c in findings.causes):
            defaults.apply(value, resource.api_version, resource.kind)
            found.append((value, not findings.causes))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_no_rule_breaks_on_any_object(seed: int) -> None:
    judged = 0
    for resource in SERVED:
        pairs = zip(objects(resource, seed, 5), objects(resource, seed + 1000, 5), strict=False)
        for (value, whole), (other, _) in pairs:
            for cause in validation.validate_create(resource, value):
                assert cause.message
            for subresource in ("", "status"):
                validation.validate_update(resource, value, other, subresource)
            support.review(resource, value, other)
            assert not support.review(resource, value, copy(value)).causes
            if whole:
                printer = tables.printer(resource)
                assert len(printer.cells(value, NOW)) == len(printer.columns)
            judged += 1
    assert judged > 300
