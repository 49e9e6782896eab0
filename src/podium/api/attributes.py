"""What an authorizer is asked: one request, reduced to what permissions are about.

Source: k8s.io/apiserver pkg/authorization/authorizer (Attributes), pkg/endpoints/request (RequestInfo).
"""

from typing import NamedTuple

from podium.api.request import Request, User
from podium.objects.status import Forbidden, qualified, resource_details

_METHOD_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS = ("list", "watch", "deletecollection")


class Attributes(NamedTuple):
    """Either a resource (`resource` set; `namespace` empty at the cluster scope) or a `path` that names none. `fields` are the exact matches
    that a list or watch is restricted to."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    fields: tuple[tuple[str, str], ...] = ()


class Decision(NamedTuple):
    """`reason` says what allowed it, or what stood in the way, where there is something to say."""

    allowed: bool
    reason: str = ""


def attributes_of(request: Request, verb: str = "") -> Attributes:
    """`verb` replaces the request's own: a connection is authorized by what it does."""
    resource, name, verb = request.resource, request.name, verb or request.verb
    namespace = request.namespace or ""
    fields: tuple[tuple[str, str], ...] = ()
    if resource.plural == "namespaces" and not resource.group:
        namespace = name  # a namespace is in itself: a role there may speak of it
    if verb in _COLLECTION_VERBS and (selector := request.options.get("fieldSelector", "")):
        fields = exact_fields(selector)
        name = name or dict(fields).get("metadata.name", "")
    elif verb == "create" and not request.subresource:
        name = ""  # only the body knows
    return Attributes(request.user, verb, resource.group, resource.plural, request.subresource, namespace, name, "", fields)


def exact_fields(selector: str) -> tuple[tuple[str, str], ...]:
    """The `path=value` terms of a field selector."""
    found = []
    for term in selector.split(","):
        path, equals, value = term.partition("=")
        if equals and not path.endswith("!"):
            found.append((path.strip(), value.removeprefix("=").strip()))
    return tuple(found)


def attributes_of_path(user: User, method: str, path: str, *, watch: bool = False) -> Attributes:
    """For a URL that names nothing we serve: what has the shape of a resource's URL is asked for as one, so that a rule about paths (`/apis/*`)
    never opens it."""
    parts = [p for p in path.split("/") if p]
    group, rest = (
        ("", parts[2:]) if parts[:1] == ["api"] else (parts[1], parts[3:]) if parts[:1] == ["apis"] and len(parts) > 3 else ("", [])
    )
    if not rest:
        return Attributes(user, method.lower(), path=path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace, rest = rest[1], rest[2:] if len(rest) > 2 and rest[2] not in ("status", "finalize") else rest
    plural, name, subresource = (*rest, "", "")[:3]
    verb = _METHOD_VERBS.get(method, method.lower())
    if not name:
        verb = {"get": "watch" if watch else "list", "delete": "deletecollection"}.get(verb, verb)
    return Attributes(user, verb, group, plural, subresource, namespace, name)


def forbidden(attributes: Attributes, reason: str = "") -> Forbidden:
    """The refusal, worded as upstream."""
    a = attributes
    if a.path:
        text = f'User "{a.user.name}" cannot {a.verb} path "{a.path}"'
        return Forbidden("forbidden: " + (f"{text}: {reason}" if reason else text))
    what = f"{a.resource}/{a.subresource}" if a.subresource else a.resource
    where = f'in the namespace "{a.namespace}"' if a.namespace else "at the cluster scope"
    text = f'User "{a.user.name}" cannot {a.verb} resource "{what}" in API group "{a.group}" {where}'
    name = f' "{a.name}"' if a.name else ""
    text = f"{qualified(a.group, a.resource)}{name} is forbidden: {text}" + (f": {reason}" if reason else "")
    return Forbidden(text, details=resource_details(a.group, a.resource, a.name))
