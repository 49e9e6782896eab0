"""Status errors: how every refusal of the API is said, on the wire and inside.

One class per `reason` that callers tell apart. The API server raises them, both client transports raise the same
classes again on the caller's side, so `except NotFound` reads the same in-process and over HTTPS.

Source: k8s.io/apimachinery api/errors (reasons, codes and message forms).
"""

from typing import Any

Details = dict[str, Any]


class StatusError(Exception):
    """A refusal with its HTTP code, reason, message and `details` (a metav1.StatusDetails value or None)."""

    code = 500
    reason = "InternalError"

    def __init__(self, message: str, *, details: Details | None = None, code: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if code is not None:
            self.code = code
        if reason is not None:
            self.reason = reason

    def to_value(self) -> dict[str, Any]:
        """The metav1.Status object that goes over the wire."""
        value: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata(),
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            value["details"] = self.details
        return value

    def metadata(self) -> dict[str, Any]:
        """The Status's own ListMeta."""
        return {}

    @property
    def retry_after_s(self) -> int | None:
        return (self.details or {}).get("retryAfterSeconds")


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    code, reason = 403, "Forbidden"


class NotFound(StatusError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(StatusError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    """The precondition (resourceVersion or uid) does not hold any more: refetch and try again."""

    code, reason = 409, "Conflict"


class Expired(StatusError):
    """The revision asked for is compacted: list again, or, for a list in pages, go on with `continue_token` where there is one: the rest
    as it is now, which does not fit the pages before."""

    code, reason = 410, "Expired"
    continue_token = ""

    def metadata(self) -> dict[str, Any]:
        return {"continue": self.continue_token} if self.continue_token else {}


class TooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    """The object is well-formed but breaks a rule; `details["causes"]` has one entry per field path."""

    code, reason = 422, "Invalid"


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class ServerError(StatusError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    code, reason = 504, "Timeout"


_BY_REASON: dict[str, type[StatusError]] = {
    c.reason: c
    for c in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict, Expired, TooLarge,
        UnsupportedMediaType, Invalid, TooManyRequests, ServerError, ServiceUnavailable, Timeout,
    )
}  # fmt: skip
_BY_REASON["Gone"] = Expired
_BY_CODE: dict[int, type[StatusError]] = {c.code: c for c in reversed(list(_BY_REASON.values()))}


def from_value(code: int, value: Any) -> StatusError:
    """The error for a response that is not a success; `value` is the decoded body, a Status if the server is well-behaved."""
    if not isinstance(value, dict) or value.get("kind") != "Status":
        text = value if isinstance(value, str) else f"the server answered {code} without a Status"
        return _BY_CODE.get(code, StatusError)(text, code=code)
    reason = value.get("reason", "")
    cls = _BY_REASON.get(reason) or _BY_CODE.get(code, StatusError)
    error = cls(value.get("message", ""), details=value.get("details"), code=value.get("code", code), reason=reason or cls.reason)
    if isinstance(error, Expired):
        error.continue_token = (value.get("metadata") or {}).get("continue", "")
    return error


def resource_details(group: str, plural: str, name: str = "", uid: str = "") -> Details:
    return {k: v for k, v in (("name", name), ("group", group), ("kind", plural), ("uid", uid)) if v}


def qualified(group: str, plural: str) -> str:
    """`deployments.apps`, or `pods` for the core group: how messages name a resource."""
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> NotFound:
    return NotFound(f'{qualified(group, plural)} "{name}" not found', details=resource_details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> AlreadyExists:
    return AlreadyExists(f'{qualified(group, plural)} "{name}" already exists', details=resource_details(group, plural, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, plural: str, name: str, why: str = MODIFIED) -> Conflict:
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return Conflict(message, details=resource_details(group, plural, name))
