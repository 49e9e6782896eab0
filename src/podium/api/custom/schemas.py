"""Schemas of custom kinds, as the OpenAPI documents publish them.

Version 3 says all that the definition says. Version 2 cannot say everything, and its readers refuse what they do not know: combinations of
schemas go, and where unknown fields are preserved or null is allowed, nothing is said at all.

Source: apiextensions-apiserver pkg/controller/openapi/{builder,v2}.
"""

from collections.abc import Mapping
from typing import Any

from podium.api.openapi_paths import META, definition_names
from podium.objects import schema
from podium.objects.custom.pruning import PRESERVE
from podium.objects.custom.validity import EMBEDDED, INT_OR_STRING
from podium.objects.resources import Resource

Node = dict[str, Any]

OBJECT_META, LIST_META = META + "ObjectMeta", META + "ListMeta"
REFERRED = (OBJECT_META, LIST_META)
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_METADATA_TEXT = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_COMBINATIONS = ("allOf", "anyOf", "oneOf", "not")
_ONLY_V3 = (*_COMBINATIONS, "nullable", "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields", EMBEDDED, INT_OR_STRING)


def definitions_v3(resource: Resource) -> dict[str, Node]:
    def metadata(name: str) -> Node:
        return {"description": _METADATA_TEXT, "allOf": [{"$ref": "#/components/schemas/" + name}]}

    return _definitions(resource, "#/components/schemas/", metadata(OBJECT_META), metadata(LIST_META), _node_v3(resource))


def definitions_v2(resource: Resource) -> dict[str, Node]:
    def metadata(name: str) -> Node:
        return {"description": _METADATA_TEXT, "$ref": "#/definitions/" + name}

    assert resource.custom is not None
    return _definitions(resource, "#/definitions/", metadata(OBJECT_META), metadata(LIST_META), _node_v2(resource.custom.node, root=True))


def _definitions(resource: Resource, root: str, object_meta: Node, list_meta: Node, node: Node) -> dict[str, Node]:
    name, list_name = definition_names(resource)
    texts = schema.descriptions().get("io.k8s.api.core.v1.ConfigMap", {})
    head: Node = {"apiVersion": _text(texts["apiVersion"]), "kind": _text(texts["kind"])}
    own: Node = {**node, "type": "object", "x-kubernetes-group-version-kind": [_gvk(resource, resource.kind)]}
    if "properties" in node or not node.get(PRESERVE):
        own["properties"] = {**node.get("properties", {}), **head, "metadata": object_meta}
    items = {"description": f"List of {resource.plural}. More info: {_CONVENTIONS}", "type": "array", "items": {"$ref": root + name}}
    listed: Node = {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {**head, "items": items, "metadata": list_meta},
        "x-kubernetes-group-version-kind": [_gvk(resource, resource.list_kind)],
    }
    return {name: own, list_name: listed}


def _text(description: str) -> Node:
    return {"description": description, "type": "string"}


def _gvk(resource: Resource, kind: str) -> dict[str, str]:
    return {"group": resource.group, "kind": kind, "version": resource.version}


def _node_v3(resource: Resource) -> Node:
    assert resource.custom is not None
    return resource.custom.node


def _node_v2(node: Mapping[str, Any], *, root: bool = False) -> Node:
    out: Node = {k: v for k, v in node.items() if k not in _ONLY_V3}
    if node.get("nullable") or node.get(INT_OR_STRING) or node.get(PRESERVE):
        for name in ("type", "items", "properties", "additionalProperties", "required"):
            out.pop(name, None)
        if node.get(INT_OR_STRING):
            out[INT_OR_STRING] = True
        if node.get(PRESERVE):
            out[PRESERVE] = True
        if root:
            out["type"] = "object"
        return out
    if "properties" in node:
        out["properties"] = {name: _node_v2(below) for name, below in node["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), Mapping):
            out[name] = _node_v2(node[name])
    return out
