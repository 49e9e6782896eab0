"""DefaultIngressClass: an Ingress that names no class gets the default one.

Source: k8s.io/kubernetes plugin/pkg/admission/network/defaultingressclass.
"""

from podium.api.core import Core, Object
from podium.api.request import Request

DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_OLD_CLASS = "kubernetes.io/ingress.class"


async def set_class(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Of several default classes the newest; then by name."""
    if old is not None or (new.get("spec") or {}).get("ingressClassName") or _OLD_CLASS in new["metadata"].get("annotations", ()):
        return
    defaults = [c for c in core.admission.ingress_classes.all() if (c["metadata"].get("annotations") or {}).get(DEFAULT) == "true"]
    if defaults:
        newest = max(c["metadata"].get("creationTimestamp", "") for c in defaults)
        name = min(c["metadata"]["name"] for c in defaults if c["metadata"].get("creationTimestamp", "") == newest)
        new.setdefault("spec", {})["ingressClassName"] = name
