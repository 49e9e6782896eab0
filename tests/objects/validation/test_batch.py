"""What would make Jobs, CronJobs, StatefulSets and DaemonSets run astray."""

from typing import Any

import pytest

from podium.objects import validation
from podium.objects.resources import resource
from podium.objects.values import copy

LABELS = {"app": "a"}
CONTAINERS = [{"name": "c", "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}]
POD = {"containers": CONTAINERS, "dnsPolicy": "ClusterFirst", "restartPolicy": "Never"}
KINDS = {
    "jobs": ("batch", {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": POD}}),
    "cronjobs": ("batch", {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": POD}}}}),
    "statefulsets": (
        "apps",
        {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": {**POD, "restartPolicy": "Always"}}},
    ),
    "daemonsets": (
        "apps",
        {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": {**POD, "restartPolicy": "Always"}}},
    ),
}


def made(plural: str, change: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
    group, spec = KINDS[plural]
    value = {"metadata": {"name": "x", "namespace": "default"}, "spec": {**copy(spec), **(change or {})}}
    return resource(plural, group), value


@pytest.mark.parametrize("plural", KINDS)
def test_a_sound_one_passes(plural: str) -> None:
    assert [str(c) for c in validation.validate_create(*made(plural))] == []


@pytest.mark.parametrize(("plural", "change", "field"), [
    ("jobs", {"completionMode": "Indexed"}, "spec.completions"),
    ("jobs", {"parallelism": -1}, "spec.parallelism"),
    ("jobs", {"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex"),
    ("jobs", {"template": {"metadata": {"labels": LABELS}, "spec": {**POD, "restartPolicy": "Always"}}}, "spec.template.spec.restartPolicy"),
    ("jobs", {"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
    ("cronjobs", {"schedule": "61 * * * *"}, "spec.schedule"),
    ("cronjobs", {"schedule": ""}, "spec.schedule"),
    ("cronjobs", {"timeZone": "Nowhere/Else"}, "spec.timeZone"),
    ("cronjobs", {"concurrencyPolicy": "Some"}, "spec.concurrencyPolicy"),
    ("statefulsets", {"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
    ("statefulsets", {"podManagementPolicy": "Some"}, "spec.podManagementPolicy"),
    ("daemonsets", {"selector": {}}, "spec.selector"),
    ("daemonsets", {"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
])  # fmt: skip
def test_what_is_refused(plural: str, change: dict[str, Any], field: str) -> None:
    assert field in [c.field for c in validation.validate_create(*made(plural, change))]


@pytest.mark.parametrize(("plural", "change", "field"), [
    ("jobs", {"completions": 3}, "spec.completions"),
    ("jobs", {"completionMode": "Indexed", "completions": 1, "parallelism": 1}, "spec.completionMode"),
    ("jobs", {"parallelism": 3}, ""),
    ("statefulsets", {"serviceName": "other"}, "spec"),
    ("statefulsets", {"replicas": 3}, ""),
])  # fmt: skip
def test_what_cannot_be_changed(plural: str, change: dict[str, Any], field: str) -> None:
    kind, old = made(plural)
    _, new = made(plural, change)
    for value in (old, new):
        value["metadata"] |= {"uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "1"}
    found = [c.field for c in validation.validate_update(kind, new, old)]
    assert (field in found) if field else not found
