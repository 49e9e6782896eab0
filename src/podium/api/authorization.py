"""May they? Everyone who is authenticated with the cluster's own CA or a service-account token is somebody; until RBAC is served, the identities
of the platform and of the administrators may do everything, service accounts may read and write what is in their own namespace's reach.

RBAC replaces `allowed`; nothing else knows the rule.
"""

from podium.api.request import Request, User
from podium.objects.status import Forbidden, qualified, resource_details

_PLATFORM_USERS = ("system:kube-controller-manager", "system:kube-scheduler", "system:apiserver")
_PLATFORM_GROUPS = ("system:masters", "system:nodes")
_ABOUT_ONESELF = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


def authorize(request: Request) -> None:
    """Raises Forbidden, worded as upstream."""
    if allowed(request):
        return
    resource = request.resource
    what = resource.plural + (f"/{request.subresource}" if request.subresource else "")
    where = f' in the namespace "{request.namespace}"' if request.namespace else " at the cluster scope"
    name = f' "{request.name}"' if request.name else ""
    text = f'{qualified(resource.group, resource.plural)}{name} is forbidden: User "{request.user.name}" cannot {request.verb} resource "{what}"'
    text += f' in API group "{resource.group}"{where}'
    raise Forbidden(text, details=resource_details(resource.group, resource.plural, request.name))


def allowed(request: Request) -> bool:
    user = request.user
    if user.name in _PLATFORM_USERS or any(g in _PLATFORM_GROUPS for g in user.groups):
        return True
    if request.resource.plural in _ABOUT_ONESELF:
        return True
    if user.name.startswith("system:serviceaccount:"):
        return user.name.split(":")[2] == request.namespace and request.resource.plural != "secrets"
    return False


def check_impersonation(user: User, wanted: User) -> None:
    """Raises Forbidden unless `user` may act as `wanted`: administrators may."""
    if "system:masters" not in user.groups:
        raise Forbidden(
            f'users "{wanted.name}" is forbidden: User "{user.name}" cannot impersonate resource "users" in API group "" at the cluster scope',
            details=resource_details("", "users", wanted.name),
        )
