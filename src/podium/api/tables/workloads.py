"""Workloads: what makes pods, and what scales or protects them."""

from datetime import datetime
from typing import Any

from podium.api.tables import ages
from podium.api.tables.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    UNSET,
    WIDE,
    Column,
    Table,
    age,
    at,
    containers,
    labels,
    name,
    selector,
    spec,
    status,
)  # fmt: skip
from podium.objects.values import Object, controller_of


def _deployment(value: Object, now: datetime) -> list[Any]:
    wanted, found = spec(value), status(value)
    ready = f"{found.get('readyReplicas', 0)}/{wanted.get('replicas', 0)}"
    shown = selector(wanted.get("selector"))
    return [
        name(value), ready, found.get("updatedReplicas", 0), found.get("availableReplicas", 0), age(value, now),
        *containers(wanted.get("template")), "" if shown == NONE else shown,
    ]  # fmt: skip


def _replica_set(value: Object, now: datetime) -> list[Any]:
    return [*_counts(value, now), *containers(spec(value).get("template")), selector(spec(value).get("selector"))]


def _replication_controller(value: Object, now: datetime) -> list[Any]:
    return [*_counts(value, now), *containers(spec(value).get("template")), labels(spec(value).get("selector"))]


def _counts(value: Object, now: datetime) -> list[Any]:
    found = status(value)
    return [name(value), spec(value).get("replicas", 0), found.get("replicas", 0), found.get("readyReplicas", 0), age(value, now)]


def _stateful_set(value: Object, now: datetime) -> list[Any]:
    ready = f"{status(value).get('readyReplicas', 0)}/{spec(value).get('replicas', 0)}"
    return [name(value), ready, age(value, now), *containers(spec(value).get("template"))]


_DAEMON_COUNTS = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")


def _daemon_set(value: Object, now: datetime) -> list[Any]:
    template = spec(value).get("template") or {}
    counts = [status(value).get(field, 0) for field in _DAEMON_COUNTS]
    chosen = labels(at(template, "spec", "nodeSelector"))
    return [name(value), *counts, chosen, age(value, now), *containers(template), selector(spec(value).get("selector"))]


def _controller_revision(value: Object, now: datetime) -> list[Any]:
    owner = controller_of(value)
    shown = NONE
    if owner:
        group = owner["apiVersion"].rpartition("/")[0]
        shown = f"{owner['kind']}.{group}/".lower().replace("./", "/") + owner["name"]
    return [name(value), shown, value.get("revision", 0), age(value, now)]


def _job(value: Object, now: datetime) -> list[Any]:
    wanted, found = spec(value), status(value)
    succeeded, parallelism = found.get("succeeded", 0), wanted.get("parallelism") or 0
    if wanted.get("completions") is not None:
        completions = f"{succeeded}/{wanted['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    start, end = found.get("startTime"), found.get("completionTime")
    duration = "" if not start else ages.between(start, end) if end else ages.since(start, now)
    template = wanted.get("template")
    return [
        name(value),
        _job_status(value),
        completions,
        duration,
        age(value, now),
        *containers(template),
        selector(wanted.get("selector")),
    ]


def _job_status(value: Object) -> str:
    held = [c["type"] for c in status(value).get("conditions") or () if c.get("status") == "True"]
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if condition in held:
            return word
    if "deletionTimestamp" in value["metadata"]:
        return "Terminating"
    for condition, word in (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")):
        if condition in held:
            return word
    return "Running"


def _cron_job(value: Object, now: datetime) -> list[Any]:
    wanted, found = spec(value), status(value)
    last = found.get("lastScheduleTime")
    suspend = wanted.get("suspend")
    job = at(wanted, "jobTemplate", "spec", default={})
    return [
        name(value), wanted.get("schedule", ""), wanted.get("timeZone") or NONE, UNSET if suspend is None else str(suspend),
        len(found.get("active") or ()), ages.since(last, now) if last else NONE, age(value, now),
        *containers(job.get("template")), selector(job.get("selector")),
    ]  # fmt: skip


def _budget(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    low, high = wanted.get("minAvailable"), wanted.get("maxUnavailable")
    allowed = status(value).get("disruptionsAllowed", 0)
    return [name(value), "N/A" if low is None else str(low), "N/A" if high is None else str(high), allowed, age(value, now)]


def _autoscaler(value: Object, now: datetime) -> list[Any]:
    wanted, found = spec(value), status(value)
    target = wanted.get("scaleTargetRef") or {}
    least = wanted.get("minReplicas")
    return [
        name(value), f"{target.get('kind', '')}/{target.get('name', '')}", _metrics(value),
        UNSET if least is None else str(least), wanted.get("maxReplicas", 0), found.get("currentReplicas", 0), age(value, now),
    ]  # fmt: skip


def _metrics(value: Object) -> str:
    """Current/target of the first two metrics. An autoscaling/v1 object has one, its CPU."""
    wanted, found = spec(value), status(value)
    if "targetCPUUtilizationPercentage" in wanted:
        current = found.get("currentCPUUtilizationPercentage")
        return f"cpu: {'<unknown>' if current is None else f'{current}%'}/{wanted['targetCPUUtilizationPercentage']}%"
    metrics, measured = wanted.get("metrics") or [], found.get("currentMetrics") or []
    shown = [_metric(metric, measured[i] if i < len(measured) else {}) for i, metric in enumerate(metrics)]
    text = ", ".join(shown[:2]) or NONE
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


def _metric(metric: Object, measured: Object) -> str:
    field = metric.get("type", "")
    field = field[:1].lower() + field[1:]
    if field not in ("external", "pods", "object", "resource", "containerResource"):
        return "<unknown type>"
    source, current = metric.get(field) or {}, at(measured, field, "current", default={})
    target = source.get("target") or {}
    if field in ("resource", "containerResource"):
        head = f"{source.get('name', '')}: "
        if target.get("averageValue") is not None:
            return f"{head}{current.get('averageValue', '<unknown>')}/{target['averageValue']}"
        percent = current.get("averageUtilization")
        aim = target.get("averageUtilization")
        return f"{head}{'<unknown>' if percent is None else f'{percent}%'}/{'<auto>' if aim is None else f'{aim}%'}"
    if target.get("averageValue") is not None:
        tail = "" if field == "pods" else " (avg)"
        return f"{current.get('averageValue', '<unknown>')}/{target['averageValue']}{tail}"
    return f"{current.get('value', '<unknown>')}/{target.get('value', '0')}"


def _scaled(definition: str) -> tuple[Column, ...]:
    return (
        NAME,
        Column("Desired", "integer", field=f"{definition}Spec.replicas"),
        Column("Current", "integer", field=f"{definition}Status.replicas"),
        Column("Ready", "integer", field=f"{definition}Status.readyReplicas"),
        AGE, CONTAINERS, IMAGES,
        Column("Selector", field=f"{definition}Spec.selector", priority=WIDE),
    )  # fmt: skip


_READY = Column("Ready", text="Number of the pod with ready state")
_HPA = "autoscaling.v2.HorizontalPodAutoscaler"

SCALE = Table(
    (
        NAME,
        Column("Desired", "integer", field="autoscaling.v1.ScaleSpec.replicas"),
        Column("Available", "integer", field="autoscaling.v1.ScaleStatus.replicas"),
        AGE,
    ),
    lambda value, now: [name(value), spec(value).get("replicas", 0), status(value).get("replicas", 0), age(value, now)],
)
"""What a scale subresource answers, of whichever workload."""

TABLES = {
    ("apps", "deployments"): Table(
        (
            NAME, _READY,
            Column("Up-to-date", field="apps.v1.DeploymentStatus.updatedReplicas"),
            Column("Available", field="apps.v1.DeploymentStatus.availableReplicas"),
            AGE, CONTAINERS, IMAGES,
            Column("Selector", field="apps.v1.DeploymentSpec.selector", priority=WIDE),
        ),
        _deployment,
    ),
    ("apps", "replicasets"): Table(_scaled("apps.v1.ReplicaSet"), _replica_set),
    ("", "replicationcontrollers"): Table(_scaled("core.v1.ReplicationController"), _replication_controller),
    ("apps", "statefulsets"): Table((NAME, _READY, AGE, CONTAINERS, IMAGES), _stateful_set),
    ("apps", "daemonsets"): Table(
        (
            NAME,
            Column("Desired", "integer", field="apps.v1.DaemonSetStatus.desiredNumberScheduled"),
            Column("Current", "integer", field="apps.v1.DaemonSetStatus.currentNumberScheduled"),
            Column("Ready", "integer", field="apps.v1.DaemonSetStatus.numberReady"),
            Column("Up-to-date", "integer", field="apps.v1.DaemonSetStatus.updatedNumberScheduled"),
            Column("Available", "integer", field="apps.v1.DaemonSetStatus.numberAvailable"),
            Column("Node Selector", field="core.v1.PodSpec.nodeSelector"),
            AGE, CONTAINERS, IMAGES,
            Column("Selector", field="apps.v1.DaemonSetSpec.selector", priority=WIDE),
        ),
        _daemon_set,
    ),
    ("apps", "controllerrevisions"): Table(
        (NAME, Column("Controller", text="Controller of the object"), Column("Revision", field="apps.v1.ControllerRevision.revision"), AGE),
        _controller_revision,
    ),
    ("batch", "jobs"): Table(
        (
            NAME,
            Column("Status", text="Status of the job."),
            Column("Completions", field="batch.v1.JobStatus.succeeded"),
            Column("Duration", text="Time required to complete the job."),
            AGE, CONTAINERS, IMAGES,
            Column("Selector", field="batch.v1.JobSpec.selector", priority=WIDE),
        ),
        _job,
    ),
    ("batch", "cronjobs"): Table(
        (
            NAME,
            Column("Schedule", field="batch.v1.CronJobSpec.schedule"),
            Column("Timezone", field="batch.v1.CronJobSpec.timeZone"),
            Column("Suspend", "boolean", field="batch.v1.CronJobSpec.suspend"),
            Column("Active", "integer", field="batch.v1.CronJobStatus.active"),
            Column("Last Schedule", field="batch.v1.CronJobStatus.lastScheduleTime"),
            AGE, CONTAINERS, IMAGES,
            Column("Selector", field="batch.v1.JobSpec.selector", priority=WIDE),
        ),
        _cron_job,
    ),
    ("policy", "poddisruptionbudgets"): Table(
        (
            NAME,
            Column("Min Available", text="The minimum number of pods that must be available."),
            Column("Max Unavailable", text="The maximum number of pods that may be unavailable."),
            Column("Allowed Disruptions", "integer", text="Calculated number of pods that may be disrupted at this time."),
            AGE,
        ),
        _budget,
    ),
    ("autoscaling", "horizontalpodautoscalers"): Table(
        (
            NAME,
            Column("Reference", field=f"{_HPA}Spec.scaleTargetRef"),
            Column("Targets", field=f"{_HPA}Spec.metrics"),
            Column("MinPods", field=f"{_HPA}Spec.minReplicas"),
            Column("MaxPods", field=f"{_HPA}Spec.maxReplicas"),
            Column("Replicas", field=f"{_HPA}Status.currentReplicas"),
            AGE,
        ),
        _autoscaler,
    ),
}  # fmt: skip
