"""What the node lifecycle controller concludes about nodes: pure functions and small records, no I/O.

A node is healthy while it shows signs of life: its Lease is renewed, or its status gets a new heartbeat. Ages are measured on our own clock
from when we saw the sign, so clocks need not agree. After the grace period its conditions become Unknown.

From conditions follow taints: with effect NoSchedule at once (no new pods), and for the Ready condition also with NoExecute (pods leave),
which is rate limited by zone and stops when so much fails at once that our own view is the likelier cause.

Source: kubernetes pkg/controller/nodelifecycle (numbers, messages, zone states), k8s.io/api core/v1 well_known_taints.go.
"""

from dataclasses import dataclass, field
from typing import Literal

from podium.objects.values import Object

GRACE_S = 40.0
STARTUP_GRACE_S = 60.0
"""For a node that never reported its Ready condition."""

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

CONDITION_TAINTS: dict[tuple[str, str], str] = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
"""(condition, status) -> the key of its taint."""

OWN_KEYS = (*CONDITION_TAINTS.values(), UNSCHEDULABLE)

REPORTED_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that the agent reports, and that nobody knows when it is silent."""

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
EXCLUDED = "node.kubernetes.io/exclude-disruption"
"""A node with this label counts in no zone's state."""

RATE_PER_S = 0.1
RATE_REDUCED_PER_S = 0.01
LARGE_ZONE_NODES = 50
"""A partly disrupted zone with more nodes evicts at the reduced rate, a smaller one not at all."""

UNHEALTHY_SHARE = 0.55

ZoneState = Literal["normal", "partial", "full"]


@dataclass(slots=True)
class Health:
    """`seen` is when the last sign of life was noticed, on the clock of silence; `check_at` when it is next looked whether there was
    another, if ever."""

    seen: float
    grace_s: float
    heartbeat: str
    renewed: str
    ready: str
    """Status of the Ready condition; "Unknown" without one."""
    zone: str
    counted: bool
    summary: tuple[object, ...] = ()
    check_at: float | None = None

    @property
    def expires(self) -> float:
        return self.seen + self.grace_s


@dataclass(slots=True)
class Zone:
    """`waiting` are nodes to get a NoExecute taint, in order; one is due every 1/rate seconds, the first at once."""

    ready: int = 0
    not_ready: int = 0
    state: ZoneState = "normal"
    rate_per_s: float = RATE_PER_S
    next_at: float = 0.0
    waiting: dict[str, None] = field(default_factory=dict)

    def count(self, ready: bool, by: int) -> None:
        if ready:
            self.ready += by
        else:
            self.not_ready += by

    def take(self, now: float) -> str | None:
        """The next node to taint, if one is due."""
        if not self.waiting or self.rate_per_s <= 0 or now < self.next_at:
            return None
        name = next(iter(self.waiting))
        del self.waiting[name]
        self.next_at = now + 1 / self.rate_per_s
        return name

    def set_rate(self, rate_per_s: float, now: float) -> None:
        """A slower rate applies from now on; a faster one at once."""
        if rate_per_s == self.rate_per_s:
            return
        self.rate_per_s = rate_per_s
        self.next_at = min(self.next_at, now + 1 / rate_per_s) if rate_per_s > 0 else self.next_at


def condition_of(value: Object, kind: str) -> Object | None:
    return next((c for c in (value.get("status") or {}).get("conditions") or () if c.get("type") == kind), None)


def ready_status(node: Object) -> str:
    condition = condition_of(node, "Ready")
    return condition.get("status", "Unknown") if condition else "Unknown"


def zone_of(node: Object) -> str:
    labels = node["metadata"].get("labels") or {}
    region, zone = labels.get(REGION, ""), labels.get(ZONE, "")
    return f"{region}:\x00:{zone}" if region or zone else ""


def summary_of(node: Object) -> tuple[object, ...]:
    """Everything of a node that decisions depend on, without heartbeats: equal summaries need no new decision."""
    spec = node.get("spec") or {}
    conditions = tuple((c.get("type"), c.get("status")) for c in (node.get("status") or {}).get("conditions") or ())
    taints = tuple((t["key"], t.get("effect")) for t in spec.get("taints") or ())
    return conditions, taints, bool(spec.get("unschedulable")), zone_of(node)


def unknown_conditions(node: Object, now: str) -> list[Object]:
    """The node's conditions when it is silent; those that nobody reports stay."""
    found: list[Object] = []
    conditions = (node.get("status") or {}).get("conditions") or []
    for condition in conditions:
        if condition["type"] in REPORTED_CONDITIONS and condition.get("status") != "Unknown":
            change = {"status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
            condition = {**condition, **change, "lastTransitionTime": now}
        found.append(condition)
    known = [c["type"] for c in conditions]
    for kind in REPORTED_CONDITIONS:
        if kind not in known:
            found.append(
                {
                    "type": kind,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                    "lastTransitionTime": now,
                }
            )
    return found


def plan_taints(node: Object, now: str) -> list[Object] | None:
    """The taints that the node should have now, or None when it has them: NoSchedule by its conditions, and of NoExecute only what needs no
    rate limit: none when it is ready, and the one for the other when its condition changed between False and Unknown."""
    spec = node.get("spec") or {}
    taints = spec.get("taints") or []
    wanted = [key for (kind, status), key in CONDITION_TAINTS.items() if (c := condition_of(node, kind)) and c.get("status") == status]
    if spec.get("unschedulable"):
        wanted.append(UNSCHEDULABLE)
    execute = _execute_key(node)
    kept = [t for t in taints if not _is_stale(t, wanted, execute)]
    for key in wanted:
        if not _has(kept, key, "NoSchedule"):
            kept.append({"key": key, "effect": "NoSchedule", "timeAdded": now})
    if execute and len(kept) and _had_execute(taints) and not _has(kept, execute, "NoExecute"):
        kept.append({"key": execute, "effect": "NoExecute", "timeAdded": now})
    return None if kept == taints else kept


def needs_execute_taint(node: Object) -> bool:
    """It is not ready, and its pods are not being told to leave yet."""
    key = _execute_key(node)
    return key is not None and not _has((node.get("spec") or {}).get("taints") or [], key, "NoExecute")


def with_execute_taint(node: Object, now: str) -> list[Object]:
    key = _execute_key(node)
    return [*((node.get("spec") or {}).get("taints") or []), {"key": key, "effect": "NoExecute", "timeAdded": now}]


def without_execute_taints(node: Object) -> list[Object] | None:
    """None when it has none of ours."""
    taints = (node.get("spec") or {}).get("taints") or []
    kept = [t for t in taints if not (t["key"] in (NOT_READY, UNREACHABLE) and t.get("effect") == "NoExecute")]
    return None if len(kept) == len(taints) else kept


def zone_state(ready: int, not_ready: int) -> ZoneState:
    if not ready and not_ready:
        return "full"
    if not_ready > 2 and not_ready / (ready + not_ready) >= UNHEALTHY_SHARE:
        return "partial"
    return "normal"


def zone_rate(state: ZoneState, nodes: int) -> float:
    """Evictions per second. A fully disrupted zone evicts at the normal rate, as long as another zone is not."""
    if state != "partial":
        return RATE_PER_S
    return RATE_REDUCED_PER_S if nodes > LARGE_ZONE_NODES else 0.0


def _execute_key(node: Object) -> str | None:
    condition = condition_of(node, "Ready")
    return CONDITION_TAINTS.get(("Ready", condition.get("status", ""))) if condition else None


def _is_stale(taint: Object, wanted: list[str], execute: str | None) -> bool:
    key, effect = taint["key"], taint.get("effect")
    if effect == "NoSchedule":
        return key in OWN_KEYS and key not in wanted
    return effect == "NoExecute" and key in (NOT_READY, UNREACHABLE) and key != execute


def _has(taints: list[Object], key: str, effect: str) -> bool:
    return any(t["key"] == key and t.get("effect") == effect for t in taints)


def _had_execute(taints: list[Object]) -> bool:
    return _has(taints, NOT_READY, "NoExecute") or _has(taints, UNREACHABLE, "NoExecute")
