"""What can be asked of each resource: the operations behind the OpenAPI documents, before they are written in version 2 or 3.

Theory: upstream derives its paths from the verbs of each storage; so does this, from the catalog. An `Operation` holds what both versions
say; how they say it (parameters, bodies, references) is in openapi.py.

Only what Podium answers is listed: no deprecated watch paths, no protobuf.

Source: k8s.io/apiserver endpoints/installer.go (actions, parameters, operation names).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from podium.objects import schema
from podium.objects.resources import Resource, Subresource

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)

PRETTY = ("pretty", "string", "If 'true', then the output is pretty printed.")
_DRY_RUN = ("dryRun", "string", "When present, indicates that modifications should not be persisted. The only valid value is All.")
_MANAGER = ("fieldManager", "string", "A name associated with the actor or entity that is making these changes.")
_VALIDATION = (
    "fieldValidation",
    "string",
    "What to do with unknown or duplicate fields: Ignore drops them, Warn (the default) also sends a warning for each, Strict fails.",
)
_FORCE = ("force", "boolean", "Re-acquires conflicting fields owned by other people. Only of use for apply patch requests.")
_SELECTORS = (
    ("continue", "string", "Where to continue a list: the token of the page before."),
    ("fieldSelector", "string", "Restricts the list of returned objects by their fields. Defaults to everything."),
    ("labelSelector", "string", "Restricts the list of returned objects by their labels. Defaults to everything."),
    ("limit", "integer", "The maximum number of objects to return."),
    ("resourceVersion", "string", "Sets a constraint on what resource versions a request may be served from."),
    ("resourceVersionMatch", "string", "How resourceVersion is applied to list calls."),
    ("timeoutSeconds", "integer", "Timeout for the list or watch call."),
)
_WATCH = (
    ("allowWatchBookmarks", "boolean", "Requests watch events of type BOOKMARK."),
    ("watch", "boolean", "Watch for changes to the described resources, as a stream of add, update and remove notifications."),
)
_DELETE = (
    _DRY_RUN,
    ("gracePeriodSeconds", "integer", "The duration in seconds before the object should be deleted. Zero means delete immediately."),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    ("propagationPolicy", "string", "Whether and how garbage collection will be performed: Orphan, Background or Foreground."),
)
_WRITE = (_DRY_RUN, _MANAGER, _VALIDATION)

QUERIES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "list": (*_SELECTORS, *_WATCH),
    "post": _WRITE,
    "put": _WRITE,
    "patch": (*_WRITE, _FORCE),
    "delete": _DELETE,
    "deletecollection": (*_SELECTORS, *_DELETE),
    "get": (),
    "connect": (),
    "log": (
        ("container", "string", "The container for which to stream logs. Defaults to the only container if there is one."),
        ("follow", "boolean", "Follow the log stream of the pod."),
        ("limitBytes", "integer", "The number of bytes to read from the server before terminating the log output."),
        ("previous", "boolean", "Return the logs of the container's previous instance."),
        ("sinceSeconds", "integer", "A relative time in seconds before the current time from which to show logs."),
        ("tailLines", "integer", "The number of lines from the end of the logs to show."),
        ("timestamps", "boolean", "Add a timestamp at the beginning of every line."),
    ),
    "exec": (
        ("command", "string", "The remote command to execute: argv, not run in a shell."),
        ("container", "string", "The container in which to execute the command. Defaults to the only container if there is one."),
        ("stdin", "boolean", "Redirect the standard input stream of the pod for this call."),
        ("stdout", "boolean", "Redirect the standard output stream of the pod for this call."),
        ("stderr", "boolean", "Redirect the standard error stream of the pod for this call."),
        ("tty", "boolean", "Allocate a terminal for this call."),
    ),
}
"""Action or subresource -> query parameters: (name, type, description)."""

PATH_PARAMETERS = {
    "namespace": "object name and auth scope, such as for teams and projects",
    "name": "name of the {kind}",
}

_WORDS = {
    "list": "list",
    "post": "create",
    "put": "replace",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
    "get": "read",
}
_METHODS = {"list": "get", "deletecollection": "delete", "connect": "get"}
_VERBS = {
    "create": "post",
    "update": "put",
    "get": "get",
    "list": "list",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "deletecollection",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """`parameters` are those in the path, `gvk` is the kind it is about; `body` and `answer` are definition names, or empty."""

    path: str
    method: str
    action: str
    name: str
    description: str
    gvk: tuple[str, str, str]
    parameters: tuple[str, ...]
    query: tuple[tuple[str, str, str], ...]
    body: str
    answer: str
    patch_types: tuple[str, ...] = PATCH_TYPES


def operations(resource: Resource) -> Iterator[Operation]:
    """Every operation on a resource and its subresources."""
    collection = resource.path("{namespace}")
    gvk = (resource.group, resource.version, resource.kind)
    definition, listed = definition_names(resource)
    for verb in resource.verbs:
        if verb == "watch":
            continue
        action = _VERBS[verb]
        on_collection = action in ("list", "post", "deletecollection")
        path = collection if on_collection else f"{collection}/{{name}}"
        answer = {"list": listed, "delete": META + "Status", "deletecollection": META + "Status"}.get(action, definition)
        yield _operation(resource, path, action, gvk, definition, answer)
    if resource.namespaced and "list" in resource.verbs:
        yield _operation(resource, resource.path(None), "list", gvk, definition, listed, tail="ForAllNamespaces")
    for sub in resource.subresources:
        yield from _sub_operations(resource, sub, f"{collection}/{{name}}/{sub.name}")


def _sub_operations(resource: Resource, sub: Subresource, path: str) -> Iterator[Operation]:
    gvk = (sub.group, sub.version, sub.kind)
    definition = definition_names(resource)[0] if gvk == (resource.group, resource.version, resource.kind) else _definition(*gvk)
    for verb in sub.verbs:
        if sub.name == "log":
            yield _operation(resource, path, "get", gvk, "", "", tail="Log")
        elif definition:
            yield _operation(resource, path, _VERBS[verb], gvk, definition, definition, tail=sub.name.title())
        elif verb in ("get", "create"):
            yield _operation(resource, path, "connect", gvk, "", "", tail=sub.name.title(), method=_METHODS.get(verb, _VERBS[verb]))


def _operation(
    resource: Resource,
    path: str,
    action: str,
    gvk: tuple[str, str, str],
    definition: str,
    answer: str,
    *,
    tail: str = "",
    method: str = "",
) -> Operation:
    method = method or _METHODS.get(action, action)
    body = {"post": definition, "put": definition, "patch": META + "Patch", "delete": META + "DeleteOptions"}.get(action, "")
    if action == "deletecollection":
        body = META + "DeleteOptions"
    word, verb = _WORDS.get(action, "connect"), method.title() if action == "connect" else ""
    scope = "Namespaced" if "{namespace}" in path else ""
    collection = "Collection" if action == "deletecollection" else ""
    name = f"{word}{_group_name(resource.group)}{resource.version.title()}{verb}{collection}{scope}{resource.kind}{tail}"
    parameters = tuple(name for name in PATH_PARAMETERS if f"{{{name}}}" in path)
    subject = f"{tail.lower()} of the specified {resource.kind}" if tail and tail != "ForAllNamespaces" else _subject(action, resource.kind)
    query = QUERIES.get(path.rpartition("/")[2]) or QUERIES[action]
    patch_types = PATCH_TYPES if resource.custom is None else tuple(t for t in PATCH_TYPES if "strategic" not in t)
    return Operation(path, method, action, name, f"{word} {subject}", gvk, parameters, query, body, answer, patch_types)


def _subject(action: str, kind: str) -> str:
    if action == "list":
        return f"or watch objects of kind {kind}"
    if action == "deletecollection":
        return f"collection of {kind}"
    return f"a {kind}" if action in ("post", "delete") else f"the specified {kind}"


def _group_name(group: str) -> str:
    """`rbac.authorization.k8s.io` -> RbacAuthorization."""
    words = group.removesuffix(".k8s.io").replace("-", ".").split(".") if group else ["core"]
    return "".join(word.title() for word in words)


def tag(resource: Resource) -> str:
    name = _group_name(resource.group)
    return f"{name[0].lower()}{name[1:]}_{resource.version}"


def definition_names(resource: Resource) -> tuple[str, str]:
    """What the definitions of the resource's kind and of its list are called."""
    if resource.custom is not None:
        prefix = ".".join(reversed(resource.group.split("."))) + f".{resource.version}."
        return prefix + resource.kind, prefix + resource.list_kind
    return (
        _definition(resource.group, resource.version, resource.kind),
        _definition(resource.group, resource.version, resource.list_kind),
    )


def _definition(group: str, version: str, kind: str) -> str:
    return schema.kinds().get((f"{group}/{version}" if group else version, kind), "")
