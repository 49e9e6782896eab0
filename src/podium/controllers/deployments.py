"""Deployments: rolls pod templates out through ReplicaSets.

What a turn does is decided in deployment_plan.py; here is what triggers a turn, and how its plan is written. Every write carries the
revision it was planned on. A new ReplicaSet's name is made from the template's hash, so a turn planned on a mirror that is behind
meets the ReplicaSet it had made before instead of making another; a different ReplicaSet of that name is a collision of the hash,
counted in the status so that the next name differs.

Source: k8s.io/kubernetes pkg/controller/deployment/deployment_controller.go, sync.go.
"""

from podium.client.control_loop import ControlLoop, namespace_is_terminating
from podium.client.events import EventRecorder
from podium.client.indexes import BY_CONTROLLER, ORPHANS, by_controller
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.deployment_history import REVISION, find_new, same_template
from podium.controllers.deployment_plan import Plan, plan_deployment
from podium.controllers.deployment_sizes import is_rolling, replicas_of
from podium.controllers.deployment_status import CREATE_FAILED, PROGRESSING, Conditions, has_deadline
from podium.controllers.ownership import apply_claims, plan_claims
from podium.controllers.pod_conditions import is_finished
from podium.controllers.timestamps import now_s
from podium.objects.resources import resource
from podium.objects.selectors import from_value
from podium.objects.status import AlreadyExists, Conflict, NotFound, StatusError
from podium.objects.values import controller_of, is_deleting, key_of, name_of, namespace_of
from podium.world.interface import World

WORKERS = 5


class DeploymentController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._deployment = resource("deployments", "apps")
        self._replica_set = resource("replicasets", "apps")
        self._deployments = mirrors.of(self._deployment)
        self._replica_sets = mirrors.of(self._replica_set)
        self._pods = mirrors.of(resource("pods"))
        self._replica_sets.add_index(BY_CONTROLLER, by_controller)
        self._pods.add_index(BY_CONTROLLER, by_controller)
        self._queue = WorkQueue(world)

    async def run(self) -> None:
        for mirror in (self._deployments, self._replica_sets, self._pods):
            await mirror.synced()
        cancellations = [
            self._deployments.subscribe(lambda change: self._queue.add(key_of(change.object))),
            self._replica_sets.subscribe(self._replica_set_changed),
            self._pods.subscribe(self._pod_changed),
        ]
        try:
            await ControlLoop("deployments", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    # Observing

    def _replica_set_changed(self, change: Change) -> None:
        for value in (change.old, change.new):
            if value is None:
                continue
            owner = self._owner(value)
            if owner is not None:
                self._queue.add(key_of(owner))
        value = change.object
        if change.type != "deleted" and controller_of(value) is None:
            labels = value["metadata"].get("labels")
            for deployment in self._deployments.all():
                if namespace_of(deployment) == namespace_of(value) and from_value(deployment["spec"]["selector"]).matches(labels):
                    self._queue.add(key_of(deployment))

    def _pod_changed(self, change: Change) -> None:
        """Only recreation waits for pods: its next step comes when the last old pod is gone or finished."""
        pod = change.object
        if change.type != "deleted" and not is_finished(pod):
            return
        reference = controller_of(pod)
        if reference is None or reference["kind"] != "ReplicaSet":
            return
        replica_set = self._replica_sets.get(namespace_of(pod), reference["name"])
        owner = self._owner(replica_set) if replica_set is not None else None
        if owner is not None and not is_rolling(owner):
            self._queue.add(key_of(owner))

    def _owner(self, replica_set: Object) -> Object | None:
        reference = controller_of(replica_set)
        if reference is None or reference["kind"] != "Deployment":
            return None
        owner = self._deployments.get(namespace_of(replica_set), reference["name"])
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    # Planning and applying

    async def reconcile(self, key: str) -> None:
        deployment = self._deployments.by_key(key)
        if deployment is None:
            return
        selector = from_value(deployment["spec"]["selector"])
        if selector.empty:
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._events.event(deployment, "Warning", "SelectingAll", message)
            generation = deployment["metadata"].get("generation", 0)
            await self._write_status(deployment, {**(deployment.get("status") or {}), "observedGeneration": generation})
            return
        controlled = self._replica_sets.by_index(BY_CONTROLLER, deployment["metadata"]["uid"])
        orphans = self._replica_sets.by_index(BY_CONTROLLER, ORPHANS + namespace_of(deployment))
        claims = plan_claims(deployment, selector, controlled, orphans)
        replica_sets = await apply_claims(self._client, self._deployment, deployment, self._replica_set, claims)
        old_pods = not is_rolling(deployment) and self._has_old_pods(deployment, replica_sets)
        plan = plan_deployment(deployment, replica_sets, old_pods, self._clock.timestamp(), now_s(self._clock))
        await self._apply(deployment, plan)
        if plan.check_after_s is not None:
            self._queue.add_after(key, plan.check_after_s)

    def _has_old_pods(self, deployment: Object, replica_sets: list[Object]) -> bool:
        new = find_new(deployment, replica_sets)
        pods = (pod for r in replica_sets if r is not new for pod in self._pods.by_index(BY_CONTROLLER, r["metadata"]["uid"]))
        return any(not is_finished(pod) for pod in pods)

    async def _apply(self, deployment: Object, plan: Plan) -> None:
        if plan.create is not None:
            await self._create(deployment, plan.create)
        for resize in plan.updates:
            await self._client.update(self._replica_set, resize.value)
            size, name = replicas_of(resize.value), name_of(resize.value)
            if size != resize.before:
                way = "up" if size > resize.before else "down"
                self._events.event(
                    deployment, "Normal", "ScalingReplicaSet", f"Scaled {way} replica set {name} from {resize.before} to {size}"
                )
        await self._write_status(deployment, plan.status)
        if plan.revision:
            metadata = deployment["metadata"]
            patch = {"metadata": {"uid": metadata["uid"], "annotations": {REVISION: plan.revision}}}
            await self._client.patch(self._deployment, metadata["name"], patch, metadata["namespace"])
        for replica_set in plan.delete:
            await self._forget(replica_set)

    async def _create(self, deployment: Object, value: Object) -> None:
        name = name_of(value)
        try:
            await self._client.create(self._replica_set, value)
        except AlreadyExists:
            await self._check_collision(deployment, value)
            return
        except StatusError as error:
            await self._report_failure(deployment, name, error)
            raise
        if replicas_of(value):
            message = f"Scaled up replica set {name} from 0 to {replicas_of(value)}"
            self._events.event(deployment, "Normal", "ScalingReplicaSet", message)

    async def _check_collision(self, deployment: Object, value: Object) -> None:
        """Returns when the ReplicaSet that is there is the one we wanted; otherwise counts a collision and raises Conflict."""
        found = await self._client.get(self._replica_set, name_of(value), namespace_of(value))
        owner = controller_of(found)
        ours = owner is not None and owner["uid"] == deployment["metadata"]["uid"]
        if ours and same_template(found["spec"]["template"], value["spec"]["template"]):
            return
        if not ours or not is_deleting(found):
            status = deployment.get("status") or {}
            await self._write_status(deployment, {**status, "collisionCount": (status.get("collisionCount") or 0) + 1})
        raise Conflict(f'ReplicaSet "{name_of(value)}" exists with another template or owner')

    async def _report_failure(self, deployment: Object, name: str, error: StatusError) -> None:
        if namespace_is_terminating(error) or not has_deadline(deployment):
            return
        message = f'Failed to create new replica set "{name}": {error}'
        self._events.event(deployment, "Warning", CREATE_FAILED, message)
        status = deployment.get("status") or {}
        conditions = Conditions(status.get("conditions") or (), self._clock.timestamp())
        conditions.set(PROGRESSING, "False", CREATE_FAILED, message)
        await self._write_status(deployment, {**status, "conditions": conditions.values})

    async def _write_status(self, deployment: Object, status: Object) -> None:
        if status != (deployment.get("status") or {}):
            await self._client.update(self._deployment, {**deployment, "status": status}, subresource="status")

    async def _forget(self, replica_set: Object) -> None:
        metadata = replica_set["metadata"]
        options = DeleteOptions(uid=metadata["uid"], revision=metadata["resourceVersion"], propagation="Background")
        try:
            await self._client.delete(self._replica_set, metadata["name"], metadata["namespace"], options)
        except NotFound:
            return
