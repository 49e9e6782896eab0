"""kube_deployment_*, kube_replicaset_*, kube_replicationcontroller_*, kube_statefulset_*, kube_daemonset_*, kube_job_*, kube_cronjob_*,
kube_horizontalpodautoscaler_*, kube_poddisruptionbudget_*.

Source: kube-state-metrics internal/store, the files of these names.
"""

import zoneinfo
from datetime import UTC, datetime

from podium.objects import cron
from podium.objects.values import Object
from podium.telemetry.exporters.kube_state.rendering import Rendering, exact, seconds

JOB_FAILURES = ("BackoffLimitExceeded", "DeadlineExceeded", "Evicted")


def _counts(prefix: str, status: Object, fields: dict[str, str], out: Rendering) -> None:
    for field, name in fields.items():
        out.add(f"{prefix}_{name}", status.get(field) or 0)


_DEPLOYMENT = {
    "replicas": "status_replicas",
    "readyReplicas": "status_replicas_ready",
    "availableReplicas": "status_replicas_available",
    "unavailableReplicas": "status_replicas_unavailable",
    "updatedReplicas": "status_replicas_updated",
    "observedGeneration": "status_observed_generation",
}


def deployment(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    _counts("kube_deployment", status, _DEPLOYMENT, out)
    for condition in status.get("conditions") or ():
        labels = (("reason", condition.get("reason", "")), ("condition", condition["type"]))
        out.statuses("kube_deployment_status_condition", condition["status"], *labels, label="status")
    replicas = spec.get("replicas", 1)
    out.add("kube_deployment_spec_replicas", replicas)
    out.add("kube_deployment_spec_paused", bool(spec.get("paused")))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate")
    if rolling is not None:
        least, most = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        out.add("kube_deployment_spec_strategy_rollingupdate_max_unavailable", _share(least, replicas, up=False))
        out.add("kube_deployment_spec_strategy_rollingupdate_max_surge", _share(most, replicas, up=True))
    out.add("kube_deployment_metadata_generation", metadata.get("generation", 0))
    out.time("kube_deployment_created", metadata.get("creationTimestamp"))
    out.time("kube_deployment_deletion_timestamp", metadata.get("deletionTimestamp"))


def _share(value: int | str, of: int, *, up: bool) -> int:
    """An IntOrString: a number, or a percentage of `of`."""
    if isinstance(value, str) and value.endswith("%"):
        hundredths = int(value[:-1]) * of
        return -(-hundredths // 100) if up else hundredths // 100
    return int(value)


_REPLICA_SET = {
    "replicas": "status_replicas",
    "fullyLabeledReplicas": "status_fully_labeled_replicas",
    "readyReplicas": "status_ready_replicas",
    "observedGeneration": "status_observed_generation",
}


def replica_set(value: Object, out: Rendering) -> None:
    _replicas("kube_replicaset", value, _REPLICA_SET, out)
    out.time("kube_replicaset_deletion_timestamp", value["metadata"].get("deletionTimestamp"))
    out.owners("kube_replicaset_owner", value["metadata"])


def replication_controller(value: Object, out: Rendering) -> None:
    fields = {**_REPLICA_SET, "availableReplicas": "status_available_replicas"}
    _replicas("kube_replicationcontroller", value, fields, out)
    out.owners("kube_replicationcontroller_owner", value["metadata"])


def _replicas(prefix: str, value: Object, fields: dict[str, str], out: Rendering) -> None:
    metadata = value["metadata"]
    _counts(prefix, value.get("status") or {}, fields, out)
    out.present(f"{prefix}_spec_replicas", value["spec"].get("replicas"))
    out.add(f"{prefix}_metadata_generation", metadata.get("generation", 0))
    out.time(f"{prefix}_created", metadata.get("creationTimestamp"))


_STATEFUL_SET = {
    "replicas": "status_replicas",
    "availableReplicas": "status_replicas_available",
    "currentReplicas": "status_replicas_current",
    "readyReplicas": "status_replicas_ready",
    "updatedReplicas": "status_replicas_updated",
    "observedGeneration": "status_observed_generation",
}


def stateful_set(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    _counts("kube_statefulset", status, _STATEFUL_SET, out)
    out.present("kube_statefulset_replicas", spec.get("replicas"))
    out.present("kube_statefulset_ordinals_start", (spec.get("ordinals") or {}).get("start"))
    policy = spec.get("persistentVolumeClaimRetentionPolicy")
    if policy:
        labels = (("when_deleted", policy.get("whenDeleted", "")), ("when_scaled", policy.get("whenScaled", "")))
        out.add("kube_statefulset_persistentvolumeclaim_retention_policy", 1, *labels)
    out.add("kube_statefulset_metadata_generation", metadata.get("generation", 0))
    out.add("kube_statefulset_status_current_revision", 1, ("revision", status.get("currentRevision", "")))
    out.add("kube_statefulset_status_update_revision", 1, ("revision", status.get("updateRevision", "")))
    out.time("kube_statefulset_created", metadata.get("creationTimestamp"))
    out.time("kube_statefulset_deletion_timestamp", metadata.get("deletionTimestamp"))


_DAEMON_SET = {
    "currentNumberScheduled": "status_current_number_scheduled",
    "desiredNumberScheduled": "status_desired_number_scheduled",
    "numberAvailable": "status_number_available",
    "numberMisscheduled": "status_number_misscheduled",
    "numberReady": "status_number_ready",
    "numberUnavailable": "status_number_unavailable",
    "observedGeneration": "status_observed_generation",
    "updatedNumberScheduled": "status_updated_number_scheduled",
}


def daemon_set(value: Object, out: Rendering) -> None:
    metadata = value["metadata"]
    _counts("kube_daemonset", value.get("status") or {}, _DAEMON_SET, out)
    out.add("kube_daemonset_metadata_generation", metadata.get("generation", 0))
    out.time("kube_daemonset_created", metadata.get("creationTimestamp"))


def job(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    out.add("kube_job_info", 1)
    out.owners("kube_job_owner", metadata)
    out.time("kube_job_created", metadata.get("creationTimestamp"))
    out.present("kube_job_spec_parallelism", spec.get("parallelism"))
    out.present("kube_job_spec_completions", spec.get("completions"))
    out.present("kube_job_spec_active_deadline_seconds", spec.get("activeDeadlineSeconds"))
    for field in ("active", "ready", "succeeded"):
        out.add(f"kube_job_status_{field}", status.get(field) or 0)
    out.time("kube_job_status_start_time", status.get("startTime"))
    out.time("kube_job_status_completion_time", status.get("completionTime"))
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    if "Complete" in conditions:
        out.statuses("kube_job_complete", conditions["Complete"]["status"])
    if "Failed" in conditions:
        out.statuses("kube_job_failed", conditions["Failed"]["status"])
    if "Suspended" in conditions:
        out.add("kube_job_status_suspended", conditions["Suspended"]["status"] == "True")
    _job_failures(status.get("failed") or 0, conditions.get("Failed"), out)


def _job_failures(failed: int, condition: Object | None, out: Rendering) -> None:
    if not failed:
        out.add("kube_job_status_failed", 0)
        return
    reason = condition.get("reason") if condition else None
    if condition:
        for known in JOB_FAILURES:
            out.add("kube_job_status_failed", known == reason, ("reason", known))
    if reason not in JOB_FAILURES:
        out.add("kube_job_status_failed", failed, ("reason", ""))


def cron_job(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    out.add(
        "kube_cronjob_info", 1, ("schedule", spec["schedule"]), ("concurrency_policy", spec.get("concurrencyPolicy", "")),
        ("timezone", spec.get("timeZone") or "local"),
    )  # fmt: skip
    out.time("kube_cronjob_created", metadata.get("creationTimestamp"))
    out.add("kube_cronjob_status_active", len(status.get("active") or ()))
    out.time("kube_cronjob_status_last_schedule_time", status.get("lastScheduleTime"))
    out.time("kube_cronjob_status_last_successful_time", status.get("lastSuccessfulTime"))
    out.present("kube_cronjob_spec_suspend", spec.get("suspend"))
    out.present("kube_cronjob_spec_starting_deadline_seconds", spec.get("startingDeadlineSeconds"))
    out.present("kube_cronjob_spec_successful_job_history_limit", spec.get("successfulJobsHistoryLimit"))
    out.present("kube_cronjob_spec_failed_job_history_limit", spec.get("failedJobsHistoryLimit"))
    out.add("kube_cronjob_metadata_resource_version", _revision(metadata))
    if not spec.get("suspend"):
        after = status.get("lastScheduleTime") or metadata.get("creationTimestamp")
        out.present("kube_cronjob_next_schedule_time", _next(spec, after) if after else None)


def _next(spec: Object, after: str) -> float | None:
    """None for a schedule or a zone that cannot be read, or that never comes."""
    try:
        zone = zoneinfo.ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else UTC
        found = cron.parse(spec["schedule"]).next(datetime.fromtimestamp(seconds(after), UTC), zone)
    except (ValueError, KeyError, OSError):
        return None
    return found.timestamp() if found is not None else None


def _revision(metadata: Object) -> int:
    text = metadata.get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


def autoscaler(value: Object, out: Rendering) -> None:
    prefix = "kube_horizontalpodautoscaler"
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    target = spec["scaleTargetRef"]
    out.add(
        f"{prefix}_info", 1, ("scaletargetref_api_version", target.get("apiVersion", "")), ("scaletargetref_kind", target["kind"]),
        ("scaletargetref_name", target["name"]),
    )  # fmt: skip
    out.add(f"{prefix}_metadata_generation", metadata.get("generation", 0))
    out.time(f"{prefix}_created", metadata.get("creationTimestamp"))
    out.add(f"{prefix}_spec_max_replicas", spec["maxReplicas"])
    out.add(f"{prefix}_spec_min_replicas", spec.get("minReplicas", 1))
    for metric in spec.get("metrics") or ():
        _autoscaler_metric(f"{prefix}_spec_target_metric", metric, "target", out)
    for metric in status.get("currentMetrics") or ():
        _autoscaler_metric(f"{prefix}_status_target_metric", metric, "current", out)
    out.add(f"{prefix}_status_current_replicas", status.get("currentReplicas") or 0)
    out.add(f"{prefix}_status_desired_replicas", status.get("desiredReplicas") or 0)
    for condition in status.get("conditions") or ():
        out.statuses(f"{prefix}_status_condition", condition["status"], ("condition", condition["type"]), label="status")


def _autoscaler_metric(name: str, metric: Object, side: str, out: Rendering) -> None:
    kind = metric["type"]
    source = metric.get(kind[0].lower() + kind[1:]) or {}
    metric_name = source.get("name") or (source.get("metric") or {}).get("name", "")
    labels = [("metric_name", metric_name)]
    amounts = source.get(side) or {}
    for field, what in (("value", "value"), ("averageUtilization", "utilization"), ("averageValue", "average")):
        if amounts.get(field) is not None:
            more = [("container", source["container"])] if kind == "ContainerResource" else []
            out.add(name, exact(str(amounts[field])), *labels, ("metric_target_type", what), *more)


_BUDGET = {
    "currentHealthy": "status_current_healthy",
    "desiredHealthy": "status_desired_healthy",
    "disruptionsAllowed": "status_pod_disruptions_allowed",
    "expectedPods": "status_expected_pods",
    "observedGeneration": "status_observed_generation",
}


def disruption_budget(value: Object, out: Rendering) -> None:
    _counts("kube_poddisruptionbudget", value.get("status") or {}, _BUDGET, out)
    out.time("kube_poddisruptionbudget_created", value["metadata"].get("creationTimestamp"))


_SINCE = "in seconds since the epoch"
WORKLOAD_FAMILIES = {
    "deployments": f"""
kube_deployment_status_replicas: Pods of a deployment.
kube_deployment_status_replicas_ready: Ready pods of a deployment.
kube_deployment_status_replicas_available: Available pods of a deployment.
kube_deployment_status_replicas_unavailable: Pods that a deployment still lacks.
kube_deployment_status_replicas_updated: Pods of a deployment's newest template.
kube_deployment_status_observed_generation: The generation of a deployment that its controller has seen.
kube_deployment_status_condition: A deployment's conditions.
kube_deployment_spec_replicas: Pods that a deployment wants.
kube_deployment_spec_paused: Whether a deployment is paused.
kube_deployment_spec_strategy_rollingupdate_max_unavailable: Pods that may be unavailable while a deployment is updated.
kube_deployment_spec_strategy_rollingupdate_max_surge: Pods that may be there in addition while a deployment is updated.
kube_deployment_metadata_generation: The generation of a deployment.
kube_deployment_created: When a deployment was created, {_SINCE}.
kube_deployment_deletion_timestamp: When a deployment is to be deleted, {_SINCE}.
""",
    "replicasets": f"""
kube_replicaset_status_replicas: Pods of a replica set.
kube_replicaset_status_fully_labeled_replicas: Pods of a replica set with all labels of its template.
kube_replicaset_status_ready_replicas: Ready pods of a replica set.
kube_replicaset_status_observed_generation: The generation of a replica set that its controller has seen.
kube_replicaset_spec_replicas: Pods that a replica set wants.
kube_replicaset_metadata_generation: The generation of a replica set.
kube_replicaset_created: When a replica set was created, {_SINCE}.
kube_replicaset_deletion_timestamp: When a replica set is to be deleted, {_SINCE}.
kube_replicaset_owner: A replica set's owners.
""",
    "replicationcontrollers": f"""
kube_replicationcontroller_status_replicas: Pods of a replication controller.
kube_replicationcontroller_status_fully_labeled_replicas: Pods of a replication controller with all labels of its template.
kube_replicationcontroller_status_ready_replicas: Ready pods of a replication controller.
kube_replicationcontroller_status_available_replicas: Available pods of a replication controller.
kube_replicationcontroller_status_observed_generation: The generation of a replication controller that its controller has seen.
kube_replicationcontroller_spec_replicas: Pods that a replication controller wants.
kube_replicationcontroller_metadata_generation: The generation of a replication controller.
kube_replicationcontroller_created: When a replication controller was created, {_SINCE}.
kube_replicationcontroller_owner: A replication controller's owners.
""",
    "statefulsets": f"""
kube_statefulset_status_replicas: Pods of a stateful set.
kube_statefulset_status_replicas_available: Available pods of a stateful set.
kube_statefulset_status_replicas_current: Pods of a stateful set's current revision.
kube_statefulset_status_replicas_ready: Ready pods of a stateful set.
kube_statefulset_status_replicas_updated: Pods of a stateful set's newest revision.
kube_statefulset_status_observed_generation: The generation of a stateful set that its controller has seen.
kube_statefulset_replicas: Pods that a stateful set wants.
kube_statefulset_ordinals_start: The first ordinal of a stateful set.
kube_statefulset_persistentvolumeclaim_retention_policy: What becomes of the claims of a stateful set.
kube_statefulset_metadata_generation: The generation of a stateful set.
kube_statefulset_status_current_revision: The revision that a stateful set comes from.
kube_statefulset_status_update_revision: The revision that a stateful set is updated to.
kube_statefulset_created: When a stateful set was created, {_SINCE}.
kube_statefulset_deletion_timestamp: When a stateful set is to be deleted, {_SINCE}.
""",
    "daemonsets": f"""
kube_daemonset_status_current_number_scheduled: Nodes that run a daemon pod and should.
kube_daemonset_status_desired_number_scheduled: Nodes that should run a daemon pod.
kube_daemonset_status_number_available: Nodes with an available daemon pod.
kube_daemonset_status_number_misscheduled: Nodes that run a daemon pod and should not.
kube_daemonset_status_number_ready: Nodes with a ready daemon pod.
kube_daemonset_status_number_unavailable: Nodes that lack an available daemon pod.
kube_daemonset_status_observed_generation: The generation of a daemon set that its controller has seen.
kube_daemonset_status_updated_number_scheduled: Nodes that run the newest daemon pod.
kube_daemonset_metadata_generation: The generation of a daemon set.
kube_daemonset_created: When a daemon set was created, {_SINCE}.
""",
    "jobs": f"""
kube_job_info: A job; always 1.
kube_job_owner: A job's owners.
kube_job_created: When a job was created, {_SINCE}.
kube_job_spec_parallelism: Pods that a job may run at a time.
kube_job_spec_completions: Pods that have to succeed for a job to be complete.
kube_job_spec_active_deadline_seconds: How long a job may take.
kube_job_status_active: Pods of a job that run.
kube_job_status_ready: Pods of a job that are ready.
kube_job_status_succeeded: Pods of a job that succeeded.
kube_job_status_failed: Pods of a job that failed, and why the job did.
kube_job_status_start_time: When a job was started, {_SINCE}.
kube_job_status_completion_time: When a job was complete, {_SINCE}.
kube_job_status_suspended: Whether a job is suspended.
kube_job_complete: Whether a job is complete.
kube_job_failed: Whether a job has failed.
""",
    "cronjobs": f"""
kube_cronjob_info: What a cron job does when.
kube_cronjob_created: When a cron job was created, {_SINCE}.
kube_cronjob_status_active: Jobs of a cron job that run.
kube_cronjob_status_last_schedule_time: When a cron job started a job last, {_SINCE}.
kube_cronjob_status_last_successful_time: When a job of a cron job succeeded last, {_SINCE}.
kube_cronjob_spec_suspend: Whether a cron job is suspended.
kube_cronjob_spec_starting_deadline_seconds: How late a cron job's job may be started.
kube_cronjob_spec_successful_job_history_limit: Successful jobs that a cron job keeps.
kube_cronjob_spec_failed_job_history_limit: Failed jobs that a cron job keeps.
kube_cronjob_metadata_resource_version: The version of a cron job.
kube_cronjob_next_schedule_time: When a cron job is to start its next job, {_SINCE}.
""",
    "horizontalpodautoscalers": f"""
kube_horizontalpodautoscaler_info: What an autoscaler scales.
kube_horizontalpodautoscaler_metadata_generation: The generation of an autoscaler.
kube_horizontalpodautoscaler_created: When an autoscaler was created, {_SINCE}.
kube_horizontalpodautoscaler_spec_max_replicas: The most pods that an autoscaler asks for.
kube_horizontalpodautoscaler_spec_min_replicas: The fewest pods that an autoscaler asks for.
kube_horizontalpodautoscaler_spec_target_metric: What an autoscaler aims at.
kube_horizontalpodautoscaler_status_target_metric: What an autoscaler has measured.
kube_horizontalpodautoscaler_status_current_replicas: Pods that there are.
kube_horizontalpodautoscaler_status_desired_replicas: Pods that an autoscaler asks for.
kube_horizontalpodautoscaler_status_condition: An autoscaler's conditions.
""",
    "poddisruptionbudgets": f"""
kube_poddisruptionbudget_status_current_healthy: Healthy pods of a budget.
kube_poddisruptionbudget_status_desired_healthy: Pods of a budget that have to stay healthy.
kube_poddisruptionbudget_status_pod_disruptions_allowed: Pods of a budget that may be evicted now.
kube_poddisruptionbudget_status_expected_pods: Pods that a budget is about.
kube_poddisruptionbudget_status_observed_generation: The generation of a budget that its controller has seen.
kube_poddisruptionbudget_created: When a budget was created, {_SINCE}.
""",
}
