"""Reviews: may somebody do something, who am I, who holds this token. Created, answered, stored nowhere.

Source: k8s.io/kubernetes pkg/registry/authorization, pkg/registry/authentication, pkg/apis/authorization/validation.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from podium.api.attributes import Attributes
from podium.api.authentication import Authenticator
from podium.api.bodies import refusal, take
from podium.api.core import Core
from podium.api.node_authorizer import is_node
from podium.api.request import ObjectResult, Request, User
from podium.objects.cause import Cause, invalid
from podium.objects.status import BadRequest, StatusError

Object = dict[str, Any]
Review = Callable[[Core, Request, Authenticator], Awaitable[ObjectResult]]

_ABOUT = ("verb", "group", "resource", "subresource", "namespace", "name")
_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"


async def subject_access(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    value = take(request, _AUTHORIZATION, "v1", "SubjectAccessReview")
    spec = value["spec"]
    _refuse("SubjectAccessReview", value, [*_check_question(spec), *_check_subject(spec), *_check_metadata(value)])
    return _answer(core, value, _user_of(spec))


async def local_subject_access(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    value = take(request, _AUTHORIZATION, "v1", "LocalSubjectAccessReview")
    spec, namespace = value["spec"], request.namespace
    metadata = value.setdefault("metadata", {})
    if metadata.setdefault("namespace", namespace) != namespace:
        given = metadata["namespace"]
        raise BadRequest(f"the namespace of the provided object does not match the namespace sent on the request: {given} != {namespace}")
    causes = [*_check_question(spec), *_check_subject(spec), *_check_metadata(value)]
    about = spec.get("resourceAttributes")
    if about is not None and about.get("namespace", "") != namespace:
        causes.append(invalid("spec.resourceAttributes.namespace", about.get("namespace", ""), "must match metadata.namespace"))
    if (path := spec.get("nonResourceAttributes")) is not None:
        causes.append(invalid("spec.nonResourceAttributes", path, "disallowed on this kind of request"))
    _refuse("LocalSubjectAccessReview", value, causes)
    return _answer(core, value, _user_of(spec))


async def self_subject_access(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    value = take(request, _AUTHORIZATION, "v1", "SelfSubjectAccessReview")
    _refuse("SelfSubjectAccessReview", value, [*_check_question(value["spec"]), *_check_metadata(value)])
    return _answer(core, value, request.user)


def _check_question(spec: Object) -> list[Cause]:
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if about is not None and path is not None:
        return [invalid("spec.nonResourceAttributes", path, "cannot be specified in combination with resourceAttributes")]
    if about is None and path is None:
        return [invalid("spec.resourceAttributes", None, "exactly one of nonResourceAttributes or resourceAttributes must be specified")]
    return []


def _check_subject(spec: Object) -> list[Cause]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [invalid("spec.user", "", "at least one of user or group must be specified")]


def _check_metadata(value: Object) -> list[Cause]:
    kept = {k: v for k, v in (value.get("metadata") or {}).items() if v and k not in ("namespace", "managedFields", "creationTimestamp")}
    return [invalid("metadata", kept, "must be empty")] if kept else []


def _refuse(kind: str, value: Object, causes: list[Cause]) -> None:
    if causes:
        raise refusal(_AUTHORIZATION, kind, value, causes)


def _user_of(spec: Object) -> User:
    extra = tuple((key.lower(), tuple(values)) for key, values in sorted((spec.get("extra") or {}).items()))
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _answer(core: Core, value: Object, user: User) -> ObjectResult:
    decision = core.authorizer.decide(_attributes(value["spec"], user))
    status: Object = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return _created(value, status)


def _attributes(spec: Object, user: User) -> Attributes:
    if (path := spec.get("nonResourceAttributes")) is not None:
        return Attributes(user, path.get("verb", ""), path=path.get("path", "") or "/")
    about = spec["resourceAttributes"]
    fields = tuple(
        (r.get("key", ""), (r.get("values") or [""])[0])
        for r in (about.get("fieldSelector") or {}).get("requirements") or ()
        if r.get("operator") == "In" and len(r.get("values") or ()) == 1
    )
    verb, group, resource, subresource, namespace, name = (about.get(field, "") for field in _ABOUT)
    return Attributes(user, verb, group, resource, subresource, namespace, name, "", fields)


def _created(value: Object, status: Object) -> ObjectResult:
    value.setdefault("metadata", {})
    return ObjectResult(value={**value, "status": status}, status=201)


async def self_subject_rules(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    value = take(request, _AUTHORIZATION, "v1", "SelfSubjectRulesReview")
    namespace = value["spec"].get("namespace", "")
    if not namespace:
        raise BadRequest("no namespace on request")
    rules, problem = core.authorizer.rbac.rules_for(request.user, namespace)
    problems = ["node authorizer does not support user rule resolution"] if is_node(request.user) else []
    problems += [problem] if problem else []
    status: Object = {
        "resourceRules": [_rule(r, "apiGroups", "resources", "resourceNames") for r in rules if r.get("resources")],
        "nonResourceRules": [_rule(r, "nonResourceURLs") for r in rules if r.get("nonResourceURLs")],
        "incomplete": bool(problems),
    }
    if problems:
        status["evaluationError"] = ", ".join(problems)
    return _created(value, status)


def _rule(rule: Object, *fields: str) -> Object:
    return {"verbs": rule.get("verbs", []), **{f: rule[f] for f in fields if rule.get(f)}}


async def self_subject(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    value = take(request, _AUTHENTICATION, "v1", "SelfSubjectReview")
    value["metadata"] = {"creationTimestamp": core.world.clock.timestamp()}
    return _created(value, {"userInfo": user_info(request.user)})


def user_info(user: User) -> Object:
    """The authentication.k8s.io/v1 UserInfo."""
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info |= {"extra": {key: list(values) for key, values in user.extra}}
    return {k: v for k, v in info.items() if v}


async def token(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    value = take(request, _AUTHENTICATION, "v1", "TokenReview")
    spec = value["spec"]
    if not spec.get("token"):
        raise BadRequest("token is required for TokenReview in authentication")
    audiences = tuple(spec.get("audiences") or ())
    try:
        found = await authenticator.holder(spec["token"], audiences)
    except StatusError as error:
        return _created(value, {"user": {}, "error": f"[{error.message}]"})
    return _created(value, {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)})


REVIEWS: Mapping[tuple[str, str], Review] = {
    (_AUTHORIZATION, "subjectaccessreviews"): subject_access,
    (_AUTHORIZATION, "localsubjectaccessreviews"): local_subject_access,
    (_AUTHORIZATION, "selfsubjectaccessreviews"): self_subject_access,
    (_AUTHORIZATION, "selfsubjectrulesreviews"): self_subject_rules,
    (_AUTHENTICATION, "selfsubjectreviews"): self_subject,
    (_AUTHENTICATION, "tokenreviews"): token,
}
