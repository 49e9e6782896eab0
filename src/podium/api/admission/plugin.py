"""What an admission plugin is, and what it may ask.

A plugin has up to two parts. `mutate` may change `new` in place and runs before validation; `validate` looks at the final object and runs
after it, just before the write. Either refuses by raising a StatusError. `mutate` must be idempotent: it runs again when a webhook has
changed the object after it.

Source: k8s.io/apiserver pkg/admission (interfaces.go, errors.go).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.resources import Resource
from podium.objects.status import Forbidden, qualified, resource_details

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


class Hold(Protocol):
    """Something that was taken for a write before it is made: `undo` when it fails, `keep` when it is done."""

    def undo(self) -> None: ...
    def keep(self) -> None: ...


Mutate = Callable[[Core, Request, Object, Object | None], Awaitable[None]]
"""(core, request, new, old): old is None for a creation."""

Validate = Callable[[Core, Request, Object | None, Object | None], Awaitable[None]]
"""(core, request, new, old): new is None for a deletion, both are for a connection."""

Plan = tuple[tuple[Mutate, ...], tuple[Validate, ...]]
"""Who is asked about one kind of write: those that may change it, those that may refuse it."""

Concerns = Callable[[Operation, Resource, str], bool]
"""(operation, resource, subresource): whether the plugin is asked at all. Its answer is remembered."""


@dataclass(frozen=True, slots=True)
class Plugin:
    name: str
    concerns: Concerns
    mutate: Mutate | None = None
    validate: Validate | None = None


def on(operations: str, *names: str, subresources: tuple[str, ...] = ("",)) -> Concerns:
    """Concerned with these operations (`CREATE UPDATE`) on these resources, named `pods` or `deployments.apps`."""
    wanted = operations.split()

    def concerns(operation: Operation, resource: Resource, subresource: str) -> bool:
        return operation in wanted and subresource in subresources and qualified(resource.group, resource.plural) in names

    return concerns


def operation_of(new: Object | None, old: Object | None) -> Operation:
    if new is None:
        return "DELETE" if old is not None else "CONNECT"
    return "CREATE" if old is None else "UPDATE"


def forbidden(request: Request, why: str) -> Forbidden:
    """`pods "x" is forbidden: WHY`."""
    what = qualified(request.resource.group, request.resource.plural)
    details = resource_details(request.resource.group, request.resource.plural, request.name)
    return Forbidden(f'{what} "{request.name}" is forbidden: {why}', details=details)


def together(reasons: list[str]) -> str:
    """Several reasons in one message, as Go's aggregated errors are written."""
    unique = list(dict.fromkeys(reasons))
    return unique[0] if len(unique) == 1 else "[" + ", ".join(unique) + "]"
