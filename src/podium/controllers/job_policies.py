"""What a Job's policies say: of a pod that failed (podFailurePolicy), and of the indexes that succeeded (successPolicy). Pure.

Source: k8s.io/kubernetes pkg/controller/job/pod_failure_policy.go, success_policy.go.
"""

from collections.abc import Iterable

from podium.client.interface import Object
from podium.controllers import job_indexes
from podium.objects.values import name_of, namespace_of


def judge_failure(job: Object, pod: Object) -> tuple[str, str]:
    """(Count | Ignore | FailIndex | FailJob, why, for FailJob); the first rule that matches decides."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    for number, rule in enumerate(rules):
        if rule.get("onExitCodes"):
            found = _exit_code(pod, rule["onExitCodes"])
            if found:
                container, code = found
                why = f"Container {container} for pod {namespace_of(pod)}/{name_of(pod)} failed with exit code {code}"
                return rule["action"], f"{why} matching {rule['action']} rule at index {number}"
        elif condition := _condition(pod, rule.get("onPodConditions") or ()):
            why = f"Pod {namespace_of(pod)}/{name_of(pod)} has condition {condition}"
            return rule["action"], f"{why} matching {rule['action']} rule at index {number}"
    return "Count", ""


def _exit_code(pod: Object, wanted: Object) -> tuple[str, int] | None:
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        code = ((entry.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        if not code or wanted.get("containerName", entry["name"]) != entry["name"]:
            continue
        if (code in wanted.get("values", ())) == (wanted["operator"] == "In"):
            return entry["name"], code
    return None


def _condition(pod: Object, patterns: Iterable[Object]) -> str:
    held = {(c["type"], c["status"]) for c in (pod.get("status") or {}).get("conditions") or ()}
    return next((p["type"] for p in patterns if (p["type"], p.get("status", "True")) in held), "")


def matched_success(job: Object, succeeded: set[int]) -> str:
    """The message of the first rule that is met; empty for none."""
    completions = job["spec"].get("completions") or 0
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        among = job_indexes.parse(rule["succeededIndexes"], completions) if rule.get("succeededIndexes") else None
        counted = succeeded if among is None else succeeded & among
        wanted = rule.get("succeededCount")
        if wanted is None:
            wanted = len(among or ())
        if wanted and len(counted) >= wanted:
            return f"Matched rules at index {number}"
    return ""
