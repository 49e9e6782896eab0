"""Reviews: questions that are asked by creating an object, which is answered and stored nowhere.

Who am I (SelfSubjectReview), whose token is this (TokenReview), may they (the access reviews), what may I (SelfSubjectRulesReview).
Anyone who is authenticated may ask about themselves; the rest is subject to authorization as any other request.

Source: k8s.io/kubernetes pkg/registry/authorization, pkg/registry/authentication.
"""

from collections.abc import Awaitable, Callable, Mapping

from podium.api.authentication import ISSUER, Authenticator
from podium.api.authorization import allowed
from podium.api.core import Core, Object
from podium.api.request import ObjectResult, Request, User
from podium.objects import structure
from podium.objects.cause import invalid_error, required
from podium.objects.resources import Resource
from podium.objects.status import BadRequest, Unauthorized

Answer = Callable[[Core, Request, Authenticator], Awaitable[Object]]


def is_review(resource: Resource) -> bool:
    return (resource.group, resource.kind) in _ANSWERS


async def create(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    """Answers one review. Raises BadRequest, Invalid."""
    resource, value = request.resource, request.value
    if value.get("kind", resource.kind) != resource.kind or value.get("apiVersion", resource.api_version) != resource.api_version:
        raise BadRequest(f"the object provided is not a {resource.kind} of {resource.api_version}")
    value |= {"apiVersion": resource.api_version, "kind": resource.kind}
    findings = structure.conform(value, resource.api_version, resource.kind)
    if findings.causes:
        raise invalid_error(resource.group, resource.kind, "", findings.causes)
    for field in findings.unknown:
        request.warn(f'unknown field "{field}"')
    metadata = {**(value.get("metadata") or {}), "creationTimestamp": core.world.clock.timestamp()}
    status = await _ANSWERS[resource.group, resource.kind](core, request, authenticator)
    return ObjectResult(value={**value, "metadata": metadata, "status": status}, status=201)


def _user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    return {**info, "uid": user.uid} if user.uid else info


async def _who_am_i(core: Core, request: Request, authenticator: Authenticator) -> Object:
    return {"userInfo": _user_info(request.user)}


async def _whose_token(core: Core, request: Request, authenticator: Authenticator) -> Object:
    spec = request.value.get("spec") or {}
    if not spec.get("token"):
        raise invalid_error("authentication.k8s.io", "TokenReview", "", [required("spec.token")])
    asked = spec.get("audiences") or [ISSUER]
    if ISSUER not in asked:
        return {"user": {}, "error": f"token audiences [{ISSUER}] is invalid for the target audiences {asked}"}
    try:
        user = await authenticator.by_token(f"Bearer {spec['token']}")
    except Unauthorized:
        return {"user": {}, "error": "[invalid bearer token]"}
    return {"authenticated": True, "user": _user_info(user), "audiences": [ISSUER]}


async def _may_i(core: Core, request: Request, authenticator: Authenticator) -> Object:
    return _access(core, request, request.user)


async def _may_they(core: Core, request: Request, authenticator: Authenticator) -> Object:
    spec = request.value.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        raise _invalid(request, "spec.user", "at least one of user or group must be specified")
    return _access(core, request, User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", "")))


async def _may_they_here(core: Core, request: Request, authenticator: Authenticator) -> Object:
    attributes = (request.value.get("spec") or {}).get("resourceAttributes") or {}
    if attributes.get("namespace") != request.namespace:
        raise _invalid(request, "spec.resourceAttributes.namespace", "must match metadata.namespace")
    return await _may_they(core, request, authenticator)


def _invalid(request: Request, field: str, why: str) -> Exception:
    return invalid_error(request.resource.group, request.resource.kind, "", [required(field, why)])


def _access(core: Core, request: Request, user: User) -> Object:
    spec = request.value.get("spec") or {}
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (about is None) == (path is None):
        raise _invalid(request, "spec", "exactly one of nonResourceAttributes or resourceAttributes must be specified")
    if about is None:
        return {"allowed": True, "reason": "documents of the API are open to all who are authenticated"}
    group, plural = about.get("group", ""), about.get("resource", "")
    served = next((r for r in core.catalog if (r.group, r.plural) == (group, plural)), None)
    target = served or Resource(group, about.get("version") or "v1", plural, "", bool(about.get("namespace")), ())
    asked = Request(
        about.get("verb", ""), target, user, about.get("namespace") or None, about.get("name", ""), about.get("subresource", "")
    )
    return {"allowed": True} if allowed(asked) else {"allowed": False, "reason": "no rule allows it"}


async def _what_may_i(core: Core, request: Request, authenticator: Authenticator) -> Object:
    namespace = (request.value.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise BadRequest("no namespace on request")
    verbs = ["*"]

    def may(resource: Resource) -> bool:
        return allowed(Request("*", resource, request.user, namespace))

    if may(Resource("*", "*", "*", "", True, ())) and all(may(r) for r in core.catalog):
        rules: list[Object] = [{"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]}]
    else:
        mine = sorted({(r.group, r.plural) for r in core.catalog if r.namespaced and may(r)})
        rules = [{"verbs": verbs, "apiGroups": [group], "resources": [plural]} for group, plural in mine]
    documents = [{"verbs": ["get"], "nonResourceURLs": ["*"]}]
    return {"resourceRules": rules, "nonResourceRules": documents, "incomplete": False}


_ANSWERS: Mapping[tuple[str, str], Answer] = {
    ("authentication.k8s.io", "SelfSubjectReview"): _who_am_i,
    ("authentication.k8s.io", "TokenReview"): _whose_token,
    ("authorization.k8s.io", "SelfSubjectAccessReview"): _may_i,
    ("authorization.k8s.io", "SubjectAccessReview"): _may_they,
    ("authorization.k8s.io", "LocalSubjectAccessReview"): _may_they_here,
    ("authorization.k8s.io", "SelfSubjectRulesReview"): _what_may_i,
}
