"""Bodies that are asked and answered, and stored nowhere: reviews and token requests.

They have the same front as stored objects (kind and version from the URL, types, unknown fields by fieldValidation) and nothing behind it.
"""

from typing import Any

from podium.api.request import Request
from podium.objects import defaults, structure
from podium.objects.cause import Cause, invalid_error
from podium.objects.status import BadRequest

Object = dict[str, Any]
WARNINGS_MAX = 50


def take(request: Request, group: str, version: str, kind: str) -> Object:
    """The request's body, known to have the structure of `kind`. Raises BadRequest and Invalid."""
    value = request.value
    if not isinstance(value, dict):
        raise BadRequest("the request body must be an object")
    api_version = f"{group}/{version}" if group else version
    given_version, given_kind = value.setdefault("apiVersion", api_version), value.setdefault("kind", kind)
    if given_version != api_version:
        raise BadRequest(f"the API version in the data ({given_version}) does not match the expected API version ({api_version})")
    if given_kind != kind:
        text = f'{given_kind} in version "{version}" cannot be handled as a {kind}'
        raise BadRequest(f"{text}: the kind in the data does not match the expected kind ({kind})")
    findings = structure.conform(value, api_version, kind)
    _judge_strange(request, version, kind, [*request.duplicates, *findings.unknown])
    if findings.causes:
        raise refusal(group, kind, value, findings.causes)
    defaults.apply(value, api_version, kind)
    return value


def refusal(group: str, kind: str, value: Object, causes: list[Cause]) -> Exception:
    metadata = value.get("metadata")
    return invalid_error(group, kind, metadata.get("name", "") if isinstance(metadata, dict) else "", causes)


def _judge_strange(request: Request, version: str, kind: str, strange: list[str]) -> None:
    mode = request.options.get("fieldValidation", "Warn") or "Warn"
    if strange and mode == "Strict":
        head = f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: '
        raise BadRequest(head + ", ".join(strange))
    if mode == "Warn":
        for text in strange[:WARNINGS_MAX]:
            request.warn(text)
