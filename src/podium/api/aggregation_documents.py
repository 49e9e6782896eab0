"""Discovery and OpenAPI with the aggregated APIs in them: this server's own documents, and what the backends published, joined.

A group comes where its priority puts it (the greatest groupPriorityMinimum of its APIServices), a version by versionPriority. Of a backend
that does not answer, the last known resources are shown, as Stale. Definitions of the version 2 document that both have are ours.

Source: k8s.io/kube-aggregator pkg/apiserver (handler_apis.go, handler_discovery.go), pkg/controllers/openapi/aggregator.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from podium.api.aggregation import Backend, Backends
from podium.api.aggregation_checks import Checks, Published
from podium.api.core import Object
from podium.api.discovery import PRIORITIES, PRIORITY_OTHERS, Document, preferred_aggregation, version_order
from podium.api.openapi import PROTOBUF_V2
from podium.api.openapi_protobuf import encode_document
from podium.instrument.log import logger

_VERSION_PRIORITY = 15

log = logger("api.aggregation")


class Joined:
    """Documents with both, kept until either changes."""

    def __init__(self, backends: Backends, checks: Checks) -> None:
        self._backends = backends
        self._checks = checks
        self._kept: dict[tuple[str, str, str], Document] = {}
        self._generation = (-1, -1)

    def join(self, path: str, accept: str, own: Document | None) -> Document | None:
        """`own` is this server's document at `path`, if it has one."""
        backends = [b for b in self._backends.all() if b.group]
        if not backends:
            return own
        generation = (self._backends.generation, self._checks.generation)
        if generation != self._generation:
            self._kept.clear()
            self._generation = generation
        key = (path, own.content_type if own is not None else "", own.etag if own is not None else "")
        if key not in self._kept:
            joined = self._join(path, accept, own, backends)
            if joined is None:
                return own
            self._kept[key] = joined
        return self._kept[key]

    def _join(self, path: str, accept: str, own: Document | None, backends: list[Backend]) -> Document | None:
        if path == "/apis" and own is not None:
            if preferred_aggregation(accept):
                return _again(own, lambda value: _with_aggregated_groups(value, backends, self._published, self._backends.available))
            return _again(own, lambda value: {**value, "groups": _with_groups(value["groups"], backends)})
        if path.startswith("/apis/") and path.count("/") == 2:
            mine = [b for b in backends if b.group == path.removeprefix("/apis/")]
            if not mine:
                return None
            known = [orjson.loads(own.body)] if own is not None else []
            group = next(g for g in _with_groups(known, mine) if g["name"] == mine[0].group)
            return _document(orjson.dumps({"kind": "APIGroup", "apiVersion": "v1", **group}), "application/json")
        if path == "/openapi/v3" and own is not None:
            more = {name: entry for b in backends for name, entry in self._published(b).openapi_v3.items()}
            return _again(own, lambda value: {**value, "paths": {**value["paths"], **more}})
        if path == "/openapi/v2" and own is not None:
            return _with_openapi_v2(own, [document for b in backends if (document := self._published(b).openapi_v2)])
        return None

    def _published(self, backend: Backend) -> Published:
        return self._checks.published.get(backend.name) or Published()


def _document(body: bytes, content_type: str) -> Document:
    return Document(body, content_type, hashlib.sha256(body).hexdigest().upper())


def _again(own: Document, change: Callable[[Object], Object]) -> Document:
    return _document(orjson.dumps(change(orjson.loads(own.body))), own.content_type)


def _group_priority(group: str, backends: Iterable[Backend]) -> int:
    asked = [b.group_priority for b in backends if b.group == group]
    return max([*asked, *([PRIORITIES[group]] if group in PRIORITIES else [])], default=PRIORITY_OTHERS)


def _version_key(version: str, of_backend: dict[str, Backend]) -> tuple[Any, ...]:
    backend = of_backend.get(version)
    return (-(backend.version_priority if backend is not None else _VERSION_PRIORITY), version_order(version))


def _with_groups(groups: list[Object], backends: list[Backend]) -> list[Object]:
    found = {g["name"]: g for g in groups}
    for name in dict.fromkeys(b.group for b in backends):
        of_backend = {b.version: b for b in backends if b.group == name}
        known = [v["version"] for v in found.get(name, {}).get("versions", ())]
        ordered = sorted({*known, *of_backend}, key=lambda v: _version_key(v, of_backend))
        versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in ordered]
        found[name] = {"name": name, "versions": versions, "preferredVersion": versions[0]}
    return sorted(found.values(), key=lambda g: (-_group_priority(g["name"], backends), g["name"]))


def _with_aggregated_groups(
    value: Object, backends: list[Backend], published: Callable[[Backend], Published], available: Callable[[Backend], bool]
) -> Object:
    found = {g["metadata"]["name"]: g for g in value["items"]}
    for name in dict.fromkeys(b.group for b in backends):
        of_backend = {b.version: b for b in backends if b.group == name}
        versions = {v["version"]: v for v in found.get(name, {}).get("versions", ())}
        for version, backend in of_backend.items():
            fresh = "Current" if available(backend) else "Stale"
            versions[version] = {"version": version, "resources": aggregated_rows(published(backend).resources), "freshness": fresh}
        ordered = sorted(versions, key=lambda v: _version_key(v, of_backend))
        found[name] = {"metadata": {"name": name}, "versions": [versions[v] for v in ordered]}
    items = sorted(found.values(), key=lambda g: (-_group_priority(g["metadata"]["name"], backends), g["metadata"]["name"]))
    return {**value, "items": items}


def aggregated_rows(resources: list[Object]) -> list[Object]:
    """The rows of a plain APIResourceList in the aggregated form: subresources under their resources."""
    rows: dict[str, Object] = {}
    for resource in resources:
        kind = {"group": resource.get("group", ""), "version": resource.get("version", ""), "kind": resource.get("kind", "")}
        name, slash, sub = resource["name"].partition("/")
        row = rows.setdefault(name, {"resource": name})
        if slash:
            entry = {"subresource": sub, "responseKind": kind, "verbs": resource.get("verbs") or []}
            row.setdefault("subresources", []).append(entry)
            continue
        row |= {
            "responseKind": kind,
            "scope": "Namespaced" if resource.get("namespaced") else "Cluster",
            "singularResource": resource.get("singularName", ""),
            "verbs": resource.get("verbs") or [],
        }
        row |= {k: resource[k] for k in ("shortNames", "categories") if resource.get(k)}
    return [row for row in rows.values() if "responseKind" in row]


def _with_openapi_v2(own: Document, documents: list[Object]) -> Document | None:
    if not documents:
        return None
    paths = {path: item for document in documents for path, item in document["paths"].items()}
    definitions = {name: node for document in documents for name, node in document["definitions"].items()}
    if own.content_type == PROTOBUF_V2:
        return _with_protobuf(own, paths, definitions)

    def change(value: Object) -> Object:
        return {**value, "paths": {**value["paths"], **paths}, "definitions": {**definitions, **value["definitions"]}}

    return _again(own, change)


def _with_protobuf(own: Document, paths: Object, definitions: Object) -> Document | None:
    """Two messages in a row are one. Definitions with names of ours would come twice: so those of Kubernetes itself are left out."""
    mine = {name: node for name, node in definitions.items() if not name.startswith("io.k8s.api")}
    try:
        more = encode_document({"paths": paths, "definitions": mine})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        log.warning("an aggregated API's OpenAPI document has an unknown shape", error=repr(error))
        return None
    return _document(own.body + more, own.content_type)
