"""OwnerReferencesPermissionEnforcement: who makes an object be collected with another must be able to delete it, and who makes an owner wait for
it (blockOwnerDeletion) must be able to set the owner's finalizers.

Source: k8s.io/kubernetes plugin/pkg/admission/gc/gc_admission.go.
"""

from podium.api.admission.plugin import Operation, forbidden
from podium.api.attributes import Attributes
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.resources import Resource

_MASTERS = "system:masters"


def concerns(operation: Operation, resource: Resource, subresource: str) -> bool:
    return operation in ("CREATE", "UPDATE") and not subresource


async def check(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    assert new is not None
    references = new["metadata"].get("ownerReferences") or []
    before = (old["metadata"].get("ownerReferences") or []) if old is not None else []
    if references == before or _MASTERS in request.user.groups:
        return
    if old is not None and _targets(references) != _targets(before):
        where = request.namespace or ""
        asked = Attributes(request.user, "delete", request.resource.group, request.resource.plural, "", where, request.name)
        if not core.authorizer.allows(asked):
            raise forbidden(
                request, f"cannot set an ownerRef on a resource you can't delete: {core.authorizer.decide(asked).reason}, <nil>"
            )
    known = {r.get("uid") for r in before if r.get("blockOwnerDeletion")}
    for reference in references:
        if reference.get("blockOwnerDeletion") and reference.get("uid") not in known:
            _check_blocking(core, request, reference)


def _targets(references: list[Object]) -> list[tuple[str, ...]]:
    return [tuple(str(r.get(k, "")) for k in ("apiVersion", "kind", "name", "uid")) for r in references]


def _check_blocking(core: Core, request: Request, reference: Object) -> None:
    owner = core.catalog.by_kind(reference.get("apiVersion") or "", reference.get("kind") or "")
    if owner is None:
        kind = f'no matches for kind "{reference.get("kind")}" in version "{reference.get("apiVersion")}"'
        raise forbidden(
            request, f"cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {reference.get('apiVersion')} "
            f"Kind {reference.get('kind')}: {kind}",
        )  # fmt: skip
    where = (request.namespace or "") if owner.namespaced else ""
    asked = Attributes(request.user, "update", owner.group, owner.plural, "finalizers", where, reference.get("name") or "")
    if not core.authorizer.allows(asked):
        reason = core.authorizer.decide(asked).reason
        raise forbidden(
            request, f"cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: {reason}, <nil>"
        )
