"""How many replicas each ReplicaSet of a Deployment should have next. Pure.

Rolling update, one step at a time:
* grow the new one, while all together stay within replicas + maxSurge;
* else shrink the old ones: first what is not available anyway, then as many as keep `replicas - maxUnavailable` available.
Percentages of maxSurge round up, of maxUnavailable down; both cannot be 0.

Scaling in the middle of a rollout is shared out in proportion to the sizes, so that the risk stays as spread as it was.

Source: k8s.io/kubernetes pkg/controller/deployment (rolling.go, recreate.go, sync.go), pkg/controller/deployment/util.
"""

from collections.abc import Sequence
from math import ceil, floor

from podium.client.interface import Object
from podium.controllers.deployment_history import MAX_REPLICAS, by_creation, desired_of, number

Sizes = dict[str, int]
"""Replicas by ReplicaSet name; only those that change."""


def replicas_of(value: Object) -> int:
    """What a Deployment or a ReplicaSet asks for."""
    return value["spec"].get("replicas", 1)


def available_of(replica_set: Object) -> int:
    return (replica_set.get("status") or {}).get("availableReplicas", 0)


def is_rolling(deployment: Object) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"


def fenceposts(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods; (0, 0) when recreating."""
    if not is_rolling(deployment):
        return 0, 0
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    replicas = replicas_of(deployment)
    surge = _scaled(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _scaled(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _scaled(value: int | str, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(value.rstrip("%")) * total / 100
    return ceil(exact) if up else floor(exact)


def plan_new_size(deployment: Object, new: Object | None, old: Sequence[Object]) -> int:
    """The size that the new ReplicaSet (None: not there yet) may have now. It never shrinks here below what is asked for."""
    wanted, size = replicas_of(deployment), replicas_of(new) if new is not None else 0
    if not is_rolling(deployment) or size >= wanted:
        return wanted
    surge, _ = fenceposts(deployment)
    room = wanted + surge - size - sum(map(replicas_of, old))
    return size + min(room, wanted - size) if room > 0 else size


def plan_old_sizes(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """Shrinks the old ReplicaSets, oldest first: what is broken goes before what serves."""
    sizes = {o["metadata"]["name"]: replicas_of(o) for o in old}
    if not any(sizes.values()):
        return {}
    _, unavailable = fenceposts(deployment)
    available_min = replicas_of(deployment) - unavailable
    new_unavailable = replicas_of(new) - available_of(new)
    budget = replicas_of(new) + sum(sizes.values()) - available_min - new_unavailable
    if budget <= 0:
        return {}
    oldest_first = by_creation(old)
    for replica_set in oldest_first:
        name = replica_set["metadata"]["name"]
        broken = max(0, min(budget, sizes[name] - available_of(replica_set)))
        sizes[name] -= broken
        budget -= broken
    spare = available_of(new) + sum(map(available_of, old)) - available_min
    for replica_set in oldest_first:
        name = replica_set["metadata"]["name"]
        cut = max(0, min(spare, sizes[name]))
        sizes[name] -= cut
        spare -= cut
    return {o["metadata"]["name"]: sizes[o["metadata"]["name"]] for o in oldest_first if sizes[o["metadata"]["name"]] != replicas_of(o)}


def is_scaling(deployment: Object, replica_sets: Sequence[Object]) -> bool:
    """Whether `replicas` changed since the active ReplicaSets were last sized."""
    wanted = replicas_of(deployment)
    return any(replicas_of(r) > 0 and desired_of(r) is not None and desired_of(r) != wanted for r in replica_sets)


def plan_scaling(deployment: Object, new: Object | None, old: Sequence[Object]) -> Sizes:
    """Sizes for a Deployment that was scaled, or is paused; also unchanged ones, of ReplicaSets that are to remember the Deployment's."""
    wanted = replicas_of(deployment)
    active = [r for r in (*old, *([new] if new is not None else [])) if replicas_of(r) > 0]
    if len(active) <= 1:
        latest = active[0] if active else new if new is not None else (by_creation(old)[-1] if old else None)
        return {latest["metadata"]["name"]: wanted} if latest is not None else {}
    if new is not None and _saturated(deployment, new):
        return {o["metadata"]["name"]: 0 for o in by_creation(old) if replicas_of(o) > 0}
    if not is_rolling(deployment):
        return {r["metadata"]["name"]: replicas_of(r) for r in active}
    return _proportional(deployment, active)


def _saturated(deployment: Object, new: Object) -> bool:
    wanted = replicas_of(deployment)
    return replicas_of(new) == desired_of(new) == wanted and available_of(new) == wanted


def _proportional(deployment: Object, active: Sequence[Object]) -> Sizes:
    """Larger ReplicaSets first, and of equals the newer when growing, the older when shrinking; what rounding leaves goes to the first."""
    wanted = replicas_of(deployment)
    allowed = wanted + fenceposts(deployment)[0] if wanted > 0 else 0
    change = allowed - sum(map(replicas_of, active))
    ordered = by_creation(active)
    if change > 0:
        ordered.reverse()
    ordered.sort(key=replicas_of, reverse=True)
    sizes, added = {}, 0
    for replica_set in ordered:
        part = _part(deployment, replica_set, allowed, change - added) if change else 0
        sizes[replica_set["metadata"]["name"]] = replicas_of(replica_set) + part
        added += part
    first = ordered[0]["metadata"]["name"]
    sizes[first] = max(0, sizes[first] + change - added)
    return sizes


def _part(deployment: Object, replica_set: Object, allowed: int, left: int) -> int:
    size = replicas_of(replica_set)
    if left == 0:
        return 0
    if replicas_of(deployment) == 0:
        share = -size
    else:
        before = number(replica_set, MAX_REPLICAS)
        if before is None:
            before = (deployment.get("status") or {}).get("replicas", 0)
        share = floor(size * allowed / before + 0.5) - size if before else 0
    return min(share, left) if left > 0 else max(share, left)
