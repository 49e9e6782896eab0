"""Nobody grants what they do not have: the checks on writes of roles and bindings.

Whoever writes a role needs every permission in it, or `escalate` on the role; whoever writes a binding needs those of its role, or `bind` on it.
An aggregation rule can gather anything, so it needs everything. system:masters are free of this.

Source: k8s.io/kubernetes pkg/registry/rbac (escalation_check.go, */policybased), pkg/registry/rbac/validation (ConfirmNoEscalation).
"""

from typing import Any

from podium.api.attributes import Attributes
from podium.api.authorization import MASTERS, Authorizer
from podium.api.rbac import GROUP
from podium.api.rbac_rules import PIECES_MAX, TooManyPermissions, covers, describe
from podium.api.request import Request
from podium.objects.status import Forbidden, qualified, resource_details

Object = dict[str, Any]

_EVERYTHING: list[Object] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
_COLLECTED = ("ownerReferences", "finalizers")


def check_grant(authorizer: Authorizer, request: Request, new: Object, old: Object | None) -> None:
    """Raises Forbidden (or NotFound, for a binding of a role that is not there). `new` has its defaults."""
    if request.resource.group != GROUP or MASTERS in request.user.groups:
        return
    if old is not None and _only_collected(new, old):
        return
    if request.resource.plural in ("roles", "clusterroles"):
        _check_role(authorizer, request, new, old)
    else:
        _check_binding(authorizer, request, new)


def _only_collected(new: Object, old: Object) -> bool:
    """Whether only what garbage collection needs is changed."""
    if any(new.get(k) != old.get(k) for k in {**new, **old} if k != "metadata"):
        return False
    ignored = (*_COLLECTED, "managedFields", "resourceVersion", "generation")
    before, after = old["metadata"], new["metadata"]
    return all(after.get(k) == before.get(k) for k in {**after, **before} if k not in ignored)


def _check_role(authorizer: Authorizer, request: Request, new: Object, old: Object | None) -> None:
    resource = request.resource
    name = request.name if old is not None else ""
    wanted = Attributes(request.user, "escalate", GROUP, resource.plural, "", request.namespace or "", name)
    if authorizer.allows(wanted):
        return
    _confirm(authorizer, request, new.get("rules") or [])
    if new.get("aggregationRule") or (old or {}).get("aggregationRule"):
        owned, _ = authorizer.rbac.rules_for(request.user, "")
        if covers(owned, _EVERYTHING):
            raise _forbidden(request, "must have cluster-admin privileges to use the aggregationRule")


def _check_binding(authorizer: Authorizer, request: Request, new: Object) -> None:
    reference = new["roleRef"]
    namespace = request.namespace or ""
    plural = "roles" if reference["kind"] == "Role" else "clusterroles"
    if authorizer.allows(Attributes(request.user, "bind", GROUP, plural, "", namespace, reference["name"])):
        return
    rules = authorizer.rbac.role_rules((namespace if plural == "roles" else "", reference["name"]))
    _confirm(authorizer, request, rules)


def _confirm(authorizer: Authorizer, request: Request, rules: list[Object]) -> None:
    user = request.user
    owned, problem = authorizer.rbac.rules_for(user, request.namespace or "")
    try:
        lacking = covers(owned, rules)
    except TooManyPermissions:
        raise _forbidden(request, f"the rules speak of more than {PIECES_MAX} permissions, which is more than are compared") from None
    if not lacking:
        return
    groups = "[" + " ".join(f'"{g}"' for g in user.groups) + "]"
    text = f'user "{user.name}" (groups={groups}) is attempting to grant RBAC permissions not currently held:\n'
    raise _forbidden(request, text + "\n".join(describe(lacking)) + (f"; resolution errors: [{problem}]" if problem else ""))


def _forbidden(request: Request, why: str) -> Forbidden:
    group, plural = request.resource.group, request.resource.plural
    return Forbidden(
        f'{qualified(group, plural)} "{request.name}" is forbidden: {why}', details=resource_details(group, plural, request.name)
    )
