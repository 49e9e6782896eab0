"""What the scheduler says: event texts and the PodScheduled condition, word by word as upstream.

Source: kubernetes pkg/scheduler/framework/types.go (FitError), framework/preemption, schedule_one.go.
"""

from podium.objects.values import Object, key_of
from podium.scheduler.decision import Refusal

SCHEDULED = "PodScheduled"
UNSCHEDULABLE = "Unschedulable"
GATED = "SchedulingGated"
ERROR = "SchedulerError"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NEVER_PREEMPTS = "not eligible due to preemptionPolicy=Never."
WAITS_FOR_VICTIMS = "not eligible due to a terminating pod on the nominated node."
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"


def assigned(pod: Object, node: str) -> str:
    return f"Successfully assigned {key_of(pod)} to {node}"


def refused(refusal: Refusal, preemption: str) -> str:
    """`preemption` is what preempting came to: `fruitless(...)`, NEVER_PREEMPTS, WAITS_FOR_VICTIMS, or empty when room is being made."""
    if not refusal.everywhere and not refusal.nodes:
        return "no nodes available to schedule pods"
    why = refusal.everywhere or _histogram(refusal.reasons)
    text = f"0/{refusal.nodes} nodes are available: {why}."
    return f"{text} preemption: {preemption}" if preemption else text


def condition(pod: Object, reason: str, message: str, now: str) -> Object | None:
    """The PodScheduled=False condition to write, or None when the pod has it already. Its transition time stays while it is False."""
    current = next((c for c in (pod.get("status") or {}).get("conditions") or () if c.get("type") == SCHEDULED), None)
    since = now
    if current is not None and current.get("status") == "False":
        if current.get("reason") == reason and current.get("message") == message:
            return None
        since = current.get("lastTransitionTime") or now
    return {"type": SCHEDULED, "status": "False", "reason": reason, "message": message, "lastProbeTime": None, "lastTransitionTime": since}


def fruitless(nodes: int, reasons: dict[str, int]) -> str:
    """Preempting helps on none of the nodes."""
    return f"0/{nodes} nodes are available: {_histogram(reasons)}."


def _histogram(reasons: dict[str, int]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
