"""Admission: rules that need more than the object itself, in upstream's order.

Each plugin is a function `(core, request, new, old)` that may change `new` or refuse by raising; the table says for which writes it is asked.

Source: k8s.io/kubernetes plugin/pkg/admission (lifecycle, serviceaccount, priority, defaulttolerationseconds).
"""

from collections.abc import Awaitable, Callable

from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.resources import resource
from podium.objects.status import Forbidden, not_found, qualified, resource_details

Plugin = Callable[[Core, Request, Object, Object | None], Awaitable[None]]

TOLERATION_SECONDS = 300
TOKEN_EXPIRATION_S = 3607
TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def namespace_lifecycle(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Nothing is created in a namespace that is absent or going away."""
    if not request.namespace:
        return
    record = await core.store.get(resource("namespaces").key(None, request.namespace))
    if record is None:
        raise not_found("", "namespaces", request.namespace)
    if "deletionTimestamp" in record.value["metadata"]:
        raise _terminating(request)


def _terminating(request: Request) -> Forbidden:
    details = resource_details(request.resource.group, request.resource.plural, request.name)
    message = f"namespace {request.namespace} is being terminated"
    details["causes"] = [{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]
    what = qualified(request.resource.group, request.resource.plural)
    text = f'{what} "{request.name}" is forbidden: unable to create new content in namespace {request.namespace} because it is being terminated'
    return Forbidden(text, details=details)


async def service_account(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A pod runs as a service account that exists, and sees its token at the usual place."""
    spec = new["spec"]
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    record = await core.store.get(resource("serviceaccounts").key(request.namespace, name))
    if record is None:
        why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
        raise _forbidden(request, why)
    account = record.value
    wanted = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if wanted:
        _mount_token(spec, core.world.token(5))
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]


def _mount_token(spec: Object, suffix: str) -> None:
    containers = [*spec.get("initContainers", ()), *spec.get("containers", ())]
    missing = [c for c in containers if all(m.get("mountPath") != TOKEN_MOUNT_PATH for m in c.get("volumeMounts", ()))]
    if not missing:
        return
    volume = f"kube-api-access-{suffix}"
    for container in missing:
        mount = {"name": volume, "readOnly": True, "mountPath": TOKEN_MOUNT_PATH}
        container["volumeMounts"] = [*container.get("volumeMounts", ()), mount]
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]
    spec["volumes"] = [*spec.get("volumes", ()), {"name": volume, "projected": {"sources": sources, "defaultMode": 0o644}}]


async def default_tolerations(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A pod stays 300 s on a node that is not ready or unreachable, unless it says otherwise."""
    spec = new["spec"]
    tolerations = spec.get("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (key, None, "") and t.get("effect") in ("NoExecute", None, "") for t in tolerations):
            tolerations = [*tolerations, {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}]
    spec["tolerations"] = tolerations


async def priority(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Every pod has a number. Classes other than the two built-in ones are looked up."""
    spec = new["spec"]
    name = spec.get("priorityClassName", "")
    value, policy = 0, "PreemptLowerPriority"
    if name in _SYSTEM_PRIORITIES:
        value = _SYSTEM_PRIORITIES[name]
    elif name:
        record = await core.store.get(resource("priorityclasses", "scheduling.k8s.io").key(None, name))
        if record is None:
            raise _forbidden(request, f"no PriorityClass with name {name} was found")
        value, policy = record.value["value"], record.value.get("preemptionPolicy", policy)
    if spec.get("priority", value) != value:
        raise _forbidden(
            request, "the integer value of priority must not be provided in pod spec; priority admission controller computes it"
        )
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


async def taint_new_node(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A new node takes no pods until it is known to be ready; the node lifecycle controller removes the taint."""
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    spec = new.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(t.get("key") == taint["key"] and t.get("effect") == taint["effect"] for t in taints):
        spec["taints"] = [*taints, taint]


_SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def _forbidden(request: Request, why: str) -> Forbidden:
    what = qualified(request.resource.group, request.resource.plural)
    details = resource_details(request.resource.group, request.resource.plural, request.name)
    return Forbidden(f'{what} "{request.name}" is forbidden: {why}', details=details)


_EVERY_CREATE: tuple[Plugin, ...] = (namespace_lifecycle,)
_BY_WRITE: dict[tuple[str, str, str], tuple[Plugin, ...]] = {
    ("create", "", "pods"): (namespace_lifecycle, service_account, default_tolerations, priority),
    ("create", "", "nodes"): (taint_new_node,),
}


async def admit(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Asks every plugin that this write concerns. Raises StatusError."""
    if old is not None:
        return
    for plugin in _BY_WRITE.get(("create", request.resource.group, request.resource.plural), _EVERY_CREATE):
        await plugin(core, request, new, old)


def check_deletable(request: Request) -> None:
    """The namespaces that the platform itself lives in stay."""
    if request.resource.plural == "namespaces" and not request.resource.group and request.name in PROTECTED_NAMESPACES:
        raise Forbidden(
            f'namespaces "{request.name}" is forbidden: this namespace may not be deleted',
            details=resource_details("", "namespaces", request.name),
        )
