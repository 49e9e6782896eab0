"""Custom kinds: everything that one version of a CustomResourceDefinition says of its objects, compiled once.

A `CustomKind` answers what the write path asks of a kind (objects/kinds.py), and shows stored objects in its version: with today's defaults and
without the fields that its schema no longer names (`seen`). It is made anew when the definition changes and never changes itself, so whatever
is derived from it may be kept by its identity.

Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/registry/customresource/{strategy,validator}.go.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property

import orjson

from podium.objects import schema as schemas
from podium.objects.cause import Cause, invalid
from podium.objects.custom.embedded import OBJECT_META, conform_embedded, embedded_faults
from podium.objects.custom.json_paths import Find, compile_path
from podium.objects.custom.pruning import Clean, Fill, compile_clean, compile_fill, drop_nulls, prune
from podium.objects.custom.validity import EMBEDDED, Check, compile_check, has_rules
from podium.objects.custom.violations import ABSENT, repetitions, violations
from podium.objects.resources import Resource, Subresource
from podium.objects.schema import Schema
from podium.objects.structure import INT32_MAX, Findings, conform_part
from podium.objects.support import Review
from podium.objects.validation import metadata
from podium.objects.validation.faults import Faults
from podium.objects.values import Object, copy

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
SUBRESOURCE_VERBS = ("get", "patch", "update")

UNSETTLED = 1 << 63

_BLOCKING = ("FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueNotSupported", "FieldValueTypeInvalid")
"""With such a fault an object may not be what the rules take it for: they are not asked."""
_NOT_ASKED = Cause(
    "FieldValueInvalid",
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


class CustomKind:
    """`definition` is the CustomResourceDefinition (not changed afterwards), `version` the name of one of its versions."""

    def __init__(self, definition: Object, version: str) -> None:
        spec = definition["spec"]
        self.definition = definition
        self.group: str = spec["group"]
        self.version = version
        self.row: Object = next(v for v in spec["versions"] if v["name"] == version)
        self.names: Object = definition.get("status", {}).get("acceptedNames") or spec["names"]
        self.kind: str = self.names["kind"]
        self.singular: str = self.names.get("singular") or self.kind.lower()
        self.list_kind: str = self.names.get("listKind") or self.kind + "List"
        self.api_version = f"{self.group}/{version}"
        self.storage_version: str = next(v["name"] for v in spec["versions"] if v.get("storage"))
        self.converts_by_webhook: bool = (spec.get("conversion") or {}).get("strategy") == "Webhook"
        subresources = self.row.get("subresources") or {}
        self.has_status = "status" in subresources
        self.scale: Object | None = subresources.get("scale")
        self.terminating = False
        """Being deleted with its definition: nothing is created any more."""
        self.settled_revision = UNSETTLED
        """Objects written after it are stored as this version shows them."""
        self.node: Object = (self.row.get("schema") or {}).get("openAPIV3Schema") or {}

    # Compiled when first needed: a restart with hundreds of definitions must not wait for them.

    @cached_property
    def _clean(self) -> Clean | None:
        return compile_clean(self.node, root=True)

    @cached_property
    def _fill(self) -> Fill | None:
        return compile_fill(self.node)

    @cached_property
    def _valid(self) -> Check:
        return compile_check(self.node)

    @cached_property
    def _embeds(self) -> bool:
        return EMBEDDED.encode() in orjson.dumps(self.node)

    @cached_property
    def _rules(self) -> Callable[[Object, Object | None], list[Cause]] | None:
        if not has_rules(self.node):
            return None
        from podium.objects.custom.rules import compile_rules

        return compile_rules(self.node)

    @property
    def is_storage(self) -> bool:
        return self.version == self.storage_version

    @property
    def deprecation(self) -> str:
        """The warning of a version that should not be used any more; empty for others."""
        if not self.row.get("deprecated"):
            return ""
        return self.row.get("deprecationWarning") or f"{self.api_version} {self.kind} is deprecated"

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(orjson.dumps([self.definition["metadata"].get("uid"), self.names, self.row])).hexdigest()

    def __repr__(self) -> str:
        return f"CustomKind({self.api_version} {self.kind} {self.fingerprint})"

    def resource(self) -> Resource:
        spec = self.definition["spec"]
        subresources = []
        if self.scale is not None:
            subresources.append(Subresource("scale", "autoscaling", "v1", "Scale", SUBRESOURCE_VERBS))
        if self.has_status:
            subresources.append(Subresource("status", self.group, self.version, self.kind, SUBRESOURCE_VERBS))
        return Resource(
            self.group, self.version, self.names["plural"], self.kind, spec["scope"] == "Namespaced", VERBS, tuple(subresources),
            tuple(self.names.get("shortNames") or ()), tuple(self.names.get("categories") or ()), custom=self,
        )  # fmt: skip

    @cached_property
    def schema(self) -> Schema:
        """The schema as apply and managedFields read it: with the metadata that every object has."""
        own = self.node.get("properties", {})
        text = {"type": "string"}
        fields = {**own, "apiVersion": text, "kind": text, "metadata": {"$ref": "#/definitions/" + OBJECT_META}}
        return Schema({**self.node, "type": "object", "properties": fields})

    @cached_property
    def selectable(self) -> Mapping[str, Callable[[Object], str]]:
        """The readers of the selectable fields, by path."""
        return {path[1:]: _reader(path) for field in self.row.get("selectableFields") or () if (path := field["jsonPath"])}

    # Kind (objects/kinds.py)

    def conform(self, value: Object) -> Findings:
        """Metadata as of every object; the rest pruned. Types are for `validate_*`."""
        findings = Findings()
        if "metadata" in value:
            conform_part(value["metadata"], schemas.named(OBJECT_META), "metadata", findings)
        if self._embeds:
            conform_embedded(value, self.node, "", findings)
        if self._clean is not None and not self._clean(value):
            self._mend(value, findings)
        return findings

    def _mend(self, value: Object, findings: Findings) -> None:
        self.default(value)
        for name, below in self.node.get("properties", {}).items():
            if name in value and value[name] is None and not below.get("nullable"):
                del value[name]
        drop_nulls(value, self.node)
        for path in prune(value, self.node):
            findings.add_unknown(path)

    def default(self, value: Object) -> None:
        if self._fill is not None:
            self._fill(value)

    def validate_create(self, resource: Resource, value: Object) -> list[Cause]:
        faults = Faults()
        metadata.check_create(faults, resource, value)
        faults += self._validate(value, None)
        return faults

    def validate_update(self, resource: Resource, new: Object, old: Object, subresource: str = "") -> list[Cause]:
        faults = Faults()
        metadata.check_update(faults, resource, new, old)
        faults += self._validate(new, old)
        return faults

    def _validate(self, new: Object, old: Object | None) -> list[Cause]:
        found: list[Cause] = []
        valid = self._valid(new)
        if not valid:
            found += violations(self.node, new, old if old is not None else ABSENT)
        found += self._scale_faults(new)
        if self._embeds:
            found += embedded_faults(self.node, new)
        if not valid and (repeated := repetitions(self.node, new)) and not (old is not None and repetitions(self.node, old)):
            found += repeated
        if self._rules is None:
            return found
        if any(c.reason in _BLOCKING for c in found):
            return [*found, _NOT_ASKED]
        return [*found, *self._rules(new, old)]

    def _scale_faults(self, value: Object) -> list[Cause]:
        found: list[Cause] = []
        for path in (self.scale["specReplicasPath"], self.scale["statusReplicasPath"]) if self.scale is not None else ():
            for number in compile_path(path)(value):
                if type(number) is int and number < 0:
                    found.append(invalid(path, number, "should be a non-negative integer"))
                elif type(number) is int and number > INT32_MAX:
                    found.append(invalid(path, number, f"should be less than or equal to {INT32_MAX}"))
        return found

    def review(self, resource: Resource, new: Object, old: Object | None = None) -> Review:
        return Review()

    # Stored objects

    def seen(self, stored: Object) -> Object:
        """A stored object in this version, by the conversion that changes nothing but the apiVersion. The same object when that is what it is."""
        if stored["apiVersion"] == self.api_version and self._fill is None and (self._clean is None or self._clean(stored)):
            return stored
        return self.current({**copy(stored), "apiVersion": self.api_version}, stored)

    def current(self, value: Object, stored: Object | None = None) -> Object:
        """`value` (changed in place) with today's defaults and fields; `stored` itself when both are equal."""
        if self._clean is not None and not self._clean(value):
            self._mend(value, Findings())
        else:
            self.default(value)
        return stored if stored is not None and value == stored else value


def _reader(path: str) -> Callable[[Object], str]:
    find: Find = compile_path(path)

    def read(value: Object) -> str:
        found = find(value)
        if not found or found[0] is None:
            return ""
        return found[0] if isinstance(found[0], str) else orjson.dumps(found[0]).decode()

    return read
