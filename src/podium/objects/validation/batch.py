"""Jobs, CronJobs, StatefulSets and DaemonSets: what would make their controllers run astray is refused.

Source: k8s.io/kubernetes pkg/apis/batch/validation, pkg/apis/apps/validation.
"""

from zoneinfo import ZoneInfo

from podium.objects import cron, selectors
from podium.objects.selectors import LabelSelector
from podium.objects.status import BadRequest
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.validation.pod_spec import check_selected_template, check_template
from podium.objects.values import Object

_JOB_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex", "maxFailedIndexes",
    "ttlSecondsAfterFinished",
)  # fmt: skip
_SET_CHANGES = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
CRON_NAME_LENGTH_MAX = 52


def check_job(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    _check_job_spec(faults, spec, "spec")
    if spec.get("selector") is None:
        faults.required("spec.selector")
    elif not _selector(faults, spec, "spec.selector"):
        return
    elif not selectors.from_value(spec["selector"]).matches(_labels(spec)):
        faults.invalid("spec.template.metadata.labels", _labels(spec), "`selector` does not match template `labels`")


def check_job_update(faults: Faults, new: Object, old: Object) -> None:
    check_job(faults, new)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    indexed = spec.get("completionMode") == "Indexed"
    if not indexed or spec.get("completions") != spec.get("parallelism"):
        faults.unchanged("spec.completions", spec.get("completions"), before.get("completions"))
    for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        faults.unchanged(f"spec.{field}", spec.get(field), before.get(field))
    if not before.get("suspend") or (old.get("status") or {}).get("startTime"):  # what has not begun may still be fitted to its nodes
        faults.unchanged("spec.template", spec.get("template"), before.get("template"))


def check_cron_job(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    schedule, zone = spec.get("schedule"), spec.get("timeZone")
    if not schedule:
        faults.required("spec.schedule")
    else:
        try:
            cron.parse(schedule)
        except ValueError as error:
            faults.invalid("spec.schedule", schedule, str(error))
        if "TZ" in schedule:
            faults.invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            faults.invalid("spec.timeZone", zone, f"unknown time zone {zone}")
    for field in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        faults.not_negative(f"spec.{field}", spec.get(field))
    faults.one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    if len((value.get("metadata") or {}).get("name") or "") > CRON_NAME_LENGTH_MAX:
        faults.invalid("metadata.name", value["metadata"]["name"], f"must be no more than {CRON_NAME_LENGTH_MAX} characters")
    _check_job_spec(faults, (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")


def check_stateful_set(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        faults.not_negative(f"spec.{field}", spec.get(field))
    faults.one_of("spec.podManagementPolicy", spec.get("podManagementPolicy"), ("OrderedReady", "Parallel"))
    faults.one_of("spec.updateStrategy.type", (spec.get("updateStrategy") or {}).get("type"), ("RollingUpdate", "OnDelete"))
    check_selected_template(faults, spec.get("template"), _required_selector(faults, spec, "statefulset"), "spec.template", "StatefulSet")


def check_stateful_set_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if any(spec.get(f) != before.get(f) for f in {**spec, **before} if f not in (*_SET_CHANGES, "selector")):
        allowed = ", ".join(f"'{f}'" for f in _SET_CHANGES[:-1])
        why = f"updates to statefulset spec for fields other than {allowed} and '{_SET_CHANGES[-1]}' are forbidden"
        faults.forbidden("spec", why)
    if spec != before:
        check_stateful_set(faults, new)


def check_daemon_set(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    for field in ("minReadySeconds", "revisionHistoryLimit"):
        faults.not_negative(f"spec.{field}", spec.get(field))
    faults.one_of("spec.updateStrategy.type", (spec.get("updateStrategy") or {}).get("type"), ("RollingUpdate", "OnDelete"))
    check_selected_template(faults, spec.get("template"), _required_selector(faults, spec, "daemonset"), "spec.template", "DaemonSet")


def _check_job_spec(faults: Faults, spec: Object, path: str) -> None:
    for field in _JOB_COUNTS:
        faults.not_negative(f"{path}.{field}", spec.get(field))
    faults.one_of(f"{path}.completionMode", spec.get("completionMode"), ("NonIndexed", "Indexed"))
    faults.one_of(f"{path}.podReplacementPolicy", spec.get("podReplacementPolicy"), ("Failed", "TerminatingOrFailed"))
    indexed = spec.get("completionMode") == "Indexed"
    if indexed and spec.get("completions") is None:
        faults.required(f"{path}.completions", "when completion mode is Indexed")
    for field in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if spec.get(field) is not None and not indexed:
            faults.invalid(f"{path}.{field}", spec[field], "requires indexed completion mode")
    template = spec.get("template")
    if template is None:
        faults.required(f"{path}.template")
        return
    check_template(faults, template, f"{path}.template")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy in (None, "", "Always"):
        faults.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif policy != "Never" and spec.get("podFailurePolicy") is not None:
        faults.invalid(f"{path}.template.spec.restartPolicy", policy, 'only "Never" is supported when podFailurePolicy is specified')


def _required_selector(faults: Faults, spec: Object, kind: str) -> LabelSelector | None:
    value = spec.get("selector")
    if value is None:
        faults.required("spec.selector")
        return None
    if not value.get("matchLabels") and not value.get("matchExpressions"):
        faults.invalid("spec.selector", value, f"empty selector is invalid for {kind}")
    return _selector(faults, spec, "spec.selector")


def _selector(faults: Faults, spec: Object, path: str) -> LabelSelector | None:
    check_label_selector(faults, spec["selector"], path)
    try:
        return selectors.from_value(spec["selector"])
    except BadRequest:
        return None


def _labels(spec: Object) -> dict[str, str]:
    return ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
