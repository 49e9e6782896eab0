"""Discovery: the documents that tell a client which groups, versions and resources there are.

Two forms of the same facts: the plain one (`/api`, `/apis`, `/apis/GROUP`, one list per group version) and the aggregated one, in which
`/api` and `/apis` carry everything and a client needs two requests. The Accept header chooses; the plain form is the default.

Invariants: pure functions of a catalog; groups in upstream's order of priority, then by name; versions from most to least preferred;
a document is built once per generation of its catalog, and its ETag is a hash of its bytes.

Source: k8s.io/apimachinery meta/v1 (APIGroupList, APIResourceList), k8s.io/api/apidiscovery/v2, kube-aggregator's group priorities.
"""

import hashlib
import platform
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources as package_files
from typing import Any

import orjson

from podium.objects.resources import KUBERNETES_VERSION, Catalog, Resource, Subresource

JSON = "application/json"
AGGREGATED_KIND = "APIGroupDiscoveryList"
AGGREGATED_GROUP = "apidiscovery.k8s.io"
AGGREGATED_VERSIONS = ("v2", "v2beta1")

PRIORITIES = {
    "apiregistration.k8s.io": 20000,
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "internal.apiserver.k8s.io": 16000,
    "storagemigration.k8s.io": 15800,
    "lifecycle.k8s.io": 15700,
}
PRIORITY_OTHERS = 1000
_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


@dataclass(frozen=True, slots=True)
class Document:
    """A body ready to send. `etag` names its content, without quotes."""

    body: bytes
    content_type: str
    etag: str


class Documents:
    """The discovery documents of one catalog, built when first asked for and kept until the catalog changes."""

    def __init__(self, catalog: Catalog, server_address: str = "") -> None:
        """`server_address` is HOST:PORT as clients reach this server."""
        self._catalog = catalog
        self._server_address = server_address
        self._kept: dict[tuple[str, str], Document] = {}
        self._generation = catalog.generation

    def find(self, path: str, accept: str = "") -> Document | None:
        """The document at `path` (`/api`, `/apis`, `/api/V`, `/apis/G`, `/apis/G/V`, `/version`), in the form `accept` prefers.

        None when there is no such group or version.
        """
        if self._generation != self._catalog.generation:
            self._kept.clear()
            self._generation = self._catalog.generation
        aggregated = preferred_aggregation(accept) if path in ("/api", "/apis") else ""
        kept = self._kept.get((path, aggregated))
        if kept is None and (kept := self._build(path, aggregated)) is not None:
            self._kept[path, aggregated] = kept
        return kept

    def _build(self, path: str, aggregated: str) -> Document | None:
        if aggregated:
            value: dict[str, Any] | None = aggregated_list(self._catalog, core=path == "/api", version=aggregated)
            content_type = f"{JSON};g={AGGREGATED_GROUP};v={aggregated};as={AGGREGATED_KIND}"
        else:
            value, content_type = _plain(self._catalog, path.split("/")[1:], self._server_address), JSON
        if value is None:
            return None
        body = orjson.dumps(value)
        return Document(body, content_type, hashlib.sha256(body).hexdigest().upper())


def _plain(catalog: Catalog, parts: list[str], server_address: str) -> dict[str, Any] | None:
    match parts:
        case ["api"]:
            return core_versions(catalog, server_address)
        case ["api", version]:
            return resource_list(catalog, "", version)
        case ["apis"]:
            return group_list(catalog)
        case ["apis", group]:
            return group_document(catalog, group)
        case ["apis", group, version]:
            return resource_list(catalog, group, version)
        case ["version"]:
            return version_info()
    return None


def preferred_aggregation(accept: str) -> str:
    """The version of the aggregated form that an Accept header asks for first; empty for the plain one."""
    for choice in accept.split(","):
        media, *parameters = [part.strip() for part in choice.split(";")]
        named = dict(p.partition("=")[::2] for p in parameters)
        if media in (JSON, "*/*", "application/*") and "as" not in named:
            return ""
        if (
            media == JSON
            and named.get("as") == AGGREGATED_KIND
            and named.get("g") == AGGREGATED_GROUP
            and named.get("v") in AGGREGATED_VERSIONS
        ):
            return named["v"]
    return ""


def core_versions(catalog: Catalog, server_address: str = "") -> dict[str, Any]:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]
    return {"kind": "APIVersions", "versions": _versions(catalog, ""), "serverAddressByClientCIDRs": addresses}


def group_list(catalog: Catalog) -> dict[str, Any]:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(catalog, group) for group in groups(catalog) if group]}


def group_document(catalog: Catalog, group: str) -> dict[str, Any] | None:
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(catalog, group)} if group and group in groups(catalog) else None


def _group(catalog: Catalog, group: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in _versions(catalog, group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def resource_list(catalog: Catalog, group: str, version: str) -> dict[str, Any] | None:
    resources = _resources(catalog, group, version)
    if not resources:
        return None
    rows = [row for resource in resources for row in (_row(resource), *(_subresource_row(resource, s) for s in resource.subresources))]
    head = {"kind": "APIResourceList", "apiVersion": "v1"} if group else {"kind": "APIResourceList"}
    return {**head, "groupVersion": resources[0].api_version, "resources": rows}


def _row(resource: Resource) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    }
    return row | _names(resource)


def _names(resource: Resource) -> dict[str, Any]:
    return {k: v for k, v in (("shortNames", resource.short_names), ("categories", resource.categories)) if v}


def _subresource_row(resource: Resource, sub: Subresource) -> dict[str, Any]:
    row: dict[str, Any] = {"name": f"{resource.plural}/{sub.name}", "singularName": "", "namespaced": resource.namespaced}
    if (sub.group, sub.version) != (resource.group, resource.version):
        row |= {"group": sub.group, "version": sub.version}
    return row | {"kind": sub.kind, "verbs": sub.verbs}


def aggregated_list(catalog: Catalog, *, core: bool, version: str) -> dict[str, Any]:
    items = [_aggregated_group(catalog, group) for group in groups(catalog) if (not group) == core]
    return {"kind": AGGREGATED_KIND, "apiVersion": f"{AGGREGATED_GROUP}/{version}", "metadata": {}, "items": items}


def _aggregated_group(catalog: Catalog, group: str) -> dict[str, Any]:
    versions = [
        {"version": version, "resources": [_aggregated_row(r) for r in _resources(catalog, group, version)], "freshness": "Current"}
        for version in _versions(catalog, group)
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_row(resource: Resource) -> dict[str, Any]:
    row: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource, resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": resource.verbs,
        **_names(resource),
    }
    if resource.subresources:
        row["subresources"] = [
            {"subresource": s.name, "responseKind": _kind(resource, s.group, s.version, s.kind), "verbs": s.verbs}
            for s in resource.subresources
        ]
    return row


def _kind(resource: Resource, group: str, version: str, kind: str) -> dict[str, str]:
    """Group and version are left empty when they are those of the list, as upstream does."""
    if (group, version) == (resource.group, resource.version):
        group = version = ""
    return {"group": group, "version": version, "kind": kind}


def groups(catalog: Catalog) -> list[str]:
    """The groups with resources, in order of priority."""
    return sorted({r.group for r in catalog}, key=lambda group: (-PRIORITIES.get(group, PRIORITY_OTHERS), group))


def _versions(catalog: Catalog, group: str) -> list[str]:
    return sorted({r.version for r in catalog if r.group == group}, key=version_order)


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sorts versions from most to least preferred: v2, v1, v2beta1, v1beta2, v1alpha1, then others by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (3, 0, 0, version)
    stability = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stability, -int(match[1]), -int(match[3] or 0), "")


def _resources(catalog: Catalog, group: str, version: str) -> list[Resource]:
    return sorted((r for r in catalog if (r.group, r.version) == (group, version)), key=lambda r: r.plural)


_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}


@cache
def _build() -> dict[str, str]:
    """Of which commit this is, as far as the build knew (tools/hatch_build.py)."""
    written = package_files.files("podium.objects") / "generated" / "build.json"
    unknown = {"gitCommit": "unknown", "gitTreeState": "unknown", "buildDate": "1970-01-01T00:00:00Z"}
    return unknown | (orjson.loads(written.read_bytes()) if written.is_file() else {})


def version_info() -> dict[str, str]:
    """What `/version` says: the Kubernetes version whose API this is, and that it is Podium's."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    machine = platform.machine()
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"v{KUBERNETES_VERSION}+podium",
        **_build(),
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{_ARCHITECTURES.get(machine, machine)}",
    }
