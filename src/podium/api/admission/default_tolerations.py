"""DefaultTolerationSeconds: a pod stays a while on a node that is not ready or unreachable, unless it says otherwise.

Source: k8s.io/kubernetes plugin/pkg/admission/defaulttolerationseconds.
"""

from podium.api.core import Core, Object
from podium.api.request import Request

TOLERATION_SECONDS = 300


async def set_tolerations(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A pod stays 300 s on a node that is not ready or unreachable, unless it says otherwise."""
    spec = new["spec"]
    tolerations = spec.get("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (key, None, "") and t.get("effect") in ("NoExecute", None, "") for t in tolerations):
            tolerations = [*tolerations, {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}]
    spec["tolerations"] = tolerations
