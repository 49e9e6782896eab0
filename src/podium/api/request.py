"""What a request asks for, whichever transport it came by, and what the verbs answer.

`Request` is made by the front (HTTPS or in-process) and travels through the pipeline; each stage reads it and may refuse by raising a
StatusError. The answer is one of the result classes; the front renders it (bytes for the wire, values in-process).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from podium.objects.cause import Cause, invalid_error, not_supported
from podium.objects.resources import Resource
from podium.objects.status import BadRequest, Invalid, StatusError
from podium.store.record import Record

if TYPE_CHECKING:
    from podium.api.audit_log import AuditEvent

Object = dict[str, Any]


OWN_PARTS = ("approval", "ephemeralcontainers", "resize")
"""Subresources that are a part of the object, beside its status: `Strategy.prepare_part` is their door."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `groups` includes system:authenticated for everyone but anonymous."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Request:
    """`verb` is the API's (get, list, watch, create, update, patch, delete, deletecollection, connect). `value` is the decoded body, owned by
    the request: stages may change it. `options` are the query parameters, the last value of each. `patch_type` only for patch. `missing`
    are required fields that the object lacks, kept until validation has found the rest."""

    verb: str
    resource: Resource
    user: User
    namespace: str | None = None
    name: str = ""
    subresource: str = ""
    value: Any = None
    options: Mapping[str, str] = field(default_factory=dict)
    patch_type: str = ""
    duplicates: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: list[Cause] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    audit: "AuditEvent | None" = None
    refusal: StatusError | None = None
    user_agent: str = ""
    audit_id: str = ""

    def annotate(self, key: str, text: str) -> None:
        """Something that the audit log tells of this request; the first word stays."""
        self.annotations.setdefault(key, text)

    def warn(self, text: str) -> None:
        """Goes back to the client in a Warning header, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    @property
    def dry_run(self) -> bool:
        option = self.options.get("dryRun", "")
        if option not in ("", "All"):
            raise self.bad_option("dryRun", option, ("All",))
        return option == "All"

    def bad_option(self, name: str, value: str, supported: Sequence[str]) -> Invalid:
        """Upstream reads the options of a write as an object of their own."""
        kind = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}.get(self.verb, "DeleteOptions")
        return invalid_error("meta.k8s.io", kind, "", [not_supported(name, value, supported)])

    def flag(self, name: str) -> bool:
        """A boolean query parameter, as Go parses one."""
        text = self.options.get(name)
        if text is None:
            return False
        if text in ("", "1", "t", "T", "true", "True", "TRUE"):
            return True
        if text in ("0", "f", "F", "false", "False", "FALSE"):
            return False
        raise BadRequest(f'strconv.ParseBool: parsing "{text}": invalid syntax')

    def number(self, name: str) -> int:
        """A non-negative integer query parameter, 0 when absent."""
        text = self.options.get(name, "")
        if not text:
            return 0
        if not text.isdecimal():
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object: a stored record, or a value that is stored nowhere (dry run, scale, tokens)."""

    record: Record | None = None
    value: Object | None = None
    status: int = 200

    def to_value(self) -> Object:
        if self.record is not None:
            return self.record.value
        assert self.value is not None
        return self.value


@dataclass(frozen=True, slots=True)
class ListResult:
    records: list[Record]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


Result = ObjectResult | ListResult
