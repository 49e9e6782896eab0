"""Which options of a list or a watch go together. Pure.

Source: k8s.io/apimachinery apis/meta/internalversion/validation (ValidateListOptions), messages included.
"""

from podium.api.request import Request
from podium.objects.cause import Cause, forbidden, invalid_error, not_supported

MATCHES = ("Exact", "NotOlderThan", "")
_MATCH = "resourceVersionMatch"


def check(request: Request) -> None:
    """Raises Invalid, BadRequest for a flag that is none."""
    options = request.options
    if _MATCH not in options and "sendInitialEvents" not in options:
        return
    causes = _of_watch(request) if request.verb == "watch" else _of_list(request)
    if causes:
        raise invalid_error("meta.k8s.io", "ListOptions", "", causes)


def _of_list(request: Request) -> list[Cause]:
    options, match = request.options, request.options.get(_MATCH, "")
    causes = []
    if match:
        version = options.get("resourceVersion", "")
        if not version:
            causes.append(forbidden(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided"))
        if options.get("continue"):
            causes.append(forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided"))
        if match not in MATCHES:
            causes.append(not_supported(_MATCH, match, MATCHES))
        if match == "Exact" and version == "0":
            causes.append(forbidden(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in options:
        causes.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _of_watch(request: Request) -> list[Cause]:
    match = request.options.get(_MATCH, "")
    if "sendInitialEvents" in request.options:
        request.flag("sendInitialEvents")
        if not match:
            return [forbidden(_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")]
        return [] if match == "NotOlderThan" else [not_supported(_MATCH, match, ("NotOlderThan",))]
    return [forbidden(_MATCH, f"{_MATCH} is forbidden for watch unless sendInitialEvents is provided")] if match else []
