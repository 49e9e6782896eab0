"""Jobs: runs pods until enough of them have succeeded.

What is to be done is decided in job_plan.py; here it is observed and applied. The order matters: the status that lists the ended pods is
stored before their finalizers are taken off. A pod that carries the finalizer but belongs to no Job any more loses it at once, since nobody
waits for its end. A finished Job with a time to live is deleted when that is over.

Source: k8s.io/kubernetes pkg/controller/job/job_controller.go, pkg/controller/ttlafterfinished.
"""

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, by_controller
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.parallel import in_parallel
from podium.client.work_queue import WorkQueue
from podium.controllers import job_indexes
from podium.controllers.expectations import RECHECK_S
from podium.controllers.job_plan import TRACKING, Plan, finished_at, is_tracked, plan_job
from podium.controllers.owned_pods import OwnedPods
from podium.controllers.ownership import controller_reference
from podium.controllers.timestamps import now_s, seconds
from podium.objects.resources import resource
from podium.objects.selectors import from_value
from podium.objects.status import NotFound
from podium.objects.values import controller_of, copy, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

WORKERS = 5
AT_ONCE_MAX = 50
TURN_S = 0.02
"""Changes of pods are gathered this long before a turn."""
RETRY_MAX_S = 60.0
"""Nobody says when there is room in a quota again."""

_POD_KEY = "pod:"


def pod_of(job: Object, index: int | None, failures: int) -> Object:
    """A pod of its template, for the server to name; `failures` of this index so far, where failures are counted by index."""
    metadata, template = job["metadata"], copy(job["spec"]["template"])
    head, spec = template.get("metadata") or {}, template["spec"]
    labels, annotations = dict(head.get("labels") or {}), dict(head.get("annotations") or {})
    prefix = metadata["name"]
    if index is not None:
        labels[job_indexes.INDEX] = annotations[job_indexes.INDEX] = str(index)
        if job["spec"].get("backoffLimitPerIndex") is not None:
            annotations[job_indexes.FAILURES] = str(failures)
        prefix = f"{prefix}-{index}"
        spec.setdefault("hostname", prefix)
        source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{job_indexes.INDEX}']"}}
        for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
            if not any(e["name"] == "JOB_COMPLETION_INDEX" for e in container.get("env") or ()):
                container["env"] = [*(container.get("env") or ()), {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": prefix + "-",
            "namespace": metadata["namespace"],
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
            "finalizers": [*(head.get("finalizers") or ()), TRACKING],
            "ownerReferences": [controller_reference(job)],
        },
        "spec": spec,
    }


class JobController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._job, self._pod = resource("jobs", "batch"), resource("pods")
        self._jobs, self._pods = mirrors.of(self._job), mirrors.of(self._pod)
        self._pods.add_index(BY_CONTROLLER, by_controller)
        self._queue = WorkQueue(world, retry_max_s=RETRY_MAX_S)
        self._owned = OwnedPods(client, events, self._job, self._pods, world.clock)

    async def run(self) -> None:
        await self._jobs.synced()
        await self._pods.synced()
        cancellations = [self._jobs.subscribe(self._job_changed), self._pods.subscribe(self._pod_changed)]
        try:
            await ControlLoop("jobs", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    # Observing

    def _job_changed(self, change: Change) -> None:
        self._queue.add(key_of(change.object))
        if change.type == "deleted":
            for pod in self._pods.by_index(BY_CONTROLLER, change.object["metadata"]["uid"]):
                self._queue.add(_POD_KEY + key_of(pod))

    def _pod_changed(self, change: Change) -> None:
        pod = change.object
        job = self._owner(pod)
        if job is not None:
            key = key_of(job)
            self._queue.add_after(key, TURN_S)
        elif change.type != "deleted" and is_tracked(pod):
            self._queue.add(_POD_KEY + key_of(pod))
        if change.type != "deleted" and controller_of(pod) is None and not is_deleting(pod):
            self._orphan_seen(pod)

    def _orphan_seen(self, pod: Object) -> None:
        for job in self._jobs.all():
            if namespace_of(job) == namespace_of(pod) and from_value(job["spec"]["selector"]).matches(pod["metadata"].get("labels")):
                self._queue.add(key_of(job))

    def _owner(self, pod: Object) -> Object | None:
        reference = controller_of(pod)
        if reference is None or reference["kind"] != "Job":
            return None
        job = self._jobs.get(namespace_of(pod), reference["name"])
        return job if job is not None and job["metadata"]["uid"] == reference["uid"] else None

    # Planning and applying

    async def reconcile(self, key: str) -> None:
        if key.startswith(_POD_KEY):
            await self._let_go(key.removeprefix(_POD_KEY))
            return
        job = self._jobs.by_key(key)
        if job is None:
            self._owned.expectations.forget(key)
            return
        if job["spec"].get("managedBy") not in (None, "kubernetes.io/job-controller"):
            return
        pods = await self._owned.claimed(job, from_value(job["spec"]["selector"]))
        if is_deleting(job):
            await in_parallel(self._strip(pod) for pod in pods if is_tracked(pod))
            return
        if finished_at(job) and await self._expire(job):
            return
        plan = plan_job(job, pods, self._clock.timestamp(), may_create=self._owned.expectations.met(key))
        await self._apply(key, job, plan)
        if not self._owned.expectations.met(key):
            self._queue.add_after(key, RECHECK_S)
        if plan.check_after_s is not None:
            self._queue.add_after(key, max(0.05, plan.check_after_s))

    async def _let_go(self, key: str) -> None:
        pod = self._pods.by_key(key)
        if pod is not None and is_tracked(pod) and self._owner(pod) is None:
            await self._strip(pod)

    async def _expire(self, job: Object) -> bool:
        """Whether its time to live is over, and it was deleted."""
        ttl_s, end = job["spec"].get("ttlSecondsAfterFinished"), finished_at(job)
        if ttl_s is None or end is None:
            return False
        left_s = seconds(end["lastTransitionTime"]) + ttl_s - now_s(self._clock)
        if left_s > 0:
            self._queue.add_after(key_of(job), left_s)
            return False
        options = DeleteOptions(uid=job["metadata"]["uid"], propagation="Foreground")
        await self._client.delete(self._job, name_of(job), namespace_of(job), options)
        return True

    async def _apply(self, key: str, job: Object, plan: Plan) -> None:
        if plan.status != (job.get("status") or {}):
            job = await self._client.update(self._job, {**job, "status": plan.status}, subresource="status")
            for kind, reason, message in plan.events:
                self._events.event(job, kind, reason, message)  # type: ignore[arg-type]
        results: list[object] = []
        results += await in_parallel(self._strip(pod) for pod in plan.strip[:AT_ONCE_MAX])
        if plan.delete:
            results += await in_parallel(self._delete(key, job, pod) for pod in plan.delete)
        if plan.create:
            for start in range(0, len(plan.create), AT_ONCE_MAX):
                batch = plan.create[start : start + AT_ONCE_MAX]
                results += await in_parallel(self._owned.create(key, job, pod_of(job, index, failures)) for index, failures in batch)
        for error in results:
            if isinstance(error, Exception):
                raise error
        if len(plan.strip) > AT_ONCE_MAX:
            self._queue.add(key)

    async def _delete(self, key: str, job: Object, pod: Object) -> None:
        """Its end is not counted: the finalizer goes first."""
        await self._strip(pod)
        await self._owned.delete(key, job, pod)

    async def _strip(self, pod: Object) -> None:
        if not is_tracked(pod):
            return
        metadata = pod["metadata"]
        left = [f for f in metadata["finalizers"] if f != TRACKING]
        patch = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"], "finalizers": left or None}}
        try:
            await self._client.patch(self._pod, metadata["name"], patch, metadata["namespace"])
        except NotFound:
            return
