"""The OpenAPI documents: what fields there are and what can be asked, for `kubectl explain`, apply, diff and client-side validation.

`/openapi/v2` is one document of everything; `/openapi/v3` is an index of one document per group version, each complete in itself, whose
URLs carry a hash so that clients may keep them. Both are written from the same definitions (objects/schema.py) and operations
(openapi_paths.py) when first asked for, and kept as bytes until the catalog changes.

What kubectl relies on: in version 3 the kind of each operation as one `x-kubernetes-group-version-kind`, `fieldValidation` among the
parameters of PATCH (then the server validates, not kubectl), strategic merge among the media types of its body, and the merge keys in
the schemas. In version 2 the same as protobuf: clients ask for nothing else (openapi_protobuf.py).

Source: k8s.io/kube-openapi (both forms), kubectl's explain templates and apply patcher (what is read).
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

import orjson

from podium.api import openapi_paths
from podium.api.custom import schemas as custom_schemas
from podium.api.discovery import JSON, Document
from podium.api.openapi_paths import PATH_PARAMETERS, PRETTY, Operation
from podium.api.openapi_protobuf import encode_document
from podium.objects import schema
from podium.objects.resources import KUBERNETES_VERSION, Catalog, Resource

PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_V2_ASKED = (PROTOBUF_V2, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
"""Clients ask with an @, which is no valid media type in an answer."""
ANSWER_TYPES = (JSON, "application/yaml")
WATCH_TYPE = "application/json;stream=watch"

_V2, _V3 = "#/definitions/", "#/components/schemas/"
_INFO = {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"}
_CODES = {"post": ("200", "201", "202"), "put": ("200", "201"), "patch": ("200", "201"), "delete": ("200", "202")}
_TEXTS = {"200": "OK", "201": "Created", "202": "Accepted"}
_V3_SCALARS: dict[str, dict[str, Any]] = {
    schema.QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
}


class Documents:
    """The OpenAPI documents of one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept: dict[str, Document] = {}
        self._generation = catalog.generation

    def find(self, path: str, accept: str = "") -> Document | None:
        """`/openapi/v2` (as protobuf when `accept` names it), `/openapi/v3` and below. None when there is no such document."""
        if self._generation != self._catalog.generation:
            self._kept.clear()
            self._generation = self._catalog.generation
        key = f"{path} {PROTOBUF_V2}" if path == "/openapi/v2" and _prefers_protobuf(accept) else path
        if key not in self._kept:
            document = self._build(path, protobuf=key != path)
            if document is None:
                return None
            self._kept[key] = document
        return self._kept[key]

    def _build(self, path: str, protobuf: bool) -> Document | None:
        if path == "/openapi/v2":
            if protobuf:
                return _document(_protobuf_v2(self._catalog), PROTOBUF_V2)
            return _document(orjson.dumps(document_v2(self._catalog)), JSON)
        if path == "/openapi/v3":
            return _document(orjson.dumps(index_v3(self._catalog)), JSON)
        name = path.removeprefix("/openapi/v3/")
        resources = _by_document(self._catalog).get(name)
        return _document(orjson.dumps(document_v3(resources)), JSON) if resources else None


def _document(body: bytes, content_type: str) -> Document:
    return Document(body, content_type, hashlib.sha256(body).hexdigest().upper())


def _prefers_protobuf(accept: str) -> bool:
    """Whether protobuf is named before anything that means JSON."""
    for choice in accept.split(","):
        media = choice.partition(";")[0].strip()
        if media in _PROTOBUF_V2_ASKED:
            return True
        if media in (JSON, "*/*", "application/*"):
            return False
    return False


def _by_document(catalog: Catalog) -> dict[str, list[Resource]]:
    """Version 3's document names (`api/v1`, `apis/apps/v1`) and their resources."""
    found: dict[str, list[Resource]] = {}
    for resource in catalog:
        name = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
        found.setdefault(name, []).append(resource)
    return found


def index_v3(catalog: Catalog) -> dict[str, Any]:
    """The index. A document's hash is of what it is made from, so that the index can be made without them."""
    paths = {}
    for name, resources in sorted(_by_document(catalog).items()):
        digest = hashlib.sha256(f"{schema.fingerprint()} {resources!r}".encode()).hexdigest().upper()
        paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return {"paths": paths}


# Version 2


def document_v2(catalog: Catalog) -> dict[str, Any]:
    """Everything in one. The built-in part is made once; of custom resources come and gone only their own is made anew."""
    builtin, custom = _builtin_v2(_builtins(catalog)), custom_v2(catalog)
    paths = dict(sorted({**builtin["paths"], **custom["paths"]}.items()))
    return {**builtin, "paths": paths, "definitions": {**builtin["definitions"], **custom["definitions"]}}


def _builtins(catalog: Catalog) -> tuple[Resource, ...]:
    return tuple(resource for resource in catalog if resource.custom is None)


@lru_cache(maxsize=2)
def _builtin_v2(resources: tuple[Resource, ...]) -> dict[str, Any]:
    definitions = {name: _described(name, lambda node, text: {**node, **text}) for name in schema.definition_names()}
    return {"swagger": "2.0", "info": _INFO, "paths": dict(sorted(_paths_v2(resources).items())), "definitions": definitions}


@lru_cache(maxsize=2)
def _builtin_v2_protobuf(resources: tuple[Resource, ...]) -> bytes:
    return encode_document(_builtin_v2(resources))


def custom_v2(catalog: Catalog) -> dict[str, Any]:
    """The paths and definitions of the custom resources."""
    resources = [resource for resource in catalog if resource.custom is not None]
    definitions = {name: node for resource in resources for name, node in custom_schemas.definitions_v2(resource).items()}
    return {"paths": _paths_v2(resources), "definitions": definitions}


def _protobuf_v2(catalog: Catalog) -> bytes:
    """Two messages in a row are one: repeated fields, as paths and definitions are, follow each other."""
    custom = custom_v2(catalog)
    more = encode_document(custom) if custom["paths"] else b""
    return _builtin_v2_protobuf(_builtins(catalog)) + more


def _paths_v2(resources: Iterable[Resource]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for resource in resources:
        for operation in openapi_paths.operations(resource):
            item = paths.setdefault(operation.path, {"parameters": _path_parameters_v2(operation)})
            item[operation.method] = _operation_v2(operation, openapi_paths.tag(resource))
    return paths


def _path_parameters_v2(operation: Operation) -> list[dict[str, Any]]:
    kind = operation.gvk[2]
    named = [
        {
            "uniqueItems": True,
            "type": "string",
            "description": PATH_PARAMETERS[name].format(kind=kind),
            "name": name,
            "in": "path",
            "required": True,
        }
        for name in operation.parameters
    ]
    return [*named, _query_v2(PRETTY)]


def _query_v2(query: tuple[str, str, str]) -> dict[str, Any]:
    name, kind, text = query
    return {"uniqueItems": True, "type": kind, "description": text, "name": name, "in": "query"}


def _operation_v2(operation: Operation, tag: str) -> dict[str, Any]:
    parameters = [_query_v2(query) for query in operation.query]
    if operation.body:
        required = {"required": True} if operation.action in ("post", "put", "patch") else {}
        parameters.insert(0, {"name": "body", "in": "body", **required, "schema": {"$ref": _V2 + operation.body}})
    answer = {"$ref": _V2 + operation.answer} if operation.answer else {"type": "string"}
    codes = _CODES.get(operation.action, ("200",))
    return {
        "description": operation.description,
        "consumes": list(operation.patch_types) if operation.action == "patch" else ["*/*"],
        "produces": [*ANSWER_TYPES, *([WATCH_TYPE] if operation.action == "list" else [])],
        "schemes": ["https"],
        "tags": [tag],
        "operationId": operation.name,
        "parameters": parameters,
        "responses": {**{c: {"description": _TEXTS[c], "schema": answer} for c in codes}, "401": {"description": "Unauthorized"}},
        **_extensions(operation),
    }


def _extensions(operation: Operation) -> dict[str, Any]:
    group, version, kind = operation.gvk
    return {"x-kubernetes-action": operation.action, "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind}}


def _described(name: str, describe: Callable[[Mapping[str, Any], dict[str, str]], dict[str, Any]]) -> dict[str, Any]:
    """A definition with its texts; `describe` joins one node and its text."""
    texts = schema.descriptions().get(name, {})

    def text_of(field: str) -> dict[str, str]:
        return {"description": texts[field]} if texts.get(field) else {}

    node = schema.definition(name)
    whole = describe({k: v for k, v in node.items() if k != "properties"}, text_of(""))
    if "properties" in node:
        whole["properties"] = {field: describe(below, text_of(field)) for field, below in node["properties"].items()}
    return whole


# Version 3


def document_v3(resources: Iterable[Resource]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    wanted: set[str] = set()
    own: dict[str, Any] = {}
    for resource in resources:
        for operation in openapi_paths.operations(resource):
            item = paths.setdefault(operation.path, {"parameters": _path_parameters_v3(operation)})
            item[operation.method] = _operation_v3(operation, openapi_paths.tag(resource))
            wanted |= {name for name in (operation.body, operation.answer) if name}
        if resource.custom is not None:
            own |= custom_schemas.definitions_v3(resource)
            wanted |= set(custom_schemas.REFERRED)
    schemas = {name: own.get(name) or _schema_v3(name) for name in sorted({*own, *_reachable(wanted - own.keys())})}
    return {"openapi": "3.0.0", "info": _INFO, "paths": dict(sorted(paths.items())), "components": {"schemas": schemas}}


def _reachable(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _references(name)
    return sorted(seen)


@cache
def _references(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"#/definitions/([^"]+)"', orjson.dumps(schema.definition(name)).decode()))


def _schema_v3(name: str) -> dict[str, Any]:
    if name in _V3_SCALARS:
        text = schema.descriptions().get(name, {}).get("", "")
        return {**_V3_SCALARS[name], **({"description": text} if text else {})}
    return _described(name, _node_v3)


def _node_v3(node: Mapping[str, Any], text: dict[str, str]) -> dict[str, Any]:
    """A node with version 3's references; beside a reference nothing else is read, so what a field adds goes around it."""
    out: dict[str, Any] = dict(text)
    for key, value in node.items():
        if key == "$ref":
            reference = {"$ref": _V3 + value.removeprefix(_V2)}
            if len(node) == 1 and not text:
                return reference
            out["allOf"] = [reference]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _node_v3(value, {})
        else:
            out[key] = value
    return out


def _path_parameters_v3(operation: Operation) -> list[dict[str, Any]]:
    kind = operation.gvk[2]
    named = [
        {
            "name": name,
            "in": "path",
            "description": PATH_PARAMETERS[name].format(kind=kind),
            "required": True,
            "schema": _PARAMETER["string"],
        }
        for name in operation.parameters
    ]
    return [*named, _query_v3(PRETTY)]


_PARAMETER = {kind: {"type": kind, "uniqueItems": True} for kind in ("string", "boolean", "integer")}


def _query_v3(query: tuple[str, str, str]) -> dict[str, Any]:
    name, kind, text = query
    return {"name": name, "in": "query", "description": text, "schema": _PARAMETER[kind]}


def _operation_v3(operation: Operation, tag: str) -> dict[str, Any]:
    answer = {"schema": {"$ref": _V3 + operation.answer} if operation.answer else {"type": "string"}}
    types = [*ANSWER_TYPES, *([WATCH_TYPE] if operation.action == "list" else [])] if operation.answer else ["*/*"]
    codes = _CODES.get(operation.action, ("200",))
    out = {
        "tags": [tag],
        "description": operation.description,
        "operationId": operation.name,
        "parameters": [_query_v3(query) for query in operation.query],
        "responses": {
            **{c: {"description": _TEXTS[c], "content": dict.fromkeys(types, answer)} for c in codes},
            "401": {"description": "Unauthorized"},
        },
        **_extensions(operation),
    }
    if operation.body:
        body = {"schema": {"$ref": _V3 + operation.body}}
        required = {"required": True} if operation.action in ("post", "put", "patch") else {}
        out["requestBody"] = {
            "content": dict.fromkeys(operation.patch_types if operation.action == "patch" else ("*/*",), body),
            **required,
        }
    return out
