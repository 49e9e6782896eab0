"""What a Job needs: pods to create, pods to delete, finished pods to count, a status. Pure.

Theory: a pod carries a finalizer until its end is counted, so no end is lost and none is counted twice. Counting takes two writes: first the
pod's uid goes into `status.uncountedTerminatedPods`; when that is stored the finalizer is taken off; when the pod is seen without it (or is
gone) the uid leaves the list and the count grows. Indexes that have succeeded or failed for good are kept in the status itself.

A Job ends in two steps as well: the decision (SuccessCriteriaMet or FailureTarget) stops what still runs, and only when that is gone and
everything is counted comes Complete or Failed.

Source: k8s.io/kubernetes pkg/controller/job/job_controller.go, backoff_utils.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from podium.client.interface import Object
from podium.controllers import job_indexes
from podium.controllers.job_policies import judge_failure, matched_success
from podium.controllers.pod_conditions import is_ready, phase
from podium.controllers.timestamps import seconds
from podium.objects.values import copy

TRACKING = "batch.kubernetes.io/job-tracking"
BACKOFF_S, BACKOFF_S_MAX = 10.0, 600.0
CREATED_MAX = 500
UNCOUNTED_MAX = 500


@dataclass(slots=True)
class Plan:
    """`create`: the index of each new pod (None without indexes) and how often it failed before. `strip`: pods whose finalizer may go.
    `events` are (type, reason, message). `check_after_s`: when to look again."""

    status: Object
    create: list[tuple[int | None, int]] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    strip: list[Object] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    check_after_s: float | None = None


def condition(job: Object, kind: str) -> Object | None:
    """The condition of that type, if it is true."""
    found = (job.get("status") or {}).get("conditions") or ()
    return next((c for c in found if c["type"] == kind and c["status"] == "True"), None)


def finished_at(job: Object) -> Object | None:
    return condition(job, "Complete") or condition(job, "Failed")


def is_tracked(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def has_failed(job: Object, pod: Object) -> bool:
    """A pod that is deleted before its end counts as failed, unless only real ends are replaced."""
    if phase(pod) == "Failed":
        return True
    strict = job["spec"].get("podReplacementPolicy") == "Failed"
    return not strict and "deletionTimestamp" in pod["metadata"] and phase(pod) != "Succeeded"


def plan_job(job: Object, pods: Sequence[Object], now: str, *, may_create: bool = True) -> Plan:
    """`pods` are those it controls. `may_create` is false while earlier creations or deletions are not seen yet."""
    return _Turn(job, pods, now).plan(may_create)


class _Turn:
    """One look at one Job."""

    def __init__(self, job: Object, pods: Sequence[Object], now: str) -> None:
        self.job, self.spec, self.pods = job, job["spec"], pods
        self.now, self.now_s = now, seconds(now)
        self.status: Object = copy(job.get("status") or {})
        self.result = Plan(self.status)
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.completions: int | None = self.spec.get("completions")
        self.active = [p for p in pods if phase(p) in ("Pending", "Running", "Unknown") and "deletionTimestamp" not in p["metadata"]]
        self.terminating = [p for p in pods if phase(p) not in ("Succeeded", "Failed") and "deletionTimestamp" in p["metadata"]]
        self.ended = sorted((p for p in pods if phase(p) in ("Succeeded", "Failed")), key=_ended_s)
        count = self.completions or 0
        self.done = job_indexes.parse(self.status.get("completedIndexes"), count) if self.indexed else set()
        self.lost = job_indexes.parse(self.status.get("failedIndexes"), count) if self.indexed else set()

    def plan(self, may_create: bool) -> Plan:
        if finished_at(self.job):
            self.result.strip = [p for p in self.pods if is_tracked(p)]
            self._show_counts()
            return self.result
        self._suspend_or_start()
        self._count()
        decided = self._decided() or self._decide()
        if decided:
            self.result.delete = self.active
            self._finish(decided)
        elif self.spec.get("suspend"):
            self.result.delete = self.active
        elif may_create:
            self._size()
        self._show_counts()
        return self.result

    # Start and suspension

    def _suspend_or_start(self) -> None:
        suspended = condition({"status": self.status}, "Suspended")
        if self.spec.get("suspend"):
            if not suspended:
                self._set("Suspended", "True", "JobSuspended", "Job suspended")
                self.status.pop("startTime", None)
                self.result.events.append(("Normal", "Suspended", "Job suspended"))
            return
        if suspended:
            self._set("Suspended", "False", "JobResumed", "Job resumed")
            self.result.events.append(("Normal", "Resumed", "Job resumed"))
            self.status["startTime"] = self.now
        self.status.setdefault("startTime", self.now)

    # Counting

    def _count(self) -> None:
        """Moves ended pods through the list of uncounted ones into the counts."""
        uncounted = {k: list((self.status.get("uncountedTerminatedPods") or {}).get(k) or ()) for k in ("succeeded", "failed")}
        tracked = {p["metadata"]["uid"]: p for p in self.pods if is_tracked(p)}
        for kind, uids in uncounted.items():
            for uid in [u for u in uids if u not in tracked]:  # the finalizer is off, and that was after the uid was stored
                uids.remove(uid)
                self.status[kind] = (self.status.get(kind) or 0) + 1
            self.result.strip += [tracked[uid] for uid in uids]
        listed = {uid for uids in uncounted.values() for uid in uids}
        for pod in tracked.values():
            uid = pod["metadata"]["uid"]
            if uid in listed or len(listed) >= UNCOUNTED_MAX:
                continue
            if phase(pod) == "Succeeded":
                if self.indexed and not self._complete_index(pod):
                    self.result.strip.append(pod)
                    continue
                uncounted["succeeded"].append(uid)
            elif has_failed(self.job, pod):
                if judge_failure(self.job, pod)[0] == "Ignore" and not self._per_index():
                    self.result.strip.append(pod)
                    continue
                self._note_failure(pod)
                uncounted["failed"].append(uid)
            else:
                continue
            listed.add(uid)
        self.status["uncountedTerminatedPods"] = {k: v for k, v in uncounted.items() if v}
        self.uncounted = {k: len(v) for k, v in uncounted.items()}
        if self.indexed:
            self._write_indexes()

    def _complete_index(self, pod: Object) -> bool:
        index = job_indexes.index_of(pod)
        if not 0 <= index < (self.completions or 0) or index in self.done:
            return False
        self.done.add(index)
        return True

    def _note_failure(self, pod: Object) -> None:
        if not self._per_index():
            return
        index = job_indexes.index_of(pod)
        action, _ = judge_failure(self.job, pod)
        if action == "FailIndex" or (action == "Count" and job_indexes.failures_of(pod) >= self.spec["backoffLimitPerIndex"]):
            self.lost.add(index)

    def _write_indexes(self) -> None:
        self.lost -= self.done
        self.status["completedIndexes"] = job_indexes.text_of(self.done)
        self.status["succeeded"] = len(self.done) - self.uncounted["succeeded"]
        if self._per_index():
            self.status["failedIndexes"] = job_indexes.text_of(self.lost)

    def _per_index(self) -> bool:
        return self.indexed and self.spec.get("backoffLimitPerIndex") is not None

    def _total(self, kind: str) -> int:
        return (self.status.get(kind) or 0) + self.uncounted[kind]

    # The end

    def _decided(self) -> tuple[str, str, str] | None:
        for kind in ("SuccessCriteriaMet", "FailureTarget"):
            if found := condition(self.job, kind):
                return kind, found.get("reason", ""), found.get("message", "")
        return None

    def _decide(self) -> tuple[str, str, str] | None:
        found = self._failure() or self._success()
        if found:
            self._set(found[0], "True", found[1], found[2])
        return found

    def _failure(self) -> tuple[str, str, str] | None:
        kind = "FailureTarget"
        for pod in self.pods:
            action, why = judge_failure(self.job, pod) if has_failed(self.job, pod) else ("", "")
            if action == "FailJob":
                return kind, "PodFailurePolicy", why
        if self._total("failed") > self.spec.get("backoffLimit", 6) or self._restarted_too_often():
            return kind, "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline_s = self.spec.get("activeDeadlineSeconds")
        if deadline_s is not None and self.status.get("startTime"):
            left_s = seconds(self.status["startTime"]) + deadline_s - self.now_s
            if left_s <= 0:
                return kind, "DeadlineExceeded", "Job was active longer than specified deadline"
            self._check_after(left_s)
        most = self.spec.get("maxFailedIndexes")
        if most is not None and len(self.lost) > most:
            return kind, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
        if self.lost and len(self.lost) + len(self.done) >= (self.completions or 0):
            return kind, "FailedIndexes", "Job has failed indexes"
        return None

    def _restarted_too_often(self) -> bool:
        if self.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return False
        statuses = [s for p in self.active for k in ("initContainerStatuses", "containerStatuses") for s in p["status"].get(k) or ()]
        restarts, limit = sum(s.get("restartCount", 0) for s in statuses), self.spec.get("backoffLimit", 6)
        return restarts > 0 if limit == 0 else restarts >= limit

    def _success(self) -> tuple[str, str, str] | None:
        kind = "SuccessCriteriaMet"
        if message := matched_success(self.job, self.done):
            return kind, "SuccessPolicy", message
        if self.spec.get("suspend"):
            return None
        succeeded = self._total("succeeded")
        complete = succeeded >= self.completions if self.completions is not None else succeeded > 0 and not self.active
        return (kind, "CompletionsReached", "Reached expected number of succeeded pods") if complete else None

    def _finish(self, decided: tuple[str, str, str]) -> None:
        """The last condition, when nothing runs and everything is counted."""
        if self.active or self.terminating or any(self.uncounted.values()) or self._decided() is None:
            return
        kind, reason, message = decided
        if kind == "FailureTarget":
            self._set("Failed", "True", reason, message)
            self.result.events.append(("Warning", reason, message))
            return
        self._set("Complete", "True", reason, message)
        self.status["completionTime"] = self.now
        self.result.events.append(("Normal", "Completed", "Job completed"))

    # How many pods

    def _size(self) -> None:
        parallelism = self.spec.get("parallelism", 1)
        strict = self.spec.get("podReplacementPolicy") == "Failed"
        occupied = [*self.active, *self.terminating] if strict else self.active
        if self.completions is None:
            wanted = len(self.active) if self._total("succeeded") else parallelism
        else:
            wanted = min(max(self.completions - self._total("succeeded") - len(self.lost), 0), parallelism)
        surplus = len(self.active) - wanted
        if surplus > 0:
            self.result.delete = sorted(self.active, key=_worth)[:surplus]
            return
        missing = min(wanted - len(occupied), CREATED_MAX)
        if missing <= 0:
            return
        if self.indexed:
            self._create_indexes(missing, occupied)
        elif (wait_s := self._wait_s(self.ended)) > 0:
            self._check_after(wait_s)
        else:
            self.result.create = [(None, 0)] * missing

    def _create_indexes(self, missing: int, occupied: Sequence[Object]) -> None:
        doubled = self._doubled()
        self.result.delete += doubled
        taken = {job_indexes.index_of(p) for p in occupied} | self.done | self.lost
        failed: dict[int, list[Object]] = {}
        for pod in (p for p in self.pods if has_failed(self.job, p)):
            failed.setdefault(job_indexes.index_of(pod), []).append(pod)
        for index in range(self.completions or 0):
            if len(self.result.create) == missing:
                return
            if index in taken:
                continue
            before = failed.get(index, [])
            wait_s = self._wait_s(before if self._per_index() else self.ended)
            if wait_s > 0:
                self._check_after(wait_s)
                continue
            counted = [p for p in before if judge_failure(self.job, p)[0] != "Ignore"]
            self.result.create.append((index, max((job_indexes.failures_of(p) + (p in counted) for p in before), default=0)))

    def _doubled(self) -> list[Object]:
        """Active pods of an index that another one works at already, or that needs none."""
        seen = set(self.done)
        surplus = []
        for pod in sorted(self.active, key=lambda p: (not is_ready(p), p["metadata"]["name"])):
            index = job_indexes.index_of(pod)
            if index in seen or not 0 <= index < (self.completions or 0):
                surplus.append(pod)
            seen.add(index)
        return surplus

    def _wait_s(self, ended: Sequence[Object]) -> float:
        """Seconds until the next try: 10 s after the first failure in a row, twice as long after each further one."""
        row = 0
        for pod in ended:
            row = 0 if phase(pod) == "Succeeded" else row + 1
        if not row or not ended:
            return 0.0
        return _ended_s(ended[-1]) + min(BACKOFF_S * 2 ** (row - 1), BACKOFF_S_MAX) - self.now_s

    # Telling

    def _check_after(self, delay_s: float) -> None:
        before = self.result.check_after_s
        self.result.check_after_s = delay_s if before is None else min(before, delay_s)

    def _set(self, kind: str, status: str, reason: str, message: str) -> None:
        others = [c for c in self.status.get("conditions") or () if c["type"] != kind]
        found = {
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastProbeTime": self.now, "lastTransitionTime": self.now,
        }  # fmt: skip
        self.status["conditions"] = [*others, found]

    def _show_counts(self) -> None:
        counts = {"active": len(self.active), "ready": sum(is_ready(p) for p in self.active), "terminating": len(self.terminating)}
        for name, count in counts.items():
            if count or name != "active":
                self.status[name] = count
            else:
                self.status.pop(name, None)
        for name in ("succeeded", "failed", "completedIndexes"):
            if not self.status.get(name):
                self.status.pop(name, None)


def _ended_s(pod: Object) -> float:
    """When its last container ended; else when it was told to go; else when it was made."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [seconds(((s.get("state") or {}).get("terminated") or {}).get("finishedAt")) for s in statuses]
    metadata = pod["metadata"]
    return max(ends, default=0.0) or seconds(metadata.get("deletionTimestamp") or metadata.get("creationTimestamp"))


def _worth(pod: Object) -> tuple[bool, bool, str]:
    """The first to go: not bound, not ready, younger."""
    return bool(pod["spec"].get("nodeName")), is_ready(pod), pod["metadata"]["creationTimestamp"]
