"""CronJobs: creates a Job whenever the schedule says so.

Level-triggered: a turn asks which scheduled time since the last start is the latest; earlier ones that were missed are passed over. The Job's
name is made from that time, so the same time never starts two, whoever asks again. `status.active` is what runs; finished Jobs beyond the
limits of history are deleted, oldest first.

Source: k8s.io/kubernetes pkg/controller/cronjob (cronjob_controllerv2.go, utils.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, by_controller
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.job_plan import condition, finished_at
from podium.controllers.ownership import controller_reference
from podium.objects import cron
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, NotFound
from podium.objects.values import controller_of, copy, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
WORKERS = 5


@dataclass(slots=True)
class Plan:
    """`start` is the Job to create, for the time `scheduled`; `replace` are deleted before it."""

    status: Object
    start: Object | None = None
    scheduled: datetime | None = None
    replace: list[Object] = field(default_factory=list)
    forget: list[Object] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    check_after_s: float | None = None


def plan_cron_job(cron_job: Object, jobs: Sequence[Object], now: datetime) -> Plan:
    """`jobs` are those it controls."""
    spec, plan = cron_job["spec"], Plan(copy(cron_job.get("status") or {}))
    running = [j for j in jobs if finished_at(j) is None]
    _tell_status(plan, running, jobs)
    plan.forget = _surplus(jobs, "Complete", spec.get("successfulJobsHistoryLimit"))
    plan.forget += _surplus(jobs, "Failed", spec.get("failedJobsHistoryLimit"))
    if is_deleting(cron_job) or spec.get("suspend"):
        return plan
    try:
        schedule, zone = cron.parse(spec["schedule"]), _zone(spec.get("timeZone"))
    except (ValueError, ZoneInfoNotFoundError) as error:
        plan.events.append(("Warning", "UnparseableSchedule", f"unparseable schedule: {spec['schedule']!r} : {error}"))
        return plan
    following = schedule.next(now, zone)
    plan.check_after_s = (following - now).total_seconds() + 0.1 if following else None
    scheduled = _due(cron_job, schedule, zone, now)
    if scheduled is None:
        return plan
    policy = spec.get("concurrencyPolicy")
    if policy == "Forbid" and running:
        plan.events.append(
            ("Normal", "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
        )
        return plan
    if policy == "Replace":
        plan.replace = running
    plan.start, plan.scheduled = job_of(cron_job, scheduled.astimezone(zone)), scheduled
    return plan


def _due(cron_job: Object, schedule: cron.Schedule, zone: tzinfo, now: datetime) -> datetime | None:
    """The latest time that was not started yet and is not too long ago."""
    last = (cron_job.get("status") or {}).get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"]
    earliest = datetime.fromisoformat(last)
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    if deadline_s is not None:
        earliest = max(earliest, now - timedelta(seconds=deadline_s))
    return schedule.latest(earliest, now, zone)


def _zone(name: str | None) -> tzinfo:
    return ZoneInfo(name) if name else UTC


def _tell_status(plan: Plan, running: Sequence[Object], jobs: Sequence[Object]) -> None:
    active = [_reference(j) for j in sorted(running, key=name_of)]
    if active:
        plan.status["active"] = active
    else:
        plan.status.pop("active", None)
    ends = [j["status"].get("completionTime") for j in jobs if condition(j, "Complete")]
    last = max([e for e in ends if e] + [plan.status.get("lastSuccessfulTime") or ""])
    if last:
        plan.status["lastSuccessfulTime"] = last


def _reference(job: Object) -> Object:
    metadata = job["metadata"]
    return {
        "apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }  # fmt: skip


def _surplus(jobs: Sequence[Object], kind: str, limit: int | None) -> list[Object]:
    ended = sorted((j for j in jobs if condition(j, kind)), key=lambda j: ((j["status"].get("startTime") or ""), name_of(j)))
    return ended[: max(len(ended) - limit, 0)] if limit is not None else []


def job_of(cron_job: Object, scheduled: datetime) -> Object:
    metadata, template = cron_job["metadata"], copy(cron_job["spec"]["jobTemplate"])
    head = template.get("metadata") or {}
    when = scheduled.isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{metadata['name']}-{int(scheduled.timestamp()) // 60}",
            "namespace": metadata["namespace"],
            "labels": dict(head.get("labels") or {}),
            "annotations": {**(head.get("annotations") or {}), SCHEDULED_AT: when},
            "ownerReferences": [controller_reference(cron_job)],
        },
        "spec": template["spec"],
    }


class CronJobController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._cron_job, self._job = resource("cronjobs", "batch"), resource("jobs", "batch")
        self._cron_jobs, self._jobs = mirrors.of(self._cron_job), mirrors.of(self._job)
        self._jobs.add_index(BY_CONTROLLER, by_controller)
        self._queue = WorkQueue(world)

    async def run(self) -> None:
        await self._cron_jobs.synced()
        await self._jobs.synced()
        cancellations = [self._cron_jobs.subscribe(self._cron_job_changed), self._jobs.subscribe(self._job_changed)]
        try:
            await ControlLoop("cron-jobs", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    def _cron_job_changed(self, change: Change) -> None:
        self._queue.add(key_of(change.object))

    def _job_changed(self, change: Change) -> None:
        reference = controller_of(change.object)
        if reference is not None and reference["kind"] == "CronJob":
            self._queue.add(f"{namespace_of(change.object)}/{reference['name']}")

    async def reconcile(self, key: str) -> None:
        cron_job = self._cron_jobs.by_key(key)
        if cron_job is None:
            return
        jobs = self._jobs.by_index(BY_CONTROLLER, cron_job["metadata"]["uid"])
        plan = plan_cron_job(cron_job, jobs, self._clock.now())
        for kind, reason, message in plan.events:
            self._events.event(cron_job, kind, reason, message)  # type: ignore[arg-type]
        for job in plan.forget:
            await self._delete(job, cron_job, "SuccessfulDelete", f"Deleted job {name_of(job)}")
        if plan.start is not None:
            await self._start(cron_job, plan)
        if plan.status != (cron_job.get("status") or {}):
            await self._client.update(self._cron_job, {**cron_job, "status": plan.status}, subresource="status")
        if plan.check_after_s is not None:
            self._queue.add_after(key, max(0.1, plan.check_after_s))

    async def _start(self, cron_job: Object, plan: Plan) -> None:
        assert plan.start is not None and plan.scheduled is not None
        for job in plan.replace:
            await self._delete(job, cron_job, "SuccessfulDelete", f"Deleted job {name_of(job)}")
        gone = {job["metadata"]["uid"] for job in plan.replace}
        active = [reference for reference in plan.status.get("active") or () if reference["uid"] not in gone]
        try:
            job = await self._client.create(self._job, plan.start)
        except AlreadyExists:  # an earlier turn was interrupted before it could write the status
            job = await self._client.get(self._job, name_of(plan.start), namespace_of(plan.start))
        else:
            self._events.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {name_of(job)}")
        if all(reference["uid"] != job["metadata"]["uid"] for reference in active) and finished_at(job) is None:
            active.append(_reference(job))
        plan.status["active"] = active
        plan.status["lastScheduleTime"] = plan.scheduled.strftime("%Y-%m-%dT%H:%M:%SZ")

    async def _delete(self, job: Object, cron_job: Object, reason: str, message: str) -> None:
        options = DeleteOptions(uid=job["metadata"]["uid"], propagation="Background")
        try:
            await self._client.delete(self._job, name_of(job), namespace_of(job), options)
        except NotFound:
            return
        self._events.event(cron_job, "Normal", reason, message)
