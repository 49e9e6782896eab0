"""Schemas: what fields a kind has, of what type, and how its lists merge.

Theory: the build extracts upstream's OpenAPI v2 definitions, one a line (`generated/schemas.lines`, see tools/extract_schemas.py). A line
is decoded when a kind first reaches it, and a `Schema` node resolves its children when they are first asked for, so a process pays
only for the kinds it meets, and recursive definitions (JSONSchemaProps) cost nothing. Texts are in a compressed file of their own.

Invariants: nodes are immutable and shared; `load` of one kind always gives the same node. A `$ref` never shows: a node is the definition
with the referring field's own extensions (merge strategy, description) laid over it.

Source: the published OpenAPI v2 of the served version; field extensions as in k8s.io/kube-openapi.
"""

import hashlib
import lzma
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import resources as package_files
from typing import Any

import orjson

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_REFERENCE = "#/definitions/"
_KEY_DEFAULTS = {"protocol": "TCP"}
"""Where the documents leave out the default that the API gives a key field."""

_ANY = frozenset(
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1." + name
    for name in ("JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")
) | {
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
}
"""Definitions whose content is free: Go types with a decoder of their own."""

_ATOMIC = frozenset({
    QUANTITY,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
})  # fmt: skip


class Schema:
    """One node: a kind, a field, a list's item or a map's value."""

    def __init__(self, node: Mapping[str, Any], owner: str = "", field: str = "") -> None:
        """`owner`, `field`: the definition and field this node describes, where its text is found."""
        self.definition = ""
        """The name of the definition it refers to or is; empty for an inline node."""
        self._texts = [(owner, field)] if owner else []
        reference = node.get("$ref", "")
        if reference:
            self.definition = reference.removeprefix(_REFERENCE)
            node = {**definition(self.definition), **node}
            self._texts.append((self.definition, ""))
        elif not field:
            self.definition = owner
        self._node = node
        self.type: str = node.get("type", "")
        """string, integer, number, boolean, array, object; empty: anything."""
        self.format: str = node.get("format", "")
        """int32, int64, double, byte, date-time, int-or-string or empty."""
        self.required: tuple[str, ...] = tuple(node.get("required", ()))
        self.merge_key: str = node.get("x-kubernetes-patch-merge-key", "")
        self.merge_strategy: str = node.get("x-kubernetes-patch-strategy", "")
        """merge, replace, retainKeys, `merge,retainKeys`, or empty: upstream's patchStrategy."""
        self.list_type: str = node.get("x-kubernetes-list-type", "")
        """atomic, set, map or empty."""
        self.list_map_keys: tuple[str, ...] = tuple(node.get("x-kubernetes-list-map-keys", ()))
        self.map_type: str = node.get("x-kubernetes-map-type", "")
        self.int_or_string: bool = self.format == "int-or-string"
        self.quantity: bool = self.definition == QUANTITY

    @property
    def preserve_unknown(self) -> bool:
        """Whatever is inside is kept as it is: no fields are declared and none are unknown."""
        return self.definition in _ANY or bool(self._node.get("x-kubernetes-preserve-unknown-fields"))

    @property
    def group_version_kinds(self) -> tuple[tuple[str, str, str], ...]:
        return tuple((g["group"], g["version"], g["kind"]) for g in self._node.get("x-kubernetes-group-version-kind", ()))

    @property
    def description(self) -> str:
        """The field's own text, else that of the definition it refers to."""
        return next((text for owner, field in self._texts if (text := descriptions().get(owner, {}).get(field, ""))), "")

    @cached_property
    def properties(self) -> Mapping[str, "Schema"]:
        """The declared fields by name; empty for anything but an object with fields."""
        fields: Mapping[str, Any] = self._node.get("properties", {})
        return {name: Schema(node, self.definition, name) for name, node in fields.items()}

    @cached_property
    def items(self) -> "Schema | None":
        """The item's node of an array."""
        return Schema(self._node["items"]) if "items" in self._node else None

    @cached_property
    def key_defaults(self) -> Mapping[str, Any]:
        """What absent key fields of a list's items stand for."""
        fields = self.items.properties if self.items is not None else {}
        found = {k: fields[k]._node.get("default", _KEY_DEFAULTS.get(k)) for k in self.list_map_keys if k in fields}
        return {k: default for k, default in found.items() if default is not None}

    @cached_property
    def additional(self) -> "Schema | None":
        """The value's node of a map."""
        node = self._node.get("additionalProperties")
        return Schema(node) if isinstance(node, dict) else None

    @cached_property
    def granular(self) -> bool:
        """Whether the fields of a value that is an object are managed one by one: a struct or a map that is not atomic."""
        if self.map_type == "atomic" or self.definition in _ATOMIC:
            return False
        return bool(self.properties) or self.additional is not None or self.preserve_unknown or not self.definition

    def at(self, *path: str) -> "Schema | None":
        """The node below, by field names; a list is passed through to its items, a map's key is any name."""
        node: Schema | None = self
        for name in path:
            while node is not None and node.items is not None:
                node = node.items
            if node is None:
                return None
            node = node.properties.get(name) or node.additional
        return node

    def __repr__(self) -> str:
        return f"Schema({self.definition or self.type})"


def load(api_version: str, kind: str) -> Schema:
    """The schema of a kind of the served version. Raises KeyError when there is none."""
    return named(kinds()[api_version, kind])


@cache
def named(name: str) -> Schema:
    """The schema of a definition: `io.k8s.api.core.v1.PodSpec`. Raises KeyError."""
    return Schema(definition(name), owner=name)


@cache
def kinds() -> Mapping[tuple[str, str], str]:
    """(apiVersion, kind) -> definition name, of every kind that has exactly one definition."""
    found: dict[tuple[str, str], str] = {}
    for name in _lines():
        for group, version, kind in _own_kinds(name):
            found[f"{group}/{version}" if group else version, kind] = name
    return found


def _own_kinds(name: str) -> list[tuple[str, str, str]]:
    """A definition's kinds; only its first when many groups share it (DeleteOptions, WatchEvent: then the core one)."""
    if b"x-kubernetes-group-version-kind" not in _lines()[name]:
        return []
    rows = definition(name)["x-kubernetes-group-version-kind"]
    every = [(row["group"], row["version"], row["kind"]) for row in rows]
    return every if len(every) == 1 else [row for row in every if row[:2] == ("", "v1")]


@cache
def definition(name: str) -> Mapping[str, Any]:
    """One definition as OpenAPI v2 has it, without texts. Shared: do not change it. Raises KeyError."""
    node: dict[str, Any] = orjson.loads(_lines()[name])
    return node


def definition_names() -> list[str]:
    """Every definition there is, sorted."""
    return sorted(_lines())


@cache
def fingerprint() -> str:
    """Names the content of the extracted schemas."""
    return hashlib.sha256((package_files.files("podium.objects") / "generated" / "schemas.lines").read_bytes()).hexdigest()


@cache
def descriptions() -> Mapping[str, Mapping[str, str]]:
    """definition -> {"": its text, field: the field's text}. Some 2 MB decoded: for documents and `explain` only."""
    packed = (package_files.files("podium.objects") / "generated" / "descriptions.lines.xz").read_bytes()
    return {name: orjson.loads(text) for name, text in _split(lzma.decompress(packed)).items()}


@cache
def _lines() -> dict[str, bytes]:
    return _split((package_files.files("podium.objects") / "generated" / "schemas.lines").read_bytes())


def _split(text: bytes) -> dict[str, bytes]:
    rows = (line.partition(b"\t") for line in text.splitlines())
    return {name.decode(): rest for name, _, rest in rows}
