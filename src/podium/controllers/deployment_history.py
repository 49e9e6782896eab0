"""The history of a Deployment: which ReplicaSet is the new one, revisions, annotations, and what is forgotten. Pure.

The new ReplicaSet is the one whose template equals the Deployment's; its revision is one more than the greatest of the others. Going back
to an old template (rollout undo) makes that ReplicaSet the new one again and gives it a new revision.

Source: k8s.io/kubernetes pkg/controller/deployment/util/deployment_util.go.
"""

from collections.abc import Iterable, Sequence

from podium.client.interface import Object
from podium.controllers.ownership import controller_reference
from podium.objects.names import pod_template_hash
from podium.objects.values import copy, is_deleting

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
TEMPLATE_HASH = "pod-template-hash"
NO_LIMIT = 2**31 - 1
REVISION_HISTORY_CHARACTERS_MAX = 2000

_OWN = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
)
"""Annotations that are not handed down from a Deployment to its ReplicaSets."""


def by_creation(replica_sets: Iterable[Object]) -> list[Object]:
    """Oldest first; of the same second by name."""
    return sorted(replica_sets, key=lambda r: (r["metadata"].get("creationTimestamp", ""), r["metadata"]["name"]))


def number(replica_set: Object, annotation: str) -> int | None:
    try:
        return int((replica_set["metadata"].get("annotations") or {})[annotation])
    except (KeyError, ValueError):
        return None


def revision_of(replica_set: Object) -> int:
    return number(replica_set, REVISION) or 0


def desired_of(replica_set: Object) -> int | None:
    return number(replica_set, DESIRED_REPLICAS)


def same_template(one: Object, other: Object) -> bool:
    """But for the label pod-template-hash."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != TEMPLATE_HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def find_new(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The oldest ReplicaSet with the Deployment's template."""
    template = deployment["spec"]["template"]
    return next((r for r in by_creation(replica_sets) if same_template(r["spec"]["template"], template)), None)


def next_revision(old: Sequence[Object]) -> int:
    return max((revision_of(o) for o in old), default=0) + 1


def new_replica_set(deployment: Object, replicas: int, surge: int, revision: int) -> Object:
    """The ReplicaSet for the Deployment's template, `replicas` in size."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    hashed = pod_template_hash([spec["template"], collisions] if collisions else spec["template"])
    template = copy(spec["template"])
    labels = {**(template.get("metadata", {}).get("labels") or {}), TEMPLATE_HASH: hashed}
    template["metadata"] = {**template.get("metadata", {}), "labels": labels}
    selector = copy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: hashed}
    value: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        value["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    value["metadata"]["annotations"] = new_annotations(deployment, value, revision) | size_annotations(deployment, surge)
    return value


def new_annotations(deployment: Object, new: Object, revision: int) -> dict[str, str]:
    """All annotations of the new ReplicaSet: its own, the Deployment's handed down, and its revision."""
    own = new["metadata"].get("annotations") or {}
    given = deployment["metadata"].get("annotations") or {}
    annotations = {**own, **{key: text for key, text in given.items() if key not in _OWN}}
    before = own.get(REVISION)
    if revision_of(new) < revision:
        annotations[REVISION] = str(revision)
        if before:
            history = [text for text in own.get(REVISION_HISTORY, "").split(",") if text]
            annotations[REVISION_HISTORY] = _cut([*history, before])
    return annotations


def _cut(history: list[str]) -> str:
    while len(",".join(history)) > REVISION_HISTORY_CHARACTERS_MAX:
        history = history[1:]
    return ",".join(history)


def size_annotations(deployment: Object, surge: int) -> dict[str, str]:
    """What a ReplicaSet remembers of the Deployment's size, to notice and to share out a later change of it."""
    replicas = deployment["spec"].get("replicas", 1)
    return {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(replicas + surge)}


def plan_forgetting(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """The old ReplicaSets past revisionHistoryLimit, oldest revisions first; never one that has or wants pods."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    if limit == NO_LIMIT:
        return []
    living = sorted((o for o in old if not is_deleting(o)), key=lambda o: (revision_of(o), o["metadata"].get("creationTimestamp", "")))
    return [o for o in living[: max(0, len(living) - limit)] if _is_idle(o)]


def _is_idle(replica_set: Object) -> bool:
    status, metadata = replica_set.get("status") or {}, replica_set["metadata"]
    observed = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    return observed and not status.get("replicas") and not replica_set["spec"].get("replicas", 1)
