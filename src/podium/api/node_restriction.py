"""NodeRestriction: what a node may write of the objects that the node authorizer lets it write.

A node changes only its own Node (and not the labels and taints that others rely on), only pods bound to it, and takes tokens only for pods that
run on it. It has no say in anything else, and costs everybody else one look at their groups.

Source: k8s.io/kubernetes plugin/pkg/admission/noderestriction/admission.go.
"""

from typing import Any

from podium.api.authorization import Authorizer
from podium.api.node_authorizer import is_node, node_name, references
from podium.api.request import Request
from podium.objects.status import Forbidden, qualified, resource_details

Object = dict[str, Any]
_OWN_LABELS = (
    "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os",
    "node.kubernetes.io/instance-type", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
)  # fmt: skip
_OWN_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")
_RESTRICTED_DOMAINS = ("kubernetes.io", "k8s.io")


def check_write(authorizer: Authorizer, request: Request, new: Object, old: Object | None) -> None:
    """Raises Forbidden. `old` is None for a creation."""
    if not is_node(request.user):
        return
    node = node_name(request.user)
    group, plural = request.resource.group, request.resource.plural
    if (group, plural) == ("", "nodes"):
        _check_node(request, node, new, old)
    elif (group, plural) == ("", "pods"):
        _check_pod(request, node, new, old)
    elif (group, plural) == ("", "persistentvolumeclaims") and old is not None:
        _check_claim(request, node, new, old)
    elif (group, plural) in (("coordination.k8s.io", "leases"), ("storage.k8s.io", "csinodes")) and new["metadata"].get("name") != node:
        what = "node lease" if plural == "leases" else "CSINode"
        raise _refused(request, f"can only access {what} with the same name as the requesting node")


def check_delete(authorizer: Authorizer, request: Request) -> None:
    """For a deletion, or an eviction. Raises Forbidden."""
    if not is_node(request.user):
        return
    node = node_name(request.user)
    group, plural = request.resource.group, request.resource.plural
    if (group, plural) == ("", "pods") and authorizer.nodes.pod_on(node, request.namespace or "", request.name) is None:
        what = "evict" if request.subresource == "eviction" else "delete"
        raise _refused(request, f'node "{node}" can only {what} pods with spec.nodeName set to itself')
    if (group, plural) == ("", "nodes") and request.name != node:
        raise _refused(request, f'node "{node}" is not allowed to modify node "{request.name}"')


def check_token(authorizer: Authorizer, request: Request, spec: Object) -> None:
    """For a TokenRequest. Raises Forbidden."""
    if not is_node(request.user):
        return
    node = node_name(request.user)
    bound = spec.get("boundObjectRef")
    if not bound or bound.get("kind") != "Pod" or not bound.get("name"):
        raise _refused(request, "node requested token not bound to a pod")
    if not bound.get("uid"):
        raise _refused(request, "node requested token with a pod binding without a uid")
    pod = authorizer.nodes.pod_on(node, request.namespace or "", bound["name"])
    if pod is None:
        raise _refused(request, "node requested token bound to a pod scheduled on a different node")
    if pod["metadata"]["uid"] != bound["uid"]:
        raise _refused(request, f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record")
    for audience in spec.get("audiences") or ():
        if audience and not _projects(pod, audience):
            raise _refused(request, f'audience "{audience}" not found in pod spec volume, system:node:{node} is not authorized')


def _projects(pod: Object, audience: str) -> bool:
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if (source.get("serviceAccountToken") or {}).get("audience") == audience:
                return True
    return False


def _check_node(request: Request, node: str, new: Object, old: Object | None) -> None:
    name = new["metadata"].get("name", "")
    if name != node:
        raise _refused(request, f'node "{node}" is not allowed to modify node "{name}"')
    before = old or {}
    if (new.get("spec") or {}).get("configSource") and new["spec"]["configSource"] != (before.get("spec") or {}).get("configSource"):
        raise _refused(request, f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
    if old is not None:
        if (new.get("spec") or {}).get("taints", []) != (old.get("spec") or {}).get("taints", []):
            raise _refused(request, f'node "{node}" is not allowed to modify taints')
        if new["metadata"].get("ownerReferences", []) != old["metadata"].get("ownerReferences", []):
            raise _refused(request, f'node "{node}" is not allowed to modify ownerReferences')
    elif new["metadata"].get("ownerReferences"):
        raise _refused(request, f'node "{node}" is not allowed to set ownerReferences')
    _check_labels(request, node, new["metadata"].get("labels") or {}, (before.get("metadata") or {}).get("labels") or {})


def _check_labels(request: Request, node: str, new: Object, old: Object) -> None:
    changed = sorted(k for k in {**new, **old} if new.get(k) != old.get(k))
    restricted = [k for k in changed if _is_restricted(k)]
    if restricted:
        what = "set" if not old else "modify"
        raise _refused(request, f"is not allowed to {what} the following labels: {', '.join(restricted)}", node)


def _is_restricted(label: str) -> bool:
    domain, slash, _ = label.partition("/")
    if not slash or label in _OWN_LABELS:
        return False
    if any(domain == d or domain.endswith("." + d) for d in _OWN_LABEL_DOMAINS):
        return False
    return any(domain == d or domain.endswith("." + d) for d in _RESTRICTED_DOMAINS)


def _check_claim(request: Request, node: str, new: Object, old: Object) -> None:
    """A node tells how far the growth of a file system on it has come, nothing else."""
    after, before = new.get("status") or {}, old.get("status") or {}
    if any(after.get(k) != before.get(k) for k in {**after, **before} if k not in _CLAIM_STATUS):
        raise _refused(request, f'node "{node}" is not allowed to update fields other than status.capacity and status.conditions')


def _check_pod(request: Request, node: str, new: Object, old: Object | None) -> None:
    if old is None:
        _check_mirror_pod(request, node, new)
    elif request.subresource == "status":
        if old["spec"].get("nodeName") != node:
            raise _refused(request, f'node "{node}" can only update pod status for pods with spec.nodeName set to itself')
        if (new["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
            raise _refused(request, f'node "{node}" cannot update labels through pod status')
    else:
        raise _refused(request, f"unexpected operation {request.verb.upper()}")


def _check_mirror_pod(request: Request, node: str, new: Object) -> None:
    if "kubernetes.io/config.mirror" not in (new["metadata"].get("annotations") or {}):
        raise _refused(request, f'pod does not have "kubernetes.io/config.mirror" annotation, node "{node}" can only create mirror pods')
    if new["spec"].get("nodeName") != node:
        raise _refused(request, f'node "{node}" can only create pods with spec.nodeName set to itself')
    if any(True for plural, _ in references(new) if plural in ("secrets", "configmaps", "persistentvolumeclaims")):
        raise _refused(request, f'node "{node}" can not create pods that reference secrets, configmaps or persistentvolumeclaims')


def _refused(request: Request, why: str, node: str = "") -> Forbidden:
    group, plural = request.resource.group, request.resource.plural
    text = f'node "{node}" {why}' if node else why
    return Forbidden(
        f'{qualified(group, plural)} "{request.name}" is forbidden: {text}', details=resource_details(group, plural, request.name)
    )
