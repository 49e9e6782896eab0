"""Defaults of the kinds that run pods: from Deployments to autoscalers.

Source: pkg/apis/{apps,batch,core}/v1/defaults.go, pkg/apis/autoscaling/{v1,v2}/defaults.go.
"""

from typing import Any

from podium.objects.defaulting.pods import default_template
from podium.objects.defaulting.storage import default_claim

Object = dict[str, Any]

JOB_BACKOFF_LIMIT = 6
INT32_MAX = 2**31 - 1
SCALING_PERIOD_S = 15
CPU_UTILIZATION_PERCENT = 80


def default_deployment(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    default_template(spec.setdefault("template", {}))


def default_replica_set(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_template(spec.setdefault("template", {}))


def default_stateful_set(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
        strategy["rollingUpdate"].setdefault("maxUnavailable", 1)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for name in ("whenDeleted", "whenScaled"):
        if not retention.get(name):
            retention[name] = "Retain"
    default_template(spec.setdefault("template", {}))
    for claim in spec.get("volumeClaimTemplates", ()):
        default_claim(claim)


def default_daemon_set(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    default_template(spec.setdefault("template", {}))


def default_replication_controller(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if "template" not in spec:
        return
    default_template(spec["template"])
    if labels := spec["template"]["metadata"].get("labels"):
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not value.setdefault("metadata", {}).get("labels"):
            value["metadata"]["labels"] = dict(labels)


def default_job(value: Object) -> None:
    spec = value.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", INT32_MAX if "backoffLimitPerIndex" in spec else JOB_BACKOFF_LIMIT)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    _default_failure_policy(spec.get("podFailurePolicy", {}))
    default_template(spec.setdefault("template", {}))
    if (labels := spec["template"]["metadata"].get("labels")) and not value.setdefault("metadata", {}).get("labels"):
        value["metadata"]["labels"] = dict(labels)


def _default_failure_policy(policy: Object) -> None:
    for rule in policy.get("rules", ()):
        for pattern in rule.get("onPodConditions", ()):
            if not pattern.get("status"):
                pattern["status"] = "True"


def default_cron_job(value: Object) -> None:
    spec = value.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    job = template.setdefault("spec", {})
    _default_failure_policy(job.get("podFailurePolicy", {}))
    default_template(job.setdefault("template", {}))


def default_pod_template(value: Object) -> None:
    default_template(value.setdefault("template", {}))


def default_autoscaler_v1(value: Object) -> None:
    value.setdefault("spec", {}).setdefault("minReplicas", 1)


def default_autoscaler(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": CPU_UTILIZATION_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if (behavior := spec.get("behavior")) is not None:
        percent = {"type": "Percent", "value": 100, "periodSeconds": SCALING_PERIOD_S}
        pods = {"type": "Pods", "value": 4, "periodSeconds": SCALING_PERIOD_S}
        up = behavior.setdefault("scaleUp", {})
        up.setdefault("stabilizationWindowSeconds", 0)
        for rules, policies in ((up, [pods, percent]), (behavior.setdefault("scaleDown", {}), [dict(percent)])):
            rules.setdefault("selectPolicy", "Max")
            rules.setdefault("policies", policies)
