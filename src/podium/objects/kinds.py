"""Kinds: what the write path asks of a resource's kind, whoever defined it.

`BuiltinKind` answers from the extracted schemas and our tables of rules, `custom.kind.CustomKind` from a CustomResourceDefinition. Nothing else
tells the two apart.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Protocol

from podium.objects import defaults, schema, structure, support, validation
from podium.objects.cause import Cause
from podium.objects.schema import Schema
from podium.objects.structure import Findings
from podium.objects.support import Review
from podium.objects.values import Object

if TYPE_CHECKING:
    from podium.objects.resources import Resource


class Kind(Protocol):
    """`conform` and `default` work in place. `subresource` is empty for the object itself."""

    def conform(self, value: Object) -> Findings: ...
    def default(self, value: Object) -> None: ...
    def validate_create(self, resource: "Resource", value: Object) -> list[Cause]: ...
    def validate_update(self, resource: "Resource", new: Object, old: Object, subresource: str = "") -> list[Cause]: ...
    def review(self, resource: "Resource", new: Object, old: Object | None = None) -> Review: ...


class BuiltinKind:
    def __init__(self, api_version: str, kind: str) -> None:
        self._api_version = api_version
        self._kind = kind
        self.validate_create: Callable[[Resource, Object], list[Cause]] = validation.validate_create
        self.validate_update = validation.validate_update
        self.review = support.review

    def conform(self, value: Object) -> Findings:
        return structure.conform(value, self._api_version, self._kind)

    def default(self, value: Object) -> None:
        defaults.apply(value, self._api_version, self._kind)


@cache
def _builtin(api_version: str, kind: str) -> BuiltinKind:
    return BuiltinKind(api_version, kind)


def kind_of(resource: "Resource") -> Kind:
    return resource.custom or _builtin(resource.api_version, resource.kind)


def schema_of(resource: "Resource", api_version: str) -> Schema:
    """The schema of an object of the resource that is in `api_version` (its own, or that which its objects are stored in)."""
    return resource.custom.schema if resource.custom is not None else schema.load(api_version, resource.kind)
