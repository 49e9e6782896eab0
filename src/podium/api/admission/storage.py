"""What admission does for volumes: the default class, finalizers that keep what is in use, and no growth where the class forbids it.

Source: k8s.io/kubernetes plugin/pkg/admission/storage (storageclass/setdefault, storageobjectinuseprotection, persistentvolume/resize).
"""

from podium.api.admission.plugin import forbidden
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.quantities import parse

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_OLD_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_FINALIZERS = {"persistentvolumeclaims": "kubernetes.io/pvc-protection", "persistentvolumes": "kubernetes.io/pv-protection"}


async def set_default_class(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Of several default classes the newest; then by name. A claim that names the empty class wants none."""
    spec = new.setdefault("spec", {})
    if old is not None or spec.get("storageClassName") is not None or _CLASS_ANNOTATION in new["metadata"].get("annotations", ()):
        return
    defaults = [c for c in core.admission.storage_classes.all() if _is_default(c)]
    if defaults:
        newest = max(c["metadata"].get("creationTimestamp", "") for c in defaults)
        spec["storageClassName"] = min(c["metadata"]["name"] for c in defaults if c["metadata"].get("creationTimestamp", "") == newest)


def _is_default(value: Object) -> bool:
    annotations = value["metadata"].get("annotations") or {}
    return "true" in (annotations.get(DEFAULT_CLASS), annotations.get(_OLD_DEFAULT_CLASS))


async def protect_in_use(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A claim goes only when no pod uses it, a volume when no claim is bound to it: controllers remove the finalizer then."""
    finalizer = _FINALIZERS[request.resource.plural]
    finalizers = new["metadata"].get("finalizers") or []
    if old is None and finalizer not in finalizers:
        new["metadata"]["finalizers"] = [*finalizers, finalizer]


async def check_resize(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    assert new is not None and old is not None
    asked, had = _storage(new), _storage(old)
    if asked <= had:
        return
    if (old.get("status") or {}).get("phase") != "Bound":
        raise forbidden(request, "Only bound persistent volume claims can be expanded")
    name = (old["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION) or (old.get("spec") or {}).get("storageClassName") or ""
    found = core.admission.storage_classes.get(name) if name else None
    if found is None or not found.get("allowVolumeExpansion"):
        why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
        raise forbidden(request, why)


def _storage(claim: Object) -> int:
    text = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    return parse(str(text)).nanos if text is not None else 0
