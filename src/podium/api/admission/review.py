"""AdmissionReview: the question to a webhook, and what its answer means.

In version v1, or in v1beta1 for webhooks that know no other: the same fields, answered less strictly. Pure.

Source: k8s.io/apiserver pkg/admission/plugin/webhook/request/admissionreview.go, webhook/errors/statuserror.go.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import orjson

from podium.api.request import Request
from podium.objects.resources import Resource
from podium.objects.status import StatusError, from_value
from podium.objects.values import Object

_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
_QUERY_OPTIONS = ("fieldManager", "fieldValidation")


class BadAnswer(Exception):
    """The webhook answered something that is no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    allowed: bool
    patch: list[Object] | None = None
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    result: Object = field(default_factory=dict)


def question(
    uid: str, request: Request, operation: str, form: Resource, kind: tuple[str, str, str], new: Object | None, old: Object | None,
    version: str = "v1",
) -> Object:  # fmt: skip
    """`form` is the resource in whose version the objects are shown; `kind` (group, version, kind) what they are; `version` the review's."""
    user = request.user
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if extra := getattr(user, "extra", None):
        info["extra"] = {key: list(values) for key, values in dict(extra).items()}
    original = request.resource
    asked: Object = {
        "uid": uid,
        "kind": dict(zip(("group", "version", "kind"), kind, strict=True)),
        "resource": {"group": form.group, "version": form.version, "resource": form.plural},
        "requestKind": {"group": kind[0], "version": kind[1], "kind": kind[2]}
        if form == original
        else {"group": original.group, "version": original.version, "kind": original.kind},
        "requestResource": {"group": original.group, "version": original.version, "resource": original.plural},
        "name": request.name,
        "operation": operation,
        "userInfo": info,
        "object": new,
        "oldObject": old,
        "dryRun": request.dry_run,
        "options": _options(request, operation),
    }
    if request.namespace:
        asked["namespace"] = request.namespace
    elif original.plural == "namespaces" and not original.group:
        asked["namespace"] = request.name
    if request.subresource:
        asked["subResource"] = asked["requestSubResource"] = request.subresource
    return {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": asked}


def _options(request: Request, operation: str) -> Object | None:
    if operation not in _OPTIONS:
        return None
    options: Object = {"kind": _OPTIONS[operation], "apiVersion": "meta.k8s.io/v1"}
    if operation == "DELETE":
        if isinstance(request.value, dict):
            options |= {k: v for k, v in request.value.items() if k not in ("kind", "apiVersion")}
    else:
        options |= {name: request.options[name] for name in _QUERY_OPTIONS if request.options.get(name)}
    if request.dry_run:
        options["dryRun"] = ["All"]
    return options


def answer(uid: str, value: Any, *, mutating: bool, version: str = "v1") -> Answer:
    """To a question in `version`. Raises BadAnswer."""
    if not isinstance(value, dict) or not isinstance(value.get("response"), dict):
        raise BadAnswer("webhook response was absent")
    response = value["response"]
    given = f"{value.get('apiVersion') or ''}, Kind={value.get('kind') or ''}"
    expected = f"admission.k8s.io/{version}, Kind=AdmissionReview"
    if version == "v1beta1":  # there it need not say what it is, nor which question it answers, nor what kind of patch it has
        if given not in (expected, ", Kind="):
            raise BadAnswer(f"expected webhook response of {expected}, got {given}")
        if mutating and response.get("patch") and response.get("patchType") is None:
            response = {**response, "patchType": "JSONPatch"}
    else:
        if response.get("uid") != uid:
            raise BadAnswer(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
        if given != expected:
            raise BadAnswer(f"expected webhook response of {expected}, got {given}")
        if not mutating:
            _check_no_patch(response)
    patch = _patch(response) if mutating else None
    warnings = [str(w) for w in response.get("warnings") or ()]
    annotations = {str(k): str(v) for k, v in (response.get("auditAnnotations") or {}).items()}
    status = response.get("status")
    return Answer(response.get("allowed") is True, patch, warnings, annotations, status if isinstance(status, dict) else {})


def _check_no_patch(response: Object) -> None:
    for field_name in ("patch", "patchType"):
        if response.get(field_name):
            raise BadAnswer(f"validating webhook may not return response.{field_name}")


def _patch(response: Object) -> list[Object] | None:
    text, kind = response.get("patch"), response.get("patchType")
    if text and kind is None:
        raise BadAnswer("webhook returned response.patch but not response.patchType")
    if not text and kind is not None:
        raise BadAnswer("webhook returned response.patchType but not response.patch")
    if not text:
        return None
    if kind != "JSONPatch":
        raise BadAnswer(f'unsupported patch type "{kind}"')
    try:
        patch = orjson.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise BadAnswer(f"received undecodable patch in webhook response: {error}") from error
    if not isinstance(patch, list):
        raise BadAnswer("received undecodable patch in webhook response: it is no list")
    return patch


def refusal(name: str, result: Object) -> StatusError:
    """What the client is told when the webhook says no: its own code, reason and details; its message behind the webhook's name."""
    head = f'admission webhook "{name}" denied the request'
    code = result.get("code")
    if not isinstance(code, int) or code < 400:
        code = 400
    reason, message = str(result.get("reason") or ""), str(result.get("message") or "")
    text = f"{head}: {message or reason}" if message or reason else f"{head} without explanation"
    error = from_value(code, {"kind": "Status", "message": text, "reason": reason, "code": code, "details": result.get("details")})
    error.reason = reason
    return error
