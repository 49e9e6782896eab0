"""From a URL to what it names: the first stage of the request path. Pure.

`/api/v1/namespaces/NS/pods/NAME/log` -> Target(pods, NS, NAME, log). Source: k8s.io/apiserver endpoints/request (RequestInfo).
"""

from dataclasses import dataclass

from podium.objects.resources import Catalog, Resource

_METHOD_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
SEGMENTS_MAX = 64


@dataclass(frozen=True, slots=True)
class Target:
    """`tail` is what follows the subresource (proxy paths). `namespace` is None for all namespaces and for cluster-scoped resources."""

    resource: Resource
    namespace: str | None
    name: str
    subresource: str
    tail: str = ""

    def verb(self, method: str, *, watch: bool) -> str:
        """The API verb of an HTTP method here; empty for a method that no resource has."""
        verb = _METHOD_VERBS.get(method, "")
        if self.subresource in ("exec", "attach", "portforward", "proxy"):
            return "connect"
        if self.name or not verb:
            return verb
        if verb == "get":
            return "watch" if watch else "list"
        return "deletecollection" if verb == "delete" else verb


def parse(path: str, catalog: Catalog) -> Target | None:
    """None when the path names no served resource."""
    segments = path.strip("/").split("/", SEGMENTS_MAX)
    if segments[0] == "api" and len(segments) > 2:
        group, version, rest = "", segments[1], segments[2:]
    elif segments[0] == "apis" and len(segments) > 3:
        group, version, rest = segments[1], segments[2], segments[3:]
    else:
        return None
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) >= 3 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    resource = catalog.lookup(group, version, rest[0])
    if resource is None or (namespace is not None and not resource.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else ""
    if name and resource.namespaced and namespace is None:
        return None
    subresource = rest[2] if len(rest) > 2 else ""
    return Target(resource, namespace, name, subresource, "/".join(rest[3:]))
