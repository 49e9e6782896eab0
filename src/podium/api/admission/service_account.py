"""ServiceAccount: a pod runs as a service account that exists, and sees its token at the usual place.

A pod that its node made itself (a mirror pod) has none of this. An account that says so (annotation kubernetes.io/enforce-mountable-secrets)
limits its pods to the Secrets it lists.

Source: k8s.io/kubernetes plugin/pkg/admission/serviceaccount (admission.go: order, messages, names).
"""

import asyncio

from podium.api.admission.plugin import forbidden
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.resources import resource
from podium.objects.values import copy

TOKEN_EXPIRATION_S = 3607
DEFAULT_TRIES, DEFAULT_PAUSE_S = 10, 0.1
"""How long the first pods of a namespace wait for its default account, which a controller makes."""
TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_MIRROR = "kubernetes.io/config.mirror"
_ENFORCED = "kubernetes.io/enforce-mountable-secrets"
_VOLUME_PREFIX = "kube-api-access-"
_ACCOUNTS = resource("serviceaccounts")
_CONTAINERS = (("initContainers", "init container"), ("containers", "container"), ("ephemeralContainers", "ephemeral container"))


async def set_account(core: Core, request: Request, new: Object, old: Object | None) -> None:
    if old is not None or request.subresource:
        return
    spec = new["spec"]
    if _MIRROR in new["metadata"].get("annotations", ()):
        _check_mirror(request, spec)
        return
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = await _account(core, request, name)
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        _mount_token(spec, core.world.token(5))
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = copy(account["imagePullSecrets"])


async def check_account(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    """Which Secrets the pod may use, where its account limits them."""
    assert new is not None
    spec = new["spec"]
    if _MIRROR in new["metadata"].get("annotations", ()):
        _check_mirror(request, spec)
        return
    account = await _account(core, request, spec.get("serviceAccountName") or "default")
    if account["metadata"].get("annotations", {}).get(_ENFORCED) == "true":
        _check_secrets(request, spec, account, only_ephemeral=request.subresource == "ephemeralcontainers")


async def _account(core: Core, request: Request, name: str) -> Object:
    record = await core.store.get(_ACCOUNTS.key(request.namespace, name))
    for _ in range(DEFAULT_TRIES if record is None and name == "default" else 0):
        await asyncio.sleep(DEFAULT_PAUSE_S)  # a new namespace gets its default account in a moment
        record = await core.store.get(_ACCOUNTS.key(request.namespace, name))
        if record is not None:
            break
    if record is None:
        why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(request, why)
    return record.value


def _check_mirror(request: Request, spec: Object) -> None:
    if spec.get("serviceAccountName"):
        raise forbidden(request, "a mirror pod may not reference service accounts")
    projected = [s for v in spec.get("volumes") or () for s in (v.get("projected") or {}).get("sources") or ()]
    if any("secret" in v for v in spec.get("volumes") or ()) or any("secret" in s for s in projected):
        raise forbidden(request, "a mirror pod may not reference secrets")
    if any("serviceAccountToken" in s for s in projected):
        raise forbidden(request, "a mirror pod may not use ServiceAccountToken volume projections")


def _check_secrets(request: Request, spec: Object, account: Object, *, only_ephemeral: bool) -> None:
    allowed, name = {s.get("name") for s in account.get("secrets") or ()}, account["metadata"]["name"]
    if not only_ephemeral:
        for volume in spec.get("volumes") or ():
            wanted = (volume.get("secret") or {}).get("secretName")
            if wanted and wanted not in allowed:
                why = (
                    f'volume with secret.secretName="{wanted}" is not allowed because service account {name} does not reference that secret'
                )
                raise forbidden(request, why)
    for field, what in _CONTAINERS:
        if only_ephemeral and field != "ephemeralContainers":
            continue
        for container in spec.get(field) or ():
            _check_environment(request, container, what, allowed, name)
    if only_ephemeral:
        return
    pullable = {s.get("name") for s in account.get("imagePullSecrets") or ()}
    for i, reference in enumerate(spec.get("imagePullSecrets") or ()):
        if reference.get("name") not in pullable:
            raise forbidden(
                request,
                f'imagePullSecrets[{i}].name="{reference.get("name", "")}" is not allowed because service account {name} '
                "does not reference that imagePullSecret",
            )


def _check_environment(request: Request, container: Object, what: str, allowed: set[str | None], account: str) -> None:
    for variable in container.get("env") or ():
        wanted = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
        if wanted and wanted not in allowed:
            raise forbidden(
                request,
                f'{what} {container.get("name", "")} with envVar {variable.get("name", "")} referencing secret.secretName="{wanted}" '
                f"is not allowed because service account {account} does not reference that secret",
            )


def _mount_token(spec: Object, suffix: str) -> None:
    """Into the containers that mount nothing there; the volume of an earlier pass is used again."""
    containers = [*spec.get("initContainers", ()), *(spec.get("containers") or ())]
    missing = [c for c in containers if all(m.get("mountPath") != TOKEN_MOUNT_PATH for m in c.get("volumeMounts", ()))]
    if not missing:
        return
    present = next((v["name"] for v in spec.get("volumes", ()) if v.get("name", "").startswith(_VOLUME_PREFIX)), "")
    volume = present or f"{_VOLUME_PREFIX}{suffix}"
    for container in missing:
        mount = {"name": volume, "readOnly": True, "mountPath": TOKEN_MOUNT_PATH}
        container["volumeMounts"] = [*container.get("volumeMounts", ()), mount]
    if present:
        return
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]
    spec["volumes"] = [*spec.get("volumes", ()), {"name": volume, "projected": {"sources": sources, "defaultMode": 0o644}}]
