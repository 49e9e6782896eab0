"""Authorization checks in expressions: authorizer.group('apps').resource('deployments').check('create').allowed().

Whoever evaluates binds `authorizer` to `Authorizer(decide)`; `decide` gets the `Question` and says allowed and why. It must not wait.
Source: k8s.io/apiserver pkg/cel/library/authz.go.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from podium.objects import names
from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member
from podium.objects.cel.types import BOOL, STRING, opaque

AUTHORIZER = opaque("kubernetes.authorization.Authorizer")
PATH_CHECK = opaque("kubernetes.authorization.PathCheck")
GROUP_CHECK = opaque("kubernetes.authorization.GroupCheck")
RESOURCE_CHECK = opaque("kubernetes.authorization.ResourceCheck")
DECISION = opaque("kubernetes.authorization.Decision")


@dataclass(frozen=True, slots=True)
class Question:
    """May the user (of the request, or the service account NAMESPACE/NAME) do this? `path` for what is no resource."""

    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    service_account: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    cel_type: ClassVar[str] = DECISION.name
    allowed: bool
    reason: str = ""
    error: str = ""


Decide = Callable[[Question], Decision]


@dataclass(frozen=True, slots=True)
class Authorizer:
    cel_type: ClassVar[str] = AUTHORIZER.name
    decide: Decide
    service_account: str = ""


@dataclass(frozen=True, slots=True)
class _Check:
    decide: Decide
    question: Question


class PathCheck(_Check):
    __slots__ = ()
    cel_type = PATH_CHECK.name


class GroupCheck(_Check):
    __slots__ = ()
    cel_type = GROUP_CHECK.name


class ResourceCheck(_Check):
    __slots__ = ()
    cel_type = RESOURCE_CHECK.name


def _path(authorizer: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise CelRuntimeError("path must not be empty")
    return PathCheck(authorizer.decide, Question(path=path, service_account=authorizer.service_account))


def _group(authorizer: Authorizer, group: str) -> GroupCheck:
    return GroupCheck(authorizer.decide, Question(group=group, service_account=authorizer.service_account))


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if faults := names.dns_subdomain(name):
        raise CelRuntimeError(f"Invalid service account name: {', '.join(faults)}")
    if faults := names.dns_label(namespace):
        raise CelRuntimeError(f"Invalid service account namespace: {', '.join(faults)}")
    return Authorizer(authorizer.decide, f"{namespace}/{name}")


def _resource(check: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise CelRuntimeError("resource must not be empty")
    return ResourceCheck(check.decide, replace(check.question, resource=resource))


def _with(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def run(check: ResourceCheck, value: str) -> ResourceCheck:
        changed: dict[str, Any] = {field: value}
        return ResourceCheck(check.decide, replace(check.question, **changed))

    return run


def _check(check: _Check, verb: str) -> Decision:
    return check.decide(replace(check.question, verb=verb))


_ON_RESOURCE = {
    "subresource": "subresource", "namespace": "namespace", "name": "name",
    "fieldSelector": "field_selector", "labelSelector": "label_selector",
}  # fmt: skip

OVERLOADS: list[Overload] = [
    member("path", (AUTHORIZER, STRING), PATH_CHECK, _path),
    member("group", (AUTHORIZER, STRING), GROUP_CHECK, _group),
    member("serviceAccount", (AUTHORIZER, STRING, STRING), AUTHORIZER, _service_account),
    member("resource", (GROUP_CHECK, STRING), RESOURCE_CHECK, _resource),
    *(member(name, (RESOURCE_CHECK, STRING), RESOURCE_CHECK, _with(field)) for name, field in _ON_RESOURCE.items()),
    member("check", (PATH_CHECK, STRING), DECISION, _check, costs.AUTHORIZATION),
    member("check", (RESOURCE_CHECK, STRING), DECISION, _check, costs.AUTHORIZATION),
    member("allowed", (DECISION,), BOOL, lambda d: d.allowed),
    member("reason", (DECISION,), STRING, lambda d: d.reason),
    member("errored", (DECISION,), BOOL, lambda d: bool(d.error)),
    member("error", (DECISION,), STRING, lambda d: d.error),
]
TYPES = (AUTHORIZER, PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK, DECISION)
