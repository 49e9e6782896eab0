"""NamespaceLifecycle: nothing is created in a namespace that is absent or going away; the platform's own namespaces stay.

Source: k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle.
"""

from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.resources import resource
from podium.objects.status import Forbidden, not_found, qualified, resource_details

PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_NAMESPACES = resource("namespaces")


async def check_namespace(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Nothing is created in a namespace that is absent or going away."""
    if not request.namespace:
        return
    record = await core.store.get(_NAMESPACES.key(None, request.namespace))
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


def check_deletable(request: Request) -> None:
    """The namespaces that the platform itself lives in stay."""
    if request.resource.plural == "namespaces" and not request.resource.group and request.name in PROTECTED_NAMESPACES:
        raise Forbidden(
            f'namespaces "{request.name}" is forbidden: this namespace may not be deleted',
            details=resource_details("", "namespaces", request.name),
        )
