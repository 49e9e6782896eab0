"""What the scheduler says: event texts and the PodScheduled condition, word by word as upstream.

Source: kubernetes pkg/scheduler/framework/types.go (FitError), framework/preemption, schedule_one.go.
"""

from podium.objects.values import Object, key_of
from podium.scheduler.decision import Refusal

SCHEDULED = "PodScheduled"
UNSCHEDULABLE = "Unschedulable"
GATED = "SchedulingGated"
ERROR = "SchedulerError"
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"


def assigned(pod: Object, node: str) -> str:
    return f"Successfully assigned {key_of(pod)} to {node}"


def refused(refusal: Refusal, preempts: bool = True) -> str:
    """`preempts`: whether the pod's preemptionPolicy would let it evict others. Podium does not preempt yet, which reads the same as
    finding nobody to evict."""
    if refusal.everywhere:
        return f"0/{refusal.nodes} nodes are available: {refusal.everywhere}. {_preemption(refusal, preempts)}"
    if not refusal.nodes:
        return "no nodes available to schedule pods"
    return f"0/{refusal.nodes} nodes are available: {_histogram(refusal.reasons)}. {_preemption(refusal, preempts)}"


def condition(pod: Object, reason: str, message: str, now: str) -> Object | None:
    """The PodScheduled=False condition to write, or None when the pod has it already. Its transition time stays while it is False."""
    current = next((c for c in (pod.get("status") or {}).get("conditions") or () if c.get("type") == SCHEDULED), None)
    since = now
    if current is not None and current.get("status") == "False":
        if current.get("reason") == reason and current.get("message") == message:
            return None
        since = current.get("lastTransitionTime") or now
    return {"type": SCHEDULED, "status": "False", "reason": reason, "message": message, "lastProbeTime": None, "lastTransitionTime": since}


def _preemption(refusal: Refusal, preempts: bool) -> str:
    if not preempts:
        return "preemption: not eligible due to preemptionPolicy=Never."
    counts = {
        "No preemption victims found for incoming pod": refusal.nodes - refusal.hopeless,
        "Preemption is not helpful for scheduling": refusal.hopeless,
    }
    return f"preemption: 0/{refusal.nodes} nodes are available: {_histogram({k: v for k, v in counts.items() if v})}."


def _histogram(reasons: dict[str, int]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
