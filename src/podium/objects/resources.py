"""Resources: what a URL names, and the kind behind it.

A `Resource` is one served (group, version, plural). `builtin()` is the table of the served Kubernetes version, read once from the
extracted `generated/resources.json` and completed by our own tables (short names, categories, connect subresources).
A `Catalog` is what one API server serves: the built-in table and, as they come and go, custom resources.

Only stable versions are served: upstream has served no new beta version by default since 1.24.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources as package_files
from typing import TYPE_CHECKING, Any

import orjson

from podium.objects import resource_names

if TYPE_CHECKING:
    from podium.objects.custom.kind import CustomKind

KUBERNETES_VERSION = "1.37.0"
"""The version whose resources and schemas were extracted (tools/extract_schemas.py)."""

_STABLE = re.compile(r"v\d+")


@dataclass(frozen=True, slots=True)
class Subresource:
    """`group`, `version`, `kind` name the kind of its body (autoscaling/v1 Scale for deployments/scale)."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    subresources: tuple[Subresource, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    storage_api_version: str = ""
    """The apiVersion its objects are stored in, when another resource's (events.k8s.io Events are core Events); empty: its own."""
    custom: "CustomKind | None" = None
    """What a CustomResourceDefinition says of it; None for a built-in one."""

    def __hash__(self) -> int:
        """By what names it: every request looks into several tables by its resource."""
        return hash((self.group, self.version, self.plural))

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.custom.singular if self.custom is not None else self.kind.lower()

    @property
    def list_kind(self) -> str:
        return self.custom.list_kind if self.custom is not None else self.kind + "List"

    @property
    def storage_group(self) -> str:
        """The group whose name is in the store's keys: another one for resources that share their objects (`storage_api_version`)."""
        stored_as = self.storage_api_version or self.api_version
        return stored_as.rpartition("/")[0]

    @property
    def prefix(self) -> str:
        """Where its objects live in the store: `/apps/deployments/`, `/core/pods/`. Ends with a slash; independent of the version."""
        return f"/{self.storage_group or 'core'}/{self.plural}/"

    def key(self, namespace: str | None, name: str) -> str:
        """The store key of one object: `/core/pods/NAMESPACE/NAME`, `/core/nodes/NAME`."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else self.prefix + name

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The URL path, without a query. For a namespaced resource `namespace=None` means all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = f"/{name}" if name else ""
        return f"{root}{scope}/{self.plural}{tail}" + (f"/{subresource}" if subresource else "")

    def subresource(self, name: str) -> Subresource | None:
        return next((s for s in self.subresources if s.name == name), None)


class Catalog:
    """The resources one server serves, by URL and by kind. Iterates in the order they were added.

    `generation` grows with each change, so that documents made from a catalog can be kept until then.
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_url: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._listeners: dict[Callable[[], None], None] = {}
        self.generation = 0
        self.change((), resources)

    def add(self, resource: Resource) -> None:
        self.change((), (resource,))

    def remove(self, resource: Resource) -> None:
        self.change((resource,), ())

    def change(self, removed: Iterable[Resource], added: Iterable[Resource]) -> None:
        """In one step for those who follow. Nothing is removed in whose place there is another one by now."""
        self.generation += 1
        for resource in removed:
            if self._by_url.get((resource.group, resource.version, resource.plural)) is resource:
                del self._by_url[resource.group, resource.version, resource.plural]
            if self._by_kind.get((resource.api_version, resource.kind)) is resource:
                del self._by_kind[resource.api_version, resource.kind]
        for resource in added:
            self._by_url[resource.group, resource.version, resource.plural] = resource
            self._by_kind[resource.api_version, resource.kind] = resource
        for listener in list(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after each change; returns its cancellation."""
        self._listeners[listener] = None
        return lambda: self._listeners.pop(listener, None)

    def lookup(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_url.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_url.values())


@cache
def builtin() -> Catalog:
    """The resources of the served Kubernetes version. Shared: callers add to a `Catalog(builtin())` of their own."""
    text = (package_files.files("podium.objects") / "generated" / "resources.json").read_bytes()
    rows = (row for row in orjson.loads(text) if _STABLE.fullmatch(row["version"]) and row["plural"] not in resource_names.NOT_SERVED)
    return Catalog(_resource(row) for row in rows)


def _resource(row: dict[str, Any]) -> Resource:
    group, version, plural = row["group"], row["version"], row["plural"]
    name = f"{plural}.{group}" if group else plural
    subresources = [Subresource(s["name"], s["group"], s["version"], s["kind"], tuple(s["verbs"])) for s in row["subresources"]]
    subresources += [Subresource(connect, group, version, kind, verbs) for connect, kind, verbs in resource_names.CONNECT.get(name, ())]
    return Resource(
        group,
        version,
        plural,
        row["kind"],
        row["namespaced"],
        verbs=tuple(row["verbs"]),
        subresources=tuple(sorted(subresources, key=lambda s: s.name)),
        short_names=resource_names.SHORT_NAMES.get(name, ()),
        categories=resource_names.CATEGORIES.get(name, ()),
        storage_api_version=resource_names.STORED_AS.get(f"{name}/{version}", ""),
    )


@cache
@cache
def resource(plural: str, group: str = "") -> Resource:
    """A built-in resource in its preferred version. Raises KeyError for an unknown one: our bug, not input."""
    versions = [r for r in builtin() if r.plural == plural and r.group == group]
    if not versions:
        raise KeyError(f"{plural}.{group}")
    return max(versions, key=lambda r: int(r.version[1:]))
