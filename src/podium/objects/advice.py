"""Advice: upstream's own warnings about objects that are accepted, by kind. Pure.

Given for what is new, and for what changes. Beside it support.py warns of what Podium does not act on.

Source: k8s.io/kubernetes pkg/registry/*/strategy.go (WarningsOnCreate, WarningsOnUpdate), pkg/api/{persistentvolume,persistentvolumeclaim,
storage}.
"""

from collections.abc import Callable, Iterator, Mapping

from podium.objects import pod_warnings
from podium.objects.resources import Resource
from podium.objects.values import Object

_TEMPLATES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "PodTemplate"): ("template",),
    ("", "ReplicationController"): ("spec", "template"),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
_INGRESS_CLASS = "kubernetes.io/ingress.class"
_BETA_CLASS, _BETA_MOUNT = "volume.beta.kubernetes.io/storage-class", "volume.beta.kubernetes.io/mount-options"
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."


def advice(resource: Resource, new: Object, old: Object | None) -> list[str]:
    """What to tell the author of `new`, which replaces `old` or is new."""
    key = (resource.group, resource.kind)
    place, own = _TEMPLATES.get(key), _OWN.get(key)
    if place is None and own is None:
        return []
    if old is not None and all(new.get(k) == old.get(k) for k in {**new, **old} if k not in ("metadata", "status")):
        return []
    if own is not None:
        return list(own(new))
    assert place is not None
    template = new
    for field in place:
        template = template.get(field) or {}
    return list(pod_warnings.of_template(template, ".".join(place)))


def _ingress(value: Object) -> Iterator[str]:
    if (
        _INGRESS_CLASS in ((value.get("metadata") or {}).get("annotations") or {})
        and (value.get("spec") or {}).get("ingressClassName") is None
    ):
        yield f"annotation \"{_INGRESS_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"


def _volume(value: Object) -> Iterator[str]:
    spec = value.get("spec") or {}
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    for i, term in enumerate(required.get("nodeSelectorTerms") or ()):
        yield from pod_warnings.of_node_term(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{i}]")
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}"
    yield from _beta_class(value)
    if _BETA_MOUNT in ((value.get("metadata") or {}).get("annotations") or {}):
        yield f'metadata.annotations[{_BETA_MOUNT}]: deprecated since v1.31; use "mountOptions" attribute instead'


def _claim(value: Object) -> Iterator[str]:
    size = (((value.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    yield from pod_warnings.fractional(size, "spec.resources.requests[storage]")
    yield from _beta_class(value)


def _beta_class(value: Object) -> Iterator[str]:
    if _BETA_CLASS in ((value.get("metadata") or {}).get("annotations") or {}):
        yield f'metadata.annotations[{_BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead'


def _storage_class(value: Object) -> Iterator[str]:
    for i, term in enumerate(value.get("allowedTopologies") or ()):
        for j, expression in enumerate(term.get("matchLabelExpressions") or ()):
            if why := pod_warnings.label_warning(key := expression.get("key") or ""):
                yield f"allowedTopologies[{i}].matchLabelExpressions[{j}].key: {key} is {why}"


_OWN: Mapping[tuple[str, str], Callable[[Object], Iterator[str]]] = {
    ("", "Pod"): pod_warnings.of_pod,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    ("storage.k8s.io", "StorageClass"): _storage_class,
}
