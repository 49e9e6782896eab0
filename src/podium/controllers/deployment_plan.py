"""One turn of a Deployment: from what is observed to what to write. Pure.

A turn does one step (create the new ReplicaSet, or change sizes, or forget old ones) and writes the status; the next step follows
from the changes this one causes. Nothing is remembered between turns but what the objects say.

Source: k8s.io/kubernetes pkg/controller/deployment (deployment_controller.go, sync.go, rolling.go, recreate.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from podium.client.interface import Object
from podium.controllers import deployment_status as progress
from podium.controllers.deployment_history import (
    REVISION,
    by_creation,
    find_new,
    new_annotations,
    new_replica_set,
    next_revision,
    plan_forgetting,
    revision_of,
    size_annotations,
)
from podium.controllers.deployment_sizes import (
    Sizes,
    fenceposts,
    is_rolling,
    is_scaling,
    plan_new_size,
    plan_old_sizes,
    plan_scaling,
    replicas_of,
)
from podium.objects.values import is_deleting


@dataclass(frozen=True, slots=True)
class Resize:
    """`value` is the whole ReplicaSet to write; it had `before` replicas. Only annotations differ when `before` is its size."""

    value: Object
    before: int


@dataclass(slots=True)
class Plan:
    """`status` is to be written when it differs, `revision` to become the Deployment's annotation when not empty."""

    status: Object = field(default_factory=dict)
    create: Object | None = None
    updates: list[Resize] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    revision: str = ""
    check_after_s: float | None = None


def plan_deployment(deployment: Object, replica_sets: Sequence[Object], old_pods: bool, now: str, now_s: float) -> Plan:
    """`replica_sets` are those it controls, `old_pods` whether unfinished pods of others than the new one exist; `now` and `now_s` the same
    time as text and in seconds."""
    new = find_new(deployment, replica_sets)
    old = by_creation(r for r in replica_sets if r is not new)
    conditions = progress.Conditions((deployment.get("status") or {}).get("conditions") or (), now)
    plan = Plan()
    if is_deleting(deployment):
        plan.status = _status(deployment, replica_sets, new, conditions)
        return plan
    progress.set_paused(deployment, conditions)
    revision = next_revision(old)
    if deployment["spec"].get("paused") or is_scaling(deployment, replica_sets):
        sizes = plan_scaling(deployment, new, old)
        if deployment["spec"].get("paused"):
            plan.delete = plan_forgetting(deployment, old)
        plan.updates = _resizes(deployment, replica_sets, sizes, new, revision, mark=True)
        plan.status = _status(deployment, _after(replica_sets, plan), new, conditions)
    else:
        _plan_rollout(plan, deployment, new, old, old_pods, revision)
        _record_new(plan, deployment, new, conditions)
        counted = _after(replica_sets, plan)
        status = progress.count(deployment, counted, new, conditions)
        shown = new if new is not None else plan.create
        progress.set_progress(deployment, status, shown, conditions, now_s)
        progress.set_failure(new, counted, conditions)
        if not plan.updates and progress.is_complete(deployment, status):
            plan.delete = plan_forgetting(deployment, old)
        plan.status = {**status, "conditions": conditions.values}
        plan.check_after_s = progress.check_after_s(deployment, plan.status, now_s)
    if new is not None:
        plan.revision = _revision_to_show(deployment, new, plan)
    return plan


def _plan_rollout(plan: Plan, deployment: Object, new: Object | None, old: list[Object], old_pods: bool, revision: int) -> None:
    replica_sets = [*old, *([new] if new is not None else [])]
    sizes: Sizes = {}
    if not is_rolling(deployment) and any(replicas_of(o) for o in old):
        sizes = {o["metadata"]["name"]: 0 for o in old if replicas_of(o)}
    elif not is_rolling(deployment) and (old_pods or any((o.get("status") or {}).get("replicas") for o in old)):
        pass  # the old ones are on their way out: no new pod beside them
    elif new is None:
        plan.create = new_replica_set(deployment, plan_new_size(deployment, None, old), fenceposts(deployment)[0], revision)
    else:
        size = plan_new_size(deployment, new, old)
        sizes = {new["metadata"]["name"]: size} if size != replicas_of(new) else plan_old_sizes(deployment, new, old)
    plan.updates = _resizes(deployment, replica_sets, sizes, new, revision, mark=False)


def _resizes(
    deployment: Object, replica_sets: Sequence[Object], sizes: Sizes, new: Object | None, revision: int, *, mark: bool
) -> list[Resize]:
    """ReplicaSets with their next size and annotations, where anything differs. `mark`: those in `sizes` remember the Deployment's size
    even when their own stays."""
    marks = size_annotations(deployment, fenceposts(deployment)[0])
    resizes = []
    for replica_set in replica_sets:
        metadata, spec = replica_set["metadata"], replica_set["spec"]
        before = replicas_of(replica_set)
        size = sizes.get(metadata["name"], before)
        annotations = metadata.get("annotations") or {}
        if replica_set is new:
            annotations = new_annotations(deployment, replica_set, revision)
            spec = _with_min_ready(spec, deployment["spec"].get("minReadySeconds") or 0)
        if size != before or (mark and metadata["name"] in sizes):
            annotations = {**annotations, **marks}
            spec = {**spec, "replicas": size}
        if spec != replica_set["spec"] or annotations != (metadata.get("annotations") or {}):
            resizes.append(Resize({**replica_set, "metadata": {**metadata, "annotations": annotations}, "spec": spec}, before))
    return resizes


def _with_min_ready(spec: Object, min_ready_s: int) -> Object:
    return spec if (spec.get("minReadySeconds") or 0) == min_ready_s else {**spec, "minReadySeconds": min_ready_s}


def _after(replica_sets: Sequence[Object], plan: Plan) -> list[Object]:
    """The ReplicaSets as they will be after the updates."""
    changed = {resize.value["metadata"]["name"]: resize.value for resize in plan.updates}
    created = [plan.create] if plan.create is not None else []
    return [changed.get(r["metadata"]["name"], r) for r in replica_sets] + created


def _status(deployment: Object, replica_sets: Sequence[Object], new: Object | None, conditions: progress.Conditions) -> Object:
    status = progress.count(deployment, replica_sets, new, conditions)
    return {**status, "conditions": conditions.values}


def _record_new(plan: Plan, deployment: Object, new: Object | None, conditions: progress.Conditions) -> None:
    if not progress.has_deadline(deployment):
        return
    if plan.create is not None:
        message = f'Created new replica set "{plan.create["metadata"]["name"]}"'
        conditions.set(progress.PROGRESSING, "True", progress.CREATED, message)
    elif new is not None and conditions.get(progress.PROGRESSING) is None:
        message = f'Found new replica set "{new["metadata"]["name"]}"'
        conditions.set(progress.PROGRESSING, "True", progress.FOUND, message)


def _revision_to_show(deployment: Object, new: Object, plan: Plan) -> str:
    """The new ReplicaSet's revision, when the Deployment's annotation says something else."""
    written = next((u.value for u in plan.updates if u.value["metadata"]["name"] == new["metadata"]["name"]), new)
    revision = str(revision_of(written) or "")
    shown = (deployment["metadata"].get("annotations") or {}).get(REVISION)
    return revision if revision != shown else ""
