"""Resources: what a URL names, and the kind behind it.

A `Resource` is one served (group, version, plural). `builtin()` is the table of the served Kubernetes version, read once from the
extracted `generated/resources.json` and completed by our own tables (short names, categories, connect subresources).
A `Catalog` is what one API server serves: the built-in table now, custom resources later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources as package_files

import orjson


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

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def list_kind(self) -> str:
        return self.kind + "List"

    @property
    def prefix(self) -> str:
        """Where its objects live in the store: `/apps/deployments/`, `/core/pods/`. Ends with a slash; independent of the version."""
        return f"/{self.group or 'core'}/{self.plural}/"

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
    """The resources one server serves, by URL and by kind. Iterates in the order they were added."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_url: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        self._by_url[resource.group, resource.version, resource.plural] = resource
        self._by_kind[resource.api_version, resource.kind] = resource

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
    return Catalog(_resource(row) for row in orjson.loads(text))


def _resource(row: dict[str, object]) -> Resource:
    subresources = tuple(Subresource(s["name"], s["group"], s["version"], s["kind"], tuple(s["verbs"])) for s in row.pop("subresources"))  # type: ignore[attr-defined]
    verbs = tuple(row.pop("verbs"))  # type: ignore[arg-type]
    return Resource(**row, verbs=verbs, subresources=subresources)  # type: ignore[arg-type]


def resource(plural: str, group: str = "") -> Resource:
    """A built-in resource in its preferred (stable) version. Raises KeyError for an unknown one: our bug, not input."""
    for candidate in builtin():
        if candidate.plural == plural and candidate.group == group and candidate.version in ("v1", "v2"):
            return candidate
    raise KeyError(f"{plural}.{group}")
