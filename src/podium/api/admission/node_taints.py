"""TaintNodesByCondition: a new node takes no pods until it is known to be ready.

Source: k8s.io/kubernetes plugin/pkg/admission/nodetaint.
"""

from podium.api.core import Core, Object
from podium.api.request import Request


async def taint_new_node(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A new node takes no pods until it is known to be ready; the node lifecycle controller removes the taint."""
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    spec = new.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(t.get("key") == taint["key"] and t.get("effect") == taint["effect"] for t in taints):
        spec["taints"] = [*taints, taint]
